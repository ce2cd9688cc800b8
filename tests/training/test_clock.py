"""The time budget of a run: its words, and how much of it is used."""

from __future__ import annotations

import math

import pytest

from associative_embedding.training import clock as clocks
from associative_embedding.training.clock import Clock, seconds_of
from associative_embedding.training.recipe import TrainConfig


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("90s", 90), ("1.5h", 5400), ("1h 1m 1s", 3661), ("", math.inf)],
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["30", "0m", "m", "-3m", "3m2h", "1e3s", "inf", "30 minutes"])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"train\.time must be a time such as 30m, 2h, 1h30m or 90s, not '"):
        TrainConfig(time=text)


def test_the_share_keeps_time_for_the_last_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(clocks, "now", lambda: now[0])
    clock = Clock(limit=100, before=20)
    assert clock.share == pytest.approx(0.2)
    with clock.validating():
        now[0] += 20
    assert clock.share == pytest.approx(40 / 80)
    with clock.validating():
        now[0] += 90
    assert clock.share == 1
    assert Clock().share == 0
