"""The sheet of a result and its tags."""

from __future__ import annotations

import numpy as np
import pytest

from associative_embedding.tasks.tag_pictures import WIDTH, tag_sheet

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def plain(height: int, width: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


@pytest.mark.parametrize("size", [(100, 300), (300, 100), (40, 40), (3000, 4000)])
def test_the_result_is_large_beside_the_plot_and_above_the_maps(size: tuple[int, int]) -> None:
    sheet = tag_sheet(plain(*size, RED), [plain(200, 600, GREEN), plain(300, 814, BLUE)])
    assert sheet.shape[1] == WIDTH
    red, green, blue = (np.argwhere((sheet == colour).all(axis=2)) for colour in (RED, GREEN, BLUE))
    assert len(red) > 200 * 200
    assert len(blue) == 300 * 814  # the plot keeps its size, or its text could not be read
    assert red[:, 1].max() < blue[:, 1].min()
    assert max(red[:, 0].max(), blue[:, 0].max()) < green[:, 0].min()
    # the shape of the result is kept
    height, width = np.ptp(red, axis=0) + 1
    assert height / width == pytest.approx(size[0] / size[1], rel=0.02)


def test_without_tags_the_result_is_left_alone() -> None:
    picture = plain(20, 30, RED)
    assert tag_sheet(picture, []) is picture
