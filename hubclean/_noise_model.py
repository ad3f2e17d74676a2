"""How probable is it that a given label is wrong? Arrays in, arrays out.

A model of the true class, the given probabilities sharpened or softened, times a model
of how labels go wrong, fitted to the given labels together. It imports only
`hubclean._issue_engine`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit, softmax

from hubclean._issue_engine import in_threads

#: Weight of the entropy of the true class; see `fit_noise_model`.
SHARPNESS = 0.07
#: Pseudo-rows with which the rate of a pair of classes is held to the common rate.
PAIR_PRIOR = 2.0
# Held to no bias: by so much for each row, and by more where classes are two and rates
# alike, as a bias then means that the rates are not.
_BIAS_PRIOR, _BIAS_PRIOR_OF_TWO = 3e-3, 0.3
# Nats by which few rows hold the slope to 1, and one wrong label that may always be.
_SLOPE_PRIOR = 2.0
_WRONG_PRIOR = 1.0
#: How fast wrong labels by resemblance grow rare with the margin of the true class.
TEMPERATURE = 0.7
#: Probabilities up to here are taken for zeros.
LEAST_PROBABILITY = 1e-12
_LEAST_SHARE = 1e-300
#: Of any class, below the largest of its row.
LOWEST_LOGIT = -60.0
_LOG_SLOPE = (-6.0, np.log(8.0))
# Wide: a first step may be long, and its exponential must be finite.
_LOG_NEAR_SLOPE = (-20.0, 20.0)
# Probabilities at a time: what is made of them is not fetched from memory again.
_BLOCK = 1 << 18
# Of more classes the counts of all pairs are dear, and the rates alike need their sum.
_MOST_COUNTED = 50


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """A fitted model of true classes and wrong labels.

    Attributes
    ----------
    kind : str
        How labels go wrong: ``"uniform"`` to any other class alike, ``"pairs"`` each
        pair of classes with its own rate, ``"runner_up"`` to classes that the row
        resembles.
    slope : float
        The log of the probabilities is multiplied by it.
    bias : ndarray of float, shape (n_classes,)
        Added to it for each class.
    rates : ndarray of float, shape (n_classes, n_classes)
        P(given | true): rows given, columns true; columns sum to 1. For
        ``"runner_up"`` that of a row whose true class is not in doubt.
    resemblance : tuple of float
        Share of the wrong labels that follow the resemblance, and its slope.
    objective, log_loss : float
        What was minimised, and the mean log loss of the given labels, per row.
    """

    kind: str
    slope: float
    bias: np.ndarray
    rates: np.ndarray
    resemblance: tuple
    objective: float
    log_loss: float

    def judge(self, labels, logits, classes=None):
        """Probability that labels are wrong, and that other classes are the true ones.

        Parameters
        ----------
        labels : ndarray of int, shape (n_samples,)
            Given labels, coded 0 to n_classes - 1.
        logits : ndarray of float, shape (n_samples, n_classes)
            Log probabilities of the classes, but for a constant of each row.
        classes : ndarray of int, shape (n_samples,), default=None
            A class for each row.

        Returns
        -------
        error_probability : ndarray of float, shape (n_samples,)
            In [0, 1].
        class_probability : ndarray of float, shape (n_samples,), or None
            Probability that the true class is the one of `classes`, where it is not
            the given one; else 0.
        """
        true = np.exp(self.slope * logits + (self.bias - self.bias.max()))
        if self.kind == "runner_up":
            return self._judge_by_resemblance(labels, logits, classes, true)
        rows, stay = np.arange(len(labels)), self.rates.diagonal()
        given = true[rows, labels]
        asked = None if classes is None else true[rows, classes]
        kept = given * stay[labels]
        if self.kind == "pairs":
            flow = self.rates[labels]
            moved = np.einsum("ij,ij->i", true, flow) - kept
        else:  # all other classes alike
            flow = self.rates[1, 0] if len(self.rates) > 1 else 0.0
            moved = flow * (true.sum(axis=1) - given)
        if asked is not None:
            asked *= flow[rows, classes] if self.kind == "pairs" else flow
        return _shares(kept, moved, asked, classes, labels)

    def _judge_by_resemblance(self, labels, logits, classes, true):
        """As `judge`, from the true classes times a constant of each row."""
        rows, (share, slope) = np.arange(len(labels)), self.resemblance
        total = true.sum(axis=1)
        wrong = _wrong_rate(1 - self.rates[0, 0], _margins(true)[0] / total)
        given = true[rows, labels]
        near = np.exp(slope * logits)
        whole, nearest = near.sum(axis=1), near[rows, labels]
        # P(given | row, true class, wrong): the given class among all but the true
        # one.
        near = np.maximum(whole[:, None] - near, 1e-9 * whole[:, None])
        np.divide(nearest[:, None], near, out=near)
        np.minimum(near, 1.0, out=near)
        follow = np.einsum("ij,ij->i", true, near) - given * near[rows, labels]
        alike = (1 - share) / (len(self.rates) - 1)
        moved = wrong * (alike * (total - given) + share * follow)
        asked = None
        if classes is not None:
            asked = wrong * (alike + share * near[rows, classes]) * true[rows, classes]
        return _shares((1 - wrong) * given, moved, asked, classes, labels)


def _shares(kept, moved, asked, classes, labels):
    """Shares of wrong labels and of other classes in all that could be."""
    everything = np.maximum(kept + moved, 1e-300)
    errors = np.clip(moved / everything, 0.0, 1.0)
    if asked is None:
        return errors, None
    return errors, np.where(classes == labels, 0.0, asked / everything)


def _margins(true, spare=None):
    """Largest less second largest of each row, and where the two are."""
    rows = np.arange(len(true))
    first = true.argmax(axis=1)
    largest = true[rows, first]
    rest = np.empty_like(true) if spare is None else spare
    rest[:] = true
    rest[rows, first] = -1.0
    second = rest.argmax(axis=1)
    return largest - rest[rows, second], first, second


def _wrong_rate(clear, margin):
    """P(wrong) of rows by margin of the true class; `clear` is that of margin 1.

    Proportional to ``exp(-margin / TEMPERATURE)`` where it is small; never above a
    half, so that the true class stays the likeliest label.
    """
    decay = np.log1p(-2 * np.minimum(clear, 0.5 - 1e-12))
    return -0.5 * np.expm1(decay * np.exp((1 - margin) / TEMPERATURE))


def fit_noise_model(labels, logits, kind, *, sharpness=SHARPNESS):
    """Fit true classes and wrong labels to the given labels together.

    The given label of a row is drawn from sum_k P(given | k) P(k | x), where P(k | x)
    is the softmax of the log probabilities times a slope plus a bias per class: a
    noise adaptation layer [1]_ on calibrated probabilities. The likelihood alone
    does not tell a doubtful row from a wrong label; the entropy of P(k | x), times
    `sharpness`, is added to the log loss [2]_, as the true class of most rows is not
    in doubt.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    logits : ndarray of float, shape (n_samples, n_classes)
        Log of out-of-sample probabilities, 0 for the largest of a row, as `logits_of`
        and `ClassProfiles` give them.
    kind : str
        ``"uniform"``, ``"pairs"`` or ``"runner_up"``; see `NoiseModel`.
    sharpness : float
        Weight of the entropy, 0 for the likelihood alone.

    Returns
    -------
    model : NoiseModel
        The fitted model.

    References
    ----------
    .. [1] Goldberger, Ben-Reuven, "Training deep neural-networks using a noise
       adaptation layer", ICLR 2017, section 3.
    .. [2] Grandvalet, Bengio, "Semi-supervised learning by entropy minimization",
       NeurIPS 2004, eq. 5.
    """
    return fit_noise_models(labels, logits, [kind], sharpness=sharpness)[kind]


def fit_noise_models(labels, logits, kinds, *, sharpness=SHARPNESS, n_jobs=1):
    """Fit noise models of several kinds, from every start, side by side.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    logits : ndarray of float, shape (n_samples, n_classes)
        As in `fit_noise_model`.
    kinds : list of str
        Of `NoiseModel`.
    sharpness : float
        As in `fit_noise_model`.
    n_jobs : int
        Threads; the models do not depend on it.

    Returns
    -------
    models : dict of str to NoiseModel
        In the order of `kinds`.
    """
    fits = [_Fit(labels, logits, kind, sharpness) for kind in kinds]
    descents = [(fit, start) for fit in fits for start in fit.starts()]
    # Those with the most parameters first, so that no thread is left with them.
    descents.sort(key=lambda descent: -len(descent[1]))
    ends = in_threads(lambda descent: descent[0].descend(descent[1]), descents, n_jobs)
    models = {}
    for fit in fits:
        of_fit = [end for (of, _), end in zip(descents, ends, strict=True) if of is fit]
        best = min(of_fit, key=lambda end: end.fun)
        models[fit.kind] = fit.model(best.x, best.fun)
    return models


def logits_of(pred_probs, floor=LEAST_PROBABILITY):
    """Log of the probabilities, 0 for the largest of a row, of none below the floor."""
    logits = np.log(np.maximum(np.asarray(pred_probs, dtype=np.float64), floor))
    logits -= logits.max(axis=1, keepdims=True)
    return np.maximum(logits, LOWEST_LOGIT)


class _Arrays:
    """Arrays of one shape that every evaluation of a loss fills again.

    Fresh ones would be fetched from the operating system each time, page by page,
    which takes longer than the arithmetic.

    Parameters
    ----------
    n_rows, n_classes : int
        Shape of the largest.
    """

    def __init__(self, n_rows, n_classes):
        self._shape = n_rows, n_classes
        self._arrays = []
        self._n_given = 0

    def start(self, n_rows):
        """Give all of them out again, as arrays of so many rows."""
        self._n_given, self._n_rows = 0, n_rows

    def __call__(self):
        """One that holds anything."""
        if self._n_given == len(self._arrays):
            self._arrays.append(np.empty(self._shape))
        self._n_given += 1
        return self._arrays[self._n_given - 1][: self._n_rows]


def _log_softmax(scores, spare):
    """Logarithm of the softmax of rows, in place."""
    scores -= scores.max(axis=1, keepdims=True)
    scores -= np.log(np.exp(scores, out=spare).sum(axis=1, keepdims=True))
    return scores


def _resemblance(logits, labels, slope, new):
    """P(given | row, true class, wrong) by resemblance, and its slope's derivative."""
    rows = np.arange(len(labels))
    near = np.multiply(logits, slope, out=new())
    near -= near.max(axis=1, keepdims=True)
    np.exp(near, out=near)
    near /= near.sum(axis=1, keepdims=True)
    change = np.multiply(near, logits, out=new())
    centred = np.subtract(logits, change.sum(axis=1, keepdims=True), out=new())
    rest = np.subtract(1, near, out=new())
    np.maximum(rest, 1e-9, out=rest)
    given = np.divide(near[rows, labels][:, None], rest, out=new())
    np.minimum(given, 1.0, out=given)
    given[rows, labels] = 0.0
    np.multiply(near, centred, out=change)
    change /= rest
    change += centred[rows, labels][:, None]
    change *= given
    return given, change


