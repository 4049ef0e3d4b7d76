"""`task=verify`: are these the files that a run wrote? Answered without Hydra."""

from collections.abc import Sequence
from pathlib import Path

from foundation.errors import Altered, InputError, UnknownName

SETTINGS = ("task.input", "task.record", "task.redraw")
SHOWN = 20


def answer(typed: Sequence[str]) -> str:
    """What was found about the file or folder `task.input`; Altered where it is not the same."""
    from foundation.trust.verify import verify

    given: dict[str, str] = {}
    for word in typed:
        name, _, value = word.partition("=")
        if name not in SETTINGS:
            raise UnknownName("setting", name, SETTINGS)
        given[name] = value
    if not given.get("task.input"):
        raise InputError("task=verify needs task.input=<a file or a run folder>")
    path = Path(given["task.input"]).expanduser()
    record = given.get("task.record")
    found = verify(path, Path(record).expanduser() if record else None)
    wrong = [finding for finding in found if finding.state != "unaltered"]
    if not wrong:
        many = f"{len(found):,} files of " if path.is_dir() else ""
        why = "by its record" if path.is_dir() else f"by {found[0].why}"
        again = _redrawn(path, record, given.get("task.redraw"))
        return f"unaltered: {many}{path}, {why}{again}"
    if all(finding.state == "unsealed" for finding in wrong):
        raise InputError(
            f"not known: {path}: {wrong[0].why}; give its run folder, or task.record=<run folder>"
        )
    told = [f"{finding.name} is {finding.state} ({finding.why})" for finding in wrong[:SHOWN]]
    more = f" and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
    raise Altered(f"altered: {'; '.join(told)}{more}")


def _redrawn(path: Path, record: str | None, count: str | None) -> str:
    """What came of making `count` rows again, to be added to the answer; Altered where none did.

    Of a file those of its run, where that is known; else the file by what it holds.
    """
    if count is None:
        return ""
    if not count.isdecimal():
        raise InputError(f"task.redraw must be a whole number of rows, got '{count}'")
    from foundation.trust.redraw import redraw, redraw_alone
    from foundation.trust.verify import run_of

    folder = path if path.is_dir() else run_of(path)
    if record:
        given = Path(record).expanduser()
        folder = given if given.is_dir() else given.parent
    found = redraw_alone(path) if folder is None else redraw(folder, int(count))
    same = found.rows - len(found.other)
    told = f"{same:,} of {found.rows:,} rows made again are the same"
    if folder is None:
        told = "made again it " + ("shows the same" if same else "shows something else")
    if found.rows and not same:
        raise Altered(f"{told}: another model, version or machine made {folder or path}")
    shown = ", ".join(map(str, found.other[:SHOWN]))
    return f"; {told}" + (f" (not {shown})" if shown else "")
