"""The arithmetic of the issue rules in blocks, with memory O(n_samples + n_classes^2).

Nothing here knows what a rule is. It imports nothing from the rest of hubclean but
`_compat`.
"""

from hubclean._issue_engine._blocks import (
    in_threads,
    n_threads,
    row_blocks,
    row_blocks_of,
    row_chunks,
    rows_by_class,
)
from hubclean._issue_engine._confident_rows import confident_classes
from hubclean._issue_engine._row_summary import RowSummary, summarise_rows
from hubclean._issue_engine._top_margins import TopMargins, top_margins

__all__ = [
    "RowSummary",
    "TopMargins",
    "confident_classes",
    "in_threads",
    "n_threads",
    "row_blocks",
    "row_blocks_of",
    "row_chunks",
    "rows_by_class",
    "summarise_rows",
    "top_margins",
]
