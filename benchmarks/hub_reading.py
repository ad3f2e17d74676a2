"""How fast images come out of a Deep Lake dataset, in shuffled order.

    python benchmarks/hub_reading.py --images 2000 --rounds 3

Every way of reading is measured once in each round, one after the other, so that a
busy machine slows all of them; medians, their spread and the ratios of medians are
printed, with CPU time per image, which other processes disturb less. Also printed: the
peak memory while a dataset of four times the cache bound is read, and the time to
write, commit and read back a result table of a million rows.
"""

import argparse
import io
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import pandas as pd

from hubclean import hub
from hubclean.hub._images import decode_images

SIDE = 224
BATCH = 64


def make_dataset(path, n_images, seed=0):
    """JPEG images of about 20 KB: smooth shapes under some noise."""
    import deeplake
    from PIL import Image

    rng = np.random.default_rng(seed)
    types = deeplake.types
    dataset = deeplake.create(path)
    dataset.add_column("images", types.Image(sample_compression="jpeg"))
    dataset.add_column("labels", types.ClassLabel("uint8"))
    for start in range(0, n_images, 500):
        files = []
        for _ in range(min(500, n_images - start)):
            low = rng.integers(0, 256, (14, 14, 3), dtype=np.uint8)
            smooth = Image.fromarray(low).resize((SIDE, SIDE), Image.BICUBIC)
            noisy = np.asarray(smooth) + rng.integers(-12, 13, (SIDE, SIDE, 1))
            buffer = io.BytesIO()
            image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
            image.save(buffer, "JPEG", quality=90)
            files.append(buffer.getvalue())
        labels = np.arange(start, start + len(files)) % 10
        dataset.append({"images": files, "labels": labels.astype(np.uint8)})
    dataset.commit("images")


