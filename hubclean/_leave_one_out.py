"""Leave-one-out probabilities for features or embeddings. Arrays in, arrays out.

Every row is predicted by a model fitted to all the others, for the price of one fit.
It imports nothing of hubclean.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.neighbors import NearestNeighbors

_RIDGES = 10.0 ** np.arange(-4, 4.5, 0.5)
_SPREAD_ROWS = 500
_LOG_SLOPES = (-1.0, 5.0)


def leave_one_out_ridge(labels, X, *, n_classes, n_components=1000, random_state=0):
    """Exact leave-one-out predictions of a ridge classifier on Fourier features.

    The random Fourier features approximate a Gaussian kernel as wide as half the
    median squared distance between rows [1]_. One factorisation of the ridge problem
    gives the predictions with each row left out, for every ridge parameter [2]_; the
    one with the smallest leave-one-out error is used. A softmax whose slope is fitted
    to the labels turns them into probabilities.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    X : ndarray of float, shape (n_samples, n_features)
        Features on comparable scales, or embeddings.
    n_classes : int
        Columns of the result.
    n_components : int
        Fourier features; 0 uses X itself.
    random_state : int
        Seed of the Fourier features.

    Returns
    -------
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Rows sum to 1; no row has seen its own label but through the slope.

    References
    ----------
    .. [1] Rahimi, Recht, "Random features for large-scale kernel machines",
       NeurIPS 2007.
    .. [2] Rifkin, Lippert, "Notes on regularized least squares", MIT-CSAIL-TR-2007-025,
       section 4.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> pred_probs = leave_one_out_ridge(y, X, n_classes=3, n_components=100)
    >>> bool((pred_probs.argmax(axis=1) == y).mean() > 0.95)
    True
    """
    X = np.asarray(X, dtype=np.float64)
    X = X - X.mean(axis=0)
    if n_components:
        X = _fourier_features(X, n_components, np.random.default_rng(random_state))
    features = np.column_stack([X, np.ones(len(X))])
    targets = np.eye(n_classes)[labels]
    return _calibrate(labels, _leave_one_out(features, targets))


def leave_one_out_neighbors(labels, X, *, n_classes, n_neighbors=None, n_jobs=None):
    """Class shares among the nearest neighbours of each row, without the row.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    X : array or sparse matrix of shape (n_samples, n_features)
        Features on comparable scales, or embeddings.
    n_classes : int
        Columns of the result.
    n_neighbors : int or None
        None takes the number up to 50 with the smallest leave-one-out log loss.
    n_jobs : int or None
        Jobs of the neighbour search.

    Returns
    -------
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Shares, drawn towards the shares among all rows by the weight of one
        neighbour; rows sum to 1.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> leave_one_out_neighbors(y, X, n_classes=3, n_neighbors=9)[0].round(2)
    array([0.93, 0.03, 0.03])
    """
    labels = np.asarray(labels)
    most = min(50 if n_neighbors is None else n_neighbors, len(labels) - 1)
    search = NearestNeighbors(n_neighbors=most, n_jobs=n_jobs).fit(X)
    # Without an argument the row itself is not among its neighbours.
    near = labels[search.kneighbors(return_distance=False)]
    prior = np.bincount(labels, minlength=n_classes) / len(labels)
    counts = np.zeros((len(labels), n_classes))
    rows, best, least = np.arange(len(labels)), None, np.inf
    for position in range(most):
        counts[rows, near[:, position]] += 1
        if n_neighbors is not None and position + 1 < most:
            continue
        shares = (counts + prior) / (position + 2)
        loss = -np.log(shares[rows, labels]).mean()
        if loss < least:
            best, least = shares, loss
    return best


def _fourier_features(X, n_components, rng):
    """Random features whose products approximate a Gaussian kernel."""
    rows = rng.choice(len(X), min(len(X), _SPREAD_ROWS), replace=False)
    squares = (X[rows] ** 2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * X[rows] @ X[rows].T
    distances = distances[distances > 1e-12 * max(squares.max(), 1e-300)]
    spread = np.median(distances) if len(distances) else 1.0
    weights = rng.normal(size=(X.shape[1], n_components)) * np.sqrt(4 / spread)
    phases = rng.uniform(0, 2 * np.pi, n_components)
    return np.sqrt(2 / n_components) * np.cos(X @ weights + phases)


def _leave_one_out(features, targets):
    """Ridge predictions of each row without it, at the best ridge parameter."""
    values, vectors = np.linalg.eigh(features.T @ features)
    values = np.maximum(values, 0)
    rotated = features @ vectors
    by_value, squared = rotated.T @ targets, rotated**2
    best, least = targets, np.inf
    for ridge in _RIDGES:
        shrink = 1 / (values + ridge)
        leverage = (squared @ shrink)[:, None]
        fitted = rotated @ (shrink[:, None] * by_value)
        without = (fitted - leverage * targets) / np.maximum(1 - leverage, 1e-9)
        error = ((without - targets) ** 2).mean()
        if error < least:
            best, least = without, error
    return best


def _calibrate(labels, scores):
    """Softmax of the scores, its slope fitted to the labels."""
    rows = np.arange(len(labels))

    def loss(log_slope):
        return -log_softmax(np.exp(log_slope) * scores, axis=1)[rows, labels].mean()

    found = minimize_scalar(loss, bounds=_LOG_SLOPES, method="bounded")
    return np.exp(log_softmax(np.exp(found.x) * scores, axis=1))
