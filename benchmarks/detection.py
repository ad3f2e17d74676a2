"""Which wrong labels are found: evidence x score x rule, against cleanlab and others.

Run ``python benchmarks/detection.py``; the table goes to docs/benchmarks. Settings
that are in it already are not run again.
"""

import argparse
import tempfile
import time
import warnings

import numpy as np
import pandas as pd
from _settings import NOISES, Table, data_file, load_images, plant, rounded
from _settings import true_pred_probs as true_probs
from cleanlab.filter import find_label_issues as cleanlab_issues
from cleanlab.rank import get_label_quality_scores
from doubtlab import reason
from joblib import Memory
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier

from hubclean import find_label_issues
from hubclean._leave_one_out import ridge_pred_probs

COLUMNS = (
    "dataset evidence noise level seed rows method planted flagged precision recall "
    "f1 best_f1 average_precision seconds"
).split()
CLEANLAB = (
    "prune_by_noise_rate prune_by_class both confident_learning predicted_neq_given "
    "low_normalized_margin low_self_confidence"
).split()
CIFAR = [f"sparsity{s}_noise{n}" for s in (0, 40) for n in (20, 40, 70)]
# The planted number of rows of lowest quality: no rule, as nobody knows the number.
TOLD = "hubclean, told the planted number"
AVERAGED = ("cv_network", "leave_one_out")


def evidence_probs(evidence, X, labels, seed, learn):
    """Out-of-sample probabilities of every row; `learn` is `learned_probs`, kept."""
    if evidence == "average":
        averaged = [learn(one, X, labels, seed) for one in AVERAGED]
        return np.mean(averaged, axis=0)
    return learn(evidence, X, labels, seed)


def learned_probs(evidence, X, labels, seed):
    """Out-of-sample probabilities of one kind of evidence."""
    if evidence == "leave_one_out":
        return ridge_pred_probs(labels, X, labels.max() + 1)
    model = {
        "cv_logistic": LogisticRegression(max_iter=300),
        "cv_network": MLPClassifier((64,), max_iter=20, random_state=seed),
    }[evidence]
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return cross_val_predict(model, X, labels, cv=folds, method="predict_proba")


def best_f1(quality, wrong):
    """Best F1 score of any cut on this quality."""
    order = np.argsort(quality, kind="stable")
    found, flagged = np.cumsum(wrong[order]), np.arange(1, len(order) + 1)
    last = np.append(quality[order][1:] > quality[order][:-1], True)
    return np.max(2 * found[last] / (flagged[last] + wrong.sum()))


def methods(labels, pred_probs, n_wrong):
    """Name, mask, quality and seconds of every method; one is told the number wrong."""
    start = time.perf_counter()
    table = find_label_issues(
        labels, pred_probs, filter_by="auto", score_by="clean_probability"
    )
    seconds = time.perf_counter() - start
    quality = table["label_quality"].to_numpy()
    yield "hubclean auto", table["is_label_issue"].to_numpy(), quality, seconds
    told = np.zeros(len(labels), dtype=bool)
    told[np.argsort(quality, kind="stable")[:n_wrong]] = True
    yield TOLD, told, quality, 0.0
    own = get_label_quality_scores(labels, pred_probs)
    margin = get_label_quality_scores(labels, pred_probs, method="normalized_margin")
    masks = {}
    for rule in CLEANLAB:
        start = time.perf_counter()
        masks[rule] = cleanlab_issues(labels, pred_probs, filter_by=rule, n_jobs=1)
        seconds = time.perf_counter() - start
        quality = margin if "margin" in rule else own
        yield f"cleanlab {rule}", masks[rule], quality, seconds
    yield "self_confidence < 0.2", own < 0.2, own, 0.0
    yield "self_confidence < 0.5", own < 0.5, own, 0.0
    union = masks["prune_by_noise_rate"] | (own < 0.2)
    yield "cleanlab default or self_confidence < 0.2", union, own, 0.0
    entropy = get_label_quality_scores(
        labels, pred_probs, method="confidence_weighted_entropy"
    )
    auto = table["is_label_issue"].to_numpy()
    yield "hubclean auto, confidence_weighted_entropy", auto, entropy, 0.0
    yield from doubtlabs(labels, pred_probs)


