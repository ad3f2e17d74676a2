"""LabelCleaningSampler: drops or relabels rows before the next step trains.

It imports inwards only.
"""

import pandas as pd

from hubclean._base import LabelIssueFinder
from hubclean._label_correction import WEIGHTED
from hubclean._rows import take_rows
from hubclean.exceptions import ParameterError


class LabelCleaningSampler(LabelIssueFinder):
    """Find wrong labels out of sample and resample the data without them.

    For the pipelines of imbalanced-learn: the step cleans the rows that the next
    steps are trained on, and leaves the rows that they predict alone. It is a class
    of its own because such a pipeline refuses a step with both ``transform`` and
    ``fit_resample``.

    Parameters
    ----------
    estimator : classifier, default=None
        Judges the labels: any scikit-learn classifier with ``predict_proba``, a
        `torch.nn.Module` or a Keras model. None means logistic regression.
    cv : int, splitter or iterable of (train, test), default=5
        Folds; an int makes stratified, shuffled, seeded ones.
    evidence : str, object of `hubclean.evidence`, classifier or list, default="cv"
        Where the out-of-sample probabilities come from: ``"cv"``, cross-validation of
        `estimator`; ``"dynamics"``, the margins of one training of a PyTorch or Keras
        model; ``"leave_one_out"``, leave-one-out predictions for features
        or embeddings, without training `estimator` for it; ``"auto"``, ``"cv"`` and,
        for a table of numbers, ``"leave_one_out"`` with it; a list of kinds, or of
        classifiers to cross-validate, is averaged. The classes in `hubclean.evidence`
        have the settings and the sources.
    score_by : str, default="clean_probability"
        Label quality score, as for `HubLabelCleaner`.
    filter_by : str, default="auto"
        Rule that flags rows, as for `find_label_issues`.
    frac_noise : float, default=1.0
        Share of the estimated issues that the pruning rules flag, in (0, 1].
    threshold : float, default=None
        Label quality in [0, 1] under which a row is an issue; None leaves it to
        `filter_by`.
    correction : {"prune_fraction", "prune", "relabel", "auto"}, \
default="prune_fraction"
        What is done to the issues, as for `HubLabelCleaner` with an estimator that
        takes no weights.
    prune_fraction : float, default=1.0
        Share of the issues, those with the lowest quality, that is dropped, in
        [0, 1]; the rest is relabelled.
    memory : str, path or joblib.Memory, default=None
        Folder in which the probabilities of trained folds are kept.
    n_jobs : int, default=None
        Folds that are trained at a time.
    random_state : int, RandomState, Generator or None, default=None
        Seeds the folds and every unset ``random_state`` inside `estimator`.
    verbose : int, default=0
        1 shows one progress bar over folds and epochs; 2 also logs each fold.

    Attributes
    ----------
    sample_indices_ : ndarray of int, shape (n_kept,)
        Positions of the rows that stay, ascending.
    label_issues_ : DataFrame of n_samples rows
        The table, as for `HubLabelCleaner`.
    classes_ : ndarray of shape (n_classes,)
        Sorted classes.
    evidence_ : object of `hubclean.evidence`
        Where the probabilities came from; what ``"auto"`` chose.
    pred_probs_ : ndarray of shape (n_samples, n_classes)
        Out-of-sample probabilities.
    confident_joint_, noise_matrix_ : ndarray of shape (n_classes, n_classes)
        As for `HubLabelCleaner`.
    estimated_errors_, estimated_precision_ : float
        As for `HubLabelCleaner`.
    estimated_errors_interval_ : tuple of float
        As for `HubLabelCleaner`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from hubclean import LabelCleaningSampler
    >>> X, y = load_iris(return_X_y=True)
    >>> y[[3, 60]] = [2, 0]  # two wrong labels
    >>> sampler = LabelCleaningSampler(random_state=0)
    >>> X_clean, y_clean = sampler.fit_resample(X, y)
    >>> {3, 60} & set(sampler.sample_indices_.tolist())
    set()
    """

    def fit(self, X, y, **fit_params):
        """Judge every label and choose the rows that stay.

        Parameters
        ----------
        X : rows
            Whatever `estimator` accepts, n_samples rows.
        y : array-like of shape (n_samples,)
            Given labels.
        **fit_params : dict
            ``groups`` for the splitter, the rest for ``estimator.fit``.

        Returns
        -------
        self : LabelCleaningSampler
            The fitted sampler.
        """
        self._resample(X, y, fit_params)
        return self

    def _resample(self, X, y, fit_params):
        """Judge every label; returns the rows of X and the corrected labels."""
        if self.correction in WEIGHTED:
            raise ParameterError(
                f"{type(self).__name__}: `correction` must be 'prune_fraction', "
                "'prune', 'relabel' or 'auto'; a sampler gives rows back, not weights. "
                f"Use HubLabelCleaner(correction={self.correction!r})."
            )
        given, judgement, _ = self._find_issues(X, y, fit_params)
        correction = self._correct(given, judgement)
        self.sample_indices_ = correction.kept
        X_resampled = take_rows(given.X, correction.kept)
        return X_resampled, given.classes[correction.labels]

    def fit_resample(self, X, y, **fit_params):
        """Judge every label and give back the corrected rows.

        Parameters
        ----------
        X : rows
            Whatever `estimator` accepts, n_samples rows.
        y : array-like of shape (n_samples,)
            Given labels.
        **fit_params : dict
            ``groups`` for the splitter, the rest for ``estimator.fit``.

        Returns
        -------
        X_resampled : rows
            The n_kept rows that stay, in the container of X.
        y_resampled : ndarray or Series of shape (n_kept,)
            Their labels, those of relabelled rows corrected.
        """
        X_resampled, corrected = self._resample(X, y, fit_params)
        if isinstance(y, pd.Series):
            index = y.index[self.sample_indices_]
            corrected = pd.Series(corrected, index, y.dtype, name=y.name)
        return X_resampled, corrected
