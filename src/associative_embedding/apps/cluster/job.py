"""A large job: what its workers must know, and what must be equal when it goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from associative_embedding import __version__
from associative_embedding.apps.cluster.image_list import digest
from associative_embedding.inference.load import load
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.object_stores import is_remote, read_bytes, write_bytes
from associative_embedding.model_files.find import model_path

MANIFEST = "_manifest.json"  # readers of parquet folders leave out what begins with _ or .


@dataclass(frozen=True)
class Job:
    """What every worker needs.

    Attributes:
        folder: of the parquet files, a path or URI that all workers reach.
        model: name or path; a model file must have the same path on every machine.
        options: how the model runs. The device "auto" is the GPU that Ray gave to a worker, if it gave one; every
            machine makes its own graph for the runtime.
        digests: SHA-256 of the model files, see `digest_of`.
        batch: most images in one batch; None = 1, on a GPU 8.
        min_score: lowest score; None = the task's `shown_score`.
        base: folder that relative paths start from.
        notes: what each parquet file states about the job.
    """

    folder: str
    model: str
    options: Options = field(default_factory=Options)
    digests: Mapping[str, str] = field(default_factory=dict)
    batch: int | None = None
    min_score: float | None = None
    base: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Predictor:
        """
        Raises:
            ValueError: when the model cannot be loaded, or this machine's file differs from the job's.
        """
        for name, known in self.digests.items():
            if digest_of(name) != known:
                raise ValueError(f"model {name}: this machine's file is another one than that of the job; copy it anew")
        return load(self.model, self.options)


def digest_of(model: str) -> str:
    """SHA-256 of a model's file, or of OpenVINO's two.

    Raises:
        ValueError: see `loading.model_path`.
    """
    path = model_path(model)
    files = [path, path.with_suffix(".bin")] if path.suffix.lower() == ".xml" else [path]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def part_name(shard: int) -> str:
    return f"part-{shard:06d}.parquet"


def same_folder(path: str) -> str:
    """A path that means the same in every process of this machine."""
    return path if "://" in path else str(Path(path).resolve())


def same_file(model: str) -> str:
    """The same of a model's file; names of models stay."""
    return same_folder(model) if os.path.isfile(model) else model


def complete(job: Job, paths: Sequence[str], shard_size: int) -> Job:
    """The job with digests, absolute paths and what its manifest says.

    Raises:
        ValueError: for a model or setting that cannot be used; better here than in a hundred workers.
    """
    options, refine = job.options, job.options.refine
    options = replace(options, refine=refine and same_file(refine))
    job = replace(job, folder=same_folder(job.folder), model=same_file(job.model), options=options, base=os.getcwd())
    predictor = replace(job, options=replace(options, device="cpu")).load()  # this machine may have no GPU
    task, second = predictor.task, predictor.refiner.name if predictor.refiner else None
    job = replace(job, digests={name: digest_of(name) for name in (job.model, second) if name})
    notes = {
        "version": __version__,
        "models": list(job.digests.values()),
        "input_size": options.input_size,
        "scales": None if options.scales is None else list(options.scales),
        "flip": options.flip,
        "zoom": options.zoom,
        "tag_scales": None if options.tag_scales is None else list(options.tag_scales),
        "decode": dict(options.decode),
        "min_score": task.shown_score if job.min_score is None else job.min_score,
        "shard_size": shard_size,
        "images": len(paths),
        "list_sha256": digest(paths),
        "categories": task.categories,
    }
    return replace(job, notes=json.loads(json.dumps(notes)))


def check_manifest(job: Job, names: set[str]) -> None:
    """Write the folder's manifest, or compare it with this job.

    Raises:
        ValueError: for a folder that holds something else, or the results of other images, models or settings.
        OSError: when it cannot be read or written.
    """
    path = f"{job.folder}/{MANIFEST}"
    if MANIFEST not in names:
        if any(not name.startswith(".") for name in names):  # a write that was killed leaves a hidden file
            raise ValueError(f"{job.folder}: holds something else than results of ae predict --engine ray")
        write_bytes(path, json.dumps(job.notes, indent=1).encode() + b"\n")
        return
    try:
        known = json.loads(read_bytes(path, 2**28) if is_remote(path) else Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: not a json file ({error})") from None
    other = [key for key, value in job.notes.items() if not isinstance(known, dict) or known.get(key) != value]
    if other:
        raise ValueError(
            f"{job.folder}: is of other {', '.join(other)}; go on with the same command, or choose another --output"
        )
