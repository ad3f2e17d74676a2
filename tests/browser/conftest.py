"""A real Chromium, without a network, for the report's tests.

It needs selenium, Debian's ``chromium`` and ``chromium-driver``, and for the check of
accessibility ``npm install --no-save axe-core``. The tests say so where one is missing.
"""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hubclean.report import write_report

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
]
CLASSES = ["cat", "dog", "eel", "fox"]


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def driver(tmp_path_factory, downloads):
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(downloads)}
    )
    options.set_capability(
        "goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"}
    )
    service = webdriver.ChromeService(chromedriver)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


class Page:
    """The report as a person uses it: keys, clicks, and what can be read."""

    def __init__(self, driver, downloads):
        self.driver, self.downloads = driver, downloads

    def open(self, path, width=1280, height=900, dark=False):
        self.screen(width, height, dark)
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        self.driver.get(Path(path).resolve().as_uri())
        assert self.script("return document.documentElement.dataset.ready") == "true"

    def screen(self, width, height, dark=False, forced=False):
        command = self.driver.execute_cdp_cmd
        command(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": width,
                "height": height,
                "deviceScaleFactor": 1,
                "mobile": width < 500,
            },
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        colors = {"name": "forced-colors", "value": "active" if forced else "none"}
        command("Emulation.setEmulatedMedia", {"features": [scheme, colors]})

    def script(self, text, *args):
        return self.driver.execute_script(text, *args)

    def find(self, css):
        return self.driver.find_element("css selector", css)

    def text(self, css):
        return self.find(css).text

    def press(self, *keys):
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def choose(self, css, value):
        from selenium.webdriver.support.ui import Select

        Select(self.find(css)).select_by_value(value)

    def given_and_predicted(self):
        return self.text("#panel-given"), self.text("#panel-predicted")

    def current_row(self):
        return int(self.text("#panel-title").removeprefix("Row ").replace(",", ""))

    def wait(self, condition, seconds=10):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)

    def export(self):
        file = self.downloads / "decisions.csv"
        file.unlink(missing_ok=True)
        self.find("#export").click()
        self.wait(file.exists)
        return file

    def requests(self):
        """Addresses that the page asked for, its own file left out."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return [u for u in found if not u.startswith(("file:", "data:", "blob:"))]

    def errors(self):
        return [e for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]

    def screenshot(self, name):
        folder = os.environ.get("HUBCLEAN_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))


@pytest.fixture
def page(driver, downloads):
    page = Page(driver, downloads)
    yield page
    problems = page.errors()
    page.script("try { localStorage.clear() } catch { }")
    driver.get("about:blank")
    assert not problems


def judged(n, n_issues, seed, classes=CLASSES):
    """Labels and a result table in which `n_issues` rows are issues."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(classes), n)
    flagged = rng.permutation(n) < n_issues
    wrong = (labels + rng.integers(1, len(classes), n)) % len(classes)
    quality = np.where(flagged, 0.3, 0.4) * rng.random(n) + np.where(flagged, 0, 0.6)
    issues = pd.DataFrame(
        {
            "is_label_issue": flagged,
            "label_quality": quality,
            "predicted_labels": np.where(flagged, wrong, labels),
        }
    )
    return labels, issues


def images(labels, side=12):
    """Small pictures, one colour per class."""
    colours = np.array([[200, 60, 60], [60, 160, 60], [60, 60, 200], [180, 150, 40]])
    pictures = np.empty((len(labels), side, side, 3), np.uint8)
    pictures[:] = colours[np.asarray(labels) % 4][:, None, None]
    pictures[:, 3:6, 3:6] = 255
    return pictures


@pytest.fixture
def dataset():
    labels, issues = judged(300, 90, seed=0)
    return labels, issues, images(labels)


@pytest.fixture
def report(tmp_path, dataset):
    labels, issues, X = dataset
    return write_report(
        tmp_path / "report.html",
        issues,
        labels,
        X,
        class_names=CLASSES,
        dataset_version=f"test of {tmp_path.name}",
        threshold=0.3,
        provenance={"estimator": "LogisticRegression()", "cv": 5},
        title="Animals",
    )
