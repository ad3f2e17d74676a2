"""Lines of results of `end_to_end.py`, kept as they come, and its report."""

import csv
import os
import platform
import statistics
from importlib.metadata import version

from _markdown import markdown_row

FIELDS = ("part", "contender", "turn", "seconds", "cpu", "value", "what", "settings")


class Record:
    """Lines of results, written as they come, with those of an earlier run."""

    def __init__(self, path, settings):
        self.path = path
        self.settings = settings
        self.lines = []
        if path.exists():
            with open(path, newline="") as file:
                self.lines = list(csv.DictReader(file))

    def has(self, part, contender, turn):
        """Whether an earlier run, with the same settings, has this line."""
        key = (part, contender, str(turn), repr(self.settings[part]))
        return any(
            (x["part"], x["contender"], x["turn"], x["settings"]) == key
            for x in self.lines
        )

    def __call__(self, part, contender, turn, clock, value, what):
        """Add a line, and write all of them."""
        times = ["", ""] if clock is None else clock.read()
        values = (part, contender, turn, *times, f"{value:.4f}", what)
        line = dict(
            zip(FIELDS, (*map(str, values), repr(self.settings[part])), strict=True)
        )
        self.lines.append(line)
        print(*values, sep=" | ", flush=True)
        with open(self.path, "w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(self.lines)

    def of(self, part):
        """Lines of a part, by contender."""
        found = {}
        for line in self.lines:
            if line["part"] == part and line["settings"] == repr(self.settings[part]):
                found.setdefault(line["contender"], []).append(line)
        return found


def seconds_of(lines, clock="seconds"):
    return [float(line[clock]) for line in lines if line[clock]]


def timing_table(record, part):
    """Median seconds of each contender, their spread, and ratios of the medians."""
    rows = record.of(part)
    if not rows:
        return ["not run", ""]
    head = ["contender", "s", "least", "most", "CPU s", "flagged", "unlike first"]
    others = [name[0] for name in rows]
    head += [f"s / {name}" for name in others] + [f"CPU s / {name}" for name in others]
    out = [markdown_row(head), markdown_row(["---"] * len(head))]
    medians = {
        clock: {name: statistics.median(seconds_of(rows[name], clock)) for name in rows}
        for clock in ("seconds", "cpu")
    }
    for name, lines in rows.items():
        seconds = seconds_of(lines)
        unlike = [x["value"] for x in lines if "unlike" in x["what"]]
        cells = [name, *(f"{f(seconds):.1f}" for f in (statistics.median, min, max))]
        cells += [f"{medians['cpu'][name]:.1f}", f"{float(lines[0]['value']):.0f}"]
        cells += [f"{float(unlike[-1]):.0f}" if unlike else ""]
        for of in medians.values():
            cells += [f"{of[name] / of[other]:.2f}" for other in of]
        out.append(markdown_row(cells))
    return [*out, ""]


def fashion_table(record):
    """Average precision of every seed."""
    rows = record.of("fashion")
    if not rows:
        return ["not run", ""]
    seeds = record.settings["fashion"]["seeds"]
    head = [
        "default network of",
        *(f"seed {s}" for s in seeds),
        "mean",
        "CPU s per seed",
    ]
    out = [markdown_row(head), markdown_row(["---"] * len(head))]
    for name, lines in rows.items():
        scores = [float(line["value"]) for line in lines]
        cells = [f"{score:.4f}" for score in (*scores, statistics.mean(scores))]
        median = statistics.median(seconds_of(lines, "cpu"))
        out.append(markdown_row([name, *cells, f"{median:.0f}"]))
    return [*out, ""]


def memory_table(record):
    """Bound and peak for each size of the dataset."""
    rows = record.of("memory")
    if not rows:
        return ["not run", ""]
    head = [x["what"] for x in next(iter(rows.values()))]
    out = [markdown_row(["", *head]), markdown_row(["---"] * (1 + len(head)))]
    for name, lines in rows.items():
        out.append(markdown_row([name, *(f"{float(x['value']):.0f}" for x in lines)]))
    return [*out, ""]


def write_report(record, path):
    """All tables as Markdown."""
    packages = ("torch", "skorch", "cleanlab", "deeplake", "scikit-learn", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    lines = ["# End to end", ""]
    lines += ["Made by `python benchmarks/end_to_end.py`; its first lines say how.", ""]
    lines += [f"{os.cpu_count()} CPUs, {platform.system()}, Python "]
    lines[-1] += f"{platform.python_version()}; {versions}."
    lines.append("")
    lines += [
        "Where others use the machine too, CPU seconds say more than seconds.",
        "",
    ]
    for part, table in (
        ("arrays", timing_table(record, "arrays")),
        ("hub", timing_table(record, "hub")),
        ("memory", memory_table(record)),
        ("fashion", fashion_table(record)),
    ):
        lines += [f"## {part}", "", f"Settings: {record.settings[part]}.", "", *table]
    path.write_text("\n".join(lines))
