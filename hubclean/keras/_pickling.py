"""Pickles of classifiers: parameters, what was learned, and weights.

Keras's own pickles cannot find classes of the user that are not registered with it,
and fail on models that have no config. A fitted network is stored as its weights, and
built again in the way that `fit` built it; a model given as a parameter is stored in
Keras's format next to the classes it needs.
"""

import contextlib
import tempfile
import warnings
from pathlib import Path

import keras

from hubclean.exceptions import EstimatorError
from hubclean.keras._building import build_network
from hubclean.keras._randomness import seeded
from hubclean.keras._rebuild import own_objects

_LIVE = ("_fit_callbacks", "_predict_callbacks", "callbacks_")


class PackedModel:
    """A Keras model that was given as a parameter, with the classes it needs.

    Parameters
    ----------
    model : keras.Model
        Built or not.

    Raises
    ------
    EstimatorError
        If Keras cannot save it.
    """

    def __init__(self, model):
        self.objects = own_objects(model)
        try:
            with _folder() as path, warnings.catch_warnings():
                # A model without weights yet is no reason to worry here.
                warnings.filterwarnings("ignore", message=".*not yet been built")
                model.save(path)
                self.content = path.read_bytes()
        except Exception as exc:  # configs run anyone's code
            raise EstimatorError(
                f"KerasClassifier: the model {model.name!r} cannot be pickled ({exc}). "
                "Pass a function that builds the model instead."
            ) from exc

    def model(self):
        """Build the model again."""
        with _folder() as path, warnings.catch_warnings():
            # The state of the given model's optimizer is not used.
            warnings.filterwarnings("ignore", message=".*Skipping variable loading")
            path.write_bytes(self.content)
            # Whoever unpickles trusts the pickle.
            return keras.saving.load_model(
                path, custom_objects=self.objects, safe_mode=False
            )


@contextlib.contextmanager
def _folder():
    """Path of a Keras file in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="hubclean-") as folder:
        yield Path(folder, "model.keras")


def packed(state):
    """State of a classifier that can be pickled."""
    state = {name: value for name, value in state.items() if name not in _LIVE}
    packs = {}
    _replace_model(state, packs)
    if "_built_with" in state:
        state["_built_with"] = dict(state["_built_with"])
        _replace_model(state["_built_with"], packs)
    network = state.pop("model_", None)
    if network is not None:
        state["_weights"] = network.get_weights()
        variables = network.optimizer.variables
        state["_optimizer_state"] = [variable.numpy() for variable in variables]
    return state


def _replace_model(params, packs):
    """Pack the model among parameters, each model once."""
    model = params.get("model")
    if isinstance(model, keras.Model):
        params["model"] = packs[id(model)] = packs.get(id(model)) or PackedModel(model)


def unpack(classifier):
    """Bring a classifier back to life."""
    built_with = vars(classifier).get("_built_with", {})
    packs = {}
    for params in (vars(classifier), built_with):
        pack = params.get("model")
        if isinstance(pack, PackedModel):
            params["model"] = packs[id(pack)] = packs.get(id(pack)) or pack.model()
    weights = vars(classifier).pop("_weights", None)
    optimizer_state = vars(classifier).pop("_optimizer_state", None)
    if weights is None:
        return
    with _as_built(classifier), seeded(classifier.seed_):
        network, _ = build_network(classifier, classifier._sample)
    classifier._initialize_callbacks()
    network.set_weights(weights)
    for variable, value in zip(
        network.optimizer.variables, optimizer_state, strict=True
    ):
        variable.assign(value)
    classifier.model_ = network


@contextlib.contextmanager
def _as_built(classifier):
    """Parameters, and Keras's precision, are those of `fit` inside of the block."""
    attributes, now = vars(classifier), classifier.get_params(deep=False)
    policy = keras.config.dtype_policy()
    try:
        _exchange(attributes, now, classifier._built_with)
        keras.config.set_dtype_policy(classifier._policy)
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        _exchange(attributes, classifier._built_with, now)


def _exchange(attributes, old, new):
    for name in old:
        attributes.pop(name, None)
    attributes.update(new)
