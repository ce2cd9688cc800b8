"""Frame numbers and times of films of many kinds: with --start they are those without."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.io.videos import Clip, open_video, read_frames
from support.memory import measured
from support.video_files import STEADY, VARYING, copy_stream, encode, remux, write

pytestmark = pytest.mark.extra

av = pytest.importorskip("av", reason="needs PyAV, the extra [video]")

STARTS = (0.05, 0.3, 0.5, 1.0, 1.05, 1.7, 3.03)  # seconds: on, before and after frames
OPEN = {"x264-params": "open-gop=1:bframes=3:b-adapt=0:keyint=6:scenecut=0"}
Row = tuple[int, float, int]  # number, time in seconds, and the number by the grey level


def rows(source: str, start: float = 0.0) -> list[Row]:
    frames = read_frames(open_video(source), Clip(start=start))
    return [(f.number, round(f.time, 2), round((int(np.median(f.image)) - 20) / 10)) for f in frames]


def check_starts(source: str, full: list[Row]) -> None:
    for start in STARTS:
        assert rows(source, start) == [row for row in full if row[1] >= start]


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".ts"])
def test_a_rate_that_varies(ending: str, tmp_path: Path) -> None:
    film = encode(tmp_path / f"a{ending}", VARYING)
    full = [(i, time, i) for i, time in enumerate(VARYING)]
    assert rows(film) == full
    check_starts(film, full)


@pytest.mark.parametrize("ending", [".avi", ".flv", ".m2ts", ".3gp"])
def test_b_frames_of_a_steady_film(ending: str, tmp_path: Path) -> None:
    if ending == ".flv" and av.__version__.startswith("13."):
        pytest.skip("PyAV 13 crashes when it opens an FLV")
    film = encode(tmp_path / f"a{ending}", STEADY)
    full = [(i, time, i) for i, time in enumerate(STEADY)]
    assert rows(film) == full
    check_starts(film, full)


@pytest.mark.parametrize(("ending", "codec"), [(".h264", "libx264"), (".mjpeg", "mjpeg")])
def test_a_raw_stream_has_the_times_of_its_rate(ending: str, codec: str, tmp_path: Path) -> None:
    film = encode(tmp_path / f"a{ending}", STEADY, codec=codec)
    full = rows(film)
    assert full == [(i, round(i / 25, 2), i) for i in range(20)]
    check_starts(film, full)


def open_groups(path: Path) -> str:
    """Frames before a key frame need the key frame before it, too."""
    return encode(path / "a.mkv", VARYING, **OPEN)


def vp8(path: Path) -> str:
    return encode(path / "a.webm", STEADY, codec="libvpx")


def clock_from_1000_seconds(path: Path) -> str:
    return remux(encode(path / "a.mp4", STEADY), path / "b.ts", 1000.0)


def pause_of_30_seconds(path: Path) -> str:
    return remux(encode(path / "a.mp4", STEADY), path / "b.ts", pause=(7, 30.0))


def negative_times(path: Path) -> str:
    return remux(encode(path / "a.mp4", VARYING), path / "b.mp4", -0.25)


def cut_before_a_key_frame(path: Path) -> str:
    return remux(encode(path / "a.mp4", VARYING), path / "b.mkv", first=3)


def cut_in_open_groups(path: Path) -> str:
    return remux(open_groups(path), path / "b.mkv", first=6)


@pytest.mark.parametrize(
    "write",
    [
        open_groups,
        vp8,
        clock_from_1000_seconds,
        pause_of_30_seconds,
        negative_times,
        cut_before_a_key_frame,
        cut_in_open_groups,
    ],
)
def test_films_that_were_cut_or_shifted(write: Callable[[Path], str], tmp_path: Path) -> None:
    film = write(tmp_path)
    full = rows(film)
    assert [number for number, _, _ in full] == list(range(len(full)))
    assert full == sorted(full)
    assert len({shade for _, _, shade in full}) == len(full)  # none twice
    check_starts(film, full)


def test_a_raw_stream_with_a_start_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows(encode(tmp_path / "a.h264", STEADY), 0.2)
    assert "a.h264: is read from its beginning to --start" in capsys.readouterr().err


def copy_packets(source: str, path: Path, *, turn: int = 0) -> Path:
    """Copies a film with its index at the front, so it can be cut, turned by degrees."""
    with av.open(source) as old, av.open(str(path), "w", options={"movflags": "faststart"}) as new:
        stream = copy_stream(new, old)
        if turn:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV writes no rotation")
            stream.set_display_rotation(turn)
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return path


def test_a_film_that_ends_early_keeps_its_frames(tmp_path: Path) -> None:
    film = copy_packets(encode(tmp_path / "a.mp4", STEADY), tmp_path / "b.mp4")
    film.write_bytes(film.read_bytes()[:-300])
    numbers: list[int] = []
    with pytest.raises(ValueError, match=r"b\.mp4: "):
        numbers.extend(frame.number for frame in read_frames(open_video(str(film))))
    assert numbers == list(range(6))


def test_a_cut_film_whose_header_states_its_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = Path(encode(tmp_path / "a.mkv", VARYING))
    film.write_bytes(film.read_bytes()[:-450])
    assert rows(str(film))
    assert "its pictures end at" in capsys.readouterr().err


def test_a_damaged_packet_in_the_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = Path(encode(tmp_path / "a.mp4", STEADY))
    data = bytearray(film.read_bytes())
    middle = data.index(b"mdat") + 4 + 850
    data[middle : middle + 60] = bytes(60)
    film.write_bytes(data)
    found: list[tuple[int, int]] = []
    with pytest.raises(ValueError, match=r"a\.mp4: \d+ damaged packets? (is|are) left out"):
        found.extend((f.number, round((int(np.median(f.image)) - 20) / 10)) for f in read_frames(open_video(str(film))))
    assert found[-1] == (19, 19)  # the frames behind the damage keep their numbers
    assert "is damaged and left out" in capsys.readouterr().err


def test_a_phone_films_sideways(tmp_path: Path) -> None:
    film = copy_packets(encode(tmp_path / "a.mp4", STEADY), tmp_path / "b.mp4", turn=90)
    assert next(read_frames(open_video(str(film)))).image.shape == (64, 48, 3)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as film:
        stream = film.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    with pytest.raises(ValueError, match="holds no video but only sound"):
        open_video(str(tmp_path / "a.mp4"))


READ = """
from associative_embedding.io.videos import open_video, read_frames
try:
    for frame in read_frames(open_video(sys.argv[1])):
        print(frame.image.shape)
