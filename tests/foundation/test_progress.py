"""Progress in a real terminal and in a file."""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from foundation import progress
from foundation.progress import plain, span, speed

SCRIPT = """
import time
from foundation.progress import progress
with progress(1200, "words") as report:
    for done in range(0, 1201, 300):
        report(done, valid="98.0%")
        time.sleep(0.3)
"""


def test_a_terminal_shows_a_bar_with_count_rate_and_time_left() -> None:
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stderr=child,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(child)
    written = b""
    try:
        while block := os.read(parent, 65536):
            written += block
    except OSError:  # how Linux says that the other end has closed
        pass
    assert process.wait() == 0
    os.close(parent)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.decode())
    assert re.search(r"━ 600/1,200 words [\d,.]+/s [\d.]+ s left valid 98.0%", shown)
    assert re.search(r"1,200/1,200 words [\d,.]+/s [\d.]+ s valid", shown)
    assert written.rfind(b"\x1b[?25h") > written.rfind(b"\x1b[?25l")


def test_elsewhere_there_are_plain_lines_and_always_a_last_one() -> None:
    out = io.StringIO()
    with progress.progress(1000, "words", done=400, stream=out) as report:
        for done in range(401, 1001):
            report(done, valid="99%")
    assert re.fullmatch(r"1,000 of 1,000 words, [\d,.]+/s, valid 99%\n", out.getvalue())
    assert "\x1b" not in out.getvalue()


def test_a_line_says_count_rate_time_left_and_figures() -> None:
    line = plain(1000, "words", 600, 200, 20.0, {"loss": 1.23456, "valid": "98%"})
    assert line == "600 of 1,000 words, 10.0/s, 40 s left, loss 1.235, valid 98%"
    assert plain(None, "words", 5, 5, 0.0, {}) == "5 words, 0.0/s"


@given(st.floats(1e-6, 1e7))
def test_rates_and_times_stay_short(value: float) -> None:
    assert len(speed(value)) <= 20
    assert len(span(value)) <= 20
    assert span(value)[0].isdigit()


def test_times_are_written_as_people_do() -> None:
    assert [span(s) for s in (0.04, 9.94, 59.4, 125, 12_000)] == [
        "0.0 s",
        "9.9 s",
        "59 s",
        "2 min 5 s",
        "3 h 20 min",
    ]
    assert [speed(r) for r in (0.2, 12.34, 1234.5)] == ["5.0 s each", "12.3/s", "1,234/s"]
