"""What a worker does: requests it is given -> results it gives back, over any two-way channel.

From the driver come packets of items, in which None is a pause (see `Feed`); an empty one ends a
lease. To the driver go pairs:

    ready   {"width": ...}     the model is loaded
    more    None               the next packet, please; asked ahead of need
    made    [Result, ...]      results, in the order they were done
    told    [event, ...]       what happened, for the record
    idle    None               the lease is over and every item of it answered
    failed  exception          this is no item's fault
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from foundation.engines import Work
from foundation.errors import FoundationError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foundation.adapter import Placement
    from foundation.requests import Item, Packet
    from foundation.spec import ModelSpec

Message = tuple[str, Any]

ASKED = 4
"""Packets asked ahead of need: where messages are slow, a model that reads ahead does not wait."""


def serve(
    spec: "ModelSpec",
    placement: "Placement",
    work: Work,
    receive: "Callable[[], Packet]",
    send: Callable[[Message], None],
) -> None:
    """Load the model and work through leases until `receive` raises EOFError."""
    try:
        from foundation.checking import chunks
        from foundation.model import Model

        model = Model(spec, placement)
        send(("ready", {"width": getattr(model.adapter, "width", None)}))
        while True:
            events: list[str] = []
            items = _leased(receive(), receive, send)
            for results in chunks(model.answers(work, items, lambda: False, events)):
                send(("made", results))
                _tell(events, send)
            _tell(events, send)
            send(("idle", None))
    except EOFError:
        return
    except Exception as error:
        send(("failed", _portable(error)))


def _tell(events: list[str], send: Callable[[Message], None]) -> None:
    if events:
        send(("told", list(events)))
        events.clear()


def _leased(
    packet: "Packet", receive: "Callable[[], Packet]", send: Callable[[Message], None]
) -> "Iterator[Item | None]":
    for _ in range(ASKED):
        send(("more", None))
    while packet:
        yield from packet
        packet = receive()
        if packet:
            send(("more", None))
    for _ in range(ASKED - 1):
        receive()  # what was asked ahead is answered with empty packets, too


def _portable(error: Exception) -> Exception:
    """The error as another process can read it, its traceback as a note."""
    import pickle
    import traceback

    note = "in a worker:\n" + "".join(traceback.format_exception(error))
    if isinstance(error, FoundationError):
        # Its class may need more than the message to be made again.
        kind = InputError if isinstance(error, InputError) else FoundationError
        told: Exception = kind(str(error))
    else:
        told = error
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            told = RuntimeError(f"{type(error).__name__}: {error}")
    told.add_note(note)
    return told
