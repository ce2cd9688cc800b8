"""Model files by their names: on the Hugging Face Hub, without a network."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import associative_embedding as ae
from associative_embedding.model_files.checkpoint import read_weights
from associative_embedding.model_files.find import model_path
from associative_embedding.model_files.model_info import MODEL_FILE
from support.tiny import FIGURE, tiny_model

pytest.importorskip("huggingface_hub", reason="needs the extra [hub]")

import huggingface_hub

from associative_embedding.inference import pretrained

pytestmark = pytest.mark.extra


@pytest.fixture(autouse=True)
def size(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size that the hub states, if it is not empty; without it the hub cannot be reached."""
    stated: list[int] = []

    def answer(url: str, **options: object) -> SimpleNamespace:
        assert url.endswith(f"/{MODEL_FILE}")
        return SimpleNamespace(size=stated[-1])  # IndexError: one of the errors of a hub that is not there

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", answer)
    return stated


@pytest.mark.parametrize(
    "read", [model_path, lambda name: pretrained.Pretrained.from_pretrained(name.removeprefix("hf://"))]
)
def test_a_model_that_would_fill_the_disk(
    read: Callable[[str], object], size: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", None)
    monkeypatch.setattr(pretrained, "hf_hub_download", None)
    size.append(10**13)
    with pytest.raises(ValueError, match=r"hf://me/flies: .* has 10000000000000 bytes, more"):
        read("hf://me/flies")


def test_a_model_of_the_hub_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repository: str, name: str, **options: object) -> str:
        asked.append((repository, name, options.get("revision")))
        return tiny_model(tmp_path / "cached.safetensors")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert ae.load("hf://me/flies@v1").task.skeleton == FIGURE
    assert model_path("hf://me/flies") == tmp_path / "cached.safetensors"
    assert asked == [("me/flies", MODEL_FILE, "v1"), ("me/flies", MODEL_FILE, None)]
    assert read_weights(tmp_path / "cached.safetensors")[1] is not None


@pytest.mark.parametrize("name", ["a/b/c", "", "me/flies"])
def test_what_cannot_be_had_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(repository: str, *_: object, **__: object) -> str:
        if repository == "me/flies":
            raise ConnectionError("no\nnetwork")
        return original(repository, MODEL_FILE)

    original = huggingface_hub.hf_hub_download
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", nobody)
    with pytest.raises(ValueError) as error:
        ae.load(f"hf://{name}")
    assert "cannot be downloaded from the Hugging Face Hub" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'associative-embedding\[hub\]'"):
        model_path("hf://me/flies")
