"""The libraries' own words: no bars of theirs, for progress is the core's to show."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from foundation.pretrained import quiet as _transformers_quiet

BROKEN = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError)
"""What the libraries raise for files that are not what they should be."""


def first_line(error: Exception) -> str:
    """What an error of the libraries says, in one line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Neither diffusers nor transformers prints or tells what they will do without one day."""
    from diffusers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with _transformers_quiet(), warnings.catch_warnings():
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", category)
            # peft's, of a second LoRA.
            warnings.filterwarnings("ignore", "Already found a `peft_config`")
            yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
