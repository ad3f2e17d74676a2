"""What --model may say, and the estimator that it means."""

import importlib
import importlib.util
import os
import sys

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from hubclean._compat import require
from hubclean.exceptions import DatasetError
from hubclean.plotting._content import kind_of

_ADAPTERS = {
    "torch": ("hubclean.pytorch", "skorch"),
    "keras": ("hubclean.keras", "scikeras"),
}
_SKLEARN = {
    "logistic": lambda: LogisticRegression(max_iter=1000),
    "forest": lambda: RandomForestClassifier(n_estimators=200, min_samples_leaf=2),
    "boosting": HistGradientBoostingClassifier,
}
_TEXT_WORDS = 4  # words in a cell, on average, from which a column is text


def make_estimator(model, framework, X, *, epochs, batch_size, option="--model"):
    """Estimator for what --model and --framework say.

    Parameters
    ----------
    model : str or None
        A name (``logistic``, ``resnet18``), or ``module:Class`` or
        ``module:build_fn``; None takes what suits the data.
    framework : {"torch", "keras", "sklearn"} or None
        None takes what suits the data and is installed.
    X : rows
        The data, to suit.
    epochs, batch_size : int
        For networks.
    option : str
        Named in errors.

    Returns
    -------
    estimator : classifier
    """
    kind = kind_of(X)
    built = None if model is None or ":" not in model else _load(model, option)
    if built is not None and framework is None and _is_sklearn(built):
        framework = "sklearn"
    if model in _SKLEARN:
        framework = framework or "sklearn"
    framework = framework or _suitable(kind)
    if framework == "sklearn":
        return _sklearn_estimator(built, model, X, kind, option)
    module, factory = _ADAPTERS[framework]
    make = getattr(require(module, extra=framework, by=f"--framework {framework}"),
                   factory)  # fmt: skip
    name = "module" if framework == "torch" else "model"
    what = built if built is not None else model
    if framework == "torch" and callable(what) and not isinstance(what, type):
        what = _instance(what, option)
    return make(**{name: what, "epochs": epochs, "batch_size": batch_size})


def made_ready(X, estimator):
    """Rows as numbers, and the classifier alone, where what reads the rows is ours.

    Leave-one-out evidence looks at numbers, not at what a model does with the rows.
    """
    if not isinstance(getattr(estimator, "steps", None), list):
        return X, estimator
    ready, classifier = estimator[0], estimator[-1]
    if not isinstance(ready, (ColumnTransformer, TfidfVectorizer)):
        return X, estimator
    return ready.fit_transform(X), classifier


def _suitable(kind):
    """Networks for images where one can be had, scikit-learn for the rest."""
    if kind == "image":
        for framework, packages in (
            ("torch", ("torch", "skorch")),
            ("keras", ("keras", "scikeras")),
        ):
            if all(importlib.util.find_spec(package) for package in packages):
                return framework
    return "sklearn"


def _load(spec, option):
    """What stands at ``module:name``; the folder one is in is looked at, too."""
    typer = require("typer", extra="cli", by="The command hubclean")
    module_name, _, name = spec.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
        return getattr(module, name)
    except (ImportError, AttributeError) as exc:
        raise typer.BadParameter(
            f"{option} must be module:Class or module:build_fn that can be imported "
            f"here; got {spec!r} ({exc})."
        ) from exc


def _is_sklearn(built):
    """Whether a class, an instance or what a function makes is for scikit-learn."""
    return hasattr(built, "get_params") or "sklearn" in getattr(built, "__module__", "")


def _sklearn_estimator(built, model, X, kind, option):
    """A classifier of scikit-learn, with what makes the data ready before it."""
    typer = require("typer", extra="cli", by="The command hubclean")
    if built is not None:
        whole = _instance(built, option)
        if not hasattr(whole, "predict_proba") or hasattr(whole, "steps"):
            return whole
        return whole if kind == "text" else make_pipeline(_ready(X, kind), whole)
    if model is not None and model not in _SKLEARN:
        raise typer.BadParameter(
            f"{option} with --framework sklearn must be {', '.join(_SKLEARN)} or "
            f"module:Class; got {model!r}."
        )
    default = "forest" if kind == "table" else "logistic"
    return make_pipeline(_ready(X, kind), _SKLEARN[model or default]())


def _instance(built, option):
    """What a class or a function makes; an instance is one already."""
    if hasattr(built, "fit") and not isinstance(built, type):
        return built
    typer = require("typer", extra="cli", by="The command hubclean")
    try:
        return built()
    except TypeError as exc:
        raise typer.BadParameter(
            f"{option} must name a class or a function that can be called without "
            f"arguments; got {built!r} ({exc})."
        ) from exc


def _ready(X, kind):
    """What turns rows into numbers."""
    if kind == "text":
        return TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    if kind == "image":
        return FunctionTransformer(flat_pixels)
    return _columns_ready(X)


def flat_pixels(X):
    """Images as rows of numbers from 0 to 1.

    Examples
    --------
    >>> flat_pixels(np.array([[[0, 65535]]], dtype=np.uint16))
    array([[0., 1.]], dtype=float32)
    """
    pixels = np.asarray(X)
    white = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 255
    return pixels.astype(np.float32).reshape(len(pixels), -1) / np.float32(white)


def _columns_ready(X):
    """Numbers scaled, categories one-hot, text by its words."""
    for column in [name for name in X.columns if X[name].dtype.kind == "O"]:
        nested = np.array([np.ndim(cell) > 0 for cell in X[column]])
        if nested.any():
            raise DatasetError(
                f"The column {column!r} holds lists or arrays, in row "
                f"{nested.argmax()} for example; numbers, categories or text are "
                "needed. Make a column of every number, or leave it out with --drop."
            )
    numeric = X.select_dtypes(["number", "bool"]).columns.tolist()
    rest = [column for column in X.columns if column not in numeric]
    text = [column for column in rest if _is_text(X[column])]
    categories = [column for column in rest if column not in text]
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=50, sparse_output=False
    )
    words = make_pipeline(
        FunctionTransformer(as_words), TfidfVectorizer(max_features=300), _dense()
    )
    parts = [("numbers", numbers, numeric), ("categories", encoder, categories)]
    parts += [(f"text of {column}", words, column) for column in text]
    return ColumnTransformer([part for part in parts if len(part[2])])


def _dense():
    return FunctionTransformer(dense_rows, accept_sparse=True)


def dense_rows(X):
    """A sparse matrix as an array, which gradient boosting needs."""
    return X.toarray()


def as_words(column):
    """A column of text, with nothing for what is missing."""
    return column.fillna("").astype(str)


def _is_text(column):
    """Whether cells are sentences and not names of categories."""
    sample = column.dropna().astype(str).head(200)
    words = sample.str.split().str.len()
    return bool(len(sample)) and words.mean() >= _TEXT_WORDS
