"""``report.html``: a run on one page, with its curves, pictures, numbers and settings. It needs no other file."""

from __future__ import annotations

import base64
import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from associative_embedding.io.console import escaped, visible
from associative_embedding.io.files import atomic_write
from associative_embedding.io.outputs import MARK, check_output, own_mark
from associative_embedding.io.progress import in_words
from associative_embedding.training.curves import Point, chart
from associative_embedding.training.history import Line, best_validation, read_log, validations

REPORT_FILE = "report.html"
LOSSES = {"loss": "loss", "heatmap": "heatmap loss", "pull": "pull loss", "push": "push loss", "lr": "learning rate"}
SCORES = {
    **{"AP": "AP", "PCK": "PCK", "pixel_error": "pixel error", "people_grouped_right": "people grouped right"},
    **{"OKS": "OKS", "mAP50": "mAP at IoU 0.5", "dsb_map": "DSB score", "pq": "panoptic quality"},
}
MEANING = {
    "AP": "average precision by COCO's rules, mean over OKS 0.5 to 0.95",
    "AP50": "the same at OKS 0.5",
    "AP75": "the same at OKS 0.75",
    "APM": "AP of medium people, with areas of 32² to 96² pixels",
    "APL": "AP of large people",
    "AR": "average recall, mean over OKS 0.5 to 0.95",
    "PCK": "share of keypoints within 0.1 of the size of their person or animal",
    "pixel_error": "median distance of a found keypoint from its label, image pixels",
    "keypoints_grouped_right": "share of true keypoints that the tags alone group right",
    "people_grouped_right": "share of people (or animals) that the tags alone group right",
    "crowds_grouped_right": "the same, in images of five and more",
    "OKS": "mean similarity of found and true keypoints",
    "mAP50": "mean over the classes of the average precision of masks at IoU 0.5",
    "mAP70": "the same at IoU 0.7",
    "dsb_ap50": "TP / (TP + FP + FN) at IoU 0.5",
    "dsb_map": "the same, mean over IoU 0.5 to 0.95",
    "aji": "aggregated Jaccard index",
    "pq": "panoptic quality: sq x rq",
    "sq": "mean IoU of the matched objects",
    "rq": "TP / (TP + FP / 2 + FN / 2) at IoU 0.5",
    "precision50": "share of the found objects that are right, at IoU 0.5",
    "recall50": "share of the true objects that are found, at IoU 0.5",
}
STYLE = """
:root{--ink:#22262e;--soft:#5c6470;--line:#d9dde3;--page:#fff;--plate:#f5f6f8;--curve:#1769c2}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ec;--soft:#a2a9b4;--line:#3a404a;--page:#16191e;--plate:#1f2329;
--curve:#6db0f5}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:72rem;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.7rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2.2rem}p.lead{color:var(--soft);margin-top:0}
svg{background:var(--plate);margin:0 .5rem .5rem 0;max-width:100%;height:auto}svg text{font-size:11px;fill:var(--soft)}
svg .title{font-size:13px;fill:var(--ink)}svg line{stroke:var(--line)}
svg polyline{fill:none;stroke:var(--curve);stroke-width:1.6}svg .pale{opacity:.3;stroke-width:1}
svg circle{fill:var(--curve)}img{max-width:100%;height:auto}figure{margin:0 0 1.5rem}figcaption{color:var(--soft)}
table{border-collapse:collapse}td,th{border-bottom:1px solid var(--line);padding:.25rem .8rem .25rem 0;text-align:left}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.m{color:var(--soft)}
pre{background:var(--plate);padding:.8rem;overflow:auto;font-size:.85rem}
"""


@dataclass(frozen=True)
class Story:
    """What a report says besides what the files of a run contain.

    Attributes:
        lead: the sentence below the title.
        notes: the lines that the run printed at its start, and why it ended.
        task: of the model.
    """

    lead: str
    notes: Sequence[str]
    task: str


def write_report(output: Path, story: Story) -> Path:
    """Writes the report of a run into its folder.

    Raises:
        ValueError: for a file of the same name that somebody else wrote.
    """
    path = output / REPORT_FILE
    check_output(path, own_mark(), announce=False)
    atomic_write(path, page(output, story).encode("utf-8", "backslashreplace"))
    return path


def page(output: Path, story: Story) -> str:
    """Returns the report as HTML. Texts of others are escaped, and the policy allows nothing from outside."""
    lines = read_log(output / "log.jsonl")
    name = visible(output.name)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = (
        f'<!doctype html>\n<html lang="en"><!-- {MARK.decode()} -->\n<head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(name)}</title><style>{STYLE}</style></head>\n<body>\n"
    )
    parts = [
        f"<h1>{escape(name)}</h1><p class=lead>{escape(story.lead)}</p>",
        *numbers_table(lines),
        *curves(lines),
        *pictures(output),
        section("How to predict", f"<pre>{escape(how_to_predict(output, story.task))}</pre>"),
        section(
            "What it was trained on", "<ul>" + "".join(f"<li>{escape(visible(n))}</li>" for n in story.notes) + "</ul>"
        ),
        *settings(output),
    ]
    return head + "\n".join(parts) + "\n</body></html>\n"


