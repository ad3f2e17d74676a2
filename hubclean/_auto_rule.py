"""Choose from the data which labels are issues. Arrays in, arrays out.

It imports only `hubclean._noise_model`, `hubclean._class_profiles`,
`hubclean._issue_engine` and `hubclean._threads`.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from hubclean._class_profiles import (
    MOST_CLASSES,
    ClassProfiles,
    fit_class_profiles,
    regroup_class_profiles,
)
from hubclean._issue_engine import in_threads, n_threads, row_blocks
from hubclean._noise_model import (
    PAIR_PRIOR,
    NoiseModel,
    fit_noise_model,
    fit_noise_models,
)
from hubclean._threads import single_threaded_blas

# Rows that models are fitted to; fewer where many classes make a row dear.
_FIT_ROWS, _FEWEST_FIT_ROWS, _FIT_NUMBERS = 5000, 2000, 200_000
_BOOTSTRAP_ROWS = 1000
# A fit reads its rows about so often.
_FIT_READS = 100
# For each class, of those that its profile is fitted to.
_PROFILE_ROWS = 100
# Nobody's seed: one that also chose which labels are wrong would choose those rows.
_SAMPLE_SEED = 0x68756263_6C65616E
# Of probabilities in a block: what is made of them stays in a core's cache.
_BLOCK_BYTES = 1 << 18
# Above so many classes every pair has too few rows for a rate of its own.
_MOST_PAIRED_CLASSES = 50
# A rate for each pair must gain a nat each (Akaike's criterion), give or take.
_PAIR_NATS, _PAIR_WIDTH = 0.95, 0.1
# Share of the rows that must resemble another class than their likeliest one for
# profiles that are regrouped, and nats a row that rates of pairs may lose with them.
_FEWEST_MOVED, _PAIR_SLACK = 0.02, 0.005
# Nats by which wrong labels by resemblance must explain more than rates of pairs do.
_NEAR_WIDTH = 4.0
# Rates of pairs may explain so many times as much, and gain those nats, where they find
# as many wrong labels, so many times fewer at most, give or take.
_MOST_TIMES, _TIMES_WIDTH = 1.25, 0.02
# Nats a row of likelihood that they may lose for a true class in less doubt; labels
# drawn from what a model rightly doubts lose more.
_SLACK, _SLACK_WIDTH = 0.004, 0.001
# They must also be most of the wrong labels: so many of them, give or take.
_NEAR_MOST, _MOST_WIDTH = 0.75, 0.02
# As a smaller share of the labels that differ from the likeliest class they cannot be
# told from the model's own errors, give or take.
_NEAR_SHARE, _SHARE_WIDTH = 0.24, 0.015
# How surely the models know wrong labels: where the truth was known, their odds were
# best multiplied by so much; those of resemblance by twice that share, within limits,
# those of pairs by so much of the odds of that share.
_UNIFORM_ODDS = 0.65
_NEAR_ODDS, _LEAST_NEAR_ODDS, _MOST_NEAR_ODDS = 2.0, 0.8, 1.0
_PAIR_ODDS, _LEAST_PAIR_ODDS, _MOST_PAIR_ODDS, _PAIR_ODDS_OF_TWO = 0.15, 0.35, 1.25, 0.5
# Where most labels are wrong some classes go by the name of another, whose wrong labels
# then look right: above a half, the odds of pairs grow by e to the so manyfold of the
# excess, up to so many times.
_NAMELESS, _MOST_NAMELESS = 10.0, 4.0


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """A few noise models, and how much each is believed.

    Attributes
    ----------
    profiles : ClassProfiles
        Make logits of the probabilities.
    models : tuple of NoiseModel
        Those with a weight above 0.01.
    weights : ndarray of float, shape (n_models,)
        They sum to 1.
    odds : ndarray of float, shape (n_models,)
        The odds of wrong labels that each model gives are multiplied by it.
    """

    profiles: ClassProfiles
    models: tuple[NoiseModel, ...]
    weights: np.ndarray
    odds: np.ndarray

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

    def likeliest_other(self, labels, pred_probs):
        """Likeliest class but for the given one, by the class profiles.

        Parameters
        ----------
        labels : ndarray of int, shape (n_samples,)
            Given labels, coded 0 to n_classes - 1.
        pred_probs : ndarray of float, shape (n_samples, n_classes)
            Out-of-sample probabilities.

        Returns
        -------
        classes : ndarray of int, shape (n_samples,)
            None of them the given one.
        """
        logits = self.profiles.logits(pred_probs)
        logits[np.arange(len(labels)), labels] = -np.inf
        return logits.argmax(axis=1)

    def _judge(self, labels, pred_probs, classes, n_jobs):
        """Weighted mean of what the models say of every row, block by block."""
        labels = np.asarray(labels)
        errors = np.zeros(len(labels))
        others = None if classes is None else np.zeros(len(labels))

        def judge(block):
            logits = self.profiles.logits(pred_probs[block])
            asked = None if classes is None else classes[block]
            believed = zip(self.models, self.weights, self.odds, strict=True)
            for model, weight, odds in believed:
                wrong, other = model.judge(labels[block], logits, asked)
                sober = _soberly(wrong, odds)
                errors[block] += weight * sober
                if others is not None:
                    other = other * sober / np.maximum(wrong, 1e-300)
                    others[block] += weight * other

        blocks = row_blocks(pred_probs, _BLOCK_BYTES)
        with single_threaded_blas():
            in_threads(judge, blocks, n_threads(n_jobs, pred_probs.size))
        return errors, others


def _soberly(errors, odds):
    """Probabilities whose odds are `odds` times as high."""
    return np.clip(odds * errors / (1 - (1 - odds) * errors), 0.0, 1.0)


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
        Rows from this probability on are issues; at most 1/2, unless too many rows
        would be flagged.
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

    def errors_interval(
        self, *, level=0.9, n_bootstrap=20, random_state=0, n_jobs=None
    ):
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
        n_jobs : int, default=None
            Threads; None means all cores where that pays.

        Returns
        -------
        low, high : float
            Between 0 and n_samples.

        References
        ----------
        .. [1] Politis, Romano, Wolf, "Subsampling", Springer 1999, chapter 2.
        """
        labels, pred_probs = self.fitted_to
        profiles = self.error_model.profiles
        logits = profiles.logits(pred_probs)
        rng = np.random.default_rng(random_state)
        size = min(len(labels), _BOOTSTRAP_ROWS)
        drawn = [rng.integers(len(labels), size=size) for _ in range(n_bootstrap)]

        def share(rows):
            models = [
                fit_noise_model(labels[rows], logits[rows], model.kind)
                for model in self.error_model.models
            ]
            again = replace(self.error_model, models=tuple(models))
            return again.error_probability(labels[rows], pred_probs[rows]).mean()

        threads = n_threads(n_jobs, _FIT_READS * size * logits.shape[1])
        with single_threaded_blas():
            shares = in_threads(share, drawn, threads)
        n_rows = len(self.mask)
        spread = n_rows * np.std(shares, ddof=1) * np.sqrt(size / len(labels))
        half = norm.ppf((1 + level) / 2) * spread
        low, high = self.estimated_errors - half, self.estimated_errors + half
        return max(0.0, float(low)), min(float(n_rows), float(high))


