"""README and docs tell the truth: their quick commands run and print what is shown.

Those marked slow are run by hand: python -m tests.docs.walk README.md docs/*.md --slow
"""

from pathlib import Path

import pytest

from tests.docs import walk

GUIDES = (
    "api", "code", "errors", "language", "molecules", "pictures", "placement", "rasters",
    "releasing", "scale", "trust", "tuning",
)  # fmt: skip
PAGES = [walk.ROOT / "README.md", *(walk.ROOT / f"docs/{name}.md" for name in GUIDES)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_quick_commands_do_what_the_page_says(page: Path, tmp_path: Path) -> None:
    walk.prepare(tmp_path)
    for block in walk.blocks(page):
        if block.how == "quick":
            walk.run(block, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_of_the_other_commands_are_there(page: Path) -> None:
    for block in walk.blocks(page):
        if block.how != "quick" and block.language == "bash":
            walk.composed(block)


def test_output_that_is_not_what_is_shown_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\necho one\n```\n\n```text\ntwo\n```\n\n<!-- slow -->\n\n```bash\nx\n```\n"
    )
    first, second = walk.blocks(page)
    with pytest.raises(AssertionError, match=r"line 1 shows\ntwo"):
        walk.run(first, tmp_path)
    assert second.how == "slow"
