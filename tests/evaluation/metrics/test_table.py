"""Metrics as text."""

from __future__ import annotations

from associative_embedding.evaluation.metrics.table import format_table


def test_format_table() -> None:
    table = format_table({"AP": 0.6634, "APL": None, "AP_medium": 1.0})
    assert table == "   AP  APL  AP_medium\n0.663    -      1.000"
    assert format_table({"Head": 78.44}, digits=1) == "Head\n78.4"
