"""The conventions of published code between an image and the maps to decode, as plain values of a model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

Fit = Literal["centre", "corner", "square"]
Rounding = Literal["up", "down"]
MapSize = Literal["input", "input-in-two-steps", "network"]


@dataclass(frozen=True)
class Conventions:
    """How published code runs a network on an image.

    The defaults are those of mmpose for most of its models.

    Attributes:
        fit: "centre": the short side becomes the input size, the image lies in the middle of black borders. "corner":
            the same sizes, but the centre of the image's first pixel is the centre of the input's first one, and the
            last pixel of its short side becomes the input's last ("unbiased data processing", UDP). "square": the long
            side becomes the input size, with borders that make a square (the paper's code).
        rounding: how sides become multiples of 64 and centres whole pixels. "up": up, and half to even (mmpose).
            "down": less than a pixel beyond a multiple is cut off, and half goes up (HigherHRNet and its relatives).
        map_size: "input": every output is enlarged straight to the input's size at scale 1, then averaged (mmpose).
            "input-in-two-steps": coarse outputs are enlarged to the finest one and averaged, and their mean is
            enlarged to the input's size (HigherHRNet). "network": maps keep the size of the finest output at the
            largest scale.
        align_corners: maps are enlarged from corner pixel to corner pixel, not from edge to edge.
        mirror: the mirror image is run, too.
        clip: heatmap values above 1 count as 1, so that their neighbours may be equally high (the paper's code).
    """

    fit: Fit = "centre"
    rounding: Rounding = "up"
    map_size: MapSize = "input"
    align_corners: bool = False
    mirror: bool = True
    clip: bool = False

    @classmethod
    def from_values(cls, values: Any) -> Conventions:
        """Returns the conventions that `dataclasses.asdict` turned into values, of a file that nobody has checked.

        Raises:
            ValueError: for a name or a value that there is not.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"conventions must be a mapping, not {values!r}")
        known = get_type_hints(cls)
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"conventions.{name} is not known; known are {', '.join(known)}")
            allowed = get_args(known[name]) or (True, False)
            if type(value) is not type(allowed[0]) or value not in allowed:
                raise ValueError(f"conventions.{name} must be one of {', '.join(map(str, allowed))}, not {value!r}")
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})
