"""The one number that makes scores probabilities. Arrays in, arrays out.

It imports nothing of hubclean.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

_LOG_SCALES = (-6.0, 6.0)


def fitted_scale(scores, codes, *, prior=0.0):
    """Factor of scores whose softmax explains the labels best: 1 / temperature [1]_.

    Parameters
    ----------
    scores : ndarray of float, shape (n_samples, n_classes)
        Larger for likelier classes.
    codes : ndarray of int, shape (n_samples,)
        Labels, coded 0 to n_classes - 1.
    prior : float, default=0.0
        Nats that the square of the log of the scale costs: holds few rows to 1.

    Returns
    -------
    scale : float
        With the smallest log loss of the labels.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks",
       ICML 2017, section 4.2.

    Examples
    --------
    >>> scores = np.array([[1.0, 0.0]] * 4)
    >>> round(fitted_scale(scores, np.array([0, 0, 0, 1])), 2)  # log(3)
    1.1
    """
    given = scores[np.arange(len(codes)), codes]

    def log_loss(log_scale):
        scale = np.exp(log_scale)
        loss = np.mean(logsumexp(scale * scores, axis=1) - scale * given)
        return loss + prior * log_scale**2 / len(codes)

    found = minimize_scalar(log_loss, bounds=_LOG_SCALES, method="bounded")
    return float(np.exp(found.x))
