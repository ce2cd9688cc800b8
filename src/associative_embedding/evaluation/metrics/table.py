"""Metrics as text."""

from __future__ import annotations

from collections.abc import Mapping

from associative_embedding.io.console import visible


def format_table(metrics: Mapping[str, float | None], *, digits: int = 3) -> str:
    """Returns two aligned lines, names and values, in the order of `metrics`; ``-`` for None."""
    values = ["-" if value is None else f"{value:.{digits}f}" for value in metrics.values()]
    widths = [max(len(visible(name)), len(value)) for name, value in zip(metrics, values, strict=True)]
    rows = (list(map(visible, metrics)), values)
    return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)
