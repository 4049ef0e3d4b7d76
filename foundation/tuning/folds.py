"""Groups of rows, never parted: a number that deals each, and folds with a share of every label."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from foundation.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def deal(
    rows: Sequence[Mapping[str, Any]], groups: Sequence[str], folds: int, seed: int
) -> "NDArray[np.int64]":
    """The fold of each row, 0 to `folds` - 1.

    Groups in an order drawn by `seed`, the largest first; each goes where the label that most of
    its rows bear is rarest. InputError for fewer groups than folds.
    """
    import numpy as np

    members: dict[str, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        members[group].append(place)
    if len(members) < folds:
        raise InputError(
            f"{folds} folds need as many groups of rows that are not alike, there are "
            f"{len(members)}: give more rows, or a smaller task.folds"
        )
    order = sorted(members, key=lambda group: (-len(members[group]), drawn(seed, group)))
    found = np.zeros(len(rows), np.int64)
    counts: list[Counter[Any]] = [Counter() for _ in range(folds)]
    sizes = [0] * folds
    for group in order:
        labels = Counter(rows[place].get("label") for place in members[group])
        most = labels.most_common(1)[0][0]
        fold = min(range(folds), key=lambda k: (counts[k][most], sizes[k], k))
        counts[fold].update(labels)
        sizes[fold] += len(members[group])
        found[members[group]] = fold
    return found


def drawn(seed: int, group: str) -> int:
    """A number, 0 to 2**64 - 1, that a seed draws for a group whatever the other groups are."""
    digest = hashlib.blake2b(f"{seed}/{group}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
