"""Which rows a network is fed with: training, validation and whole batches of them."""

import torch
from skorch import NeuralNetClassifier

from hubclean._label_validation import code_labels
from hubclean.pytorch._checks import MADE_HERE
from hubclean.pytorch._data import BatchDataset, BatchLoader, BatchOrder
from hubclean.pytorch._randomness import seeded


class WholeBatches(NeuralNetClassifier):
    """What `TorchClassifier` changes in skorch's datasets and iterators."""

    def check_data(self, X, y):
        """Nothing: `fit` has checked rows and labels."""

    def get_dataset(self, X, y=None):
        """Dataset of whole batches of training rows, for any X."""
        return X if is_whole(X) else self._dataset(self._rows(X), y, training=True)

    def get_split_datasets(self, X, y=None, **fit_params):
        """Training and validation data; `valid_dataset` before skorch's split."""
        valid = self.valid_dataset
        if valid is None:
            X, valid = super().get_split_datasets(X, y, **fit_params)
        return X, valid if valid is None else self._validation_data(valid)

    def _validation_data(self, valid):
        """Rows whose loss is measured: as they are predicted, not as they train."""
        if isinstance(valid, torch.utils.data.Subset) and is_whole(valid):
            whole = self._validation_data(valid.dataset)
            return torch.utils.data.Subset(whole, valid.indices)
        if isinstance(valid, BatchDataset):
            plain = self._dataset(valid.rows, valid.codes, training=False)
            plain.weights = valid.weights
            return plain
        rows, labels = self._rows_and_labels(valid, None)
        codes = code_labels(labels, self.classes_, by="skorch")
        return self._dataset(rows, codes, training=False)

    def get_iterator(self, dataset, training=False):
        """Loader of whole batches; torch's own where processes are asked for."""
        asked = self.get_params_for("iterator_train" if training else "iterator_valid")
        kwargs = {k: v for k, v in asked.items() if k not in MADE_HERE}
        kind = self.iterator_train if training else self.iterator_valid
        n_rows, batch_size = self.batches_of(dataset, training)
        shuffle = training and asked.get("shuffle", self.shuffle)
        seed = self.seed_ if shuffle else None
        if not kwargs and kind is torch.utils.data.DataLoader:
            base = getattr(dataset, "dataset", dataset)
            threads = self.read_threads if getattr(base, "slow", True) else 0
            return BatchLoader(dataset, batch_size, seed, threads)
        return kind(
            dataset,
            batch_sampler=BatchOrder(n_rows, batch_size, seed),
            collate_fn=_as_fetched,
            generator=seeded(self.seed_),
            **kwargs,
        )

    def batches_of(self, dataset, training):
        """Rows of a dataset, and of each of its batches."""
        prefix = "iterator_train" if training else "iterator_valid"
        size = self.get_params_for(prefix).get("batch_size", self.batch_size)
        return len(dataset), len(dataset) if size == -1 else size


def _as_fetched(batch):
    return batch


def is_whole(X):
    """Whether X is a dataset of ours, or a subset of one, as callbacks get it."""
    while isinstance(X, torch.utils.data.Subset):
        X = X.dataset
    return isinstance(X, BatchDataset)
