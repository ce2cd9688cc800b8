"""YAML of unknown origin: what is read, and what is refused before it grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from associative_embedding.io.yaml_files import MAX_BYTES, load_yaml, read_yaml
from support.memory import measured

GROWS = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'lol'] * 10)}]\n" for i in range(10))
MERGES = "a0: &a0 {k: v}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 9))
LONG = f"a: &a {'x' * 500_000}\nb: [{'*a, ' * 5000}]"
MANY = "values, counted with those that aliases repeat"


def test_values_are_plain() -> None:
    text = "a: &a {x: 1, y: .5}\nb: {<<: *a, y: [yes, ~, 'no', 2026-11-28]}\nc: *a\n0: !!str 1\n'0': 1e-3"
    first = {"x": 1, "y": 0.5}
    expected = {"a": first, "b": {"x": 1, "y": [True, None, "no", "2026-11-28"]}, "c": first, 0: "1", "0": "1e-3"}
    assert load_yaml(text, "f") == expected
    assert load_yaml("", "f") is None


@pytest.mark.slow
def test_a_large_ordinary_file_is_read() -> None:
    rows = [f"- {{images: photos/{i}, weight: {i}.5}}" for i in range(15_000)]
    assert load_yaml("\n".join(rows), "f")[-1] == {"images": "photos/14999", "weight": 14999.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GROWS, f"line 5: more than 100000 {MANY}"),
        (MERGES, MANY),
        (LONG, MANY),
        (f"[{'a, ' * 200_000}]", MANY),
        ("[" * 100_000, "line 1: lists and mappings are nested more than 50 levels deep"),
        ("{a: " * 100_000, "more than 50 levels deep"),
        ("- " * 5000 + "x", "more than 50 levels deep"),
        ("a: " + "9" * 1_000_000, "line 1: a number of 1000000 characters; at most 100 are read"),
        ("a: 0x" + "f" * 100_000, "a number of 100002 characters"),
        ("a: !!int " + "1:" * 50_000 + "1", "a number of 100001 characters"),
        ("a: &a [*a]", "the alias *a has no complete value before it"),
        ("a: *b", "the alias *b has no complete value before it"),
        ("train: {lr: 1}\ndata: {}\ntrain: {lr: 2}", "line 3: the key 'train' is there twice"),
        ("a: !!python/object/apply:os.system [id]", "the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not"),
        ("a: !!binary aaa", "the tag 'tag:yaml.org,2002:binary' is not read"),
        ("a: !!bool maybe", "not a YAML file"),
        ("{[a]: 1}", "not a YAML file"),
        ("a: 1\n---\nb: 2", "not a YAML file"),
        ("x" * (MAX_BYTES + 1), "is larger than the 1024 kB of YAML that are read"),
    ],
    ids=lambda value: value[:20],
)
def test_what_is_refused_is_one_short_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^f: .+$") as error:
        load_yaml(text, "f")
    assert message in str(error.value)
    assert len(str(error.value)) < 300
    assert "\n" not in str(error.value)


def test_a_file_without_end_is_read_up_to_the_limit() -> None:
    with pytest.raises(ValueError, match=r"is larger than the 1024 kB|not a YAML file"):
        read_yaml("/dev/zero", "the recipe")


def test_a_file_is_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\xa4")
    assert read_yaml(path, "the recipe") == {"a": "ä"}
    path.write_bytes(b"a: \xff")
    with pytest.raises(ValueError, match="not a YAML file"):
        read_yaml(path, "the recipe")


@pytest.mark.slow
@pytest.mark.parametrize("text", [GROWS, MERGES, LONG, "[" * 100_000], ids=["lists", "merges", "texts", "depth"])
def test_what_is_refused_takes_no_memory(text: str, tmp_path: Path) -> None:
    (tmp_path / "bomb.yaml").write_text(text)
    code = "from associative_embedding.io.yaml_files import read_yaml\n read_yaml('bomb.yaml', 'the recipe')"
    done = measured(f"try:\n {code}\nexcept ValueError:\n status = 2", folder=tmp_path)
    assert done.status == 2
    assert done.megabytes < 100
