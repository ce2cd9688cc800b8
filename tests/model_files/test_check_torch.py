"""Torch files of others take no more memory than their size explains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from associative_embedding.model_files.checkpoint import read_torch
from support.memory import measured
from support.torch_bombs import write_bombs

READ = """
from associative_embedding.model_files.checkpoint import read_torch
for path in sys.argv[1:]:
    try:
        read_torch(path)
    except ValueError as error:
        print(error)
"""


@pytest.mark.slow
def test_files_that_ask_for_gigabytes_are_refused_in_one_line(tmp_path: Path) -> None:
    paths = write_bombs(tmp_path)
    idle = measured(READ)
    done = measured(READ, *paths)
    lines = done.output.splitlines()
    refused = [path for path in paths if path.stem != "lists"]  # a few kilobytes, whatever they contain
    assert [line.partition(": ")[0] for line in lines] == [str(path) for path in refused]
    assert done.megabytes < idle.megabytes + 300
    for line, words in zip(lines, ["unpacks to 2048 MB, too much", "not a readable torch file"], strict=False):
        assert words in line


def test_an_ordinary_file_is_read(tmp_path: Path) -> None:
    shared = torch.rand(3, 4)
    weights = {"a": shared, "b": shared.t(), "c": shared[1], "empty": torch.empty(0, 7)}
    content = {"model": weights, "list": [1, "x", weights]}
    for zipped in (True, False):
        torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        again = read_torch(tmp_path / "a.pth")
        assert torch.equal(again["model"]["b"], shared.t())
