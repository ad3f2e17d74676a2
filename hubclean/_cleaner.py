"""HubLabelCleaner: judges every label, keeps every row; transforms and predicts.

It imports inwards only.
"""

from dataclasses import replace

import numpy as np
from sklearn.base import ClassifierMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from hubclean._base import LabelIssueFinder
from hubclean._compat import _get_output_config, require
from hubclean._final_model import fit_final_model
from hubclean._folds import align_columns, draw_seed
from hubclean._judgement import predictions, score_labels
from hubclean._label_correction import WEIGHTED
from hubclean._label_issues import COLUMNS, labels_like, make_table
from hubclean._label_validation import check_labels, code_labels
from hubclean._notebook import NotebookSummary
from hubclean._row_memory import RowMemory
from hubclean._rows import n_rows, take_rows
from hubclean._validation import check_features, check_rows
from hubclean._weights import (
    check_weight_parameter,
    takes_weights,
    weights_reach,
)


def _inside_has(name):
    """Offer a method only where the estimator inside has it."""

    def check(self):
        inside = self.estimator_ if hasattr(self, "estimator_") else self._classifier()
        getattr(inside, name)
        return True

    return check


def _are_floats(classes):
    """Whether float64 holds every class: long identifiers are cut there."""
    if classes.dtype.kind not in "biuf":
        return False
    numbers = classes.astype(np.float64)
    # As Python's numbers, which are compared without rounding.
    return numbers.tolist() == classes.tolist()


