"""Language: text written, scored, embedded, classified and tagged."""

from foundation.spec import Domain, Task, Tuning

_HERE = "foundation.domains.language"

DOMAIN = Domain(
    name="language",
    default="language/smollm2-135m",
    noun="texts",
    read=f"{_HERE}.files:read",
    write=f"{_HERE}.outputs:write",
    view=f"{_HERE}.outputs:html",
    screens={
        "personal": f"{_HERE}.personal:Personal",
        "profanity": f"{_HERE}.profanity:Profanity",
    },
    suites={
        "banking77": f"{_HERE}.suite:run",
        "snips": f"{_HERE}.suite:run",
        "snips-slots": f"{_HERE}.slots_suite:run",
        "calibration": f"{_HERE}.suite:calibration",
        "hate": f"{_HERE}.hate_suite:run",
        "bias": f"{_HERE}.bias_suite:run",
    },
    tasks={
        "generate": Task(
            request=f"{_HERE}.inputs:Generate",
            item="prompt",
            columns={
                "ended": "string",
                "tokens": "int64",
                "log_likelihood": "float64",
                "log_probabilities": "list<float>",
            },
        ),
        "score": Task(
            request=f"{_HERE}.inputs:Text",
            item="text",
            columns={"log_likelihood": "float64", "tokens": "int64"},
        ),
        "embed": Task(
            request=f"{_HERE}.inputs:Text",
            item="text",
            columns={"tokens": "int64", "windows": "int64", "embedding": "vector"},
        ),
        "classify": Task(
            request=f"{_HERE}.inputs:Classify",
            item="text",
            files=("examples",),
            columns={"probability": "float64", "unsure": "bool", "second": "string"},
        ),
        "tag": Task(
            request=f"{_HERE}.tagging:Tag",
            item="text",
            files=("examples",),
            columns={
                "starts": "list<int64>",
                "ends": "list<int64>",
                "labels": "list<string>",
                "probabilities": "list<double>",
                "unsure": "bool",
            },
        ),
    },
    tuning=Tuning(
        begin=f"{_HERE}.tuning:begin",
        read=f"{_HERE}.tuning:read",
        fields=("text", "label", "completion"),
        methods=("head", "lora", "full", "pretrain"),
        group=f"{_HERE}.tuning:group",
        likenesses=f"{_HERE}.tuning:LIKENESSES",
        merge=f"{_HERE}.tuning:merge",
        baselines={"words": f"{_HERE}.ways:words", "prompt": f"{_HERE}.ways:prompt"},
        commands={"prompt": "task=classify task.method=prompt task.examples={data}"},
    ),
)
