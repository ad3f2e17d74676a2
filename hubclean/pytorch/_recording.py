"""What is written down while a network trains: margins, held-out probabilities."""

import numpy as np
import torch

from hubclean._hooks import epochs_to_average


class MarginRecorder:
    """Margins of the given labels, and probabilities, from the training passes.

    The margin of a row is the logit of its given label less the largest other logit;
    its mean over the epochs is the area under the margin [1]_.

    Parameters
    ----------
    n_samples : int
        Rows of the training data.
    n_classes : int
        Logits of a row.

    References
    ----------
    .. [1] Pleiss, Zhang, Elenberg, Weinberger, "Identifying mislabeled data using the
       area under the margin ranking", NeurIPS 2020, eq. 1 and 2.
    """

    def __init__(self, n_samples, n_classes):
        self.n_samples = n_samples
        self.epochs = []
        self.total = np.zeros((n_samples, n_classes), dtype=np.float32)
        self.passes = np.zeros(n_samples, dtype=np.int32)

    def start_epoch(self):
        """Begin a new row of the history."""
        self.epochs.append(np.full(self.n_samples, np.nan, dtype=np.float32))

    def record(self, logits, codes, rows):
        """Write down one batch."""
        logits = logits.detach().float()
        self.epochs[-1][rows] = margins(logits, codes).cpu().numpy()
        self.total[rows] += torch.softmax(logits, dim=1).cpu().numpy()
        self.passes[rows] += 1

    def history(self):
        """Margins, shape (n_epochs, n_samples); NaN where a row was not trained on."""
        return np.array(self.epochs, np.float32).reshape(-1, self.n_samples)

    def mean(self):
        """Mean over the epochs, shape (n_samples,); NaN for rows never trained on."""
        history = self.history()
        seen = (~np.isnan(history)).sum(0)
        total = np.nansum(history, axis=0, dtype=np.float64)
        return np.divide(total, seen, out=np.full(len(seen), np.nan), where=seen > 0)

    def mean_proba(self):
        """Mean probabilities, shape (n_samples, n_classes); NaN as in `mean`."""
        seen, mean = self.passes[:, np.newaxis], np.full_like(self.total, np.nan)
        return np.divide(self.total, seen, out=mean, where=seen > 0)


def margins(logits, codes):
    """Logit of the given label less the largest other logit.

    Examples
    --------
    >>> margins(torch.tensor([[2.0, 0.5, 1.0]]), torch.tensor([1]))
    tensor([-1.5000])
    """
    logits = logits.float()
    given = codes.unsqueeze(1)
    others = logits.scatter(1, given, -torch.inf)
    return logits.gather(1, given).squeeze(1) - others.amax(1)


class HeldOutRecorder:
    """Probabilities of held-out rows, averaged over the last epochs.

    Parameters
    ----------
    rows : ArrayRows or LazyRows
        The held-out rows.
    n_epochs : int
        Epochs that are planned.
    average_epochs : float
        Share of them, the last ones, that is averaged.
    """

    def __init__(self, rows, n_epochs, average_epochs):
        self.rows = rows
        self.first = epochs_to_average(n_epochs, average_epochs)
        self.epoch = 0
        self.total = 0.0
        self.count = 0

    def end_epoch(self, predict_proba):
        """Predict the rows, if the epoch is one of those averaged."""
        if self.epoch >= self.first:
            self.total = self.total + predict_proba(self.rows)
            self.count += 1
        self.epoch += 1

    def mean(self, predict_proba):
        """Average; of the final network alone where training stopped before."""
        if not self.count:
            return predict_proba(self.rows)
        return self.total / self.count
