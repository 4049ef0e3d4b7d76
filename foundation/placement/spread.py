"""A model on several devices, or partly off them, through accelerate; and its share of memory.

API: huggingface.co/docs/accelerate/concept_guides/big_model_inference.
"""

import atexit
import logging
import os
import shutil
import sys
import tempfile
from typing import Any

from foundation.adapter import Placement
from foundation.placement.device import Device

SHARE = 0.5
"""Of the free memory, what weights may take that are not offloaded; the rest is for the batch."""


def loading(placement: Placement) -> dict[str, Any]:
    """Arguments of from_pretrained that spread or offload a model; none where it is on one device.

    transformers then loads each layer where it belongs, so that the whole is nowhere at once.
    """
    away = placement.offload if placement.offload in ("host", "disk") else None
    if len(placement.devices) < 2 and away is None:
        return {}
    from foundation.placement import host

    # It would say at every load that weights wait on the disk, which was asked for.
    logging.getLogger("accelerate.big_modeling").setLevel(logging.ERROR)
    free = host.memory()[1]
    memory: dict[int | str, int] = {}
    for name in placement.devices or (placement.device,):
        if name != "cpu":
            memory[int(name.partition(":")[2] or 0)] = _share(name, placement, away is not None)
    if away == "disk":
        share = min(free, placement.memory or free) if placement.device == "cpu" else free
        memory["cpu"] = int(SHARE * share)
        return {"device_map": "auto", "max_memory": memory, "offload_folder": _folder()}
    if away == "host":
        memory["cpu"] = free
    return {"device_map": "auto", "max_memory": memory}


def placed(model: Any, placement: Placement) -> Any:
    """A model on its device, unless it was loaded in its places already.

    One whose first weights wait elsewhere says that it is where its layers are computed.
    """
    if not getattr(model, "hf_device_map", None):
        return model.to(placement.device)
    import torch

    kind, device = type(model), torch.device(placement.device)
    model.__class__ = type(kind.__name__, (kind,), {"device": property(lambda self: device)})
    return model


def limit(placement: Placement) -> None:
    """Hold torch to the job's share of a GPU: what is beyond it raises, and the ladder is taken."""
    if placement.memory is None or not placement.device.startswith("cuda"):
        return
    import torch

    for name in placement.devices or (placement.device,):
        total = torch.cuda.get_device_properties(name).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, placement.memory / total), name)


def use(device: Device) -> str:
    """The torch name of a leased device; a slice of a GPU is chosen before CUDA starts."""
    if device.slice:
        torch = sys.modules.get("torch")
        if torch is None or not torch.cuda.is_initialized():
            os.environ["CUDA_VISIBLE_DEVICES"] = device.key
            return "cuda:0"
    return device.name


def _share(name: str, placement: Placement, offloads: bool) -> int:
    import torch

    free = torch.cuda.mem_get_info(name)[0]
    return int((SHARE if offloads else 0.9) * min(free, placement.memory or free))


def _folder() -> str:
    """Where weights wait on the disk; those of safetensors stay in their own files."""
    folder = tempfile.mkdtemp(prefix="foundation-offload-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
