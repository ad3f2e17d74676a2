"""Leave-one-out probabilities from features: every row left out, one factorisation.

Arrays in, arrays out. It imports only `hubclean._score_link` and
`hubclean._label_refinement`.
"""

import numpy as np
from scipy.linalg import eigh
from sklearn.kernel_approximation import RBFSampler
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from hubclean._label_refinement import refined_labels
from hubclean._score_link import score_pred_probs

_ALPHAS = np.logspace(-6, 0, 13)
_BLOCK_ROWS = 8192
# Rows and random features by which a kernel is chosen, and nobody's seed for it.
_CHOICE_ROWS, _FEWEST_CHOICE_ROWS, _CHOICE_COMPONENTS = 1000, 50, 300
_CHOICE_SEED = 0x6B65726E
# Gamma of the kernels to choose from, times the usual one -> share of its log loss by
# which it must be better. A sample likes smooth kernels more than all rows do.
_WIDTHS = {1.0: 0.0, 0.3: 0.08}
# The same for standardised features.
_STANDARDIZING = 0.01


def ridge_pred_probs(
    codes,
    features,
    n_classes,
    *,
    n_components=1000,
    gamma=None,
    standardize=None,
    n_refinements=3,
    random_state=0,
    groups=None,
):
    """Leave-one-out probabilities of a ridge classifier on random Fourier features.

    With the hat matrix H of the ridge regression onto one-hot labels Y, the
    prediction for a row left out is (F - h Y) / (1 - h), where F is the fit and h the
    diagonal of H: exact, without fitting again [1]_. The penalty with the smallest
    leave-one-out squared error is taken, and the scores become probabilities by the
    links of `score_pred_probs`, with the smallest log loss of the given labels. Then
    the same again with labels that seem wrong made softer, by `refined_labels`. What a
    row's own label did to those of others is left in.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    features : ndarray of float, shape (n_samples, n_features)
        Features or embeddings.
    n_classes : int
        Number of classes.
    n_components : int, default=1000
        Random Fourier features of a Gaussian kernel [2]_; 0 takes the features as
        they are.
    gamma : float, default=None
        Of the kernel ``exp(-gamma * ||x - y||**2)``. None takes
        ``1 / (n_features * features.var())``, or 0.3 times that where the log loss of
        at most 1,000 rows, each left out, is smaller by more than 8 %.
    standardize : bool, default=None
        Bring every feature to mean 0 and variance 1. None does so where that log loss
        is smaller by more than 1 %.
    n_refinements : int, default=3
        Times that the labels are made softer and the rows predicted again, of the same
        factorisation; fewer where few labels are known to be wrong.
    random_state : int, default=0
        Draws the random features.
    groups : ndarray of int, shape (n_samples,), default=None
        Rows of a group are left out together: with Y the labels and F the fit of its
        rows, the prediction is Y - (I - H)^-1 (Y - F), where H is their block of the
        hat matrix.

    Returns
    -------
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities; rows sum to 1.

    References
    ----------
    .. [1] Allen, "The relationship between variable selection and data augmentation
       and a method for prediction", Technometrics 16 (1974), the PRESS residual.
    .. [2] Rahimi, Recht, "Random features for large-scale kernel machines", NIPS 2007.

    Examples
    --------
    >>> codes = np.array([0, 0, 0, 1, 1, 1])
    >>> features = np.array([[0.0], [0.1], [0.2], [1.0], [0.9], [0.05]])
    >>> probs = ridge_pred_probs(codes, features, 2, n_components=0)
    >>> int(np.argmin(probs[np.arange(6), codes]))
    5
    """
    features = np.asarray(features, dtype=np.float64)
    kernel = _kernel(
        codes, features, n_classes, n_components, gamma, standardize, groups
    )
    ridge = _LeftOutRidge(features, n_components, *kernel, random_state, groups)
    probs = score_pred_probs(ridge.scores(np.eye(n_classes)[codes]), codes)
    for _ in range(n_refinements):
        refined = refined_labels(codes, probs)
        if refined is None:
            break
        probs = score_pred_probs(ridge.scores(refined), codes)
    return probs


