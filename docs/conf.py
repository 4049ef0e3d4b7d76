"""The site of the documentation: python -m sphinx -b html docs build/docs."""

from importlib.metadata import version as installed

project = "foundation"
copyright = "the authors of foundation"
release = version = installed("foundation-toolkit")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"foundation {version}"
myst_heading_anchors = 3
# Links out of docs/ are right in the repository, where most people read these pages.
suppress_warnings = ["myst.xref_missing", "myst.header"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
exclude_patterns = ["build"]
