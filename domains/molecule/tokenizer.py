"""SMILES to tokens: byte-pair merges over atoms and bonds, kept as a plain tokenizer.json."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, BEGIN, END, RANDOM = range(4)
SPECIAL = ("<pad>", "<begin>", "<end>", "<random>")
# One character an atom, so that no merge ever splits one of these.
ATOMS = (("Cl", "L"), ("Br", "R"), ("[nH]", "A"), ("[H]", "D"))
ALPHABET = "BCNOPSFIbcnopsLRADHKMTZGEUXVWYlraiegdtumhk[]()=#$/\\.+-:%@*0123456789"


def learn(smiles: Iterable[str], vocabulary: int) -> "Tokenizer":
    """Learn `vocabulary` tokens by byte-pair encoding (Sennrich et al. 2016)."""
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(a, b) for a, b in ATOMS])
    undo = [decoders.Replace(b, a) for a, b in ATOMS]
    tokenizer.decoder = decoders.Sequence([decoders.Fuse(), *undo])
    tokenizer.train_from_iterator(
        smiles,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=list(SPECIAL),
            initial_alphabet=list(ALPHABET),
            show_progress=False,
        ),
    )
    return tokenizer


def read(path: Path) -> "Tokenizer":
    """Read a tokenizer.json."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def pad(tokenizer: "Tokenizer", smiles: Sequence[str], begin: Sequence[int]) -> list[list[int]]:
    """SMILES -> begin, tokens, END, then PAD to the longest; `begin`: BEGIN or RANDOM for each."""
    encoded = tokenizer.encode_batch(list(smiles), add_special_tokens=False)
    tokens = [[first, *e.ids, END] for first, e in zip(begin, encoded, strict=True)]
    longest = max(map(len, tokens))
    return [row + [PAD] * (longest - len(row)) for row in tokens]
