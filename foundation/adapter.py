"""The interface between the core and a domain's models.

An adapter is small: batching, seeds, retry, resume, records and writing are the core's.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from foundation.draws import Draws
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Cost:
    """What a model needs, in bytes, and with a request what that one adds.

    weights: held while it is loaded. mapped: files that are in the host's memory beside them while
    they are read, which the system takes back where memory is short. fixed: beyond the weights
    while it runs, whatever the batch, such as the pass of a fixed size. memory: of a request while
    it runs; most: of all requests of a batch together, where a pass is cut to a size.
    size: of a request, which sorts them into batches of like length.
    work: floating-point operations of a request; 0: not known.

    >>> Cost(weights=100, memory=10, fixed=5).peak(batch=4)
    145
    """

    weights: int = 0
    memory: int = 0
    size: int = 1
    fixed: int = 0
    mapped: int = 0
    most: int | None = None
    work: float = 0.0

    def peak(self, batch: int) -> int:
        """The most that is held at once, with a batch of such requests."""
        rows = batch * self.memory if self.most is None else min(batch * self.memory, self.most)
        return self.weights + self.fixed + rows

    def resident(self, batch: int) -> int:
        """The most that a process is seen to hold at once where memory is not short."""
        return max(self.peak(batch), self.weights + self.mapped)


@dataclass(frozen=True)
class Placement:
    """Where a model runs.

    device: a torch device string; of several the first. devices: all over which layers are spread.
    dtype: "float32", "bfloat16", ... memory: bytes of the device it may use; None: all of it.
    offload: "host" or "disk", where weights wait that are not in use; "never": nowhere, even when
        memory runs out; None: nowhere unless it does. lower_precision: whether it may then be
        loaded in bfloat16. timeout: seconds to wait for a lease; None: for ever.
    """

    device: str = "cpu"
    dtype: str = "float32"
    threads: int | None = None
    devices: tuple[str, ...] = ()
    memory: int | None = None
    offload: str | None = None
    lower_precision: bool = False
    timeout: float | None = None


@dataclass(frozen=True)
class Output:
    """What an adapter makes of one request.

    value: the plain answer (a label, a text, a path). reason: why there is none; None is well.
    refused: the input could not be used, which is the user's to mend.
    usage: units the domain names, e.g. tokens. extra: columns beside the checks', such as a
        log-likelihood.
    """

    value: Any
    reason: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)
    refused: bool = False


class Adapter(Protocol):
    """A model behind the interface. Constructed without arguments, then loaded."""

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Tell what is needed before anything is loaded.

        The spec's dtype is the one it will run in, or "auto"; what its files say is in its facts.
        """
        ...

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        """Take verified weights from `folder` onto the placement."""
        ...

    def key(self, task: str, request: Any) -> Hashable:
        """Requests with equal keys may share a batch."""
        ...

    def run(self, task: str, batch: Sequence[Any], draws: Draws) -> Iterator[tuple[int, Output]]:
        """Yield (row of the batch, its output), each as soon as it is done."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


class Slots(Protocol):
    """A batch of fixed shape whose rows come and go between steps."""

    def insert(self, slot: int, request: Any, draws: Draws) -> None:
        """Begin a request in a free slot; `draws` holds that one request's numbers."""
        ...

    def step(self) -> Sequence[tuple[int, Output]]:
        """Advance every occupied slot once; return those that finished, now free."""
        ...

    def remove(self, slot: int) -> None:
        """Give a request up; its slot is free."""
        ...


@runtime_checkable
class Steps(Protocol):
    """An adapter whose requests enter and leave between steps."""

    def slots(self, task: str, key: Hashable, count: int) -> Slots | None:
        """Open a batch of `count` rows, or None where this task runs whole batches."""
        ...


class Parts(Protocol):
    """The parts of one request: iterated once, each given back with its output, in any order."""

    def __iter__(self) -> Iterator[Any]:
        """The parts' requests, made as they are needed; InputError refuses the whole request."""
        ...

    def add(self, number: int, output: Output) -> None:
        """Take the output of the part that was yielded as number `number`, from 0."""
        ...

    def join(self) -> Output:
        """The request's output, when all parts have theirs."""
        ...


