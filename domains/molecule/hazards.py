"""Screens of molecules: catalogues of RDKit, and families of the Chemical Weapons Convention."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.results import Result

if TYPE_CHECKING:
    from rdkit.Chem import Mol

FAMILIES = Path(__file__).with_name("controlled.yaml")
LONGEST = 4096  # characters, as in checks.py


class Catalogue:
    """Structures of one of RDKit's catalogues."""

    def __init__(self, *names: str) -> None:
        from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

        params = FilterCatalogParams()
        for name in names:
            params.AddCatalog(getattr(FilterCatalogParams.FilterCatalogs, name))
        self._catalogue = FilterCatalog(params)

    def __call__(self, result: Result) -> str | None:
        molecule = _molecule(result)
        found = None if molecule is None else self._catalogue.GetFirstMatch(molecule)
        return None if found is None else str(found.GetDescription())


class _Alerts:
    """PAINS or BRENK: those the results were already checked for, or else by the catalogue."""

    def __init__(self, column: str, name: str) -> None:
        self._column, self._name = column, name
        self._catalogue: Catalogue | None = None

    def __call__(self, result: Result) -> str | None:
        if self._column in result.checks:
            return ", ".join(result.checks[self._column] or ()) or None
        self._catalogue = self._catalogue or Catalogue(self._name)
        return self._catalogue(result)


class Controlled:
    """Families that controlled.yaml describes, with their sources."""

    def __call__(self, result: Result) -> str | None:
        molecule = _molecule(result)
        if molecule is None:
            return None
        for title, query in _families():
            if molecule.HasSubstructMatch(query):
                return title
        return None


def pains() -> Any:
    """Frequent hitters of assays (Baell and Holloway 2010)."""
    return _Alerts("pains", "PAINS")


def brenk() -> Any:
    """Unwanted groups: reactive, toxic, unstable (Brenk et al. 2008)."""
    return _Alerts("brenk", "BRENK")


def toxicophores() -> Any:
    """Toxicophores and reactive groups: SureChEMBL's set of alerts, and the NIH's."""
    return Catalogue("CHEMBL_SureChEMBL", "NIH")


@lru_cache(maxsize=1)
def _families() -> "tuple[tuple[str, Mol], ...]":
    import yaml
    from rdkit import Chem

    told = yaml.safe_load(FAMILIES.read_text(encoding="utf-8"))["families"]
    return tuple((each["title"], Chem.MolFromSmarts(each["smarts"])) for each in told)


def _molecule(result: Result) -> "Mol | None":
    from rdkit import Chem

    text = str(result.output)
    return Chem.MolFromSmiles(text) if len(text) <= LONGEST else None
