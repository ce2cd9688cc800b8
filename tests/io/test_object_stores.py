"""Files behind URIs."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

import pytest

from associative_embedding.io import object_stores
from associative_embedding.io.object_stores import is_remote, list_store, names_in, read_bytes, write_bytes

needs_pyarrow = pytest.mark.skipif(not find_spec("pyarrow"), reason="needs pyarrow (extra ray)")


def test_what_is_remote() -> None:
    assert is_remote("s3://bucket/a.jpg")
    assert not is_remote("http://host/a.jpg")
    assert not is_remote("C:/a.jpg")


@pytest.mark.extra
@needs_pyarrow
def test_files_behind_uris(tmp_path: Path) -> None:
    uri = (tmp_path / "new" / "a.bin").as_uri()
    for path in (uri, str(tmp_path / "new" / "b.bin")):
        write_bytes(path, b"abc")
    assert read_bytes(uri, 3) == b"abc"
    with pytest.raises(OSError, match=r"a.bin: has 3 bytes, more than the limit of 2"):
        read_bytes(uri, 2)
    with pytest.raises(OSError, match=r"nothing.bin: "):
        read_bytes(uri.replace("a.bin", "nothing.bin"), 2)
    for place in (tmp_path / "new").as_uri(), str(tmp_path / "new"):
        assert names_in(place) == {"a.bin", "b.bin"}
    assert names_in(str(tmp_path / "none")) == names_in((tmp_path / "none").as_uri()) == set()
    assert list_store((tmp_path / "new").as_uri(), recursive=False) == [uri, uri.replace("a.bin", "b.bin")]


class Liar(io.BytesIO):
    """A file of a store that states one byte and never ends."""

    def size(self) -> int:
        return 1

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0, "it would never end"
        return bytes(size)


def test_a_store_that_states_a_wrong_size(monkeypatch: pytest.MonkeyPatch) -> None:
    class Store:
        def open_input_file(self, path: str) -> Liar:
            return Liar()

    monkeypatch.setattr(object_stores, "open_store", lambda uri: (Store(), uri, ""))
    with pytest.raises(OSError, match="s3://a/b: has more bytes than the limit of 5"):
        read_bytes("s3://a/b", 5)
