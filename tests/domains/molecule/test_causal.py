"""Tiny checkpoints of the classes that known Hub models have, in the files that those have."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from foundation import registry
from foundation.adapter import Output, Placement, Steps
from foundation.domains.molecule.causal import CausalMolecules
from foundation.domains.molecule.causal_stepper import CausalStepper
from foundation.domains.molecule.inputs import Generate
from foundation.errors import MissingExtra, SourceError, UnknownName
from foundation.spec import ModelSpec

Run = Callable[..., dict[int, Output]]
Read = Callable[..., list[Output]]
SMILES = ["CCO", "CC(=O)Oc1ccccc1", "c1ccncc1", "O=C1CCCN1", "FC(F)Cl", "CC#N", "CCN(C)C", "BrCC"]
SYMBOLS = r"\[[^\]]*\]|\."
ATOMS = r"\[[^\]]*\]|Br|Cl|%\d\d|."
SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]


def llama(vocabulary: int) -> Any:
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=48,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def gpt2(vocabulary: int) -> Any:
    config = GPT2Config(
        vocab_size=vocabulary, n_positions=64, n_embd=32, n_layer=2, n_head=4,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def gpt_neo(vocabulary: int) -> Any:
    config = GPTNeoConfig(
        vocab_size=vocabulary, hidden_size=32, num_layers=2, num_heads=4, window_size=64,
        attention_types=[[["global", "local"], 1]], max_position_embeddings=64,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return GPTNeoForCausalLM(config)


def smiles_tokenizer() -> Tokenizer:
    """Byte-level merges, as GPT-2 over SMILES has them."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=90,
        special_tokens=SPECIAL,
        initial_alphabet=list("BCNOPSFIcnosl r[]()=#@+-123456789"),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SMILES * 4, trainer)
    return tokenizer


