"""Configuration of Sphinx: ``make docs`` builds without warnings, and offline."""

import os
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import hubclean

project = "hubclean"
author = "The hubclean developers"
copyright = "The hubclean developers, Apache-2.0"
version = release = hubclean.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "myst_parser",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "examples"]
default_role = "literal"
nitpicky = False

autosummary_generate = True
autodoc_default_options = {
    # Scikit-learn makes these, with links into its own documentation.
    "exclude-members": "set_fit_request, set_score_request, set_transform_request",
}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False
doctest_test_doctest_blocks = ""  # pytest runs those of the package
doctest_global_setup = "import numpy as np\nimport pandas as pd"

html_theme = "pydata_sphinx_theme"
html_title = "hubclean"
html_static_path = ["_static"]
html_css_files = ["hubclean.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": False,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"quickstart": [], "coming_from": [], "changes": []}

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "min_reported_time": 10_000,
    "plot_gallery": os.environ.get("HUBCLEAN_DOCS_PLOTS", "1") == "1",
    "backreferences_dir": None,
    "parallel": False,
}
# The examples run in this process: what other packages warn about is not ours.
warnings.filterwarnings("ignore", category=DeprecationWarning)
