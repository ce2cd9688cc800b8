"""Checks of settings: which numbers a file may state."""

from __future__ import annotations

import pytest

from associative_embedding.structures.setting_checks import fits
from associative_embedding.tasks.pose.settings import DecodeConfig


@pytest.mark.parametrize("hint", [int, float])
def test_a_whole_number_that_no_float_or_array_holds_is_no_number(hint: type) -> None:
    assert fits(2**62, hint)
    assert not fits(10**400, hint)
    assert not fits(-(10**400), hint)


def test_a_huge_setting_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"decode\.nms must be a whole number, not 1000"):
        DecodeConfig(nms=10**400)