def learn_auto_rule(labels, pred_probs, *, n_jobs=None):
    """Choose the issues so that the expected F1 score is the largest.

    A model of true classes and wrong labels gives the probability that each label
    is wrong; see `fit_error_model`. For a cut, the expected number of wrong labels
    among the issues is the sum of their probabilities, and the expected number of all
    the sum over all rows; the cut is the one with the best F1 score of these
    expectations [1]_. Of two classes at most half of the rows are flagged, of K
    classes all but one in K: where a model can tell little, flagging nearly all has the
    best F1 score, and helps nobody.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities; rows sum to 1.
    n_jobs : int, default=None
        Threads; None means all cores where that pays. The rule does not depend on it.

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
    fitted_to, profiled = _samples(labels, pred_probs)
    error_model = _fitted(fitted_to, profiled, n_jobs)
    errors = error_model.error_probability(labels, pred_probs, n_jobs=n_jobs)
    # No best cut is above 1/2 (half the best F1 score); where no label is wrong, new
    # rows are judged by that.
    cut = min(best_expected_f1_cut(errors), 0.5)
    most = 1 - 1 / pred_probs.shape[1]
    if np.mean(errors >= cut) > most:
        cut = least_cut_of_share(errors, most)
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


def least_cut_of_share(error_probability, share):
    """Lowest probability from which on at most so many rows are flagged.

    Parameters
    ----------
    error_probability : ndarray of float, shape (n_samples,)
        In [0, 1].
    share : float
        Of the rows, in [0, 1].

    Returns
    -------
    cut : float
        One of the probabilities; infinity where one more row is already too many.

    Examples
    --------
    >>> least_cut_of_share(np.array([0.9, 0.4, 0.4, 0.1]), 0.5)
    0.9
    """
    values, counts = np.unique(error_probability, return_counts=True)
    flagged = np.cumsum(counts[::-1])[::-1]
    allowed = values[flagged <= share * len(error_probability)]
    return float(allowed[0]) if len(allowed) else float("inf")


def fit_error_model(labels, pred_probs, *, n_jobs=None):
    """Fit noise models of three kinds, and weigh them by what they explain.

    The kinds are those of `fit_noise_model`, to the logits of `fit_class_profiles`.
    Wrong labels that follow resemblance are believed where they explain the given
    labels better than rates of their own for all pairs of classes, and are many; rates
    for pairs where each gains a nat; else wrong labels spread evenly, which need no
    reason. Where rates for pairs explain the labels as well with the profiles of
    `regroup_class_profiles`, and are believed then, these are taken.

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
    error_model : ErrorModel
        The weighted models, fitted to at most 5,000 rows drawn with a fixed seed, and
        profiles, fitted to at most 100 rows for each class where that is more.
    """
    return _fitted(*_samples(labels, pred_probs), n_jobs)


def _fitted(fitted_to, profiled, n_jobs):
    """The error model of rows for the noise models, and rows for the profiles."""
    n_classes = fitted_to[1].shape[1]
    n_jobs = n_threads(n_jobs, _FIT_READS * fitted_to[1].size)
    kinds = ["uniform"]
    if n_classes > 2:
        kinds.append("runner_up")
    if n_classes <= _MOST_PAIRED_CLASSES:
        kinds.append("pairs")
    with single_threaded_blas():
        profiles = fit_class_profiles(*profiled)
        judged = fitted_to[0], profiles.logits(fitted_to[1])
        models = fit_noise_models(*judged, kinds, n_jobs=n_jobs)
        beliefs = _beliefs(models, *judged)
        # With two classes a row that is neither has no third one to be told by.
        if 2 < n_classes <= _MOST_PAIRED_CLASSES and profiles.directions is not None:
            again = _fitted_again(fitted_to, profiled, profiles, models, n_jobs)
            if again is not None:
                profiles, models, beliefs = again
    believed = [model for model in models.values() if beliefs[model.kind][0] > 0.01]
    weights, odds = np.array([beliefs[model.kind] for model in believed]).T
    return ErrorModel(profiles, tuple(believed), weights / weights.sum(), odds)


def _fitted_again(fitted_to, profiled, profiles, models, n_jobs):
    """Regrouped profiles, their models and beliefs, where flips between pairs ask it.

    Rates for pairs must be what is then believed, and explain the labels about as well;
    not better, as profiles that tell two classes by how often the model took them for
    each other explain its labels from memory. None otherwise.
    """
    labels, pred_probs = fitted_to
    best, objective, groups = None, models["pairs"].objective + _PAIR_SLACK, None
    for start in ("likeliest", "labels"):
        regrouped, moved = regroup_class_profiles(profiles, *profiled, start=start)
        logits = regrouped.logits(pred_probs)
        before, groups = groups, logits.argmax(axis=1)
        same = before is not None and np.mean(groups != before) < _FEWEST_MOVED / 2
        if moved <= _FEWEST_MOVED or same:
            continue
        pairs = fit_noise_model(labels, logits, "pairs")
        # Where most labels are wrong they lead away from the classes.
        astray = start == "labels" and pairs.judge(labels, logits)[0].mean() > 0.5
        if pairs.objective < objective and not astray:
            best, objective = (regrouped, logits, pairs), pairs.objective
    if best is None:
        return None
    regrouped, logits, pairs = best
    kinds = ["uniform", "runner_up"]
    again = fit_noise_models(labels, logits, kinds, n_jobs=n_jobs) | {"pairs": pairs}
    beliefs = _beliefs(again, labels, logits, regrouped=True)
    return (regrouped, again, beliefs) if beliefs["pairs"][0] > 0.5 else None


def _samples(labels, pred_probs):
    """Rows to fit noise models to, and rows to fit profiles to."""
    n_classes = pred_probs.shape[1]
    size = min(max(_FIT_NUMBERS // n_classes, _FEWEST_FIT_ROWS), _FIT_ROWS)
    fitted_to = _sample(labels, pred_probs, size)
    enough = _PROFILE_ROWS * n_classes
    if enough <= size or n_classes > MOST_CLASSES:
        return fitted_to, fitted_to
    return fitted_to, _sample(labels, pred_probs, enough)


def _sample(labels, pred_probs, size):
    """So many rows, the same ones for the same input."""
    labels = np.asarray(labels)
    if len(labels) <= size:
        return labels, np.asarray(pred_probs)
    rows = np.random.default_rng(_SAMPLE_SEED).choice(len(labels), size, replace=False)
    rows.sort()  # a memory map is read forwards
    return labels[rows], np.asarray(pred_probs[rows])


def _beliefs(models, labels, logits, *, regrouped=False):
    """How much each kind of noise model is believed, and the factor of its odds.

    Resemblance, which has three numbers, is believed beside many rates of pairs that
    explain a little more but find as many wrong labels; not where rows were regrouped
    for these rates.
    """
    uniform, n_rows = models["uniform"], len(labels)
    n_pairs = logits.shape[1] * (logits.shape[1] - 1)
    differ = np.mean(logits.argmax(axis=1) != labels)
    near, near_odds = 0.0, 1.0
    paired, pair_odds = 0.0, _PAIR_ODDS_OF_TWO

    # Share of wrong labels, of all and of those that differ from the likeliest class.
    asked = [model for kind, model in models.items() if kind != "uniform"]
    wrong = {model.kind: model.judge(labels, logits)[0].mean() for model in asked}
    share = {kind: mean / max(differ, 1e-9) for kind, mean in wrong.items()}

    if "runner_up" in models:
        resembling, rival = models["runner_up"], uniform.objective
        sure = share["runner_up"]
        if "pairs" in models:
            # Without the constant of its prior, which it pays for rates all alike.
            by_pairs = models["pairs"].objective - PAIR_PRIOR * n_pairs / n_rows
            if not regrouped:
                times = sure / max(share["pairs"], 1e-9)
                same = expit((_MOST_TIMES - times) / _TIMES_WIDTH)
                gain = max(uniform.objective - resembling.objective, 0.0)
                many = _PAIR_NATS * n_pairs / n_rows
                by_pairs += same * min((_MOST_TIMES - 1) * gain, many)
            rival = min(rival, by_pairs)
        near = expit(n_rows * (rival - resembling.objective) / _NEAR_WIDTH)
        less_likely = resembling.log_loss - uniform.log_loss
        near *= expit((_SLACK - less_likely) / _SLACK_WIDTH)
        near *= expit((resembling.resemblance[0] - _NEAR_MOST) / _MOST_WIDTH)
        near *= expit((sure - _NEAR_SHARE) / _SHARE_WIDTH)
        near_odds = min(max(_NEAR_ODDS * sure, _LEAST_NEAR_ODDS), _MOST_NEAR_ODDS)
    if "pairs" in models:
        gain = n_rows * (uniform.log_loss - models["pairs"].log_loss) / n_pairs
        paired = expit((gain - _PAIR_NATS) / _PAIR_WIDTH)
        if n_pairs > 2:
            sure = min(share["pairs"], 0.99)
            pair_odds = _PAIR_ODDS * sure / (1 - sure)
            pair_odds = min(max(pair_odds, _LEAST_PAIR_ODDS), _MOST_PAIR_ODDS)
            beyond = max(wrong["pairs"] - 0.5, 0.0)
            pair_odds *= min(np.exp(_NAMELESS * beyond), _MOST_NAMELESS)
    return {
        "runner_up": (near, near_odds),
        "pairs": ((1 - near) * paired, pair_odds),
        "uniform": ((1 - near) * (1 - paired), _UNIFORM_ODDS),
    }
