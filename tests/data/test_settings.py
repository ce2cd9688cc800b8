"""Settings of augmentation that are refused."""

from __future__ import annotations

import pytest

from associative_embedding.data.settings import Augment


@pytest.mark.parametrize(
    "values",
    [
        {"scale": (0, 1)},
        {"scale": (2, 1)},
        {"scale": (1,)},
        {"rotation": -1},
        {"shift": -0.1},
        {"colour": 1},
        {"mirror": 1.1},
        {"grey": -0.1},
        {"blur": 2},
        {"invert": 2},
        {"colours": "published", "colour": 0.5},
    ],
)
def test_settings_out_of_range(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="augment: "):
        Augment(**values)  # type: ignore[arg-type]
