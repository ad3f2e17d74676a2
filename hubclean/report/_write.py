"""Write the summary as one HTML, JSON or Markdown file.

It imports `hubclean._compat`, `hubclean.exceptions` and its own folder.
"""

import base64
import hashlib
import json
import re
from pathlib import Path

from hubclean._compat import require
from hubclean.exceptions import ParameterError
from hubclean.report._charts import charts
from hubclean.report._summary import summarise
from hubclean.report._thumbnails import thumbnails

_FORMATS = {".html": "html", ".htm": "html", ".json": "json", ".md": "markdown"}
_PICTURE_BYTES = 20_000_000  # of the 25 MB that a report may take
_HALF_CHARACTERS = re.compile("[\ud800-\udfff]")  # of names that are no UTF-8


def write_report(
    path,
    issues,
    labels,
    X=None,
    *,
    class_names=None,
    row_names=None,
    dataset_version=None,
    provenance=None,
    threshold=None,
    max_suspects=5000,
    kind="auto",
    image_shape=None,
    title="Label review",
    format=None,
):
    """Write a report of what was found; as HTML it is the review tool too.

    Parameters
    ----------
    path : str or Path
        File to write; it replaces an older one.
    issues : DataFrame of shape (n_samples, 3)
        The result table: `label_issues_` of a fitted cleaner, for example.
    labels : array-like of shape (n_samples,)
        The given labels.
    X : array-like, data frame, lazy column or None, default=None
        What the labels are of. Only the suspects are read.
    class_names : sequence of str or dict, default=None
        What to show for a class: by position for labels 0 to n_classes - 1, or by
        label. None shows the labels themselves.
    row_names : sequence of str, default=None
        What to call each row, its file name for example.
    dataset_version : str, default=None
        Version of the data that was judged. It stands in ``decisions.csv``. None names
        the content of `labels`; decisions are then refused for other labels. One of
        your own is checked for Hub datasets alone.
    provenance : dict, default=None
        How the table came about: estimator, parameters, versions.
    threshold : float, default=None
        The cut that was used, where it was one number.
    max_suspects : int, default=5000
        Most suspects to list, the worst.
    kind : {"auto", "image", "text", "table"}, default="auto"
        What rows of X are.
    image_shape : tuple of int, default=None
        Shape of one image, where rows of X are images laid out flat.
    title : str, default="Label review"
        Name of the report.
    format : {"html", "json", "markdown"}, default=None
        What to write; None goes by the end of the file name.

    Returns
    -------
    path : Path
        The file, complete.

    Raises
    ------
    ParameterError
        If the format is unknown.
    MissingPackageError
        If Jinja2, or Pillow for images, is not installed.

    Examples
    --------
    >>> import pandas as pd, tempfile
    >>> issues = pd.DataFrame(
    ...     {
    ...         "is_label_issue": [False, True],
    ...         "label_quality": [0.9, 0.1],
    ...         "predicted_labels": ["ham", "ham"],
    ...     }
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_report(
    ...         f"{folder}/report.md", issues, ["ham", "spam"], ["see you", "lunch?"]
    ...     )
    ...     print(path.read_text().splitlines()[0])
    # Label review
    """
    path = Path(path)
    format = format_of(path, format)
    summary = summarise(
        issues,
        labels,
        X,
        class_names=class_names,
        row_names=row_names,
        dataset_version=dataset_version,
        provenance=provenance,
        threshold=threshold,
        max_suspects=max_suspects,
        kind="image" if image_shape is not None else kind,
        title=title,
    )
    if format == "json":
        text = json.dumps(summary, indent=1, allow_nan=False)
    elif format == "markdown":
        text = _environment(autoescape=False).get_template("report.md").render(summary)
    else:
        pictures = []
        if summary["kind"] == "image":
            rows = _rows_of(issues, len(summary["suspects"]))
            pictures = thumbnails(
                X, rows, max_bytes=_PICTURE_BYTES, image_shape=image_shape
            )
        text = render_html(summary, pictures)
    _replace(path, text)
    return path


def format_of(path, format=None):
    """The format asked for, or the one that the file name tells.

    Raises
    ------
    ParameterError
        If the name tells none.
    """
    path = Path(path)
    if format is None:
        suffix = path.suffix.lower()
        format = _FORMATS.get(suffix, f"a file {path.name}" if suffix else "html")
    if format not in {"html", "json", "markdown"}:
        raise ParameterError(
            "write_report: the name of the file must end in "
            f"{', '.join(_FORMATS)}, or `format` be 'html', 'json' or 'markdown'; got "
            f"{format!r}."
        )
    return format


def _rows_of(issues, n):
    """Positions in X of the suspects of the summary."""
    quality = issues["label_quality"].to_numpy(dtype=float)
    order = quality.argsort(kind="stable")
    return order[issues["is_label_issue"].to_numpy(dtype=bool)[order]][:n]


def render_html(summary, pictures=()):
    """The whole page as text.

    Parameters
    ----------
    summary : dict
        What `summarise` gives.
    pictures : list of str, default=()
        ``data:`` addresses, one for each suspect.

    Returns
    -------
    html : str
    """
    environment = _environment(autoescape=True)
    style = _source(environment, "report.css")
    script = _source(environment, "report.js")
    data = {**summary, "pictures": list(pictures)}
    for unused in ("quality_histogram", "noise_matrix", "provenance"):
        data.pop(unused)
    markup = require("markupsafe", extra="report", by="write_report").Markup
    return environment.get_template("report.html").render(
        summary,
        charts=charts(summary),
        style=markup(style),
        script=markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=markup(_json_in_html(data)),
    )


def _environment(*, autoescape):
    """Jinja2 with the templates of the package."""
    jinja2 = require("jinja2", extra="report", by="write_report")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hubclean", "templates"),
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["markdown_text"] = _markdown_text
    return environment


def _source(environment, name):
    """Text of a file that is put into the page as it is."""
    return environment.loader.get_source(environment, name)[0]


def _hash(text):
    """What the content security policy allows: this very text."""
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()


def _json_in_html(data):
    """JSON that cannot end the script element around it, nor start a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    text = _HALF_CHARACTERS.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _markdown_text(value):
    """Text that stays text in Markdown, on one line of a table."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join("\\" + c if c in "\\`*_{}[]()#|!~$" else c for c in text)


def _replace(path, text):
    """Write the file whole, or leave the older one as it was."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8", errors="replace")
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
