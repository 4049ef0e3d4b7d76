"""What a run begins with: a device, a batch that fits it, and the line that says so."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from foundation.adapter import Adapter, Placement
from foundation.errors import PlacementError
from foundation.hub.facts import described
from foundation.placement import calibration
from foundation.placement.amounts import shown
from foundation.placement.device import Device, Machine
from foundation.placement.devices import Here
from foundation.placement.estimate import LOOKED_AT, beside, costs, estimate, largest_batch
from foundation.requests import Item
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    from foundation.placement.leases import Lease


@dataclass(frozen=True)
class Plan:
    """rows: of a batch. peak: bytes the device will need at most, of `room` that it has; 0 where
    weights are spread or offloaded, and it depends on how.

    device: its name, or "lease" until it has one. work: operations of a result, or 0.
    """

    model: str
    task: str
    device: str
    kind: str
    dtype: str
    rows: int
    peak: int
    room: int
    work: float
    machine: str
    placement: Placement

    @property
    def line(self) -> str:
        """The plan in one line."""
        where = "a device by lease" if self.device == "lease" else self.device
        over = self.placement.devices
        spread = f" (spread over {', '.join(over)})" if over else ""
        away = self.placement.offload
        moved = f", offloaded to {away}" if away in ("host", "disk") else ""
        need = f"about {shown(self.peak)} of {shown(self.room)}" if self.peak else "memory unknown"
        return f"{self.model} on {where}{spread} in {self.dtype}{moved}, batch {self.rows}, {need}"

    def values(self) -> dict[str, Any]:
        """As JSON."""
        return {k: v for k, v in asdict(self).items() if k != "placement"} | {"line": self.line}

    def keep(self, results: int, seconds: float) -> None:
        """Remember how long results took."""
        calibration.keep(
            self.machine, self.model, self.task, self.kind, self.dtype, self.rows, self.work,
            results, seconds,
        )  # fmt: skip


def plan(
    spec: ModelSpec,
    adapter: type[Adapter],
    task: str,
    items: Iterable[Item],
    rows: int,
    placement: Placement,
    machine: Machine | None = None,
) -> Plan:
    """Begin with as many rows of `rows` as fit; PlacementError where not even one does.

    placement.dtype is the one it will run in. Offloading and spreading take weights off the device,
    so nothing is refused then.
    """
    device = chosen(placement, machine or Here())
    known = described(replace(spec, dtype=placement.dtype), network=False)
    first = list(islice(items, LOOKED_AT))
    cost = costs(known, adapter, first)
    extra = beside(device)
    room = room_of(placement, device)
    lighter = placement.offload in ("host", "disk") or len(placement.devices) > 1
    fitting = rows if lighter else largest_batch(cost, room - extra, rows)
    if not fitting:
        made = estimate(spec, adapter, task, first, rows, placement, replace(device, total=room))
        needs = shown(cost.peak(1) + extra)
        has = f"{device.name or device.key} has {shown(room)} for it"
        would = "; ".join(made.advice[:-1]) or "none of its settings would"
        raise PlacementError(
            f"{spec.name} needs {needs} in {placement.dtype} and {has}. What would fit: {would}; "
            f"{made.advice[-1]}"
        )
    return Plan(
        model=spec.name,
        task=task,
        device=placement.device,
        kind=device.kind,
        dtype=placement.dtype,
        rows=fitting,
        peak=0 if lighter else cost.peak(fitting) + extra,
        room=room,
        work=cost.work,
        machine=calibration.machine_name(device),
        placement=placement,
    )


def leased(
    placement: Placement, need: int | None, job: str, say: Callable[[str], None]
) -> tuple[Placement, "Lease | None"]:
    """The placement on a leased device, and the lease, where one was asked for.

    need: bytes, unless the placement tells how many the job may have; None: most of a device.
    """
    if placement.device != "lease":
        return placement, None
    from foundation.placement.leases import take
    from foundation.placement.spread import use

    memory = placement.memory or need or _most(chosen(placement, Here()))
    lease = take(memory, job, Here(), timeout=placement.timeout, say=say)
    device = use(lease.device)
    say(f"leased {device} with {shown(memory)} for {job}")
    return replace(placement, device=device, memory=memory), lease


def _most(device: Device) -> int:
    """Bytes that leave room for no second such job, and that can be had: a driver keeps some of a
    GPU, and of a host others keep more."""
    return (device.free if device.kind == "cpu" else device.total) * 4 // 5


def room_of(placement: Placement, device: Device) -> int:
    """Bytes of a device that a job may count on: its share, and what is free unless it waits."""
    room = device.total if placement.device == "lease" else min(device.total, device.free)
    return room if placement.memory is None else min(room, placement.memory)


def chosen(placement: Placement, machine: Machine) -> Device:
    """The device of a placement as it is now; for a lease the largest it may get."""
    if placement.device == "lease":
        from foundation.placement.leases import leasable

        return max(leasable(machine), key=lambda device: device.total)
    there = machine.devices() if placement.device != "cpu" else machine.devices()[-1:]
    return next((d for d in there if d.name == placement.device), there[-1])


def likely(name: str) -> str:
    """The torch name of a device, of a lease that of one it may get."""
    if name != "lease":
        return name
    from foundation.placement.devices import accelerators

    return next((device.name for device in accelerators() if device.name), "cpu")
