"""Settings of the data section of a recipe: sources and augmentation."""

from __future__ import annotations

from dataclasses import dataclass, field

from associative_embedding.structures.setting_checks import BELOW_ONE, POSITIVE, SHARE, check


@dataclass(frozen=True)
class SourceConfig:
    """One COCO json, or PASCAL VOC tree, with its images.

    Attributes:
        annotations: path; None = a folder of images without people. For masks also a VOC tree, the folder that holds
            SegmentationObject.
        images: folder (JPEGImages of a VOC tree).
        shards: folder that ``ae data shard`` wrote, in place of annotations and images.
        weight: how often this source is drawn, relative to the others.
        complete: every person of an image is labelled. If not, only the labelled people's surroundings are taught.
        mosaic: probability that several samples are tiled into one.
        overlap: probability that a person of another sample is pasted over this one.
        rename: source keypoint name -> target keypoint name; for masks category name -> class.
        held_out: share of the images, chosen by image id, that training leaves to validation.
        cache: hold the encoded files in memory.
        split: the image set of a VOC tree, such as "train"; of nothing else.
    """

    images: str = ""
    annotations: str | None = None
    shards: str | None = None
    weight: float = 1.0
    complete: bool = True
    mosaic: float = 0.0
    overlap: float = 0.0
    rename: dict[str, str] = field(default_factory=dict)
    held_out: float = 0.0
    cache: bool = True
    split: str = ""

    def __post_init__(self) -> None:
        check("source.", self, {"weight": POSITIVE, "mosaic": SHARE, "overlap": SHARE, "held_out": BELOW_ONE})
        if self.shards is not None:
            inside = {"images": self.shards, "annotations": f"{self.shards.rstrip('/')}/annotations.json"}
            for name, value in inside.items():
                if getattr(self, name) not in (None, "", value):  # a recipe that a run wrote has all three
                    raise ValueError(f"source.{name} is in the shards {self.shards}: leave it out")
                object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Augment:
    """How much training images are varied.

    Attributes:
        rotation: degrees, drawn from [-rotation, rotation].
        scale: drawn log-uniformly; 1 = the whole image just fits into the input.
        shift: of the view, as a fraction of the input's sides, in x and in y.
        mirror: probability.
        colour: strength of the change of brightness, contrast and saturation (0.4: a factor in 0.6 to 1.4), and a
            quarter of it, in radians, of hue.
        grey: probability of no colour at all.
        blur: probability of a slight blur.
        invert: probability of the negative. Stained cells are dark on bright, fluorescent ones bright on dark: each
            kind then teaches the other.
    """

    rotation: float = 30.0
    scale: tuple[float, float] = (0.75, 1.25)
    shift: float = 0.2
    mirror: float = 0.5
    colour: float = 0.4
    grey: float = 0.05
    blur: float = 0.05
    invert: float = 0.0

    def __post_init__(self) -> None:
        check("augment: ", self, {})
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"augment: scale must be 0 < low <= high, not {self.scale}")
        if self.rotation < 0 or self.shift < 0 or not 0 <= self.colour < 1:
            raise ValueError("augment: rotation and shift must not be negative and colour must lie in [0, 1)")
        for name in ("mirror", "grey", "blur", "invert"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augment: {name} is a probability, not {getattr(self, name)}")
