"""Files of COCO jsons: encodings, packing, and the skeleton in one."""

from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path

import pytest

from associative_embedding.io import text_files
from associative_embedding.io.coco_json import load_skeleton, read_coco
from associative_embedding.structures.known_skeletons import COCO_17, MPII_16

DOCUMENT = {"images": [{"id": 1, "file_name": "über.png"}], "annotations": [], "categories": [COCO_17.to_category()]}
TEXT = json.dumps(DOCUMENT, ensure_ascii=False)
FORMS = {
    "plain": TEXT.encode(),
    "byte order mark": codecs.BOM_UTF8 + TEXT.encode(),
    "utf-16": TEXT.encode("utf-16"),
    "utf-16 big": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    "utf-32": TEXT.encode("utf-32"),
    "gzip": gzip.compress(TEXT.encode()),
    "gzip of a marked text": gzip.compress(codecs.BOM_UTF8 + TEXT.encode()),
}


@pytest.mark.parametrize("form", FORMS)
def test_encodings_and_gzip(form: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(FORMS[form])
    assert read_coco(path) == DOCUMENT
    assert load_skeleton(str(path)) == COCO_17


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TEXT.encode("latin-1"), "not a text file"),
        (gzip.compress(TEXT.encode())[:-20], "the gzip file is damaged"),
        (b"\x1f\x8bnothing", "the gzip file is damaged"),
        (b"PK\x03\x04...", "is a zip file; unpack it"),
        (b"\x80\x81", "not a text file"),
        (b'{"images": ' + b"9" * 5000 + b"}", "not a json file"),
    ],
)
def test_other_files_are_one_line(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"a\.json: .*{message}") as error:
        read_coco(path)
    assert "\n" not in str(error.value)


def test_a_gzip_file_that_is_too_large() -> None:
    with pytest.raises(ValueError, match=r"a\.gz: unpacked it is larger"):
        text_files.unpack(gzip.compress(b" " * 2**21), "a.gz", limit=2**20)


def test_load_skeleton(tmp_path: Path) -> None:
    assert load_skeleton("mpii-16") is MPII_16
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"categories": [{"id": 1, "name": "car"}, MPII_16.to_category()]}))
    assert load_skeleton(str(path)) == MPII_16
    path.write_text("{")
    with pytest.raises(ValueError, match=r"a\.json: not a json file"):
        load_skeleton(str(path))
    for text in ("[]", "{}", '{"categories": 3}', '{"categories": [{"id": 1}]}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="no category with 'keypoints'"):
            load_skeleton(str(path))
    with pytest.raises(ValueError, match="neither one of coco-17"):
        load_skeleton("coco-18")