def selfies_tokenizer(symbols: Sequence[str]) -> Tokenizer:
    """One token a symbol, without a decoder."""
    vocabulary = {symbol: number for number, symbol in enumerate([*SPECIAL, *symbols])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def safe_tokenizer() -> Tokenizer:
    """Merges within atoms; the split into atoms is Python code and not in the file."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(ATOMS), "isolated")
    trainer = trainers.BpeTrainer(
        special_tokens=SPECIAL,
        initial_alphabet=list("BCNOPSFIcnosl r[]()=#@+-.%0123456789"),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*SMILES, "c1cccnc1%12.C%12"] * 4, trainer)
    tokenizer.decoder = decoders.BPEDecoder()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def saved(folder: Path, make: Callable[[int], Any], tokenizer: Tokenizer, **more: Any) -> Path:
    torch.manual_seed(0)
    make(tokenizer.get_vocab_size()).save_pretrained(folder)
    parts = json.loads(tokenizer.to_str()) | more
    (folder / "tokenizer.json").write_text(json.dumps(parts))
    return folder


def loaded(folder: Path, **options: Any) -> CausalMolecules:
    adapter = CausalMolecules()
    spec = ModelSpec("molecule/tiny", "molecule", "", f"path:{folder}", options=options)
    adapter.load(spec, folder, Placement())
    return adapter


@pytest.fixture(scope="module")
def smiles_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("smiles"), llama, smiles_tokenizer())


@pytest.fixture(scope="module")
def smiles_model(smiles_folder: Path) -> CausalMolecules:
    return loaded(smiles_folder)


@pytest.fixture(scope="module")
def selfies_model(tmp_path_factory: pytest.TempPathFactory) -> CausalMolecules:
    selfies = pytest.importorskip("selfies")
    symbols = set().union(*(selfies.split_selfies(selfies.encoder(text)) for text in SMILES))
    # As a model trained with SELFIES 1 spells them.
    earlier = {"[=Branch1]": "[Branch1_2]", "[Branch1]": "[Branch1_1]", "[=Ring1]": "[Expl=Ring1]"}
    spelt = sorted({earlier.get(symbol, symbol) for symbol in [*symbols, *earlier]})
    folder = tmp_path_factory.mktemp("selfies")
    saved(folder, gpt_neo, selfies_tokenizer(spelt))
    return loaded(folder, notation="selfies", begin="[CLS]", end="[SEP]", split=SYMBOLS)


@pytest.fixture(scope="module")
def safe_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    more = {"custom_pre_tokenizer": True, "tokenizer_type": "bpe", "tokenizer_attrs": {}}
    return saved(tmp_path_factory.mktemp("safe"), gpt2, safe_tokenizer(), **more)


@pytest.mark.parametrize("make", [llama, gpt2, gpt_neo])
def test_a_row_that_begins_later_is_what_it_is_alone(make: Callable[[int], Any]) -> None:
    torch.manual_seed(1)
    model = make(30).eval()
    tokens = torch.randint(0, 30, (3, 12))
    with torch.inference_mode():
        expected = model(tokens).logits
        stepper = CausalStepper(model, 3, 20)
        for step in range(17):
            if step == 5:
                stepper.clear([1])
            now = tokens[:, min(step, 11)].clone()
            now[1] = tokens[1, step - 5] if step >= 5 else 7
            logits = stepper.step(now)
            if step < 12:
                assert logits[0].numpy() == pytest.approx(expected[0, step].numpy(), abs=1e-5)
            if step >= 5:
                assert logits[1].numpy() == pytest.approx(expected[1, step - 5].numpy(), abs=1e-5)


def test_generate_alone_in_a_batch_and_in_another_order(
    smiles_model: CausalMolecules, generated: Run
) -> None:
    requests = {n: Generate(temperature=0.7 + n / 10) for n in range(7)}
    requests[7] = Generate(scaffold="CCO")
    together = generated(smiles_model, requests, rows=3)
    backwards = generated(smiles_model, dict(reversed(requests.items())), rows=3)
    for number, request in requests.items():
        alone = generated(smiles_model, {number: request}, rows=3)[number]
        assert together[number].value == backwards[number].value == alone.value
        assert together[number].usage == alone.usage
    assert len({output.value for output in together.values()}) > 3
    assert isinstance(smiles_model, Steps)


def test_a_row_ends_at_the_longest_the_model_can_hold(smiles_model: CausalMolecules) -> None:
    assert smiles_model.script.longest == 48


def test_embed_and_score_are_the_models_own(smiles_model: CausalMolecules, read: Read) -> None:
    texts = ["CCO", "c1ccccc1OC(C)=O", "C"]
    embedded = read(smiles_model, "embed", texts)
    scored = read(smiles_model, "score", texts)
    for vector, score in zip(embedded, scored, strict=True):
        tokens = torch.tensor([smiles_model.script.write(score.value)])
        with torch.inference_mode():
            found = smiles_model.model(tokens, output_hidden_states=True)
        logs = torch.log_softmax(found.logits[0, :-1], -1)
        total = float(logs.gather(-1, tokens[0, 1:, None]).sum())
        assert score.extra["log_likelihood"] == pytest.approx(total, abs=1e-4)
        mean = found.hidden_states[-1][0, :-1].mean(0).numpy()
        assert vector.extra["embedding"] == pytest.approx(mean, abs=1e-5)
        assert vector.extra["embedding"].dtype == np.float32
        assert len(vector.extra["embedding"]) == smiles_model.width


@pytest.mark.parametrize("smiles", ["C1CC", "[Xe]", "C" * 200])
def test_what_cannot_be_read_or_written_is_refused(
    smiles_model: CausalMolecules, read: Read, smiles: str
) -> None:
    good, bad = read(smiles_model, "score", ["CCO", smiles])
    assert not good.refused
    assert bad.refused
    assert bad.reason


def test_selfies_become_smiles(selfies_model: CausalMolecules, generated: Run) -> None:
    outputs = generated(selfies_model, {n: Generate() for n in range(12)})
    whole = [output for output in outputs.values() if output.reason is None]
    assert whole
    assert all("[C]" not in output.value for output in whole)
    assert all(Chem.MolFromSmiles(output.value) is not None for output in whole)


def test_selfies_of_an_earlier_release_are_written_and_read(selfies_model: CausalMolecules) -> None:
    tokens = selfies_model.script.write("CC(=O)Oc1ccccc1")
    text = "".join(selfies_model.script.tokenizer.id_to_token(token) for token in tokens[1:-1])
    assert "[Branch1_" in text
    smiles, reason = selfies_model.script.read(tokens[1:-1])
    assert reason is None
    assert Chem.CanonSmiles(smiles) == Chem.CanonSmiles("CC(=O)Oc1ccccc1")


def test_selfies_that_mean_nothing_are_rows_with_their_reason(
    selfies_model: CausalMolecules,
) -> None:
    token = selfies_model.script.tokenizer.token_to_id
    text, reason = selfies_model.script.read([token("[C]"), token("[MASK]"), token("[O]")])
    assert reason is None or "SELFIES" in reason
    selfies_model.script.tokenizer.add_tokens(["[Nonsense]"])
    text, reason = selfies_model.script.read([token("[C]"), token("[Nonsense]")])
    assert text == "[C][Nonsense]"
    assert "not SELFIES" in str(reason)


def test_only_a_model_of_smiles_builds_on_a_scaffold(
    selfies_model: CausalMolecules, generated: Run
) -> None:
    output = generated(selfies_model, {0: Generate(scaffold="c1ccccc1")})[0]
    assert output.refused
    assert "SELFIES" in str(output.reason)


def test_an_atom_without_a_symbol_is_refused(selfies_model: CausalMolecules, read: Read) -> None:
    (output,) = read(selfies_model, "embed", ["C[Se]C"])
    assert "the model cannot write [Se]" in str(output.reason)


def test_safe_is_written_and_read(safe_folder: Path, generated: Run, read: Read) -> None:
    pytest.importorskip("safe")
    model = loaded(safe_folder, notation="safe", begin="[CLS]", end="[SEP]", split=ATOMS)
    (output,) = read(model, "score", ["CC(=O)Oc1ccccc1"])
    assert output.extra["log_likelihood"] < 0
    text = model.script.notation.write("CC(=O)Oc1ccccc1C(=O)NCC1CC1")
    smiles, reason = model.script.read(model.script.write("CC(=O)Oc1ccccc1C(=O)NCC1CC1")[1:-1])
    assert "." in text
    assert reason is None
    assert Chem.CanonSmiles(smiles) == Chem.CanonSmiles("CC(=O)Oc1ccccc1C(=O)NCC1CC1")
    for output in generated(model, {n: Generate() for n in range(6)}).values():
        assert output.reason is None or "SAFE" in output.reason or "longer" in output.reason


@pytest.mark.parametrize(("notation", "extra"), [("safe", "safe"), ("selfies", "selfies")])
def test_a_missing_package_is_named(
    smiles_folder: Path, notation: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, notation, None)
    with pytest.raises(MissingExtra, match=rf"foundation-toolkit\[{extra}\]"):
        loaded(smiles_folder, notation=notation)


def test_options_that_name_nothing(smiles_folder: Path) -> None:
    with pytest.raises(UnknownName, match="selfies"):
        loaded(smiles_folder, notation="selfie")
    with pytest.raises(SourceError, match=r"model\.options\.end"):
        loaded(smiles_folder, end="<eos>")


def test_ids_that_lie_outside_the_vocabulary_are_asked_for(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", llama, smiles_tokenizer())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"bos_token_id": 50256}))
    with pytest.raises(SourceError, match=r"model\.options\.begin"):
        loaded(folder)
    assert loaded(folder, begin="[CLS]").script.first == 1


def test_a_pickle_alone_is_not_loaded(smiles_folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((smiles_folder / name).read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    with pytest.raises(SourceError, match="holds no causal language model"):
        loaded(tmp_path)


def test_code_of_the_repository_is_not_run(smiles_folder: Path, tmp_path: Path) -> None:
    for path in smiles_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoModelForCausalLM": "own.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('ran')")
    with pytest.raises(SourceError, match="holds no causal language model"):
        loaded(tmp_path)


def test_weights_that_are_missing_are_told(smiles_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for path in smiles_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(smiles_folder / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SourceError, match="up_proj"):
        loaded(tmp_path)


def test_a_tokenizer_of_two_text_files(tmp_path: Path, read: Read) -> None:
    tokenizer = smiles_tokenizer()
    folder = saved(tmp_path / "m", gpt2, tokenizer)
    (folder / "tokenizer.json").unlink()
    tokenizer.model.save(str(folder))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    (output,) = read(loaded(folder), "score", ["CCO"])
    assert output.extra["log_likelihood"] < 0


def test_the_cost_is_told_before_loading() -> None:
    spec = registry.spec("molecule/chemfm-3b")
    cost = CausalMolecules.cost(spec)
    assert cost.weights == 4 * 3_004_357_632
    # The beginning and 256 new tokens; its config is not known, so logits are of 50,000 tokens.
    assert cost.memory == 4 * 256 * 15_360 + 4 * 4 * 50_000


KNOWN = [name for name in registry.models() if "causal" in registry.spec(name).adapter]


def test_at_least_four_known_models() -> None:
    assert len(KNOWN) >= 4


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_model_is_pinned_and_its_options_are_known(name: str) -> None:
    spec = registry.spec(name)
    assert spec.source.startswith("hub:")
    assert spec.revision is not None
    assert len(spec.revision) == 40
    int(spec.revision, 16)
    assert spec.licence != "unknown"
    known = {"notation", "begin", "end", "max_length", "split", "cache_per_token", "batch"}
    assert set(spec.options) <= known


def test_from_the_hub_to_molecules(smiles_folder: Path, tmp_path: Path) -> None:
    """Through the real huggingface_hub, at a pinned commit, from a stand-in for the server."""
    path = Path(__file__).parents[2] / "foundation" / "hub_server.py"
    spec = importlib.util.spec_from_file_location("hub_server_of_causal", path)
    assert spec
    assert spec.loader
    server = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = server
    spec.loader.exec_module(server)
    program = """
import foundation as fm
model = fm.load("molecule/chemfm-1b", source="hub:some/model", revision="1" * 40, placement="cpu")
found = model.generate(count=3, seed=0, columns=["canonical"])
print(found.finish().made, model.weights.revision if hasattr(model, "weights") else "1" * 40)
"""
    with server.serving() as hub:
        files = {file.name: file.read_bytes() for file in smiles_folder.iterdir()}
        files["own.py"] = b"raise SystemExit"
        hub.repos["some/model"] = server.Repo(files)
        env = {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1",
            "FOUNDATION_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin",
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3", "1" * 40]
    assert not any("own.py" in asked for asked in hub.asked)
