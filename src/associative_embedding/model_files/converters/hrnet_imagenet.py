"""HRNet's ImageNet weights -> the weights of our HRNet and HigherHRNet, all but their outputs.

The files are ``hrnet_w32-36af842e.pth`` and ``hrnet_w48-8ef0771d.pth``, from which the published bottom-up models
started, or those of HRNet-Image-Classification and timm, which name the layers alike.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from associative_embedding.model_files.converters.check_weights import check_weights
from associative_embedding.model_files.converters.published_pose_models import read_checkpoint
from associative_embedding.networks.hrnet import HRNet, HRNetOptions

# The classifier, and the coarse branches after the last exchange, which a network for poses does not read.
CLASSIFIER = re.compile(r"(incre_modules|downsamp_modules|final_layer|classifier)\.|stage4\.2\.fuse_layers\.[1-9]")
FINEST = "stage2.0.branches.0.0.conv1.weight"  # has the width of the finest branch
COUNTER = "num_batches_tracked"


def hrnet_state(path: str | Path) -> dict[str, Tensor]:
    """Returns the weights of HRNet but those of its outputs, with the names of ``HRNet.state_dict()``.

    Args:
        path: the ``.pth`` file.

    Raises:
        ValueError: when the file cannot be read safely, or its weights do not fit; the message names them.
    """
    state, _ = read_checkpoint(path)
    kept = {name: value for name, value in state.items() if not CLASSIFIER.match(name)}
    if FINEST not in kept or kept[FINEST].ndim != 4:
        raise ValueError(f"{path}: not HRNet's ImageNet weights: it has no {FINEST}")
    with torch.device("meta"):  # only names and shapes are needed, so no memory is used
        whole = HRNet(1, 1, HRNetOptions(width=len(kept[FINEST]))).state_dict()
    expected = {name: value for name, value in whole.items() if not name.startswith("final_layers.")}
    # Files of older versions of torch lack the counters of batch norms.
    counters = {name: torch.tensor(0) for name in expected if name.endswith(COUNTER) and name not in kept}
    try:
        check_weights(counters | kept, expected, "HRNet's ImageNet weights")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return counters | kept
