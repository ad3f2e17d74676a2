"""What --model may say, and the estimator that it means."""

import importlib
import importlib.util
import os
import sys

import numpy as np
import pandas as pd
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
    _refuse_columns(X)
    durations = X.select_dtypes("timedelta").columns.tolist()
    numeric = X.select_dtypes(["number", "bool"], "timedelta").columns.tolist()
    rest = [c for c in X.columns if c not in durations + numeric]
    text = [column for column in rest if _is_text(X[column])]
    categories = [column for column in rest if column not in text]
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=50, sparse_output=False
    )
    words = make_pipeline(
        FunctionTransformer(as_words), TfidfVectorizer(max_features=300), _dense()
    )
    parts = [
        ("numbers", numbers, numeric),
        ("durations", _first(as_seconds, numbers), durations),
        ("categories", _first(as_categories, encoder), categories),
    ]
    parts += [(f"text of {column}", words, column) for column in text]
    return ColumnTransformer([part for part in parts if len(part[2])])


def _refuse_columns(X):
    """Refuse what is no finite number, category or text."""
    for column in X.columns:
        if X[column].dtype.kind == "O":
            bad = [np.ndim(c) > 0 or isinstance(c, (dict, set)) for c in X[column]]
            what = "lists, arrays or records"
            mend = "Make a column of every number"
        elif X[column].dtype.kind == "f":
            bad = np.isinf(X[column].to_numpy(dtype=np.float64, na_value=np.nan))
            what, mend = "infinite numbers", "Write them as missing"
        else:
            continue
        if np.any(bad):
            raise DatasetError(
                f"The column {column!r} holds {what}, in row {np.argmax(bad)} for "
                "example; finite numbers, categories or text are needed. "
                f"{mend}, or leave it out with --drop."
            )


def _first(function, step):
    """A step for what a function makes of the columns."""
    return make_pipeline(FunctionTransformer(function), step)


def as_seconds(X):
    """Columns of durations as numbers."""
    return X.apply(lambda column: column.dt.total_seconds())


def as_categories(X):
    """Columns of anything as text, with None for what is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> as_categories(pd.DataFrame({"a": [1, "b", pd.NA]}))["a"].tolist()
    ['1', 'b', None]
    """
    columns = {name: _as_category(X[name]) for name in X.columns}
    return pd.DataFrame(columns, index=X.index, dtype=object)


def _as_category(column):
    """One column as an array of text and None."""
    cells = np.array([str(cell) for cell in column], dtype=object)
    cells[column.isna().to_numpy()] = None
    return cells


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