def doubtlabs(labels, pred_probs):
    """Reasons of doubtlab with their defaults, alone and together."""
    classes = np.arange(pred_probs.shape[1])
    start = time.perf_counter()
    reasons = {
        "WrongPrediction": reason.WrongPredictionReason.from_predict(
            pred_probs.argmax(axis=1), labels
        ),
        "ShortConfidence": reason.ShortConfidenceReason.from_proba(
            pred_probs, labels, classes
        ),
        "LongConfidence": reason.LongConfidenceReason.from_proba(
            pred_probs, labels, classes, threshold=0.2
        ),
        "Cleanlab": reason.CleanlabReason.from_proba(pred_probs, labels),
    }
    seconds = time.perf_counter() - start
    for name, doubts in reasons.items():
        yield f"doubtlab {name}", doubts > 0, 1 - doubts.astype(float), seconds / 4
    doubts = np.sum([doubts.astype(float) for doubts in reasons.values()], axis=0)
    yield "doubtlab ensemble of these", doubts > 0, -doubts, seconds


def judge(keys, labels, wrong, pred_probs):
    """Table rows of one setting."""
    rows = []
    for name, mask, quality, seconds in methods(labels, pred_probs, wrong.sum()):
        found, scores = (mask & wrong).sum(), [""] * 5
        if wrong.any():
            scores = [
                found / max(mask.sum(), 1),
                found / wrong.sum(),
                2 * found / (mask.sum() + wrong.sum()),
                best_f1(quality, wrong),
                average_precision_score(wrong, -quality),
            ]
            scores = [rounded(score) for score in scores]
        counts = [wrong.sum(), mask.sum()]
        rows.append([*keys, len(labels), name, *counts, *scores, rounded(seconds)])
    return rows


def run_images(table, dataset, options, memory):
    """Images with planted errors."""
    learn = memory.cache(learned_probs)
    for seed in options.seeds:
        X, y = load_images(dataset, options.data, options.rows, seed)
        reference = memory.cache(true_probs)(X, y, seed)
        for level in options.levels:
            for noise in NOISES if level else NOISES[:1]:
                labels, wrong = plant(noise, y, level, reference, seed)
                for evidence in options.evidence:
                    keys = (dataset, evidence, noise, level, seed)
                    if not table.has(*keys):
                        probs = evidence_probs(evidence, X, labels, seed, learn)
                        table.add(judge(keys, labels, wrong, probs))


def run_cifar(table, options):
    """Published probabilities; their errors are planted already."""
    stored = np.load(data_file(options.data, "cifar10_published_pred_probs.npz"))
    for name in CIFAR:
        keys = ("cifar10", "published", name.split("_")[0], int(name[-2:]) / 100, 0)
        if not table.has(*keys):
            probs = np.maximum(stored[f"pred_probs_{name}"].astype(np.float64), 1e-6)
            probs /= probs.sum(axis=1, keepdims=True)
            labels = stored[f"given_label_{name}"].astype(np.int64)
            table.add(judge(keys, labels, labels != stored["true_label"], probs))


def summary(path):
    """Mean and worst of F1 over the best cut, and the errors found, by method."""
    results = pd.read_csv(path)
    results = results[results["planted"] > 0]
    results["share"] = results["f1"] / results["best_f1"].clip(lower=1e-9)
    results["ratio"] = results["flagged"] / results["planted"]
    groups = results.groupby("method", sort=False)
    return pd.DataFrame(
        {
            "settings": groups.size(),
            "f1": groups["f1"].mean(),
            "f1_over_best_cut": groups["share"].mean(),
            "spread": groups["share"].std(),
            "worst": groups["share"].min(),
            "average_precision": groups["average_precision"].mean(),
            "flagged_over_planted": groups["ratio"].median(),
        }
    ).round(3)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder of the data; else HUBCLEAN_DATA")
    parser.add_argument("--out", default="docs/benchmarks/detection.csv")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    levels = [0.0, 0.05, 0.1, 0.2, 0.45]
    parser.add_argument("--levels", type=float, nargs="+", default=levels)
    evidence = ["cv_logistic", "cv_network", "leave_one_out", "average"]
    parser.add_argument("--evidence", nargs="+", default=evidence)
    datasets = ["cifar10", "digits", "fashion_mnist"]
    parser.add_argument("--datasets", nargs="+", default=datasets)
    parser.add_argument("--keep", help="folder of probabilities, kept for other runs")
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rows, options.seeds, options.levels = 400, [0], [0.1]
        options.evidence, options.datasets = ["leave_one_out"], ["digits"]
    warnings.filterwarnings("ignore")  # networks that stop before they converge
    table = Table(options.out, COLUMNS, n_keys=5)
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory(options.keep or folder, verbose=0)
        for dataset in options.datasets:
            if dataset == "cifar10":
                run_cifar(table, options)
            else:
                run_images(table, dataset, options, memory)
    print(summary(options.out).to_string())


if __name__ == "__main__":
    main()
