"""Configuration that others wrote must not be able to run code of their choice.

Hydra makes what `_target_` names (callbacks, launchers, formatters of logging). So of a folder of
YAMLs that is added (--config-dir) and of what a run folder remembers, nothing may set Hydra itself
but the launchers and sweepers that are Hydra's plugins. What is typed is the user's own.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from foundation.errors import InputError

TARGET = "_target_"
LARGEST = 2**20
"""Bytes of a YAML of a configuration."""
_PLUGINS = ("hydra_plugins.", "hydra._internal.core_plugins.")
_GROUPS = (("hydra", "launcher"), ("hydra", "sweeper"))
_MEANT_FOR_HYDRA = re.compile(r"^\s*#\s*@package\s+hydra\b", re.MULTILINE)
_OVERRIDE = re.compile(r"[+~]{0,2}hydra[\w/@.]*(=|$)")


def check_folder(folder: Path) -> None:
    """Raise InputError for a YAML in an added folder that would run code, or cannot be read."""
    for path in sorted(folder.rglob("*.y*ml")):
        if not path.is_file():
            continue
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} has more than {LARGEST:,} bytes: it is no configuration")
        _check_file(path, path.relative_to(folder).parts)


def check_remembered(words: Iterable[str], where: Path) -> None:
    """Raise InputError for a word that a run folder remembers and that no run of ours wrote."""
    for word in words:
        if not isinstance(word, str) or _OVERRIDE.match(word) or TARGET in word:
            raise InputError(
                f"{where} remembers '{str(word)[:60]}', which could run code: it is not used"
            )


def _check_file(path: Path, inside: tuple[str, ...]) -> None:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        documents = list(yaml.safe_load_all(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as YAML: {first}") from error
    targets = [str(target) for each in documents for target in _targets(each)]
    if inside[:2] in _GROUPS and all(target.startswith(_PLUGINS) for target in targets):
        return
    sets_hydra = any(_sets_hydra(each) for each in documents) or _MEANT_FOR_HYDRA.search(text)
    if targets or sets_hydra or inside[0] == "hydra":
        what = f"{TARGET}: {targets[0]}" if targets else "hydra's own settings"
        raise InputError(
            f"{path} has {what}, which could run code: take it out, or type it on the command line"
        )


def _targets(value: Any) -> Iterator[Any]:
    """What every `_target_` of a configuration names, however deep it lies."""
    todo, seen = [value], set()
    while todo:
        each = todo.pop()
        if id(each) in seen:  # YAML's aliases can make it a circle, or a bomb
            continue
        seen.add(id(each))
        if isinstance(each, dict):
            if TARGET in each:
                yield each[TARGET]
            todo += each.values()
        elif isinstance(each, list):
            todo += each


def _sets_hydra(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    defaults = value.get("defaults")
    named = [str(each) for each in defaults] if isinstance(defaults, list) else []
    return "hydra" in map(str, value) or any("hydra" in each for each in named)
