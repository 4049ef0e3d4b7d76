"""Sound: where in a recording somebody speaks."""

from foundation.spec import Domain, Task

DOMAIN = Domain(
    name="audio",
    default="audio/silero-vad",
    noun="recordings",
    read="foundation_audio.inputs:read",
    write="foundation_audio.outputs:write",
    view="foundation_audio.outputs:html",
    suites={"speech": "foundation_audio.suite:run"},
    tasks={
        "detect": Task(
            request="foundation_audio.inputs:Detect",
            item="audio",
            columns={
                "seconds": "float64",
                "speech": "float64",
                "probability": "float64",
                "starts": "list<double>",
                "ends": "list<double>",
            },
        )
    },
)
