"""ChemNet as published, and the Fréchet distance."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from foundation.domains.molecule.chemnet import ChemNet, frechet_distance, moments, tokens
from foundation.errors import SourceError


def as_published(net: ChemNet) -> list[tuple[str, tuple[dict[str, torch.Tensor], dict, dict]]]:
    """The layout of the published file."""
    kinds = ("Conv1d", "Conv1d", "LSTM", "LSTM")
    parts = (*net.convolutions, net.backward_lstm, net.forward_lstm)
    return [(k, (p.state_dict(), {}, {})) for k, p in zip(kinds, parts, strict=True)]


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "chemnet.pt"
    net = ChemNet()
    for lstm in (net.backward_lstm, net.forward_lstm):
        # Untrained LSTMs forget the string over the padding behind it.
        torch.nn.init.constant_(lstm.bias_ih_l0.chunk(4)[1], 5.0)
    torch.save(as_published(net), path)
    return path


def test_two_letter_symbols_unknown_ones_and_the_end():
    cl, br, c, unknown, end = 5, 8, 29, 33, 34
    assert tokens("ClcBr%") == [cl, c, br, unknown, end]


def test_only_the_first_fragment_is_read():
    assert tokens("CC.Cl") == tokens("CC")


def test_a_long_string_is_cut_so_that_its_end_sign_fits():
    found = tokens("C" * 400)
    assert len(found) == 350
    assert found[-1] == 34


def test_activations_do_not_depend_on_the_batch(weights):
    net = ChemNet.load(weights)
    smiles = ["CCO", "c1ccccc1", "CC(=O)Nc1ccc(O)cc1", "C", "Clc1ccccc1Br"]
    together = net.activations(smiles)
    apart = net.activations(smiles, batch=2)
    assert together.shape == (5, 512)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, apart, atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3
    assert net.activations([]).shape == (0, 512)


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x02c__builtin__\neval\n."])
def test_a_file_that_is_not_chemnet_is_refused(tmp_path, content):
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="is not ChemNet"):
        ChemNet.load(path)


def test_another_architecture_is_refused(tmp_path):
    path = tmp_path / "other.pt"
    torch.save(as_published(ChemNet())[:3], path)
    with pytest.raises(SourceError, match="layers"):
        ChemNet.load(path)


def test_distance_equals_the_formula_with_a_general_matrix_root():
    random = np.random.default_rng(0)
    first, second = (random.normal(size=(900, 512)) * s for s in (1.0, 1.3))
    (m1, c1), (m2, c2) = moments(first), moments(second)
    expected = (m1 - m2) @ (m1 - m2) + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert frechet_distance(m1, c1, m2, c2) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(m1, c1, m1, c1) == pytest.approx(0, abs=1e-6)


def test_one_molecule_has_no_distance():
    mean, covariance = moments(np.ones((1, 512), np.float32))
    assert np.isnan(frechet_distance(mean, covariance, mean, covariance))
