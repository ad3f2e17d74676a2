"""Compiled loops for large problems; they do what the NumPy code beside them does.

Loaded only when a problem is large and Numba is installed. The compiled code is kept
on disk where Numba can write. The loops release the lock of the interpreter and are
run by ordinary threads: Numba's own may not be started from several threads at once.

Arrays are indexed by row and column, never cut into rows: a cut counts references,
and threads that count on the same array wait for each other.
"""

import numpy as np

from hubclean._compat import require

_numba = require("numba", extra="fast", by="the compiled issue engine")


def _compiled(function):
    """Compile when first called; on disk if Numba finds a place to write."""
    try:
        return _numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's is writable
        return _numba.njit(nogil=True)(function)


@_compiled
def summarise(block, labels, own, best, best_class, second, second_class):
    """Fill in the summary of the rows of a block, as `_summarise_block` does."""
    for i in range(block.shape[0]):
        given = labels[i]
        high = low = block.dtype.type(-np.inf)
        high_class = low_class = 0
        for c in range(block.shape[1]):
            value = block[i, c]
            if value > low and c != given:
                if value > high:
                    low, low_class = high, high_class
                    high, high_class = value, c
                else:
                    low, low_class = value, c
        own[i] = block[i, given]
        best[i], best_class[i] = high, high_class
        second[i], second_class[i] = low, low_class


@_compiled
def _sink(margins, rows, start, size, margin, row):
    """Put a margin in place of the smallest one of a heap of `size` from `start`."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and margins[start + child + 1] < margins[start + child]:
            child += 1
        if margins[start + child] >= margin:
            break
        margins[start + at] = margins[start + child]
        rows[start + at] = rows[start + child]
        at = child
    margins[start + at], rows[start + at] = margin, row


@_compiled
def _rise(margins, rows, start, size, margin, row):
    """Add a margin to a heap that has `size` entries from `start`."""
    at = size
    while at > 0:
        parent = (at - 1) // 2
        if margins[start + parent] <= margin:
            break
        margins[start + at] = margins[start + parent]
        rows[start + at] = rows[start + parent]
        at = parent
    margins[start + at], rows[start + at] = margin, row


@_compiled
def _offer(held, pair, margin, row):
    """Hold a margin if it is among the largest of its pair; say whether it is now."""
    floor = held.floors[pair]
    if margin <= floor:
        if margin == floor:
            held.left_out[pair] = margin
        return False
    start = held.starts[pair]
    room = held.starts[pair + 1] - start
    size = held.sizes[pair]
    if size < room:
        _rise(held.margins, held.rows, start, size, margin, row)
        held.sizes[pair] = size = size + 1
    else:
        _sink(held.margins, held.rows, start, room, margin, row)
        if held.margins[start] == floor:
            held.left_out[pair] = floor
    if size == room:
        held.floors[pair] = held.margins[start]
    return True


@_compiled
def offer_known(held, labels, own, classes, values, n_classes, first, last):
    """Offer the margins towards known classes, if these are first to last - 1."""
    for i in range(len(labels)):
        if first <= classes[i] < last:
            pair = labels[i] * n_classes + classes[i]
            _offer(held, pair, values[i] - own[i], i)


@_compiled
def _lowest(floors, given, n_classes, first, last):
    """Lowest floor of a class among the columns first to last - 1."""
    lowest = floors[given * n_classes + first]
    for c in range(first + 1, last):
        lowest = min(lowest, floors[given * n_classes + c])
    return lowest


@_compiled
def offer_rows(held, block, row0, labels, own, best_class, second, second_class,
               n_classes, first, last):  # fmt: skip
    """Read the rows that may still count and offer their other margins.

    The block holds all columns, or first to last - 1 only; its row 0 is row `row0`.
    """
    offset = n_classes - block.shape[1] and first
    lowest = np.empty(n_classes, dtype=held.floors.dtype)
    for given in range(n_classes):
        lowest[given] = _lowest(held.floors, given, n_classes, first, last)
    news = np.zeros(n_classes, dtype=np.int64)
    for i in range(row0, row0 + block.shape[0]):
        given = labels[i]
        if second[i] - own[i] < lowest[given]:
            continue
        for c in range(first, last):
            margin = block[i - row0, c - offset] - own[i]
            pair = given * n_classes + c
            if margin < held.floors[pair] or c == given:
                continue
            if c != best_class[i] and c != second_class[i]:
                news[given] += _offer(held, pair, margin, i)
        if news[given] >= 16:
            lowest[given] = _lowest(held.floors, given, n_classes, first, last)
            news[given] = 0


@_compiled
def mark_held(held, chosen, n_classes, first, last):
    """Mark the rows that are held for certain, for columns first to last - 1."""
    for given in range(n_classes):
        for c in range(first, last):
            pair = given * n_classes + c
            floor = held.floors[pair]
            tied = held.left_out[pair] == floor
            start = held.starts[pair]
            for at in range(start, start + held.sizes[pair]):
                if not tied or held.margins[at] > floor:
                    chosen[held.rows[at]] = True
