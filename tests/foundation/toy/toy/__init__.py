"""A domain as somebody else's package brings it: words, made without any weights."""

from foundation.spec import Domain, Task

DOMAIN = Domain(
    name="toy",
    default="toy/words",
    noun="words",
    tasks={
        "generate": Task(
            request="toy.model:Request",
            item="start",
            count=20,
            check="toy.model:check",
            columns={"length": "int32"},
        )
    },
    read="toy.model:read",
    suites={"letters": "toy.model:letters"},
)
