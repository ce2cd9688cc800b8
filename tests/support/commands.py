"""Commands of ``ae``, run in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from associative_embedding.apps.cli.main import main
from associative_embedding.data.settings import SourceConfig


def evaluate_command(model: str, source: SourceConfig, *options: object) -> int:
    """The exit status of ``ae evaluate`` of a model on a source."""
    files = ["--annotations", str(source.annotations), "--images", source.images]
    return main(["evaluate", "--model", model, *files, *map(str, options)])


def predict(model: str, output: Path, *arguments: object) -> int:
    """The exit status of ``ae predict``, which keeps all that the model finds."""
    return main(["predict", "--model", model, "--output", str(output), "--min-score", "0", *map(str, arguments)])


def document_of(output: Path) -> dict[str, Any]:
    """The COCO json that ``ae predict`` wrote into its output folder."""
    return json.loads((output / "predictions.json").read_text())  # type: ignore[no-any-return]
