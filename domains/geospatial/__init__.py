"""Satellite rasters: embeddings on the ground."""

from foundation.spec import Domain, Task, Tuning

_HERE = "foundation.domains.geospatial"

SCENE = {
    "sensor": "string",
    "bands": "list<string>",
    "assumed": "string",
    "resolution": "float64",
    "crs": "string",
    "height": "int64",
    "width": "int64",
    "gdal": "string",
    "windows": "int64",
    "embedded_windows": "int64",
    "valid_fraction": "float64",
}
LABELS = {**SCENE, "classes": "list<string>", "shares": "list<double>"}

DOMAIN = Domain(
    name="geospatial",
    default="geospatial/starter",
    noun="scenes",
    read=f"{_HERE}.files:read",
    write=f"{_HERE}.outputs:write",
    view=f"{_HERE}.notebook:html",
    suites={"geo": f"{_HERE}.suite:run"},
    tasks={
        "embed": Task(
            request=f"{_HERE}.inputs:Embed",
            item="raster",
            files=("points",),
            columns={**SCENE, "embedding": "vector"},
        ),
        "search": Task(
            request=f"{_HERE}.inputs:Search",
            item="raster",
            columns={
                **SCENE,
                "scenes": "list<string>",
                "scene_windows": "list<int64>",
                "similarities": "list<double>",
            },
        ),
        "change": Task(
            request=f"{_HERE}.inputs:Change",
            item="raster",
            columns={
                **SCENE,
                "shift_rows": "float64",
                "shift_columns": "float64",
                "aligned": "bool",
                "change": "float64",
                "change_95": "float64",
            },
        ),
        "probe": Task(
            request=f"{_HERE}.inputs:Probe",
            item="raster",
            files=("labels",),
            columns={
                **SCENE,
                "classes": "list<string>",
                "labelled": "int64",
                "blocks": "int64",
                "accuracy": "float64",
                "accuracy_low": "float64",
                "accuracy_high": "float64",
                "accuracy_commonest": "float64",
            },
        ),
        "segment": Task(
            request=f"{_HERE}.inputs:Label", item="raster", files=("head",), columns=LABELS
        ),
        "classify": Task(
            request=f"{_HERE}.inputs:Label",
            item="raster",
            files=("head",),
            columns={**LABELS, "probability": "float64"},
        ),
    },
    tuning=Tuning(
        begin=f"{_HERE}.tuning:begin",
        read=f"{_HERE}.tuning:read",
        fields=("raster", "label", "place"),
        group=f"{_HERE}.tuning:group",
        apart=f"{_HERE}.tuning:placed",
        likenesses=f"{_HERE}.tuning:LIKENESSES",
        baselines={"statistics": f"{_HERE}.tuning:statistics"},
        recipes={
            "lora": {"epochs": 10, "rate": 0.001, "augment": 0.5},
            "full": {"epochs": 10, "rate": 0.0003, "augment": 0.5},
        },
    ),
)
