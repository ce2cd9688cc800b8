"""What is read of an image: which planes and channels, and which values become black and white."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

AXES = "tzcyxs"  # time, depth, channel, rows, columns, colours of one pixel
LOW, HIGH = 1.0, 99.8  # percentiles that become black and white, as is usual in microscopy
NUMBER = r"(-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
RANGE = re.compile(rf"{NUMBER}(%?):{NUMBER}(%?)", re.IGNORECASE)
PAGE = re.compile(r"(?:t(?P<t>\d+))?(?:z(?P<z>\d+))?|(?P<any>\d+)", re.IGNORECASE)
ALL = "all"
AUTO, NONE, PERCENTILES = "auto", "none", "percentiles"


@dataclass(frozen=True)
class Range:
    """Which values become black and white.

    Attributes:
        low, high: of black and of white, as values or as percentiles.
        percent: whether they are percentiles of each image and channel.
    """

    low: float
    high: float
    percent: bool


@dataclass(frozen=True)
class Reading:
    """What is read of an image.

    Attributes:
        channel: number of the channel, from 1, or its name in the file; of a colour picture 1 is red. Default: the
            colours, or the only channel; a file of several channels that are no colours needs it.
        page: the plane to read, from 1: 3 (of the depth, or of the only axis), z3, t2, t2z3; or all = each plane is a
            picture of its own. Default: of a depth the maximum, of times and pages each (where only one picture is
            read, the first).
        project: join the planes of the depth, or without a depth of the only axis, to their max or mean.
        axes: what the dimensions of a file or array mean, such as tzcyx: t = time, z = depth, c = channel, s = colours
            of a pixel. Default: as the file states it.
        level: of an image that is stored in several resolutions; 0 = the finest.
        normalize: values that become black and white; default: as the model file states, usually auto. auto = the whole
            range of 8-bit pictures and of deeper ones that use at least a quarter of it, else percentiles 1 and 99.8 of
            each picture and channel; percentiles = always these; none = always the whole range; or LOW:HIGH, such as
            100:4000 or 0.1%:99.9%.

    Raises:
        ValueError: for a value that is not one of these.
    """

    channel: int | str | None = None
    page: int | str | None = None
    project: Literal["max", "mean"] | None = None
    axes: str | None = None
    level: int = 0
    normalize: str | None = None

    def __post_init__(self) -> None:
        _ = self.places, self.range
        if self.axes is not None:
            check_axes(self.axes)
        if self.project not in (None, "max", "mean"):
            raise ValueError(f"project must be max or mean, not {self.project}")
        if self.level < 0:
            raise ValueError(f"level must be 0 or more, not {self.level}")
        if isinstance(self.channel_number, int) and self.channel_number < 1:
            raise ValueError(f"channels count from 1, so channel must not be {self.channel}")
        if self.project and self.every_plane:
            raise ValueError("page all reads each plane, project joins them: give only one")

    @property
    def channel_number(self) -> int | str | None:
        """The channel, as a number where it is one."""
        text = self.channel
        return int(text) if isinstance(text, str) and re.fullmatch(r"-?\d+", text) else text

    @property
    def every_plane(self) -> bool:
        """Whether each plane is a picture of its own."""
        return str(self.page).lower() == ALL

    @property
    def places(self) -> dict[str, int]:
        """Axis -> number of the chosen plane, from 0; the axis is "any" for a number alone."""
        if self.page is None or self.every_plane:
            return {}
        match = PAGE.fullmatch(str(self.page))
        found = {axis: int(text) - 1 for axis, text in match.groupdict().items() if text} if match else {}
        if not found or min(found.values()) < 0:
            raise ValueError(f"page must be a number from 1, such as 3, z3, t2 or t2z3, or all, not {self.page}")
        return found

    @property
    def how(self) -> str:
        """`normalize`, or the default."""
        return AUTO if self.normalize is None else self.normalize

    @property
    def range(self) -> Range | None:
        """The stated range; None for "auto" and "none"."""
        if self.how in (AUTO, NONE):
            return None
        if self.how == PERCENTILES:
            return Range(LOW, HIGH, True)
        match = RANGE.fullmatch(self.how.replace(" ", ""))
        if match is None or match[2] != match[4]:
            raise ValueError(
                "normalize must be auto, percentiles, none, or LOW:HIGH such as 100:4000 or 0.1%:99.9%, not "
                f"{self.normalize}"
            )
        found = Range(float(match[1]), float(match[3]), bool(match[2]))
        if not found.low < found.high or (found.percent and not 0 <= found.low < found.high <= 100):
            raise ValueError(f"normalize must have LOW below HIGH, percentiles within 0 to 100, not {self.normalize}")
        return found

    @property
    def is_plain(self) -> bool:
        """Whether everything is read as usual."""
        return self.channel is None and self.how == AUTO and not self.chooses_a_plane

    @property
    def chooses_a_plane(self) -> bool:
        """Whether it asks for something that only files of several planes, channels or resolutions have."""
        return bool(self.page is not None or self.project or self.axes is not None or self.level)


def check_axes(axes: str) -> None:
    """Checks the letters of dimensions.

    Raises:
        ValueError: for another letter, one that is there twice, or without y and x.
    """
    letters = axes.lower()
    if set(letters) - set(AXES) or len(set(letters)) < len(letters) or not set("yx") <= set(letters):
        raise ValueError(f"axes must be some of the letters {AXES}, each once, with y and x, such as zcyx, not {axes}")


PLAIN = Reading()
