"""``ae train --data``: writes the recipe of a first run, with settings that follow from the data."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Literal

from associative_embedding.data.preparation.split import write_split
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.readers.label_pairs import LABEL_FOLDERS, is_label_folder
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import is_voc, open_masks, source_classes
from associative_embedding.io.coco_json import load_skeleton, read_coco
from associative_embedding.io.console import visible
from associative_embedding.io.counts import counted
from associative_embedding.io.files import atomic_write
from associative_embedding.model_files.checkpoint import read_description
from associative_embedding.model_files.find import model_path
from associative_embedding.training.data_facts import DataFacts, keypoint_facts, mask_facts

StartTask = Literal["pose", "masks", "tracks"]

MARK = re.compile(r"# Written by ae train --data \((\w{8})\)")
LAST = 0.2  # share of a video's frames, the last ones, to validate on
ANIMAL = 96.0  # pixels of an animal in the input: enough to place its keypoints on maps of a quarter of the size
OBJECT = 36.0  # pixels of an object in the input, as of the nuclei that the shipped weights have learned
LARGE = 60.0  # pixels of an object from which whole images are fitted into the input
GENERIC = {"annotations", "annotation", "train", "labels", "instances", "data"}


def write_start_recipe(task: StartTask | None, annotations: str, images: str | None, output: str | None) -> Path:
    """Writes a recipe into the current folder and returns its path; a video is split beside its run.

    Args:
        task: what to learn; None = poses, if the annotations have keypoints, else masks.
        annotations: a COCO json, or for masks a folder of label images or a VOC tree.
        images: folder of the images; None = ``images`` beside the json, or where tools put those of label images.
        output: folder of the run; None = ``runs/NAME``, after the data and the task.

    Raises:
        ValueError: for data that cannot be used, or a recipe that ae did not write or that was changed since.
    """
    task = task or guess_task(annotations)
    images = images or images_beside(annotations)
    output = output or f"runs/{name_of_data(annotations)}-{task}"
    path = Path(f"{Path(output).name.lstrip('-') or 'own'}.yaml")  # no name that looks like an option
    check_unchanged(path)
    build = mask_recipe if task == "masks" else pose_recipe if task == "pose" else track_recipe
    body = build(annotations, images, output)
    how = f"change it as you like, then: ae train {visible(path)}"
    atomic_write(path, f"# Written by ae train --data ({checksum(body)}); {how}\n{body}".encode())
    return path


def guess_task(annotations: str) -> StartTask:
    """Returns what annotations are for."""
    if is_label_folder(annotations) or Path(annotations).is_dir():
        return "masks"
    return "pose" if any(category.get("keypoints") for category in read_coco(annotations)["categories"]) else "masks"


def images_beside(annotations: str) -> str:
    """Returns the folder of the images of a json, if it is the usual one; "" for folders, whose readers find it.

    Raises:
        ValueError: when there is none.
    """
    folder = Path(annotations).parent / "images"
    if is_label_folder(annotations) or Path(annotations).is_dir():
        return str(folder) if Path(annotations).name in LABEL_FOLDERS and folder.is_dir() else ""
    if not folder.is_dir():
        raise ValueError(f"{annotations}: where are its images? give their folder, --images FOLDER")
    return str(folder)


def name_of_data(annotations: str) -> str:
    """Returns a name for a run: of the json, or of the nearest folder around it that has no usual name."""
    path = Path(annotations).absolute()
    around = [folder.name for folder in path.parents[:2]]
    names = [path.stem if path.suffix == ".json" else path.name, *around]
    words = [re.sub(r"[^\w-]+", "-", name).strip("-") for name in names]
    return next((word for word in words if word and word.lower() not in GENERIC), "own")


def checksum(body: str) -> str:
    """Returns what tells whether somebody changed a recipe."""
    return f"{zlib.crc32(body.encode()):08x}"


def check_unchanged(path: Path) -> None:
    """Checks that a recipe may be written: there is no file, or it is as ae wrote it.

    Raises:
        ValueError: for a file of somebody else, or one that was changed.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    first, _, body = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    mark = MARK.match(first)
    if mark is None:
        raise ValueError(f"{path} exists and was not written by ae train --data; choose another --output, or remove it")
    if mark[1] != checksum(body):
        raise ValueError(f"{path} was changed since ae wrote it: train with it, ae train {path}, or choose an --output")


# ---- keypoints


def open_data(annotations: str, images: str) -> tuple[CocoKeypoints, DataFacts]:
    """Reads images with keypoints, and their facts."""
    data = CocoKeypoints(annotations, images, load_skeleton(annotations), cache=False)
    if not len(data):
        raise ValueError(f"{annotations}: no image has a labelled person (or animal): there is nothing to learn")
    return data, keypoint_facts(data)


