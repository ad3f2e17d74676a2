"""Hub and Deep Lake datasets: read them fast, write the result back safely.

`open` gives lazy `X` and `y` of a dataset, `clean_labels` judges its labels,
`create_tensors` writes the result into it, and `clean_view` filters it.
"""

from hubclean.hub._cache import DecodedCache
from hubclean.hub._convert import convert
from hubclean.hub._corrections import apply_decisions
from hubclean.hub._label_tensors import create_tensors, read_label_issues
from hubclean.hub._memory import InMemoryDataset
from hubclean.hub._open import open
from hubclean.hub._source import HubSource
from hubclean.hub._view import clean_view
from hubclean.hub._workflow import clean_labels

__all__ = [
    "DecodedCache",
    "HubSource",
    "InMemoryDataset",
    "apply_decisions",
    "clean_labels",
    "clean_view",
    "convert",
    "create_tensors",
    "open",
    "read_label_issues",
]
