"""A score of molecules from a configuration: figures, each on a curve, and their weighted mean."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foundation.adapter import Scored
from foundation.domains.molecule.curves import Curve, curve
from foundation.domains.molecule.figures import Figure, figure
from foundation.errors import RequestError, UnknownName

MEANS = ("geometric", "arithmetic")
OWN = ("kind", "curve", "weight")


@dataclass(frozen=True)
class Part:
    """One figure of a molecule, how much it is wished for, and how much that counts."""

    figure: Figure
    curve: Curve
    weight: float


class Objective:
    """The weighted mean of parts, 0 to 1; a part without a value is worth 0.

    geometric: of which any part at 0 makes the whole 0, as in Derringer and Suich 1980.
    """

    def __init__(self, parts: Mapping[str, Part], mean: str) -> None:
        self.parts, self.mean = parts, mean
        self.names = tuple(parts)

    def __call__(self, outputs: Sequence[str]) -> list[Scored]:
        """SMILES that RDKit reads -> their scores and what the parts gave."""
        from rdkit import Chem, rdBase

        with rdBase.BlockLogs():
            molecules = [Chem.MolFromSmiles(smiles) for smiles in outputs]
            columns = [
                [None if x is None else part.curve(x) for x in part.figure(molecules)]
                for part in self.parts.values()
            ]
        return [Scored(self._whole(row), tuple(row)) for row in zip(*columns, strict=True)]

    def _whole(self, values: Sequence[float | None]) -> float:
        weights = [part.weight for part in self.parts.values()]
        given = [value or 0.0 for value in values]
        if self.mean == "arithmetic":
            return math.fsum(w * v for w, v in zip(weights, given, strict=True)) / sum(weights)
        if not all(given):
            return 0.0
        logs = math.fsum(w * math.log(v) for w, v in zip(weights, given, strict=True))
        return math.exp(logs / sum(weights))


def objective(settings: Mapping[str, Any]) -> Objective:
    """The objective that the group `objective` describes: RequestError, UnknownName.

    parts: name -> {kind, the kind's own settings (see figures.figure), curve (see curves.curve),
    weight: 1}. mean: geometric (the default) or arithmetic.
    """
    for name in settings:
        if name not in ("name", "mean", "parts"):
            raise UnknownName("setting", f"objective.{name}", ("objective.mean", "objective.parts"))
    mean, parts = settings.get("mean") or "geometric", settings.get("parts")
    if mean not in MEANS:
        raise UnknownName("mean", str(mean), MEANS, "(objective.mean)")
    if not isinstance(parts, Mapping) or not parts:
        raise RequestError("objective.parts is empty: name at least one part of the score")
    return Objective({str(name): _part(str(name), each) for name, each in parts.items()}, mean)


def _part(name: str, given: Any) -> Part:
    where = f"objective.parts.{name}"
    if not isinstance(given, Mapping) or "kind" not in given:
        raise RequestError(f"{where} needs a kind, e.g. {{kind: property, of: qed}}")
    weight = given.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
        raise RequestError(f"{where}.weight must be above 0, got '{weight}'")
    own = {key: value for key, value in given.items() if key not in OWN}
    return Part(
        figure(str(given["kind"]), own, where),
        curve(given.get("curve"), f"{where}.curve"),
        float(weight),
    )
