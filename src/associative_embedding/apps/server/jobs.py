"""What the service and the process of the model send each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Job:
    """An image, and what to do with it.

    Attributes:
        digest: of the file; equal digests mean equal images.
        data: the image file, as it came.
        settings: decode settings of the request, which replace the settings of the model.
        min_score: lowest score of the instances in the answer, in [0, 1].
        picture: answer with the annotated picture instead of json.
    """

    digest: str
    data: bytes = field(repr=False)  # an error that names a job would else take 40 ms for 3 MB
    settings: Mapping[str, Any]
    min_score: float
    picture: bool


@dataclass(frozen=True)
class Answer:
    """The answer to a job, ready to be sent.

    Attributes:
        status: HTTP status.
        body: a COCO dataset as json, a JPEG, or, if the status is not 200, the reason as text in UTF-8.
        media_type: of the body.
    """

    status: int
    body: bytes = field(repr=False)
    media_type: str = "application/json"

    @classmethod
    def refusal(cls, status: int, reason: str) -> Answer:
        """Returns the answer to a job that failed."""
        return cls(status, reason.encode("utf-8", "replace"), "text/plain")


@dataclass(frozen=True)
class ServedTask:
    """What the service knows about the task of the model; see `Task` for the attributes.

    Not the task itself, whose modules import PyTorch: 200 MB and seconds that the service does without.
    """

    name: str
    categories: list[dict[str, Any]]
    finds_masks: bool
    shown_score: float
    decode_config: Any


@dataclass(frozen=True)
class ServedModel:
    """What the service knows about the model, which another process runs.

    Attributes:
        task: its task, with the decode settings.
        input_size: side of the network's input, pixels.
        device: name of the device that runs it.
    """

    task: ServedTask
    input_size: int
    device: str
