"""The model double: short texts of drawn digits."""

import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.adapter import Cost, Output, Placement
from foundation.draws import Draws
from foundation.spec import ModelSpec


@dataclass(frozen=True)
class Request:
    """seconds: how long a batch of such requests takes, at least 0."""

    seconds: float = 0.0


class Double:
    """Waits, as for a device, and answers with two drawn numbers."""

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        return Cost()

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None: ...

    def key(self, task: str, request: Request) -> Hashable:
        return request.seconds

    def run(
        self, task: str, batch: Sequence[Request], draws: Draws
    ) -> Iterator[tuple[int, Output]]:
        numbers = draws.uniform(0, (2,)).tolist()
        if batch[0].seconds:
            time.sleep(batch[0].seconds)
        for row, (first, second) in enumerate(numbers):
            yield row, Output(f"{first:.6f} {second:.6f}", usage={"batch": 1 / len(batch)})

    def close(self) -> None: ...


def check(values: Sequence[str], columns: Sequence[str] | None) -> list[dict[str, Any]]:
    return [{"valid": True, "reason": None, "length": len(v), "key": v} for v in values]
