"""Keras from end to end, side by side with the hand-written way.

- ``arrays``: Fashion-MNIST in memory and the network of 784-128-10 that tutorials use.
  (a) a loop of `StratifiedKFold`, Keras's own ``fit`` and ``predict``, and cleanlab;
  (b) hubclean on the same arrays, folds and epochs.
- ``hub``: 224 x 224 JPEG images and a network so small that reading counts. (a) the
  loop on decoded arrays in memory; (d) hubclean on the Deep Lake dataset on disk.

Contenders take turns in one run. Their masks differ: the loop flags by cleanlab's
default rule, hubclean by its own. Run from the root of the repository::

    HUBCLEAN_DATA=folder python benchmarks/end_to_end_keras.py

Results go to docs/benchmarks/end_to_end_keras.csv and .md. ``--quick`` runs the same
code on small problems, to see that it works.
"""

import argparse
import csv
import os
import platform
import statistics
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _markdown import markdown_row
from end_to_end import (
    Clock,
    Problem,
    cleanlabs_mask,
    fashion_mnist,
    write_images,
)

from hubclean._compat import require

FULL = {
    "arrays": {"rows": 5_000, "folds": 5, "epochs": 5, "batch_size": 64, "rounds": 3},
    "hub": {"rows": 600, "folds": 3, "epochs": 3, "batch_size": 64, "rounds": 3},
}
QUICK = {
    "arrays": {"rows": 200, "folds": 2, "epochs": 1, "batch_size": 50, "rounds": 1},
    "hub": {"rows": 60, "folds": 2, "epochs": 1, "batch_size": 16, "rounds": 1},
}
FIELDS = ("part", "contender", "turn", "seconds", "cpu", "flagged", "settings")


def network(part):
    """Compiled network for the images of a part."""
    import keras

    layers = keras.layers
    if part == "arrays":
        body = [keras.Input((28, 28)), layers.Rescaling(1 / 255), layers.Flatten()]
        body.append(layers.Dense(128, activation="relu"))
    else:
        body = [keras.Input((224, 224, 3)), layers.AveragePooling2D(8)]
        body += [layers.Rescaling(1 / 255), layers.Conv2D(16, 3, 2, activation="relu")]
        body += [layers.Conv2D(32, 3, 2, activation="relu"), layers.Flatten()]
    model = keras.Sequential([*body, layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def hand_written(problem, part):
    """What people write without hubclean."""
    settings = problem.settings
    size = settings["batch_size"]
    pred_probs = np.zeros((len(problem.labels), 10))
    for train, test in problem.splits:
        model = network(part)
        X, y = problem.X[train], problem.labels[train]
        model.fit(X, y, epochs=settings["epochs"], batch_size=size, verbose=0)
        pred_probs[test] = model.predict(problem.X[test], batch_size=size, verbose=0)
    return cleanlabs_mask(problem.labels, pred_probs)


def classifier(problem, part):
    """Classifier of hubclean with the same network."""
    from hubclean import scikeras

    settings = problem.settings
    return scikeras(
        network(part),
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        random_state=0,
    )


def hubclean_on_arrays(problem, part):
    """Judge the rows of arrays; no final training, as in the loop."""
    from hubclean import LabelCleaningSampler

    sampler = LabelCleaningSampler(classifier(problem, part), cv=problem.splits)
    sampler.fit_resample(problem.X, problem.labels)
    return sampler.label_issues_["is_label_issue"].to_numpy()


def hubclean_on_hub(problem, part):
    """Judge the rows of a Deep Lake dataset."""
    from hubclean import hub

    source = hub.open(problem.folder, cache=1 << 30)
    model = classifier(problem, part)
    table = hub.clean_labels(source, model, folds=problem.splits, verbose=False)
    return table["is_label_issue"].to_numpy()


CONTENDERS = {
    "arrays": {
        "a: hand-written loop, Keras, cleanlab": hand_written,
        "b: hubclean": hubclean_on_arrays,
    },
    "hub": {
        "a: hand-written loop on decoded arrays": hand_written,
        "d: hubclean on the Hub dataset": hubclean_on_hub,
    },
}


def compare(part, problem):
    """Lines of results; contenders take turns, the other one first each time."""
    lines = []
    for turn in range(problem.settings["rounds"]):
        contenders = list(CONTENDERS[part].items())
        for name, judge in contenders[:: 1 if turn % 2 else -1]:
            clock = Clock()
            mask = judge(problem, part)
            times = clock.read()
            line = (part, name, turn, *times, int(mask.sum()), repr(problem.settings))
            print(*line[:-1], sep=" | ", flush=True)
            lines.append(dict(zip(FIELDS, line, strict=True)))
    return lines


def run(part, args, settings):
    """Make the problem of a part, and compare."""
    if part == "arrays":
        X, labels, _ = fashion_mnist(args.data, settings["rows"])
        return compare(part, Problem(X, labels, settings))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "images")
        X, labels = write_images(path, args, settings)
        return compare(part, Problem(X, labels, settings, path))


def table(lines):
    """Median seconds, their spread, and the ratio to the first contender."""
    head = ["contender", "s", "least", "most", "CPU s", "flagged", "s / a", "CPU s / a"]
    out = [markdown_row(head), markdown_row(["---"] * len(head))]
    names = sorted({line["contender"] for line in lines})
    times = {
        name: [
            [float(x[f]) for x in lines if x["contender"] == name] for f in FIELDS[3:6]
        ]
        for name in names
    }
    first = [statistics.median(clock) for clock in times[names[0]]]
    for name, (seconds, cpu, flagged) in times.items():
        medians = statistics.median(seconds), statistics.median(cpu)
        cells = [
            name,
            f"{medians[0]:.1f}",
            f"{min(seconds):.1f}",
            f"{max(seconds):.1f}",
        ]
        cells += [f"{medians[1]:.1f}", f"{statistics.median(flagged):.0f}"]
        cells += [f"{a / b:.2f}" for a, b in zip(medians, first[:2], strict=True)]
        out.append(markdown_row(cells))
    return out


def write_report(lines, settings, folder):
    """CSV and Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "end_to_end_keras.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(lines)
    packages = ("keras", "tensorflow-cpu", "scikeras", "cleanlab", "deeplake", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    out = ["# Keras from end to end", ""]
    out += [
        "Made by `python benchmarks/end_to_end_keras.py`; its first lines say how.",
        "",
    ]
    out += [f"{os.cpu_count()} CPUs, {platform.system()}, {versions}.", ""]
    for part in CONTENDERS:
        found = [line for line in lines if line["part"] == part]
        if found:
            out += [
                f"## {part}",
                "",
                f"Settings: {settings[part]}.",
                "",
                *table(found),
                "",
            ]
    (folder / "end_to_end_keras.md").write_text("\n".join(out))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HUBCLEAN_DATA", "."))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--parts", nargs="+", default=list(CONTENDERS))
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    settings = QUICK if args.quick else FULL
    require("deeplake", extra="hub", by="this benchmark")
    for model in map(network, args.parts):  # nobody pays for the imports
        model.predict(np.zeros((1, *model.input_shape[1:])), verbose=0)
    lines = [line for part in args.parts for line in run(part, args, settings[part])]
    write_report(lines, settings, args.out)


if __name__ == "__main__":
    main()
