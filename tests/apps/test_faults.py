"""Faults in bulk: files cut at every percent, kills in a loop, full disks.

``AE_FAULTS=full`` makes it fifty kills and a thousand images, which takes minutes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from associative_embedding.apps.cli.main import main
from associative_embedding.apps.cli.results_file import ResultsWriter
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.io.files import atomic_write
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.images import read_image
from associative_embedding.model_files.checkpoint import load_model, read_torch
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.training.train import train
from support.random_people import made
from support.run_states import assert_same
from support.tiny import tiny_data, tiny_model, tiny_recipe

FULL = os.environ.get("AE_FAULTS") == "full"
KILLS, IMAGES = (50, 1000) if FULL else (3, 150)
KINDS = ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000", "AVIF"]


def percents(data: bytes) -> Iterator[bytes]:
    """The data cut at every hundredth of its length."""
    return (data[: len(data) * part // 100] for part in range(100))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_images_cut_at_every_percent(kind: str, progressive: bool) -> None:
    """Each is an image of the right size or one line; but for trailing bytes that nobody needs it is refused."""
    if f".{kind.lower()}" not in Image.registered_extensions() and kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind, **({"progressive": True} if progressive and kind == "JPEG" else {}))
    refused = 0
    for part in percents(buffer.getvalue()):
        try:
            shape = read_image(part).shape
        except ImageError as error:
            shape, refused = noise.shape, refused + (len(str(error).splitlines()) == 1)
        assert shape == noise.shape
    assert refused >= 95


def test_models_and_states_cut_at_every_percent(tmp_path: Path) -> None:
    tiny_model(tmp_path / "whole.safetensors")
    torch.save({"a": torch.zeros(100)}, tmp_path / "whole.pt")
    read: dict[str, Callable[[Path], object]] = {"safetensors": load_model, "pt": read_torch}
    for suffix, reader in read.items():
        reader(tmp_path / f"whole.{suffix}")
        for part in percents((tmp_path / f"whole.{suffix}").read_bytes()):
            (tmp_path / f"cut.{suffix}").write_bytes(part)
            with pytest.raises(ValueError, match=r"not a readable|not a torch file") as caught:
                reader(tmp_path / f"cut.{suffix}")
            assert "\n" not in str(caught.value)


def test_annotations_cut_at_every_percent(tmp_path: Path) -> None:
    source = tiny_data(tmp_path, images=2)
    for part in percents(Path(str(source.annotations)).read_bytes()):
        (tmp_path / "cut.json").write_bytes(part)
        with pytest.raises(ValueError, match=r"cut\.json: not a json file") as caught:
            CocoKeypoints(str(tmp_path / "cut.json"), source.images, COCO_17)
        assert "\n" not in str(caught.value)


def test_a_line_of_ten_megabytes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A value that is far too long is quoted in part only; a document that is one long line is read."""
    source = tiny_data(tmp_path, images=2)
    path = Path(str(source.annotations))
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"info": "x" * 10_000_000}))
    model = tmp_path / "model.safetensors"
    tiny_model(model)
    command = ["evaluate", "--model", str(model), "--annotations", str(path), "--images", source.images]
    assert main([*command, "--device", "cpu"]) == 0
    capfd.readouterr()
    for key in (
        "keypoints",
        "image_id",
        "iscrowd",
    ):  # an area that is no number is left out, and the box takes its place
        document["annotations"][0] |= {key: "9" * 10_000_000}
        path.write_text(json.dumps(document))
        assert main([*command, "--device", "cpu"]) == 1
        (line,) = capfd.readouterr().err.splitlines()[-1:]
        assert line.startswith("ae: error: ")
        assert len(line) < 1100
        document["annotations"][0].pop(key)


