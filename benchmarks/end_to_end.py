"""Labels, folds and training from end to end, side by side with the hand-written way.

Four parts, each chosen with ``--parts``:

- ``arrays``: Fashion-MNIST in memory, one network, the same folds and seeds. (a) a loop
  of `StratifiedKFold`, skorch's `NeuralNetClassifier` and cleanlab; (b) hubclean. Their
  masks must be equal.
- ``hub``: 224 x 224 JPEG images in a Deep Lake dataset on disk, a network so small that
  reading counts. (b) hubclean on arrays that hold them decoded; (c) the hand-written
  loop on ``DataLoader(ds.pytorch())``; (d) hubclean on the dataset.
- ``memory``: (d) in a process of its own whose memory is sampled, with a bound on the
  decoded cache that the datasets exceed more and more.
- ``fashion``: how well the default network of each framework finds planted errors:
  10,000 images, 10 % symmetric, 5 folds, 5 epochs, three seeds.

Contenders take turns in one run, all with one CPU thread for the arithmetic. Run from
the root of the repository::

    HUBCLEAN_DATA=folder python benchmarks/end_to_end.py

where the folder has fashion_mnist.npz: Fashion-MNIST as the arrays X_train, y_train,
X_test and y_test. Results go to docs/benchmarks/end_to_end.csv and .md; what is in the
CSV already is not run again.
``--quick`` runs the same code on small problems, to see that it works.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from _end_to_end_results import Record, write_report
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold

SEED = 0
MB = 2**20
FULL = {
    "arrays": {"rows": 2_500, "folds": 5, "epochs": 3, "batch_size": 64, "rounds": 9},
    "hub": {"rows": 600, "folds": 3, "epochs": 2, "batch_size": 64, "rounds": 7},
    "memory": {"rows": (1_000, 4_000, 8_000), "bound": 64, "folds": 2, "epochs": 1},
    "fashion": {"rows": 10_000, "folds": 5, "epochs": 5, "seeds": (0, 1, 2)},
}
QUICK = {
    "arrays": {"rows": 300, "folds": 2, "epochs": 1, "batch_size": 50, "rounds": 2},
    "hub": {"rows": 60, "folds": 2, "epochs": 1, "batch_size": 16, "rounds": 2},
    "memory": {"rows": (60, 120), "bound": 2, "folds": 2, "epochs": 1},
    "fashion": {"rows": 300, "folds": 2, "epochs": 1, "seeds": (0,)},
}
#: (part, name) -> function of a `Problem` that gives the mask of issues.
CONTENDERS = {}
#: Name of a framework -> function of (epochs, seed) that gives its default classifier.
CLASSIFIERS = {}


def contender(part, name):
    """Register a way of judging the labels of a problem."""

    def register(function):
        CONTENDERS[part, name] = function
        return function

    return register


def classifier(name):
    """Register the default classifier of a framework."""

    def register(function):
        CLASSIFIERS[name] = function
        return function

    return register


class Clock:
    """Seconds on the clock, and of the CPU, since it was made."""

    def __init__(self):
        self.started = time.perf_counter(), time.process_time()

    def read(self):
        """Both, as text."""
        now = time.perf_counter(), time.process_time()
        return [f"{b - a:.2f}" for a, b in zip(self.started, now, strict=True)]


class Problem:
    """Images, noisy labels, folds and settings that all contenders share."""

    def __init__(self, X, labels, settings, folder=None):
        self.X = X
        self.labels = labels
        self.settings = settings
        self.folder = folder
        cv = StratifiedKFold(settings["folds"], shuffle=True, random_state=SEED)
        self.splits = list(cv.split(np.zeros(len(labels)), labels))


def fashion_mnist(folder, rows, seed=SEED, noise=0.1):
    """Images, labels with symmetric errors, and which of them are wrong."""
    path = Path(folder) / "fashion_mnist.npz"
    if not path.exists():
        sys.exit(f"{path} is missing: set HUBCLEAN_DATA")
    with np.load(path) as data:
        rng = np.random.default_rng(seed)
        chosen = rng.permutation(len(data["y_train"]))[:rows]
        X, y = data["X_train"][chosen], data["y_train"][chosen].astype(np.int64)
    wrong = rng.random(rows) < noise
    return X, np.where(wrong, (y + rng.integers(1, 10, rows)) % 10, y), wrong


# -- the network of the timed parts ------------------------------------------------


def small_network(pool=1):
    """Two convolutions on what is left of the images after pooling."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self, channels=1):
            super().__init__()
            self.body = nn.Sequential(
                nn.AvgPool2d(pool),
                nn.Conv2d(channels, 16, 5, stride=2, padding=2),
                nn.ReLU(),
                nn.Conv2d(16, 32, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(2),
                nn.Flatten(),
                nn.Linear(128, 10),
            )
            self.to(memory_format=torch.channels_last)

        def forward(self, x):
            return self.body(x.contiguous(memory_format=torch.channels_last))

    return Network


def skorchs_own(network, settings, n_train, **params):
    """The classifier of a hand-written loop, with shuffling seeded for one fold."""
    import torch
    from skorch import NeuralNetClassifier

    class Shuffled(torch.utils.data.Sampler):
        """One permutation for each epoch; torch's RandomSampler draws a second."""

        def __init__(self):
            self.generator = torch.Generator().manual_seed(SEED)

        def __len__(self):
            return n_train

        def __iter__(self):
            return iter(torch.randperm(n_train, generator=self.generator).tolist())

    torch.manual_seed(SEED)
    return NeuralNetClassifier(
        network,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        train_split=None,
        verbose=0,
        iterator_train__sampler=Shuffled(),
        **params,
    )


def hubcleans(network, settings, **params):
    """Classifier of hubclean with the same network, optimiser and seed."""
    import torch

    from hubclean.pytorch import skorch

    return skorch(
        module=network,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        random_state=SEED,
        average_epochs=0,  # the last one, as in a hand-written loop
        **params,
    )


def cleanlabs_mask(labels, pred_probs):
    """Issues and, as hubclean gives them too, the quality of every label."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    get_label_quality_scores(labels, pred_probs)
    return find_label_issues(labels, pred_probs, n_jobs=1)


def hubcleans_mask(dataset, problem, estimator, **source_params):
    from hubclean import hub

    source = hub.open(dataset, **source_params)
    table = hub.clean_labels(
        source,
        estimator,
        folds=problem.splits,
        verbose=False,
        # What cleanlab's defaults are.
        label_issues_kwargs={"filter_by": "prune_by_noise_rate"},
        label_quality_kwargs={"score_by": "self_confidence"},
    )
    return table["is_label_issue"].to_numpy()


# -- contenders ------------------------------------------------------------------


@contender("arrays", "a: hand-written loop, skorch, cleanlab")
def hand_written_on_arrays(problem):
    X = problem.X[:, None].astype(np.float32) / 255
    pred_probs = np.zeros((len(X), 10))
    for train, test in problem.splits:
        net = skorchs_own(small_network(), problem.settings, len(train))
        net.set_params(predict_nonlinearity="auto").fit(X[train], problem.labels[train])
        pred_probs[test] = net.predict_proba(X[test])
    return cleanlabs_mask(problem.labels, pred_probs)


@contender("arrays", "b: hubclean")
def hubclean_on_arrays(problem):
    from hubclean import hub

    dataset = hub.InMemoryDataset({"images": problem.X, "labels": problem.labels})
    estimator = hubcleans(small_network(), problem.settings)
    return hubcleans_mask(dataset, problem, estimator)


@contender("hub", "b: hubclean on decoded arrays")
def hubclean_on_decoded_arrays(problem):
    from hubclean import hub

    dataset = hub.InMemoryDataset({"images": problem.X, "labels": problem.labels})
    estimator = hubcleans(small_network(8), problem.settings, module__channels=3)
    return hubcleans_mask(dataset, problem, estimator)


@contender("hub", "c: hand-written loop on DataLoader(ds.pytorch())")
def hand_written_on_pytorch(problem):
    import deeplake
    import torch

    def pair(row):
        image = torch.from_numpy(row["images"].astype(np.float32)).permute(2, 0, 1)
        return image / 255, int(row["labels"])

    rows = deeplake.open_read_only(problem.folder).pytorch(transform=pair)
    pred_probs = np.zeros((len(problem.labels), 10))
    for train, test in problem.splits:
        net = skorchs_own(
            small_network(8), problem.settings, len(train), module__channels=3
        )
        net.fit(torch.utils.data.Subset(rows, train.tolist()), None)
        held_out = torch.utils.data.Subset(rows, test.tolist())
        pred_probs[test] = net.predict_proba(held_out)
    return cleanlabs_mask(problem.labels, pred_probs)


@contender("hub", "d: hubclean on the Hub dataset")
def hubclean_on_hub(problem):
    estimator = hubcleans(small_network(8), problem.settings, module__channels=3)
    return hubcleans_mask(problem.folder, problem, estimator, cache=1 << 30)


@classifier("torch")
def default_torch(epochs, seed):
    from hubclean.pytorch import skorch

    return skorch(epochs=epochs, random_state=seed)


# -- parts -----------------------------------------------------------------------


def compare(part, problem, record):
    """Let the contenders of a part take turns; check that masks agree."""
    masks = {}
    for turn in range(problem.settings["rounds"]):
        for (of, name), judge in CONTENDERS.items():
            if of != part or record.has(part, name, turn):
                continue
            clock = Clock()
            masks[name] = judge(problem)
            record(part, name, turn, clock, masks[name].sum(), "rows flagged")
    flagged = list(masks.values())
    for name, mask in list(masks.items())[1:]:
        differ = int((mask != flagged[0]).sum())
        record(part, name, -1, None, differ, "rows flagged unlike the first contender")


def run_arrays(args, settings, record):
    X, labels, _ = fashion_mnist(args.data, settings["rows"])
    compare("arrays", Problem(X, labels, settings), record)


def write_images(folder, args, settings):
    """Write a Deep Lake dataset of JPEG images; return them decoded, and the labels."""
    import deeplake
    from PIL import Image

    X, labels, _ = fashion_mnist(args.data, settings["rows"])
    ds = deeplake.create(folder)
    image_type = deeplake.types.Image(sample_compression="jpeg")
    ds.add_column("images", image_type)
    ds.add_column("labels", deeplake.types.ClassLabel("uint32"))
    files, decoded = [], []
    for image in X:
        file = io.BytesIO()
        large = Image.fromarray(image).resize((224, 224)).convert("RGB")
        large.save(file, "jpeg", quality=90)
        files.append(file.getvalue())
        decoded.append(np.asarray(Image.open(file)))
    ds.append({"images": files, "labels": labels.astype(np.uint32)})
    ds.commit()
    return np.stack(decoded), labels


def run_hub(args, settings, record):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "images")
        X, labels = write_images(path, args, settings)
        compare("hub", Problem(X, labels, settings, path), record)


def run_memory(args, settings, record):
    """Sample the memory of a process that judges datasets larger than its cache."""
    bound = settings["bound"] * MB
    for rows in settings["rows"]:
        name = f"{rows:,} images"
        if record.has("memory", name, 0):
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "images")
            X, _ = write_images(path, args, {**settings, "rows": rows})
            command = [sys.executable, __file__, "--judge", path]
            command += ["--cache", str(bound), *(["--quick"] * args.quick)]
            clock = Clock()
            out = subprocess.run(command, capture_output=True, text=True, check=True)
        idle, peak = map(int, out.stdout.split())
        for megabytes, what in (
            (X.nbytes / MB, "MB of decoded images"),
            (bound / MB, "MB of bound on the cache"),
            ((peak - idle) / MB, "MB more at the peak"),
            (idle / MB, "MB before, with one batch trained"),
        ):
            record("memory", name, 0, clock, megabytes, what)


def judge_and_watch(path, cache, settings):
    """Child process: print memory before, with everything imported, and at the peak."""
    from hubclean import hub

    source = hub.open(path)
    labels = np.asarray(source.y)
    problem = Problem(None, labels, settings, path)
    settings = {**settings, "batch_size": 32}
    estimator = hubcleans(small_network(8), settings, module__channels=3)
    estimator.fit(source.X[:32], np.arange(32) % 10)
    peak, done = [resident_bytes()], threading.Event()
    idle = peak[0]

    def watch():
        while not done.wait(0.005):
            peak[0] = max(peak[0], resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    hubcleans_mask(path, problem, estimator, cache=cache)
    done.set()
    watcher.join()
    print(idle, peak[0])


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run_fashion(args, settings, record):
    """Average precision of 1 - label_quality for the planted errors."""
    from hubclean import hub

    for seed in settings["seeds"]:
        X, labels, wrong = fashion_mnist(args.data, settings["rows"], seed)
        problem = Problem(X, labels, settings)
        dataset = hub.InMemoryDataset({"images": X, "labels": labels})
        for name, make in CLASSIFIERS.items():
            if record.has("fashion", name, seed):
                continue
            clock = Clock()
            table = hub.clean_labels(
                hub.open(dataset),
                make(settings["epochs"], seed),
                folds=problem.splits,
                verbose=False,
            )
            score = average_precision_score(wrong, 1 - table["label_quality"])
            record("fashion", name, seed, clock, score, "average precision")


PARTS = {
    "arrays": run_arrays,
    "hub": run_hub,
    "memory": run_memory,
    "fashion": run_fashion,
}


def import_everything():
    """Import what the contenders use, so that none of them pays for it."""
    import cleanlab.filter  # noqa: F401
    import deeplake  # noqa: F401
    import torch

    import hubclean.hub
    import hubclean.pytorch  # noqa: F401

    torch.set_num_threads(1)
    X, y = np.zeros((20, 1, 8, 8), np.float32), np.arange(20) % 10
    settings = {"epochs": 1, "batch_size": 10}
    for make in (hubcleans, skorchs_own):
        more = () if make is hubcleans else (len(y),)
        make(small_network(), settings, *more).fit(X, y)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HUBCLEAN_DATA", "."))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--judge", help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    settings = QUICK if args.quick else FULL
    if args.judge:
        import_everything()
        judge_and_watch(args.judge, args.cache, settings["memory"])
        return
    import_everything()
    args.output.mkdir(parents=True, exist_ok=True)
    record = Record(args.output / "end_to_end.csv", settings)
    for part in args.parts:
        PARTS[part](args, settings[part], record)
    write_report(record, args.output / "end_to_end.md")


if __name__ == "__main__":
    main()
