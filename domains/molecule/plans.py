"""How one request becomes a molecule: the prompts the model is given, one after another."""

from dataclasses import dataclass
from typing import Protocol

from foundation.adapter import Output
from foundation.domains.molecule.inputs import Generate
from foundation.draws import Draws


@dataclass(frozen=True)
class Prompt:
    """What the model goes on from. smiles: "" for a new molecule.

    randomised: whether it is written in an order that is not the canonical one.
    anew: whether what was written before is given up.
    """

    smiles: str = ""
    randomised: bool = False
    anew: bool = False


class Plan(Protocol):
    """One request's way to a molecule."""

    def follow(self, smiles: str | None) -> Prompt | Output:
        """The next prompt after what was written (None: nothing yet), or the end."""
        ...


class Free:
    """A new molecule."""

    def follow(self, smiles: str | None) -> Prompt | Output:
        return Prompt() if smiles is None else Output(smiles)


def plan(request: Generate, draws: Draws) -> Plan:
    """The plan of a request; `draws` are its own."""
    made: Plan = Free()
    if request.scaffold is not None:
        from foundation.domains.molecule.scaffolds import plan_scaffold

        made = plan_scaffold(request.scaffold, draws)
    if request.targets:
        from foundation.domains.molecule.targets import Targeted

        made = Targeted(made, request.targets, request.attempts)
    return made
