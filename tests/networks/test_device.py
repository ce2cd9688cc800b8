"""Names of devices."""

from __future__ import annotations

import pytest

from associative_embedding.inference.load import load
from support.tiny import FIGURE


def test_devices(model: str) -> None:
    assert load(model).device == load(model, device="auto").device
    assert load(model, device="auto").device.split(":")[0] in ("cpu", "cuda")
    for device in ("cuda:99", "toaster"):
        with pytest.raises(ValueError, match=f"device '{device}' cannot be used") as caught:
            load(model, device=device)
        assert "\n" not in str(caught.value)
    assert load(model).info.task.skeleton == FIGURE
