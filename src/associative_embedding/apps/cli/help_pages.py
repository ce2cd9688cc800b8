"""The first page of the help of each command: its purpose, its arguments, examples, and the usual options."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """What ``ae COMMAND --help`` shows besides the texts of the options.

    Attributes:
        purpose: what the command does, as in ``ae --help``: no capital and no full stop.
        arguments: what follows the name of the command.
        examples: command lines, each with its meaning.
        usual: names of the options that have a line of their own; one line in each group names the others. "" = all.
        title: above the usual options, where there are so many others that naming them would fill the screen.
    """

    purpose: str
    arguments: str
    examples: tuple[tuple[str, str], ...]
    usual: str = ""
    title: str = ""


MODEL = "model input_size refine device "

PAGES = {  # key: the words behind ``ae``
    "": Page(
        "detect and group with associative embedding: equal tags mean the same person or object",
        "COMMAND ...",
        (
            ("ae predict photo.jpg", "find people"),
            ("ae predict --help", "what a command does"),
        ),
    ),
    "predict": Page(
        "find people or objects in images or videos",
        "SOURCE ... [options]",
        (
            ("ae predict photo.jpg holiday/ 'more/*.png'", "pictures, json in output/"),
            ("ae predict film.mp4 --track", "all keep their number"),
            ("ae predict cells.tif --model nuclei", "masks: label image and json"),
            ("ae predict photos/ --formats csv --show nothing", "a table and no pictures"),
        ),
        MODEL + "sources recursive output min_score show scores formats json resume track smooth labels engine",
    ),
    "train": Page(
        "train a model from a recipe (a YAML file); the same command continues a stopped run",
        "RECIPE.yaml [--setting value ...]",
        (
            ("ae train --data my.json --images my/", "write the recipe, train"),
            ("  --task pose|masks|tracks", "what to learn (default: by the data)"),
            ("ae train my.yaml", "train, or continue"),
            ("ae train my.yaml --time 30m", "end in half an hour"),
            ("ae train my.yaml --train.lr 3e-4", "replace a setting"),
        ),
        "output network.start data.input_size data.validation_size data.workers train.steps train.time "
        "train.patience train.batch train.lr train.validate_every train.device train.tensorboard",
        "usual settings, which replace those of the recipe",
    ),
    "evaluate": Page(
        "compute the official metrics of a model on annotated images",
        "--annotations JSON --images FOLDER [options]",
        (
            ("ae evaluate --annotations val.json --images val/", "AP of person"),
            ("ae evaluate --annotations val.json --images val/ --track", "of tracks"),
        ),
        MODEL + "annotations images protocol limit json results submission ablation track",
    ),
    "calibrate": Page(
        "make scores say how often they are right, measured on annotated images; writes a model file",
        "MODEL --annotations JSON --output FILE [options]",
        (("ae calibrate my --annotations val.json --images val/ --output new.safetensors", ""),),
    ),
    "export": Page(
        "write the network of a model for ONNX Runtime or OpenVINO, which are faster on a CPU",
        "MODEL [options]",
        (("ae export person --format onnx", "writes person.onnx"),),
    ),
    "serve": Page(
        "start an HTTP service with a page to try a model in the browser",
        "[options]",
        (
            ("ae serve", "the page: http://127.0.0.1:8000"),
            ("ae serve --host 0.0.0.0 --model person-fast", "for other machines, too"),
        ),
        MODEL + "host port allow_host queue timeout urls",
    ),
    "info": Page(
        "list the shipped models, or describe one model: size, categories, settings",
        "[MODEL ...] [options]",
        (("ae info", "the shipped models"), ("ae info person", "every setting of a model")),
    ),
    "convert": Page(
        "convert weights of another project to a model file or an encoder",
        "FILE [options]",
        (("ae convert pose_higher_hrnet_w32_512.pth", "a model for --model"),),
    ),
    "data": Page(
        "make a data set, or convert, split or pack annotations",
        "KIND ...",
        (
            ("ae data synthetic figures/", "images to try it on"),
            ("ae data convert labels/ --from yolo --output my.json", "labels of yolo"),
        ),
    ),
    "data synthetic": Page(
        "draw images or videos of stick figures, with annotations",
        "FOLDER [options]",
        (("ae data synthetic figures/ --images 500", "annotations.json and images/"),),
    ),
    "data mpii": Page(
        "convert the annotation of MPII Human Pose to a COCO json",
        "ANNOTATION --images FOLDER --output JSON",
        (("ae data mpii mpii_human_pose_v1_u12_1.mat --images images/ --output mpii.json", ""),),
    ),
    "data split": Page(
        "split the COCO json of a video into its first and its last part",
        "JSON --output FOLDER --last SHARE",
        (("ae data split video.json --output parts/ --last 0.2", "train.json, test.json"),),
    ),
    "data convert": Page(
        "convert labels between COCO, CVAT, DeepLabCut, Label Studio, SLEAP and YOLO, and label images",
        "LABELS --from FORMAT --output FILE [options]",
        (
            ("ae data convert labels.slp --from sleap --output my.json", "train on it"),
            ("ae data convert my.json --from coco --to cvat --output my.xml", "correct it"),
        ),
    ),
    "data shard": Page(
        "pack a COCO json and its images into tar files that training reads directly",
        "JSON --images FOLDER --output FOLDER [options]",
        (("ae data shard train.json --images images/ --output shards/", ""),),
    ),
}
