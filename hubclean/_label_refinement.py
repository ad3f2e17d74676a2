"""Labels that seem wrong, made softer for another training. Arrays in, arrays out.

It imports only `hubclean._auto_rule`.
"""

import numpy as np

from hubclean._auto_rule import fit_error_model

# Power of the share of wrong labels among those that differ, by which a classifier is
# believed, and the least belief with which another training is worth it.
_POWER, _LEAST_BELIEF = 4, 0.05
# Of fewer rows each is in large part what the others' labels were corrected by.
_FEWEST_ROWS = 100


def refined_labels(codes, pred_probs):
    """Share the labels that seem wrong with the classes that are likely instead.

    A label is taken for (1 - w) y + w q [1]_, where y is the one given and q the
    probabilities of the other classes, and w the probability that it is wrong (as of
    `fit_error_model`), times the fourth power of the share of wrong labels among those
    that differ from the likeliest class: where those are as often the classifier's own
    errors, it is hardly believed.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities; rows sum to 1.

    Returns
    -------
    targets : ndarray of float, shape (n_samples, n_classes), or None
        Rows sum to 1. None where that power is below 0.05, and for fewer than 100
        rows, which confirm their own labels.

    References
    ----------
    .. [1] Arazo, Ortego, Albert, O'Connor, McGuinness, "Unsupervised label noise
       modeling and loss correction", ICML 2019, section 3.2 (dynamic soft
       bootstrapping).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> first = np.r_[rng.uniform(0.8, 1, 100), rng.uniform(0, 0.2, 100)]
    >>> codes = np.repeat([0, 1], 100)
    >>> codes[[50, 120]] = [1, 0]
    >>> refined = refined_labels(codes, np.column_stack([first, 1 - first]))
    >>> np.flatnonzero(refined[np.arange(200), codes] < 0.5).tolist()
    [50, 120]
    """
    if len(codes) < _FEWEST_ROWS:
        return None
    errors = fit_error_model(codes, pred_probs).error_probability(codes, pred_probs)
    differing = np.count_nonzero(pred_probs.argmax(axis=1) != codes)
    belief = min(errors.sum() / max(differing, 1), 1.0) ** _POWER
    if belief < _LEAST_BELIEF:
        return None
    rows = np.arange(len(codes))
    targets = np.array(pred_probs, dtype=np.float64)
    targets[rows, codes] = 0
    doubts = belief * errors
    totals = targets.sum(axis=1)
    # Where nothing else is likely at all, the label stays.
    doubts[totals <= 0] = 0
    targets *= (doubts / np.where(totals > 0, totals, 1.0))[:, None]
    targets[rows, codes] = 1 - doubts
    return targets
