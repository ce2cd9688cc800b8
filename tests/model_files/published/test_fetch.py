"""Published models by name: from a server on loopback to people, in every layout that projects publish."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from associative_embedding import load
from associative_embedding.apps.cli.main import main
from associative_embedding.model_files.checkpoint import load_model, read_description, start_from
from associative_embedding.model_files.find import model_path
from associative_embedding.model_files.published import table
from associative_embedding.model_files.published.table import PublishedModel, find_published
from associative_embedding.networks.zoo import build_network
from support.file_server import FileServer
from support.malicious import Malicious
from support.published_layouts import LITEPOSES, litepose
from support.published_weights import fill_by_name
from support.tiny import photo

NAME = "litepose-xs-coco"  # 1.7 million parameters
CONFIG = "dataset_type = 'BottomUpCocoDataset'\ndata_cfg = dict(image_size=256)\n"
MESSAGES = {"best_score": np.float64(0.41), "best_ckpt": "best_AP_epoch_280.pth", "last": np.arange(3.0)}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    shapes = litepose(*LITEPOSES["xs"], style="mmpose")
    return {name: fill_by_name(name, shape) for name, shape in shapes}


def saved(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


@pytest.fixture
def server(state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Sends the checkpoint of `NAME`, which the table expects there; the cache is empty."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("AE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AE_OFFLINE", raising=False)
    with FileServer(saved({"meta": {"config": CONFIG}, "state_dict": state})) as started:
        expect(started, monkeypatch)
        yield started


def expect(server: FileServer, monkeypatch: pytest.MonkeyPatch, **values: Any) -> PublishedModel:
    """Makes the table expect what the server sends; `values` replace fields of the row."""
    digest = hashlib.sha256(server.data).hexdigest()
    row = next(model for model in table.published_models() if model.name == NAME)
    row = replace(row, **{"urls": (server.url,), "sha256": digest[:8], **values})
    monkeypatch.setattr(table, "published_models", lambda: (row,))
    return row


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "cache/published").iterdir())


@pytest.mark.slow
def test_a_name_is_a_model(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloaded once; with the rules of its authors."""
    path = model_path(NAME)
    assert model_path("LitePose_XS_coco") == model_path(NAME, offline=True) == path
    assert server.requests == [""]
    assert set(files(tmp_path)) == {find_published(NAME).file, path.name}  # type: ignore[union-attr]
    network, info = load_model(path)
    assert sum(p.numel() for p in network.parameters()) == 1_675_912
    assert (info.input_size, info.task.decode_config.assignment) == (256, "published")
    assert info.conventions is not None
    assert info.notes["published"] == NAME
    assert info.notes["sha256"] == hashlib.sha256(server.data).hexdigest()
    monkeypatch.setenv("AE_OFFLINE", "1")
    found = load(NAME, runtime="torch")(photo(60, 90))
    assert np.isfinite(found.keypoints).all()


def test_training_starts_from_a_name(server: FileServer) -> None:
    network = build_network("litepose_xs", 17, 1, {})
    assert start_from(network, model_path(NAME)) == []


@pytest.mark.slow
def test_commands_take_the_name(server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), photo(60, 90))
    arguments = ["predict", str(tmp_path / "photo.png"), "--model", NAME, "--output", str(tmp_path / "out")]
    assert main([*arguments, "--offline"]) == 1
    assert f"model {NAME} is not in the cache: put the file of {server.url} (SHA-256 " in capsys.readouterr().err
    assert main(arguments) == 0
    assert "downloading litepose-xs-coco, about 7 MB, from 127.0.0.1:" in capsys.readouterr().err
    assert main([*arguments, "--offline", "--no-flip"]) == 0
    assert main(["info", NAME]) == 0
    assert "litepose_xs" in capsys.readouterr().out


