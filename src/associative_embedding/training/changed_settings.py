"""The settings in which a run that is continued differs from what it was, for a line and the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from associative_embedding.io.yaml_files import load_yaml

# settings of the place, the length and the reports of a run, which change nothing that is learned in a step
FREE = {"output", "data.workers"} | {
    f"train.{name}"
    for name in "steps time patience log_every save_every validate_every keep device tensorboard".split()
}


def changed_settings(path: Path, now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns setting -> its value in the recipe of an earlier run and its value now, where they differ.

    Args:
        path: the recipe that the earlier run wrote; none are returned if it cannot be read.
        now: the recipe of this run, as plain values.
    """
    before: Any = None
    with suppress(OSError, ValueError):
        before = load_yaml(path.read_text(encoding="utf-8"), path)
    if not isinstance(before, dict):
        return {}
    old, new = dict(flat(before)), dict(flat(now))
    # a setting that only one of them has is of another version
    return {key: (old[key], new[key]) for key in new if key in old and old[key] != new[key] and key not in FREE}


def changed_lines(changed: Mapping[str, tuple[Any, Any]], step: int) -> Iterator[str]:
    """Yields the lines of a run that continues at a step."""
    if changed:
        words = [f"{key} ({short(old)} -> {short(new)})" for key, (old, new) in changed.items()]
        yield f"continues at step {step} with other settings: {', '.join(words)}"
    if "network.start" in changed:
        yield "network.start is not read: the run continues with its own weights"


def flat(settings: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the settings with dotted names."""
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{start}{key}.")
        else:
            yield f"{start}{key}", value


def short(value: Any) -> str:
    """Returns a value as a word: lists, such as the sources, may be long."""
    return str(value) if not isinstance(value, (list, dict)) or len(str(value)) <= 40 else "..."
