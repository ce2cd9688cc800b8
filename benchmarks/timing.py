"""What the scripts here share: times of calls, the settings of `ae`, tables. It needs nothing but Python."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any


def start_anew(settings: Mapping[str, str]) -> None:
    """Start this script once more with variables that are read when a process starts, as `ae` does (`cli.script`)."""
    if missing := {name: value for name, value in settings.items() if name not in os.environ}:
        os.environ.update(missing)
        os.execv(sys.executable, [sys.executable, *sys.argv])


def median_ms(function: Callable[[], Any], *, seconds: float = 2.0) -> float:
    """Median time of a call in milliseconds, over as many calls as fit (5 at least), after two to warm up."""
    function(), function()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        times.append(call_ms(function))
    return statistics.median(times)


def call_ms(function: Callable[[], Any]) -> float:
    """Time of one call in milliseconds."""
    before = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - before)


def alternating_ms(functions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median times of several calls that take turns, so that a slow moment of the machine meets all of them."""
    for function in functions.values():
        function()
    times = [{name: call_ms(function) for name, function in functions.items()} for _ in range(rounds)]
    return {name: statistics.median(row[name] for row in times) for name in functions}


def markdown(title: str, columns: list[str], rows: Mapping[str, Mapping[str, str]]) -> str:
    """A table with a row for each name; what a row does not have is a dash."""
    lines = [f"| {' | '.join([title, *columns])} |", f"|---|{'---:|' * len(columns)}"]
    lines += [f"| {' | '.join([name, *(row.get(c, '-') for c in columns)])} |" for name, row in rows.items()]
    return "\n".join(lines)
