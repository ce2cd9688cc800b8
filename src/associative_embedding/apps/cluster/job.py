"""The description of a large job: what every worker needs, and the manifest that a continued job is compared with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from associative_embedding import __version__
from associative_embedding.apps.cluster.image_list import list_digest
from associative_embedding.inference.load import load, remark_one_person
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.object_stores import is_remote, read_bytes, write_bytes
from associative_embedding.io.reading import PLAIN
from associative_embedding.model_files.find import model_digest

MANIFEST = "_manifest.json"  # readers of parquet folders skip files whose name begins with _ or .
MAX_MANIFEST = 2**28  # bytes


@dataclass(frozen=True)
class Job:
    """What every worker needs.

    Attributes:
        folder: folder of the parquet files, a path or URI that all workers can reach.
        model: name or path; a model file must have the same path on every machine.
        options: how the model runs. The device "auto" is the GPU that Ray gave to a worker, or the CPU if it gave none.
            Every machine makes its own graph for the runtime.
        digests: model -> SHA-256 of its file, see `model_digest`.
        batch: highest number of images in one batch; None = 8 on a GPU, 1 on a CPU.
        min_score: lowest score of an instance; None = the task's `shown_score`.
        base: folder that relative paths start from.
        notes: the settings of the job, stored in every parquet file and in the manifest.
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
        """Loads the model.

        Raises:
            ValueError: when the model cannot be loaded, or the file on this machine differs from the file that the job
                was started with.
        """
        # Otherwise one machine with an old file would put its results among the others, and nobody would notice.
        for name, digest in self.digests.items():
            if model_digest(name) != digest:
                raise ValueError(f"model {name}: the file on this machine differs from the job's; copy it again")
        return load(self.model, self.options)


def part_name(shard: int) -> str:
    """Returns the file name of a shard's results."""
    return f"part-{shard:06d}.parquet"


def absolute_path(path: str) -> str:
    """Returns the absolute path of a file or folder. A URI stays as it is."""
    return path if "://" in path else str(Path(path).resolve())


def absolute_model(model: str) -> str:
    """Returns the absolute path of a model file. The name of a shipped model stays as it is."""
    return absolute_path(model) if os.path.isfile(model) else model


def prepare_job(job: Job, paths: Sequence[str], shard_size: int) -> Job:
    """Returns the job with absolute paths, digests and notes.

    Args:
        job: without digests and notes.
        paths: all images of the job.
        shard_size: images per parquet file.

    Raises:
        ValueError: for a model or setting that cannot be used.
    """
    # Workers run in other folders, so a relative path would mean another file there.
    options, refine = job.options, job.options.refine
    options = replace(options, refine=refine and absolute_model(refine))
    model = absolute_model(job.model)
    job = replace(job, folder=absolute_path(job.folder), model=model, options=options, base=os.getcwd())
    # Loaded here too, so that a wrong model is one error, not one from each of a hundred workers; on the CPU, because
    # the machine that starts a job may have no GPU.
    predictor = replace(job, options=replace(options, device="cpu")).load()
    remark_one_person(predictor)
    task, refiner = predictor.task, predictor.refiner.name if predictor.refiner else None
    job = replace(job, digests={name: model_digest(name) for name in (job.model, refiner) if name})
    notes = {
        "version": __version__,
        "models": list(job.digests.values()),
        "input_size": options.input_size,
        "scales": None if options.scales is None else list(options.scales),
        "flip": predictor.flip,
        "refine_rule": options.refine_rule,
        "refine_views": options.refine_views,
        "zoom": options.zoom,
        "tag_scales": None if options.tag_scales is None else list(options.tag_scales),
        "decode": dict(options.decode),
        "min_score": task.shown_score if job.min_score is None else job.min_score,
        "shard_size": shard_size,
        "images": len(paths),
        "list_sha256": list_digest(paths),
        "categories": task.categories,
    }
    # Else a job of an older version, which has no such notes, could not be continued.
    for name in ("refine_size", "fine_below"):
        if getattr(options, name) is not None:
            notes[name] = getattr(options, name)
    if options.reading != PLAIN:
        notes["reading"] = asdict(options.reading)
    return replace(job, notes=json.loads(json.dumps(notes)))  # as they will be read from the manifest: lists, no tuples


def check_manifest(job: Job, names: set[str]) -> None:
    """Writes the manifest of a new job, or compares the manifest in the folder with this job.

    Args:
        job: with its notes.
        names: names of the files in the job's folder.

    Raises:
        ValueError: for a folder with other files, or with the results of other images, models or settings.
        OSError: when the manifest cannot be read or written.
    """
    path = f"{job.folder}/{MANIFEST}"
    if MANIFEST not in names:
        # Hidden files may be there: a run that was killed while it wrote the manifest leaves one.
        if any(not name.startswith(".") for name in names):
            raise ValueError(f"{job.folder}: contains other files than results of ae predict --engine ray")
        write_bytes(path, json.dumps(job.notes, indent=1).encode() + b"\n")
        return
    try:
        known = json.loads(read_bytes(path, MAX_MANIFEST) if is_remote(path) else Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: not a json file ({error})") from None
    other = [key for key, value in job.notes.items() if not isinstance(known, dict) or known.get(key) != value]
    if other:
        raise ValueError(
            f"{job.folder}: the results there have other {', '.join(other)}; "
            "continue with the same command, or choose another --output"
        )
