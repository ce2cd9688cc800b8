"""The mean of several models' weights, of stages that started from each other: often better than each of them.

    python examples/average_models.py runs/nuclei/model.safetensors runs/nuclei-negatives/model.safetensors mean
    python examples/average_models.py one two mean --only body.encoder body.heatmap

(Wortsman et al., "Model soups", ICML 2022; of a model before and after fine-tuning, Wortsman et al., CVPR 2022.) What
the file says of itself, and the weights that are not averaged, are the last model's.
"""

from __future__ import annotations

import argparse

import torch

from associative_embedding.model_files.checkpoint import load_model, save_model


def average(sources: list[str], target: str, only: tuple[str, ...] = ("",)) -> None:
    """
    Args:
        only: beginnings of the names of the weights that are averaged.

    Raises:
        ValueError: when the networks differ.
    """
    models = [load_model(source) for source in sources]
    network, info = models[-1]
    states = [model.state_dict() for model, _ in models]
    if any({k: v.shape for k, v in state.items()} != {k: v.shape for k, v in states[0].items()} for state in states):
        raise ValueError(f"the networks of {', '.join(sources)} differ, so their weights have no mean")
    mean = {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if value.is_floating_point() and name.startswith(only)
        else value
        for name, value in states[-1].items()
    }
    network.load_state_dict(mean)
    save_model(target, network, info)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="two or more model files, and last the file to write")
    parser.add_argument("--only", nargs="+", default=[""], help="weights whose names begin so; the others stay")
    options = parser.parse_args()
    average(options.models[:-1], options.models[-1], tuple(options.only))
