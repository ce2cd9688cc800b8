"""Finds the file of a model by its name: a shipped or published model, a path, or a model of the Hugging Face Hub."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from associative_embedding.io.console import one_line
from associative_embedding.io.optional_packages import need
from associative_embedding.model_files.model_info import MODEL_FILE
from associative_embedding.model_files.published.table import find_published

WEIGHTS = Path(__file__).parent.parent / "weights"  # the shipped models, each with its card (.md), and SHA256SUMS
HUB = "hf://"
OFFLINE = "AE_OFFLINE"  # environment variable: nothing is downloaded
MAX_HUB_BYTES = 4 * 2**30  # of a model on the Hugging Face Hub; the largest of the paper's networks has 1 GB


def model_path(name: str | Path, *, offline: bool = False) -> Path:
    """Returns the file of a model.

    Args:
        name: the name of a shipped model; a path to a model file, or to a folder that contains `MODEL_FILE`; the name
            of a published model, which is downloaded once and converted; or ``hf://owner/name`` or
            ``hf://owner/name@revision`` on the Hugging Face Hub.
        offline: download nothing; also if the environment variable ``AE_OFFLINE`` is set.

    Raises:
        ValueError: for a name that is none of these, a shipped file that is damaged, or a model that cannot be
            downloaded.
        OSError: when the cache of published models cannot be written.
    """
    offline = offline or os.environ.get(OFFLINE, "") not in ("", "0")
    if str(name).startswith(HUB):
        return fetch(str(name).removeprefix(HUB), offline=offline)
    shipped = WEIGHTS / f"{name}.safetensors"
    if "/" not in str(name) and shipped.is_file():
        check_digest(shipped)
        return shipped
    path = Path(name) / MODEL_FILE if Path(name).is_dir() else Path(name)
    if path.is_file():
        return path
    if published := find_published(str(name)):
        # Converters take a while to import, and most commands need none.
        from associative_embedding.model_files.published.fetch import published_file

        return published_file(published, offline=offline)
    names = ", ".join(shipped_models())
    raise ValueError(
        f"model {str(name)!r} is neither a shipped model ({names}) nor a file, nor one of ae info --published"
    )


def model_digest(model: str | Path, *, offline: bool = False) -> str:
    """Returns the SHA-256 of a model's file; for OpenVINO of its two files.

    Arguments and errors: see `model_path`.
    """
    path = model_path(model, offline=offline)
    files = [path, path.with_suffix(".bin")] if path.suffix.lower() == ".xml" else [path]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


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


def fetch(name: str, *, offline: bool = False) -> Path:
    """Returns the model file of ``owner/name`` or ``owner/name@revision`` on the Hugging Face Hub.

    It is downloaded once, into the cache of the package huggingface_hub (the extra ``[hub]``).

    Raises:
        ValueError: one line, when there is no such model, or it cannot be downloaded.
    """
    hub = need("huggingface_hub", "hub", f"model hf://{name}")
    repository, _, revision = name.partition("@")
    only_local = {"local_files_only": True} if offline else {}
    if not offline:
        check_hub_size(repository, revision or None)
    try:
        return Path(hub.hf_hub_download(repository, MODEL_FILE, revision=revision or None, **only_local))
    except Exception as error:  # errors of many types, some of which huggingface_hub does not export
        reason = one_line(error)[:200]
        raise ValueError(f"model hf://{name}: cannot be downloaded from the Hugging Face Hub ({reason})") from None


def check_hub_size(repository: str, revision: str | None = None, token: str | bool | None = None) -> None:
    """Asks the Hugging Face Hub for the size of a model file before it fills the disk.

    Nothing happens when the hub cannot be asked: the download itself gives the reason, or finds the file in its cache.

    Raises:
        ValueError: for a file of more than `MAX_HUB_BYTES`.
    """
    hub = need("huggingface_hub", "hub")
    try:
        size = hub.get_hf_file_metadata(hub.hf_hub_url(repository, MODEL_FILE, revision=revision), token=token).size
    except Exception:  # errors of many types, as above
        return
    if size is not None and size > MAX_HUB_BYTES:
        raise ValueError(
            f"model hf://{repository}: {MODEL_FILE} has {size} bytes, more than the limit of {MAX_HUB_BYTES}"
        )
