"""The catalogue of errors is complete; tests/docs/test_pages.py runs its examples."""

import inspect
import re
from pathlib import Path

from foundation import errors

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def test_every_error_has_its_section_with_an_example() -> None:
    classes = {
        name
        for name, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, errors.FoundationError)
    }
    sections = dict(
        part.partition("\n")[::2]
        for part in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    )
    assert set(sections) == classes
    assert all("```bash" in text and "```text" in text for text in sections.values())


def test_the_tree_drawn_is_the_tree_there_is() -> None:
    drawn = re.search(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert drawn is not None
    assert errors.__doc__ is not None
    assert _tree(drawn[1]) == _tree(errors.__doc__)


def _tree(text: str) -> list[str]:
    """The branches and names of a tree, without what is said beside them."""
    return re.findall(
        r"^ *([│├└─ ]*\w+(?:Error|Name|Extra|Altered|Interrupted))\b", text, re.MULTILINE
    )
