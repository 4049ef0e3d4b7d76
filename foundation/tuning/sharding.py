"""Weights, gradients and the optimizer's state spread over processes while a model is trained.

torch's fully sharded data parallelism (FSDP2, torch.distributed.fsdp.fully_shard). accelerate wraps
the same for GPUs alone; here its processes and devices serve, so that gloo on CPUs does, too.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from foundation.tuning.optimizers import Together


def in_shares(module: Any) -> bool:
    """Whether the weights of a module are spread just now."""
    return hasattr(module, "set_requires_gradient_sync")


@contextmanager
def sharded(module: "torch.nn.Module", device: str) -> Iterator[None]:
    """Inside, each process holds its share of the weights; before and after, all of them.

    Blocks (entries of module lists) are gathered one by one as they are needed, the rest while the
    module's own forward runs: only through that may it be used inside.
    """
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device, (torch.distributed.get_world_size(),))
    before = [(each, type(each), _without_weights(each)) for each in module.modules()]
    for block in _blocks(module):
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    yield
    _restore(before)  # not after an error: the other processes may never ask for their part


def full(tensors: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Sharded tensors as whole ones. Every process must ask; each gets all of them."""
    return {name: _whole(value) for name, value in tensors.items()}


def shares(state: dict[str, Any], optimizer: "torch.optim.Optimizer | Together") -> dict[str, Any]:
    """An optimizer's state of whole tensors -> this process's share, as its weights are sharded."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    weights = [each for group in optimizer.param_groups for each in group["params"]]
    found: dict[int, dict[str, Any]] = {}
    for number, values in state["state"].items():
        weight, found[number] = weights[number], {}
        for name, value in values.items():
            alike = isinstance(weight, DTensor) and getattr(value, "shape", None) == weight.shape
            if alike:  # every process has read the same file: nothing is to be sent
                mesh, places = weight.device_mesh, weight.placements
                value = distribute_tensor(value.to(weight.device), mesh, places, src_data_rank=None)
            found[number][name] = value
    return {**state, "state": found}


def _blocks(module: "torch.nn.Module") -> "Iterator[torch.nn.Module]":
    """Entries of module lists that are more than a layer, the inner ones first."""
    import torch

    lists = [each for each in module.modules() if isinstance(each, torch.nn.ModuleList)]
    seen = dict.fromkeys(block for each in reversed(lists) for block in each)
    return (block for block in seen if next(block.children(), None) is not None)


def _without_weights(module: "torch.nn.Module") -> dict[str, Any]:
    """A module's attributes, dictionaries copied (hooks among them), without its parameters."""
    values = {name: each for name, each in vars(module).items() if name != "_parameters"}
    return {name: each.copy() if isinstance(each, dict) else each for name, each in values.items()}


def _restore(before: "list[tuple[torch.nn.Module, type, dict[str, Any]]]") -> None:
    """Modules as they were, hooks and classes, with the weights as they are now."""
    import torch
    from torch.distributed.fsdp import FSDPModule

    made: dict[int, torch.nn.Parameter] = {}
    # Shares first: a block's weights may be gathered at this moment.
    for module, _, _ in before:
        if isinstance(module, FSDPModule):
            module.reshard()
    for module, kind, values in before:
        weights = dict(module._parameters)
        for name, weight in weights.items():
            if weight is not None and id(weight) not in made:
                whole = _whole(weight.detach()).clone()  # or it may lie in a larger, padded one
                made[id(weight)] = torch.nn.Parameter(whole, requires_grad=weight.requires_grad)
            weights[name] = None if weight is None else made[id(weight)]
        module.__class__ = kind
        vars(module).clear()
        vars(module).update({**values, "_parameters": weights})


def _whole(value: "torch.Tensor") -> "torch.Tensor":
    from torch.distributed.tensor import DTensor

    return value.full_tensor() if isinstance(value, DTensor) else value
