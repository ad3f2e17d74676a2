"""What is written to the terminal: text that stays text."""

import contextlib
import json
import sys

from hubclean._compat import require

_MOST_LINES = 10
#: What this command writes, and whether it is finished.
_written: dict[str, bool] = {}


def plain(text):
    r"""Text on one line, without control characters that a terminal would obey.

    Examples
    --------
    >>> plain("a\x1b[31m b\nc")
    'a?[31m b c'
    """
    text = " ".join(str(text).split())
    return "".join(c if c.isprintable() else "?" for c in text)


def fail(message, *, code):
    """Say on one line of stderr what is wrong, and give the exit code."""
    print(f"hubclean: {plain(message)}", file=sys.stderr)
    return code


@contextlib.contextmanager
def writing(what):
    """Remember what is written, for the case that the command is stopped.

    Examples
    --------
    >>> forget_written()
    >>> with writing("a.csv"):
    ...     told_written()
    'not finished: a.csv'
    >>> told_written()
    'written: a.csv'
    """
    _written[what] = False
    yield
    _written[what] = True


def forget_written():
    """Nothing is written yet."""
    _written.clear()


def told_written():
    """What is written and what is not finished, in words; none where there is none."""
    parts = []
    for word, state in (("written", True), ("not finished", False)):
        names = [what for what, finished in _written.items() if finished is state]
        parts += [f"{word}: {', '.join(names)}"] if names else []
    return "; ".join(parts)


def say(message):
    """A line for the person, on stderr, beside the progress bar."""
    print(plain(message), file=sys.stderr)


def count(number, noun):
    """A number of things.

    Examples
    --------
    >>> count(1, "label issue"), count(2000, "label issue")
    ('1 label issue', '2,000 label issues')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def print_json(value):
    """The result for machines, on stdout."""
    print(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=True))


def print_summary(title, facts, *, columns=(), lines=(), steps=()):
    """The result for a person, on stdout.

    Parameters
    ----------
    title : str
        What was done.
    facts : dict
        Name and value of each fact.
    columns : sequence of str, default=()
        Heads of the table; those after the first two are numbers.
    lines : sequence of sequence, default=()
        Rows of the table.
    steps : sequence of str, default=()
        What to do next.
    """
    console = require("rich.console", extra="cli", by="The command hubclean").Console(
        markup=False, highlight=False, emoji=False, soft_wrap=True
    )
    text = require("rich.text", extra="cli", by="The command hubclean").Text
    console.print(text(plain(title), style="bold"))
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        console.print(text(f"  {name:<{width}}  {plain(value)}"))
    if lines:
        console.print()
        console.print(_table(columns, lines, text))
    if len(steps):
        console.print()
    for step in steps:
        console.print(text(plain(step)))


def _table(columns, lines, text):
    """A table of the first lines."""
    tables = require("rich.table", extra="cli", by="The command hubclean")
    table = tables.Table(box=None, pad_edge=False, padding=(0, 2, 0, 2))
    for i, head in enumerate(columns):
        table.add_column(text(head), justify="left" if i < 2 else "right")
    for line in lines[:_MOST_LINES]:
        table.add_row(*(text(plain(cell)) for cell in line))
    return table
