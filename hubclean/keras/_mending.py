"""What scikeras leaves broken between scikit-learn and a Keras model.

Tags, clones, pickles, and seeds that it would write into every global generator.
"""

import copy

import keras
from scikeras.wrappers import KerasClassifier as ScikerasClassifier
from sklearn.base import clone
from sklearn.utils import ClassifierTags

from hubclean.keras._building import compile_kwargs
from hubclean.keras._datasets import is_tf_dataset
from hubclean.keras._pickling import packed, unpack

_SHARED = (
    keras.Model,
    keras.layers.Layer,
    keras.optimizers.Optimizer,
    keras.callbacks.Callback,
    keras.losses.Loss,
    keras.metrics.Metric,
)


class _WithoutOldTags(type(ScikerasClassifier)):  # type: ignore[misc]
    """Hides scikeras's `_more_tags` from scikit-learn 1.6.

    It walks through ``type(estimator).mro()``, warns of every class that still has
    them, and then overrules `__sklearn_tags__`.
    """

    def __init__(cls, *args, **kwargs):
        super().__init__(*args, **kwargs)
        cls._is_made = True

    def mro(cls):
        """Classes to inherit from; once made, those to look for tags in."""
        order = super().mro()
        if "_is_made" not in vars(cls):
            return order
        return [kind for kind in order if "_more_tags" not in vars(kind)]


class MendedClassifier(ScikerasClassifier, metaclass=_WithoutOldTags):
    """scikeras's classifier, as scikit-learn expects it."""

    def _check_model_param(self):
        """Model function that scikeras is to call."""
        return self.model

    def _get_compile_kwargs(self):
        """Arguments of `compile` that scikeras hands to a model function."""
        return compile_kwargs(self)

    @property
    def _random_state(self):
        """None: scikeras seeds every global generator otherwise."""
        return None

    def __sklearn_tags__(self):
        """Tell scikit-learn that this is a classifier."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        return tags

    def __sklearn_clone__(self):
        """Unfitted twin; Keras objects are shared, for `fit` only copies them."""
        twin = type(self)(**{k: _copied(v) for k, v in self.get_params(False).items()})
        for name in ("_metadata_request", "_sklearn_output_config"):
            if hasattr(self, name):
                setattr(twin, name, copy.deepcopy(getattr(self, name)))
        return twin

    def __getstate__(self):
        """State without live callbacks, the network as its weights."""
        return packed(super().__getstate__())

    def __setstate__(self, state):
        """Build the network again, and give it its weights."""
        super().__setstate__(state)
        unpack(self)


def _copied(value):
    """Copy of a parameter for a clone; what belongs to Keras is shared."""
    if isinstance(value, _SHARED) or is_tf_dataset(value) or hasattr(value, "row_ids"):
        return value
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copied(part) for part in value)
    return clone(value, safe=False)