def _kernel(codes, features, n_classes, n_components, gamma, standardize, groups):
    """Whether to standardise, and the gamma; what is None is chosen by the rows."""
    varied = features.std(axis=0)
    varied = varied[varied > 0]
    variances = {False: features.shape[1] * features.var(), True: len(varied)}
    if standardize is None:
        alike = not len(varied) or np.ptp(varied) < 0.01 * varied.max()
        ways = [False] if alike else [False, True]
    else:
        ways = [standardize]
    widths = _WIDTHS if gamma is None and n_components else {None: 0.0}
    kernels, worse = [], []
    for way in ways:
        for width, gain in widths.items():
            usual = 1 / variances[way] if variances[way] else 1.0
            kernels.append((way, gamma if width is None else width * usual))
            worse.append((1 + gain) * (1 + _STANDARDIZING * way))
    rows = _choice_rows(len(codes), groups)
    if len(kernels) == 1 or len(rows) < _FEWEST_CHOICE_ROWS:
        return kernels[0]
    codes, features = codes[rows], features[rows]
    n_components = min(n_components, _CHOICE_COMPONENTS)
    losses = [
        _log_loss(codes, features, n_classes, n_components, *kernel)
        for kernel in kernels
    ]
    return kernels[int(np.argmin(np.multiply(losses, worse)))]


def _choice_rows(n_samples, groups):
    """Rows by which a kernel is chosen, one of each group."""
    rows = np.random.default_rng(_CHOICE_SEED).permutation(n_samples)
    if groups is not None:
        rows = rows[np.sort(np.unique(groups[rows], return_index=True)[1])]
    return rows[:_CHOICE_ROWS]


def _log_loss(codes, features, n_classes, n_components, standardize, gamma):
    """Mean log loss of the given labels, each left out."""
    ridge = _LeftOutRidge(features, n_components, standardize, gamma, _CHOICE_SEED)
    scores = ridge.scores(np.eye(n_classes)[codes])
    given = score_pred_probs(scores, codes)[np.arange(len(codes)), codes]
    return -np.log(np.maximum(given, 1e-12)).mean()


