"""Frozen features: every row goes through a network once, whatever the folds are."""

import collections
import copy
import threading

import numpy as np
import torch
from torch import nn

from hubclean._fingerprint import fingerprint
from hubclean._model_store import also_forget
from hubclean._rows import content_digests, row_digests
from hubclean.exceptions import EstimatorError
from hubclean.pytorch._columns import ArrayRows
from hubclean.pytorch._modules import first_output
from hubclean.pytorch._named import named_model
from hubclean.pytorch._tensors import plan_input, prepare

_CACHE_BYTES = 1 << 29


class EmbeddedRows(ArrayRows):
    """Rows that have been through the frozen network already."""


class EmbeddingCache:
    """Embeddings by network and row, the oldest left out when there are too many.

    Parameters
    ----------
    max_bytes : int
        Most bytes of embeddings it holds.
    """

    def __init__(self, max_bytes=_CACHE_BYTES):
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._vectors = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, keys):
        """Embeddings of these keys, None for a key that is not there."""
        with self._lock:
            return [self._vectors.get(key) for key in keys]

    def put(self, keys, vectors):
        """Keep embeddings; drop the oldest beyond the bound."""
        with self._lock:
            for key, vector in zip(keys, vectors, strict=True):
                if key not in self._vectors:
                    self._vectors[key] = vector
                    self.n_bytes += vector.nbytes
            while self.n_bytes > self.max_bytes and self._vectors:
                self.n_bytes -= self._vectors.popitem(last=False)[1].nbytes

    def clear(self):
        """Forget all of them."""
        with self._lock:
            self._vectors.clear()
            self.n_bytes = 0


#: One for the process, so that all folds of a cross-validation share it.
embeddings = EmbeddingCache()
also_forget(embeddings.clear)


def embed(rows, source, features, *, pretrained, fetch, device, resize, batch_size):
    """Features of rows, computed once for each row and network.

    Parameters
    ----------
    rows : ArrayRows or LazyRows
        Images.
    source : str or None
        What `features` and the transform are known by, from `features_key`; None
        keeps nothing.
    features : str or torch.nn.Module
        Name of a model, or a module whose outputs are the features.
    pretrained : bool
        Whether a named model has the weights of its library.
    fetch : callable
        Gives the batch of an array of positions.
    device : torch.device
        Where to compute.
    resize : int or None
        Side that images are brought to.
    batch_size : int
        Rows at a time.

    Returns
    -------
    embedded : EmbeddedRows
        float32, shape (n_samples, n_features).
    """

    def compute(positions):
        network = _network(features, pretrained)
        return _compute(network, positions, fetch, device, resize, batch_size)

    keys = _row_keys(rows, source)
    if keys is None:
        return EmbeddedRows(compute(np.arange(len(rows))))
    found = embeddings.get(keys)
    missing = [i for i, vector in enumerate(found) if vector is None]
    if missing:
        computed = compute(missing)
        embeddings.put([keys[i] for i in missing], computed)
        for i, vector in zip(missing, computed, strict=True):
            found[i] = vector
    return EmbeddedRows(np.stack(found))


def _row_keys(rows, source):
    """Names of the features of rows; None where something has no name.

    Bytes and floats of one value are two rows: bytes are divided by 255.
    """
    if source is None:
        return None
    try:
        if isinstance(rows, ArrayRows):
            whole, digests = rows.array, row_digests(rows.array)
        else:
            whole, digests = rows.column, content_digests(rows.column)
    except TypeError:
        return None
    source = (source, str(whole.dtype))
    return [(source, digest) for digest in digests.tolist()]


def _network(features, pretrained):
    """Frozen network that gives the features."""
    if isinstance(features, str):
        return named_model(features, None, pretrained)
    if isinstance(features, nn.Module):
        return features
    raise EstimatorError(
        "skorch: `features` must be the name of a model or a torch.nn.Module; got "
        f"{type(features).__name__}."
    )


def _compute(network, positions, fetch, device, resize, batch_size):
    """Outputs of the network for the rows at these positions."""
    network = copy.deepcopy(network).to(device).eval()
    plan, outputs = None, []
    with torch.inference_mode():
        for start in range(0, len(positions), batch_size):
            batch, from_transform = fetch(positions[start : start + batch_size])
            plan = plan or plan_input(
                batch, module=network, from_transform=from_transform, resize=resize
            )
            ready = prepare(batch, plan, device)
            output = first_output(network(_in_type_of(network, ready)))
            outputs.append(output.flatten(1).float().cpu().numpy())
    return np.concatenate(outputs)


def _in_type_of(network, batch):
    """Batch in the type of the network's weights, bfloat16 say; tokens stay."""
    types = (p.dtype for p in network.parameters() if p.is_floating_point())
    return batch.to(next(types, batch.dtype)) if batch.is_floating_point() else batch


def features_key(features, transform, resize, pretrained):
    """Name of what makes the features: equal for equal networks and transforms.

    They are known by their code, attributes, weights and buffers, as `memory` knows
    them.

    Parameters
    ----------
    features : str or torch.nn.Module
        Name of a model, or a module whose outputs are the features.
    transform : callable or None
        Applied to every row first.
    resize : int or None
        Side that images are brought to.
    pretrained : bool
        Whether a named model has the weights of its library.

    Returns
    -------
    source : str or None
        For `embed`; None where something cannot be named, such as an open file.

    Examples
    --------
    >>> key = features_key("resnet18", None, None, True)
    >>> key == features_key("resnet18", None, None, True)
    True
    """
    try:
        return fingerprint(features, transform, resize, pretrained)
    except TypeError:
        return None
