"""The Hydra application: composes a configuration and runs its command, once or in a sweep."""

import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation import arguments, failures
from foundation.commands import Job
from foundation.engines import refuse_engine
from foundation.errors import FoundationError, InputError, RunFolderError
from foundation.groups import OWN, groups
from foundation.log import logging_to
from foundation.registry import conf_folders, resolve

if TYPE_CHECKING:
    from omegaconf import DictConfig

COMMANDS = {
    "card": "foundation.commands.card:run",
    "estimate": "foundation.commands.estimate:run",
    "evaluate": "foundation.commands.evaluate:run",
    "fetch": "foundation.commands.fetch:run",
    "lock": "foundation.commands.lock:run",
    "join": "foundation.commands.join:run",
    "tune": "foundation.commands.tune:run",
    "adapt": "foundation.commands.adapt:run",
    "steer": "foundation.commands.steer:run",
    "merge": "foundation.commands.merge:run",
}
PLAIN = "foundation.commands.run:run"
TRAINING = ("tune", "adapt", "steer")
# What a run folder holds before anything is made.
BOOKKEEPING = {".lock", "config.json", "overrides.json", "parts"}


def run(typed: Sequence[str]) -> int:
    """Run what was typed; the exit code, the worst one of a sweep."""
    typed = arguments.remembered(typed)
    added = arguments.config_dirs(typed)
    ready = arguments.prepare(typed, groups([*map(str, conf_folders()), *added]))
    sweep = _Sweep(tuple(f"--config-dir={Path(folder).absolute()}" for folder in added))
    with closing(sweep), _hydra(ready) as start:
        try:
            start(sweep.job)
        except SystemExit as ended:  # Hydra's own --hydra-help, or a stopped sweep
            return ended.code if isinstance(ended.code, int) else 0
        except OSError as error:  # Hydra makes the run folder, and a config it misses is one too
            if error.errno in failures.FULL:
                raise
            if error.filename is None:
                raise arguments.translate(error, arguments.settings(Path(OWN))) from error
            raise RunFolderError(
                f"cannot make {error.filename}: {error.strerror}; choose another folder"
            ) from error
        except Exception as error:
            from hydra.errors import HydraException
            from omegaconf.errors import OmegaConfBaseException

            if not isinstance(error, HydraException | OmegaConfBaseException):
                raise
            raise arguments.translate(error, arguments.settings(Path(OWN))) from error
        finally:
            sweep.summarise()
        return max(sweep.codes, default=0)


@contextmanager
def _hydra(ready: Sequence[str]) -> "Iterator[Callable[[Callable[[DictConfig], None]], None]]":
    """Hydra on our arguments and configuration, raising its errors instead of printing them."""
    import hydra
    from hydra.core.plugins import Plugins

    _register_resolvers()
    Plugins.instance().register(_search_path_plugin())
    argv, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [argv[0], *ready]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        decorate = hydra.main(config_path=OWN, config_name="config", version_base="1.3")
        yield lambda job: decorate(job)()
    finally:
        sys.argv = argv
        os.environ.pop("HYDRA_FULL_ERROR")
        if full is not None:
            os.environ["HYDRA_FULL_ERROR"] = full


