"""Choose from the data which labels are issues. Arrays in, arrays out.

It imports only `hubclean._noise_model` and `hubclean._issue_engine`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from hubclean._issue_engine import in_threads, n_threads, row_blocks
from hubclean._noise_model import NoiseModel, fit_noise_model, logits_of

# Rows that models are fitted to; fewer where many classes make a row dear.
_FIT_ROWS, _FEWEST_FIT_ROWS, _FIT_NUMBERS = 5000, 2000, 200_000
_BOOTSTRAP_ROWS = 1000
# Nobody's seed: one that also chose which labels are wrong would choose those rows.
_SAMPLE_SEED = 0x68756263_6C65616E
# Of probabilities in a block: what is made of them stays in a core's cache.
_BLOCK_BYTES = 1 << 18
# Above so many classes every pair has too few rows for a rate of its own.
_MOST_PAIRED_CLASSES = 50
# A rate for each pair must gain a nat each (Akaike's criterion), give or take.
_PAIR_NATS, _PAIR_WIDTH = 1.0, 0.15
# Wrong labels by resemblance look like the model's own errors: each must gain so
# many nats over wrong labels spread evenly, give or take.
_NEAR_NATS, _NEAR_WIDTH = 0.05, 0.02
# They must also be most of the wrong labels: so many of them, give or take.
_NEAR_SHARE, _SHARE_WIDTH = 0.7, 0.05
# Nats a row that the likelihood may lose for a sharper true class.
_SLACK = 0.02
# The models are too sure of wrong labels: where their truth was known, the odds that
# they gave were on average best taken for so much.
_ODDS = 0.75


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """A few noise models, and how much each is believed.

    Attributes
    ----------
    models : tuple of NoiseModel
        Those with a weight above 0.01.
    weights : ndarray of float, shape (n_models,)
        They sum to 1.
    """

    models: tuple[NoiseModel, ...]
    weights: np.ndarray

    def error_probability(self, labels, pred_probs, *, n_jobs=None):
        """Probability that each given label is wrong, block by block.

        Parameters
        ----------
        labels : ndarray of int, shape (n_samples,)
            Given labels, coded 0 to n_classes - 1.
        pred_probs : ndarray of float, shape (n_samples, n_classes)
            Out-of-sample probabilities.
        n_jobs : int, default=None
            Threads; None means all cores where that pays.

        Returns
        -------
        error_probability : ndarray of float, shape (n_samples,)
            In [0, 1].
        """
        return self._judge(labels, pred_probs, None, n_jobs)[0]

    def class_probability(self, labels, pred_probs, classes, *, n_jobs=None):
        """Probability that the true class of each row is the one named.

        Parameters
        ----------
        labels : ndarray of int, shape (n_samples,)
            Given labels, coded 0 to n_classes - 1.
        pred_probs : ndarray of float, shape (n_samples, n_classes)
            Out-of-sample probabilities.
        classes : ndarray of int, shape (n_samples,)
            The class asked about.
        n_jobs : int, default=None
            Threads; None means all cores where that pays.

        Returns
        -------
        class_probability : ndarray of float, shape (n_samples,)
            In [0, 1].
        """
        errors, others = self._judge(labels, pred_probs, classes, n_jobs)
        return np.where(np.asarray(classes) == labels, 1 - errors, others)

    def _judge(self, labels, pred_probs, classes, n_jobs):
        """Weighted mean of what the models say of every row, block by block."""
        labels = np.asarray(labels)
        errors = np.zeros(len(labels))
        others = None if classes is None else np.zeros(len(labels))

        def judge(block):
            logits = logits_of(pred_probs[block])
            asked = None if classes is None else classes[block]
            for weight, model in zip(self.weights, self.models, strict=True):
                wrong, other = model.judge(labels[block], logits, asked)
                errors[block] += weight * wrong
                if others is not None:
                    others[block] += weight * other
            sober = _soberly(errors[block])
            if others is not None:
                others[block] *= sober / np.maximum(errors[block], 1e-300)
            errors[block] = sober

        blocks = row_blocks(pred_probs, _BLOCK_BYTES)
        in_threads(judge, blocks, n_threads(n_jobs, pred_probs.size))
        return errors, others


def _soberly(errors):
    """Probabilities whose odds are `_ODDS` times as high."""
    return np.clip(_ODDS * errors / (1 - (1 - _ODDS) * errors), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class AutoRule:
    """What `learn_auto_rule` found.

    Attributes
    ----------
    mask : ndarray of bool, shape (n_samples,)
        The label issues.
    error_probability : ndarray of float, shape (n_samples,)
        Probability that each label is wrong.
    cut : float
        Rows from this probability on are issues; at most 1/2.
    error_model : ErrorModel
        Gives the probability for other rows.
    fitted_to : tuple of ndarray
        Labels and probabilities of the at most 5,000 rows it was fitted to.
    """

    mask: np.ndarray
    error_probability: np.ndarray
    cut: float
    error_model: ErrorModel
    fitted_to: tuple[np.ndarray, np.ndarray]

    @cached_property
    def estimated_errors(self):
        """Expected number of wrong labels."""
        return float(self.error_probability.sum())

    def estimated_precision(self, mask=None):
        """Expected share of the issues that are wrong labels; NaN without issues.

        Parameters
        ----------
        mask : ndarray of bool, shape (n_samples,), default=None
            Issues found by another rule; None means those of this one.

        Returns
        -------
        precision : float
            In [0, 1].
        """
        flagged = self.error_probability[self.mask if mask is None else mask]
        return float(flagged.mean()) if len(flagged) else float("nan")

    def errors_interval(self, *, level=0.9, n_bootstrap=20, random_state=0):
        """Bootstrap interval of the number of wrong labels.

        The models that the rule believes are fitted again to at most 1,000 rows
        drawn with replacement from those they were fitted to; the spread of their
        estimates, brought to all of these by the square root of the share of rows
        drawn [1]_, is that of a normal distribution. It is the spread of the estimate
        under the model: it does not tell how far the model is wrong.

        Parameters
        ----------
        level : float
            Of the interval, in (0, 1).
        n_bootstrap : int
            Fits.
        random_state : int
            Seed of the draws.

        Returns
        -------
        low, high : float
            Between 0 and n_samples.

        References
        ----------
        .. [1] Politis, Romano, Wolf, "Subsampling", Springer 1999, chapter 2.
        """
        labels, pred_probs = self.fitted_to
        rng = np.random.default_rng(random_state)
        size = min(len(labels), _BOOTSTRAP_ROWS)
        shares = []
        for _ in range(n_bootstrap):
            rows = rng.integers(len(labels), size=size)
            drawn, probs = labels[rows], pred_probs[rows]
            models = [
                fit_noise_model(drawn, probs, model.kind)
                for model in self.error_model.models
            ]
            again = ErrorModel(tuple(models), self.error_model.weights)
            shares.append(again.error_probability(drawn, probs).mean())
        n_rows = len(self.mask)
        spread = n_rows * np.std(shares, ddof=1) * np.sqrt(size / len(labels))
        half = norm.ppf((1 + level) / 2) * spread
        low, high = self.estimated_errors - half, self.estimated_errors + half
        return max(0.0, float(low)), min(float(n_rows), float(high))


def learn_auto_rule(labels, pred_probs):
    """Choose the issues so that the expected F1 score is the largest.

    A model of true classes and wrong labels gives the probability that each label
    is wrong; see `fit_error_model`. For a cut, the expected number of wrong labels
    among the issues is the sum of their probabilities, and the expected number of all
    the sum over all rows; the cut is the one with the best F1 score of these
    expectations [1]_.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities; rows sum to 1.

    Returns
    -------
    rule : AutoRule
        Mask, probabilities and cut.

    References
    ----------
    .. [1] Lipton, Elkan, Naryanaswamy, "Optimal thresholding of classifiers to
       maximize F1 measure", ECML PKDD 2014, section 4.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> first = np.r_[rng.uniform(0.8, 1, 100), rng.uniform(0, 0.2, 100)]
    >>> labels = np.repeat([0, 1], 100)
    >>> labels[[50, 120]] = [1, 0]
    >>> rule = learn_auto_rule(labels, np.column_stack([first, 1 - first]))
    >>> np.flatnonzero(rule.mask).tolist()
    [50, 120]
    """
    labels = np.asarray(labels)
    fitted_to = _sample(labels, pred_probs)
    error_model = fit_error_model(*fitted_to)
    errors = error_model.error_probability(labels, pred_probs)
    # No best cut is above 1/2 (half the best F1 score); where no label is wrong, new
    # rows are judged by that.
    cut = min(best_expected_f1_cut(errors), 0.5)
    return AutoRule(errors >= cut, errors, cut, error_model, fitted_to)


def best_expected_f1_cut(error_probability):
    """Probability from which on rows are flagged, for the best expected F1 score.

    Parameters
    ----------
    error_probability : ndarray of float, shape (n_samples,)
        In [0, 1].

    Returns
    -------
    cut : float
        One of the probabilities; infinity where no label is expected to be wrong.

    Examples
    --------
    >>> best_expected_f1_cut(np.array([0.9, 0.8, 0.1, 0.0]))
    0.8
    """
    ordered = np.sort(error_probability)[::-1]
    found = np.cumsum(ordered)
    # Not one wrong label to be expected among all rows: nothing to flag.
    if not len(ordered) or found[-1] < 0.5:
        return float("inf")
    f1 = 2 * found / (np.arange(1, len(ordered) + 1) + found[-1])
    return float(ordered[np.argmax(f1)])


def fit_error_model(labels, pred_probs):
    """Fit noise models of three kinds, and weigh them by what they explain.

    The kinds are those of `fit_noise_model`. Wrong labels spread evenly need no
    reason; a rate for each pair of classes must gain a nat for each rate, and wrong
    labels that follow resemblance, which are easily the model's own errors, a part
    of a nat for each row they explain.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities.

    Returns
    -------
    error_model : ErrorModel
        The weighted models, fitted to at most 5,000 rows drawn with a fixed seed.
    """
    labels, pred_probs = _sample(labels, pred_probs)
    models = [fit_noise_model(labels, pred_probs, "uniform")]
    n_classes = pred_probs.shape[1]
    if n_classes > 2:
        models.append(fit_noise_model(labels, pred_probs, "runner_up"))
    if n_classes <= _MOST_PAIRED_CLASSES:
        models.append(fit_noise_model(labels, pred_probs, "pairs"))
    weights = _weigh({model.kind: model for model in models}, labels, pred_probs)
    believed = [model for model in models if weights[model.kind] > 0.01]
    shares = np.array([weights[model.kind] for model in believed])
    return ErrorModel(tuple(believed), shares / shares.sum())


def _sample(labels, pred_probs):
    """Rows to fit to, the same ones for the same input."""
    labels = np.asarray(labels)
    size = _FIT_NUMBERS // pred_probs.shape[1]
    size = min(max(size, _FEWEST_FIT_ROWS), _FIT_ROWS)
    if len(labels) <= size:
        return labels, np.asarray(pred_probs)
    rows = np.random.default_rng(_SAMPLE_SEED).choice(len(labels), size, replace=False)
    rows.sort()  # a memory map is read forwards
    return labels[rows], np.asarray(pred_probs[rows])


def _weigh(models, labels, pred_probs):
    """How much each kind of noise model is believed."""
    uniform, n_rows = models["uniform"], len(labels)
    loss, near = uniform.log_loss, 0.0
    runner_up = models.get("runner_up")
    if runner_up is not None and runner_up.log_loss < uniform.log_loss + _SLACK:
        loss = min(loss, runner_up.log_loss)
        explained = runner_up.error_probability(labels, pred_probs).mean()
        gain = (uniform.objective - runner_up.objective) / max(explained, 1e-9)
        share = runner_up.resemblance[0]
        near = expit((gain - _NEAR_NATS) / _NEAR_WIDTH)
        near *= expit((share - _NEAR_SHARE) / _SHARE_WIDTH)
    paired = 0.0
    if "pairs" in models:
        n_pairs = pred_probs.shape[1] * (pred_probs.shape[1] - 1)
        gain = n_rows * (loss - models["pairs"].log_loss) / n_pairs
        paired = expit((gain - _PAIR_NATS) / _PAIR_WIDTH)
    even = (1 - paired) * (1 - near)
    return {"pairs": paired, "runner_up": (1 - paired) * near, "uniform": even}
