"""Which file a model is: a shipped one by its name, a path, or one of the Hugging Face Hub."""

from __future__ import annotations

import hashlib
from pathlib import Path

from associative_embedding.io.optional_packages import need
from associative_embedding.model_files.checkpoint import MODEL_FILE

WEIGHTS = Path(__file__).parent.parent / "weights"


HUB = "hf://"


def model_path(name: str | Path) -> Path:
    """Returns the file of a model.

    Args:
        name: of a shipped model; or a path, also of a folder that `pretrained.Pretrained` wrote; or
            ``hf://owner/name``, ``hf://owner/name@revision`` on the Hugging Face Hub.

    Raises:
        ValueError: when it is none of them, or a shipped one that is damaged.
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
    """Their names, sorted."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def check_digest(path: Path) -> None:
    """
    Raises:
        ValueError: when a shipped file is not the one that was shipped.
    """
    sums = dict(line.split()[::-1] for line in (path.parent / "SHA256SUMS").read_text(encoding="ascii").splitlines())
    if hashlib.sha256(path.read_bytes()).hexdigest() != sums.get(path.name):
        raise ValueError(f"{path}: is damaged or was changed (its SHA-256 is another); install the package anew")


def fetch(name: str) -> Path:
    """The model file of ``owner/name`` or ``owner/name@revision``, downloaded once into huggingface_hub's cache.

    Raises:
        ValueError: one line, when there is none, or it cannot be reached.
    """
    hub = need("huggingface_hub", "hub", f"model hf://{name}")
    repository, _, revision = name.partition("@")
    try:
        return Path(hub.hf_hub_download(repository, MODEL_FILE, revision=revision or None))
    except Exception as error:  # of many kinds, not all of them public
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"model hf://{name}: cannot be had from the Hugging Face Hub ({reason})") from None