class HubLabelCleaner(
    NotebookSummary, ClassifierMixin, TransformerMixin, LabelIssueFinder
):
    """Find wrong labels out of sample, and predict with a model trained without them.

    ``fit`` predicts every row with a clone of `estimator` that was trained on other
    folds, estimates the probability that each given label is wrong, flags the likely
    ones (or scores and flags by confident learning [1]_, by name), and fits a final
    clone on the corrected data. It is a transformer, whose output is the issue
    mask, the label quality and the predicted labels, and a classifier, whose
    predictions come from the final clone.

    Parameters
    ----------
    estimator : classifier, default=None
        Any scikit-learn classifier with ``predict_proba``, a `torch.nn.Module` or a
        Keras model. None means logistic regression.
    cv : int, splitter or iterable of (train, test), default=5
        Folds. An int makes stratified, shuffled folds with a seed from
        `random_state`; ``groups`` passed to ``fit`` stay together. Fewer folds are
        used, with a warning, where a class has fewer members.
    evidence : str, object of `hubclean.evidence`, classifier or list, default="cv"
        Where the out-of-sample probabilities come from: ``"cv"``, cross-validation of
        `estimator`; ``"dynamics"``, the margins of one training of a PyTorch or Keras
        model; ``"leave_one_out"``, leave-one-out predictions for features
        or embeddings, without training `estimator` for it; ``"auto"``, ``"cv"`` and,
        for a table of numbers, ``"leave_one_out"`` with it; a list of kinds, or of
        classifiers to cross-validate, is averaged (all but ``"dynamics"``, which comes
        with a rule and a score of its own, gives no `pred_probs_`, and knows the
        corrections ``"prune"``, ``"weight"`` and ``"auto"``). The classes in
        `hubclean.evidence` have the settings and the sources.
    score_by : str, default="clean_probability"
        Label quality score: ``"clean_probability"``, the estimated probability that
        the given label is right; ``"self_confidence"``, ``"normalized_margin"`` or
        ``"confidence_weighted_entropy"``.
    filter_by : str, default="auto"
        Rule that flags rows. ``"auto"`` chooses the cut with the best expected F1
        score; the other names are those of `find_label_issues`.
    frac_noise : float, default=1.0
        Share of the estimated issues that the pruning rules flag, in (0, 1].
    threshold : float, default=None
        Label quality in [0, 1] under which a row is an issue; None leaves it to
        `filter_by`.
    correction : str, default="prune_fraction"
        What is done to the issues: ``"prune_fraction"``, see `prune_fraction`;
        ``"prune"``, all are left out; ``"relabel"``, those that are confidently of
        another class (their probability reaches its class threshold) get its label,
        the others are left out; ``"weight"``, all rows stay and an issue weighs as
        much as its label is probable; ``"soft_labels"``, every row, issue or not,
        is trained on with every label that it may have, weighted by how probable
        each is; ``"auto"``, soft labels for an estimator whose ``fit`` takes
        ``sample_weight``, which the last two need, unless more than 30 % of the labels
        seem wrong: then, and for another estimator, every row keeps its label where
        that is right with a probability of at least 0.8, gets the predicted one where
        that is, and is left out otherwise.
    prune_fraction : float, default=1.0
        Share of the issues, those with the lowest quality, that the final clone is
        trained without, in [0, 1]; the rest is relabelled.
    memory : str, path or joblib.Memory, default=None
        Folder in which the probabilities of trained folds are kept. A fold whose
        estimator, rows, labels and seed are the same is not trained again: after a
        crash, and in a grid search over thresholds and rules. It takes an integer
        `random_state`. Deep Lake columns are known by dataset version and row.
    n_jobs : int, default=None
        Folds that are trained at a time.
    random_state : int, RandomState, Generator or None, default=None
        Seeds the folds and every unset ``random_state`` inside `estimator`. The
        global NumPy generator is never used.
    verbose : int, default=0
        1 shows one progress bar over folds and epochs; 2 also logs each fold.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted classes.
    label_issues_ : DataFrame of n_samples rows
        ``is_label_issue`` (bool), ``label_quality`` (float in [0, 1]; NaN for a row
        that could not be judged) and ``predicted_labels`` (dtype of y);
        ``attrs["hubclean"]["parameters"]`` tells what it was made with.
    evidence_ : object of `hubclean.evidence`
        Where the probabilities came from; what ``"auto"`` chose.
    pred_probs_ : ndarray of shape (n_samples, n_classes)
        Out-of-sample probabilities, columns in the order of `classes_`.
    confident_joint_ : ndarray of int, shape (n_classes, n_classes)
        Estimated counts, rows given labels, columns true labels.
    noise_matrix_ : ndarray of float, shape (n_classes, n_classes)
        P(given | true), rows given, columns true; columns sum to 1.
    estimated_errors_ : float
        Expected number of wrong labels, where the rule or the score estimates it.
    estimated_errors_interval_ : tuple of float
        Its 90 % bootstrap interval (low, high); computed when it is asked for.
    estimated_precision_ : float
        Expected share of wrong labels among the issues, where it is estimated.
    estimator_ : classifier
        The final clone, fitted on the corrected data.
    n_features_in_ : int
        Where X is 2-D.
    feature_names_in_ : ndarray of str
        Where X is a data frame with names.

    References
    ----------
    .. [1] Northcutt, Jiang, Chuang, "Confident learning: estimating uncertainty in
       dataset labels", JAIR 70 (2021).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from hubclean import HubLabelCleaner
    >>> X, y = load_iris(return_X_y=True)
    >>> y[[3, 60]] = [2, 0]  # two wrong labels
    >>> cleaner = HubLabelCleaner(LogisticRegression(max_iter=500), random_state=0)
    >>> issues = cleaner.fit(X, y).label_issues_
    >>> issues.sort_values("label_quality").index[:2].tolist()
    [3, 60]
    >>> issues.loc[[3, 60], "predicted_labels"].tolist()
    [0, 1]
    """

    def fit(self, X, y, **fit_params):
        """Judge every label, then train a final clone on the corrected data.

        Parameters
        ----------
        X : rows
            Whatever `estimator` accepts: an array of any dimension, 1-D text, a data
            frame, a sparse matrix or a lazy column; n_samples rows.
        y : array-like of shape (n_samples,)
            Given labels: strings, integers in any range, or booleans.
        **fit_params : dict
            ``groups`` goes to the splitter; the rest, ``sample_weight`` for example,
            to ``estimator.fit``, cut to the rows trained on. With scikit-learn's
            metadata routing enabled, both go where they are requested.

        Returns
        -------
        self : HubLabelCleaner
            The fitted cleaner.

        Raises
        ------
        ValidationError
            If rows, labels, the estimator or a parameter cannot be used; before any
            training.

        Warns
        -----
        LabelQualityWarning
            If a class has fewer rows than folds, a row cannot be judged, the estimator
            is frozen, or nearly all labels of a class seem wrong.
        """
        if self.correction in WEIGHTED:
            check_weight_parameter(
                self._classifier(),
                self.correction,
                self._route(fit_params)[0],
                by=type(self).__name__,
            )
        given, judgement, generator = self._find_issues(X, y, fit_params)
        weighted = takes_weights(given.classifier) and weights_reach(
            given.classifier, given.fit_params
        )
        correction = self._correct(given, judgement, weighted=weighted)
        self.estimator_ = fit_final_model(given, correction, draw_seed(generator))
        self._rule = judgement.rule
        if self._rule is None:
            self._predict_issues(given.X)
        self._rows = RowMemory(given.X)
        return self

    def _predict_issues(self, X):
        """Fill in predictions of the issues by the model trained without them."""
        issues = np.flatnonzero(self.label_issues_[COLUMNS[0]])
        if len(issues):
            column = self.label_issues_.columns.get_loc(COLUMNS[2])
            predicted = self.estimator_.predict(take_rows(X, issues))
            self.label_issues_.iloc[issues, column] = predicted

    def _check_rows(self, X):
        """Check rows that come after ``fit``."""
        check_is_fitted(self)
        X = check_rows(X, by=type(self).__name__)
        check_features(self, X, reset=False)
        return X

    def fit_transform(self, X, y=None, **fit_params):
        """Fit, and give the table of the rows fitted on.

        Parameters
        ----------
        X : rows
            Whatever `estimator` accepts, n_samples rows.
        y : array-like of shape (n_samples,)
            Given labels.
        **fit_params : dict
            As for `fit`.

        Returns
        -------
        issues : ndarray of float, shape (n_samples, 3)
            As `transform` gives it; a data frame where ``set_output`` asks for one.
        """
        return self.fit(X, y, **fit_params)._output(self.label_issues_)

    def transform(self, X):
        """Issue mask, label quality and predicted label of every row.

        A row that ``fit`` saw is answered with what ``fit`` found for it, in any
        order and subset. Any other row has no given label: it gets the prediction,
        the prediction's probability as its quality, and no issue.

        Rows are known again by their values; float64 numbers that differ by less than
        1e-9 of the largest one of their column, as after `PCA`, whose
        ``fit_transform`` rounds otherwise than its ``transform``, are the same. After
        a step whose two methods differ by more, as those of `PCA` do in float32, of
        `NMF` and of `TargetEncoder`, every row is a new one. Rows that are equal are
        answered in the order in which ``fit`` saw them.
        `label_issues_` holds what was found, row by row.

        Parameters
        ----------
        X : rows
            n_samples rows.

        Returns
        -------
        issues : ndarray of float, shape (n_samples, 3)
            Columns ``is_label_issue`` (0 or 1), ``label_quality`` and
            ``predicted_labels``: the label itself where labels are numbers that
            float64 holds, its position in `classes_` otherwise. With
            ``set_output(transform="pandas")`` a data frame with each column in its
            own dtype.
        """
        X = self._check_rows(X)
        positions = self._rows.recall(X)
        table = self.label_issues_.iloc[positions]
        new = np.flatnonzero(positions < 0)
        mask, quality, predicted = (table[name].to_numpy(copy=True) for name in COLUMNS)
        if len(new):
            probs = self.predict_proba(take_rows(X, new))
            mask[new] = False
            quality[new] = probs.max(axis=1)
            predicted[new] = self.classes_[probs.argmax(axis=1)]
        dtype = self.label_issues_[COLUMNS[2]].dtype
        index = X.index if hasattr(X, "iloc") else None
        table = make_table(mask, quality, predicted, index=index)
        return self._output(table.astype({COLUMNS[2]: dtype}))

    def _output(self, table):
        """Give the table as ``set_output`` asks; numbers where it does not."""
        container = _get_output_config("transform", self)["dense"]
        if container == "pandas":
            return table.copy()  # what is done to it leaves `label_issues_` alone
        if container == "polars":
            polars = require("polars", extra="dev", by="set_output(transform='polars')")
            return polars.DataFrame({name: table[name].tolist() for name in COLUMNS})
        predicted = table[COLUMNS[2]]
        if not _are_floats(self.classes_):
            predicted = code_labels(
                predicted.to_numpy(object), self.classes_, by=type(self).__name__
            )
        numbers = [table[COLUMNS[0]], table[COLUMNS[1]], predicted]
        return np.column_stack([np.asarray(part, dtype=np.float64) for part in numbers])

    def get_feature_names_out(self, input_features=None):
        """Names of the output columns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Not used; the columns do not depend on the features.

        Returns
        -------
        names : ndarray of str objects, shape (3,)
            ``is_label_issue``, ``label_quality`` and ``predicted_labels``.
        """
        return np.array(COLUMNS, dtype=object)

    def check_labels(self, X, y):
        """Judge the labels of new rows by the fitted model and thresholds.

        Rows are flagged by `threshold` where it is set, by the cuts that `filter_by`
        learned otherwise; the rules with a cut for each pair of classes use the class
        thresholds of confident learning instead, which need fewer rows.

        Parameters
        ----------
        X : rows
            n_samples rows that ``fit`` did not see.
        y : array-like of shape (n_samples,)
            Their given labels, each one of `classes_`.

        Returns
        -------
        label_issues : DataFrame of n_samples rows
            The columns of `label_issues_`.

        Raises
        ------
        LabelsError
            If a label is missing or not one of `classes_`.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from hubclean import HubLabelCleaner
        >>> X, y = load_iris(return_X_y=True)
        >>> cleaner = HubLabelCleaner(random_state=0).fit(X[::2], y[::2])
        >>> cleaner.check_labels(X[[1, 101]], [0, 0])["is_label_issue"].tolist()
        [False, True]
        """
        X = self._check_rows(X)
        by = f"{type(self).__name__}.check_labels"
        labels = check_labels(y, by=by, n_samples=n_rows(X))
        codes = code_labels(labels, self.classes_, by=by)
        probs = self.predict_proba(X)
        by_margins = self._rule is None  # no error model was learned
        score_by = "self_confidence" if by_margins else self.score_by
        error_model = None if self._errors is None else self._errors.error_model
        quality = score_labels(codes, probs, score_by, error_model)
        if self.threshold is None and by_margins:
            mask = probs.argmax(axis=1) != codes
        elif self.threshold is None:
            mask = self._rule_for_new_rows().flag(codes, probs)
        else:
            mask = quality < self.threshold
        predicted = predictions(codes, probs, mask, error_model)
        predicted = labels_like(self.classes_, predicted, getattr(y, "dtype", None))
        index = X.index if hasattr(X, "iloc") else None
        return make_table(mask, quality, predicted, index=index)

    def _rule_for_new_rows(self):
        """The learned rule; class thresholds where its cuts are one per class pair.

        A cut per pair rests on few rows and says nothing of pairs without one: on
        digits with 10 % errors it found 45 to 64 % of the errors of a new batch, the
        class thresholds 78 to 89 %.
        """
        if self._rule.filter_by in ("prune_by_noise_rate", "both"):
            return replace(self._rule, filter_by="confident_learning")
        return self._rule

    def predict(self, X):
        """Predict with the final estimator, trained on the corrected data.

        Parameters
        ----------
        X : rows
            n_samples rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Each one of `classes_`.
        """
        X = self._check_rows(X)
        labels = self.estimator_.predict(X)
        # CatBoost gives a column, which compared with labels gives a table.
        return np.ravel(labels) if np.shape(labels)[1:] == (1,) else labels

    def predict_proba(self, X):
        """Probabilities of the final estimator.

        Parameters
        ----------
        X : rows
            n_samples rows.

        Returns
        -------
        pred_probs : ndarray of float, shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        X = self._check_rows(X)
        probs = np.asarray(self.estimator_.predict_proba(X))
        by = type(self.estimator_).__name__
        return align_columns(probs, self.estimator_.classes_, self.classes_, by=by)

    @available_if(_inside_has("decision_function"))
    def decision_function(self, X):
        """Decision values of the final estimator, where it has them.

        Parameters
        ----------
        X : rows
            n_samples rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            As the final estimator gives them.
        """
        X = self._check_rows(X)
        return self.estimator_.decision_function(X)