def pose_recipe(annotations: str, images: str, output: str) -> str:
    """Returns the recipe of a pose model."""
    data, facts = open_data(annotations, images)
    return keypoint_body(data, facts, annotations, images, output, task="pose")


def track_recipe(annotations: str, images: str, output: str) -> str:
    """Returns the recipe of a model whose tags stay the same through a video.

    Raises:
        ValueError: when the annotations have no tracks.
    """
    data, facts = open_data(annotations, images)
    if not facts.video:
        raise ValueError(f"{annotations}: tracks need a 'track_id' in every annotation; without them train --task pose")
    return keypoint_body(data, facts, annotations, images, output, task="tracking")


def keypoint_body(
    data: CocoKeypoints, facts: DataFacts, annotations: str, images: str, output: str, *, task: str
) -> str:
    """Returns a recipe for keypoints."""
    tracks = task == "tracking"
    size = multiple_of_32(facts.long_side * ANIMAL / facts.object_side, 256, 640)
    training = min(size, 320)
    zoom = size / training
    train, test, held = annotations, annotations, f", held_out: {facts.held_out:g}" if facts.held_out else ""
    if facts.video:  # neighbouring frames are nearly the same: a block at the end is a fairer test
        train, test = map(str, write_split(annotations, f"{output}-data", LAST))
        held = ""
    overlap = ", overlap: 0.2" if facts.crowded and not facts.video else ""  # frames of one video are all alike
    source = f"annotations: {quoted(train)}, images: {quoted(images)}{held}"
    steps = min(3000, steps_for(facts.images)) if facts.video else steps_for(facts.images)
    batch = 4 if tracks else 8
    keypoints = counted(len(data.labelled), "keypoint")
    return f"""\
# {counted(facts.images, "image")} of about {facts.long_side:.0f} pixels, \
{counted(facts.objects, "individual")} of about {facts.object_side:.0f} pixels, {keypoints}.
output: {quoted(output)}
task: {task}
network:
  backbone: mobilenet_v2
  tag_size: 4
  options: {{position: {0 if tracks else 2}}}     # {
        "no position: a tag stays while the animal moves"
        if tracks
        else "two of the four tag dimensions point at the animal's place"
    }
  start: person-fast         # begin with the features of the shipped model
  frozen: [{", ".join(["encoder.stem", *(f"encoder.blocks.{i}." for i in range(6))])}]   # halves the time of a step
data:
  skeleton: {quoted(annotations)}   # names and edges; left and right in the names give the mirror pairs
  sources:
    - {{{source}{overlap}}}
{validation_lines(f"annotations: {quoted(test)}, images: {quoted(images)}{held}", facts)}
  input_size: {training}            # a training view
  validation_size: {size}       # long side of an image in prediction: an animal has about {ANIMAL:.0f} pixels in it
  validation_images: 100
  sigma: 1.2
  augment: {augment(zoom, rotation=30 if facts.upright else 180)}   # rotation: \
{"all stand upright" if facts.upright else "seen from above; from the side, 30 is better"}
{"  reach: 200                 # longest distance between the two frames of a pair" if tracks else ""}
loss: {{heatmap: focal, pull: {2.0 if tracks else 1.0}, push: {4.0 if tracks else 1.0}, \
{"push_sigma: 0.5, " if tracks else ""}pull_warmup: 100, pull_reduction: mean}}
decode: {{threshold: 0.2, nms: {5 if tracks else 7}, tag_threshold: {1.0 if tracks else 0.8}, fill_threshold: 0.03, \
score: shrunk, duplicate_oks: 0.8, min_keypoints: 2}}
{"link: {by: both}" if tracks else ""}
train:
  steps: {steps}
  batch: {batch}                   # {"pairs of frames" if tracks else "images"} in a step
  lr: 1.0e-3
  lr_factors: {{encoder: 0.3}}
  warmup: 50
  clip: 10.0
  ema: 0.995
  log_every: 10
  save_every: 250
  validate_every: {every(steps) if has_validation(facts) else 0}
  patience: 0                # validations without a better result after which the run ends; 0 = never
""".replace("\n\n", "\n")


# ---- masks


