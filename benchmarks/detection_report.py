"""Write docs/benchmarks/detection.md and its figure from the table of `detection.py`.

Run ``python benchmarks/detection_report.py`` after ``python benchmarks/detection.py``.
"""

import argparse
from pathlib import Path

import pandas as pd
from _markdown import listed, markdown
from detection import TOLD, summary

KEYS = ["dataset", "evidence", "noise", "level", "seed"]
OURS, THEIRS = "hubclean auto", "cleanlab prune_by_noise_rate"
SYMMETRIC_AND_INSTANCE = ["symmetric", "instance_dependent"]


def compared(results):
    """The two defaults side by side, a line for each setting."""
    ours = results[results["method"] == OURS].set_index(KEYS)
    theirs = results[results["method"] == THEIRS].set_index(KEYS)
    return pd.DataFrame(
        {
            "rows": ours["rows"],
            "planted": ours["planted"],
            "flagged": ours["flagged"],
            "flagged cleanlab": theirs["flagged"],
            "F1": ours["f1"],
            "F1 cleanlab": theirs["f1"],
            "best cut": ours["best_f1"],
            "AP": ours["average_precision"],
            "AP cleanlab": theirs["average_precision"],
            "F1 / best cut": ours["f1"] / ours["best_f1"],
            "flagged / planted": ours["flagged"] / ours["planted"],
        }
    ).reset_index()


def coverage(results):
    """Which settings the table has."""
    groups = results[results["method"] == OURS].groupby(["dataset", "evidence"])
    return groups.agg(
        settings=("seed", "size"),
        seeds=("seed", lambda s: listed(s, " ")),
        levels=("level", lambda s: " ".join(f"{v:g}" for v in sorted(set(s)))),
        rows=("rows", "max"),
    ).reset_index()


