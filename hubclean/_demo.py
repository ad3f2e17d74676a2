"""The main job, end to end, on real images: what ``make demo`` shows.

It uses the public functions only, in the order in which a user would.
"""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd

from hubclean._compat import require
from hubclean.exceptions import DatasetError

_N_TRAIN = 1400
_WORST = 10
_SHEET = "worst_images.png"
#: An empty file in the demo's dataset: what lies beside it may be replaced.
_MARK = ".hubclean-demo"


def run_demo(output="demo-output", *, random_state=0, epochs=10, echo=print):
    """Find planted wrong labels in images of digits, and write what was found back.

    Parameters
    ----------
    output : str or Path, default="demo-output"
        Folder for the dataset ``digits`` and the contact sheet
        ``worst_images.png``; those of an earlier demo are replaced.
    random_state : int, default=0
        Seeds the planted errors, the folds and the network.
    epochs : int, default=10
        Epochs of each of the seven trainings.
    echo : callable, default=print
        Takes each line of what is shown.

    Returns
    -------
    summary : dict
        Precision, recall, accuracies, paths and seconds.

    Raises
    ------
    DatasetError
        If something that no demo wrote lies where the dataset or the contact sheet
        would; it is not touched.
    """
    from hubclean import HubLabelCleaner, datasets, hub, skorch

    started = time.perf_counter()
    folder = Path(output)
    _make_room(folder)
    path = datasets.write_digits(folder / "digits")
    (folder / "digits" / _MARK).touch()
    echo(f"1. Wrote scikit-learn's digits as PNG images into the dataset {path}")

    wrong = _plant_errors(hub, datasets, path, random_state)
    source = hub.open(path, branch="planted")
    given = np.asarray(source.y)
    train, test = np.arange(_N_TRAIN), np.arange(_N_TRAIN, len(given))
    echo(f"2. Planted {wrong.sum()} wrong labels in {_N_TRAIN} training images (10 %)")

    echo(f"3. Training a small network in 5 folds of {epochs} epochs")
    network = skorch(epochs=epochs)
    cleaner = HubLabelCleaner(network, cv=5, random_state=random_state, verbose=1)
    cleaner.fit(source.X[train], given[train])
    issues = _for_all_rows(cleaner.label_issues_, given)

    commit = hub.create_tensors(source, issues, branch="label-issues", verbose=False)
    flagged = _query_issues(path, source.class_names)
    echo(f"4. Wrote label_issues/* on the branch 'label-issues' (commit {commit})")
    echo(f"   and read {len(flagged)} label issues back with a query. The worst ten:\n")
    echo(flagged.head(_WORST).to_string(index=False))

    view = hub.clean_view(path, branch="label-issues")
    echo(f"\n5. The clean view has {len(view)} of {len(given)} rows")
    sheet = _contact_sheet(issues, given, source, folder / _SHEET)
    found = issues["is_label_issue"].to_numpy()
    before = network.set_params(random_state=random_state)
    before.fit(source.X[train], given[train])
    summary = {
        "n_planted": int(wrong.sum()),
        "n_flagged": int(found.sum()),
        "precision": float(wrong[found].mean()),
        "recall": float(found[wrong].mean()),
        "accuracy_before": float(before.score(source.X[test], given[test])),
        "accuracy_after": float(cleaner.score(source.X[test], given[test])),
        "dataset": str(path),
        "contact_sheet": str(sheet),
        "seconds": time.perf_counter() - started,
    }
    for line in _summary_lines(summary, len(test)):
        echo(line)
    return summary


def _make_room(folder):
    """Remove what an earlier demo wrote, and refuse to touch anything else."""
    digits, sheet = folder / "digits", folder / _SHEET
    if (digits / _MARK).is_file():
        sheet.unlink(missing_ok=True)
        shutil.rmtree(digits)
    for path in (digits, sheet):
        empty = path.is_dir() and not any(path.iterdir())
        if os.path.lexists(path) and not empty:
            raise DatasetError(
                f"run_demo: {str(path)!r} must be new, or what an earlier demo wrote; "
                "there is something else already. Choose another folder with "
                "--output, or move it away."
            )


def _plant_errors(hub, datasets, path, random_state):
    """Relabel a tenth of the training rows on a branch; returns the mask of them."""
    source = hub.open(path)
    true = np.asarray(source.y)
    noisy, planted = datasets.symmetric_noise(
        true[:_N_TRAIN], 0.1, random_state=random_state
    )
    rows = np.flatnonzero(planted)
    wrong = pd.DataFrame({"row": rows, "decision": "relabel", "new_label": noisy[rows]})
    hub.apply_decisions(source, wrong, branch="planted")
    mask = np.zeros(len(true), dtype=bool)
    mask[rows] = True
    return mask


def _for_all_rows(found, given):
    """Extend the table to the test rows, which nobody judged."""
    unjudged = pd.DataFrame(
        {
            "is_label_issue": False,
            "label_quality": np.nan,
            "predicted_labels": given[len(found) :],
        }
    )
    return pd.concat([found, unjudged], ignore_index=True)


def _query_issues(path, names):
    """Rows with label issues, the worst first, as a query of the dataset gives them."""
    deeplake = require("deeplake", extra="hub", by="run_demo")
    parent = deeplake.open(path)  # a branch lives as long as the parent it came from
    dataset = parent.branches["label-issues"].open()
    view = dataset.query(
        "select * from (select *, ROW_NUMBER() as row) "
        'where "label_issues/is_label_issue" == true '
        'order by "label_issues/label_quality"'
    )
    quality = view["label_issues/label_quality"][:]
    predicted = view["label_issues/predicted_labels"][:]
    return pd.DataFrame(
        {
            "row": np.asarray(view["row"][:]).astype(int),
            "given": [names[k] for k in view["labels"][:]],
            "predicted": [names[k] for k in predicted],
            "quality": [f"{value:.6f}" for value in quality],
        }
    )


def _contact_sheet(issues, given, source, path):
    """Draw the worst images into a PNG."""
    from hubclean.plotting import WorstExamplesDisplay

    display = WorstExamplesDisplay.from_issues(
        issues, given, source.X, class_names=source.class_names
    )
    display.figure_.savefig(path, dpi=150)
    return path.absolute()


def _summary_lines(summary, n_test):
    """What the demo says in the end."""
    return [
        "",
        f"Flagged          {summary['n_flagged']} for {summary['n_planted']} planted",
        f"Precision        {summary['precision']:.3f}",
        f"Recall           {summary['recall']:.3f}",
        f"Test accuracy    {summary['accuracy_before']:.3f} before cleaning, "
        f"{summary['accuracy_after']:.3f} after ({n_test} held-out images)",
        f"Dataset          {summary['dataset']}",
        f"Contact sheet    {summary['contact_sheet']}",
        f"Seconds          {summary['seconds']:.0f}",
    ]
