"""Where the out-of-sample probabilities come from: the kinds of evidence.

`HubLabelCleaner(evidence=...)` takes one of the classes here, its short name, a
classifier, or a list of these, whose probabilities are averaged.

It imports inwards only.
"""

import warnings
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator

from hubclean._adapt import as_classifier
from hubclean._compat import Interval, StrOptions
from hubclean._feature_table import features_of, is_table_of_numbers
from hubclean._folds import averages, count_epochs, draw_seed, seed_estimator
from hubclean._hooks import last_step, offers
from hubclean._leave_one_out import (
    neighbour_pred_probs,
    ridge_pred_probs,
    standardized,
)
from hubclean._margin_rule import profiled_margins
from hubclean._out_of_sample import (
    OutOfSample,
    make_splits,
    out_of_sample_pred_probs,
    warn_unjudged,
)
from hubclean._progress import progress
from hubclean._validation import (
    check_classifier,
    check_groups,
    check_parameters,
)
from hubclean._weights import check_fit_weights
from hubclean.exceptions import (
    EstimatorError,
    LabelQualityWarning,
    ParameterError,
)

__all__ = ["Auto", "Average", "CrossValidation", "LeaveOneOut", "TrainingDynamics"]


@dataclass(frozen=True)
class Given:
    """Checked input of one ``fit``, and how it shall run."""

    X: Any
    classifier: Any
    labels: np.ndarray
    classes: np.ndarray
    codes: np.ndarray
    fit_params: dict
    groups: Any
    cv: Any
    n_jobs: int | None
    verbose: int
    cache: Any
    identity: Any
    by: str


class CrossValidation(BaseEstimator):
    """Every row is judged by a model trained on the other folds [1]_.

    The folds are those of the cleaner's `cv`.

    Parameters
    ----------
    estimator : classifier, default=None
        What is trained; the cleaner's estimator when None.
    n_repeats : int, default=1
        Times that all folds are trained, on other splits; the probabilities are
        averaged. Needs an int `cv`.
    average_epochs : "auto" or float, default="auto"
        Share of the last epochs of each training (stages of a boosting model) whose
        probabilities are averaged, in [0, 1]; 0 is the trained model alone.
        ``"auto"`` leaves it to the adapter of a PyTorch or Keras model, by its
        parameter `average_epochs`, and takes other models as trained. In a Pipeline
        the last step counts.

    References
    ----------
    .. [1] Northcutt, Jiang, Chuang, JAIR 70 (2021), section 3.1.

    Examples
    --------
    >>> from hubclean import HubLabelCleaner
    >>> from hubclean.evidence import CrossValidation
    >>> from sklearn.datasets import load_iris
    >>> cleaner = HubLabelCleaner(
    ...     evidence=CrossValidation(n_repeats=2), cv=3, random_state=0
    ... )
    >>> cleaner.fit(*load_iris(return_X_y=True)).pred_probs_.shape
    (150, 3)
    """

    _parameter_constraints = {
        "estimator": "no_validation",
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "average_epochs": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
    }

    def __init__(self, estimator=None, *, n_repeats=1, average_epochs="auto"):
        self.estimator = estimator
        self.n_repeats = n_repeats
        self.average_epochs = average_epochs

    def check(self, given):
        """Check what can be checked before anything is trained."""
        check_parameters(self)
        classifier, by = _own(self.estimator, given), given.by
        share = self.average_epochs
        if share not in ("auto", 0) and not averages(classifier, share):
            raise ParameterError(
                f"{by}: `average_epochs` must be 'auto' or 0 for a model without "
                f"epochs or stages; got {share!r} and {classifier!r}."
            )
        check_fit_weights(given.fit_params, classifier, len(given.codes), by=by)
        if self.n_repeats > 1 and not isinstance(given.cv, Integral):
            raise ParameterError(
                f"{by}: `n_repeats` must be 1 unless `cv` is an int; got "
                f"{self.n_repeats} and cv={given.cv!r}. Pass a splitter that repeats, "
                "RepeatedStratifiedKFold for example."
            )
        if isinstance(last_step(classifier), FrozenEstimator):
            warnings.warn(
                f"{by}: a frozen estimator is not trained for any fold. Its "
                "probabilities are out of sample only where it learned from other "
                "rows; a model repeats the wrong labels that it has seen.",
                LabelQualityWarning,
                stacklevel=4,
            )

    def collect(self, given, generator):
        """Train the folds, after `check`; returns `OutOfSample`."""
        splits = []
        for _ in range(self.n_repeats):
            splits += make_splits(
                given.cv,
                given.X,
                given.codes,
                given.classes,
                groups=given.groups,
                generator=generator,
                by=given.by,
            )
        return out_of_sample_pred_probs(
            _own(self.estimator, given),
            given.X,
            given.labels,
            given.codes,
            given.classes,
            splits,
            seeds=[draw_seed(generator) for _ in splits],
            average_epochs=self.average_epochs,
            fit_params=given.fit_params,
            n_jobs=given.n_jobs,
            verbose=given.verbose,
            cache=given.cache,
            identity=given.identity,
            by=given.by,
        )


