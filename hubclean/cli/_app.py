"""The commands, and what becomes of errors."""

import logging
import os
import sys
import warnings

import hubclean
from hubclean._compat import require
from hubclean.exceptions import HubcleanError, ParameterError

typer = require("typer", extra="cli", by="The command hubclean")
require("rich", extra="cli", by="The command hubclean")

from hubclean.cli._apply import apply  # noqa: E402
from hubclean.cli._console import (  # noqa: E402
    fail,
    forget_written,
    plain,
    told_written,
)
from hubclean.cli._find import find  # noqa: E402
from hubclean.cli._report import demo, report  # noqa: E402

#: The base of everything that is wrong with a command line.
_ClickException = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)
_Abort, _Exit = typer.Abort, typer.Exit

_STOPPED = 130

app = typer.Typer(
    name="hubclean",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value):
    if value:
        print(f"hubclean {hubclean.__version__}")
        raise _Exit


@app.callback()
def _hubclean(
    version: bool = typer.Option(
        False,
        "--version",
        callback=_show_version,
        is_eager=True,
        help="Show the version and stop.",
    ),
):
    """Find wrong labels in a classification dataset, and help a person fix them.

    Start with: hubclean find DATASET --report report.html
    """


for _command in (find, report, apply, demo):
    app.command()(_command)


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, default=None
        What stands after the command; None takes those of the process.

    Returns
    -------
    code : int
        0 done, 1 it could not be done, 2 a wrong option or a missing file, 3 more
        issues than ``--fail-over`` allows, 130 stopped with Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    forget_written()
    _ready_streams()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = app(arguments, prog_name="hubclean", standalone_mode=False)
        sys.stdout.flush()
        if code == _STOPPED:  # so Typer puts it
            raise KeyboardInterrupt
        return code or 0
    except _ClickException as exc:
        if type(exc).__name__ == "NoArgsIsHelpError":
            return 2  # it has shown the help
        return fail(f"{exc.format_message()} {_hint(exc)}", code=2)
    except ParameterError as exc:
        return fail(str(exc), code=2)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as exc:
        return fail(f"{exc.filename}: {exc.strerror}.", code=2)
    except BrokenPipeError:  # ``hubclean find ... | head``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, _Abort):
        return fail(_stopped(arguments), code=_STOPPED)
    except (HubcleanError, OSError, ValueError, RuntimeError) as exc:
        logging.getLogger("hubclean").debug("failed", exc_info=True)
        return fail(str(exc), code=1)


def _ready_streams():
    """Let stdout and stderr take every text: closed ones, and those without UTF-8."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed, as by ``>&-``
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _hint(exc):
    """Where the right options stand."""
    context = getattr(exc, "ctx", None)
    command = context.command_path if context is not None else "hubclean"
    return f"See: {command} --help"


def _stopped(arguments):
    """What was written until Ctrl-C, and how to go on."""
    if "demo" in arguments[:1]:
        return "Stopped. Run the same command to start again."
    find = "find" in arguments[:1]
    told = told_written()
    again = " with --overwrite" if "the branch" in told and find else ""
    begun = f"Stopped; {told or 'nothing was written'}."
    if any(argument.partition("=")[0] == "--cache" for argument in arguments):
        return (
            f"{begun} Finished folds are in the cache: run the same command again"
            f"{again} to go on from there."
        )
    if not find:
        return f"{begun} Run the same command to start again."
    return (
        f"{begun} Run the same command{again} to start again; with --cache DIR the "
        "finished folds are kept, and a second run goes on from there."
    )


def _show_warning(message, category, filename, lineno, file=None, line=None):
    """One line for a warning of hubclean's own; others are not the user's."""
    if issubclass(category, UserWarning) and "hubclean" in category.__module__:
        print(f"hubclean: {plain(message)}", file=sys.stderr)
