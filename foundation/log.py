"""The run's log: what no one needs on the screen, tracebacks above all."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOG = logging.getLogger("foundation")


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Log into `path`, which is made when there is something to say; warnings go there too."""
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    # A log that cannot be written (a full disk) must not print tracebacks of its own.
    raising, logging.raiseExceptions = logging.raiseExceptions, False
    logging.captureWarnings(True)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
        logging.captureWarnings(False)
        logging.raiseExceptions = raising
