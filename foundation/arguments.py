"""What was typed, checked by name before anything is loaded, and put as Hydra wants it."""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foundation.errors import InputError, UnknownName

PLAIN_FLAGS = ("-m", "--multirun", "-r", "--run", "--resolve", "--hydra-help")
CONFIG_DIR = ("-cd", "--config-dir")
VALUED_FLAGS = ("-c", "--cfg", "-p", "--package", "-i", "--info", *CONFIG_DIR)
OUR_FLAGS = ("-h", "--help", "--version", "--completion")
TOP = ("seed", "resume")
# What these groups take is known by the domain, the model or the trainer, and checked there.
OPEN = ("task", "model", "recipe", "objective", "trust")
ADDED = ("suite.limit", "suite.settings")
_TYPED = re.compile(r"(?P<sign>\+\+|\+|~)?(?P<key>[\w/@.-]+)=(?P<value>.*)", re.DOTALL)
_ONE_DEVICE = re.compile(r"cuda:\d+(?:,\d+)*|[a-z]+")
_NAMES = re.compile(r"[\w./-]+(,[\w./-]+)*")


def prepare(arguments: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Check the names in what was typed; `task.x=1` becomes `++task.x=1`.

    A task's settings stand in no YAML, so Hydra is told to add them. UnknownName for a group,
    choice or option that does not exist, with the nearest that does.
    """
    flags: list[str] = []
    ready: list[str] = []
    for before, argument in itertools.pairwise(["", *arguments]):
        typed = _TYPED.fullmatch(argument)
        if before in VALUED_FLAGS or argument.startswith("-"):
            if before not in VALUED_FLAGS:
                _check_flag(argument)
            flags.append(argument)
            continue
        if typed is None:
            _check_bare(argument, groups)
            ready.append(argument)
            continue
        if typed["key"] == "placement" and "cuda:" in typed["value"]:
            ready += ["placement=cuda", f"placement.device={_devices(typed['value'])}"]
            continue
        _check(typed["key"], typed["value"], groups)
        head, dot, _ = typed["key"].partition(".")
        adds = (bool(dot) and head in OPEN) or typed["key"] in ADDED
        adds = adds and typed["sign"] is None
        ready.append("++" + argument if adds else argument)
    # Hydra's parser wants its flags before the rest, which users do not.
    return [*flags, *ready]


def remembered(arguments: Sequence[str]) -> list[str]:
    """With `resume=F`, what was typed when F began comes first, so that it need not be repeated."""
    for argument in arguments:
        if argument.startswith("resume="):
            path = Path(argument.removeprefix("resume=")) / "overrides.json"
            if path.is_file():
                return [*_read(path), *arguments]
    return list(arguments)


def _read(path: Path) -> list[str]:
    """What a run folder remembers; InputError where no run of ours can have written it."""
    from foundation.trust.configs import check_remembered

    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: repeat what was typed, without it") from error
    if not isinstance(before, list):
        raise InputError(f"{path} is no list of settings: repeat what was typed, without it")
    check_remembered(before, path)
    return before


def config_dirs(arguments: Sequence[str]) -> list[str]:
    """Folders of configuration that the user adds with -cd or --config-dir; see trust/configs."""
    from foundation.trust.configs import check_folder

    found = []
    for flag, value in itertools.pairwise([*arguments, ""]):
        if flag in CONFIG_DIR:
            found.append(value)
        elif flag.startswith("--config-dir="):
            found.append(flag.partition("=")[2])
    for folder in found:
        if not Path(folder).is_dir():
            raise InputError(f"--config-dir: there is no folder {folder}")
        check_folder(Path(folder))
    return found


def settings(folder: Path) -> list[str]:
    """Every setting that a YAML of the configuration declares, e.g. placement.device."""
    import yaml

    found = set(TOP)
    for path in sorted(folder.rglob("*.yaml")):
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        group = path.relative_to(folder).parts[0]
        if group not in (path.name, "hydra") and isinstance(values, dict):
            found |= {f"{group}.{key}" for key in values if key != "name"}
    return sorted(found)


def translate(error: Exception, known: Sequence[str]) -> InputError:
    """Hydra's and OmegaConf's errors as one line of ours."""
    text = str(error).strip() or type(error).__name__
    override = re.match(r"Could not override '([^']+)'", text)
    if override:
        group = override[1].partition(".")[0]
        if override[1] in known:
            return InputError(f"{override[1]} has no place yet: choose {group}=<name> as well")
        return UnknownName("setting", override[1], known)
    choice = re.match(r"(?:In '.*?': )?Could not find '([\w-]+)/([^']+)'", text)
    if choice:
        return InputError(f"unknown {choice[1]} '{choice[2]}'")
    typed = getattr(error, "override", None)
    if typed is not None:
        return InputError(f"cannot read {typed}: quote its value, e.g. 'name=\"a b.csv\"'")
    return InputError(text.splitlines()[0])


def check_seed(value: Any) -> int:
    """A seed is a whole number that fits 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**64:
        raise InputError(f"seed must be a whole number from 0 to 2**64 - 1, got '{value}'")
    return value


def _devices(value: str) -> str:
    """`cuda:0,1` is one placement on two devices, `cuda:0,cpu` a sweep over two placements."""
    names = _ONE_DEVICE.findall(value)
    if ",".join(names) != value:
        raise InputError(f"placement={value}: one of auto, cpu, cuda, cuda:1, cuda:0,1, lease")
    return ",".join(f"'{name}'" for name in names)


def _check_flag(argument: str) -> None:
    if argument.partition("=")[0] not in (*PLAIN_FLAGS, *VALUED_FLAGS):
        raise UnknownName("option", argument, [*PLAIN_FLAGS, *VALUED_FLAGS, *OUR_FLAGS])


def _check_bare(argument: str, groups: Mapping[str, Sequence[str]]) -> None:
    if not argument.startswith("~"):
        homes = [f"{group}={argument}" for group, names in groups.items() if argument in names]
        mend = f"did you mean {homes[0]}?" if homes else "settings are written name=value"
        raise InputError(f"cannot read '{argument}': {mend}")


def _check(key: str, value: str, groups: Mapping[str, Sequence[str]]) -> None:
    head = re.split(r"[./@]", key, maxsplit=1)[0]
    known = [*groups, *TOP, "hydra"]
    if head not in known:
        raise UnknownName("setting", key, known)
    if key in groups and _NAMES.fullmatch(value):
        for name in value.split(","):
            if name != "null" and name not in groups[key]:
                raise UnknownName(key, name, groups[key])
