"""Structural alerts: PAINS, BRENK and those QED counts, as RDKit's FilterCatalog and QED find them.

RDKit itself decides every match; the screen only spares it the queries that cannot match.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from rdkit.Chem import Mol

PICKLE = b"\xef\xbe\xad\xde"  # the first bytes of RDKit's binary molecules


@dataclass(frozen=True)
class Alerts:
    """Names in the catalogues' order; `qed` is the number of QED's alerts."""

    pains: list[str]
    brenk: list[str]
    qed: int


class AlertScreen:
    """All alerts of a molecule in one pass. Baell and Holloway 2010 (PAINS), Brenk et al. 2008,
    Bickerton et al. 2012 (QED), from the RDKit that is installed."""

    def __init__(self) -> None:
        from rdkit.Chem import QED
        from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

        from foundation.domains.molecule.screen import Screen

        queries: list[Mol | None] = []
        self._tests: list[tuple[str, str, Callable[[Mol], bool]]] = []
        self._catalogs = []  # entries live no longer than their catalogue
        for family in ("PAINS", "BRENK"):
            catalog = FilterCatalog(getattr(FilterCatalogParams.FilterCatalogs, family))
            self._catalogs.append(catalog)
            for i in range(catalog.GetNumEntries()):
                entry = catalog.GetEntryWithIdx(i)
                queries.append(pattern(bytes(entry.Serialize())))
                self._tests.append((family, entry.GetDescription(), entry.HasFilterMatch))
        for i, query in enumerate(QED.StructuralAlerts):
            queries.append(query)
            self._tests.append(("QED", str(i), _matcher(query)))
        self._screen = Screen(queries)

    def __call__(self, molecule: "Mol") -> Alerts:
        """Every alert of a sanitised molecule."""
        found: dict[str, list[str]] = {"PAINS": [], "BRENK": [], "QED": []}
        for i in self._screen.candidates(molecule).tolist():
            family, name, matches = self._tests[i]
            if matches(molecule):
                found[family].append(name)
        return Alerts(found["PAINS"], found["BRENK"], len(found["QED"]))


def _matcher(query: "Mol") -> "Callable[[Mol], bool]":
    return lambda molecule: bool(molecule.HasSubstructMatch(query))


def pattern(entry: bytes) -> "Mol | None":
    """The query without which a serialised catalogue entry cannot match; None if not evident.

    RDKit gives an entry's query only together with a match. The serialised entry holds, as text,
    the length of the query's binary form, then that form, then the least count of matches.
    """
    from rdkit import Chem

    start = entry.find(PICKLE)
    try:
        size = int(entry[:start].split()[-1])
        least = int(entry[start + size :].split()[0])
        pickled: Any = entry[start : start + size]  # RDKit's stubs know no bytes
        return Chem.Mol(pickled) if start > 0 and least >= 1 else None
    except (ValueError, IndexError, RuntimeError):
        return None


@lru_cache(maxsize=1)
def alert_screen() -> AlertScreen:
    """The one screen of this process: building it takes about a tenth of a second."""
    return AlertScreen()
