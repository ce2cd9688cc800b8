"""What a published checkpoint says of itself beside its tensors: the config of its training, and its file name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A word in the name of a file, or of a data set class of mmpose -> our name of the data set; the longer words first.
DATASETS = {
    "cocowholebody": "coco-wholebody-133",
    "crowdpose": "crowdpose-14",
    "coco": "coco-17",
    "aic": "aic-14",
    "mhp": "mhp-16",
}
LARGEST = 1536  # pixels; 2016 in a file name is rather a year
SIZE_STEP = 32  # an input size is a multiple of it


@dataclass(frozen=True)
class Clues:
    """What is known of a checkpoint without its tensors.

    Attributes:
        skeleton: a key of `known_skeletons.SKELETONS`; "" = not known.
        input_size: pixels; 0 = not known.
        udp: whether it was trained with unbiased coordinates; None = not known.
    """

    skeleton: str = ""
    input_size: int = 0
    udp: bool | None = None


def read_clues(path: str | Path, content: Any) -> Clues:
    """Returns what the config in a checkpoint says, and what its file name says where the config is silent.

    Args:
        path: the file.
        content: what it contains; mmpose puts the text of its config under ``meta``.
    """
    meta = content.get("meta") if isinstance(content, Mapping) else None
    config = meta.get("config") if isinstance(meta, Mapping) else None
    first = clues_of_config(config) if isinstance(config, str) else Clues()
    second = clues_of_name(Path(path).name)
    return Clues(
        first.skeleton or second.skeleton,
        first.input_size or second.input_size,
        second.udp if first.udp is None else first.udp,
    )


# Only configs from 2021 on name the data set; before, its class is the only sign.
DATASET_NAME = re.compile(r"""\bdataset_name\b['"]?\s*[=:]\s*['"](\w+)['"]""")
DATASET_CLASS = re.compile(r"""\b(?:dataset_)?type\b['"]?\s*[=:]\s*['"](?:BottomUp)?(\w+?)Dataset['"]""")
IMAGE_SIZE = re.compile(r"""\b(?:image_size|input_size)\b['"]?\s*[=:]\s*[\[(]?\s*(\d{2,4})\b""")
UDP = re.compile(r"""\buse_udp\b['"]?\s*[=:]\s*True""")


def clues_of_config(text: str) -> Clues:
    """Returns what the text of a config of mmpose 0.x or 1.x says."""
    names = DATASET_NAME.findall(text) or DATASET_CLASS.findall(text)
    # several: the base of a config may be of another data set than what it is changed to
    skeletons = {DATASETS.get(name.lower().replace("_", ""), "") for name in names}
    size = IMAGE_SIZE.search(text)
    return Clues(
        skeletons.pop() if len(skeletons) == 1 else "", int(size[1]) if size else 0, UDP.search(text) is not None
    )


def clues_of_name(name: str) -> Clues:
    """Returns what the name of a file says, for example ``higher_hrnet32_aic_512x512_udp-9a674c33_20210130.pth``."""
    words = re.sub(r"(coco|crowd)[_-](wholebody|pose)", r"\1\2", name.lower())
    parts = re.findall(r"[a-z0-9]+", words)
    skeleton = next((ours for word, ours in DATASETS.items() if word in parts), "")
    sizes = [int(match[1]) for part in parts if (match := re.fullmatch(r"(\d{3,4})(?:x\1)?", part))]
    sizes = [size for size in sizes if size <= LARGEST and size % SIZE_STEP == 0]
    # Published names have the data set, and then "udp" where it applies.
    udp = "udp" in parts if skeleton or "udp" in parts else None
    return Clues(skeleton, sizes[0] if sizes else 0, udp)
