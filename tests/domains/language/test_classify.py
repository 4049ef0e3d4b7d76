"""Classifying by prompts and by a head; probabilities that mean what they say."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from foundation.adapter import Output, Placement
from foundation.domains.language import DOMAIN
from foundation.domains.language.adapter import CausalText
from foundation.domains.language.encoder import TextEncoder
from foundation.domains.language.examples import Nearest
from foundation.domains.language.head import fit
from foundation.domains.language.inputs import Classify
from foundation.domains.language.labels import spoken
from foundation.domains.language.prompting import after
from foundation.domains.language.views import Views, unit
from foundation.errors import InputError, UnknownName
from foundation.model import Model
from foundation.requests import settings
from foundation.spec import ModelSpec
from foundation.stream import Stream

PAIRS = [("aaa ab", "x"), ("aa b", "x"), ("zz zy", "y"), ("z zzy", "y"), ("mm n", "z"), ("mn", "z")]


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    path = tmp_path / "few.csv"
    path.write_text("text,label\n" + "".join(f"{t},{label}\n" for t, label in PAIRS))
    return path


def classify(model: Any, texts: list[str], batch: int = 4, **given: Any) -> list[Output]:
    items = list(settings(DOMAIN, "classify", {"texts": texts, **given}).requests())
    made = {item.id: out for item, out in Stream(model, "classify", batch, 0).outputs(items)}
    return [made[item.id] for item in items]


def views(vectors: Any, texts: list[str] | None = None) -> Views:
    rows = np.asarray(vectors, dtype=np.float32)
    return Views(tuple(texts or ["x"] * len(rows)), unit(rows), np.zeros((len(rows), 1)))


def test_what_follows_a_prompt_is_what_a_whole_pass_says(causal: CausalText) -> None:
    words = [[5], [6, 7, 8], [6, 9]]
    found = after(causal.model, [1, 2, 3], [[4], [10, 11]], words)
    for asked, logs in zip(([4], [10, 11]), found, strict=True):
        for word, log in zip(words, logs, strict=True):
            ids = [1, 2, 3, *asked, *word]
            with torch.inference_mode():
                each = causal.model(torch.tensor([ids])).logits[0].log_softmax(-1)
            start = 3 + len(asked)
            wanted = sum(float(each[start + n - 1, t]) for n, t in enumerate(word))
            assert log == pytest.approx(wanted, abs=1e-3)


def test_prompting_with_and_without_examples(causal: CausalText, examples: Path) -> None:
    labels = ["x", "y", "z"]
    for given in ({"labels": labels}, {"examples": str(examples), "shots": 2}):
        outputs = classify(causal, ["abc", "zzz", "mmm"], **given)
        assert all(output.value in labels for output in outputs)
        assert all(1 / 3 - 1e-9 <= output.extra["probability"] <= 1 for output in outputs)
        alone = classify(causal, ["zzz"], batch=1, **given)[0]
        assert alone.value == outputs[1].value


def test_a_text_without_content_gets_no_label_more_than_another(causal: CausalText) -> None:
    template = "Text: {text} Label: {label}"
    outputs = classify(causal, ["N/A"], labels=["x", "yy"], templates=[template])
    assert outputs[0].extra["probability"] < 0.75


def test_examples_make_room_for_a_long_text(causal: CausalText, examples: Path) -> None:
    given: dict[str, Any] = {"examples": str(examples), "shots": 6, "method": "prompt"}
    short, long = classify(causal, ["ab " * 25, "ab " * 60], **given)
    assert short.reason is None
    assert "tokens are more than the model's window leaves" in str(long.reason)


def test_the_nearest_examples_stand_last_and_in_one_order() -> None:
    nearest = Nearest(tuple((text, "x") for text in ["red cat", "blue dog", "red dog", "fish"]))
    assert [text for text, _ in nearest.to("a red dog", 3)] == ["blue dog", "red cat", "red dog"]
    assert [text for text, _ in nearest.to("bird", 2)] == ["blue dog", "red cat"]
    assert nearest.to("bird", 0) == ()


def test_a_head_learns_from_few_examples(encoder: TextEncoder, examples: Path) -> None:
    texts = ["aab aa", "zzy z", "nm m"]
    outputs = classify(encoder, texts, examples=str(examples), threshold=0.99)
    assert [output.value for output in outputs] == ["x", "y", "z"]
    for output in outputs:
        assert output.extra["unsure"] == (output.extra["probability"] < 0.99)
    batched = classify(encoder, texts * 3, batch=9, examples=str(examples), threshold=0.99)
    for one, other in zip(batched[:3], outputs, strict=True):
        assert one.extra["probability"] == pytest.approx(other.extra["probability"], abs=1e-4)


def test_a_heads_probabilities_are_calibrated() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 16))

    def draw(count: int) -> tuple[Any, list[int]]:
        targets = rng.integers(0, 4, count)
        noise = 2.5 * rng.normal(size=(count, 16))
        return (centres[targets] + noise).astype(np.float32), targets.tolist()

    examples, numbers = draw(160)
    head = fit(views(examples), numbers, 4)
    vectors, targets = draw(4000)
    chances = head.probabilities(views(vectors))
    right = chances.argmax(1) == np.array(targets)
    assert right.mean() > 0.5
    assert abs(float(chances.max(1).mean() - right.mean())) < 0.06


def test_few_examples_prove_little() -> None:
    vectors = np.array([[0, 1], [0.1, 1], [1, 0], [1, 0.1]], dtype=np.float32)
    chances = fit(views(vectors), [0, 0, 1, 1], 2).probabilities(views(vectors))
    assert chances.argmax(1).tolist() == [0, 0, 1, 1]
    assert 0.6 < chances.max() < 0.95


def test_a_head_of_one_example_a_label_is_the_nearest_one() -> None:
    head = fit(views(np.eye(3)), [2, 0, 1], 3)
    assert head.probabilities(views(np.eye(3))).argmax(1).tolist() == [2, 0, 1]


def test_a_label_with_one_example_beside_others_is_learned_too() -> None:
    vectors = np.array([[0, 1], [0.1, 1], [0, 0.9], [1, 0]], dtype=np.float32)
    head = fit(views(vectors), [0, 0, 0, 1], 2)
    assert head.probabilities(views(vectors)).argmax(1).tolist() == [0, 0, 0, 1]


def test_words_tell_labels_apart_that_the_vectors_do_not() -> None:
    texts = ["a red car", "the red bus", "red it is", "a blue car", "the blue bus", "blue it is"]
    some = views(np.tile([1.0, 0.1], (6, 1)), texts)
    asked = views([[1.0, 0.1]] * 2, ["my red bike", "my blue bike"])
    assert fit(some, [0, 0, 0, 1, 1, 1], 2).probabilities(asked).argmax(1).tolist() == [0, 1]


def test_the_names_of_labels_are_examples_too() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(6)
    some = views(np.repeat(centres, 2, 0) + 0.8 * rng.normal(size=(12, 6)))
    targets = np.repeat(np.arange(6), 2).tolist()
    asked = views(np.repeat(centres, 50, 0) + 0.3 * rng.normal(size=(300, 6)))
    wanted = np.repeat(np.arange(6), 50)
    with_names = fit(some, targets, 6, views(centres)).probabilities(asked).argmax(1)
    without = fit(some, targets, 6).probabilities(asked).argmax(1)
    assert (with_names == wanted).mean() > (without == wanted).mean()


def test_labels_are_said_as_words() -> None:
    assert spoken(["PlayMusic", "card_arrival", "GPS"]) == ["play music", "card arrival", "GPS"]
    assert spoken(["good", "1"]) == []


@pytest.mark.parametrize(
    ("content", "given", "message"),
    [
        ("text,label\na,x\nb,y\n", {"labels": ["x", "z"]}, "has the label 'y', not in task.labels"),
        ("text,label\na,x\nb,y\n", {"labels": ["x", "y", "z"]}, "no example of the label 'z'"),
        ("text,label\na,x\nb,x\n", {}, "has only the label 'x'"),
        ("text,label\na,x\nb,\n", {}, "record 2 has no label"),
        ("text,kind\na,x\n", {}, "record 1 has no label"),
        ("words,label\na,x\n", {}, "unknown column 'text'"),
    ],
)
def test_examples_of_no_use_are_refused_before_loading(
    tmp_path: Path, content: str, given: dict[str, Any], message: str
) -> None:
    path = tmp_path / "few.csv"
    path.write_text(content)
    with pytest.raises((InputError, UnknownName), match=message):
        settings(DOMAIN, "classify", {"texts": ["x"], "examples": str(path), **given})


@pytest.mark.parametrize(
    "wrong",
    [{}, {"labels": ["x"]}, {"labels": ["x", "x"]}, {"labels": ["x", "y"], "threshold": 2},
     {"labels": ["x", "y"], "method": "magic"}, {"examples": "/no/such.csv"},
     {"labels": ["x", "y"], "templates": ["{text}"]}],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        settings(DOMAIN, "classify", {"texts": ["x"], **wrong})
    assert len(str(caught.value).splitlines()) == 1


def test_a_model_says_what_it_cannot_do(encoder: TextEncoder, causal: CausalText) -> None:
    with pytest.raises(InputError, match=r"give task\.examples"):
        classify(encoder, ["a"], labels=["x", "y"])
    with pytest.raises(InputError, match=r"method=head needs task\.examples"):
        classify(causal, ["a"], labels=["x", "y"], method="head")


def test_a_head_on_a_causal_model(causal: CausalText, examples: Path) -> None:
    texts = ["aab aa", "zzy z", "nm m" * 60]
    outputs = classify(causal, texts, examples=str(examples), method="head")
    assert [output.value for output in outputs] == ["x", "y", "z"]
    (alone,) = classify(causal, texts[1:2], examples=str(examples), method="head")
    assert alone.extra["probability"] == pytest.approx(outputs[1].extra["probability"], abs=1e-4)


def test_auto_takes_what_does_better_on_held_out_examples(
    causal: CausalText, examples: Path
) -> None:
    given = {"examples": str(examples), "labels": ["x", "y", "z"], "templates": ["{text}: {label}"]}
    ways = {
        way: causal._classifier(Classify("x", method=way, **given)) for way in ("prompt", "head")
    }
    best = min(ways, key=lambda way: ways[way].loss or 9)
    chosen = causal._classifier(Classify("x", **given))
    assert type(chosen) is type(ways[best])
    assert ways["prompt"].loss != ways["head"].loss


def test_probabilities_are_of_all_labels() -> None:
    head = fit(views(np.eye(4)[[0, 0, 1, 1]]), [0, 0, 1, 1], 2)
    assert all(math.isclose(row.sum(), 1) for row in head.probabilities(views(np.eye(4))))


def test_a_run_goes_on_only_with_the_examples_it_began_with(
    encoder_folder: Path, examples: Path, tmp_path: Path
) -> None:
    spec = ModelSpec(
        "language/tiny", "language", "foundation.domains.language.encoder:TextEncoder",
        f"path:{encoder_folder}", tasks=("classify",),
    )  # fmt: skip
    model = Model(spec, Placement("cpu", "float32"))
    given = {"texts": ["aab"], "examples": str(examples)}
    results = model.results("classify", given, folder=tmp_path / "run")
    results.run.close()
    examples.write_text(examples.read_text().replace("aa b,x", "aa b,y"))
    with pytest.raises(InputError, match="files: "):
        model.results("classify", given, folder=tmp_path / "run")
    model.close()
