"""Plots of what was found, by scikit-learn's Display convention.

``from_issues`` takes a result table and the given labels, ``from_estimator`` a fitted
cleaner; both compute and draw. ``plot(ax=None)`` draws again, and ``ax_`` and
``figure_`` hold what was drawn. Matplotlib is imported when something is drawn.

It imports inwards only; of the other leaves only `hubclean.report` uses it.
"""

from hubclean.plotting._dynamics import TrainingDynamicsDisplay
from hubclean.plotting._issues_per_class import IssuesPerClassDisplay
from hubclean.plotting._label_quality import LabelQualityDisplay
from hubclean.plotting._noise_matrix import NoiseMatrixDisplay
from hubclean.plotting._prune_fraction import PruneFractionDisplay
from hubclean.plotting._worst_examples import WorstExamplesDisplay

__all__ = [
    "IssuesPerClassDisplay",
    "LabelQualityDisplay",
    "NoiseMatrixDisplay",
    "PruneFractionDisplay",
    "TrainingDynamicsDisplay",
    "WorstExamplesDisplay",
]
