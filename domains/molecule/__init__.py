"""Molecules: language models over SMILES, checked with RDKit."""

from foundation.spec import Domain, Task

_HERE = "foundation.domains.molecule"
_CHECKS = {
    "parses": "bool",
    "sanitises": "bool",
    "canonical": "string",
    "inchikey": "string",
    "novel": "bool",
    "weight": "float64",
    "logp": "float64",
    "tpsa": "float64",
    "donors": "int64",
    "acceptors": "int64",
    "rotatable_bonds": "int64",
    "rings": "int64",
    "qed": "float64",
    "sa": "float64",
    "lipinski": "bool",
    "pains": "list<string>",
    "brenk": "list<string>",
}

DOMAIN = Domain(
    name="molecule",
    default="molecule/starter",
    noun="molecules",
    read=f"{_HERE}.files:read",
    write=f"{_HERE}.outputs:write",
    view=f"{_HERE}.outputs:html",
    suites={"moses": f"{_HERE}.suite:run"},
    tasks={
        "generate": Task(
            request=f"{_HERE}.inputs:Generate",
            item="scaffold",
            count=1000,
            check=f"{_HERE}.checks:check",
            columns={**_CHECKS, "log_likelihood": "float64", "attempts": "int64"},
            unique_by="inchikey",
        ),
        "embed": Task(
            request=f"{_HERE}.inputs:Molecule",
            item="smiles",
            columns={"canonical": "string", "embedding": "vector"},
        ),
        "score": Task(
            request=f"{_HERE}.inputs:Molecule",
            item="smiles",
            check=f"{_HERE}.checks:check",
            columns={**_CHECKS, "log_likelihood": "float64", "tokens": "int64"},
            unique_by="inchikey",
        ),
    },
)
