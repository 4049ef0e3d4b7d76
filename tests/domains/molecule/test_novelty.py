import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.domains.molecule.novelty import BloomFilter, known_molecules
from foundation.errors import SourceError

SMILES = ["OCC", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O", "not a molecule", "N#Cc1ccccc1", "C1CC1"]


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, unique=True))
def test_members_are_always_found(items: list[str]) -> None:
    assert BloomFilter.build(items, len(items)).contains(items).all()


def test_false_positives_keep_to_the_rate() -> None:
    known = BloomFilter.build((f"in{i}" for i in range(20_000)), 20_000, rate=0.01)
    found = known.contains([f"out{i}" for i in range(50_000)]).mean()
    assert 0.008 < found < 0.012
    assert known.table.nbytes < 20_000 * 1.2


def test_an_empty_question_has_an_empty_answer() -> None:
    assert BloomFilter.build(["a"], 1).contains([]).shape == (0,)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    source, target = tmp_path / "train.csv", tmp_path / "sub" / "train.bloom.safetensors"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([["SMILES", "SPLIT"], *([text, "train"] for text in SMILES)])
    command = [sys.executable, "-m", "foundation.domains.molecule.novelty", source, target]
    subprocess.run(command, check=True, capture_output=True)
    return target


def test_the_command_builds_a_filter_of_canonical_smiles(built: Path) -> None:
    known = BloomFilter.load(built)
    assert known.n == len(SMILES) - 1
    assert known.facts["key"] == "canonical SMILES"
    assert len(known.facts["source"]) == 64
    assert known.contains(["CCO", "Oc1ccccc1", "OCC", "CCC"]).tolist() == [True, True, False, False]
    assert [path.name for path in built.parent.iterdir()] == [built.name]


def test_another_rdkit_is_trusted_only_if_it_finds_the_probes(built: Path) -> None:
    import rdkit

    known = BloomFilter.load(built)
    assert known.facts["rdkit"] == rdkit.__version__
    known.save(built, rdkit="2019.03.1")
    assert known_molecules(built) is not None
    other = built.with_name("other.safetensors")
    known.save(other, rdkit="2019.03.1", probes="CCCC")
    assert known_molecules(other) is None
    assert known_molecules(built.with_name("missing")) is None


@pytest.mark.parametrize("keep", [0, 5, 200])
def test_a_truncated_file_is_refused(built: Path, keep: int) -> None:
    built.write_bytes(built.read_bytes()[:keep])
    with pytest.raises(SourceError, match=built.name):
        BloomFilter.load(built)


def test_a_table_of_the_wrong_size_is_refused(built: Path) -> None:
    known = BloomFilter.load(built)
    BloomFilter(np.zeros(3, np.uint8), known.bits, known.hashes, known.n).save(built)
    with pytest.raises(SourceError, match="3 bytes"):
        BloomFilter.load(built)
