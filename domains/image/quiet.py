"""No progress bars of the libraries: progress is the core's to show."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from foundation.pretrained import quiet as _transformers_quiet


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
