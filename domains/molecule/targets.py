"""Property targets, met by drawing again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from foundation.adapter import Output
from foundation.domains.molecule.plans import Plan, Prompt

Targets = Mapping[str, Sequence[float | None]]


class Targeted:
    """Follows another plan again until its molecule meets the targets."""

    def __init__(self, plan: Plan, targets: Targets, attempts: int) -> None:
        self._plan, self._targets, self._left = plan, targets, attempts
        self._made = 0

    def follow(self, smiles: str | None) -> Prompt | Output:
        following = self._plan.follow(smiles)
        if isinstance(following, Prompt):
            return following
        self._made, self._left = self._made + 1, self._left - 1
        reason = following.reason or missed(str(following.value), self._targets)
        if reason is None or following.refused:
            return replace(following, extra={**following.extra, "attempts": self._made})
        if self._left:
            again = self._plan.follow(None)
            return replace(again, anew=True) if isinstance(again, Prompt) else again
        extra = {**following.extra, "attempts": self._made}
        reason = f"no molecule met the targets in {self._made} attempts; the last: {reason}"
        return replace(following, reason=reason, extra=extra)


def missed(smiles: str, targets: Targets) -> str | None:
    """Why a molecule does not meet the targets, or None when it does."""
    from rdkit import Chem, rdBase

    from foundation.domains.molecule.descriptors import describe

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or not molecule.GetNumAtoms():
        return "not a molecule"
    values = describe(molecule, list(targets))
    for name, (low, high) in targets.items():
        value = values[name]
        if value is None:
            return f"{name} has no value"
        if low is not None and value < low:
            return f"{name} {value:.2f} is below {low}"
        if high is not None and value > high:
            return f"{name} {value:.2f} is above {high}"
    return None
