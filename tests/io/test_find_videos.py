"""What counts as a video, and which videos a folder or pattern gives."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from associative_embedding.io.find_videos import VIDEO_EXTENSIONS, find_videos, is_camera, is_folder, is_video
from associative_embedding.io.videos import open_video, read_frames
from associative_embedding.io.write_videos import VideoWriter
from support.video_files import shade, write

pytestmark = pytest.mark.extra

pytest.importorskip("av", reason="needs PyAV, the extra [video]")


def frames(folder: Path, count: int = 3) -> str:
    folder.mkdir()
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.png"), shade(i))
    return str(folder)


def test_brackets_in_the_name_of_a_film_or_folder(tmp_path: Path) -> None:
    film = write(tmp_path / "clip [dQw4].mp4", 3)
    folder = frames(tmp_path / "cage [1]")
    for source in (film, folder, write(tmp_path / "what?.mp4", 3), frames(tmp_path / "a*b")):
        assert find_videos(source) == [source]
        assert len(list(read_frames(open_video(source)))) == 3


def test_a_folder_whose_name_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_camera("7")
    frames(tmp_path / "7")
    assert not is_camera("7")
    assert not is_video("7")  # images, until --track makes them frames
    assert len(list(read_frames(open_video("7")))) == 3


@pytest.mark.parametrize("ending", VIDEO_EXTENSIONS)
def test_every_ending(ending: str) -> None:
    assert is_video(f"x{ending}")
    assert is_video(f"X{ending.upper()}")


def test_films_by_folder_and_pattern(tmp_path: Path) -> None:
    films = [write(tmp_path / name, 2) for name in ("2.mp4", "10.MP4", ".hidden.mp4")][:2]
    for source in (str(tmp_path), str(tmp_path / "*.[mM]*4")):
        assert is_folder(source)
        assert is_video(source)
        assert find_videos(source) == films


def test_frames_beside_films(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = frames(tmp_path / "both")
    film = write(Path(folder) / "a.mp4", 2)
    assert not is_video(folder)
    assert find_videos(folder) == [folder, film]
    assert "the 3 images are the frames of one video; each film is one more (a.mp4)" in capsys.readouterr().err


def test_films_of_an_earlier_run_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = write(tmp_path / "a.mp4", 2)
    drawn = tmp_path / "a-0123abcd.mp4"
    with VideoWriter(drawn, 5) as writer:
        writer.add(shade(1), 0)
    assert find_videos(str(tmp_path)) == find_videos(str(tmp_path / "*.mp4")) == [film]
    assert "1 file that ae predict wrote is left out (a-0123abcd.mp4)" in capsys.readouterr().err
    assert find_videos(str(drawn)) == [str(drawn)]


def test_a_film_without_an_ending(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", 2)
    (tmp_path / "film").write_bytes((tmp_path / "a.mp4").read_bytes())
    cv2.imwrite(str(tmp_path / "b.png"), shade(1))
    (tmp_path / "image").write_bytes((tmp_path / "b.png").read_bytes())
    (tmp_path / "text").write_text("no film")
    assert is_video(str(tmp_path / "film"))
    for name in ("image", "text", "missing"):
        assert not is_video(str(tmp_path / name))


def test_nothing_there(tmp_path: Path) -> None:
    for source, message in (("x.mp4", "no such file"), ("*.mp4", "matches no video"), ("", "holds no video")):
        with pytest.raises(ValueError, match=message):
            find_videos(str(tmp_path / source))
