"""Commands of ``ae``, run in this process."""

from __future__ import annotations

from associative_embedding.apps.cli.main import main
from associative_embedding.data.settings import SourceConfig


def evaluate_command(model: str, source: SourceConfig, *options: object) -> int:
    """The exit status of ``ae evaluate`` of a model on a source."""
    files = ["--annotations", str(source.annotations), "--images", source.images]
    return main(["evaluate", "--model", model, *files, *map(str, options)])
