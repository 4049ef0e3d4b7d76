"""Completing: what the model is shown, where it ends, what is said, what is ranked and merged."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from foundation.adapter import Output
from foundation.decoding.rows import Decode
from foundation.decoding.slots import CausalSlots
from foundation.domains.code import DOMAIN
from foundation.domains.code.adapter import CausalCode
from foundation.domains.code.completing import completion
from foundation.domains.code.inputs import Complete, Infill
from foundation.domains.code.ranking import RankedSlots, ranked, tried
from foundation.draws import Draws
from foundation.errors import InputError
from foundation.requests import settings
from foundation.stream import Stream

DOC = 'def f(x):\n    """What f does."""\n'


def planned(model: CausalCode, request: Complete) -> Decode:
    plan = completion(model.script, model.infilling, request, Draws(0, [0]))
    assert isinstance(plan, Decode)
    return plan


def play(model: CausalCode, request: Complete, text: str, end: str | None = None) -> Output:
    """What becomes of a request whose model writes this text, and then a special token."""
    plan = planned(model, request)
    tokens = model.script.words(text)
    if end is not None:
        tokens.append(model.script.vocabulary[end])
    for count in range(1, len(tokens) + 1):
        why = plan.ended(tokens[:count])
        if why is not None or count == request.max_tokens:
            return plan.finish(tokens[:count], [-0.5] * count, why or "limit")
    return plan.finish(tokens, [-0.5] * len(tokens), "limit")


def write(
    model: CausalCode, task: str, *prompts: str, batch: int = 3, **given: Any
) -> list[Output]:
    items = list(settings(DOMAIN, task, {"prompts": list(prompts), **given}).requests())
    made = {item.id: output for item, output in Stream(model, task, batch, 5).outputs(items)}
    return [made[item.id] for item in items]


def test_the_end_of_a_prompt_is_left_off_and_said(code_model: CausalCode) -> None:
    plan = planned(code_model, Complete(DOC))
    assert code_model.script.text(plan.tokens) == DOC.rstrip()
    newline = code_model.script.words("\n")[0]
    assert list(plan.first) == [newline]
    output = play(code_model, Complete(DOC), "\n    return x\nprint(1)\n")
    assert output.extra["trimmed"] == "\n"
    assert output.extra["prefix"] + output.value == f"{DOC}    return x\n"
    kept = planned(code_model, Complete(DOC, trim=False))
    assert code_model.script.text(kept.tokens) == DOC
    assert not kept.first


def test_a_completion_goes_on_where_its_prompt_stood(code_model: CausalCode) -> None:
    for output in write(code_model, "complete", "x = 1\n", "import os\n\n", max_tokens=5):
        assert output.value is not None
        assert (output.value or "\n").startswith("\n")
    (output,) = write(code_model, "complete", "x = ", max_tokens=5, temperature=1.0)
    assert output.value.startswith(" ")
    assert output.extra["trimmed"] == " "


@pytest.mark.parametrize(
    ("until", "kept", "ended"),
    [
        ("auto", "\n    y = x\n    return y\n", "function"),
        ("statement", "\n    y = x\n", "statement"),
        ("line", "\n    y = x\n", "line"),
        ("model", "\n    y = x\n    return y\n\nprint(f)", "end"),
    ],
)
def test_where_a_completion_ends(code_model: CausalCode, until: str, kept: str, ended: str) -> None:
    text = "\n    y = x\n    return y\n\nprint(f)"
    output = play(code_model, Complete(DOC, until=until), text, "<|endoftext|>")
    assert (output.value, output.extra["ended"]) == (kept, ended)
    assert output.reason is None
    assert output.extra["parses"] is True
    assert output.extra["tokens"] == len(code_model.script.words(kept))
    assert output.extra["mean_log_probability"] == -0.5


def test_a_limit_goes_back_to_the_last_whole_line(code_model: CausalCode) -> None:
    text = "\n    y = (x +\n        1)\n    if y:\n        return (y,\n"
    output = play(code_model, Complete(DOC), text)
    assert (output.value, output.extra["ended"]) == ("\n    y = (x +\n        1)\n", "limit")
    assert output.extra["left_off"] == len(text) - len(output.value)
    assert output.reason is None


BROKEN = "    else:\n        return 2\n"
"""What follows a hole but fits nothing before it."""


@pytest.mark.parametrize(
    ("text", "suffix", "kept"),
    [
        ("\n    y = x\n    return self.val", None, "\n    y = x\n"),
        ("\n    y = x\n    if y:\n        ", None, "\n    y = x\n"),
        ("\n    y = x\n    if y:\n        z", "        return y\n", "\n    y = x\n    if y:\n"),
        ("\n    y = x\n    z = 'mixed", BROKEN, "\n    y = x\n"),
        ("\n    y = )\n    z = 2\n    if z:\n        a", BROKEN, "\n    y = )\n    z = 2\n"),
        ("\n    y = [\n        1,\n  2", "    ]\n    return y\n", "\n    y = [\n        1,\n"),
        ("\n    return x + y", None, "\n    return x + y"),
    ],
    ids=["torn name", "no block", "the suffix's block", "torn string", "an error before",
         "the suffix's bracket", "the only line"],
)  # fmt: skip
def test_a_limit_ends_no_line_in_the_middle(
    code_model: CausalCode, text: str, suffix: str | None, kept: str
) -> None:
    output = play(code_model, Complete(DOC, suffix=suffix), text)
    assert (output.value, output.extra["ended"]) == (kept, "limit")


def test_a_text_that_the_model_ends_stays_whole(code_model: CausalCode) -> None:
    request = Infill("x = f(<FILL_ME>)\nbroken = (\n")
    output = play(code_model, request, "1,\n  2", "<|endoftext|>")
    assert (output.value, output.extra["ended"]) == ("1,\n  2", "end")


def test_what_does_not_parse_is_a_row_with_its_error(code_model: CausalCode) -> None:
    output = play(code_model, Complete(DOC), "\n    return )\n\nprint(1)")
    assert output.value == "\n    return )\n"
    assert output.reason == output.extra["syntax_error"] == "line 3: unmatched ')'"
    assert output.extra["parses"] is False
    empty = play(code_model, Complete("x = 1"), "", "<|endoftext|>")
    assert empty.reason == "nothing was written before its end"


def test_another_language_is_not_parsed(code_model: CausalCode) -> None:
    request = Complete("int f() {", path="a.c", stop=["\n}"])
    output = play(code_model, request, "\n  return (1;\n}\nint g")
    assert (output.value, output.extra["ended"]) == ("\n  return (1;", "stop")
    assert output.extra["language"] == "c"
    assert output.extra["parses"] is None
    assert output.reason is None


def test_a_hole_is_marked_or_has_a_suffix(code_model: CausalCode) -> None:
    marked = Infill("def f(x):\n<FILL_ME>    return y\n")
    given = Infill("def f(x):\n", suffix="    return y\n")
    tokens = planned(code_model, marked).tokens
    assert tokens == planned(code_model, given).tokens
    assert code_model.script._tokenizer.decode(tokens) == (
        "<|fim_prefix|>def f(x):\n<|fim_suffix|>    return y\n<|fim_middle|>"
    )


@pytest.mark.parametrize("end", ["<|endoftext|>", "<|fim_middle|>", "<|file_sep|>"])
def test_a_filling_ends_at_any_marker_and_leaks_none(code_model: CausalCode, end: str) -> None:
    request = Infill("def f(x):\n<FILL_ME>    return y\n")
    output = play(code_model, request, "    y = x\n", end)
    assert (output.value, output.extra["ended"]) == ("    y = x\n", "end")
    assert output.extra["parses"]


def test_a_filling_never_repeats_what_follows(code_model: CausalCode) -> None:
    request = Infill("def f(x):\n<FILL_ME>    return y\n")
    output = play(code_model, request, "    y = x\n    return y\n\nprint(1)\n")
    assert (output.value, output.extra["ended"]) == ("    y = x\n", "suffix")
    completed = Complete("def f(x):\n<FILL_ME>\n    return total\n")
    output = play(code_model, completed, "\n    total = x\n    return total\n")
    assert (output.value, output.extra["ended"]) == ("\n    total = x", "suffix")
    assert output.extra["parses"]


def test_a_line_that_only_begins_as_what_follows_is_written(code_model: CausalCode) -> None:
    request = Infill("def f(x):\n    if x:\n        x\n<FILL_ME>    return y\n")
    output = play(code_model, request, "    return y + 1\n", "<|endoftext|>")
    assert output.value == "    return y + 1\n"


def test_a_filling_is_not_ended_by_its_first_statement(code_model: CausalCode) -> None:
    request = Infill("x = 1\n<FILL_ME>print(z)\n")
    output = play(code_model, request, "y = 2\nz = 3\n", "<|endoftext|>")
    assert output.value == "y = 2\nz = 3\n"


def test_no_special_token_is_ever_in_a_completion(
    tiny_code: Callable[..., Path], load_code: Callable[..., CausalCode]
) -> None:
    folder = tiny_code("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>")
    model = LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():  # make special tokens far likelier than they would be
        model.lm_head.weight[256:] = 2 * model.lm_head.weight[60:70].sum(0)
    model.save_pretrained(folder)
    prompts = [f"{word} = <FILL_ME>\n" for word in "abcdef"]
    for task in ("complete", "infill"):
        for output in write(load_code(folder), task, *prompts, temperature=2.0, max_tokens=30):
            assert "<|" not in output.value


def test_samples_are_ranked_and_equal_ones_counted_once(code_model: CausalCode) -> None:
    given: dict[str, Any] = {"samples": 12, "max_tokens": 1, "temperature": 1.0, "trim": False}
    given |= {"top_k": 3, "top_p": 1.0}
    (output,) = write(code_model, "complete", "x = 1 +", batch=4, **given)
    extra = output.extra
    assert sum(extra["times"]) == 12
    assert 1 < len(extra["samples"]) <= 4
    assert len(set(extra["samples"])) == len(extra["samples"])
    pairs = zip(extra["samples"], extra["mean_log_probabilities"].tolist(), strict=True)
    means = [(bool(text.strip()), mean) for text, mean in pairs]
    assert means == sorted(means, reverse=True)
    assert output.value == extra["samples"][0]
    alone = write(code_model, "complete", "x = 1 +", batch=1, **given)[0]
    assert alone.extra["samples"] == extra["samples"]


def test_the_first_of_several_samples_is_the_only_one_of_one(code_model: CausalCode) -> None:
    given = {"max_tokens": 6, "temperature": 1.0}
    (one,) = write(code_model, "complete", "x = 1", samples=1, **given)
    (many,) = write(code_model, "complete", "x = 1", samples=5, **given)
    assert one.value in many.extra["samples"]


def test_ranking_takes_the_likelier_of_equal_texts() -> None:
    def made(text: str, mean: float) -> Output:
        return Output(text, extra={"mean_log_probability": mean}, usage={"tokens": 1.0})

    best = ranked([made("\n", 0.0), made("a", -2.0), made("b", -1.5), made("a", -1.0)])
    assert best.extra["samples"] == ["a", "b", "\n"]
    assert best.extra["mean_log_probabilities"].tolist() == [-1.0, -1.5, 0.0]
    assert best.extra["times"] == [2, 1, 1]
    assert best.usage == {"tokens": 4.0}


def test_a_request_that_is_given_up_frees_its_rows(code_model: CausalCode) -> None:
    def plan(request: Any, draws: Draws) -> Decode | Output:
        return completion(code_model.script, code_model.infilling, request, draws)

    slots = RankedSlots(CausalSlots(code_model.model, plan, 2, 256, 2), 2)
    slots.insert(0, Complete("x = 1", samples=5, max_tokens=9, until="model"), Draws(0, [0]))
    slots.step()
    slots.remove(0)
    slots.insert(1, Complete("y = 2", max_tokens=4, until="model"), Draws(0, [1]))
    found: list[tuple[int, Output]] = []
    for _ in range(6):
        found += slots.step()
    assert [slot for slot, _ in found] == [1]


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_a_completion_may_be_run(code_model: CausalCode) -> None:
    request = Complete("x = 1", sandbox="bubblewrap")
    fine = tried(play(code_model, request, " + 1\ny"), "bubblewrap")
    assert (fine.value, fine.extra["runs"], fine.extra["run_error"]) == (" + 1\n", True, None)
    wrong = tried(play(code_model, request, " / 0\ny"), "bubblewrap")
    assert wrong.extra["runs"] is False
    assert "ZeroDivisionError" in wrong.extra["run_error"]
    outputs = write(code_model, "complete", *["x = 1 #"] * 5, batch=2, sandbox="bubblewrap",
                    max_tokens=3, temperature=1.0, trim=False, stop=["\n"])  # fmt: skip
    run = [output for output in outputs if output.reason is None]
    assert run
    assert all(output.extra["runs"] for output in run)


@pytest.mark.parametrize(
    ("task", "prompt", "reason"),
    [
        ("complete", " \n", "prompt is empty before its hole"),
        ("complete", "a\ud800", "prompt is not text: it holds a lone surrogate"),
        ("complete", "x" * 300, "300 tokens are more than the model's window of 256"),
        ("complete", "x" * 10_000_000, "10,000,000 characters are more than the model's window"),
        ("complete", "a<FILL_ME>b<FILL_ME>c", "prompt has 2 holes <FILL_ME>: mark one"),
        ("infill", "x = 1\n", "prompt must mark one hole as <FILL_ME>, or have a suffix"),
        ("infill", "<FILL_ME>", "prompt is empty around its hole"),
        ("infill", "a<FILL_ME>" + "x" * 300, "304 tokens are more than the model's window of 256"),
    ],
)
def test_what_cannot_be_used_is_a_row_with_its_reason(
    code_model: CausalCode, task: str, prompt: str, reason: str
) -> None:
    bad, good = write(code_model, task, prompt, "x = <FILL_ME>\n", max_tokens=3)
    assert bad.refused
    assert bad.value is None
    assert reason in str(bad.reason)
    assert not good.refused


@pytest.mark.parametrize(
    "wrong",
    [{"samples": 0}, {"until": "never"}, {"sandbox": "vm"}, {"context": ["/no/such.py"]},
     {"temperature": -1}, {"max_tokens": 0}, {"trim": "yes"}, {"hole": ""}, {"stop": [""]},
     {"temprature": 1}],
)  # fmt: skip
def test_wrong_settings_are_refused_before_loading(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        settings(DOMAIN, "complete", {"prompts": ["x"], **wrong})
    assert len(str(caught.value).splitlines()) == 1


def files(folder: Path, **texts: str) -> Sequence[str]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.py" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text)
    return [str(path) for path in paths]


def test_context_stands_nearest_last_and_within_the_window(
    code_model: CausalCode, tmp_path: Path
) -> None:
    far = files(tmp_path / "a" / "b", far="F = 1\n")
    near = files(tmp_path / "c", near="N = 1\n", own="O = 1\n")
    request = Complete(
        "x = 1", path=near[1], context=[*far, *near], max_tokens=10, language="python"
    )
    long = len(near[0]) * 3 > 200
    tokens = planned(code_model, request).tokens
    shown = code_model.script._tokenizer.decode(tokens)
    assert shown.endswith(f"<|file_sep|>{near[1]}\nx = 1")
    assert shown.startswith("<|file_sep|>")
    assert len(tokens) + 10 <= 256
    assert "O = 1" not in shown
    assert f"<|file_sep|>{near[0]}\nN = 1\n\n" in shown
    if not long:
        assert shown.index("F = 1") < shown.index("N = 1")


def test_context_that_does_not_fit_is_cut_and_told(
    code_model: CausalCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {"n.py": "n = 1\n" * 100, "far/m.py": "m = 2\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    request = Infill("x = <FILL_ME>\n", context=["far/m.py", "n.py"], max_tokens=50)
    plan = planned(code_model, request)
    assert len(plan.tokens) + 50 == 256
    shown = code_model.script._tokenizer.decode(plan.tokens)
    assert shown.startswith("<|file_sep|>n.py\nn = 1\n")
    assert shown.endswith("\n<|fim_prefix|>x = <|fim_suffix|>\n<|fim_middle|>")
    output = play(code_model, request, "1", "<|endoftext|>")
    assert output.extra["context"] == ["n.py"]
