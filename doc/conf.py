"""Configuration of Sphinx; ``make docs`` builds the pages in ``build/doc``."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "pipetask"
author = "the pipetask developers"
copyright = "2026, the pipetask developers"
version = release = version_of("pipetask")

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "command_pages"]
exclude_patterns = ["figures_notes.md", "README.md"]  # parts of other pages

default_role = "py:obj"
smartquotes = False  # two dashes are two dashes
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}
numpydoc_show_class_members = False
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "alabaster"
html_title = f"pipetask {version}"
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_theme_options = {
    "description": "Execute quantum graphs",
    "fixed_sidebar": True,
    "page_width": "1100px",
    "sidebar_width": "240px",
}
html_show_sourcelink = False
html_copy_source = False