class _Fit:
    """The loss of one kind of noise model, its gradient, and its parameters."""

    def __init__(self, labels, logits, kind, sharpness):
        self.kind, self.sharpness = kind, sharpness
        self.logits = logits
        self.n_rows, self.n_classes = self.logits.shape
        self.labels = np.asarray(labels)
        self.given = np.eye(self.n_classes)[self.labels]
        self.off = ~np.eye(self.n_classes, dtype=bool)
        size = max(_BLOCK // self.n_classes, 1)
        starts = range(0, self.n_rows, size)
        self.blocks = [slice(start, start + size) for start in starts]
        alike = kind == "uniform" and self.n_classes == 2
        self.bias_prior = _BIAS_PRIOR_OF_TWO if alike else _BIAS_PRIOR
        n_noise = {"uniform": 1, "pairs": 1 + self.n_classes**2, "runner_up": 3}[kind]
        self.start = np.zeros(1 + self.n_classes + n_noise)
        self.start[0] = np.log(2.0)
        self.noise = slice(1 + self.n_classes, None)
        self.start[self.noise.start] = np.log(0.05 / max(self.n_classes - 1, 1))
        if kind == "pairs":
            self._start_pairs()
        elif kind == "runner_up":
            self.alike = np.where(self.given == 0, 1 / (self.n_classes - 1), 0.0)
            self.start[self.noise] = logit(2 * 0.02), 2.0, 0.3

    def starts(self):
        """Where the fit starts from: with few wrong labels, and with many.

        Wrong labels by resemblance and doubt by resemblance explain each other away,
        and from few of the former the fit may never find that there are many.
        """
        if self.kind != "runner_up":
            return [self.start]
        many = self.start.copy()
        many[0], many[self.noise.start] = np.log(5.0), logit(2 * 0.1)
        return [self.start, many]

    def descend(self, start):
        """Minimise the loss from a start: SciPy's result."""
        bounds = [_LOG_SLOPE] + [(None, None)] * (len(start) - 1)
        if self.kind == "runner_up":
            bounds[-1] = _LOG_NEAR_SLOPE
        return minimize(
            self.loss,
            start,
            args=(self.arrays(),),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 200},
        )

    def _start_pairs(self):
        """Start from how the given labels differ from the likeliest ones.

        From equal rates the fit may end where confused classes hide a flip.
        """
        likeliest = np.eye(self.n_classes)[self.logits.argmax(axis=1)]
        counts = self.given.T @ likeliest + 0.05
        log_odds = np.log(counts / counts.diagonal())
        self.start[0] = np.log(5.0)
        common = log_odds[self.off].mean()
        self.start[self.noise.start] = common
        self.start[self.noise.start + 1 :] = (log_odds - common).ravel()

    def rates(self, noise):
        """P(given | true) of the noise parameters."""
        if self.kind == "runner_up":
            wrong = 0.5 * expit(noise[0])
            return np.where(self.off, wrong / max(self.n_classes - 1, 1), 1 - wrong)
        log_odds = np.where(self.off, noise[0], 0.0)
        if self.kind == "pairs":
            log_odds = log_odds + self._pairs(noise)
        return softmax(log_odds, axis=0)

    def _pairs(self, noise):
        pairs = noise[1:].reshape(self.n_classes, self.n_classes)
        return np.where(self.off, pairs, 0.0)

    def loss(self, parameters, new=None):
        """Objective per row and its gradient."""
        new = self.arrays() if new is None else new
        slope, bias = np.exp(parameters[0]), parameters[1 : self.noise.start]
        noise = parameters[self.noise]
        rates = self.rates(noise)
        parts = [
            self._unlikelihood(block, slope, bias, noise, rates, new)
            for block in self.blocks
        ]
        value, by_slope, by_bias, by_noise = (
            sum(of) for of in zip(*parts, strict=True)
        )
        prior, prior_by_noise = self._prior(noise)
        value += prior + 0.5 * self.bias_prior * self.n_rows * (bias**2).sum()
        by_noise += prior_by_noise
        by_bias += self.bias_prior * self.n_rows * bias
        value += _SLOPE_PRIOR * parameters[0] ** 2
        by_slope = slope * by_slope + 2 * _SLOPE_PRIOR * parameters[0]
        gradient = np.r_[by_slope, by_bias, by_noise]
        return value / self.n_rows, gradient / self.n_rows

    def arrays(self):
        """Arrays of a block, for one evaluation after another."""
        return _Arrays(min(self.blocks[0].stop, self.n_rows), self.n_classes)

    def _unlikelihood(self, block, slope, bias, noise, rates, new):
        """Log loss and entropy of some rows, and their gradient."""
        logits = self.logits[block]
        new.start(len(logits))
        spare = new()
        log_true = np.multiply(logits, slope, out=new())
        log_true += bias
        _log_softmax(log_true, spare)
        true = np.exp(log_true, out=new())
        flow, finish = self._flow(block, noise, rates, true, new)
        posterior = np.multiply(true, flow, out=new())
        given = np.maximum(posterior.sum(axis=1), 1e-300)
        posterior /= given[:, None]
        entropy = -np.multiply(true, log_true, out=spare).sum(axis=1)
        value = -np.log(given).sum() + self.sharpness * entropy.sum()
        by_score = np.subtract(true, posterior, out=new())
        log_true += entropy[:, None]
        np.multiply(true, self.sharpness, out=spare)
        spare *= log_true
        by_score -= spare
        by_noise, by_true = finish(posterior, given)
        if by_true is not None:
            by_true -= np.multiply(true, by_true, out=spare).sum(axis=1, keepdims=True)
            by_true *= true
            by_score += by_true
        by_slope = np.multiply(by_score, logits, out=spare).sum()
        return value, by_slope, by_score.sum(axis=0), by_noise

    def _prior(self, noise):
        """Of the parameters of the noise, and its gradient."""
        if self.kind == "runner_up":
            # Beta(2, 2) on the share, a log-normal around 1 on the slope.
            clear, share = 0.5 * expit(noise[0]), expit(noise[1])
            value = np.logaddexp(0, noise[1]) + np.logaddexp(0, -noise[1])
            value += 2 * noise[2] ** 2
            value -= _WRONG_PRIOR * np.log(max(clear, _LEAST_SHARE))
            by_noise = -_WRONG_PRIOR * expit(-noise[0]), 2 * share - 1, 4 * noise[2]
            return value, np.array(by_noise)
        if self.kind == "uniform":
            kept = self.rates(noise)[0, 0]
            value = -_WRONG_PRIOR * np.log(max(1 - kept, _LEAST_SHARE))
            return value, np.array([-_WRONG_PRIOR * kept])
        # A gamma prior of mean 1 on the factor of every pair.
        pairs = self._pairs(noise)
        value = -PAIR_PRIOR * (pairs - np.exp(pairs))[self.off].sum()
        by_pair = -PAIR_PRIOR * np.where(self.off, 1 - np.exp(pairs), 0.0)
        return value, np.r_[0.0, by_pair.ravel()]

    def _flow(self, block, noise, rates, true, new):
        """P(given label of the row | true class), and its part of the gradient."""
        if self.kind == "runner_up":
            return self._flow_by_resemblance(block, noise, true, new)
        labels = self.labels[block]
        flow = np.take(rates, labels, axis=0, out=new(), mode="clip")

        def finish(posterior, _):
            if self.n_classes > _MOST_COUNTED and self.kind == "uniform":
                stayed = posterior[np.arange(len(labels)), labels].sum()
                return np.array([stayed - len(labels) * rates[0, 0]]), None
            counts = self.given[block].T @ posterior
            by_odds = np.where(self.off, rates * counts.sum(axis=0) - counts, 0.0)
            every = [by_odds.sum()]
            return np.r_[every, by_odds.ravel() if self.kind == "pairs" else []], None

        return flow, finish

    def _flow_by_resemblance(self, block, noise, true, new):
        """As `_flow`; part of the wrong labels go to classes the row resembles."""
        share, slope = expit(noise[1]), np.exp(noise[2])
        stay, alike = self.given[block], self.alike[block]
        near, by_slope = _resemblance(
            self.logits[block], self.labels[block], slope, new
        )
        spare, flow = new(), new()
        margin, first, second = _margins(true, spare)
        clear = 0.5 * expit(noise[0])
        wrong = _wrong_rate(clear, margin)[:, None]
        mixed = np.multiply(alike, 1 - share, out=new())
        mixed += np.multiply(near, share, out=spare)
        np.multiply(mixed, wrong, out=flow)
        flow += np.multiply(stay, 1 - wrong, out=spare)

        def finish(_, given):
            weight = np.divide(true, given[:, None], out=flow)
            mixed_less = np.subtract(mixed, stay, out=mixed)
            mixed_less *= weight
            by_wrong = -mixed_less.sum(axis=1)
            weight *= wrong
            np.subtract(near, alike, out=spare)
            by_share = -np.multiply(weight, spare, out=spare).sum()
            weight *= share
            by_near = -np.multiply(weight, by_slope, out=spare).sum()
            # What the rate of a row gains with the common rate, and with its margin.
            growth = np.exp((1 - margin) / TEMPERATURE)
            left = 0.5 * np.exp(-np.logaddexp(0, noise[0]) * growth) * growth
            by_clear = (by_wrong * left).sum() * expit(noise[0])
            by_margin = -by_wrong * left * np.logaddexp(0, noise[0]) / TEMPERATURE
            by_true = spare
            by_true.fill(0.0)
            rows = np.arange(len(true))
            by_true[rows, first], by_true[rows, second] = by_margin, -by_margin
            by_noise = by_clear, by_share * share * (1 - share), by_near * slope
            return np.array(by_noise), by_true

        return flow, finish

    def model(self, parameters, objective):
        """Name the fitted parameters."""
        noise = parameters[self.noise]
        slope, bias = np.exp(parameters[0]), parameters[1 : self.noise.start]
        resemblance = (0.0, 1.0)
        if self.kind == "runner_up":
            resemblance = (float(expit(noise[1])), float(np.exp(noise[2])))
        rates, given, new = self.rates(noise), [], self.arrays()
        for block in self.blocks:
            true = softmax(slope * self.logits[block] + bias, axis=1)
            new.start(len(true))
            flow, _ = self._flow(block, noise, rates, true, new)
            given.append((true * flow).sum(axis=1))
        log_loss = -np.log(np.concatenate(given) + 1e-300).mean()
        return NoiseModel(
            kind=self.kind,
            slope=float(slope),
            bias=bias.copy(),
            rates=rates,
            resemblance=resemblance,
            objective=float(objective),
            log_loss=float(log_loss),
        )
