"""What a killed run leaves is removed by the next one, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from associative_embedding.io import temporary_files
from associative_embedding.io.files import atomic_write
from associative_embedding.io.temporary_files import FILE, FOLDER, HOST, partial_file, remove_leftovers, scratch_folder

START = temporary_files.START + HOST  # of the names of this machine

WRITER = """
import sys, time
from pathlib import Path
from associative_embedding.io.temporary_files import partial_file, scratch_folder
with partial_file(Path(sys.argv[1]) / "x") as partial, scratch_folder() as folder:
    partial.write_bytes(b"part")
    (folder / "model.onnx").write_bytes(b"part")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def a_new_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary_files, "_read", set())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_kill_leaves_is_removed_and_what_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such locks")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        remove_leftovers(tmp_path)
        assert len(names(tmp_path)) == 2
        process.kill()
        process.wait()
    assert len(names(tmp_path)) == 2
    temporary_files._read.clear()
    atomic_write(tmp_path / "x", b"whole")
    assert names(tmp_path) == ["x"]


def test_files_of_others_and_other_kinds_stay(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such locks")
    (tmp_path / "target").write_text("x")
    (tmp_path / f"{START}link{FILE}").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / f"{START}pipe{FILE}")
    (tmp_path / f".{'0' * 32}.tmp").touch()
    (tmp_path / f"{START}x.txt").touch()
    (tmp_path / f"{temporary_files.START}elsewhere-x{FILE}").touch()  # its lock may not be seen here
    kept = tmp_path / f"{START}x{FOLDER}" / "folder"
    kept.mkdir(parents=True)
    if not os.geteuid():
        (tmp_path / f"{START}foreign{FILE}").touch()
        os.chown(tmp_path / f"{START}foreign{FILE}", 4321, 4321)
    before = names(tmp_path)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == before
    assert kept.is_dir()
    temporary_files._read.clear()
    os.utime(tmp_path / f"{temporary_files.START}elsewhere-x{FILE}", (0, 0))
    remove_leftovers(tmp_path)
    assert len(names(tmp_path)) == len(before) - 1


def test_one_that_is_removed_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cleaner of another process comes between the creation and the lock."""
    lock = temporary_files._lock

    def late(path: Path, **options: bool) -> int | None:
        monkeypatch.setattr(temporary_files, "_lock", lock)
        path.unlink()
        return lock(path, **options)

    monkeypatch.setattr(temporary_files, "_lock", late)
    atomic_write(tmp_path / "x", b"whole")
    assert names(tmp_path) == ["x"]


def test_many_threads_and_a_cleaner(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for _ in range(30):
                temporary_files._read.clear()
                atomic_write(tmp_path / f"{number}", b"whole")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert names(tmp_path) == sorted(map(str, range(8)))


def test_permissions_and_a_folder_that_is_removed(tmp_path: Path) -> None:
    with partial_file(tmp_path / "x", 0o600):
        pass
    assert sys.platform == "win32" or (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    with scratch_folder() as folder:
        (folder / "a").touch()
        assert sys.platform == "win32" or folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_a_full_folder_of_temporary_files_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(OSError, match=rf"^cannot write temporary files in {tmp_path}: No space left"), scratch_folder():
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []
