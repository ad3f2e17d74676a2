"""Choose from margins during training which labels are issues. Arrays in, arrays out.

It imports only `hubclean._auto_rule` and `hubclean._class_profiles`.
"""

import numpy as np
from sklearn.mixture import GaussianMixture

from hubclean._auto_rule import best_expected_f1_cut
from hubclean._class_profiles import fit_class_profiles

_FIT_ROWS = 20_000
_SAMPLE_SEED = 0x6D617267_696E73
# Ashman's D from which two groups count as apart.
_APART = 2.0


def profiled_margins(codes, training_proba, margins):
    """Margins of the given labels, seen against what training says of each class.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    training_proba : ndarray of float, shape (n_samples, n_classes)
        Mean probabilities of the training passes.
    margins : ndarray of float, shape (n_samples,)
        Areas under the margin: what is given back where the rows are too few, or the
        classes too many, for profiles.

    Returns
    -------
    margins : ndarray of float, shape (n_samples,)
        Logit of the given class less the largest other one, NaN where `margins` is;
        the logits are those of `hubclean._class_profiles.ClassProfiles`.
    """
    trained = np.flatnonzero(~np.isnan(margins))
    rows = np.sort(_drawn(trained))
    profiles = fit_class_profiles(codes[rows], training_proba[rows])
    if profiles.directions is None:
        return margins
    found = np.full(len(margins), np.nan)
    for start in range(0, len(trained), _FIT_ROWS):
        block = trained[start : start + _FIT_ROWS]
        logits, each = profiles.logits(training_proba[block]), np.arange(len(block))
        given = logits[each, codes[block]].copy()
        logits[each, codes[block]] = -np.inf
        found[block] = given - logits.max(axis=1)
    return found


def margin_cut(margins):
    """Margin under which labels are issues.

    Wrong labels that are nothing like their class make a group of low margins. Where a
    mixture of two normal distributions finds two groups that stand apart, by Ashman's
    D above 2 [1]_, the cut is the one with the best expected F1 score, at most 0.
    Elsewhere it is 0: below, the network preferred another class.

    Parameters
    ----------
    margins : ndarray of float, shape (n_samples,)
        Area under the margin of each row.

    Returns
    -------
    cut : float
        At most 0.

    References
    ----------
    .. [1] Ashman, Bird, Zepf, "Detecting bimodality in astronomical datasets", The
       Astronomical Journal 108 (1994), eq. 4.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> margins = np.r_[rng.normal(3, 1, 900), rng.normal(-4, 1, 100)]
    >>> bool(-3 < margin_cut(margins) < 0)
    True
    >>> margin_cut(rng.normal(1, 2, 1000))
    0.0
    """
    margins = np.sort(_drawn(margins))
    if len(np.unique(margins)) < 4:
        return 0.0
    starts = np.quantile(margins, [0.02, 0.6])[:, np.newaxis]
    groups = GaussianMixture(2, means_init=starts, random_state=0)
    groups.fit(margins[:, np.newaxis])
    means, widths = groups.means_.ravel(), np.sqrt(groups.covariances_.ravel())
    if np.sqrt(2) * abs(means[1] - means[0]) <= _APART * np.hypot(*widths):
        return 0.0
    low = means.argmin()
    wrong = groups.predict_proba(margins[:, np.newaxis])[:, low]
    # The wider group takes over again in the far tail; a lower margin is never better.
    wrong = np.maximum.accumulate(wrong[::-1])[::-1]
    issues = wrong >= min(best_expected_f1_cut(wrong), 0.5)
    n_issues = int(issues.sum())
    if not 0 < n_issues < len(margins):
        return 0.0
    return float(min(0.0, (margins[n_issues - 1] + margins[n_issues]) / 2))


def _drawn(values):
    """At most `_FIT_ROWS` of the values, the same ones for the same input."""
    if len(values) <= _FIT_ROWS:
        return values
    rng = np.random.default_rng(_SAMPLE_SEED)
    return rng.choice(values, _FIT_ROWS, replace=False)
