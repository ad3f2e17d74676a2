"""Text of a Deep Lake 4 query for some rows.

It imports only numpy.
"""

import numpy as np

_UNION_PARTS = 100


def query_of_rows(rows):
    """Query for a view of ascending rows.

    Examples
    --------
    >>> query_of_rows([2, 3, 7])
    '(select * limit 2 offset 2) union (select * limit 1 offset 7)'
    """
    parts = [
        f"(select * limit {high - low + 1} offset {low})"
        for low, high in _as_ranges(rows)
    ]
    return _union(parts) or "select * where false"


def _union(parts):
    """Query for the union of many; nested, since a long chain exhausts the parser."""
    if len(parts) <= _UNION_PARTS:
        return " union ".join(parts)
    step = -(-len(parts) // _UNION_PARTS)
    chunks = [parts[i : i + step] for i in range(0, len(parts), step)]
    return " union ".join(f"(select * from ({_union(chunk)}))" for chunk in chunks)


def _as_ranges(rows):
    """Inclusive ranges that cover ascending rows."""
    rows = np.asarray(rows)
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(rows) != 1)
    lows = rows[np.r_[0, breaks + 1]]
    highs = rows[np.r_[breaks, len(rows) - 1]]
    return list(zip(lows.tolist(), highs.tolist(), strict=True))
