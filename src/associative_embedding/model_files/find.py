"""Finds the file of a model by its name: a shipped model, a path, or a model of the Hugging Face Hub."""

from __future__ import annotations

import hashlib
from pathlib import Path

from associative_embedding.io.console import one_line
from associative_embedding.io.optional_packages import need
from associative_embedding.model_files.checkpoint import MODEL_FILE

WEIGHTS = Path(__file__).parent.parent / "weights"  # the shipped models, each with its card (.md), and SHA256SUMS
HUB = "hf://"


def model_path(name: str | Path) -> Path:
    """Returns the file of a model.

    Args:
        name: the name of a shipped model; a path to a model file, or to a folder that contains `MODEL_FILE`; or
            ``hf://owner/name`` or ``hf://owner/name@revision`` on the Hugging Face Hub.

    Raises:
        ValueError: for a name that is none of these, a shipped file that is damaged, or a model that cannot be
            downloaded.
    """
    if str(name).startswith(HUB):
        return fetch(str(name).removeprefix(HUB))
    shipped = WEIGHTS / f"{name}.safetensors"
    if "/" not in str(name) and shipped.is_file():
        check_digest(shipped)
        return shipped
    path = Path(name) / MODEL_FILE if Path(name).is_dir() else Path(name)
    if path.is_file():
        return path
    names = ", ".join(shipped_models())
    raise ValueError(f"model {str(name)!r} is neither a shipped model ({names}) nor a file")


def shipped_models() -> list[str]:
    """Returns the names of the shipped models, sorted."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def check_digest(path: Path) -> None:
    """Checks a shipped file against ``SHA256SUMS`` beside it.

    Raises:
        ValueError: when the digests differ.
    """
    sums = dict(line.split()[::-1] for line in (path.parent / "SHA256SUMS").read_text(encoding="ascii").splitlines())
    if hashlib.sha256(path.read_bytes()).hexdigest() != sums.get(path.name):
        raise ValueError(f"{path}: is damaged or was changed (its SHA-256 differs); install the package again")


def fetch(name: str) -> Path:
    """Returns the model file of ``owner/name`` or ``owner/name@revision`` on the Hugging Face Hub.

    It is downloaded once, into the cache of the package huggingface_hub (the extra ``[hub]``).

    Raises:
        ValueError: one line, when there is no such model, or it cannot be downloaded.
    """
    hub = need("huggingface_hub", "hub", f"model hf://{name}")
    repository, _, revision = name.partition("@")
    try:
        return Path(hub.hf_hub_download(repository, MODEL_FILE, revision=revision or None))
    except Exception as error:  # errors of many types, some of which huggingface_hub does not export
        reason = one_line(error)[:200]
        raise ValueError(f"model hf://{name}: cannot be downloaded from the Hugging Face Hub ({reason})") from None
