"""Where a model runs, what fits, whose turn it is, and what is done when memory is short.

choice.py       what the user asked for -> a Placement on a device that is there
device.py       what a device is; a machine is what has some
devices.py      the devices of this machine, or of one that is described
host.py         processor and memory, as cgroups and affinity leave them
nvidia.py       GPUs by NVML
estimate.py     what a model will need, before it is loaded
geometry.py     the shape of a transformer, as its config tells it
training.py     what a training will need
calibration.py  how long results take on this machine
plan.py         a device, a batch that fits it, and the line that says so
spread.py       a model on several devices or partly off them; its share of a GPU
leases.py       devices of a shared machine, each in its turn
tickets.py      who wants or holds one, as files and locks
queue.py        whose turn it is
shortage.py     which errors say that memory ran out
ladder.py       smaller batch, the model's savers, lower precision, offload; and the way back
amounts.py      80GB and the like
"""

from foundation.placement.choice import DTYPES, place

__all__ = ["DTYPES", "place"]
