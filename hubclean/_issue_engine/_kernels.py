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
def _largest(keys):
    """Largest of some integers that are not negative."""
    largest = keys[0]
    for at in range(len(keys)):
        largest = max(largest, keys[np.uint64(at)])  # unsigned: the loop vectorises
    return largest


@_compiled
def _two_best(block, i, given):
    """Find the columns of the two largest values of a row, the given one apart."""
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
    return high_class, low_class


@_compiled
def summarise(block, bits, labels, own, best, best_class, second, second_class):
    """Fill in the summary of the rows of a block, as `_summarise_block` does.

    `bits` are the same bytes read as integers. Numbers above zero have the order of
    their bits, and largest integers are found several at a time; a row with no two
    other numbers above zero goes the slow way.
    """
    n_classes = block.shape[1]
    keys = np.zeros((n_classes + 31) // 32 * 32, dtype=bits.dtype)
    for i in range(block.shape[0]):
        given = labels[i]
        for c in range(n_classes):
            keys[np.uint64(c)] = bits[np.uint64(i), np.uint64(c)]
        keys[given] = 0
        key = _largest(keys)
        high = low = 0
        while key > 0 and keys[high] != key:
            high += 1
        keys[high] = 0
        key = _largest(keys)
        while key > 0 and keys[low] != key:
            low += 1
        if key <= 0:
            high, low = _two_best(block, i, given)
        own[i] = block[i, given]
        best[i], best_class[i] = block[i, high], high
        second[i], second_class[i] = block[i, low], low
        if n_classes == 2:
            second[i] = -np.inf


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
def _offer(pair, margin, row, starts, sizes, margins, rows, floors, left_out):
    """Hold a margin if it is among the largest of its pair; say whether it is now."""
    floor = floors[pair]
    if margin <= floor:
        if margin == floor:
            left_out[pair] = margin
        return False
    start = starts[pair]
    room = starts[pair + 1] - start
    size = sizes[pair]
    if size < room:
        _rise(margins, rows, start, size, margin, row)
        sizes[pair] = size = size + 1
    else:
        _sink(margins, rows, start, room, margin, row)
        if margins[start] == floor:
            left_out[pair] = floor
    if size == room:
        floors[pair] = margins[start]
    return True


@_compiled
def offer_known(held, labels, own, classes, values, n_classes, first, last):
    """Offer the margins towards known classes, if these are first to last - 1."""
    starts, sizes, margins, rows, floors, left_out = held
    for positive in (True, False):  # first those that are likely to stay
        for i in range(len(labels)):
            margin = values[i] - own[i]
            if (margin > 0) != positive or not first <= classes[i] < last:
                continue
            pair = labels[i] * n_classes + classes[i]
            if margin >= floors[pair]:
                _offer(pair, margin, i, starts, sizes, margins, rows, floors, left_out)


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
    starts, sizes, margins, rows, floors, left_out = held
    offset = 0 if block.shape[1] == n_classes else first
    lowest = np.empty(n_classes, dtype=floors.dtype)
    for given in range(n_classes):
        lowest[given] = _lowest(floors, given, n_classes, first, last)
    news = np.zeros(n_classes, dtype=np.int64)
    for i in range(row0, row0 + block.shape[0]):
        given = labels[i]
        if second[i] - own[i] < lowest[given]:
            continue
        for c in range(first, last):
            margin = block[i - row0, c - offset] - own[i]
            pair = given * n_classes + c
            if margin < floors[pair] or c == given:
                continue
            if c != best_class[i] and c != second_class[i]:
                news[given] += _offer(
                    pair, margin, i, starts, sizes, margins, rows, floors, left_out
                )
        if news[given] >= 16:
            lowest[given] = _lowest(floors, given, n_classes, first, last)
            news[given] = 0


@_compiled
def mark_held(held, chosen, n_classes, first, last):
    """Mark the rows that are held for certain, for columns first to last - 1."""
    starts, sizes, margins, rows, floors, left_out = held
    for given in range(n_classes):
        for c in range(first, last):
            pair = given * n_classes + c
            tied = left_out[pair] == floors[pair]
            for at in range(starts[pair], starts[pair] + sizes[pair]):
                if not tied or margins[at] > floors[pair]:
                    chosen[rows[at]] = True


@_compiled
def confident(block, picked, bars, predicted, classes):
    """Fill in the confident classes of some rows, as `_judge_by_row` does."""
    for i in picked:
        reached = 0
        first = -1
        for c in range(block.shape[1]):
            if block[i, c] >= bars[c]:
                reached += 1
                if reached == 1:
                    first = c
                else:
                    break
        classes[i] = first if reached < 2 else predicted[i]
