"""Which domains and models there are: names and files, nothing imported until it is used."""

import importlib
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from foundation.errors import InputError, UnknownName
from foundation.spec import Delta, Domain, ModelSpec

GROUP = "foundation.domains"
# What tells a folder of LoRA weights: peft's, and that of diffusers.
DELTAS = ("adapter_config.json", "pytorch_lora_weights.safetensors")


@cache
def domains() -> dict[str, str]:
    """Domain name -> its entry point `module:object`."""
    from importlib.metadata import entry_points

    found = {point.name: point.value for point in entry_points(group=GROUP)}
    return dict(sorted(found.items()))


@cache
def domain(name: str) -> Domain:
    """The domain of that name; UnknownName if there is none."""
    if name not in domains():
        raise UnknownName("domain", name, domains())
    return cast("Domain", resolve(domains()[name]))


def resolve(reference: str) -> Any:
    """Import what `module:attribute` names; InputError where there is no such thing."""
    name, _, attribute = reference.partition(":")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise InputError(f"there is no module '{error.name}' for '{reference}'") from None
    if not hasattr(module, attribute):
        raise UnknownName("name", attribute, vars(module), f"in {name}")
    return getattr(module, attribute)


def configured(reference: str) -> Any:
    """As `resolve`, of a name that a configuration gives; see `check_configured`."""
    check_configured(reference)
    return resolve(reference)


def check_configured(reference: str) -> None:
    """Raise InputError unless a name lies in a package that brings a domain.

    So a YAML that somebody sends can name no function of the system, nor import a module.
    """
    modules = ["foundation", *(value.partition(":")[0] for value in domains().values())]
    packages = sorted({module.partition(".")[0] for module in modules})
    module, _, name = reference.partition(":")
    if not name or module.partition(".")[0] not in packages:
        raise InputError(
            f"'{reference}' is no module:name of a domain's package, such as {packages[0]}"
        )


def conf_folders() -> list[Path]:
    """Our own conf/ first, then that of each package that brings a domain."""
    own = Path(__file__).parent / "conf"
    others = []
    for reference in domains().values():
        package = reference.partition(":")[0].partition(".")[0]
        if package == "foundation":
            continue
        found = importlib.util.find_spec(package)
        if found is not None and found.origin and (Path(found.origin).parent / "conf").is_dir():
            others.append(Path(found.origin).parent / "conf")
    return [own, *others]


def models() -> dict[str, Path]:
    """Model name, `<domain>/<model>` -> the YAML that describes it."""
    return {
        f"{path.parent.name}/{path.stem}": path
        for folder in reversed(conf_folders())
        for path in sorted((folder / "model").glob("*/*.yaml"))
    }


def spec(name: str, **overrides: Any) -> ModelSpec:
    """The model of that name, with some of its settings replaced.

    >>> spec("molecule/starter").tasks
    ('generate', 'embed', 'score', 'classify', 'predict')
    >>> spec("molecule/starter", path="mine").source
    'path:mine'
    """
    import yaml

    if name not in models():
        raise UnknownName("model", name, models())
    return spec_from({**yaml.safe_load(models()[name].read_text()), **overrides})


def spec_from(values: Mapping[str, Any]) -> ModelSpec:
    """A ModelSpec from its YAML.

    `path` takes the place of the source when it is set, unless it holds LoRA weights: those are
    laid on the model.
    """
    from dataclasses import fields

    given = dict(values)
    path = given.pop("path", None)
    known = [field.name for field in fields(ModelSpec) if field.name != "facts"]
    for key in given:
        if key not in known:
            raise UnknownName("setting", f"model.{key}", [f"model.{k}" for k in [*known, "path"]])
    for key in ("name", "domain", "adapter", "source"):
        if not given.get(key):
            raise InputError(f"model.{key} is missing: name it in the model's YAML")
    check_configured(str(given["adapter"]))
    if (bits := given.get("bits")) is not None and (type(bits) is not int or bits not in (4, 8)):
        raise InputError(f"model.bits must be 4 or 8, got {bits}")
    if bits is not None and "bits" not in (given.get("capabilities") or ()):
        raise InputError(f"{given['name']} cannot be quantised: leave out model.bits")
    if path and _only_deltas(Path(path).expanduser()):
        given["deltas"] = [*(given.get("deltas") or ()), {"path": str(Path(path).expanduser())}]
    elif path:
        given.update(source=f"path:{Path(path).expanduser()}", revision=None, sha256={})
    for key in ("tasks", "capabilities", "files"):
        given[key] = tuple(given.get(key) or ())
    given["deltas"] = tuple(map(_delta, given.get("deltas") or ()))
    if bits is not None and given["deltas"]:
        raise InputError("model.bits with LoRA weights: leave one of them out")
    for key in ("sha256", "options"):
        given[key] = dict(given.get(key) or {})
    return ModelSpec(**given)


def _only_deltas(folder: Path) -> bool:
    """Whether a folder holds LoRA weights, as peft or diffusers write them, and no model."""
    return any((folder / name).is_file() for name in DELTAS)


def _delta(given: Any) -> Delta:
    """A delta from its mapping, or from its path alone."""
    from dataclasses import fields

    values = {"path": given} if isinstance(given, str) else dict(given)
    known = [field.name for field in fields(Delta)]
    for key in values:
        if key not in known:
            raise UnknownName("setting", f"model.deltas.{key}", known)
    if not values.get("path"):
        raise InputError("model.deltas: a delta needs its path")
    return Delta(**values)
