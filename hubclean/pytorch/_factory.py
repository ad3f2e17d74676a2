"""The prototype's factory, and what wraps a bare module."""

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
    """Classifier around a PyTorch module, ready for folds."""
    return TorchClassifier(
        module,
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
    """Wrap a bare module for `HubLabelCleaner`.

    Parameters
    ----------
    module : torch.nn.Module class or instance
        With one output per class.

    Returns
    -------
    classifier : TorchClassifier
        With the defaults of `skorch`.
    """
    return skorch(module=module)
