"""`task=leases`: who holds which device and who waits; answered without Hydra."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from foundation.commands.devices import wants_json
from foundation.commands.models import table
from foundation.placement.amounts import shown


def answer(words: Sequence[str]) -> str:
    """The leases and the line as a table, with `task.json=true` as JSON."""
    as_json = wants_json(words, "task=leases")
    from foundation.placement.devices import Here
    from foundation.placement.leases import leasable
    from foundation.placement.tickets import folder, tickets

    there, found = leasable(Here()), tickets()
    names = {device.key: device.name or device.key for device in there}
    if as_json:
        return json.dumps(
            {"folder": str(folder()), "tickets": [asdict(t) for t in found]}, indent=2
        )
    free = {
        device.key: device.total - sum(t.memory for t in found if t.device == device.key)
        for device in there
    }
    rows = [("number", "device", "memory", "user", "process", "job", "since")]
    for ticket in found:
        wanted = " or ".join(names.get(key, key) for key in ticket.keys)
        held = names.get(ticket.device, ticket.device) if ticket.device else f"waits for {wanted}"
        began = datetime.fromtimestamp(ticket.since).strftime("%m-%d %H:%M")
        rows.append((str(ticket.number), held, shown(ticket.memory), ticket.user,
                     str(ticket.pid), ticket.job, began))  # fmt: skip
    spare = ", ".join(f"{shown(amount)} of {names[key]}" for key, amount in free.items())
    held = table(rows) if found else "no leases and nobody waits"
    return f"{held}\nnot leased: {spare}; tickets are in {folder()}"
