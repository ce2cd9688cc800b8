"""Settings in the data section of a recipe: sources and augmentation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from associative_embedding.io.reading import Reading
from associative_embedding.structures.setting_checks import BELOW_ONE, NOT_NEGATIVE, POSITIVE, SHARE, check


@dataclass(frozen=True)
class SourceConfig:
    """One COCO json, PASCAL VOC tree or folder of label images, with its images.

    Attributes:
        annotations: path of the json; None = a folder of images without people. For masks also a VOC tree, the folder
            that contains SegmentationObject; or label images, their folder or a pattern such as "labels/{name}_gt.tif",
            in which {name} stands for the name of an image; see docs/masks.md.
        images: folder of the images (default for a VOC tree: its JPEGImages; for label images: where tools put them).
        shards: folder that ``ae data shard`` wrote, in place of annotations and images.
        weight: how often this source is drawn, relative to the others.
        complete: every person of an image is labelled. If not, only the surroundings of labelled people are taught.
        mosaic: probability that several images become the tiles of one.
        overlap: probability that a person of another image is pasted over an image.
        rename: keypoint name in the source -> keypoint name to teach; for masks, category name -> class.
        held_out: share of the images, chosen by image id, that training leaves to validation.
        held_out_ids: text file with the ids of the images that training leaves to validation, one a line, such as a
            published split; None = none.
        cache: hold the encoded files in memory.
        split: image set of a VOC tree, such as "train"; "" = the only one, or without image sets all its images.
        reading: which planes and channels of its images are read, and which of their values become black and white.
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
    held_out_ids: str | None = None
    reading: Reading = field(default_factory=Reading)

    def with_normalize(self, normalize: str) -> SourceConfig:
        """Returns the source with a value for `Reading.normalize`, if it states none."""
        if self.reading.normalize is not None:
            return self
        return replace(self, reading=replace(self.reading, normalize=normalize))

    def __post_init__(self) -> None:
        check("source.", self, {"weight": POSITIVE, "mosaic": SHARE, "overlap": SHARE, "held_out": BELOW_ONE})
        if self.held_out and self.held_out_ids is not None:
            raise ValueError("source.held_out and source.held_out_ids choose the same images: give only one")
        if self.shards is not None:
            inside = {"images": self.shards, "annotations": f"{self.shards.rstrip('/')}/annotations.json"}
            for name, value in inside.items():
                # the recipe that a run writes into its folder has all three, and must be readable again
                if getattr(self, name) not in (None, "", value):
                    raise ValueError(f"source.{name} is in the shards {self.shards}: leave it out")
                object.__setattr__(self, name, value)  # the dataclass is frozen for everybody else


@dataclass(frozen=True)
class Microscope:
    """Changes of training images that microscopes make; all are off by default.

    Attributes:
        gamma: largest logarithm of the exponent that is applied to brightness.
        noise: probability of a camera's noise.
        stain: strength of the change of each stain in images with colours (0.2: a factor in 0.8 to 1.2).
        touch: probability that copies of objects are placed so that they touch others, for masks.
        empty: probability that an image becomes an empty field: background, noise and dust, and nothing to find.
    """

    gamma: float = 0.0
    noise: float = 0.0
    stain: float = 0.0
    touch: float = 0.0
    empty: float = 0.0

    def __post_init__(self) -> None:
        shares = dict.fromkeys(("noise", "touch", "empty"), SHARE)
        check("augment.microscope.", self, {"gamma": NOT_NEGATIVE, "stain": BELOW_ONE} | shares)


@dataclass(frozen=True)
class Augment:
    """How much training images are varied. The paper says nothing of it; the defaults are this project's.

    Attributes:
        rotation: largest angle in degrees; drawn from [-rotation, rotation].
        scale: smallest and largest scale, drawn log-uniformly; see `scale_of`.
        shift: largest shift of the view in x and in y, as a share of the input's sides.
        mirror: probability of a mirror image.
        colour: strength of the change of brightness, contrast and saturation (0.4: a factor in 0.6 to 1.4); a quarter
            of it, in radians, is the largest change of hue.
        grey: probability of a grey image.
        blur: probability of a slight blur.
        invert: probability of the negative. Stained cells are dark on bright, fluorescent cells bright on dark; with
            negatives, images of one kind also teach the other.
        scale_of: what a scale of 1 means: the whole "image" just fits into the input; its "short" side does, as in
            published HRNet code; or one input pixel is one "pixel" of the image. In microscopy objects have one size in
            pixels, and images have many.
        colours: "factors" are those of `colour`. "published" are the colours of the paper's code: hue turned by up to
            72 degrees, saturation times 0.5 to 1.5, up to 0.3 of the range added to all channels, and the distance of
            the channels from their mean times 0.5 to 1.5; `colour` then has no effect.
        microscope: changes that microscopes make.
        on_object: probability that the middle of the view, before the shift, is that of a labelled person or object,
            drawn at random, and not of the image. For small objects in large images, which few views would show.
    """

    rotation: float = 30.0
    scale: tuple[float, float] = (0.75, 1.25)
    shift: float = 0.2
    mirror: float = 0.5
    colour: float = 0.4
    grey: float = 0.05
    blur: float = 0.05
    invert: float = 0.0
    scale_of: Literal["image", "short", "pixel"] = "image"
    colours: Literal["factors", "published"] = "factors"
    microscope: Microscope = field(default_factory=Microscope)
    on_object: float = 0.0

    def __post_init__(self) -> None:
        check("augment: ", self, {})  # types only; the ranges below involve two values or a pair
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"augment: scale must be 0 < low <= high, not {self.scale}")
        if self.rotation < 0 or self.shift < 0 or not 0 <= self.colour < 1:
            raise ValueError("augment: rotation and shift must not be negative and colour must lie in [0, 1)")
        if self.colours == "published" and self.colour not in (0.0, Augment.colour):
            raise ValueError("augment: colour has no meaning with colours: published; leave one of them out")
        for name in ("mirror", "grey", "blur", "invert", "on_object"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augment: {name} is a probability, not {getattr(self, name)}")