except ValueError as error:
    print(error)
"""


def film_of(path: Path, codec: str, side: int, *, streams: int = 1) -> Path:
    """A film of two grey frames in each stream."""
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV without {codec}")
    with av.open(str(path), "w") as container:
        made = [container.add_stream(codec, rate=10) for _ in range(streams)]
        for stream in made:
            stream.width = stream.height = side
            stream.pix_fmt = stream.codec_context.codec.video_formats[0].name
        frame = av.VideoFrame(side, side, made[0].pix_fmt)
        for stream in made:
            for number in range(2):
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("side", [9_000, 16_000])
@pytest.mark.parametrize(("ending", "codec"), [(".avi", "zmbv"), (".mov", "qtrle"), (".avi", "mjpeg")])
def test_frames_that_are_too_large(ending: str, codec: str, side: int, tmp_path: Path) -> None:
    """Refused before FFmpeg decodes the first of them, which it does while it opens a file."""
    if codec == "mjpeg" and side > 9_000:
        pytest.skip("its encoder has a limit")
    path = film_of(tmp_path / f"a{ending}", codec, side)
    result = measured(READ, path)
    (line,) = result.output.splitlines()
    assert "8192 pixels a side" in line
    assert result.errors == []
    assert result.megabytes < 300


@pytest.mark.slow
def test_many_streams(tmp_path: Path) -> None:
    result = measured(READ, film_of(tmp_path / "a.mkv", "mjpeg", 64, streams=150))
    assert len(result.output.splitlines()) <= 2
    assert result.megabytes < 300


@pytest.mark.slow
def test_frames_that_are_stated_and_not_there(tmp_path: Path) -> None:
    """The table of sizes of an mp4 states millions of frames of one byte."""
    data = bytearray(Path(encode(tmp_path / "a.mp4", STEADY)).read_bytes())
    many = 20_000_000
    for kind, place, values in ((b"stsz", 8, (1, many)), (b"stsc", 16, (many,)), (b"stts", 12, (many,))):
        start = data.index(kind) + place
        data[start : start + 4 * len(values)] = struct.pack(f">{len(values)}I", *values)
    (tmp_path / "b.mp4").write_bytes(data)
    result = measured(READ, tmp_path / "b.mp4")
    assert result.output == f"{tmp_path / 'b.mp4'}: states far more frames than its size explains; is it damaged?\n"
    assert result.megabytes < 300


def test_pictures_of_an_unknown_kind_are_one_line(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.mp4"))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz1"))
    with pytest.raises(ValueError, match=r"a\.mp4: has pictures of a kind that FFmpeg does not know"):
        open_video(str(path))
