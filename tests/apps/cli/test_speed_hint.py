"""A slow video gets one line with the speed of this machine, and what is faster."""

from __future__ import annotations

import pytest

from associative_embedding.apps.cli import speed_hint
from associative_embedding.apps.cli.speed_hint import SpeedHint


def lines(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seconds: float,
    *,
    model: str = "person",
    frames: int | None = 3000,
) -> str:
    """What is printed while 60 frames of a video with 30 a second take some seconds each."""
    now = [0.0]
    monkeypatch.setattr(speed_hint.time, "monotonic", lambda: now[0])
    hint = SpeedHint(model, "film.mp4", frames, 30)
    for i in range(60):
        now[0] += 20.0 if i == 0 else seconds  # the start of the model
        hint()
    return capsys.readouterr().err


def test_a_slow_machine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(monkeypatch, capsys, 0.5) == (
        "ae: film.mp4: 2 frames a second, 25 min left; --model person-fast is several times as fast, "
        "--every 15 takes every 15th frame\n"
    )


def test_a_camera_and_another_model(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(monkeypatch, capsys, 0.5, model="own.safetensors", frames=None) == (
        "ae: film.mp4: 2 frames a second; --every 15 takes every 15th frame\n"
    )


def test_nothing_where_it_is_fast_or_soon_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lines(monkeypatch, capsys, 0.02) == ""
    assert lines(monkeypatch, capsys, 0.5, frames=70) == ""