def section(title: str, body: str) -> str:
    """Returns a part of the page."""
    return f"<h2>{escape(title)}</h2>\n{body}"


def numbers_table(lines: Sequence[Line]) -> Iterator[str]:
    """Yields the numbers of the last and of the best validation, if there is one."""
    found = validations(lines)
    if not found:
        yield section("Numbers", "<p>The recipe has no images to validate on (data.validation).</p>")
        return
    best, columns = best_validation(lines), [("last", found[-1])]
    if best and best.step != found[-1]["step"]:
        columns.append((f"best {best.name}", next(line for line in found if line["step"] == best.step)))
    rows = "<tr><th></th>" + "".join(f"<th class=n>{escape(n)}, step {c['step']}</th>" for n, c in columns)
    rows += "<th></th></tr>"
    for key, value in found[-1].items():
        if key not in ("event", "step", "time") and (value is None or isinstance(value, (int, float))):
            cells = "".join(f"<td class=n>{as_text(column.get(key))}</td>" for _, column in columns)
            meaning = escape(MEANING.get(key, ""))
            rows += f"<tr><td>{escape(visible(key))}</td>{cells}<td class=m>{meaning}</td></tr>"
    yield section("Numbers", f"<table>{rows}</table>")


def as_text(value: object) -> str:
    """Returns a number with three decimals, or a dash where it is not defined."""
    return f"{value:.3f}" if isinstance(value, (int, float)) else "-"


def curves(lines: Sequence[Line]) -> Iterator[str]:
    """Yields the charts of the scores and losses that the log has."""
    charts = [
        chart(title, points) for key, title in SCORES.items() if len(points := series(lines, "validation", key)) > 1
    ]
    charts += [
        chart(title, points, smooth=key != "lr")
        for key, title in LOSSES.items()
        if (points := series(lines, "train", key)) and any(value for _, value in points)
    ]
    if charts:
        yield section("Curves", "".join(charts))


def series(lines: Sequence[Line], event: str, key: str) -> list[Point]:
    """Returns the finite values of one entry of the log by step."""
    values = [(line["step"], line.get(key)) for line in lines if line["event"] == event]
    return [(step, float(v)) for step, v in values if isinstance(v, (int, float)) and math.isfinite(v)]


def pictures(output: Path) -> Iterator[str]:
    """Yields the pictures of the last validation, and the batch."""
    figures = ""
    for pattern, caption in (
        (
            "validation/*-found.jpg",
            "Truth beside prediction; what is found has the colour of the true object that it fits, or is white",
        ),
        ("validation/*-tags.jpg", "Tags of one image: equal colours mean the same individual"),
        (
            "batch.jpg",
            "What the network is shown: training images with their labels; the loss leaves the striped parts out",
        ),
    ):
        if files := sorted(output.glob(pattern)):
            step = files[-1].stem.split("-")[1] if "validation" in pattern else ""
            text = escape(caption) + (f", step {int(step)}" if step.isdigit() else "")
            data = base64.b64encode(files[-1].read_bytes()).decode()
            image = f'<img alt="{text}" src="data:image/jpeg;base64,{data}">'
            figures += f"<figure><figcaption>{text}</figcaption>{image}</figure>"
    if figures:
        yield section("Pictures", figures)


def how_to_predict(output: Path, task: str) -> str:
    """Returns commands and Python that use the model."""
    model = visible(output / "model.safetensors")
    word = shlex.quote(model)
    commands, load = [f"ae predict photo.jpg --model {word}"], f"ae.load({model!r})"
    if task == "single-person":  # refines the people whom another model finds
        commands, load = [f"ae predict photo.jpg --refine {word}"], f"ae.load(refine={model!r})"
    if task in ("pose", "tracking"):
        commands.append(f"ae predict film.mp4 --track --model {word}")
    python = ["import associative_embedding as ae", "", f"model = {load}", 'found = model("photo.jpg")']
    python.append('found.save("found.jpg")')
    return "\n".join([*commands, "", *python])


def settings(output: Path) -> Iterator[str]:
    """Yields all settings of the run, if its recipe can be read."""
    path = output / "recipe.yaml"
    if path.is_file():
        text = escape(escaped(path.read_text(encoding="utf-8", errors="replace")))
        yield section("Settings", f"<details><summary>recipe.yaml</summary><pre>{text}</pre></details>")


def lead_of(step: int, steps: int, seconds: float, device: str) -> str:
    """Returns the sentence below the title."""
    return f"{step} of {steps} steps, {in_words(seconds)} on {device}."
