"""NVIDIA's GPUs through NVML: CUDA is not started, so that looking takes no memory of theirs.

API: NVML of nvidia-ml-py (docs.nvidia.com/deploy/nvml-api). `nvml` is that module throughout.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from foundation.placement.device import Device

EXCLUSIVE, PROHIBITED = (1, 3), 2
"""Compute modes: one process at a time (by thread or process), and none."""


def gpus(nvml: Any, environ: Mapping[str, str], same_pids: bool) -> list[Device]:
    """Every GPU and MIG slice; those this process sees are named as torch names them, in its order.

    environ: the variables that CUDA reads. same_pids: whether the driver's process numbers mean
    something here.
    """
    nvml.nvmlInit()
    try:
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        found = [
            device
            for number in range(nvml.nvmlDeviceGetCount())
            for device in _device(nvml, number, driver, same_pids)
        ]
    finally:
        nvml.nvmlShutdown()
    return _named(found, environ.get("CUDA_VISIBLE_DEVICES"))


def _device(nvml: Any, number: int, driver: str, same_pids: bool) -> Iterator[Device]:
    """A GPU, or its slices where it is cut into some."""
    handle = nvml.nvmlDeviceGetHandleByIndex(number)
    title = _text(nvml.nvmlDeviceGetName(handle))
    mode = _or(nvml, lambda: nvml.nvmlDeviceGetComputeMode(handle), 0)
    notes = [f"GPU {number}", f"driver {driver}"]
    if mode in EXCLUSIVE:
        notes.append("one process at a time")
    if mode == PROHIBITED:
        notes.append("computing is switched off")
    sliced = _or(nvml, lambda: nvml.nvmlDeviceGetMigMode(handle)[0], 0)
    parts = list(_slices(nvml, handle)) if sliced else [handle]
    for part in parts:
        memory = nvml.nvmlDeviceGetMemoryInfo(part)
        yield Device(
            name="",
            key=_text(nvml.nvmlDeviceGetUUID(part)),
            kind="cuda",
            title=f"{title} MIG slice" if sliced else title,
            total=memory.total,
            free=memory.free,
            shared=mode not in EXCLUSIVE,
            usable=mode != PROHIBITED,
            slice=bool(sliced),
            notes=(*notes, *_users(nvml, part, same_pids)),
        )


def _slices(nvml: Any, handle: Any) -> Iterator[Any]:
    for number in range(_or(nvml, lambda: nvml.nvmlDeviceGetMaxMigDeviceCount(handle), 0)):
        with suppress(nvml.NVMLError):
            yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)


def _users(nvml: Any, handle: Any, same_pids: bool) -> list[str]:
    """The processes on a device where their numbers can be told; their memory where it can."""
    running = _or(nvml, lambda: nvml.nvmlDeviceGetComputeRunningProcesses(handle), [])
    if not same_pids:  # a container: the numbers are the host's and may be of others here
        return [f"{len(running)} processes"] if running else []
    return [f"process {each.pid}{_used(each)}" for each in running]


def _used(process: Any) -> str:
    return f" {process.usedGpuMemory / 1e9:.1f} GB" if process.usedGpuMemory else ""


def _named(found: list[Device], visible: str | None) -> list[Device]:
    """Name the devices that CUDA shows this process, those first; the others have no name.

    CUDA_VISIBLE_DEVICES holds indices or (beginnings of) UUIDs; what follows one that does not
    exist is not shown (CUDA C++ Programming Guide, CUDA Environment Variables). Of slices a process
    sees one alone, the first.
    """
    from dataclasses import replace

    order: list[Device] = []
    if visible is None:
        order = [device for device in found if not device.slice] or found[:1]
    else:
        plain = [device for device in found if not device.slice]
        for word in (part.strip() for part in visible.split(",")):
            if word.isdigit():
                chosen = plain[int(word) : int(word) + 1]
            else:
                chosen = [d for d in found if word and d.key.startswith(word)]
            if len(chosen) != 1 or chosen[0] in order:
                break
            order += chosen
    names = [replace(device, name=f"cuda:{n}") for n, device in enumerate(order)]
    return [*names, *(device for device in found if device not in order)]


def _or(nvml: Any, ask: Any, otherwise: Any) -> Any:
    """What the driver answers; `otherwise` where it does not support the question."""
    try:
        return ask()
    except nvml.NVMLError:
        return otherwise


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
