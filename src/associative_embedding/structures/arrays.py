"""The type of a NumPy array of any shape and dtype; docstrings state both."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
