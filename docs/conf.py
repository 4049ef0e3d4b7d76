"""The site of the documentation: python -m sphinx -b html docs build/docs."""

import re
from importlib.metadata import version as installed
from typing import Any

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
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
exclude_patterns = ["build"]

FIELD = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*): ")


def as_rst(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Our docstrings -> reStructuredText: `code`, `name: words` as a list, indented blocks."""
    made: list[str] = []
    block = example = False
    for line in lines:
        bare = line.strip()
        indented = line.startswith("    ")
        if not bare:
            block = block and not example
            example = False
            made.append("")
        elif bare.startswith(">>>") or example:
            example = True
            made.append(line)
        elif indented and (block or (made and not made[-1])):
            if not block:
                made += [".. code-block:: text", ""]
            block = True
            made.append(line)
        elif field := FIELD.match(line):
            block = False
            made += ["", f"- **{field[1]}**: {_inline(line[field.end() :])}"]
        else:
            within = bool(made) and made[-1].startswith(("- **", "  "))
            block = False
            made.append(("  " if within else "") + _inline(bare))
    lines[:] = made


def _inline(text: str) -> str:
    """`code` in two backticks; stars and trailing underscores that are no markup."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        f"`{part}`" if part.startswith("`") else re.sub(r"([*|]|_(?=\W))", r"\\\1", part)
        for part in parts
    )


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", as_rst)