@runtime_checkable
class Streams(Protocol):
    """An adapter whose output of one request can be read while it is made."""

    def pieces(self, task: str, request: Any, draws: Draws) -> Iterator[str]:
        """The output's parts in order; closed early, the rest is not made. RequestError."""
        ...


@runtime_checkable
class Splits(Protocol):
    """An adapter whose requests are many parts, and whose outputs are larger than memory."""

    def split(self, task: str, request: Any, sink: Path | None) -> Parts:
        """The parts of a request. What they leave in the folder `sink` outlives a restart."""
        ...


@runtime_checkable
class Saves(Protocol):
    """Memory savers the core may switch on, mildest first."""

    def savers(self) -> Sequence[str]: ...

    def save_memory(self, name: str) -> None: ...


@runtime_checkable
class Notes(Protocol):
    """An adapter with something to say of how its outputs came to be, such as what they cost."""

    def notes(self) -> Sequence[str]:
        """Lines for the screen and the record, asked when all outputs are made."""
        ...


@runtime_checkable
class Tunable(Protocol):
    """A model the trainer can train.

    Random choices come from `draws`, or from torch's own generator while `loss` runs: it is seeded
    for each step.
    """

    def module(self) -> "torch.nn.Module":
        """The module whose parameters are trained."""
        ...

    def size(self, row: Any) -> int:
        """A row's length, by which batches are bucketed."""
        ...

    def collate(
        self, rows: Sequence[Any], draws: Draws, augment: float
    ) -> dict[str, "torch.Tensor"]:
        """Rows of data -> the tensors of a batch; a share `augment` of them changed by `draws`."""
        ...

    def loss(self, batch: dict[str, "torch.Tensor"]) -> tuple["torch.Tensor", int]:
        """The summed loss of a batch and the number of units it is summed over."""
        ...

    def targets(self) -> Sequence[str]:
        """Names of the linear layers that LoRA adapts."""
        ...

    def save(self, folder: Path) -> None:
        """Write weights and config as a folder that `model.path=` loads."""
        ...


@runtime_checkable
class Layered(Protocol):
    """A Tunable that LoRA can be laid on."""

    adapted: Any
    """peft's configuration of the LoRA that is laid on, or None."""

    def base(self) -> "torch.nn.Module":
        """The part of the module that LoRA adapts and freezes; the rest is trained in full."""
        ...


@runtime_checkable
class Recomputes(Protocol):
    """A Tunable that can compute activations again on the way back."""

    def recompute(self) -> None: ...


@runtime_checkable
class Predicts(Protocol):
    """A Tunable with a head. labels: what its rows are told apart by; none: it tells values."""

    labels: Sequence[str]

    def predict(self, batch: dict[str, "torch.Tensor"]) -> "torch.Tensor":
        """A batch -> probabilities [rows, labels], or values [rows] in the data's unit."""
        ...

    def wanted(self, row: Any) -> float:
        """The number of a row's label, or its value."""
        ...


@dataclass(frozen=True)
class Start:
    """What a tuning begins with.

    folder: the model's verified weights. method: head, lora, full or pretrain. rows: the data, each
    the fields of the domain by name; none to write the model as it is. options: the recipe's
    `shape` and what else of it the core does not know. rank: of LoRA. LoRA folders of the spec's
    deltas are merged in first.
    """

    spec: ModelSpec
    folder: Path
    method: str
    rows: Sequence[Any]
    seed: int = 0
    rank: int = 8
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """What a score says of one output: 0 (worst) to 1, and its parts; None: without a value."""

    score: float
    parts: tuple[float | None, ...]


class Score(Protocol):
    """Tells how good outputs are. names: of its parts."""

    @property
    def names(self) -> Sequence[str]: ...

    def __call__(self, outputs: Sequence[str]) -> Sequence[Scored]:
        """One Scored for each output, in their order."""
        ...
