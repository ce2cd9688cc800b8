"""Lines for people."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from associative_embedding.io.console import count_remarks, errors_name, list_briefly, remark_file, say, visible


def test_long_lists_are_cut_and_counted() -> None:
    assert list_briefly(["a", "b"]) == "a, b"
    assert list_briefly(list("abcdef")) == "a, b, c, d and 2 more"
    assert list_briefly(list("abcdef"), 1) == "a and 5 more"


def test_names_cannot_command_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2J\rb\x9b\u202egnp.\udcfc.png\ttab\nline")
    assert capsys.readouterr().out == "a\\x1b[2J\\x0db\\x9b\\u202egnp.\\xfc.png\ttab\nline\n"


def test_a_name_cannot_make_up_a_line() -> None:
    assert visible("a\nae: error: b\tc\r\u200f\U000e0041") == "a\\x0aae: error: b\\x09c\\x0d\\u200f\\U000e0041"
    assert visible(Path("a")) == "a"


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "\\xfc \\u9ce5 \\xff"), ("utf-8", "ü 鳥 \\xff")])
def test_printing_never_fails(encoding: str, shown: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    say("ü 鳥 \udcff", file=stream)
    assert stream.buffer.getvalue().decode(encoding) == f"{shown}\n"  # type: ignore[attr-defined]


def test_remarks_on_many_files_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    count_remarks()
    capsys.readouterr()
    for number in range(8):
        for _ in range(2):  # a second look at a file is not said again
            remark_file(f"{number}.tif", f"has {number} pages")
    count_remarks()
    *named, last = capsys.readouterr().err.splitlines()
    assert named == [f"ae: {number}.tif: has {number} pages" for number in range(5)]
    assert last == "ae: 3 more files: has N pages"
    count_remarks()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 34359738368 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        Exception("[ONNXRuntimeError] : 6 : std::bad_alloc"),
        Exception("(-4:Insufficient memory) Failed to allocate 1200000000 bytes"),
    ],
)
def test_too_little_memory_is_one_error_with_the_name(error: Exception) -> None:
    with pytest.raises(MemoryError, match=r"^a\.png: there is not enough memory for it$"), errors_name("a.png"):
        raise error


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2"), OSError(12, "Cannot allocate"), TypeError("alloc")])
def test_other_errors_stay(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, errors_name("a.png"):
        raise error
    assert caught.value is error
