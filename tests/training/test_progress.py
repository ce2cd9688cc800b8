"""The place of a run is shown on 79 columns, or on a line a minute."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from associative_embedding.training import progress as progress_module
from associative_embedding.training.clock import Clock
from associative_embedding.training.progress import Progress


class Terminal(io.StringIO):
    """What a terminal would get."""

    def isatty(self) -> bool:
        return True


class Time:
    """A clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(progress_module, "now", lambda: self.now)


def steps(time: Time, progress: Progress, count: int, seconds: float) -> None:
    for step in range(1, count + 1):
        time.now += seconds
        progress.loss = 1234.56789
        progress.update(step, step)


def test_a_bar_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    time, terminal = Time(monkeypatch), Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress("a name that is much too long for a bar", 10**7, 0, Clock(limit=1e6)) as progress:
        steps(time, progress, 40, 1.0)
    lines = [line for line in re.split(r"[\r\n]", terminal.getvalue()) if "%|" in line]
    assert lines
    assert max(map(len, lines)) < 80
    assert lines[0].endswith("| step 0 of 10000000")
    assert re.search(r"\| step \d+ of 10000000, loss", lines[-1])


def test_without_a_terminal_there_is_a_line_a_minute(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    time = Time(monkeypatch)
    with Progress("run", 400, 0, Clock()) as progress:
        steps(time, progress, 200, 1.0)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 4  # after 10, 70, 130 and 190 seconds
    assert re.fullmatch(r"ae: run: step 10 of 400, loss 1\.23e\+03, 6 min left, until about \d\d:\d\d", lines[0])


@pytest.mark.parametrize("silent", [True, False])
def test_short_runs_and_other_processes_print_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], silent: bool
) -> None:
    time = Time(monkeypatch)
    with Progress("run", 400, 0, Clock(), silent=silent) as progress:
        steps(time, progress, 300 if silent else 9, 1.0)
    assert capfd.readouterr().err == ""


def test_a_budget_limits_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    clock: Any = Clock(limit=60.0)
    monkeypatch.setattr("associative_embedding.training.clock.now", lambda: clock.began + time.now)
    progress = Progress("run", 1000, 0, clock)
    time.now = 20.0
    assert progress.left(10, time.now) == pytest.approx(40)
    assert progress.left(999, time.now) < 1
