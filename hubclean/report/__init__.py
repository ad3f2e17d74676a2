"""One dict about what was found, written as HTML, JSON or Markdown.

The HTML file is the review tool too: it needs no server, makes no request, and
exports the decisions as ``decisions.csv``, which `apply_decisions` reads.

It imports inwards, and of the other leaves only `hubclean.plotting`.
"""

from hubclean.report._summary import summarise
from hubclean.report._write import write_report

__all__ = ["summarise", "write_report"]
