"""Pictures and texts in one space: the model's own numbers, files of all kinds, labels."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from foundation.adapter import Placement
from foundation.domains.image.files import read_pictures
from foundation.errors import InputError, RequestError, SourceError
from foundation.model import Model
from foundation.spec import ModelSpec


@pytest.fixture
def looking(encoders):
    """`looking("clip")`: a Model of a tiny dual encoder."""

    def model(kind, path=None):
        spec = ModelSpec(
            name=f"image/{kind}",
            domain="image",
            adapter="foundation.domains.image.matching:PicturesAndTexts",
            source=f"path:{path or encoders(kind)}",
            tasks=("embed", "score", "classify"),
        )
        return Model(spec, Placement("cpu", "float32"))

    return model


@pytest.fixture
def pictures(tmp_path):
    """Four pictures of noise with another mean colour each, in a folder."""
    random = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, colour in enumerate([(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 90)]):
        noise = random.integers(0, 55, (40, 48, 3)) + np.array(colour)
        Image.fromarray(noise.astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def own(folder, paths, texts, padded):
    """Logits of the model's own forward [pictures, texts]."""
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).eval()
    seen = AutoImageProcessor.from_pretrained(folder)(
        images=[Image.open(path).convert("RGB") for path in paths], return_tensors="pt"
    )
    said = AutoTokenizer.from_pretrained(folder)(
        texts,
        padding="max_length" if padded else True,
        max_length=16,
        truncation=True,
        return_tensors="pt",
    )
    if padded:
        said.pop("attention_mask")
    with torch.no_grad():
        return model(**seen, **said).logits_per_image


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_labels_have_the_probabilities_of_the_models_own_forward(looking, encoders, pictures, kind):
    labels = ["a cat", "a dog", "bird"]
    given = {"labels": labels, "templates": ["{label}"], "threshold": 0.4}
    rows = looking(kind).classify(input=str(pictures), **given).table().to_pylist()
    paths = sorted(pictures.iterdir())
    logits = own(encoders(kind), paths, labels, kind == "siglip")
    likely = (logits.sigmoid() if kind == "siglip" else logits.softmax(-1)).numpy()
    for row, path, expected in zip(rows, paths, likely, strict=True):
        order = expected.argsort()[::-1]
        assert row["input"] == str(path)
        assert row["output"] == labels[order[0]]
        assert row["second"] == labels[order[1]]
        assert row["probability"] == pytest.approx(expected[order[0]], abs=1e-4)
        assert row["unsure"] == (expected[order[0]] < 0.4)


def test_wordings_of_a_label_are_averaged_and_labels_stand_in_a_file(looking, pictures, tmp_path):
    model = looking("clip")
    given = {"images": [str(pictures / "0.png"), str(tmp_path / "no.png")]}
    results = model.classify(labels=["cat", "dog"], folder=tmp_path / "run", **given)
    rows = results.table().to_pylist()
    one = model.classify(labels=["cat", "dog"], templates=["{label}"], **given).table()
    assert rows[0]["probability"] != one.to_pylist()[0]["probability"]
    assert rows[1]["valid"] is False
    assert "there is no picture" in rows[1]["reason"]
    told = list(csv.DictReader((tmp_path / "run" / "labels.csv").read_text().splitlines()))
    assert [row["label"] for row in told] == [rows[0]["output"], ""]
    assert "<img" in results._repr_html_()


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_vectors_of_pictures_and_texts_give_the_score(looking, pictures, kind):
    model = looking(kind)
    seen = model.embed(input=str(pictures)).table()["embedding"].to_pylist()
    said = model.embed(text="a cat").table()["embedding"].to_pylist()[0]
    rows = model.score(input=str(pictures), text="a cat").table().to_pylist()
    assert len(seen[0]) == model.adapter.width
    for vector, row in zip(seen, rows, strict=True):
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        assert row["similarity"] == pytest.approx(np.dot(vector, said), abs=1e-5)
        assert (row["probability"] is None) == (kind == "clip")
    assert len({round(row["similarity"], 6) for row in rows}) == 4


def test_pictures_come_from_folders_tables_and_runs(pictures, tmp_path, tiny):
    (tmp_path / "t.csv").write_text("image,text\npictures/0.png,a cat\n,no\nno.png,b\n")
    rows = list(read_pictures(tmp_path / "t.csv"))
    assert rows[0] == {"image": str(pictures / "0.png"), "text": "a cat"}
    assert rows[1]["error"] == "record 2: no picture"
    assert rows[2]["image"] == "no.png"
    assert [r["image"] for r in read_pictures(pictures)] == sorted(map(str, pictures.iterdir()))
    assert list(read_pictures(pictures / "1.png")) == [{"image": str(pictures / "1.png")}]
    run = tmp_path / "run"
    tiny("sd").generate(prompts=["a cat", "a dog"], width=32, height=32, folder=run).finish()
    drawn = list(read_pictures(run))
    assert drawn[1] == {"image": str(run / "images" / "000001.png"), "text": "a dog"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="no picture in"):
        list(read_pictures(tmp_path / "empty"))


def test_a_long_text_is_marked_and_what_cannot_be_is_refused(looking, pictures, folders):
    path = str(pictures / "0.png")
    row = looking("clip").score(images=[path], text="abcdefgh ijklmnop").table().to_pylist()[0]
    assert row["cut"].replace(" ", "") == "op"
    for task, wrong in (
        ("score", {"images": [path]}),
        ("embed", {"images": [path], "text": "a"}),
        ("classify", {"images": [path], "labels": ["one"]}),
        ("classify", {"images": [path], "labels": ["a", "b"], "templates": ["no place"]}),
        ("classify", {"images": [path], "labels": ["a", "b"], "threshold": 2}),
    ):
        with pytest.raises(InputError) as caught:
            getattr(looking("clip"), task)(**wrong).finish()
        assert len(str(caught.value).splitlines()) == 1, wrong
    with pytest.raises(SourceError, match=r"CLIPTextModel|AutoModel"):
        _ = looking("clip", folders("sd") / "text_encoder").adapter
