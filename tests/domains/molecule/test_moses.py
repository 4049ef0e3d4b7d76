"""The MOSES measures on sets small enough to know the answer."""

import gzip
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from foundation.domains.molecule.chemnet import ChemNet
from foundation.domains.molecule.metrics import MEASURES, moses, spread
from foundation.domains.molecule.moses import MosesData, describe, read_smiles
from foundation.domains.molecule.moses_statistics import reference_statistics
from foundation.domains.molecule.similarity import internal_diversity, nearest
from foundation.errors import SourceError

TEST = [
    "CC(=O)Nc1ccc(O)cc1",
    "CC(=O)Oc1ccccc1C(=O)O",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "O=C(NCc1ccccc1)c1ccccc1",
    "COc1ccc(CCNC(=O)C2CC2)cc1",
    "CCOC(=O)c1ccc(N)cc1",
    "O=C(Nc1ccccc1)N1CCOCC1",
    "Cc1ccccc1C(=O)NCc1ccco1",
]
SCAFFOLDS = ["O=C(c1ccccc1)N1CCN(c2ccccn2)CC1", "Cc1ccc(S(=O)(=O)N2CCCC2)cc1", "CCO"]
TRAIN = [*TEST[:2], "CCCCO"]
MCF = 'names,smarts\nMCF1,"[H]C([H])([#6])[F,Cl,Br,I]"\n'
PAINS = '"[#6]-[#7]=[#7]-[#6]"   ,"<regId=azo(1)>"\n'
# RDKit reads it, and writes a canonical SMILES that it cannot read.
UNREADABLE = "Cc1cc=2c(cnn2CCC(=O)NCCc2ccco2)c1"


def write_set(path: Path, smiles: list[str]) -> Path:
    path.write_text("\n".join(["SMILES", *smiles]) + "\n")
    return path


@pytest.fixture
def data(tmp_path) -> MosesData:
    """Small sets, one alert of each table, and a ChemNet with random weights."""
    torch.manual_seed(0)
    net = ChemNet()
    for lstm in (net.backward_lstm, net.forward_lstm):
        # Untrained LSTMs forget the string over the padding behind it.
        torch.nn.init.constant_(lstm.bias_ih_l0.chunk(4)[1], 5.0)
    kinds = ("Conv1d", "Conv1d", "LSTM", "LSTM")
    parts = (*net.convolutions, net.backward_lstm, net.forward_lstm)
    layers = [(k, (p.state_dict(), {}, {})) for k, p in zip(kinds, parts, strict=True)]
    torch.save(layers, tmp_path / "chemnet.pt")
    (tmp_path / "mcf.csv").write_text(MCF)
    (tmp_path / "pains.csv").write_text(PAINS)
    return MosesData(
        train=write_set(tmp_path / "train.csv", TRAIN),
        test=write_set(tmp_path / "test.csv", TEST),
        test_scaffolds=write_set(tmp_path / "test_scaffolds.csv", SCAFFOLDS),
        mcf=tmp_path / "mcf.csv",
        pains=tmp_path / "pains.csv",
        chemnet=tmp_path / "chemnet.pt",
        cache=tmp_path / "cache",
    )


def morgan(smiles: list[str]) -> list[DataStructs.ExplicitBitVect]:
    made = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    return [made.GetFingerprint(Chem.MolFromSmiles(text)) for text in smiles]


def test_a_set_compared_with_itself(data):
    found = moses(TEST, data)
    assert tuple(found) == MEASURES
    ones = ("valid", "unique@1000", "unique@10000", "SNN/Test", "Frag/Test", "Scaf/Test", "Filters")
    assert [found[name] for name in ones] == pytest.approx([1.0] * 7)
    zeros = ("FCD/Test", "logP", "SA", "QED", "weight")
    assert [found[name] for name in zeros] == pytest.approx([0.0] * 5, abs=1e-6)
    assert found["novelty"] == pytest.approx(6 / 8)
    assert found["SNN/TestSF"] < 1
    assert found["Scaf/TestSF"] < 1
    assert found["FCD/TestSF"] > 1e-5


def test_invalid_strings_lower_valid_and_change_nothing_else(data):
    clean = moses(TEST, data)
    spoilt = moses(["", "C1CC", *TEST, " ", UNREADABLE, "c1cccc", "xyz"], data)
    assert spoilt.pop("valid") == 8 / 14
    del clean["valid"]
    assert spoilt == pytest.approx(clean)


def test_repeats_count_in_unique_and_not_in_novelty(data):
    found = moses(["OCC", "CCO", "C(O)C", "CCCCO"], data)
    assert found["unique@1000"] == 2 / 4
    assert found["novelty"] == 1 / 2


def test_unique_looks_at_the_first_valid_samples(data):
    found = moses(["?", *["C", "CC"] * 500, "CO", "CN"], data)
    assert found["unique@1000"] == 2 / 1000
    assert found["unique@10000"] == 4 / 1002


