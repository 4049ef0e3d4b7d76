"""Where a model runs, and what is done when memory is short.

choice.py     what the user asked for -> a Placement on a device that is there
shortage.py   which errors say that memory ran out
ladder.py     smaller batch, the model's savers, lower precision, offload; and the way back
"""

from foundation.placement.choice import DTYPES, place

__all__ = ["DTYPES", "place"]
