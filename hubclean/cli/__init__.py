"""The command ``hubclean``: find, report, apply, demo.

It imports every other part, and nothing imports it. What it prints on stdout is the
result; progress and errors go to stderr. Exit codes: 0 done, 1 it could not be done,
2 a wrong option or a missing file, 3 more issues than ``--fail-over`` allows, 130
stopped with Ctrl-C.
"""

from hubclean.cli._app import main

__all__ = ["main"]
