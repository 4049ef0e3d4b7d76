"""What `task=<name>` runs: a small file each for what is no plain task of a model.

run.py        every task of a domain: requests -> results
tune.py       train or fine-tune a model
adapt.py      try ways to adapt a model to labelled rows, and recommend one
steer.py      train a model towards what a score rewards, and keep the best it made
merge.py      LoRA weights -> plain ones
evaluate.py   measure a model with a suite
card.py       what is known of a model
fetch.py      bring all that a configuration needs
lock.py       pin them by their digests
estimate.py   memory, disk and time of a task, before a byte of weights is loaded
join.py       make one run of ranges that were made apart
models.py     what models there are; answered without Hydra, as the next four
devices.py    what is here to compute on
leases.py     who holds which device and who waits
status.py     how far a run is
verify.py     whether files are what a run wrote
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.durable import write_json

if TYPE_CHECKING:
    from foundation.engines import Engine


@dataclass(frozen=True)
class Job:
    """One run of a command.

    config: the whole configuration, resolved. folder: where it writes; made, perhaps empty.
    overrides: what was typed, as Hydra takes it.
    """

    config: Mapping[str, Any]
    folder: Path
    overrides: tuple[str, ...]

    @property
    def remembered(self) -> Path:
        """The file that keeps what was typed, so that `resume=<folder>` alone goes on."""
        return self.folder / "overrides.json"

    def remember(self) -> None:
        """Write it, unless the run is a resumed one."""
        if not self.remembered.exists():
            write_json(self.remembered, [o for o in self.overrides if not o.startswith("resume=")])

    def group(self, name: str) -> dict[str, Any]:
        """The chosen configuration of a group; empty where none was chosen."""
        return dict(self.config.get(name) or {})

    def engine(self) -> "Engine | None":
        """Where the stream runs; None: in this process."""
        from foundation.engines import engine

        placement = self.group("placement")
        return engine(self.group("engine"), str(placement.get("device") or placement.get("name")))

    def task(self) -> dict[str, Any]:
        """The settings given for the task, without its name."""
        return {key: value for key, value in self.group("task").items() if key != "name"}
