"""suite=geneval: the rules on boxes, the layout its own evaluation reads, a detector end to end."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from foundation.domains.image import geneval
from foundation.domains.image.geneval_rules import Seen, judged, relations
from foundation.errors import InputError

RECORDS = [
    {"tag": "single_object", "include": [{"class": "dog", "count": 1}], "prompt": "a dog"},
    {
        "tag": "counting",
        "include": [{"class": "cat", "count": 2}],
        "exclude": [{"class": "cat", "count": 3}],
        "prompt": "two cats",
    },
]
SUITE = {"name": "geneval", "pictures": 2, "settings": {"steps": 1, "width": 32, "height": 32},
         "detector": None, "detector_revision": None, "colours": "image/clip-large"}  # fmt: skip
BLANK = Image.new("RGB", (100, 100))


class Eyes:
    """Sees what it is told, if it is sure enough; every dog is brown."""

    def __init__(self, *seen):
        self.seen = seen

    def objects(self, picture, sure):
        return [each for each in self.seen if each.score >= sure]

    def colour(self, picture, seen):
        return "brown" if seen.name == "dog" else "red"


def at(name, x, y, score=0.95, side=20):
    return Seen(name, score, (x, y, x + side, y + side))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 40), (70, 40), {"left of"}),
        ((70, 40), (0, 40), {"right of"}),
        ((40, 0), (40, 70), {"above"}),
        ((40, 70), (40, 0), {"below"}),
        ((0, 0), (70, 70), {"left of", "above"}),
        ((40, 40), (43, 40), set()),  # within a tenth of both
        ((40, 40), (40, 40), set()),
    ],
)
def test_where_an_object_lies_to_another(one, other, expected):
    assert relations(at("a", *one), at("b", *other)) == expected


def test_objects_counts_colours_and_places_are_judged():
    dog, cat = {"class": "dog", "count": 1}, {"class": "cat", "count": 1}
    seen = Eyes(at("dog", 0, 40), at("cat", 70, 40), at("cat", 0, 0, score=0.5))

    def verdict(tag, include, exclude=()):
        return judged(BLANK, {"tag": tag, "include": include, "exclude": exclude}, seen)

    assert verdict("two_object", [dog, cat]) == (True, None)
    assert verdict("two_object", [dog, {"class": "bird", "count": 1}])[1] == "0 of bird, 1 wanted"
    assert verdict("single_object", [{**cat, "count": 2}])[0]
    assert not verdict("counting", [{**cat, "count": 2}])[0]  # one of them is not sure enough
    assert not verdict("single_object", [cat], [{**cat, "count": 2}])[0]  # too many
    assert verdict("colors", [{**dog, "color": "brown"}])[0]
    assert verdict("colors", [{**dog, "color": "blue"}])[1] == "dog is brown, blue wanted"
    assert verdict("position", [dog, {**cat, "position": ["right of", 0]}])[0]
    assert not verdict("position", [dog, {**cat, "position": ["left of", 0]}])[0]


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "evaluation_metadata.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    return path


def test_without_a_detector_pictures_are_laid_out_for_its_own_evaluation(tiny, tmp_path, listed):
    seen = []
    told = geneval.run(tiny("sd"), {**SUITE, "prompts": str(listed)}, tmp_path, 0, seen.append)
    assert told == {"pictures": 4, "score": None}
    place = tmp_path / "geneval" / "00001"
    assert json.loads((place / "metadata.jsonl").read_text()) == RECORDS[1]
    assert sorted(path.name for path in (place / "samples").iterdir()) == ["0000.png", "0001.png"]
    with Image.open(place / "samples" / "0001.png") as picture:
        drawn = np.asarray(picture)
    with Image.open(tmp_path / "pictures" / "images" / "000003.png") as picture:
        assert (np.asarray(picture) == drawn).all()


def test_with_a_detector_there_are_shares_with_intervals(tiny, tmp_path, listed):
    import torch
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    torch.manual_seed(0)
    config = YolosConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=37,
        image_size=[32, 32], patch_size=8, num_detection_tokens=4, id2label={0: "dog", 1: "cat"},
        label2id={"dog": 0, "cat": 1},
    )  # fmt: skip
    YolosForObjectDetection(config).save_pretrained(tmp_path / "eyes")
    processor = YolosImageProcessor(size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path / "eyes")
    suite = {**SUITE, "prompts": str(listed), "detector": str(tmp_path / "eyes"), "limit": 2}
    told = geneval.run(tiny("sd"), suite, tmp_path / "run", 0, lambda _: None)
    assert {*told} == {"pictures", "score", "single_object", "counting"}
    assert 0 <= told["score"]["mean"] <= 1
    rows = list(csv.DictReader((tmp_path / "run" / "verdicts.csv").read_text().splitlines()))
    assert [row["tag"] for row in rows] == ["single_object"] * 2 + ["counting"] * 2


def test_prompts_that_are_not_there_are_refused(tmp_path, listed):
    (tmp_path / "plain.txt").write_text("a cat\n")
    (tmp_path / "half.jsonl").write_text('{"prompt": "a cat"}\n')
    assert len(geneval.prompts(listed)) == 2
    for path in (None, tmp_path / "no", tmp_path / "plain.txt", tmp_path / "half.jsonl"):
        with pytest.raises(InputError, match=r"suite\.prompts"):
            geneval.prompts(path)
