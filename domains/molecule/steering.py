"""The starter steered towards a score: augmented likelihood of what it draws and remembers.

A molecule is worth its log-likelihood under the untuned model plus `sigma` times its score, and the
model is moved so that its own log-likelihood comes near that (Olivecrona et al. 2017, REINVENT). Of
a step's draws only the best are learnt from (Thomas et al. 2022, Augmented Hill-Climb), beside some
of the best so far, written in other orders of their atoms (Guo and Schwaller 2024, Augmented
Memory). Several steps may learn from these alone before more is drawn and paid for, and children of
the best may be scored beside the draws (Kim et al. 2024, Genetic-guided GFlowNets). Molecules of a
scaffold that has been found often enough may be made worthless (Blaschke et al. 2020,
memory-assisted reinforcement learning).
"""

import copy
import heapq
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from foundation.adapter import Start
from foundation.domains.molecule import training
from foundation.domains.molecule.breeding import child
from foundation.domains.molecule.randomise import randomise
from foundation.domains.molecule.scripts import encode
from foundation.domains.molecule.tokenizer import BEGIN, END, RANDOM, pad
from foundation.domains.molecule.validity import draw
from foundation.draws import Draws
from foundation.errors import InputError, RequestError, UnknownName
from foundation.tuning.oracle import Call, Oracle

_NONE = torch.zeros(0, 1, dtype=torch.long)


@dataclass(frozen=True)
class Learning:
    """How a steered model learns; the settings are told in conf/recipe/molecule/steer.yaml."""

    sigma: float
    learnt: float
    memory: int
    replay: int
    augment: float
    rounds: int
    bred: int
    mutation: float
    sharpness: float
    scaffold: int | None
    worthy: float
    longest: int

    def __post_init__(self) -> None:
        for name, least, most in (
            ("sigma", 0, math.inf), ("learnt", 0, 1), ("augment", 0, 1), ("worthy", 0, 1),
            ("memory", 1, math.inf), ("replay", 0, math.inf), ("longest", 2, 1000),
            ("rounds", 1, math.inf), ("bred", 0, math.inf), ("mutation", 0, 1),
            ("sharpness", 0, math.inf),
        ):  # fmt: skip
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not least <= value <= most:
                raise RequestError(f"recipe.options.{name} must lie in {least}..{most}: '{value}'")
        for name in ("memory", "replay", "rounds", "bred", "longest", "scaffold"):
            value = getattr(self, name)
            if type(value) is not int and not (name == "scaffold" and value is None):
                raise RequestError(f"recipe.options.{name} must be a whole number: '{value}'")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Learning":
        """From a recipe's options; UnknownName, RequestError."""
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise UnknownName("setting", name, known, "of recipe.options")
        return cls(**options)


def begin(start: Start, oracle: Oracle) -> "SteeredSmiles":
    """The starter of a folder, which asks `oracle`."""
    if start.spec.adapter.rpartition(":")[2] != "SmilesGru":
        raise InputError(f"{start.spec.name} cannot be steered: molecule/starter can")
    found = training.read(start.folder)
    options = {name: value for name, value in start.options.items() if name != "shape"}
    return SteeredSmiles(found.network, found.tokenizer, oracle, Learning.of(options))