def report(results, methods):
    """Markdown of everything."""
    both = compared(results)
    planted = both[both["planted"] > 0]
    clean = both[both["planted"] == 0]
    share, ratio = planted["F1 / best cut"], planted["flagged / planted"]
    means = ["F1", "F1 cleanlab", "AP", "AP cleanlab", "F1 / best cut"]
    means.append("flagged / planted")
    by_level = planted.groupby(["dataset", "noise", "level"])[means].mean()
    asked = planted[
        (planted["dataset"] == "fashion_mnist")
        & planted["noise"].isin(SYMMETRIC_AND_INSTANCE)
    ]
    asked = asked.groupby(["evidence", "noise", "level"])[means].mean().reset_index()
    low = planted[share < 0.93].groupby(["dataset", "evidence", "noise", "level"])
    low = low[["F1", "best cut", "F1 cleanlab", "F1 / best cut", "flagged / planted"]]
    low = low.agg("mean").join(low.size().rename("settings")).reset_index()
    lost = planted[planted["F1"] < planted["F1 cleanlab"]]
    lost = lost.groupby(["dataset", "evidence", "noise", "level"]).agg(
        **{
            "settings": ("F1", "size"),
            "F1": ("F1", "mean"),
            "cleanlab": ("F1 cleanlab", "mean"),
        }
    )
    for name in ("flagged", "flagged cleanlab"):
        clean = clean.assign(**{f"{name} / rows": clean[name] / clean["rows"]})
    clean = clean.groupby(["dataset", "evidence"])[
        ["flagged / rows", "flagged cleanlab / rows"]
    ].mean()
    fixed = methods.drop([name for name in methods.index if "doubtlab" in name])
    fixed = fixed.drop([name for name in fixed.index if name.startswith("hubclean")])
    lead = share.mean() - fixed["f1_over_best_cut"].max()
    of_seeds = share.groupby([planted[key] for key in KEYS[:-1]]).mean()
    told = results[(results["method"] == TOLD) & (results["planted"] > 0)]
    told = told.set_index(KEYS)
    told = told["f1"] / told["best_f1"]
    told_of_seeds = told.groupby(KEYS[:-1]).mean()
    better = (planted["F1"] > planted["F1 cleanlab"]).sum()
    ahead = (planted["AP"] > planted["AP cleanlab"]).sum()
    behind = planted[planted["AP"] <= planted["AP cleanlab"]]
    behind = behind[[*KEYS, "AP", "AP cleanlab"]]
    return f"""# Detection: which wrong labels are found

```
HUBCLEAN_DATA=... python benchmarks/detection.py
python benchmarks/detection_report.py
```

Every line of `detection.csv` is one method on one setting: data set, evidence, kind
of noise, level, seed. Settings and seeds are those the program starts with. The
constants of the rule were set on other seeds (1000, and 1001 to 1009 for questions that
earlier runs of this very table raised: few errors by instance, ridge leave-one-out with
5 % of errors, the count of uneven errors, pair flips of 45 %, and 70 % of errors), with
these and other models (random forest, naive Bayes, neighbours) and data (synthetic, few
classes, imbalance), and on the six sets of published CIFAR-10 probabilities, which
therefore count as development data. Rows of another seed are other draws from the same
images.

{markdown(coverage(results))}

Fashion-MNIST: seeded rows of the training set, 60 principal components. Noise by
instance follows a network that learned from true labels. `leave_one_out` is the ridge
classifier of `LeaveOneOut`, `average` the mean of it and `cv_network`, the others are
5 folds. The rounds in which `LeaveOneOut` makes labels softer are part of the
probabilities that every method is given, cleanlab's too. Seconds in the table are of a
machine that did other work too.

![F1 over the best cut of every method](detection.png)

## All settings with planted errors

F1 / best cut: F1 of the rule over that of the best cut on the same score. For
hubclean the score is `clean_probability`, for cleanlab its own. cleanlab's first four
rules are not cuts of a score; doubtlab's reasons give no score, so their best cut is
their own, and only F1 says something. scikit-clean 0.1.2 does not import with
scikit-learn 1.9.

{markdown(methods.reset_index())}

Against cleanlab's default (`prune_by_noise_rate`, self confidence), hubclean's
default has the higher F1 in {better} and the higher average precision in {ahead} of
{len(planted)} settings. {(share >= 0.93).sum()} of them reach 0.93 of the best cut;
{ratio.between(0.8, 1.25).sum()} flag between 0.8 and 1.25 times the planted number.

Asked for: mean >= 0.98 and worst >= 0.93 over all settings, above every fixed rule on
the mean. Reached: mean {share.mean():.3f}, worst {share.min():.3f}, {lead:.3f} above
the best fixed rule. A cut of the same scores that is told how many labels are wrong
reaches mean {told.mean():.3f}, worst {told.min():.3f}, and is under 0.93 in
{(told < 0.93).sum()} settings. Seeds of a setting averaged, the worst of
{len(of_seeds)} is {of_seeds.min():.3f} (told the number: {told_of_seeds.min():.3f}).

## Fashion-MNIST, symmetric and by instance

Asked for: above cleanlab in F1 and average precision at every level, flagged /
planted within 0.8 to 1.25. Mean over seeds.

{markdown(asked)}

## By data, noise and level

Mean over evidence and seeds.

{markdown(by_level.reset_index())}

## No planted errors

Share of the rows flagged; under 1.5 % was asked for Fashion-MNIST, which has some
wrong labels of its own.

{markdown(clean.reset_index())}

## Losses

Settings under 0.93 of the best cut, means:

{markdown(low)}

Settings where cleanlab's default has the higher F1, means:

{markdown(lost.reset_index())}

Settings where its score has at least the average precision of hubclean's:

{markdown(behind, 4)}
"""


def draw(results, path):
    """F1 over that of the best cut, a box for each method with a cut of its own."""
    from matplotlib.figure import Figure

    planted = results[(results["planted"] > 0) & (results["method"] != "")]
    planted = planted[~planted["method"].str.contains("doubtlab|entropy")]
    shares = (planted["f1"] / planted["best_f1"].clip(lower=1e-9)).clip(upper=1.2)
    names = list(planted["method"].unique())[::-1]
    figure = Figure((8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.boxplot(
        [shares[planted["method"] == name] for name in names],
        orientation="horizontal",
        tick_labels=names,
        showmeans=True,
        flierprops={"markersize": 2},
    )
    axes.axvline(1, color="grey", linewidth=0.5)
    axes.set_xlabel("F1 / F1 of the best cut on the same score")
    figure.savefig(path, dpi=120)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--table", type=Path, default="docs/benchmarks/detection.csv")
    options = parser.parse_args(arguments)
    results = pd.read_csv(options.table)
    text = report(results, summary(options.table))
    options.table.with_suffix(".md").write_text(text)
    draw(results, options.table.with_suffix(".png"))


if __name__ == "__main__":
    main()
