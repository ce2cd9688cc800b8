"""Times calls, applies the allocator settings of `ae` and prints tables, for the scripts of this folder.

It imports only the standard library, so that it can time other revisions of the package.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any


def start_anew(settings: Mapping[str, str]) -> None:
    """Restarts this script with environment variables that a process reads when it starts, as `ae` does."""
    if missing := {name: value for name, value in settings.items() if name not in os.environ}:
        os.environ.update(missing)
        os.execv(sys.executable, [sys.executable, *sys.argv])


def median_ms(function: Callable[[], Any], *, seconds: float = 2.0) -> float:
    """Returns the median time of a call in milliseconds, over all calls that fit into `seconds`, at least 5."""
    # two calls to warm up: the first ones fill caches and allocate memory
    function(), function()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        times.append(call_ms(function))
    return statistics.median(times)


def call_ms(function: Callable[[], Any]) -> float:
    """Returns the time of one call in milliseconds."""
    before = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - before)


def alternating_ms(functions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Returns the median times of several functions in milliseconds, called in turns for `rounds` rounds."""
    # in turns, so that a slow moment of the machine affects all of them
    for function in functions.values():
        function()
    times = [{name: call_ms(function) for name, function in functions.items()} for _ in range(rounds)]
    return {name: statistics.median(row[name] for row in times) for name in functions}


def markdown(title: str, columns: list[str], rows: Mapping[str, Mapping[str, str]]) -> str:
    """Returns a Markdown table with a row for each name; a missing value is a dash."""
    lines = [f"| {' | '.join([title, *columns])} |", f"|---|{'---:|' * len(columns)}"]
    lines += [f"| {' | '.join([name, *(row.get(c, '-') for c in columns)])} |" for name, row in rows.items()]
    return "\n".join(lines)
