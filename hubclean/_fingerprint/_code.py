"""Where code comes from, and what of it tells one function or class from another.

Installed code is known by its package's version, a user's own by what it does: byte
code, constants, defaults, closures and the globals it reads.
"""

import dis
import functools
import hashlib
import sys
import types
from pathlib import Path

#: Members that come and go, or say nothing about what a class does.
_PASSING = {"_abc_impl", "__doc__", "__module__", "__dict__", "__weakref__"}
#: Dots in a name; modules may hold each other.
_DEEPEST = 5
_CODE = (
    types.FunctionType,
    classmethod,
    staticmethod,
    property,
    functools.partialmethod,
)


def module_of(item):
    """Module of a function or class; the main one has one name in every process."""
    module = getattr(item, "__module__", None) or ""
    return "__main__" if module == "__mp_main__" else module


def function_module(function):
    """Module in which a function was written; a wrapper has the name of another."""
    name = function.__globals__.get("__name__") or ""
    return "__main__" if name == "__mp_main__" else name


def is_found_by_name(function):
    """Whether a function of an installed package is what the package has there."""
    if not is_installed(module_of(function)):
        return False
    found = sys.modules.get(module_of(function))
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is function


@functools.cache
def is_installed(module):
    """Whether code comes from a package that its version names."""
    top = module.partition(".")[0]
    if module == "__main__":  # whatever started it: pytest, a notebook's server
        return False
    if top in sys.stdlib_module_names or top == "hubclean":
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


@functools.cache
def version_of(module):
    """Version of the package; for hubclean the content of the file as well."""
    top = module.partition(".")[0]
    version = str(getattr(sys.modules.get(top), "__version__", ""))
    return version if top != "hubclean" else f"{version} {_file_digest(module)}"


def source_digest(module):
    """What a module that is no installed package contains."""
    return f"{module.__name__} {_file_digest(module.__name__)}"


def _file_digest(module):
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or not Path(file).is_file():
        return ""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def code_parts(code):
    """Instructions, names and constants, those of functions inside it too."""
    parts = [code.co_code, list(code.co_names), list(code.co_varnames)]
    parts += [code.co_flags, code.co_exceptiontable, list(code.co_freevars)]
    parts += [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount]
    for constant in code.co_consts:
        inner = isinstance(constant, types.CodeType)
        parts.append(code_parts(constant) if inner else constant)
    return parts


def global_names(code):
    """Names of the globals that a code object reads, sorted."""
    names = {
        step.argval
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(global_names(constant))
    return sorted(names)


def globals_read(function):
    """Values of the globals that a function reads; builtins are left out.

    Of a module of the user's also what the function names of it: it may have been set
    since, or the file edited after it was imported.
    """
    known, code = function.__globals__, function.__code__
    read = {name: known[name] for name in global_names(code) if name in known}
    modules = list(read.items())
    while modules:
        name, module = modules.pop()
        if not isinstance(module, types.ModuleType) or is_installed(module.__name__):
            continue
        for part in sorted(all_names(code) & vars(module).keys()):
            if f"{name}.{part}".count(".") <= _DEEPEST:
                read[f"{name}.{part}"] = vars(module)[part]
                modules.append((f"{name}.{part}", vars(module)[part]))
    return read


def all_names(code):
    """Names of globals and attributes in a code object and those inside it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= all_names(constant)
    return names


def closure_of(function):
    """Values that a function closes over; a cell that is still empty gives None."""
    return [_cell_content(cell) for cell in function.__closure__ or ()]


def _cell_content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def class_members(cls):
    """Names and values of what a user's own class defines."""
    for name, member in sorted(vars(cls).items()):
        inner = getattr(member, "__wrapped__", member)
        says = isinstance(inner, _CODE) or name.startswith("__metadata_request__")
        if name in _PASSING or (name.startswith("__") and not says):
            continue
        if isinstance(member, types.MemberDescriptorType | types.GetSetDescriptorType):
            member = None
        yield name, member
