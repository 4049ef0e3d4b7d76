"""A domain whose model costs what it is told to, to measure what everything else costs."""

from foundation.spec import Domain, Task

_REQUEST = "double.model:Request"

DOMAIN = Domain(
    name="double",
    default="double/double",
    noun="values",
    tasks={
        "generate": Task(
            request=_REQUEST,
            check="double.model:check",
            columns={"length": "int64", "key": "string"},
            unique_by="key",
        ),
        "plain": Task(request=_REQUEST),
    },
)
