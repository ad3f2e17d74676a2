"""Numbers of the summary turned into places on a drawing, for the template.

The page draws its own SVG, so that its colours follow light and dark. It imports
nothing from hubclean.
"""

import math

_WIDTH, _HEIGHT = 380, 150
_BARS = 12


def charts(summary):
    """What the template draws.

    Parameters
    ----------
    summary : dict
        What `summarise` gives.

    Returns
    -------
    charts : dict
        With the keys `quality`, `per_class` and `noise` (None for many classes).
    """
    return {
        "quality": _quality(summary["quality_histogram"]),
        "per_class": _per_class(summary["classes"]),
        "noise": _noise(summary),
    }


def _quality(histogram):
    """Bars of the distribution; heights grow with the root where counts differ much."""
    suspects, trusted = histogram["suspects"], histogram["trusted"]
    totals = [a + b for a, b in zip(suspects, trusted, strict=True)]
    highest = max(totals, default=0) or 1
    root = highest > 40 * (sorted(totals)[len(totals) // 2] + 1)
    step = _WIDTH / len(totals)

    def height(count):
        share = count / highest
        return _HEIGHT * (math.sqrt(share) if root else share)

    bars = [
        {
            "x": round(i * step + 0.5, 2),
            "width": round(step - 1, 2),
            "suspects": round(height(suspects[i]), 2),
            "total": round(height(totals[i]), 2),
            "title": (
                f"quality {histogram['bin_edges'][i]:.3f} to "
                f"{histogram['bin_edges'][i + 1]:.3f}: {suspects[i]:,} issues, "
                f"{trusted[i]:,} other rows"
            ),
        }
        for i in range(len(totals))
    ]
    threshold = histogram["threshold"]
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "bars": bars,
        "root": root,
        "highest": highest,
        "cut": None if threshold is None else round(threshold * _WIDTH, 2),
    }


def _per_class(classes):
    """The classes with most issues."""
    worst = sorted(classes, key=lambda c: -c["n_issues"])
    worst = [c for c in worst if c["n_issues"]]
    highest = max((c["n_issues"] for c in worst), default=1)
    return {
        "bars": [
            {
                "name": c["name"],
                "n_issues": c["n_issues"],
                "share": c["n_issues"] / max(c["n_rows"], 1),
                "width": round(100 * c["n_issues"] / highest, 2),
            }
            for c in worst[:_BARS]
        ],
        "n_more": max(0, len(worst) - _BARS),
    }


def _noise(summary):
    """Cells of the heat map, coloured by the largest share off the diagonal."""
    matrix = summary["noise_matrix"]
    if matrix is None:
        return None
    off = [v for i, line in enumerate(matrix) for j, v in enumerate(line) if i != j]
    top = max(off, default=0) or 1
    names = [c["name"] for c in summary["classes"]]
    cells = [
        {
            "given": given,
            "true": true,
            "right": given == true,
            "strength": 0 if given == true else round(share / top, 3),
            "text": f"{share:.2f}".removeprefix("0") if share >= 0.005 else "",
            "title": f"given {names[given]}, true {names[true]}: {share:.1%}",
        }
        for given, line in enumerate(matrix)
        for true, share in enumerate(line)
    ]
    short = max(map(len, names)) <= 3
    return {"n": len(matrix), "names": names, "cells": cells, "short": short}
