"""Images: pictures drawn from text."""

from foundation.spec import Domain, Task

_HERE = "foundation.domains.image"

DOMAIN = Domain(
    name="image",
    default="image/starter",
    noun="images",
    read=f"{_HERE}.files:read",
    keep=f"{_HERE}.outputs:keep",
    write=f"{_HERE}.outputs:write",
    view=f"{_HERE}.outputs:html",
    suites={"compositional": f"{_HERE}.suite:run"},
    tasks={
        "generate": Task(
            request=f"{_HERE}.inputs:Generate",
            item="prompt",
            columns={
                "negative": "string",
                "image_seed": "int64",
                "width": "int64",
                "height": "int64",
                "steps": "int64",
                "guidance": "float64",
                "scheduler": "string",
                "lora": "float64",
                "loras": "string",
                "cut": "string",
                "thumbnail": "binary",
            },
        ),
    },
)
