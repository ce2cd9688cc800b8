"""``ae calibrate``: stores in a model file how often instances with a given score are right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from associative_embedding.evaluation.annotated_images import open_for
from associative_embedding.evaluation.calibration import Judged, cross_validated, fit_calibration, judge
from associative_embedding.evaluation.settings import EvaluationSettings
from associative_embedding.inference.load import load
from associative_embedding.inference.pipeline import with_decode_settings
from associative_embedding.inference.refiner import NO_REFINER
from associative_embedding.io.console import say, visible
from associative_embedding.io.optional_packages import need
from associative_embedding.io.outputs import MARK, check_output, own_mark
from associative_embedding.model_files.checkpoint import describe_anew, read_description
from associative_embedding.model_files.find import model_path
from associative_embedding.model_files.model_info import KEY
from associative_embedding.structures.calibration import Calibration

SHOWN = 0.5  # lowest score that the new model shows: what is right more often than not

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class CalibrationSettings:
    """What ``ae calibrate`` measures, and where it writes.

    Attributes:
        annotations, images, split, held_out, ids, limit: the test set, see `EvaluationSettings`.
        refine: name or path of the refiner that the map is for; "none" = no refiner; None = the model's own.
        output: model file to write.
        plot: picture to write, or None.
    """

    annotations: str
    output: str
    images: str | None = None
    split: str = ""
    held_out: float = 0.0
    ids: str | None = None
    limit: int = 0
    refine: str | None = None
    plot: str | None = None

    @property
    def test_set(self) -> EvaluationSettings:
        """The annotated images."""
        return EvaluationSettings(self.annotations, self.images, self.split, self.held_out, self.ids, self.limit)


def calibrate(model: str, settings: CalibrationSettings) -> Calibration:
    """Writes a model file whose scores say how often they are right; it shows instances from the score `SHOWN` on.

    Raises:
        ValueError: for a model or annotations that cannot be used, or too few instances.
        OSError: for a file that cannot be written.
    """
    source = model_path(model)
    if Path(source).suffix != ".safetensors":
        raise ValueError(f"{model}: calibrate the .safetensors file, and export it again")
    check_output(settings.output, own_mark(KEY.encode()), [source, settings.annotations])
    if settings.plot:
        check_output(settings.plot, own_mark(), [source, settings.annotations, settings.output])
    predictor = load(model, refine=settings.refine)
    if predictor.info.conventions:
        raise ValueError(f"{model}: the scores of a published model stay as its code has them")
    judged = judge(predictor, open_for(predictor, settings.test_set))
    fitted = fit_calibration(judged)
    better = cross_validated(judged)
    say(table(judged, better))
    name = predictor.refiner.name if predictor.refiner else NO_REFINER
    info = read_description(source)
    assert info is not None  # `load` has read it
    task = with_decode_settings(info.task, {"shown_score": SHOWN})
    describe_anew(source, settings.output, replace(info, task=task, calibration={**info.calibration, name: fitted}))
    say(f"-> {visible(settings.output)}")
    if settings.plot:
        plot(settings.plot, judged, better)
        say(f"-> {visible(settings.plot)}")
    return fitted


def table(judged: Judged, calibrated: Judged) -> str:
    """Returns the bins as text: what the raw score says, what calibration makes of it, and the share that is right."""
    rows = [f"{'raw score':>9} {'calibrated':>10} {'right':>7} {'instances':>9}"]
    for (raw, right, count), (score, _, _) in zip(judged.bins(), calibrated.bins(), strict=True):
        rows.append(f"{raw:9.3f} {score:10.3f} {right:7.3f} {count:9d}")
    text = "mean distance of score and share: {:.3f} raw, {:.3f} calibrated (each fifth by the map of the others)"
    return "\n".join([*rows, text.format(judged.error(), calibrated.error())])


def plot(path: str, judged: Judged, calibrated: Judged) -> None:
    """Writes the picture of the shares that are right over the scores.

    Raises:
        ValueError: without matplotlib.
        OSError: for a file that cannot be written.
    """
    figure = need("matplotlib.figure", "notebook", "--plot").Figure(figsize=(8, 4), layout="constrained")
    axes: list[Axes] = list(figure.subplots(1, 2, sharex=True, sharey=True))
    for axis, part, title in zip(axes, (judged, calibrated), ("raw score", "calibrated score"), strict=True):
        score, share, _ = zip(*part.bins(), strict=True)
        axis.plot([0, 1], [0, 1], color="0.8")
        axis.plot(score, share, marker="o")
        axis.set(xlabel=title, xlim=(0, 1), ylim=(0, 1.02), title=f"error {part.error():.3f}")
    axes[0].set_ylabel("share that is right")
    figure.savefig(path, metadata={"Software": MARK.decode()})