def test_no_valid_sample_is_measured_as_such(data):
    found = moses(["", "x"], data)
    assert tuple(found) == MEASURES
    assert found["valid"] == 0
    assert all(math.isnan(found[name]) for name in MEASURES if name != "valid")
    with pytest.raises(ValueError, match="no samples"):
        moses([], data)


def test_one_valid_sample_has_no_frechet_distance(data):
    found = moses(["CCO"], data)
    assert math.isnan(found["FCD/Test"])
    assert math.isnan(found["Scaf/Test"])
    assert found["SNN/TestSF"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("smiles", "passes"),
    [
        ("CCO", True),
        ("CC[N+](C)(C)C", False),
        ("CB(O)O", False),
        ("C1CCCCCC1", True),
        ("C1CCCCCCC1", False),
        ("CCCl", False),
        ("CC(C)(C)Cl", True),
        ("CN=NC", False),
    ],
)
def test_filters(data, smiles, passes):
    assert describe([smiles], (data.mcf, data.pains)).passed.tolist() == [passes]


def test_fragments_and_scaffolds():
    found = describe(["O=C(NCc1ccccc1)c1ccccc1", "CCc1ccccc1"])
    assert found.scaffolds == {"O=C(NCc1ccccc1)c1ccccc1": 1}
    assert sum(found.fragments.values()) > len(found.smiles)
    assert all("*" in fragment or fragment == "CCc1ccccc1" for fragment in found.fragments)


def test_similarities_are_those_of_rdkit():
    bits = morgan([*TEST, *SCAFFOLDS])
    packed = describe([*TEST, *SCAFFOLDS]).fingerprints
    table = np.array([DataStructs.BulkTanimotoSimilarity(one, bits) for one in bits])
    np.testing.assert_allclose(nearest(packed[:8], packed[8:]), table[:8, 8:].max(1), atol=1e-6)
    first, second = internal_diversity(packed)
    assert first == pytest.approx(1 - table.mean(), abs=1e-6)
    assert second == pytest.approx(1 - np.sqrt((table**2).mean(1)).mean(), abs=1e-6)


def test_similarities_are_exact_for_crowded_and_for_empty_fingerprints():
    random = np.random.default_rng(0)
    bits = random.random((40, 1024)) < random.random((40, 1))
    bits[:2] = False
    packed = np.packbits(bits, axis=1)
    shared = (bits[:, None] & bits).sum(2)
    union = (bits[:, None] | bits).sum(2)
    table = np.where(union, shared / np.maximum(union, 1), 1.0)
    np.testing.assert_allclose(nearest(packed[:20], packed[20:]), table[:20, 20:].max(1))
    np.testing.assert_allclose(nearest(packed[:1], packed[1:2]), [1.0])
    assert internal_diversity(packed)[0] == pytest.approx(1 - table.mean(), abs=1e-6)


def test_processes_change_nothing(data):
    samples = [*TEST, "?", *SCAFFOLDS] * 10
    alone, shared = (
        describe(samples, (data.mcf, data.pains), processes=processes) for processes in (1, 2)
    )
    assert alone.smiles == shared.smiles
    assert alone.fragments == shared.fragments
    np.testing.assert_array_equal(alone.properties, shared.properties)
    np.testing.assert_array_equal(alone.passed, shared.passed)


def test_statistics_are_computed_once_for_a_set_however_packed(data, tmp_path):
    first = reference_statistics(data.test, data.chemnet, data.cache)
    (kept,) = data.cache.iterdir()
    written = kept.stat().st_mtime_ns
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(data.test.read_bytes()))
    again = reference_statistics(packed, data.chemnet, data.cache)
    assert [path.stat().st_mtime_ns for path in data.cache.iterdir()] == [written]
    assert again.fragments == first.fragments
    np.testing.assert_array_equal(again.covariance, first.covariance)
    reference_statistics(data.test_scaffolds, data.chemnet, data.cache)
    assert len(list(data.cache.iterdir())) == 2


def test_a_damaged_cache_says_how_to_mend_it(data):
    reference_statistics(data.test, data.chemnet, data.cache)
    (kept,) = data.cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:-100])
    with pytest.raises(SourceError, match="delete it"):
        reference_statistics(data.test, data.chemnet, data.cache)


@pytest.mark.parametrize("content", [b"", b"smiles,name\nC,x\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_set_is_refused(tmp_path, content):
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"other\.csv"):
        list(read_smiles(path))


def test_spread_over_seeds():
    found = spread([{"valid": 0.9}, {"valid": 0.95}, {"valid": 1.0}])
    assert found["valid"]["mean"] == pytest.approx(0.95)
    assert found["valid"]["std"] == pytest.approx(0.05)
    assert found["valid"]["values"] == [0.9, 0.95, 1.0]
    assert math.isnan(spread([{"valid": 1.0}])["valid"]["std"])