class Ways:
    """Each method reads all images once."""

    def __init__(self, path, threads, seed):
        import deeplake

        self.dataset = deeplake.open_read_only(path)
        self.source = hub.open(path, n_threads=threads)
        self.cached = hub.open(path, n_threads=threads, cache=1 << 32)
        self.n = len(self.source)
        order = np.random.default_rng(seed).permutation(self.n)
        self.batches = np.array_split(order, -(-self.n // BATCH))
        self.threads = threads
        store = self.source._store
        self.files = store.read_bytes("images", np.arange(self.n))
        self.cached.X.read(order)  # the first epoch

    def deep_lake_batches(self):
        """Give rows in order: this way cannot shuffle."""
        for _ in self.dataset.batches(BATCH):
            pass

    def deep_lake_list(self):
        """Ask for lists of indices."""
        for rows in self.batches:
            self.dataset["images"][rows.tolist()]

    def data_loader(self, workers):
        """Go through torch's loader."""
        import torch

        loader = torch.utils.data.DataLoader(
            self.dataset.pytorch(), BATCH, shuffle=True, num_workers=workers
        )
        for _ in loader:
            pass

    def decode_alone(self):
        """Decode bytes that are in memory."""
        for rows in self.batches:
            decode_images([self.files[row] for row in rows], self.threads)

    def hubclean_read(self):
        """Read batch after batch."""
        for rows in self.batches:
            self.source.X.read(rows)

    def hubclean_batches(self):
        """Read ahead."""
        for _ in self.source.X.batches(self.batches):
            pass

    def hubclean_cached(self):
        """Copy from the decoded cache."""
        for rows in self.batches:
            self.cached.X.read(rows)


def measure(ways, rounds):
    """Seconds and CPU seconds for each image, for each way and round."""
    named = {
        "`ds.batches(64)`": ways.deep_lake_batches,
        **{
            f"`DataLoader(ds.pytorch())`, {w} workers": (
                lambda w=w: ways.data_loader(w)
            )
            for w in (0, 1, 2)
        },
        "`column[list]`": ways.deep_lake_list,
        "decoding alone": ways.decode_alone,
        "hubclean `X.read`": ways.hubclean_read,
        "hubclean `X.batches` (prefetch)": ways.hubclean_batches,
        "hubclean, second epoch from the cache": ways.hubclean_cached,
    }
    times = {name: [] for name in named}
    for _ in range(rounds):
        for name, way in named.items():
            cpu = cpu_seconds()
            begin = time.perf_counter()
            way()
            wall = time.perf_counter() - begin
            times[name].append((ways.n / wall, 1e3 * (cpu_seconds() - cpu) / ways.n))
            print(f"  {name}: {times[name][-1][0]:.0f}/s", file=sys.stderr)
    return {name: np.array(values) for name, values in times.items()}


def cpu_seconds():
    """CPU seconds of this process and of its children that ended."""
    used = [
        resource.getrusage(who)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def print_speeds(times):
    print("| way | images/s (median) | min to max | CPU ms/image |")
    print("|---|---:|---:|---:|")
    for name, values in times.items():
        speed, cpu = values.T
        print(
            f"| {name} | {np.median(speed):,.0f} | {speed.min():,.0f} to "
            f"{speed.max():,.0f} | {np.median(cpu):.2f} |"
        )
    speed = {name: np.median(values[:, 0]) for name, values in times.items()}
    loader = max(value for name, value in speed.items() if "DataLoader" in name)
    ours = max(speed["hubclean `X.read`"], speed["hubclean `X.batches` (prefetch)"])
    cached = speed["hubclean, second epoch from the cache"]
    print("\n| ratio of medians | wanted | got |\n|---|---:|---:|")
    print(f"| hubclean / best DataLoader | >= 1.5 | {ours / loader:.2f} |")
    print(
        f"| hubclean / `ds.batches` | >= 10 | {ours / speed['`ds.batches(64)`']:.1f} |"
    )
    print(
        f"| hubclean / decoding alone | >= 0.8 | {ours / speed['decoding alone']:.2f} |"
    )
    print(f"| second epoch / first | >= 10 | {cached / ours:.1f} |")


_MEMORY = """
import re, sys
import numpy as np
from hubclean import hub

def peak():  # of this process alone; ru_maxrss would begin with that of its parent
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

path, bound, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None
cache = hub.DecodedCache(bound, folder) if bound else None
source = hub.open(path, cache=cache, n_threads=2)
rows = np.arange(len(source))
source.X.read(rows[-64:])
before = peak()
for epoch in range(2):
    for start in range(0, len(rows), 64):
        source.X.read(rows[start : start + 64])
print(before, peak(), source._images_reader.decoded_rows)
"""


def print_memory(path, n_images):
    """Peak memory while two epochs of four times the bound are read."""
    decoded = n_images * SIDE * SIDE * 3
    bound = decoded // 4
    print(f"\nDecoded images {decoded >> 20} MiB, cache bound {bound >> 20} MiB.\n")
    print("| cache | MiB before | MiB peak | grew by | decoded of two epochs |")
    print("|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, room, where in (
            ("none", 0, ""),
            ("memory", bound, ""),
            ("file", bound, folder),
        ):
            out = subprocess.run(
                [sys.executable, "-c", _MEMORY, path, str(room), where],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.split()
            before, after, rows = map(int, out)
            print(
                f"| {name} | {before >> 10} | {after >> 10} | {after - before >> 10} | "
                f"{rows / (2 * n_images):.0%} |"
            )


def print_table_times(folder, n_rows=1_000_000):
    """Write, commit and read back the label tensors of a million rows."""
    import deeplake

    path = os.path.join(folder, "million")
    dataset = deeplake.create(path)
    dataset.add_column("images", "uint8")
    dataset.add_column("labels", deeplake.types.ClassLabel("uint8"))
    zeros = np.zeros(n_rows, np.uint8)
    dataset.append({"images": zeros, "labels": zeros})
    dataset.commit("rows")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "is_label_issue": rng.random(n_rows) < 0.1,
            "label_quality": rng.random(n_rows),
            "predicted_labels": rng.integers(0, 10, n_rows),
        }
    )
    cpu, begin = cpu_seconds(), time.perf_counter()
    hub.create_tensors(path, table)
    written = time.perf_counter() - begin
    again, _ = hub.read_label_issues(path)
    wall, cpu = time.perf_counter() - begin, cpu_seconds() - cpu
    pd.testing.assert_frame_equal(again, table)
    print(f"\n{n_rows:,} rows of label issues, wanted under 10 s:\n")
    print("| written and committed | read back | together | CPU |")
    print("|---:|---:|---:|---:|")
    print(f"| {written:.1f} s | {wall - written:.1f} s | {wall:.1f} s | {cpu:.1f} s |")


def main():
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    import deeplake
    import torch

    warnings.filterwarnings("ignore", message=".*is not writable")
    warnings.filterwarnings("ignore", message="Global variable")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "images")
        make_dataset(path, args.images)
        print(
            f"{args.images} JPEG images of {SIDE} x {SIDE}, shuffled, batches of "
            f"{BATCH}, {args.threads} threads, {args.rounds} rounds; deeplake "
            f"{deeplake.__version__}, torch {torch.__version__}, Python "
            f"{platform.python_version()}, {os.cpu_count()} CPUs, load {load:.1f} at "
            "the start.\n"
        )
        times = measure(Ways(path, args.threads, args.seed), args.rounds)
        print_speeds(times)
        print_memory(path, args.images)
        print_table_times(folder)


if __name__ == "__main__":
    main()
