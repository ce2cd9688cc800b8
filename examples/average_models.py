"""Averages the weights of models that were trained from each other; the mean is often better than each of them.

    python examples/average_models.py runs/nuclei/model.safetensors runs/nuclei-negatives/model.safetensors mean
    python examples/average_models.py one two mean --only body.encoder body.heatmap

The description in the file, and the weights that are not averaged, are those of the last model. Sources: Wortsman et
al., "Model soups", ICML 2022; for a model before and after fine-tuning, Wortsman et al., CVPR 2022.
"""

from __future__ import annotations

import argparse

import torch

from associative_embedding.io.outputs import check_output, own_mark
from associative_embedding.model_files.checkpoint import load_model, save_model
from associative_embedding.model_files.model_info import KEY


def average(sources: list[str], target: str, only: tuple[str, ...] = ("",)) -> None:
    """Writes the mean of some models.

    Args:
        sources: two or more model files.
        target: file to write.
        only: average only weights whose names begin with one of these.

    Raises:
        ValueError: if the networks differ, or the target is a source or no model file.
    """
    check_output(target, own_mark(KEY.encode()), sources)
    models = [load_model(source) for source in sources]
    network, info = models[-1]
    states = [model.state_dict() for model, _ in models]
    # networks of other shapes, or trained from other starts, have no useful mean; only shapes can be checked
    if any({k: v.shape for k, v in state.items()} != {k: v.shape for k, v in states[0].items()} for state in states):
        raise ValueError(f"the networks of {', '.join(sources)} differ, so their weights have no mean")
    mean = {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        # counters of batch norms are integers, and have no mean
        if value.is_floating_point() and name.startswith(only)
        else value
        for name, value in states[-1].items()
    }
    network.load_state_dict(mean)
    save_model(target, network, info)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="two or more model files, and last the file to write")
    parser.add_argument(
        "--only", nargs="+", default=[""], help="average only weights whose names begin with one of these"
    )
    options = parser.parse_args()
    average(options.models[:-1], options.models[-1], tuple(options.only))
