"""Amounts of memory as people write them."""

import re
from typing import Any

from foundation.errors import PlacementError

UNITS = {"": 1, "B": 1} | {
    f"{prefix}{end}": base**power
    for end, base in (("B", 1000), ("iB", 1024))
    for power, prefix in enumerate("KMGT", 1)
}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_SPELT = {unit.lower(): factor for unit, factor in UNITS.items()}


def parsed(value: Any, where: str) -> int | None:
    """`80GB`, `40 GiB` or bytes -> bytes; None stays. PlacementError for anything else."""
    if value is None:
        return None
    written = _WRITTEN.fullmatch(str(value).strip())
    factor = _SPELT.get(written[2].lower()) if written else None
    if isinstance(value, bool) or not written or factor is None or float(written[1]) == 0:
        raise PlacementError(f"{where} must be an amount such as 80GB or 40GiB, got '{value}'")
    return int(float(written[1]) * factor)


def shown(amount: float) -> str:
    """Bytes in three figures at most: 34.2 GB, 512 MB."""
    gigabytes = amount / 1e9
    if gigabytes >= 0.9995:
        return f"{gigabytes:.0f} GB" if gigabytes >= 99.95 else f"{gigabytes:.1f} GB"
    return f"{amount / 1e6:.0f} MB"
