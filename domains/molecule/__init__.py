"""Molecules: language models over SMILES, checked with RDKit."""

from foundation.spec import Domain, Steering, Task, Tuning

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
    text=f"{_HERE}.outputs:text",
    records={".sdf": f"{_HERE}.outputs:records"},
    screens={
        "pains": f"{_HERE}.hazards:pains",
        "brenk": f"{_HERE}.hazards:brenk",
        "toxicophores": f"{_HERE}.hazards:toxicophores",
        "controlled": f"{_HERE}.hazards:Controlled",
    },
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
        "classify": Task(
            request=f"{_HERE}.inputs:Molecule",
            item="smiles",
            columns={"canonical": "string", "probability": "float64"},
        ),
        "predict": Task(
            request=f"{_HERE}.inputs:Molecule",
            item="smiles",
            columns={"canonical": "string", "value": "float64"},
        ),
        "score": Task(
            request=f"{_HERE}.inputs:Molecule",
            item="smiles",
            check=f"{_HERE}.checks:check",
            columns={**_CHECKS, "log_likelihood": "float64", "tokens": "int64"},
            unique_by="inchikey",
        ),
    },
    tuning=Tuning(
        begin=f"{_HERE}.tuning:begin",
        read=f"{_HERE}.tuning:read",
        fields=("smiles", "label", "value"),
        methods=("head", "full", "pretrain"),
        group=f"{_HERE}.tuning:scaffold",
        likenesses=f"{_HERE}.tuning:LIKENESSES",
        baselines={
            "fingerprints": f"{_HERE}.tuning:fingerprints",
            "descriptors": f"{_HERE}.tuning:descriptors",
        },
        recipes={
            "full": {"batch": 64, "rate": 0.0005},
            "pretrain": {"batch": 256, "rate": 0.004, "warmup": 200, "augment": 0.1},
        },
    ),
    steering=Steering(
        score=f"{_HERE}.objective:objective",
        begin=f"{_HERE}.steering:begin",
        task="generate",
        recipe="molecule/steer",
    ),
)
