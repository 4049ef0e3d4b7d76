"""The benchmark suite.

    python -m benchmarks suite=smoke                     # minutes; also performance, quality, peers
    python -m benchmarks 'case=[startup]' pairs=20       # chosen cases
    python -m benchmarks suite=performance data.moses=FOLDER price=0.40
    python -m benchmarks 'install=[sentence-transformers]'   # a peer's environment
    python -m benchmarks 'compare=[A,B]' gate=0.05       # records or folders of them
    python -m benchmarks 'write=[page,readme]'           # from benchmarks/results

Cases are files in benchmarks/conf/case/; docs/benchmarks.md says how to add one.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT
from benchmarks.suite import comparing, page, peers, readme
from benchmarks.suite.cases import case
from benchmarks.suite.running import Options, run_case
from foundation.errors import InputError, UnknownName
from foundation.failures import told

CONF = str(Path(__file__).parent / "conf")


def main() -> int:
    import hydra
    from omegaconf import DictConfig, OmegaConf

    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__.strip())
        return 0
    codes: list[int] = []
    errors: list[Exception] = []

    def job(config: DictConfig) -> None:
        plain = OmegaConf.to_container(config, resolve=True)
        assert isinstance(plain, dict)
        try:
            codes.append(answer({str(key): value for key, value in plain.items()}))
        except Exception as error:  # Hydra would print a line of its own
            errors.append(error)

    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(config_path=CONF, config_name="config", version_base="1.3")(job)()
    except Exception as error:
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        if isinstance(error, HydraException | OmegaConfBaseException):
            error = InputError(f"{str(error).splitlines()[0]}; see python -m benchmarks --help")
        return told(error)
    if errors:
        return told(errors[0])
    return max(codes, default=0)


def answer(config: Mapping[str, Any]) -> int:
    """Do what was asked; 1 where a case failed or the gate is closed."""
    if config["compare"]:
        return _compare(config)
    if config["install"] or config["write"]:
        return max([*map(_install, config["install"]), *map(_write, config["write"])], default=0)
    options = Options(Path(config["out"]), config["data"], config["pairs"], config["price"])
    failed = False
    # A suite may change the sizes of a case that is not among those chosen.
    chosen = {name: values for name, values in config["cases"].items() if "title" in values}
    for name, values in chosen.items():
        outcome = run_case(case(name, values), options)
        print(*outcome.lines, sep="\n", flush=True)
        if outcome.record:
            print(outcome.record)
        failed |= outcome.failed
    return int(failed)


def _compare(config: Mapping[str, Any]) -> int:
    if len(config["compare"]) != 2:
        raise InputError("compare takes two: 'compare=[A,B]', each a record or a folder of records")
    first, second = map(Path, config["compare"])
    found = comparing.compare(first, second, config["margin"])
    print(*(each.line for each in found), sep="\n")
    worse = [each for each in found if config["gate"] and each.worse(config["gate"])]
    for each in worse:
        print(f"beyond the gate: {each.record}: {each.name}", file=sys.stderr)
    return int(bool(worse))


def _install(name: str) -> int:
    error = peers.install(name)
    print(f"{name}: {error or 'installed'}")
    return int(bool(error))


def _write(what: str) -> int:
    written = {"page": page.write, "readme": readme.write}
    if what not in written:
        raise UnknownName("page", what, written)
    print(str(written[what]()).replace(f"{ROOT}/", ""))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
