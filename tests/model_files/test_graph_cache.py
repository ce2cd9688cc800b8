"""The cache gives a graph that its own user made of the model, or none."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.io import files as output
from associative_embedding.model_files import graph_cache
from associative_embedding.model_files.exported_network import ExportedNetwork, Format
from associative_embedding.model_files.graph_cache import LOCK, CacheError, cached_graph, origin
from associative_embedding.model_files.runtime import load_network
from associative_embedding.networks.network import Network
from support.tiny import tiny_model

pytestmark = pytest.mark.extra

pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
pytest.importorskip("onnx", reason="needs the extra [onnx]")
CPU = "cpu"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tiny_model(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The models that graphs are made of."""
    models: list[Path] = []
    make = graph_cache.make_graph

    def counted(path: Path, model: Path, made_from: dict[str, object]) -> dict[str, bytes]:
        models.append(model)
        return make(path, model, made_from)

    monkeypatch.setattr(graph_cache, "make_graph", counted)
    return models


def test_a_graph_is_made_once_and_anew_for_other_weights(cache: Path, model: Path) -> None:
    first = cached_graph(model, "onnx")
    made = first.path.stat().st_ino
    assert cached_graph(model, "onnx") == first
    assert first.path.stat().st_ino == made
    tiny_model(model, tag_size=3)
    assert cached_graph(model, "onnx").path != first.path
    assert len(list(cache.glob("*.onnx"))) == 2


