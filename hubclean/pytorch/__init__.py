"""PyTorch models as scikit-learn classifiers, through skorch.

`skorch` makes a classifier of any module, of a named model, or of nothing but the data;
`from_dataset` gives the lazy X and the y of a map-style dataset. Needs the packages
torch and skorch.

A leaf: it imports inwards, and no other leaf.
"""

from hubclean._compat import require

for _package in ("torch", "skorch"):
    require(_package, extra="torch", by="hubclean.pytorch")

from hubclean.pytorch._columns import DatasetColumn, from_dataset  # noqa: E402
from hubclean.pytorch._factory import as_estimator, skorch  # noqa: E402
from hubclean.pytorch._net import TorchClassifier  # noqa: E402

__all__ = ["DatasetColumn", "TorchClassifier", "as_estimator", "from_dataset", "skorch"]
