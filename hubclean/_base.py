"""What the cleaner and the sampler share: parameters, checks, evidence, judgement.

It imports inwards only.
"""

import inspect
import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from hubclean._adapt import HoldsBareModel, as_classifier
from hubclean._compat import (
    METHODS,
    HasMethods,
    Interval,
    MetadataRouter,
    MethodMapping,
    StrOptions,
    _routing_enabled,
    get_tags,
    process_routing,
)
from hubclean._data_identity import DataIdentity
from hubclean._fold_cache import open_cache
from hubclean._judgement import (
    RULE_NAMES,
    SCORE_NAMES,
    correctable,
    judge,
    judge_margins,
    warn_few_left,
    warn_unused,
)
from hubclean._label_correction import CORRECTIONS, correct
from hubclean._label_issues import labels_like, make_table
from hubclean._label_validation import check_labels, encode_labels
from hubclean._out_of_sample import random_generator
from hubclean._rows import n_rows
from hubclean._validation import (
    check_classifier,
    check_features,
    check_groups,
    check_parameters,
    check_rows,
)
from hubclean._weights import check_fit_weights
from hubclean.evidence import Given, as_evidence
from hubclean.exceptions import LabelQualityWarning, LabelsError, ParameterError

# What a table of JSON values may hold as it is; other values are told by their repr.
_PLAIN = (str, int, float, bool, type(None))
_REPR_LENGTH = 200
_TRAINING = ("fit", "fit_transform", "fit_resample")


