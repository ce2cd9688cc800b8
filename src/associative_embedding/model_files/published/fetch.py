"""A published model by its name: downloaded once, its digest checked, converted, and kept in the cache.

The folder ``published`` of the cache has the checkpoint as it was published, what an unfinished download left of it
(``.part``), and the model file, whose name has the digest of all that it was made from.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import urlsplit

from associative_embedding import __version__
from associative_embedding.io.console import remark
from associative_embedding.io.fetch_file import fetch_file
from associative_embedding.io.lock_files import locked_in_turn
from associative_embedding.io.private_files import private_folder
from associative_embedding.model_files.checkpoint import save_model
from associative_embedding.model_files.converters.published_pose_models import PROJECTS, load_published
from associative_embedding.model_files.graph_cache import cache_folder
from associative_embedding.model_files.published.table import DIGEST, PublishedModel, terms

FOLDER = "published"
SECONDS = 3600.0  # for one attempt at one address; the next one continues where it ended
LARGER, SPARE_BYTES = 3, 64 * 2**20  # a file of unknown size may have the state of an optimizer, and a config
CHUNK = 2**20  # bytes


def published_file(model: PublishedModel, *, offline: bool = False) -> Path:
    """Returns the model file of a published model, and makes it if the cache does not have it.

    Args:
        model: a row of the table.
        offline: download nothing.

    Raises:
        ValueError: one line, for a file that cannot be downloaded, with the way to place it by hand; that is not the
            published one; or that is not what the table says.
        OSError: when the cache cannot be written.
    """
    folder = cache_folder() / FOLDER
    target = folder / f"{model.name}-{key_of(model)}.safetensors"
    if target.is_file():
        return target
    private_folder(folder.parent, tighten=not os.environ.get("AE_CACHE"))
    private_folder(folder, tighten=False)
    with locked_in_turn(folder / f"{model.file}.lock", SECONDS):
        if not target.is_file():  # another process may have made it meanwhile
            checkpoint = folder / model.file
            if not checkpoint.is_file():
                download_checkpoint(model, checkpoint, offline=offline)
            convert_checkpoint(model, checkpoint, target)
    return target


def key_of(model: PublishedModel) -> str:
    """Returns a digest of all that a model file is made from."""
    made_from = [asdict(model), __version__, repr(PROJECTS[model.project])]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:12]


def download_checkpoint(model: PublishedModel, checkpoint: Path, *, offline: bool) -> None:
    """Downloads a checkpoint from the first address that has it, and checks its digest.

    Args:
        checkpoint: gets the file, as soon as it is complete and right.

    Raises:
        ValueError: see `published_file`.
    """
    if offline or not model.urls:
        raise ValueError(by_hand(model, checkpoint, "" if model.urls else "has no address to download from"))
    partial = checkpoint.with_name(f"{checkpoint.name}.part")
    faults = []
    for url in model.urls:
        remark(f"downloading {model.name}, about {model.bytes / 1e6:.0f} MB, from {urlsplit(url).netloc}")
        begun = partial.exists()
        for _ in range(1 + begun):  # a part of another file, or a damaged one, is dropped, and a whole one read
            try:
                fetch_file(url, partial, timeout=SECONDS, max_bytes=most_bytes(model))
            except OSError as error:
                faults.append(f"{urlsplit(url).netloc}: {error}")
                break
            if is_right(model, digest_of(partial)):
                os.replace(partial, checkpoint)
                return
            faults.append(f"{urlsplit(url).netloc}: sends another file (SHA-256 {digest_of(partial)[:16]}...)")
            partial.unlink()
    raise ValueError(by_hand(model, checkpoint, f"cannot be downloaded ({'; '.join(dict.fromkeys(faults))})"))


def by_hand(model: PublishedModel, checkpoint: Path, fault: str) -> str:
    """Returns the message about a missing checkpoint: where it is, how it is recognised, and where to put it."""
    digest = f"SHA-256 {model.sha256}{'...' * (len(model.sha256) < DIGEST)}" if model.sha256 else "no known SHA-256"
    source = model.urls[0] if model.urls else model.place or f"its project ({model.status})"
    return f"model {model.name} {fault or 'is not in the cache'}: put the file of {source} ({digest}) at {checkpoint}"


def most_bytes(model: PublishedModel) -> int:
    """Returns the most bytes that are read of a checkpoint."""
    return model.bytes if model.bytes_exact else LARGER * model.bytes + SPARE_BYTES


def digest_of(path: Path) -> str:
    """Returns the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def is_right(model: PublishedModel, digest: str) -> bool:
    """Returns whether a file with this SHA-256 is the published one; without a known digest every file is."""
    return digest.startswith(model.sha256)


def convert_checkpoint(model: PublishedModel, checkpoint: Path, target: Path) -> None:
    """Converts a checkpoint to a model file.

    Raises:
        ValueError: for another file than the published one, or weights that are not those of the table.
        OSError: when the model file cannot be written.
    """
    digest = digest_of(checkpoint)
    if not is_right(model, digest):
        raise ValueError(
            f"{checkpoint}: is not the published file of {model.name}: its SHA-256 begins with "
            f"{digest[: len(model.sha256)]}, not {model.sha256}; remove it"
        )
    if not model.sha256:
        remark(f"{checkpoint}: its project states no SHA-256, so the file is taken as it is")
    network, info = load_published(
        checkpoint, model.project, skeleton=model.skeleton, input_size=model.input_size, udp=model.udp
    )
    origin = {"published": model.name, "sha256": digest, "licence": terms(model)["licence"]}
    save_model(target, network, replace(info, notes={**info.notes, **origin, "address": terms(model)["address"]}))
