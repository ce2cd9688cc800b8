"""Writes the model of a run as the file that ships: half precision, with the decode settings that validation chose.

    python examples/publish.py runs/person/model.safetensors src/associative_embedding/weights/person.safetensors \
        --input-size 512 --scales 1 0.5 --decode '{"threshold": 0.2}'
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

from associative_embedding.io.outputs import check_output, own_mark
from associative_embedding.model_files.checkpoint import load_model, save_model
from associative_embedding.model_files.model_info import KEY


def publish(
    source: str,
    target: str,
    input_size: int | None = None,
    scales: list[float] | None = None,
    tag_scales: list[float] | None = None,
    decode: dict[str, object] | None = None,
    refine: str | None = None,
    refine_size: int | None = None,
) -> None:
    """Writes the model file that ships.

    Args:
        source: model file of a run.
        target: file to write.
        input_size, scales, tag_scales, refine, refine_size: values of `ModelInfo`; None = the run's.
        decode: decode settings that replace the run's.

    Raises:
        ValueError: if the target is the source or no model file.
    """
    check_output(target, own_mark(KEY.encode()), [source])
    network, info = load_model(source)
    settings = replace(info.task.decode_config, **(decode or {}))
    info = replace(
        info,
        task=replace(info.task, decode_config=settings),  # type: ignore[type-var]
        input_size=input_size or info.input_size,
        scales=tuple(scales or info.scales),
        tag_scales=tuple(tag_scales) if tag_scales else info.tag_scales,
        refine=info.refine if refine is None else refine,
        refine_size=info.refine_size if refine_size is None else refine_size,
    )
    # half precision halves the file; the loader computes in single precision again
    save_model(target, network, info, half=True)
    print(f"{target}: {info.notes}, input {info.input_size} x {info.scales}, {settings}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--input-size", type=int, default=None)
    parser.add_argument("--scales", type=float, nargs="+", default=None)
    parser.add_argument("--tag-scales", type=float, nargs="+", default=None)
    parser.add_argument("--decode", type=json.loads, default={})
    parser.add_argument("--refine", default=None, help="the shipped single-person model that refines the people found")
    parser.add_argument("--refine-size", type=int, default=None, help="longer side of its crops, pixels; 0 = its own")
    options = parser.parse_args()
    publish(**vars(options))