LIMITED = """
import resource, sys
import torch
from pathlib import Path
from associative_embedding.io.files import atomic_write
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    atomic_write(sys.argv[1], bytes(100_000))
except OSError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_file_that_cannot_grow_keeps_the_old_one(tmp_path: Path) -> None:
    """The kernel refuses the write in the middle of it, as a full disk does."""
    path = tmp_path / "state.pt"
    atomic_write(path, b"old" * 3000)
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"cannot write {path}: File too large\n"
    assert path.read_bytes() == b"old" * 3000
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with contextlib.suppress(FileNotFoundError):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
        if done.returncode == 0:
            yield folder
            subprocess.run(["umount", "-l", str(folder)], check=True)
            return
    pytest.skip("may not mount a file system here")


def test_a_disk_that_is_full_keeps_what_was_saved(small_disk: Path, tmp_path: Path) -> None:
    """Training stops with one line and its last state whole; with room again it goes on to the same weights."""
    source = tiny_data(tmp_path)
    whole = train(tiny_recipe(tmp_path / "whole", source, save_every=2)).parent
    recipe = tiny_recipe(small_disk, source, save_every=2)
    stuffing = small_disk / "stuffing"
    size = sum((whole / name).stat().st_size for name in ("state.pt", "batch.jpg"))
    stuffing.write_bytes(bytes(2**20 - size - 40_000))  # room for one state and the batch, not for the next state
    with pytest.raises(OSError, match=r"cannot write .*: No space left on device") as caught:
        train(recipe)
    assert "\n" not in str(caught.value)
    state = small_disk / "run" / "state.pt"
    assert torch.load(state, weights_only=True)["step"] == 2
    assert not list(state.parent.glob("*.tmp"))
    stuffing.unlink()
    train(recipe)
    assert_same(small_disk / "run", whole)


def test_results_on_a_full_disk_stay_whole(small_disk: Path) -> None:
    path = small_disk / "r.json"
    (small_disk / "stuffing").write_bytes(bytes(2**20 - 100_000))

    def write() -> None:
        with ResultsWriter(path, interval=0) as writer:
            for number in range(10_000):
                writer.add(made(5, f"{number}.jpg"))
                time.sleep(0.001)

    with pytest.raises(OSError, match="No space left on device"):
        write()
    assert len(json.loads(path.read_text())["images"]) > 2


def fill(stuffing: Path, free: int) -> None:
    """Fills a disk but for some bytes."""
    with contextlib.suppress(OSError), stuffing.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**16))
    os.truncate(stuffing, stuffing.stat().st_size - free)


def pictures_and_json(out: Path) -> tuple[list[str], int]:
    """The pictures in a folder of results, and the number of images in its results file."""
    document = json.loads((out / "predictions.json").read_text())
    return sorted(path.name for path in out.iterdir() if path.suffix != ".json"), len(document["images"])


@pytest.mark.slow
def test_pictures_and_json_agree_on_a_full_disk_and_after_it(
    model: str, small_disk: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every image in the json has its picture, and `--resume` makes both of the others."""
    (tmp_path / "images").mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 255, (8, 96, 96, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    out, stuffing = small_disk / "out", small_disk / "stuffing"
    command = ["predict", str(tmp_path / "images"), "--model", model, "--output", str(out), "--device", "cpu"]
    for room in (120_000, 170_000):
        stuffing.write_bytes(bytes(2**20 - room))
        assert main([*command, "--min_score", "0"]) == 1
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith("ae: error: cannot write ")
        assert line.endswith(": No space left on device")
        pictures, images = pictures_and_json(out)
        assert 0 < images <= len(pictures) < 8
        stuffing.unlink()
        assert main([*command, "--min_score", "0", "--resume"]) == 0
        capfd.readouterr()
        assert tuple(map(bool, pictures_and_json(out))) == (True, True)
        assert len(pictures_and_json(out)[0]) == pictures_and_json(out)[1] == 8
        for path in out.iterdir():
            path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mp4", "jsonl", "csv", "mot"])
def test_a_video_on_a_full_disk_is_whole_up_to_a_frame_and_made_again(
    model: str, video: str, small_disk: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    out, stuffing = small_disk / "out", small_disk / "stuffing"
    command = ["predict", video, "--model", model, "--device", "cpu", "--track", "--min_score", "0"]
    command += ["--formats", kind, "--output"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    (whole,) = (tmp_path / "whole").iterdir()
    page = os.sysconf("SC_PAGESIZE")
    fill(stuffing, free=whole.stat().st_size // page // 2 * page)
    capfd.readouterr()
    assert main([*command, str(out)]) == 1
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("ae: error: cannot write ")
    assert line.endswith(": No space left on device")
    (part,) = out.iterdir()
    if kind != "mp4":
        assert whole.read_bytes().startswith(part.read_bytes())
        assert part.read_bytes()[-1:] in (b"", b"\n")  # a small file may have no room for one frame
    stuffing.unlink()
    assert main([*command, str(out)]) == 0  # it is known as our own
    assert part.stat().st_size == whole.stat().st_size


KILLED = """
import pickle, sys, time
import torch
from associative_embedding.training import train as training
update = training.update
def slow(*arguments):
    time.sleep(0.02)
    update(*arguments)
training.update = slow
training.train(pickle.load(open(sys.argv[1], "rb")))
"""


@pytest.mark.slow
def test_killed_at_random_moments_in_a_loop(tmp_path: Path) -> None:
    """kill -9, again and again, at moments of start, training and saving; the weights are those of a run without."""
    source = tiny_data(tmp_path)
    steps = 4 * KILLS + 8
    whole = train(tiny_recipe(tmp_path / "whole", source, steps=steps, save_every=1)).parent
    recipe = tiny_recipe(tmp_path, source, steps=steps, save_every=1)
    (tmp_path / "job").write_bytes(pickle.dumps(recipe))
    state, log = tmp_path / "run" / "state.pt", tmp_path / "run" / "log.jsonl"
    rng, steps_seen = random.Random(KILLS), [0]
    for kill in range(KILLS):
        starts = log.read_text().count('"start"') if log.is_file() else 0
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "job")], stderr=subprocess.DEVNULL)
        if kill % 5:  # every fifth is killed while it starts, the others while they train or save
            deadline = time.monotonic() + 60
            while not (log.is_file() and log.read_text().count('"start"') > starts):
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        if state.is_file():
            steps_seen.append(torch.load(state, weights_only=True)["step"])
    assert steps_seen == sorted(steps_seen)
    assert steps_seen[-1] < steps
    train(recipe)
    assert_same(tmp_path / "run", whole)
    print(f"{KILLS} kills, at steps {steps_seen}")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("redirection", "status"),
    [(">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 1), ("2>/dev/full", 0), ("| true", 0)],
)
def test_a_command_whose_streams_are_closed_or_full(model: str, tmp_path: Path, redirection: str, status: int) -> None:
    """The pictures and the results are written; lost output is status 1, closed output is what the caller wants."""
    Image.new("RGB", (96, 96)).save(tmp_path / "a.png")
    command = f'set -o pipefail; "$0" -m associative_embedding predict a.png --model "$1" --output out {redirection}'
    run = ["bash", "-c", command, sys.executable, model]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == status
    assert "Traceback" not in done.stdout + done.stderr
    assert (done.stderr == "") == (status == 0)
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())["images"]) == 1
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["predict", "--help"], ["info"], ["info", "nobody"]])
def test_help_into_a_full_output_is_lost_with_status_1(words: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        run = [sys.executable, "-m", "associative_embedding", *words]
        done = subprocess.run(run, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("ae: error: ")


# `ae predict` that writes its results as often as it can
PREDICT = """
import sys
from associative_embedding.io import files as output
start = output.Periodic.__init__
output.Periodic.__init__ = lambda self, write, interval: start(self, write, 0)
from associative_embedding.apps.cli.main import main
sys.exit(main(["predict", *sys.argv[1:]]))
"""


@pytest.mark.slow
def test_many_images_killed_midway(tmp_path: Path) -> None:
    """kill -9 while many images are looked at; `--resume` does the others only, and the file is as if never killed."""
    model, folder, results = tmp_path / "model.safetensors", tmp_path / "images", tmp_path / "r.json"
    tiny_model(model)
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (IMAGES, 4, 4, 3), dtype=np.uint8)
    for number, image in enumerate(noise):
        Image.fromarray(image).resize((32, 32), Image.Resampling.NEAREST).save(folder / f"{number:04}.png")
    options = [str(folder), "--model", str(model), "--device", "cpu", "--input_size", "32", "--show", "nothing"]

    def command(path: Path) -> list[str]:
        return [sys.executable, "-c", PREDICT, *options, "--json", str(path), "--resume"]

    process = subprocess.Popen(command(results), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not results.is_file() or len(json.loads(results.read_text())["images"]) < IMAGES // 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = len(json.loads(results.read_text())["images"])
    assert IMAGES // 3 <= kept < IMAGES
    done = subprocess.run(command(results), capture_output=True, text=True, check=True)
    assert f"{kept} images are in {results} already" in done.stdout
    subprocess.run(command(tmp_path / "whole.json"), capture_output=True, check=True)
    resumed, whole = (json.loads(path.read_text()) for path in (results, tmp_path / "whole.json"))
    assert len(resumed["images"]) == IMAGES
    for key in ("images", "annotations", "categories"):
        assert resumed[key] == whole[key]