class SteeredSmiles(training.SmilesTraining):
    """The starter as the trainer sees it while it is steered; a row of a batch is a draw."""

    def __init__(self, network: Any, tokenizer: Any, oracle: Oracle, learning: Learning) -> None:
        super().__init__(network, tokenizer)
        self.prior = copy.deepcopy(network).eval().requires_grad_(False)
        self.oracle, self.learning = oracle, learning
        self._written: dict[str, bool] = {}

    def size(self, row: Any) -> int:
        return 1

    def collate(self, rows: Sequence[Any], draws: Draws, augment: float) -> dict[str, Tensor]:
        """What tells a step from another: the numbers of its draws [rows]."""
        return {"draws": torch.tensor(draws.ids)}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Summed squared distance from the augmented likelihood, and the number of molecules."""
        count = len(batch["draws"])
        step = int(batch["draws"].min()) // count
        calls = self._memory(step)
        tokens, scores = _NONE, list[float]()
        if step % self.learning.rounds == 0:
            tokens, scores = self._drawn(count, step)
            self._breed(calls, step)
        more, remembered = self._remembered(calls)
        rows = _joined(tokens, more).to(self.network.bias.device)
        if not len(rows):
            return self.network.bias.sum() * 0.0, 0
        self.prior.to(rows.device)
        with torch.no_grad():
            prior = _likelihood(self.prior, rows)
        worth = prior + self.learning.sigma * torch.tensor(
            [*scores, *remembered], device=rows.device
        )
        return (worth - _likelihood(self.network, rows)).square().sum(), len(rows)

    def _drawn(self, count: int, step: int) -> tuple[Tensor, list[float]]:
        """The best of `count` drawn molecules: tokens [learnt, time], and what each is worth."""
        tokens = draw(self, torch.full((count,), BEGIN), self.learning.longest).cpu()
        smiles = self._read(tokens)
        valid = [each for each in smiles if each is not None]
        found = iter(self.oracle(valid, step))
        scores = [0.0 if each is None else next(found) for each in smiles]
        filled = self._filled(step)
        worth = [
            (0.0 if text is not None and filled and scaffold(text) in filled else score, row)
            for row, (text, score) in enumerate(zip(smiles, scores, strict=True))
            if score is not None
        ]
        best = heapq.nlargest(math.ceil(self.learning.learnt * count), worth)
        return tokens[[row for _, row in best]], [score for score, _ in best]

    def _read(self, tokens: Tensor) -> list[str | None]:
        """Canonical SMILES; None for what is none, or was not ended."""
        from rdkit import rdBase
        from rdkit.Chem import MolFromSmiles, MolToSmiles

        rows = tokens.tolist()
        texts = self.tokenizer.decode_batch(
            [row[1 : row.index(END)] if END in row else [] for row in rows]
        )
        with rdBase.BlockLogs():
            molecules = [MolFromSmiles(text) for text in texts]
        return [MolToSmiles(m) if m is not None and m.GetNumAtoms() else None for m in molecules]

    def _breed(self, calls: Sequence[Call], step: int) -> None:
        """Have children of the remembered molecules scored; they are learnt from later."""
        if len(calls) < 2 or not self.learning.bred:
            return
        chance = random.Random(int(torch.randint(2**62, ())))
        weights = self._ranked(len(calls)).tolist()
        pairs = [chance.choices(calls, weights, k=2) for _ in range(self.learning.bred)]
        children = [
            child([parent.output for parent in pair], self.learning.mutation, chance)
            for pair in pairs
        ]
        self.oracle([each for each in children if each is not None], step)

    def _ranked(self, count: int) -> Tensor:
        """Weights of the best to the worst of `count` (Tripp et al. 2020)."""
        return 1 / (self.learning.sharpness * count + torch.arange(count) + 1)

    def _remembered(self, calls: Sequence[Call]) -> tuple[Tensor, list[float]]:
        """Some of the remembered molecules, the better ones likelier, by torch's generator."""
        calls = [call for call in calls if self._writable(call.output)]
        count = min(self.learning.replay, len(calls))
        if not count:
            return _NONE, []
        chosen = [calls[i] for i in torch.multinomial(self._ranked(len(calls)), count).tolist()]
        orders = torch.rand(count, training.LONGEST).numpy()
        other = (torch.rand(count) < self.learning.augment).tolist()
        texts = [
            randomise(call.output, order) if augmented else call.output
            for call, order, augmented in zip(chosen, orders, other, strict=True)
        ]
        first = [RANDOM if augmented else BEGIN for augmented in other]
        tokens = torch.tensor(pad(self.tokenizer, texts, first))
        return tokens, [call.score for call in chosen]

    def _writable(self, smiles: str) -> bool:
        """Whether the model has tokens for all of a molecule, as it has for what it drew itself."""
        found = self._written.get(smiles)
        if found is None:
            try:
                found = len(encode(self.tokenizer, smiles)) + 2 <= self.learning.longest
            except RequestError:
                found = False
            self._written[smiles] = found
        return found

    def _memory(self, step: int) -> list[Call]:
        """The best molecules so far; where scaffolds are filtered, no more than fill one."""
        calls = self.oracle.before(step)
        most = self.learning.scaffold
        if most is None:
            return heapq.nlargest(self.learning.memory, calls, key=_score)
        kept: list[Call] = []
        found: dict[str, int] = {}
        for call in sorted(calls, key=_score, reverse=True):
            core = scaffold(call.output)
            found[core] = found.get(core, 0) + 1
            if found[core] <= most:
                kept.append(call)
            if len(kept) == self.learning.memory:
                break
        return kept

    def _filled(self, step: int) -> set[str]:
        """Scaffolds of which enough molecules were found."""
        most = self.learning.scaffold
        if most is None:
            return set()
        found: dict[str, int] = {}
        for call in self.oracle.before(step):
            if call.score >= self.learning.worthy:
                core = scaffold(call.output)
                found[core] = found.get(core, 0) + 1
        return {core for core, count in found.items() if count >= most}


def _score(call: Call) -> float:
    return call.score


@lru_cache(maxsize=100_000)
def scaffold(smiles: str) -> str:
    """A molecule's scaffold, as task=tune parts them."""
    from foundation.domains.molecule import tuning

    return tuning.scaffold({"smiles": smiles})


def _joined(first: Tensor, second: Tensor) -> Tensor:
    """Rows of tokens under each other, no longer than the longest."""
    width = max(first.shape[1], second.shape[1])
    rows = torch.zeros(len(first) + len(second), width, dtype=torch.long)
    rows[: len(first), : first.shape[1]] = first
    rows[len(first) :, : second.shape[1]] = second
    longest = int((rows != 0).sum(1).max()) if len(rows) else 0
    return rows[:, :longest]


def _likelihood(network: Any, tokens: Tensor) -> Tensor:
    """The log-likelihood of each row of tokens [rows, time], its first token given."""
    logits = network.logits(network(tokens[:, :-1])).float()
    told = torch.log_softmax(logits, dim=-1)
    each = told.gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)
    return (each * (tokens[:, 1:] != 0)).sum(1)
