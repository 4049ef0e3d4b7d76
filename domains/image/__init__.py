"""Images: pictures drawn from text, and pictures and texts in one space."""

from foundation.spec import Domain, Task, Tuning

_HERE = "foundation.domains.image"
_PICTURES = f"{_HERE}.files:read_pictures"

DOMAIN = Domain(
    name="image",
    default="image/starter",
    noun="images",
    read=f"{_HERE}.files:read",
    keep=f"{_HERE}.outputs:keep",
    write=f"{_HERE}.outputs:write",
    view=f"{_HERE}.outputs:html",
    redraws={suffix: f"{_HERE}.metadata:same" for suffix in (".png", ".jpg", ".webp")},
    suites={"compositional": f"{_HERE}.suite:run", "geneval": f"{_HERE}.geneval:run"},
    tasks={
        "generate": Task(
            request=f"{_HERE}.inputs:Generate",
            item="prompt",
            files=("image", "mask"),
            columns={
                "negative": "string",
                "image_seed": "int64",
                "width": "int64",
                "height": "int64",
                "steps": "int64",
                "guidance": "float64",
                "scheduler": "string",
                "image": "string",
                "mask": "string",
                "strength": "float64",
                "speed": "string",
                "lora": "float64",
                "loras": "string",
                "format": "string",
                "cut": "string",
                "thumbnail": "binary",
            },
        ),
        "embed": Task(
            request=f"{_HERE}.inputs:Look",
            item="image",
            read=_PICTURES,
            columns={"text": "string", "cut": "string", "embedding": "vector"},
        ),
        "score": Task(
            request=f"{_HERE}.inputs:Match",
            item="image",
            read=_PICTURES,
            columns={
                "text": "string",
                "similarity": "float64",
                "probability": "float64",
                "cut": "string",
            },
        ),
        "classify": Task(
            request=f"{_HERE}.inputs:Classify",
            item="image",
            read=_PICTURES,
            columns={"probability": "float64", "unsure": "bool", "second": "string"},
        ),
    },
    tuning=Tuning(
        begin=f"{_HERE}.tuning:begin",
        read=f"{_HERE}.tuning:read",
        fields=("picture", "text"),
        group=f"{_HERE}.tuning:group",
        methods=("lora", "full"),
        likenesses=f"{_HERE}.tuning:LIKENESSES",
        recipes={
            "lora": {"epochs": 50, "augment": 0.1, "patience": 0},
            "full": {"epochs": 50, "rate": 0.0003, "augment": 0.1, "patience": 0},
        },
        merge=f"{_HERE}.tuning:merge",
    ),
)
