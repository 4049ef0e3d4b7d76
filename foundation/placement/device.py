"""What a device is to the plan, the estimate and the leases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Device:
    """A device as it is at this moment.

    name: torch's in this process, e.g. "cuda:0"; empty where the process does not see it.
    key: its name for every process of the machine: a UUID, or the name.
    kind: cpu, cuda, rocm or mps. total and free: bytes; used by others is memory, whoever it is.
    shared: several processes may use it at once. usable: computing is allowed.
    slice: a part of a GPU, to be chosen by CUDA_VISIBLE_DEVICES=<key> before CUDA starts.
    notes: what else is worth telling, each in a few words.
    """

    name: str
    key: str
    kind: str
    title: str
    total: int
    free: int
    shared: bool = True
    usable: bool = True
    slice: bool = False
    notes: tuple[str, ...] = ()


class Machine(Protocol):
    """The devices there are. A test's or a described machine is one as this one is."""

    def devices(self) -> Sequence[Device]:
        """All devices, the host (kind cpu) the last, with their memory as it is now."""
        ...
