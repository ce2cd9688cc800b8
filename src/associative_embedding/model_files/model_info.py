"""The description of a model, which its file has as one json string."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from associative_embedding.io.reading import AUTO
from associative_embedding.model_files.check_description import MAX_DESCRIPTION, check_values
from associative_embedding.structures.calibration import Calibration
from associative_embedding.tasks.all_tasks import TASKS
from associative_embedding.tasks.published.conventions import Conventions
from associative_embedding.tasks.task import Task

if TYPE_CHECKING:
    from associative_embedding.networks.network import Network

KEY = "associative_embedding"  # of the description in the metadata
FORMAT = 1  # of the description; a file of another format is refused
MODEL_FILE = "model.safetensors"  # in the folder of a training run, or of a model on the Hugging Face Hub


@dataclass(frozen=True)
class ModelInfo:
    """The description of a model: how to build its network, and how to use it.

    Attributes:
        backbone: a key of `networks.zoo.BACKBONES`.
        task: the meaning of the maps, and the decode settings that suit the weights.
        input_size: pixels, the side of the network's input (see `resize`) at which the model works best.
        scales: factors of `input_size`. The network runs once for each, and the task merges the results.
        fine_below: longer side of a small person, pixels of the input at the smallest scale. The larger scales run only
            for images where the smallest scale finds a smaller person, or nobody. 0 = all scales always.
        tag_scales: those of the scales whose tags are used; None = all, or for `conventions` the one nearest to 1.
        normalize: which values of an image became black and white in training, see `Reading`.
        zoom: input pixels per image pixel at which the model works best; 0 = fit each image into `input_size`.
        tag_size: D, tag dimension; 0 = no tags.
        options: the options of the backbone that differ from its defaults.
        notes: free text for people, e.g. the number of training steps.
        resize: the side of the image that becomes `input_size`, "long" or "short" (as HigherHRNet).
        enlarge: factor by which maps are enlarged (bilinear) before decoding, as HigherHRNet does; divides the stride
            of the network.
        refine: name of the shipped single-person model that refines every person; "" = none.
        refine_size: longer side of the crops that `refine` looks at, pixels; 0 = its own input size.
        conventions: how the published code of the weights runs the network; None = as this project does. With them
            `resize` and `enlarge` count for nothing.
        calibration: name of a refiner, or "none" -> the map of raw scores to the share that is right, found with it.
            With another refiner the first map holds.
    """

    backbone: str
    task: Task
    input_size: int
    scales: tuple[float, ...] = (1.0,)
    zoom: float = 0.0
    tag_size: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    resize: Literal["long", "short"] = "long"
    enlarge: int = 1
    refine: str = ""
    conventions: Conventions | None = None
    calibration: dict[str, Calibration] = field(default_factory=dict)
    tag_scales: tuple[float, ...] | None = None
    normalize: str = AUTO
    refine_size: int = 0
    fine_below: int = 0

    def build(self) -> Network:
        """Returns the network with fresh weights.

        Raises:
            ValueError: for an unknown backbone or option.
        """
        from associative_embedding.networks.zoo import build_network  # it imports torch

        return build_network(self.backbone, self.task.channels, self.tag_size, self.options)

    def to_json(self) -> str:
        """Returns the description as the json text of a model file."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values |= {**self.task.to_description(), "task": self.task.name}
        conventions = values.pop("conventions")
        if conventions is not None:
            values["conventions"] = dataclasses.asdict(conventions)
        if self.tag_scales is None:  # left out, so that the file reads as those of earlier versions
            del values["tag_scales"]
        if self.normalize == AUTO:
            del values["normalize"]
        for name in ("refine_size", "fine_below"):
            if not values[name]:
                del values[name]
        values["calibration"] = {name: calibration.points for name, calibration in self.calibration.items()}
        return json.dumps({"format": FORMAT, **values}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        """Returns the description from the json text of a model file.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: for a text that `to_json` cannot have written.
        """
        if len(text) > MAX_DESCRIPTION:
            raise ValueError(f"its {len(text)} characters are more than the {MAX_DESCRIPTION} that are read")
        values = json.loads(text)
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise ValueError(f"it is not of format {FORMAT}; another version of associative-embedding wrote it")
        name = values.pop("task", "pose")
        if not isinstance(name, str) or name not in TASKS:
            raise ValueError(f"its task {name!r:.60} is not known")
        check_values(values, name)
        # All other keys (skeleton, classes, decode ...) belong to the task, so a new task needs no change here.
        own = {f.name for f in dataclasses.fields(cls)}
        task = TASKS[name].from_description({key: values.pop(key) for key in list(values) if key not in own})
        if values.get("conventions") is not None:
            if name != "pose":
                raise ValueError(f"conventions belong to models of the task pose, not of {name}")
            values["conventions"] = Conventions.from_values(values["conventions"])
        maps = values.get("calibration", {})
        values["calibration"] = {name: Calibration.from_values(points) for name, points in maps.items()}
        if values.get("tag_scales") is not None:
            values["tag_scales"] = tuple(values["tag_scales"])
        return cls(**{**values, "task": task, "scales": tuple(values.get("scales", (1.0,)))})
