"""Writes the model of a run as the file that ships: half precision, with the decode settings that validation chose.

    python examples/publish.py runs/person/model.safetensors src/associative_embedding/weights/person.safetensors \
        --input-size 512 --scales 1 0.5 --decode '{"threshold": 0.2}'
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from associative_embedding.io.outputs import check_output, own_mark
from associative_embedding.model_files.checkpoint import load_model, save_model
from associative_embedding.model_files.model_info import KEY


def publish(source: str, target: str, *, decode: dict[str, object] | None = None, **values: Any) -> None:
    """Writes the model file that ships.

    Args:
        source: model file of a run.
        target: file to write.
        decode: decode settings that replace the run's.
        values: fields of `ModelInfo` that replace the run's, such as `input_size`; None = the run's.

    Raises:
        ValueError: if the target is the source or no model file.
    """
    check_output(target, own_mark(KEY.encode()), [source])
    network, info = load_model(source)
    settings = replace(info.task.decode_config, **(decode or {}))
    stated = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if v is not None}
    task = replace(info.task, decode_config=settings)  # type: ignore[type-var]
    info = replace(info, task=task, **stated)
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
    help_text = "smallest person at the smallest scale for whom the others do not run, pixels; 0 = they always do"
    parser.add_argument("--fine-below", type=int, default=None, help=help_text)
    parser.add_argument("--decode", type=json.loads, default={})
    parser.add_argument("--refine", default=None, help="the shipped single-person model that refines the people found")
    parser.add_argument("--refine-size", type=int, default=None, help="longer side of its crops, pixels; 0 = its own")
    options = parser.parse_args()
    publish(**vars(options))
