"""Lists of image ids in text files."""

from __future__ import annotations

from pathlib import Path

import pytest

from associative_embedding.data.readers.id_list import check_ids, read_ids


def test_ids_are_read_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_bytes(b"262145\r\n\n 49 \n000000000110\n49\n")
    assert read_ids(str(path)) == [262145, 49, 110]
    check_ids(str(path), [49, 110], {49, 110, 7}, "a.json")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has no image id"),
        (b"\n \n", "has no image id"),
        (b"1\n2.jpg\n", "line 2 must be an image id, a whole number, not '2.jpg'"),
        (b"1 2\n", "line 1 must be"),
        (b"-1\n", "line 1 must be"),
        (b"1_0\n", "line 1 must be"),
        ("٣\n".encode(), "line 1 must be"),
        (b"9" * 5000, "line 1 must be"),
        (b"[1, 2]", "line 1 must be"),
        (b"\xff\xff\xff", "not a text file"),
    ],
)
def test_a_file_that_is_no_list_gets_one_line(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"ids\.txt") as caught:
        read_ids(str(path))
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200 + len(str(path))


def test_a_missing_list_and_ids_of_another_set_get_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot read the image ids"):
        read_ids(str(tmp_path))
    with pytest.raises(ValueError, match=r"ids.txt: 2 of 3 image ids are not in a.json: 5, 9"):
        check_ids("ids.txt", [1, 9, 5], {1, 2}, "a.json")
