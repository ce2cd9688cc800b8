"""The time that a run takes: its budget, `train.time`, and how much of it is used."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

now = time.monotonic  # a name of its own, for tests

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def seconds_of(text: str) -> float:
    """Returns the seconds of a duration such as 30m, 2h, 1h30m or 90s; of an empty text infinity.

    Raises:
        ValueError: for any other text, and for 0.
    """
    if not text:
        return math.inf
    match = DURATION.fullmatch(text.replace(" ", "").lower())
    seconds = sum(float(n) * u for n, u in zip(match.groups(), UNITS.values(), strict=True) if n) if match else 0.0
    if not 0 < seconds < math.inf:
        raise ValueError(f"must be a time such as 30m, 2h, 1h30m or 90s, not {text!r:.40}")
    return seconds


@dataclass
class Clock:
    """Measures a run, with its earlier sessions.

    Attributes:
        limit: seconds of the budget; infinity = no budget.
        before: seconds of earlier sessions.
        began: when this session began, by `now`.
        reserve: seconds of the longest validation so far: the budget keeps them for the last one.
    """

    limit: float = math.inf
    before: float = 0.0
    began: float = field(default_factory=lambda: now())
    reserve: float = 0.0

    @property
    def session(self) -> float:
        """Seconds of this session."""
        return now() - self.began

    @property
    def seconds(self) -> float:
        """Seconds of all sessions."""
        return self.before + self.session

    @property
    def share(self) -> float:
        """The used share of the budget, in [0, 1]; 0 without a budget."""
        if math.isinf(self.limit):
            return 0.0
        # Half of the budget at most is kept: a validation that takes longer must not leave it without a step.
        return min(1.0, self.seconds / max(self.limit - self.reserve, 0.5 * self.limit))

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Measures a validation."""
        began = now()
        yield
        self.reserve = max(self.reserve, now() - began)