class LeaveOneOut(BaseEstimator):
    """Every row is judged by all the others, from one factorisation.

    For features or embeddings; X is flattened to (n_samples, n_features), so small
    images work as they are. The cleaner's estimator is not trained for it. With
    ``groups`` passed to ``fit``, the other rows of its group are left out with a row.

    Parameters
    ----------
    method : {"ridge", "neighbors"}, default="ridge"
        ``"ridge"``: exact leave-one-out predictions of a ridge classifier on random
        Fourier features, from one factorisation [1]_, made probabilities by a softmax
        and by what is positive of them [2]_, averaged. ``"neighbors"``: the labels of
        the nearest other rows.
    n_components : int, default=1000
        Random Fourier features for ``"ridge"``; 0 takes the features as they are.
    gamma : float > 0, default=None
        For ``"ridge"``: of the Gaussian kernel ``exp(-gamma * ||x - y||**2)``. None
        takes ``1 / (n_features * X.var())``, or 0.3 times that where it explains the
        given labels clearly better.
    standardize : bool, default=None
        Bring every feature to mean 0 and variance 1. None does so, for ``"ridge"``,
        where that explains the given labels better; ``"neighbors"`` then takes the
        features as they are.
    n_neighbors : int, default=10
        For ``"neighbors"``.
    n_refinements : int >= 0, default=3
        For ``"ridge"``, from 100 rows on: times that the labels that seem wrong are
        made softer [3]_ and the rows predicted again. It stops where the labels that
        differ from the likeliest class are about as often right as wrong. A row's
        own label then acts on its prediction through what it did to the labels of
        others; 0 leaves it out strictly.

    References
    ----------
    .. [1] Allen, Technometrics 16 (1974); Rahimi, Recht, NIPS 2007.
    .. [2] Sugiyama, "Superfast-trainable multi-class probabilistic classifier by
       least-squares posterior fitting", IEICE Transactions E93-D (2010).
    .. [3] Arazo, Ortego, Albert, O'Connor, McGuinness, "Unsupervised label noise
       modeling and loss correction", ICML 2019, section 3.2.

    Examples
    --------
    >>> from hubclean import HubLabelCleaner
    >>> from sklearn.datasets import load_iris
    >>> cleaner = HubLabelCleaner(evidence="leave_one_out", random_state=0)
    >>> cleaner.fit(*load_iris(return_X_y=True)).pred_probs_.shape
    (150, 3)
    """

    _parameter_constraints = {
        "method": [StrOptions({"ridge", "neighbors"})],
        "n_components": [Interval(Integral, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="neither"), None],
        "standardize": ["boolean", None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "n_refinements": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        method="ridge",
        *,
        n_components=1000,
        gamma=None,
        standardize=None,
        n_neighbors=10,
        n_refinements=3,
    ):
        self.method = method
        self.n_components = n_components
        self.gamma = gamma
        self.standardize = standardize
        self.n_neighbors = n_neighbors
        self.n_refinements = n_refinements

    def check(self, given):
        """Check what can be checked before anything is trained."""
        check_parameters(self)
        features_of(given.X, by=given.by)

    def collect(self, given, generator):
        """Leave every row, or group, out, after `check`; returns `OutOfSample`."""
        features = features_of(given.X, by=given.by)
        n_classes = len(given.classes)
        seed = draw_seed(generator)
        groups = given.groups
        if groups is not None:
            groups = check_groups(groups, len(features), by=given.by)
        if self.method == "ridge":
            probs = ridge_pred_probs(
                given.codes,
                features,
                n_classes,
                n_components=self.n_components,
                gamma=self.gamma,
                standardize=self.standardize,
                n_refinements=self.n_refinements,
                random_state=seed,
                groups=groups,
            )
        else:
            if self.standardize:
                features = standardized(features)
            probs = neighbour_pred_probs(
                given.codes,
                features,
                n_classes,
                n_neighbors=self.n_neighbors,
                n_jobs=given.n_jobs,
                groups=groups,
            )
        together = np.arange(len(given.codes)) if groups is None else groups
        of_class = np.bincount(given.codes, minlength=n_classes)[given.codes]
        _, pair, of_pair = np.unique(
            [given.codes, together], axis=1, return_inverse=True, return_counts=True
        )
        judged = of_class > of_pair[pair.reshape(-1)]
        warn_unjudged(judged, given.codes, given.classes, given.by)
        return OutOfSample(probs, judged)


class TrainingDynamics(BaseEstimator):
    """One training on all rows; the margins of the given labels while it goes on.

    A network learns wrong labels late and against the other rows, so the margin of
    the given label, its logit less the largest other one, stays low on average over
    the epochs: the area under the margin [1]_. It is recorded in the training passes
    themselves, and so are the probabilities of the classes. Where rows are enough for
    it, the margin is that of the mean of these, seen against what the passes said of
    the other rows of each class, by linear discriminants [2]_. For PyTorch and Keras
    models, which offer ``record_margins``.

    The label quality is the logistic function of the margin. Rows under `threshold`
    are issues; by default those under a cut between the groups of low and high margins
    where there are two that stand apart, and under a margin of zero elsewhere.
    `filter_by` and `score_by` are not used, because the rows were trained on and the
    rules expect probabilities out of sample. The predicted label of an issue comes
    from the final model, which was trained without it.

    Parameters
    ----------
    estimator : PyTorch or Keras model, default=None
        What is trained; the cleaner's estimator when None.

    References
    ----------
    .. [1] Pleiss, Zhang, Elenberg, Weinberger, "Identifying mislabeled data using the
       area under the margin ranking", NeurIPS 2020, eq. 1 and 2.
    .. [2] Lee, Yun, Lee, Lee, Li, Shin, "Robust inference via generative classifiers
       for handling noisy labels", ICML 2019, section 2.
    """

    #: Margins come, not probabilities of classes.
    gives_margins = True

    def __init__(self, estimator=None):
        self.estimator = estimator

    def collect(self, given, generator):
        """Train once on all rows; returns `OutOfSample` with margins."""
        model = clone(_own(self.estimator, given))
        if not offers(model, "record_margins"):
            raise EstimatorError(
                f"{given.by}: evidence='dynamics' needs a PyTorch or Keras model, "
                f"which records margins while it trains; got {model!r}. Use "
                "hubclean.skorch or hubclean.scikeras, or evidence='cv'."
            )
        seed_estimator(model, draw_seed(generator)).set_params(record_margins=True)
        total = count_epochs(model)
        with progress(total, desc=given.by, enabled=given.verbose >= 1):
            model.fit(given.X, given.labels, **given.fit_params)
        margins = np.asarray(model.margins_, dtype=np.float64)
        if hasattr(model, "training_proba_"):
            margins = profiled_margins(given.codes, model.training_proba_, margins)
        judged = ~np.isnan(margins)
        why = "have no margin, as they were held out for validation and not trained on"
        warn_unjudged(judged, given.codes, given.classes, given.by, why)
        return OutOfSample(None, judged, margins)


class Average(BaseEstimator):
    """Several kinds of evidence, averaged; what a list stands for.

    A row that one of them could not judge is not judged.

    Parameters
    ----------
    kinds : list of objects of this module
        All but `TrainingDynamics`, which gives no probabilities.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from hubclean import HubLabelCleaner
    >>> X, y = load_iris(return_X_y=True)
    >>> evidence = Average([CrossValidation(), LeaveOneOut()])
    >>> cleaner = HubLabelCleaner(evidence=evidence, random_state=0).fit(X, y)
    >>> cleaner.pred_probs_.shape
    (150, 3)
    """

    def __init__(self, kinds):
        self.kinds = kinds

    def check(self, given):
        """Check every kind before anything is trained."""
        if any(hasattr(kind, "gives_margins") for kind in self.kinds):
            raise ParameterError(
                f"{given.by}: 'dynamics' gives margins, not probabilities, and cannot "
                "be averaged with other kinds of evidence. Use it alone."
            )
        for kind in self.kinds:
            if hasattr(kind, "check"):
                kind.check(given)

    def collect(self, given, generator):
        """Collect all of them; returns the mean."""
        found = [kind.collect(given, generator) for kind in self.kinds]
        judged = np.logical_and.reduce([one.judged for one in found])
        probs = np.mean([one.pred_probs for one in found], axis=0)
        return OutOfSample(probs, judged)


class Auto(BaseEstimator):
    """Cross-validation, and leave-one-out with it where X is a table of numbers.

    Two models that err differently find more together than either alone [1]_: the
    cleaner's estimator in folds, and a ridge classifier, which takes seconds.
    A table of numbers is a two-dimensional array or data frame without text,
    categories or missing values, of at most 100,000 rows and 100,000,000 numbers;
    sparse matrices, images and lazy columns are left to the estimator.

    The probabilities are averaged with equal weights. Weights by the likelihood of the
    given labels would prefer whichever model has learned the wrong ones.

    References
    ----------
    .. [1] Breiman, "Stacked regressions", Machine Learning 24 (1996), section 1;
       Lakshminarayanan, Pritzel, Blundell, "Simple and scalable predictive
       uncertainty estimation using deep ensembles", NIPS 2017.

    Examples
    --------
    >>> from hubclean import HubLabelCleaner
    >>> from sklearn.datasets import load_iris
    >>> cleaner = HubLabelCleaner(evidence="auto", random_state=0)
    >>> cleaner.fit(*load_iris(return_X_y=True)).evidence_
    Average(kinds=[CrossValidation(), LeaveOneOut()])
    """

    def check(self, given):
        """Check what can be checked before anything is trained."""
        self.chosen(given).check(given)

    def collect(self, given, generator):
        """Collect what was chosen; returns `OutOfSample`."""
        return self.chosen(given).collect(given, generator)

    def chosen(self, given):
        """Kind of evidence for these rows."""
        if is_table_of_numbers(given.X):
            return Average([CrossValidation(), LeaveOneOut()])
        return CrossValidation()


#: Short name -> kind of evidence.
KINDS = {
    "auto": Auto,
    "cv": CrossValidation,
    "dynamics": TrainingDynamics,
    "leave_one_out": LeaveOneOut,
}


def as_evidence(evidence, *, by):
    """Kind of evidence for what `evidence` may be.

    Parameters
    ----------
    evidence : str, kind of evidence, classifier, or list of these
        A classifier, or a model of PyTorch or Keras, stands for its cross-validation.
    by : str
        Who asks, named in messages.

    Returns
    -------
    kind : object with ``collect``
        The evidence, not yet collected.

    Raises
    ------
    ParameterError
        Lists what it may be.

    Examples
    --------
    >>> as_evidence("leave_one_out", by="example")
    LeaveOneOut()
    """
    if isinstance(evidence, list | tuple) and len(evidence):
        return Average([as_evidence(one, by=by) for one in evidence])
    if isinstance(evidence, str) and evidence in KINDS:
        return KINDS[evidence]()
    if hasattr(evidence, "collect") and not isinstance(evidence, type):
        return evidence
    if hasattr(evidence, "fit") or isinstance(evidence, type):
        return CrossValidation(evidence)
    if as_classifier(evidence, by=by) is not evidence:  # a module without `fit`
        return CrossValidation(evidence)
    names = ", ".join(map(repr, KINDS))
    raise ParameterError(
        f"{by}: `evidence` must be {names}, an object of hubclean.evidence, a "
        f"classifier, or a list of these; got {evidence!r}."
    )


def _own(estimator, given):
    """The estimator of this evidence, or the cleaner's."""
    if estimator is None:
        return given.classifier
    return check_classifier(as_classifier(estimator, by=given.by), by=given.by)
