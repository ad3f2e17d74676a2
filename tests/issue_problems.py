"""Random labels and probabilities of many shapes, for the tests of the issue engine."""

import warnings

import numpy as np
from cleanlab.filter import find_label_issues
from hypothesis import strategies as st


def cleanlab_mask(labels, pred_probs, **parameters):
    """Label issues by cleanlab, without its warnings about small classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return find_label_issues(labels, pred_probs, n_jobs=1, **parameters)


def problem(seed, *, n, n_classes, wrong=0.2, dtype=np.float64, sharp=2.0):
    """Noisy labels and the probabilities of a model that saw the true ones."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, n_classes, n)
    labels = np.where(rng.random(n) < wrong, rng.integers(0, n_classes, n), true)
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), true] += sharp
    weights = np.exp(sharp * logits)
    return labels, (weights / weights.sum(axis=1, keepdims=True)).astype(dtype)


@st.composite
def problems(draw):
    """Labels and probabilities: rare and absent classes, ties, every float type."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_classes = draw(st.integers(2, 12))
    n = draw(st.integers(2, 150))
    present = rng.permutation(n_classes)[: draw(st.integers(2, n_classes))]
    evenness = draw(st.sampled_from([0.2, 1.0, 20.0]))
    shares = rng.dirichlet(np.full(len(present), evenness))
    labels = rng.choice(present, size=n, p=shares)
    labels[:2] = present[:2]  # cleanlab wants two classes
    right = rng.random(n) < draw(st.sampled_from([0.5, 0.9]))
    true = np.where(right, labels, rng.integers(0, n_classes, n))
    logits = rng.normal(size=(n, n_classes)) * draw(st.sampled_from([0.3, 1, 3]))
    logits[np.arange(n), true] += draw(st.sampled_from([0, 1, 4]))
    pred_probs = np.exp(logits)
    pred_probs /= pred_probs.sum(axis=1, keepdims=True)
    decimals = draw(st.sampled_from([None, None, 2, 1, 0]))
    if decimals is not None:
        likeliest = np.eye(n_classes)[pred_probs.argmax(axis=1)]
        pred_probs = np.round(pred_probs, decimals)
        # Nothing but zeros is no distribution.
        nothing = pred_probs.sum(axis=1) == 0
        pred_probs[nothing] = likeliest[nothing]
    pred_probs = pred_probs.astype(draw(st.sampled_from(["f8", "f4", "f4", "f2"])))
    if draw(st.booleans()):
        pred_probs = np.asfortranarray(pred_probs)
    return labels, pred_probs
