"""LabelCleaningSampler: drops or relabels rows before the next step trains.

It imports inwards only.
"""

import pandas as pd

from hubclean._base import LabelIssueFinder
from hubclean._rows import take_rows


class LabelCleaningSampler(LabelIssueFinder):
    """Find wrong labels out of sample and resample the data without them.

    For the pipelines of imbalanced-learn: the step cleans the rows that the next
    steps are trained on, and leaves the rows that they predict alone. It is a class
    of its own because such a pipeline refuses a step with both ``transform`` and
    ``fit_resample``.

    Parameters
    ----------
    estimator, cv, score_by, filter_by, frac_noise, threshold, n_jobs, random_state, \
verbose
        As for `HubLabelCleaner`; `estimator` only judges the labels.
    prune_fraction : float, default=1.0
        Share of the issues, those with the lowest quality, that is dropped, in
        [0, 1]; the rest is relabelled.

    Attributes
    ----------
    sample_indices_ : ndarray of int, shape (n_kept,)
        Positions of the rows that stay, ascending.
    classes_, label_issues_, pred_probs_, confident_joint_, noise_matrix_, \
n_features_in_, feature_names_in_
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
        given, judgement, _ = self._find_issues(X, y, fit_params)
        self.sample_indices_, corrected = self._correct(given, judgement)
        return take_rows(given.X, self.sample_indices_), corrected

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