class LabelIssueFinder(HoldsBareModel, MetaEstimatorMixin, BaseEstimator):
    """Base of the estimators that judge labels by out-of-sample probabilities."""

    _parameter_constraints = {
        "estimator": "no_validation",  # check_classifier says more
        "cv": [
            Interval(Integral, 2, None, closed="left"),
            HasMethods(["split", "get_n_splits"]),
            "cv_object",
        ],
        "evidence": "no_validation",  # as_evidence says more
        "score_by": [StrOptions(set(SCORE_NAMES))],
        "filter_by": [StrOptions(set(RULE_NAMES))],
        "frac_noise": [Interval(Real, 0, 1, closed="right")],
        "threshold": [Interval(Real, 0, 1, closed="both"), None],
        "correction": [StrOptions(set(CORRECTIONS))],
        "prune_fraction": [Interval(Real, 0, 1, closed="both")],
        "memory": "no_validation",  # open_cache says more
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "random_state": ["random_state", np.random.Generator],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        cv=5,
        evidence="cv",
        score_by="clean_probability",
        filter_by="auto",
        frac_noise=1.0,
        threshold=None,
        correction="prune_fraction",
        prune_fraction=1.0,
        memory=None,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.estimator = estimator
        self.cv = cv
        self.evidence = evidence
        self.score_by = score_by
        self.filter_by = filter_by
        self.frac_noise = frac_noise
        self.threshold = threshold
        self.correction = correction
        self.prune_fraction = prune_fraction
        self.memory = memory
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _find_issues(self, X, y, params):
        """Judge every label: check, collect evidence, apply the issue rule.

        Sets ``classes_``, ``evidence_``, ``label_issues_``, ``pred_probs_``,
        ``confident_joint_``, ``noise_matrix_``, ``n_features_in_`` and
        ``feature_names_in_``.

        Returns
        -------
        given : Given
            The checked input.
        judgement : Judgement
            What was found.
        generator : RandomState
            The generator that made the folds, to go on with.
        """
        given = self._check_input(X, y, params)
        generator = random_generator(self.random_state)
        kind = as_evidence(self.evidence, by=given.by)
        if hasattr(kind, "chosen"):
            kind = kind.chosen(given)
        if hasattr(kind, "check"):
            kind.check(given)
        check_fit_weights(
            given.fit_params, given.classifier, len(given.codes), by=given.by
        )
        if hasattr(kind, "gives_margins"):
            self._check_parameters_of_margins()
        rule = self.filter_by, self.threshold, self.frac_noise
        warn_unused(*rule, by=given.by, stacklevel=4)
        evidence = kind.collect(given, generator)
        if evidence.judged is not None and not evidence.judged.any():
            raise LabelsError(
                f"{given.by}: at least one row must be judged out of sample; none of "
                f"{len(given.codes)} can be, as no fold that tests a row trains on "
                "another one of its class. Use groups or folds that do not hold all "
                "rows of a class together."
            )
        judgement = self._judge(given.codes, evidence)
        check_features(self, given.X, reset=True)
        self.classes_ = given.classes
        self.evidence_ = kind
        self.pred_probs_ = evidence.pred_probs
        self.confident_joint_ = judgement.confident_joint
        self.noise_matrix_ = judgement.noise_matrix
        self._report_errors(judgement, evidence.judged)
        self.label_issues_ = make_table(
            judgement.is_label_issue,
            judgement.label_quality,
            labels_like(given.classes, judgement.predicted, getattr(y, "dtype", None)),
            index=getattr(X, "index", None) if hasattr(X, "iloc") else None,
        )
        self.label_issues_.attrs["hubclean"] = {"parameters": self._told_parameters()}
        self._given_codes_of_issues = given.codes[judgement.is_label_issue]
        return given, judgement, generator

    def _told_parameters(self):
        """Parameters that the answer depends on, as plain values."""
        return {
            name: value if isinstance(value, _PLAIN) else repr(value)[:_REPR_LENGTH]
            for name, value in self.get_params(deep=False).items()
            if name not in ("memory", "n_jobs", "verbose")
        }

    def _check_parameters_of_margins(self):
        """Margins say that a label is wrong, not which one is right, nor how likely."""
        by = type(self).__name__
        for name in ("filter_by", "score_by"):
            default = inspect.signature(type(self)).parameters[name].default
            if getattr(self, name) != default:
                raise ParameterError(
                    f"{by}: evidence='dynamics' gives margins of rows that were "
                    f"trained on, and `{name}` is for probabilities out of sample; it "
                    f"must be left at {default!r}. Got {getattr(self, name)!r}. Use "
                    "`threshold`, or evidence='cv'."
                )
        share = self.correction == "prune_fraction" and self.prune_fraction < 1
        if share or self.correction in ("relabel", "soft_labels"):
            raise ParameterError(
                f"{by}: evidence='dynamics' finds wrong labels but "
                "not the right ones; `correction` must be 'prune', 'weight' or 'auto', "
                f"or prune_fraction 1. Got correction={self.correction!r} and "
                f"prune_fraction={self.prune_fraction}."
            )

    def _judge(self, codes, evidence):
        """Score and flag the labels by what the evidence holds."""
        if evidence.pred_probs is None:
            return judge_margins(codes, evidence.margins, self.threshold)
        return judge(
            codes,
            evidence.pred_probs,
            judged=evidence.judged,
            filter_by=self.filter_by,
            score_by=self.score_by,
            threshold=self.threshold,
            frac_noise=self.frac_noise,
            shared=self.memory is not None,
        )

    def _report_errors(self, judgement, judged):
        """Set what the error probabilities say, where there are some."""
        self._errors = errors = judgement.errors
        if errors is not None:
            issues = judgement.is_label_issue
            issues = issues if judged is None else issues[judged]
            self.estimated_errors_ = errors.estimated_errors
            self.estimated_precision_ = errors.estimated_precision(issues)
            return
        for name in ("estimated_errors_", "estimated_precision_"):
            vars(self).pop(name, None)

    @property
    def estimated_errors_interval_(self):
        """90 % bootstrap interval of `estimated_errors_`, worked out when asked for."""
        if getattr(self, "_errors", None) is None:
            raise AttributeError(
                f"{type(self).__name__}: there is no `estimated_errors_interval_`. "
                "Call fit first, with filter_by='auto' or "
                "score_by='clean_probability'; evidence='dynamics' gives none."
            )
        return self._errors.errors_interval()

    def _check_input(self, X, y, params):
        """Check parameters, rows, labels and the estimator before any training."""
        by = type(self).__name__
        check_parameters(self)
        X = check_rows(X, by=by)
        labels = check_labels(y, by=by, n_samples=n_rows(X))
        classifier = self._classifier()
        classes, codes = encode_labels(labels, by=by)
        fit_params, groups = self._route(params)
        if groups is not None:
            check_groups(groups, n_rows(X), by=by)
        cache = open_cache(self.memory, by=by)
        identity = None
        if cache is not None:
            self._warn_unshared(X)
            identity = DataIdentity(X, labels, classes)
        return Given(
            X=X,
            classifier=classifier,
            labels=labels,
            classes=classes,
            codes=codes,
            fit_params=fit_params,
            groups=groups,
            cv=self.cv,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            cache=cache,
            identity=identity,
            by=by,
        )

    def _warn_unshared(self, X):
        """Say that another run cannot use the folds, and why."""
        why = getattr(X, "why_not_shared", None)
        if self.random_state is None:
            message = (
                "`memory` cannot share a fold with another run, because "
                "random_state=None draws other folds and seeds every time. Pass an "
                "integer."
            )
        elif why is not None:
            message = f"`memory` cannot share a fold with another process: {why}"
        else:
            return
        warnings.warn(
            f"{type(self).__name__}: {message}", LabelQualityWarning, stacklevel=5
        )

    def _correct(self, given, judgement, *, weighted=False):
        """What the next training gets: rows, labels, weights where it takes them."""
        credible = self.correction in ("auto", "soft_labels")
        found = correctable(given.codes, self.pred_probs_, judgement, credible=credible)
        correction = correct(
            found, self.correction, self.prune_fraction, weighted=weighted
        )
        warn_few_left(
            given.codes,
            given.classes,
            correction.kept,
            correction.labels,
            advice="about the estimator, or `threshold`, than about the labels: train "
            "it longer, or try another",
            by=given.by,
            stacklevel=4,
        )
        return correction

    def _classifier(self):
        """The estimator inside, checked; logistic regression where none was given."""
        if self.estimator is None:
            return LogisticRegression(max_iter=1000)
        by = type(self).__name__
        return check_classifier(as_classifier(self.estimator, by=by), by=by)

    def _route(self, params):
        """Split the metadata of ``fit``: for the estimator inside, for the splitter."""
        params = {name: value for name, value in params.items() if value is not None}
        if _routing_enabled():
            routed = process_routing(self, "fit", **params)
            return dict(routed.estimator.fit), routed.splitter.split.get("groups")
        groups = params.pop("groups", None)
        return params, groups

    def get_metadata_routing(self):
        """Say which metadata goes to the estimator inside and which to the splitter.

        Returns
        -------
        routing : MetadataRouter
            Of the methods that train, and the requests of ``score``.
        """
        training, splitting = MethodMapping(), MethodMapping()
        # imbalanced-learn makes ``fit_resample`` one that scikit-learn routes.
        for caller in (name for name in _TRAINING if name in METHODS):
            training.add(caller=caller, callee="fit")
            splitting.add(caller=caller, callee="split")
        # Folds of our own making take groups, as those of GroupKFold do.
        own_folds = not hasattr(self.cv, "get_metadata_routing")
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(estimator=self._classifier(), method_mapping=training)
            .add(
                splitter=GroupKFold() if own_folds else self.cv,
                method_mapping=splitting,
            )
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inside = LogisticRegression() if self.estimator is None else self.estimator
        try:
            tags.input_tags = get_tags(inside).input_tags
        except (AttributeError, TypeError):  # a module or model without tags
            tags.input_tags.two_d_array = True
        tags.input_tags.pairwise = False
        tags.target_tags.required = True
        tags.non_deterministic = False
        return tags
