"""Code: language models over program text, judged by running what they wrote."""

from foundation.spec import Domain, Task, Tuning

_HERE = "foundation.domains.code"
_COLUMNS = {
    "prefix": "string",
    "suffix": "string",
    "path": "string",
    "language": "string",
    "trimmed": "string",
    "context": "list<string>",
    "ended": "string",
    "left_off": "int64",
    "parses": "bool",
    "syntax_error": "string",
    "runs": "bool",
    "run_error": "string",
    "tokens": "int64",
    "log_likelihood": "float64",
    "mean_log_probability": "float64",
    "samples": "list<string>",
    "mean_log_probabilities": "list<double>",
    "times": "list<int64>",
}

DOMAIN = Domain(
    name="code",
    default="code/smollm2-135m",
    noun="completions",
    read=f"{_HERE}.files:read",
    write=f"{_HERE}.outputs:write",
    view=f"{_HERE}.outputs:html",
    screens={
        "secrets": f"{_HERE}.secrets:Secrets",
        "dangerous": f"{_HERE}.dangerous:Dangerous",
        "verbatim": f"{_HERE}.verbatim:Verbatim",
    },
    suites={
        "humaneval": f"{_HERE}.suite:complete",
        "humaneval-infilling": f"{_HERE}.suite:infill",
    },
    tasks={
        "complete": Task(request=f"{_HERE}.inputs:Complete", item="prompt", columns=_COLUMNS),
        "infill": Task(request=f"{_HERE}.inputs:Infill", item="prompt", columns=_COLUMNS),
        "score": Task(
            request=f"{_HERE}.inputs:Text",
            item="text",
            columns={"log_likelihood": "float64", "tokens": "int64"},
        ),
    },
    tuning=Tuning(
        begin=f"{_HERE}.tuning:begin",
        read=f"{_HERE}.tuning:read",
        fields=("text", "completion", "path", "suffix"),
        methods=("lora", "full", "pretrain"),
        group=f"{_HERE}.tuning:group",
        likenesses=f"{_HERE}.tuning:LIKENESSES",
        merge=f"{_HERE}.tuning:merge",
    ),
)