def layouts(state: dict[str, Tensor]) -> dict[str, bytes]:
    meta = {"mmpose_version": "0.29.0", "config": CONFIG, "epoch": 300, "iter": 9}
    optimizer = {"state": {0: {"step": 9, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    return {
        "bare": saved(state),
        "module": saved({"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}),
        "optimizer": saved({"meta": meta, "state_dict": state, "optimizer": optimizer}),
        "messages": saved({"meta": {**meta, "hook_msgs": MESSAGES}, "state_dict": state}),
        "half": saved({f"1.{name}": v.half() if v.is_floating_point() else v for name, v in state.items()}),
        "legacy": saved({"meta": meta, "state_dict": state}, _use_new_zipfile_serialization=False),
    }


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["bare", "module", "optimizer", "messages", "half", "legacy"])
def test_every_layout_gives_the_same_model(
    server: FileServer, state: dict[str, Tensor], layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.data = layouts(state)[layout]
    expect(server, monkeypatch)
    network, _ = load_model(model_path(NAME))
    name = "final_refined.0.conv.3.weight"
    theirs = state[f"keypoint_head.{name}"]
    ours = network.body.state_dict()["outputs.0.refined.3.weight"]
    torch.testing.assert_close(ours, theirs.half().float() if layout == "half" else theirs)


def test_another_file_is_refused_before_it_is_read(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = tmp_path / "proof"
    server.data = saved({"state_dict": Malicious(proof)})
    with pytest.raises(ValueError, match=r"sends another file \(SHA-256 .*put the file of http.* at .*published"):
        model_path(NAME)
    assert files(tmp_path) == []
    expect(server, monkeypatch)  # the same file with its own digest: it is read, by the list of plain types
    with pytest.raises(ValueError, match="could run code"):
        model_path(NAME)
    assert not proof.exists()


def test_an_interrupted_download_continues(server: FileServer, tmp_path: Path) -> None:
    server.break_after = len(server.data) // 2
    with pytest.raises(ValueError, match=r"the connection ended .* bytes early"):
        model_path(NAME)
    assert [name for name in files(tmp_path) if name.endswith(".part")]
    server.break_after = 0
    assert model_path(NAME).is_file()
    assert server.requests == ["", f"bytes={len(server.data) // 2}-"]


def test_a_part_of_another_file_is_dropped(server: FileServer, tmp_path: Path) -> None:
    row = find_published(NAME)
    assert row is not None
    part = tmp_path / "cache/published" / f"{row.file}.part"
    part.parent.mkdir(parents=True, mode=0o700)
    (tmp_path / "cache").chmod(0o700)
    part.write_bytes(b"x" * 1000)
    assert model_path(NAME).is_file()
    assert server.requests == ["bytes=1000-", ""]


def test_a_copy_placed_by_hand(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="is not in the cache") as error:
        model_path(NAME, offline=True)
    place = Path(str(error.value).rsplit(" at ", 1)[1])
    place.write_bytes(server.data[:-1])
    with pytest.raises(ValueError, match=r"its SHA-256 begins with .*, not .*; remove it"):
        model_path(NAME, offline=True)
    place.write_bytes(server.data)
    monkeypatch.setenv("AE_OFFLINE", "1")
    assert model_path(NAME).is_file()
    assert server.requests == []


def test_a_model_without_an_address(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    expect(server, monkeypatch, urls=(), sha256="", place="https://example.com/folder")
    message = r"has no address to download from: put the file of https://example.com/folder \(no known SHA-256\) at "
    with pytest.raises(ValueError, match=message) as error:
        model_path(NAME)
    Path(str(error.value).rsplit(" at ", 1)[1]).write_bytes(server.data)
    assert model_path(NAME).is_file()


def test_the_next_address_is_tried(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with FileServer(b"") as gone:
        pass
    expect(server, monkeypatch, urls=(gone.url, server.url))
    assert model_path(NAME).is_file()


def test_a_larger_file_is_refused(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    expect(server, monkeypatch, bytes=1000, bytes_exact=True)
    with pytest.raises(ValueError, match="is larger than the limit of 1000 bytes"):
        model_path(NAME)


@pytest.mark.slow
def test_two_processes_make_it_once(server: FileServer, tmp_path: Path) -> None:
    code = (
        "import sys; from dataclasses import replace\n"
        "from associative_embedding.model_files.published import table\n"
        "from associative_embedding.model_files.find import model_path\n"
        f"row = replace(table.find_published({NAME!r}), urls=(sys.argv[1],), sha256=sys.argv[2])\n"
        "table.published_models = lambda: (row,)\n"
        f"print(model_path({NAME!r}))"
    )
    digest = hashlib.sha256(server.data).hexdigest()
    command = [sys.executable, "-c", code, server.url, digest]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "AE_CACHE": str(tmp_path / "cache")})
        for _ in range(2)
    ]
    outputs = [process.communicate()[0].decode().split() for process in processes]
    assert outputs[0] == outputs[1] != []
    assert server.requests == [""]
    assert read_description(outputs[0][0]) is not None
