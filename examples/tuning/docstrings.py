"""Labelled texts that are in every clone: the docstrings of the five domains, as CSV.

    python examples/tuning/docstrings.py > docstrings.csv

The label is the domain whose code a docstring explains.
"""

import ast
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

DOMAINS = Path(__file__).resolve().parents[2] / "domains"
SHORTEST = 30
EXPLAINED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def rows() -> Iterator[tuple[str, str]]:
    for path in sorted(DOMAINS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, EXPLAINED) else None
            if text and len(text) >= SHORTEST:
                yield " ".join(text.split()), path.relative_to(DOMAINS).parts[0]


if __name__ == "__main__":
    csv.writer(sys.stdout).writerows([("text", "label"), *rows()])
