"""What the options of other programs are called here: yolo, openpifpaf, cellpose, sleap-track and mmpose's demos."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import exists

# Their name -> ours; several of ours are of several commands.
OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "conf": ("min_score",),
    "confidence": ("min_score",),
    "kpt-thr": ("min_score",),
    "instance-threshold": ("min_score",),
    "score-thr": ("min_score",),
    "imgsz": ("input_size", "data.input_size"),
    "img-size": ("input_size", "data.input_size"),
    "long-edge": ("input_size", "data.input_size"),
    "weights": ("model", "network.start"),
    "checkpoint": ("model", "network.start"),
    "pretrained-model": ("model", "network.start"),
    "project": ("output",),
    "savedir": ("output",),
    "save-dir": ("output",),
    "out-dir": ("output",),
    "image-output": ("output",),
    "video-output": ("output",),
    "output-path": ("output",),
    "o": ("output",),
    "m": ("model",),
    "json-output": ("json",),
    "save-json": ("json",),
    "save-tif": ("labels",),
    "save-png": ("labels",),
    "save-txt": ("formats",),
    "no-save": ("show",),
    "chan": ("channel",),
    "stack": ("page",),
    "use-gpu": ("device",),
    "gpu": ("device",),
    "augment": ("flip",),
    "flip-test": ("flip",),
    "tracker": ("track",),
    "tracking.tracker": ("track",),
    "vid-stride": ("every",),
    "augmentations": ("data.augment",),
    "epochs": ("train.steps",),
    "lr": ("train.lr",),
    "lr0": ("train.lr",),
    "batch-size": ("train.batch", "batch"),
    "workers": ("data.workers",),
}
SOURCES = {
    "source",
    "dir",
    "image-path",
    "images",
    "input",
    "image",
    "i",
    "s",
}  # of what is an argument without a name here


def hint(name: str, known: Sequence[str]) -> str:
    """Returns the end of a message: what an option of another program is called here; "" if nothing is like it.

    Args:
        name: the unknown option, without dashes before it.
        known: all options of the command.
    """
    key = name.replace("_", "-").lower()
    for ours in OTHER_NAMES.get(key, ()):
        if ours in known:
            return f"; here it is --{ours}"
    if key in SOURCES and "recursive" in known:  # ae predict
        return "; sources have no option: ae predict photo.jpg folder/"
    return ""


def setting_hint(source: str) -> str:
    """Returns how a source is written that has a form of ``yolo``, such as ``conf=0.5``; "" for all others."""
    name, equals, value = source.partition("=")
    if not equals or not name.isidentifier() or exists(source):
        return ""
    if name in SOURCES:
        return f"{source}: sources have no name: ae predict {value}"
    ours = next(iter(OTHER_NAMES.get(name.replace("_", "-").lower(), ())), name)
    return f"{source}: options begin with --: --{ours} {value}"
