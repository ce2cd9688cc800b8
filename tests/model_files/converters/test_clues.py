"""What a checkpoint says of itself in its config and its file name."""

from __future__ import annotations

from typing import Any

import pytest

from associative_embedding.model_files.converters.clues import Clues, clues_of_name, read_clues

# the form of a config of mmpose 0.x, as it stands in a checkpoint
CONFIG = """\
data_cfg = dict(
    image_size=640,
    base_size=256,
    heatmap_size=[160, 320],
    num_joints=14)
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='BottomUpRandomAffine', rot_factor=30{udp})]
data_root = 'data/aic'
data = dict(
    samples_per_gpu=24,
    train=dict(
        type='{kind}',
        ann_file='data/aic/annotations/aic_train.json'),
    val=dict(
        type='{kind}'))
"""


def config(kind: str = "BottomUpAicDataset", udp: str = "") -> dict[str, Any]:
    return {"meta": {"mmpose_version": "0.29.0", "config": CONFIG.format(kind=kind, udp=udp)}, "state_dict": {}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("higher_hrnet32_aic_512x512-9a674c33_20210130.pth", Clues("aic-14", 512, False)),
        ("higher_hrnet32_coco_640x640-a22fe938_20200712.pth", Clues("coco-17", 640, False)),
        ("hrnet_w48_coco_512x512_udp-de08fd8c_20210222.pth", Clues("coco-17", 512, True)),
        ("hrnet_w48_mhp_512x512-85a6ab6f_20201229.pth", Clues("mhp-16", 512, False)),
        ("hrnet_w32_coco_wholebody_512x512_plus-f1f1185c_20210517.pth", Clues("coco-wholebody-133", 512, False)),
        ("litepose_xs_crowdpose_256x256-84053659_20220714.pth", Clues("crowdpose-14", 256, False)),
        ("hourglass_ae_coco_512x512-90af499f_20210920.pth", Clues("coco-17", 512, False)),
        ("pose_higher_hrnet_w32_640.pth.tar", Clues("", 640, None)),
        ("pose_higher_hrnet_w48_640_crowd_pose.pth.tar", Clues("crowdpose-14", 640, False)),
        ("checkpoint.pth", Clues()),
        ("epoch_300_2016.pth", Clues()),
        ("cocoon.pth", Clues()),
        ("", Clues()),
    ],
)
def test_file_names(name: str, expected: Clues) -> None:
    assert clues_of_name(name) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (config(), Clues("aic-14", 640, False)),
        (config("BottomUpCrowdPoseDataset"), Clues("crowdpose-14", 640, False)),
        (config("BottomUpCocoWholeBodyDataset"), Clues("coco-wholebody-133", 640, False)),
        (config("BottomUpMhpDataset", ", use_udp=True"), Clues("mhp-16", 640, True)),
        (config(udp=", use_udp=False"), Clues("aic-14", 640, False)),
        (config("MyDataset"), Clues("", 640, False)),
        (
            {"meta": {"config": "dataset_info = dict(dataset_name='coco_wholebody')"}},
            Clues("coco-wholebody-133", 0, False),
        ),
        (  # 17 keypoints of animals, read by COCO's class
            {"meta": {"config": "dataset_info = dict(dataset_name='ap10k')\ntrain=dict(type='BottomUpCocoDataset')"}},
            Clues("", 0, False),
        ),
        (
            {"meta": {"config": "train=dict(type='BottomUpCocoDataset')\nval=dict(type='BottomUpAicDataset')"}},
            Clues("", 0, False),
        ),
        (
            {"meta": {"config": "codec = dict(input_size=(512, 512))\ndataset_type = 'CocoDataset'"}},
            Clues("coco-17", 512, False),
        ),
        ({"meta": {"epoch": 3}}, Clues()),
        ({"meta": "text"}, Clues()),
        ({"meta": {"config": 3}}, Clues()),
        ([], Clues()),
    ],
)
def test_configs(content: Any, expected: Clues) -> None:
    assert read_clues("checkpoint.pth", content) == expected


def test_the_name_says_what_the_config_does_not() -> None:
    name = "higher_hrnet32_coco_512x512_udp-8cc64794_20210222.pth"
    assert read_clues(name, config()) == Clues("aic-14", 640, False)
    assert read_clues(name, config("MyDataset")) == Clues("coco-17", 640, False)
    assert read_clues(name, {"state_dict": {}}) == Clues("coco-17", 512, True)