def mask_recipe(annotations: str, images: str, output: str) -> str:
    """Returns the recipe of a model that finds masks."""
    sets = Path(annotations) / "ImageSets" / "Segmentation"
    voc = is_voc(annotations) and all((sets / f"{part}.txt").is_file() for part in ("train", "val"))
    source = SourceConfig(annotations=annotations, images=images, split="train" if voc else "", cache=False)
    classes = source_classes(source)
    facts = mask_facts(open_masks(source, classes, part="train"))
    fitted = facts.object_side > LARGE or len(classes) > 1
    scale = 0.0 if fitted else min(4.0, max(0.5, round(2 * OBJECT / facts.object_side) / 2))
    size = 384 if fitted else 1024
    training = 320 if fitted else 256
    zoom = size / training if fitted else scale
    held = f", held_out: {facts.held_out:g}" if facts.held_out and not voc else ""
    place = f"annotations: {quoted(annotations)}" + (f", images: {quoted(images)}" if images else "")
    train, test = (place + f", split: {part}" for part in ("train", "val")) if voc else (place + held, place + held)
    steps = steps_for(facts.images)
    info = read_description(model_path("nuclei"))
    assert info is not None  # a shipped model has a description
    unit = {"position_unit": 64.0} if fitted else {}
    return f"""\
# {counted(facts.images, "image")} of {facts.long_side:.0f} pixels, about {counted(facts.objects, "object")} of \
{facts.object_side:.0f} pixels, {counted(len(classes), "class", "classes")}.
output: {quoted(output)}
task: segmentation
network:
  backbone: {info.backbone}
  tag_size: {info.tag_size}
  # both tag dimensions are offsets from the pixel's position: similar objects that are far apart cannot share a tag
  options: {json.dumps({**info.options, **unit})}
  start: nuclei              # begin with the features of the shipped model
data:
  sources:
    - {{{train}}}
{validation_lines(test, facts, split=voc)}
  input_size: {training}            # a training view
  zoom: {scale}                  # input pixels per image pixel; 0 = the whole image is fitted into validation_size
  validation_size: {size}      # {"long side of an image" if fitted else "side of a tile"} in prediction
  validation_images: 50
  augment: {augment(zoom, rotation=15 if fitted else 180, pixel=not fitted)[:-1]}, grey: 0.2}}
masks: {{classes: {json.dumps(classes, ensure_ascii=False)}, samples: 16}}
mask_decode: {{threshold: 0.5, bandwidth: 0.6, min_size: 30, min_weight: {4.0 if fitted else 1.0}\
{", regions: false" if fitted else ""}}}
loss: {{heatmap: cross_entropy, heatmap_weight: {10.0 if fitted else 2.0}, tags: pixels, pull: 0.5, push: 0.5, \
push_sigma: 0.5, pull_reduction: mean, {"" if fitted else "near: 24.0, "}pull_warmup: 100}}
train:
  steps: {steps}
  batch: 8
  lr: 1.0e-3
  lr_factors: {{encoder: 0.3}}
  warmup: 50
  clip: 5.0
  ema: 0.995
  log_every: 10
  save_every: 250
  validate_every: {every(steps) if has_validation(facts) or voc else 0}
  patience: 0                # validations without a better result after which the run ends; 0 = never
"""


# ---- parts


def quoted(text: str) -> str:
    """Returns a text as YAML, whatever its characters are."""
    return json.dumps(text, ensure_ascii=False)


def multiple_of_32(value: float, low: int, high: int) -> int:
    """Returns the nearest multiple of 32 within two bounds."""
    return int(min(high, max(low, 32 * round(value / 32))))


def steps_for(images: int) -> int:
    """Returns the number of steps: more images allow more, before the model knows them by heart."""
    return min(10_000, max(1500, 500 * round((1000 + 10 * images) / 500)))


def every(steps: int) -> int:
    """Returns the steps between two validations: about eight in a run."""
    return max(50, 50 * round(steps / 8 / 50))


def has_validation(facts: DataFacts) -> bool:
    """Returns whether some images are kept for validation."""
    return bool(facts.held_out or facts.video)


def validation_lines(source: str, facts: DataFacts, *, split: bool = False) -> str:
    """Returns the entry ``validation`` of the data section."""
    if has_validation(facts) or split:
        return f"  validation:\n    - {{{source}}}"
    return "  validation: []             # too few images to keep some for a test"


def augment(zoom: float, *, rotation: int, pixel: bool = False) -> str:
    """Returns the augmentation: views of the objects at 0.7 to 1.4 times their size in prediction.

    Args:
        zoom: input pixels in prediction / input pixels in a view that the whole image just fits into; or with `pixel`,
            / pixels of the image.
        rotation: largest angle, degrees.
    """
    scale = [round(zoom * factor, 2) for factor in (0.7, 1.4)]
    of = ", scale_of: pixel" if pixel else ""
    # A view that is smaller than the image would often show no object.
    on_object = ", on_object: 0.8" if pixel or zoom > 1.2 else ""
    return f"{{rotation: {rotation}, scale: {scale}{of}, shift: 0.2, colour: 0.3{on_object}}}"
