"""What may be asked of a molecule model, checked when the request is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.errors import RequestError, UnknownName

TARGETS = (
    "weight", "logp", "tpsa", "donors", "acceptors", "rotatable_bonds", "rings", "qed", "sa",
)  # fmt: skip


@dataclass(frozen=True)
class Generate:
    """One molecule to be drawn.

    scaffold: SMILES to build on, or None to draw freely. Its atoms stay; with attachment points
        (`c1ccc([*:1])cc1`) only those are decorated; two fragments with one point each
        (`c1ccccc1[*:1].[*:2]C1CCNCC1`) are linked.
    temperature: divides the logits; above 0, at most 10. 1 is the model's own distribution.
    top_p: share of the probability kept, likeliest tokens first; above 0, at most 1.
    targets: descriptor -> [low, high], both ends included or null, such as {logp: [1, 3]}; drawn
        again until they are met, at most `attempts` times (1 to 10,000). The acceptance rate is the
        rows that met them over the column `attempts` summed.
    """

    scaffold: str | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    targets: Mapping[str, Any] | None = None
    attempts: int = 100

    def __post_init__(self) -> None:
        _within("temperature", self.temperature, 10.0)
        _within("top_p", self.top_p, 1.0)
        whole = isinstance(self.attempts, int) and not isinstance(self.attempts, bool)
        if not whole or not 1 <= self.attempts <= 10_000:
            raise RequestError(f"attempts must be a whole number, 1 to 10,000, got {self.attempts}")
        if self.scaffold is not None and not str(self.scaffold).strip():
            raise RequestError("scaffold is empty: give a SMILES")
        if self.targets:
            _check_targets(self.targets)


@dataclass(frozen=True)
class Molecule:
    """One molecule to be embedded or scored. smiles: as the user wrote it."""

    smiles: str

    def __post_init__(self) -> None:
        if self.smiles is not None and not str(self.smiles).strip():
            raise RequestError("smiles is empty: give a SMILES")


def _within(name: str, value: Any, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= high:
        raise RequestError(f"{name} must be a number above 0 and at most {high:g}, got {value}")


def _check_targets(targets: Mapping[str, Any]) -> None:
    for name, bounds in targets.items():
        if name not in TARGETS:
            raise UnknownName("descriptor", name, TARGETS, "in targets")
        ends = list(bounds) if isinstance(bounds, list | tuple) else []
        numbers = [end for end in ends if end is not None]
        if len(ends) != 2 or not all(isinstance(end, int | float) for end in numbers):
            raise RequestError(f"targets.{name} must be [low, high], got {bounds}")
        if len(numbers) == 2 and numbers[0] > numbers[1]:
            raise RequestError(f"targets.{name}: {numbers[0]} is above {numbers[1]}")
