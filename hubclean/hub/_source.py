"""A source: X and y of a dataset, both lazy."""

import numpy as np

from hubclean.exceptions import BadRowsError, ParameterError
from hubclean.hub._column import HubColumn
from hubclean.hub._reader import TensorReader, check_has_columns


class HubSource:
    """X and y of a Hub dataset, read lazily; made by `hubclean.hub.open`.

    Attributes
    ----------
    X : HubColumn
        Rows of the images tensor (or of whatever tensor was named).
    y : HubColumn
        Labels; ``np.asarray(source.y)`` gives them as stored, integers for class
        labels.
    class_names : list of str or None
        Names of the classes, position by code, where the dataset has them.
    version : str
        Dataset id, branch and commit that X and y are read at.
    bad_rows : list of int
        Rows left out because they cannot be decoded; empty unless the source was
        opened with ``on_bad_rows="skip"``.
    """

    def __init__(self, store, images, labels, *, on_bad_rows, n_threads, cache):
        check_has_columns(store, [images, labels])
        self._store = store
        self.images = images
        self.labels = labels
        self._images_reader = TensorReader(
            store, images, n_threads=n_threads, cache=cache
        )
        self._labels_reader = TensorReader(store, labels, as_labels=True)
        self.bad_rows = []
        rows = None
        if on_bad_rows == "skip":
            self.bad_rows = self._images_reader.find_bad_rows()[0]
            if self.bad_rows:
                rows = np.setdiff1d(np.arange(store.n_rows), self.bad_rows)
        elif on_bad_rows != "raise":
            raise ParameterError(
                'hub.open: `on_bad_rows` must be "raise" or "skip"; '
                f"got {on_bad_rows!r}."
            )
        self.X = HubColumn(self._images_reader, rows)
        self.y = HubColumn(self._labels_reader, rows)

    @property
    def class_names(self):
        """Names of the classes, position by code; None where there are none."""
        names = self._labels_reader.info.class_names
        return None if names is None else list(names)

    @property
    def version(self):
        """Dataset id, branch and commit, as text."""
        return str(self._store.version)

    @property
    def n_rows(self):
        """Rows of the dataset, those left out included."""
        return self._store.n_rows

    def given_labels(self):
        """Labels of every row of the dataset, those of rows left out included."""
        return self._labels_reader.read(np.arange(self.n_rows))

    def __len__(self):
        return len(self.X)

    def __repr__(self):
        left_out = f", {len(self.bad_rows)} rows left out" if self.bad_rows else ""
        return (
            f"HubSource({self._store.where}, images={self.images!r}, "
            f"labels={self.labels!r}, {len(self)} rows{left_out}, "
            f"version={self.version!r})"
        )

    def check(self):
        """Decode every image once; raise one error that names all bad rows.

        Raises
        ------
        BadRowsError
            If images cannot be decoded; its ``rows`` lists them all.
        """
        bad, _ = self._images_reader.find_bad_rows()
        bad = sorted(set(bad) - set(self.bad_rows))
        if bad:
            raise BadRowsError(
                f"{self._store.where}: {len(bad)} rows of tensor {self.images!r} "
                f"cannot be decoded: {bad}. Mend or remove them, or leave them out "
                'with hub.open(..., on_bad_rows="skip").',
                rows=bad,
            )
