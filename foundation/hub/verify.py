"""Every file of a source is checked before anyone is told where it is."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from foundation.errors import SourceError
from foundation.hub.digests import combined, digests
from foundation.hub.formats import (
    WEIGHTS,
    check_format,
    is_named_pickle,
    pickle_error,
    refuse_pickle,
)
from foundation.hub.source import Damaged, Local, Source


def verified(
    path: Path,
    source: Source,
    mend: str,
    *,
    only_named: bool = False,
    revision: str | None = None,
) -> Local:
    """Check a file, or the files of a folder: formats first, then digests.

    mend: how a damaged file is mended, the end of every message.
    only_named: of a folder, the files that `source.sha256` names and no others.
    """
    if not path.exists():
        raise SourceError(f"{source.address}: there is no {path}; check the path")
    root, names = (path, _files(path, source)) if path.is_dir() else (path.parent, [path.name])
    names = sorted(source.sha256 if only_named else {*names, *source.sha256})
    for name in names:
        _check(root / name, mend, pickle_ok=source.weights_only and name in source.sha256)
    files = digests(root, names)
    for name, wanted in source.sha256.items():
        if files[name] != wanted.lower():
            problem = f"has the sha256 {files[name]}, not {wanted} as its config says"
            raise Damaged(root / name, f"{root / name} {problem}; {mend}")
    return Local(path, combined(files), files, revision)


def _check(path: Path, mend: str, *, pickle_ok: bool) -> None:
    if not path.is_file():
        raise SourceError(f"{path} is missing; {mend}")
    if not pickle_ok:
        refuse_pickle(path)
    check_format(path, mend)


def _files(folder: Path, source: Source) -> list[str]:
    """Weights and whatever else is allowed. A pickle beside weights is nobody's concern."""
    present = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    refuse_only_pickles(str(folder), present, source)
    return [
        name
        for name in present
        if not is_named_pickle(name)
        and (name.endswith(WEIGHTS) or any(fnmatchcase(name, rule) for rule in source.allow))
    ]


def refuse_only_pickles(where: str, names: Iterable[str], source: Source) -> None:
    """Raise SourceError for a model that has pickles and no safetensors or GGUF."""
    names = list(names)
    pickles = sorted(name for name in names if is_named_pickle(name))
    weights = any(name.endswith(WEIGHTS) for name in names)
    if pickles and not weights and not source.weights_only:
        raise pickle_error(f"{where}/{pickles[0]}")