class _LeftOutRidge:
    """Ridge regressions of which every row, or group of rows, is left out.

    Parameters
    ----------
    features : ndarray of float, shape (n_samples, n_features)
        Features.
    n_components : int
        Random Fourier features of a Gaussian kernel; 0 takes the features as they are.
    standardize : bool
        Bring every feature to mean 0 and variance 1 first.
    gamma : float
        Of the kernel.
    random_state : int
        Draws the random features.
    groups : ndarray of int, shape (n_samples,), default=None
        Rows that are left out together.
    """

    def __init__(
        self, features, n_components, standardize, gamma, random_state, groups=None
    ):
        n_samples = len(features)
        if standardize:
            features = standardized(features)
        if n_components:
            sampler = RBFSampler(
                gamma=gamma,
                n_components=min(n_components, 2 * n_samples),
                random_state=random_state,
            )
            features = sampler.fit_transform(features)
        features = np.column_stack([features, np.ones(n_samples)])
        values, vectors = eigh(features.T @ features)
        # One column for each penalty.
        self._inverses = 1 / (np.maximum(values, 0)[:, None] + _ALPHAS * n_samples)
        self._rotated = _in_place_product(features, vectors)
        self._together = [] if groups is None else list(_of_one_size(groups))
        # Diagonal of the hat matrix of each penalty.
        leverages = np.empty((n_samples, len(_ALPHAS)))
        for start in range(0, n_samples, _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            leverages[block] = self._rotated[block] ** 2 @ self._inverses
        self._leverages = np.minimum(leverages, 1 - 1e-9)

    def scores(self, targets):
        """Predictions, each row left out, of the penalty with the smallest error.

        Parameters
        ----------
        targets : ndarray of float, shape (n_samples, n_classes)
            One-hot or soft labels.

        Returns
        -------
        scores : ndarray of float, shape (n_samples, n_classes)
            Least-squares predictions of the targets.
        """
        rotated, moments = self._rotated, self._rotated.T @ targets
        best_error, best = np.inf, None
        for penalty, inverse in enumerate(self._inverses.T):
            leverage = self._leverages[:, penalty, None]
            scores = rotated @ (inverse[:, None] * moments)
            scores -= leverage * targets
            scores /= 1 - leverage
            for rows in self._together:
                scores[rows] = _group_left_out_scores(
                    rotated[rows], moments, targets[rows], inverse
                )
            error = np.mean((scores - targets) ** 2)
            if error < best_error:
                best_error, best = error, scores
        return best


def standardized(features):
    """Every feature with mean 0 and variance 1, but for those of one value."""
    deviations = features.std(axis=0)
    features = features - features.mean(axis=0)
    features /= np.where(deviations > 0, deviations, 1.0)
    return features


def _in_place_product(features, vectors):
    """`features @ vectors` block by block, in the memory of `features`."""
    for start in range(0, len(features), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        features[block] = features[block] @ vectors
    return features


def _of_one_size(groups):
    """Rows of the groups of more than one row; an array holds groups of one size."""
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)[groups[order]]
    for size in np.unique(sizes[sizes > 1]):
        rows = order[sizes == size].reshape(-1, size)
        n_blocks = max(1, len(rows) * size // _BLOCK_ROWS)
        yield from np.array_split(rows, n_blocks)


def _group_left_out_scores(rotated, moments, targets, inverse):
    """Fits without the rows of each group, by the smaller of two systems.

    Arrays have the shape (n_groups, n_rows of each, ...).
    """
    if rotated.shape[1] <= rotated.shape[2]:  # rows of a group, eigenvectors
        fitted = rotated @ (inverse[:, None] * moments)
        hat = (rotated * inverse) @ rotated.swapaxes(1, 2)
        system = (1 + 1e-9) * np.eye(hat.shape[1]) - hat
        return targets - np.linalg.solve(system, targets - fitted)
    transposed = rotated.swapaxes(1, 2)
    others = np.diag(1 / inverse) - transposed @ rotated
    return rotated @ np.linalg.solve(others, moments - transposed @ targets)


def neighbour_pred_probs(
    codes, features, n_classes, *, n_neighbors=10, n_jobs=None, groups=None
):
    """Leave-one-out probabilities by the labels of the nearest other rows.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    features : ndarray of float, shape (n_samples, n_features)
        Features or embeddings.
    n_classes : int
        Number of classes.
    n_neighbors : int, default=10
        Neighbours, weighted alike; one more vote is spread over all classes, so that
        no probability is 0.
    n_jobs : int, default=None
        Processes of the search.
    groups : ndarray of int, shape (n_samples,), default=None
        Rows of its own group are no neighbours of a row.

    Returns
    -------
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities; rows sum to 1.

    Examples
    --------
    >>> features = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    >>> probs = neighbour_pred_probs(np.array([0, 0, 1, 1, 1, 1]), features, 2,
    ...                              n_neighbors=2)
    >>> probs[2].round(2)
    array([0.83, 0.17])
    """
    if groups is not None:
        return _votes_of_other_groups(
            codes, features, n_classes, n_neighbors, n_jobs, groups
        )
    n_neighbors = min(n_neighbors, len(codes) - 1)
    search = NearestNeighbors(n_neighbors=n_neighbors, n_jobs=n_jobs).fit(features)
    others = search.kneighbors(return_distance=False)
    votes = np.full((len(codes), n_classes), 1 / n_classes)
    rows = np.repeat(np.arange(len(codes)), n_neighbors)
    np.add.at(votes, (rows, codes[others].ravel()), 1)
    return votes / (n_neighbors + 1)


def _votes_of_other_groups(codes, features, n_classes, n_neighbors, n_jobs, groups):
    """The same where the rows of a group are no neighbours of each other."""

    def vote(distances, start):
        rows = slice(start, start + len(distances))
        distances[groups[rows, None] == groups] = np.inf
        nearest = np.argpartition(distances, n_neighbors - 1)[:, :n_neighbors]
        far = np.isinf(np.take_along_axis(distances, nearest, axis=1))
        votes = np.full((len(distances), n_classes), 1 / n_classes)
        voters = np.nonzero(~far)
        np.add.at(votes, (voters[0], codes[nearest[voters]]), 1)
        return votes / votes.sum(axis=1, keepdims=True)

    n_neighbors = min(n_neighbors, len(codes) - 1)
    return np.concatenate(
        list(pairwise_distances_chunked(features, reduce_func=vote, n_jobs=n_jobs))
    )
