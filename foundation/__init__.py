"""One toolkit for foundation models of any modality."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foundation.commands.estimate import of_model as estimate
    from foundation.model import Model, load

__all__ = ["Model", "estimate", "load"]

# torch's waiting threads would spin for milliseconds and hold the cores that checks and neighbours
# need; this many turns, microseconds, cost the model nothing. OpenMP reads it when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import foundation` stays cheap."""
    if name == "estimate":
        from foundation.commands.estimate import of_model

        return of_model
    if name in __all__:
        from foundation import model

        return getattr(model, name)
    raise AttributeError(f"module 'foundation' has no attribute '{name}'")