def _register_resolvers() -> None:
    from omegaconf import OmegaConf

    def run_name(model: str, task: str) -> str:
        return f"{slug(model)}-{task}-{secrets.token_hex(2)}"

    def slug(name: str) -> str:
        return name.replace("/", "-")

    def folder(chosen: str | None, default: str) -> str:
        return str(Path(chosen).expanduser()) if chosen else default

    OmegaConf.register_new_resolver("run_name", run_name, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("slug", slug, replace=True)
    OmegaConf.register_new_resolver("folder", folder, replace=True)


def _search_path_plugin() -> type[Any]:
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class OtherPackages(SearchPathPlugin):
        """The conf/ of each package that brings a domain, after ours."""

        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for folder in conf_folders()[1:]:
                search_path.append(provider="foundation", path=f"file://{folder}")

    return OtherPackages


class _Sweep:
    """The jobs of one command line, most often one; `flags` were typed beside its overrides.

    A launcher may run the jobs in other processes, each with a copy of this object: they tell what
    became of them in one file.
    """

    def __init__(self, flags: tuple[str, ...]) -> None:
        self.flags = flags
        handle, name = tempfile.mkstemp(prefix="foundation-sweep-")
        os.close(handle)
        self._told = Path(name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _register_resolvers()  # which the launcher's process has not

    @property
    def codes(self) -> list[int]:
        """The exit codes of the jobs that ended, in the order of their numbers."""
        return [job["code"] for job in self._jobs() if job["code"] is not None]

    def _jobs(self) -> list[dict[str, Any]]:
        lines = map(json.loads, self._told.read_text(encoding="utf-8").splitlines())
        ended = {line["number"]: line for line in lines}  # the last word of each job
        return [ended[number] for number in sorted(ended)]

    def _tell(self, **values: Any) -> None:
        with self._told.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def job(self, config: "DictConfig") -> None:
        """Run one job; its error becomes one line and a code, so that the next job runs."""
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        hydra = HydraConfig.get()
        folder = Path(hydra.runtime.output_dir)
        many = hydra.mode is not None and hydra.mode.name == "MULTIRUN"
        told = {"number": hydra.job.num if many else 0, "folder": str(folder), "many": many}
        here = self._told.exists()
        self._tell(**told, code=None)
        values = OmegaConf.to_container(config, resolve=True)
        assert isinstance(values, dict)
        typed = (*self.flags, *hydra.overrides.task)
        job = Job({str(k): v for k, v in values.items()}, folder, typed)
        code = _run_job(job)
        self._tell(**told, code=code)
        # A signal's, or -1, with which submitit ends what it has sent back to Slurm's queue: a job
        # that returned would pass for finished.
        if not 0 <= code <= 128:
            sys.exit(code)
        if code and not here:  # on another machine, whose launcher tells of it by an exception
            kind = InputError if code == 2 else FoundationError
            raise kind(f"{folder.name} failed: see {folder / 'run.log'} and the launcher's logs")

    def summarise(self) -> None:
        jobs = [job for job in self._jobs() if job["many"]]
        if jobs:
            from foundation.commands.sweep import summarise

            folders = [Path(job["folder"]) for job in jobs]
            failures.say(summarise(folders[0].parent, folders, [job["code"] for job in jobs]))

    def close(self) -> None:
        """Forget what was told."""
        self._told.unlink(missing_ok=True)


def _run_job(job: Job) -> int:
    name = str(job.group("task").get("name"))
    command: Callable[[Job], str] = resolve(COMMANDS.get(name, PLAIN))
    present = {path.name for path in job.folder.iterdir()}
    code, refused = 0, False
    with logging_to(job.folder / "run.log"):
        try:
            if "config.json" not in present and present - BOOKKEEPING:
                raise RunFolderError(
                    f"{job.folder} is not empty and no run's: choose another folder"
                )
            arguments.check_seed(job.config["seed"])
            if name in COMMANDS and job.group("trust"):
                raise InputError(f"trust=... is for what a model makes, not for task={name}")
            if name in TRAINING:
                refuse_engine(name, job.group("engine"))
            failures.say(command(job))
        except BaseException as error:
            code, refused = failures.told(error, job.folder), isinstance(error, InputError)
    if not present and (refused or not job.remembered.exists()):
        _tidy(job.folder)
    return code


def _tidy(folder: Path) -> None:
    """What made nothing leaves no folders behind."""
    made = any((folder / "parts").glob("*"))
    if not made and {path.name for path in folder.iterdir()} <= BOOKKEEPING:
        shutil.rmtree(folder)
        with suppress(OSError):
            for above in (folder.parent, folder.parent.parent):
                if above.samefile(Path.cwd()):  # an empty folder that the user works in
                    break
                above.rmdir()