def test_everything_it_is_made_from_counts(cache: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origins = [origin(model, "onnx"), origin(model, "openvino")]
    for name, value in (("__version__", "9"), ("OPSET", 1), ("version", lambda _: "9")):
        with monkeypatch.context() as other:
            other.setattr(graph_cache, name, value)
            origins.append(origin(model, "onnx"))
    tiny_model(model, tag_size=3)
    origins.append(origin(model, "onnx"))
    assert len({json.dumps(value) for value in origins}) == len(origins)


def test_only_its_user_can_read_it(cache: Path, model: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such permissions")
    before = os.umask(0)
    try:
        cached_graph(model, "onnx")
    finally:
        os.umask(before)
    assert cache.stat().st_mode & 0o777 == 0o700
    assert {path.suffix for path in cache.iterdir()} == {".onnx", ".json"}  # no lock and no temporary file
    for path in cache.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_what_is_damaged_exchanged_or_missing_is_made_anew(
    cache: Path, model: Path, tmp_path: Path, made: list[Path], form: Format
) -> None:
    pytest.importorskip("openvino" if form == "openvino" else "onnx", reason=f"needs the extra [{form}]")
    good = cached_graph(model, form)
    tiny_model(tmp_path / "other.safetensors", tag_size=3)
    other = cached_graph(tmp_path / "other.safetensors", form)
    for suffix in (*good.files, ".json"):
        file, foreign = good.path.with_suffix(suffix), other.path.with_suffix(suffix)
        whole = file.read_bytes()
        for damage in (whole[: len(whole) // 2], b"", whole[:-1] + bytes([whole[-1] ^ 1]), foreign.read_bytes(), None):
            if damage is None:
                file.unlink()
            else:
                file.write_bytes(damage)
            made.clear()
            assert sorted(cached_graph(model, form).files) == sorted(good.files)
            assert made == [model]
            assert cached_graph(model, form).path == good.path
            assert made == [model]  # the next start reads it
    for suffix in (*good.files, ".json"):  # all files of another graph: its record names another model
        good.path.with_suffix(suffix).write_bytes(other.path.with_suffix(suffix).read_bytes())
    made.clear()
    cached_graph(model, form)
    assert made == [model]


def test_a_graph_that_others_can_write_or_that_is_a_link_is_made_anew(
    cache: Path, model: Path, tmp_path: Path, made: list[Path]
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such permissions")
    path = cached_graph(model, "onnx").path
    for file in (path, path.with_suffix(".json")):
        file.chmod(0o666)
        cached_graph(model, "onnx")
        assert file.stat().st_mode & 0o777 == 0o600
        elsewhere = tmp_path / file.name
        elsewhere.write_bytes(b"of somebody")
        file.unlink()
        file.symlink_to(elsewhere)
        cached_graph(model, "onnx")
        assert not file.is_symlink()
        assert elsewhere.read_bytes() == b"of somebody"
        if not os.geteuid():
            os.chown(file, 4321, 4321)
            cached_graph(model, "onnx")
            assert file.stat().st_uid == 0
    assert len(made) == 5 + 2 * (not os.geteuid())


def test_a_folder_of_others_is_refused(
    cache: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such permissions")
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(CacheError, match=r"other users can write to it \(chmod go-w\)"):
        cached_graph(model, "onnx")
    assert list(cache.iterdir()) == []
    assert isinstance(load_network(model, CPU, "auto")[0], Network)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ae: cannot use {cache}: other users can write to it")
    cache.chmod(0o755)
    cached_graph(model, "onnx")
    if not os.geteuid():
        os.chown(cache, 4321, 4321)
        with pytest.raises(CacheError, match="belongs to another user"):
            cached_graph(model, "onnx")
        link = cache.with_name("link")
        link.symlink_to(cache)
        monkeypatch.setenv("AE_CACHE", str(link))
        with pytest.raises(CacheError, match="belongs to another user"):
            cached_graph(model, "onnx")


def test_the_folder_of_older_versions_is_closed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such permissions")
    monkeypatch.delenv("AE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    folder = tmp_path / "caches" / "associative-embedding"
    folder.mkdir(parents=True)
    folder.chmod(0o775)
    cached_graph(model, "onnx")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_full_disk_is_a_line_and_the_graph_is_used(
    cache: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(output.os, "fsync", full)
        network, _ = load_network(model, CPU, "onnx")
    assert isinstance(network, ExportedNetwork)
    assert network.predict(np.zeros((1, 3, 64, 64), np.uint8))
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device: the graph of model.safetensors is not kept" in line
    assert list(cache.iterdir()) == []


@pytest.fixture
def small_disk(cache: Path) -> Iterator[Path]:
    """A cache on a file system of 64 kB."""
    cache.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", str(cache)])
    except FileNotFoundError:
        pytest.skip("may not mount a file system here")
    if done.returncode:
        pytest.skip("may not mount a file system here")
    yield cache
    subprocess.run(["umount", "-l", str(cache)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small_disk / "stuffing").write_bytes(bytes(64 * 1024))
    assert isinstance(load_network(model, CPU, "auto")[0], ExportedNetwork)
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in small_disk.iterdir()] == ["stuffing"]
    (small_disk / "stuffing").write_bytes(b"")


STARTED = """
import sys, time
from pathlib import Path
from associative_embedding.model_files import graph_cache
make = graph_cache.make_graph
def counted(path, model, made_from):
    with open(sys.argv[2], "a") as log:
        log.write("made\\n")
    time.sleep(float(sys.argv[3]))
    return make(path, model, made_from)
graph_cache.make_graph = counted
graph_cache.cached_graph(Path(sys.argv[1]), "onnx")
"""


@pytest.mark.slow
def test_several_starts_at_once_make_one_graph_and_a_killed_one_blocks_nobody(
    cache: Path, model: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.touch()

    def start(seconds: float) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", STARTED, str(model), str(log), str(seconds)])

    killed = start(60)
    while not log.read_text():
        assert killed.poll() is None
    assert (cache / LOCK).is_file()
    others = [start(0.2) for _ in range(3)]
    killed.kill()
    killed.wait()
    assert [process.wait(120) for process in others] == [0, 0, 0]
    assert log.read_text() == "made\nmade\n"
    assert {path.suffix for path in cache.iterdir()} == {".onnx", ".json"}


def test_only_the_graphs_used_last_are_kept(cache: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cached_graph(model, "onnx").path
    size = first.stat().st_size + first.with_suffix(".json").stat().st_size
    monkeypatch.setattr(graph_cache, "KEPT_BYTES", size + 15_000)
    tiny_model(model, tag_size=3)
    for suffix in (".onnx", ".json"):
        os.utime(first.with_suffix(suffix), (0, 0))
    keys = [f"{number:064x}" for number in range(4)]
    now = first.parent.stat().st_mtime
    for number, key in enumerate(keys):
        for suffix in ("onnx", "json"):
            (cache / f"{key}.{suffix}").write_bytes(bytes(5_000))
            os.utime(cache / f"{key}.{suffix}", (now - 9 + number, now - 9 + number))
    (cache / "my own.onnx").write_bytes(bytes(10**6))
    kept = cached_graph(model, "onnx").path
    assert sorted(path.name for path in cache.iterdir()) == sorted(
        [f"{keys[3]}.json", f"{keys[3]}.onnx", kept.name, kept.with_suffix(".json").name, "my own.onnx"]
    )
    monkeypatch.setattr(graph_cache, "KEPT_SECONDS", -10)
    tiny_model(model, tag_size=2)
    last = cached_graph(model, "onnx").path
    assert sorted(path.name for path in cache.glob("*.onnx")) == sorted([last.name, "my own.onnx"])
