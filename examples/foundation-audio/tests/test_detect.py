"""From the command line to the files: rows, spans, a sweep, workers, the suite, the model."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from foundation_audio.inputs import Detect, samples
from foundation_audio.outputs import html, spans

import foundation as fm

SPEECH = Path(__file__).parents[1] / "foundation_audio" / "speech"


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "foundation", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_folder_becomes_rows_and_spans_whoever_works(tiny, recordings, tmp_path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, path in enumerate(recordings):
        (folder / f"{number}{Path(path).suffix}").write_bytes(Path(path).read_bytes())
    (folder / "broken.wav").write_bytes(b"RIFF and nothing more")
    common = ("model=audio/silero-vad", f"model.path={tiny.source.removeprefix('path:')}",
              "task=detect", f"task.input={folder}", "placement.dtype=float32")  # fmt: skip
    alone = run(tmp_path, *common, "hydra.run.dir=alone")
    assert alone.returncode == 0, alone.stderr
    assert "1 input refused" in alone.stdout
    shared = run(tmp_path, *common, "engine.workers=2", "hydra.run.dir=shared")
    assert shared.returncode == 0, shared.stderr
    one, two = (pq.read_table(tmp_path / name / "results.parquet") for name in ("alone", "shared"))
    assert one["output"].to_pylist() == two["output"].to_pylist()
    assert one["starts"].to_pylist() == two["starts"].to_pylist()
    broken = next(row for row in one.to_pylist() if row["input"].endswith("broken.wav"))
    assert not broken["valid"]
    assert "is no recording" in broken["reason"]
    rttm = (tmp_path / "alone" / "speech.rttm").read_text().splitlines()
    assert len(rttm) == sum(len(row["starts"] or ()) for row in one.to_pylist()) > 0
    swept = run(tmp_path, "-m", *common, "task.threshold=0.4,0.6", "hydra.sweep.dir=swept")
    assert swept.returncode == 0, swept.stderr
    assert len(list((tmp_path / "swept").glob("*/results.parquet"))) == 2


def test_the_model_is_listed_with_its_settings(tmp_path) -> None:
    assert "audio/silero-vad" in run(tmp_path, "task=models").stdout
    one = run(tmp_path, "task=models", "model=audio/silero-vad").stdout
    assert "task.threshold=0.5" in one
    assert "Speech in one recording" in one


@pytest.mark.parametrize(
    ("word", "told"),
    [("task.threshold=2", "from 0 to 1"), ("task.input=none.wav", "unknown file"),
     ("task.treshold=1", "did you mean 'task.threshold'")],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_exit_2(word, told, tmp_path) -> None:
    done = run(tmp_path, "model=audio/silero-vad", "task=detect", f"task.input={SPEECH}", word)
    assert done.returncode == 2
    assert told in done.stderr.splitlines()[-1]


def test_a_span_goes_on_through_short_gaps_and_is_no_click() -> None:
    told = [0.1, 0.9, 0.9, 0.4, 0.9, 0.1, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1]
    wanted = Detect("a.wav", gap=0.1, shortest=0.06)
    assert spans(told, 0.03, 0.36, wanted) == [(0.0, pytest.approx(0.18))]
    assert len(spans(told, 0.03, 0.36, Detect("a.wav", gap=0.1, shortest=0))) == 2
    assert len(spans(told, 0.03, 0.36, Detect("a.wav", gap=1, shortest=0))) == 1
    assert spans([0.2, 0.1], 0.03, 0.06, wanted) == []


def test_any_rate_and_channels_become_one_channel_of_16_khz(tmp_path) -> None:
    wave = np.sin(np.arange(44_100) / 44_100 * 2 * np.pi * 440)
    soundfile.write(tmp_path / "a.wav", np.stack([wave, wave], axis=1), 44_100)
    found = samples(str(tmp_path / "a.wav"))
    assert found.shape == (16_000,)
    assert np.abs(np.fft.rfft(found)).argmax() == 440


def test_the_suite_and_the_view(tiny, tmp_path) -> None:
    words = ("model=audio/silero-vad", f"model.path={tiny.source.removeprefix('path:')}",
             "task=evaluate", "suite=speech", "suite.limit=2", "suite.snr=[10]",
             "hydra.run.dir=suite")  # fmt: skip
    done = run(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "suite" / "record.json").read_text())["metrics"]
    # Pink noise at 10 dB: speech is told by its loudness, but not by random weights.
    assert metrics["f1_loudness_10dB"]["mean"] > 0.8 > metrics["f1_10dB"]["mean"]
    view = html(pq.read_table(tmp_path / "suite" / "10dB" / "run" / "results.parquet"), tmp_path)
    assert view.count("<svg") == 2


@pytest.mark.network
def test_the_real_model_hears_speech_and_nothing_in_noise(tmp_path) -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal(48_000)
    soundfile.write(tmp_path / "noise.wav", noise, 16_000)
    model = fm.load("audio/silero-vad", placement={"name": "cpu", "dtype": "float32"})
    found = model.detect(audios=[str(SPEECH / "ferry.ogg"), str(tmp_path / "noise.wav")]).table()
    assert found["output"].to_pylist() == ["0.03-2.37 2.43-3.81", "no speech"]
