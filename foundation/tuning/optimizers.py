"""What moves the weights: AdamW alone, or Muon for the hidden matrices beside it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from foundation.errors import RequestError

if TYPE_CHECKING:
    import torch

    from foundation.tuning.recipe import Recipe


def optimizer(
    module: "torch.nn.Module", hidden: Sequence[str], recipe: "Recipe"
) -> "torch.optim.Optimizer | Together":
    """The recipe's optimizer over all weights that learn.

    hidden: names, or ends of names, of linear layers inside the network. With "muon" their weights
    are moved by orthogonalised momentum (Jordan et al. 2024), scaled to AdamW's usual step so that
    one rate serves both (Liu et al. 2025); the others by AdamW.
    """
    import torch

    learning = {name: each for name, each in module.named_parameters() if each.requires_grad}
    inner = {
        name: each
        for name, each in learning.items()
        if recipe.optimizer == "muon"
        and each.ndim == 2
        and f".{name}".endswith(tuple(f".{layer}.weight" for layer in hidden))
    }
    if recipe.optimizer == "muon" and not inner:
        raise RequestError("recipe.optimizer=muon: the model names no hidden linear layers")
    adamw = torch.optim.AdamW(
        [each for name, each in learning.items() if name not in inner],
        lr=recipe.rate,
        betas=(0.9, 0.98),
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    if not inner:
        return adamw
    muon = torch.optim.Muon(
        inner.values(),
        lr=recipe.rate,
        weight_decay=recipe.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return Together([adamw, muon])


class Together:
    """Optimizers of different weights, stepped and saved as one."""

    def __init__(self, parts: Sequence["torch.optim.Optimizer"]) -> None:
        self.parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """As one optimizer's: the weights are numbered through."""
        groups: list[dict[str, Any]] = []
        state: dict[int, Any] = {}
        for part in self.parts:
            own = part.state_dict()
            first = sum(len(group["params"]) for group in groups)
            groups += [
                {**group, "params": [number + first for number in group["params"]]}
                for group in own["param_groups"]
            ]
            state |= {number + first: values for number, values in own["state"].items()}
        return {"param_groups": groups, "state": state}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        groups = iter(saved["param_groups"])
        for part in self.parts:
            own = [next(groups) for _ in part.param_groups]
            numbers = {number for group in own for number in group["params"]}
            state = {n: values for n, values in saved["state"].items() if n in numbers}
            part.load_state_dict({"param_groups": own, "state": state})
