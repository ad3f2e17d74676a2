"""The two doors to the adapter: `skorch` and `as_estimator`."""

from skorch import NeuralNetClassifier
from torch import nn

from hubclean.exceptions import EstimatorError
from hubclean.pytorch._net import TorchClassifier


def skorch(
    dataset=None,
    module=None,
    criterion=None,
    optimizer=None,
    epochs=10,
    batch_size=64,
    transform=None,
    shuffle=True,
    valid_dataset=None,
    device="auto",
    images="images",
    labels="labels",
    **skorch_params,
):
    """Make a classifier of a PyTorch module, for `HubLabelCleaner` and scikit-learn.

    Every `fit` starts from fresh weights, so folds learn nothing of each other, and
    one ``random_state`` gives one answer on a CPU, however many jobs there are.

    Parameters
    ----------
    dataset : source, map-style dataset, pair (X, y), or None
        What `fit` trains on when it is called without X and y.
    module : torch.nn.Module class or instance, callable, str or None
        A class or function is called with the parameters ``module__...``; a function
        makes a new module each time. An instance is copied, and the copy's weights are
        drawn anew, but for frozen ones (``requires_grad=False``), which are kept and
        so must come from other data; so is an instance that is an argument of a class,
        as in ``module__body=net``. A name, "resnet18" or "timm/resnet18", is a model
        of torchvision or timm with a head for the classes of `y`. None is a small
        network sized from the data: a residual one for images, a multilayer perceptron
        for rows of numbers. Outputs are logits or probabilities, one per class, told
        apart in training and evaluation mode each. It gets float32: bytes divided by
        255, other numbers as they are; a module with convolutions gets images with the
        channels first, grey ones with one channel, another module gets rows as they
        are stored. Images of X have their channels first or last, where there are as
        many as the first convolution takes; if that does not decide, where there are
        1, 3 or 4, and last if both ends have.
    criterion : torch loss class or instance, or None
        None is the cross-entropy. It gets logits, and for each row the code of its
        class, its place in ``classes_``; so do callbacks that score.
    optimizer : torch.optim.Optimizer class or None
        None is AdamW, with a learning rate that rises to ``lr`` (0.01) and falls to
        zero in one cycle.
    epochs : int
        Times the network goes through the rows.
    batch_size : int
        Rows of a batch; -1 takes all in one.
    transform : callable, dict or None
        Applied to every row, an array as it is stored, while training and, unless
        ``transform_valid`` is given, while predicting. It may give a tensor (channels
        first), an array or a PIL image (channels last). A dict gives it under the
        name of `images`, as in ``{"images": resize, "labels": None}``; what it has
        under the name of `labels` is applied to every label.
    shuffle : bool
        Whether epochs go through the rows in random order.
    valid_dataset : source, map-style dataset, pair (X, y), or None
        Rows whose loss is measured after every epoch, as ``valid_loss`` and
        ``valid_acc``, for skorch's ``EarlyStopping`` for example.
    device : str, torch.device or None
        "auto" is a GPU where there is one; folds are dealt out where there are more.
        None is the CPU. After `fit` and `predict_proba` the module is on the CPU, and
        the memory of the GPU is given back.
    images, labels : str
        Names of the tensors of images and labels, as `transform` has them.
    **skorch_params : dict
        Further parameters. Those of `skorch.NeuralNetClassifier`: ``lr``,
        ``callbacks``, ``train_split``, ``module__...``, ``optimizer__...``,
        ``criterion__...``, ``iterator_train__num_workers`` (processes that fetch
        batches; they are forked, which has crashed where Deep Lake 4 was at work:
        ``read_threads`` is for Hub datasets), ``compile=True``. Those of hubclean:
        ``random_state``;
        ``transform_valid``; ``resize`` (side of the squares that images become);
        ``pretrained`` (whether a named model has the weights of its library);
        ``features`` (name of a model, or a module: its outputs are computed once for
        every row, and a linear model is trained on them); ``keep_weights`` (start
        every fold from the weights of the instances, which then must come from other
        data); ``schedule`` ("one_cycle", None, or "auto", which is one cycle without
        `optimizer`); ``amp`` (True, "bfloat16" or "float16": mixed precision);
        ``num_threads`` (of the CPU, 1: folds side by side with ``n_jobs`` use the
        cores better, and sums over more threads differ in the last bits; None leaves
        it to torch); ``read_threads`` (that fetch batches ahead of the training, 1);
        ``average_epochs`` (share of the last epochs whose probabilities are averaged,
        in [0, 1]); ``record_margins`` (True keeps how the margin of every given label
        moved, in ``margin_history_``); ``fold`` (a number, set by the cleaner).

    Returns
    -------
    classifier : TorchClassifier
        Unfitted.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.repeat([[0.0, 1.0], [1.0, 0.0]], 40, axis=0)
    >>> y = np.repeat(["cat", "dog"], 40)
    >>> classifier = skorch(epochs=5, random_state=0).fit(X, y)
    >>> classifier.predict(X[[0, -1]])
    array(['cat', 'dog'], dtype=object)
    """
    return TorchClassifier(
        module,
        dataset=dataset,
        criterion=criterion,
        optimizer=optimizer,
        max_epochs=epochs,
        batch_size=batch_size,
        transform=transform,
        shuffle=shuffle,
        valid_dataset=valid_dataset,
        device=device,
        images=images,
        labels=labels,
        **skorch_params,
    )


def as_estimator(module):
    """Classifier around what was handed to a cleaner as its estimator.

    Parameters
    ----------
    module : torch.nn.Module class or instance, or skorch.NeuralNetClassifier
        With one output per class. A net of skorch's own stays as it is.

    Returns
    -------
    classifier : skorch.NeuralNetClassifier
        Unfitted; with the defaults of `skorch` around a module.

    Raises
    ------
    EstimatorError
        If it is none of them.

    Examples
    --------
    >>> as_estimator(nn.Linear(4, 3)).max_epochs
    10
    """
    if isinstance(module, NeuralNetClassifier):
        return module
    is_class = isinstance(module, type) and issubclass(module, nn.Module)
    if is_class or isinstance(module, nn.Module):
        return skorch(module=module)
    raise EstimatorError(
        "hubclean.pytorch: expected a torch.nn.Module or a NeuralNetClassifier of "
        f"skorch; got {type(module).__module__}.{type(module).__name__}."
    )
