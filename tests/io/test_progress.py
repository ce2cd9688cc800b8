"""Progress without a terminal is a line a minute."""

from __future__ import annotations

import pytest

from associative_embedding.io import progress
from associative_embedding.io.progress import Progress, in_words


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_a_minute(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for item in Progress(range(300), "predict", "image"):
        assert clock[0] == item
        clock[0] += 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"ae: predict: {count} of 300 images, 1 a second, about {left} left"
        for count, left in ((60, "4 min"), (120, "3 min"), (180, "2 min"), (240, "1 min"), (300, "0 s"))
    ]


def test_work_of_unknown_length(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress((), "camera", "frame") as bar:
        clock[0] = 30
        bar.update()
        assert capsys.readouterr().err == ""
        clock[0] = 100
        bar.update()
    assert capsys.readouterr().err == "ae: camera: 2 frames, 0.02 a second\n"
    assert bar.seconds_left is None


def test_durations() -> None:
    assert [in_words(s) for s in (0, 3.2, 59, 59.7, 60, 3600, 7500)] == [
        "0 s",
        "3 s",
        "59 s",
        "1 min",
        "1 min",
        "1 h 0 min",
        "2 h 5 min",
    ]
