"""Images: pictures drawn from text."""

from foundation.spec import Domain

_HERE = "foundation.domains.image"

DOMAIN = Domain(
    name="image",
    default="image/starter",
    noun="images",
    read=f"{_HERE}.files:read",
    tasks={},
)
