"""The files of microscopes that failed once, with the shipped model; see ../shared/cases/microscopy."""

from __future__ import annotations

from pathlib import Path

import pytest

from associative_embedding.apps.cli.main import main
from associative_embedding.inference.load import load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.image_limits import ImageError

pytestmark = pytest.mark.slow

BASE = "01-u16-not-normalised/00_base.png"  # 65 nuclei


@pytest.fixture(scope="module")
def model() -> Predictor:
    return load("nuclei")


@pytest.fixture(scope="module")
def cases(shared: Path) -> Path:
    return shared / "cases" / "microscopy"


@pytest.fixture(scope="module")
def usual(model: Predictor, cases: Path) -> int:
    """How many nuclei are found in the picture that the files show."""
    count = len(model(cases / BASE))
    assert 62 <= count <= 70
    return count


@pytest.mark.parametrize(
    "file",
    [
        "01-u16-not-normalised/A02_u16_12bit.tif",
        "01-u16-not-normalised/A03_u16_lowcount_offset.tif",
        "03-planar-tiff-garbage/u8_default_3HW.tif",
        "03-planar-tiff-garbage/u16_default_3HW.tif",
        "03-planar-tiff-garbage/f32_default_3HW.tif",
        "05-multipage-first-page/B02_imagej_zstack.tif",
    ],
)
def test_every_depth_and_layout_shows_the_same_nuclei(file: str, model: Predictor, cases: Path, usual: int) -> None:
    assert abs(len(model(cases / file)) - usual) <= 3


@pytest.mark.parametrize("name", ["gauss10_3", "poisson1", "poisson3", "poisson10"])
def test_there_is_nothing_in_noise(name: str, model: Predictor, cases: Path) -> None:
    assert not len(model(cases / f"02-noise-is-nuclei/empty_{name}.png", min_score=0))


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("B03_ome_cyx_2ch.tif", 2),
        ("B03b_imagej_cyx_2ch.tif", 2),
        ("B04_yx2_planarcontig.tif", 2),
        ("B06_u16_5ch_planarsep.tif", 2),
        ("B06b_u8_5ch_contig.tif", 2),
        ("u16_minisblack4_contig_distinct.tif", 3),
        ("u8_minisblack4_contig_distinct.tif", 3),
    ],
)
def test_a_channel_is_never_chosen_silently(name: str, channel: int, model: Predictor, cases: Path, usual: int) -> None:
    path = cases / "06-channel-first" / name
    with pytest.raises(ImageError, match="choose one: --channel"):
        model(path)
    assert abs(len(model(path, channel=channel)) - usual) <= 3


def test_each_plane_of_a_stack_is_read(cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = str(cases / "05-multipage-first-page" / "tl_stack.tif")
    assert main(["predict", stack, "--model", "nuclei", "--track", "--output", str(tmp_path / "a")]) == 0
    assert "5 frames" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["csv", "roi", "geojson", "labels"])
def test_answers_can_be_taken_elsewhere(form: str, cases: Path, tmp_path: Path) -> None:
    if form == "roi":
        pytest.importorskip("roifile", reason="needs the extra [roi]")
    command = ["predict", str(cases / BASE), "--model", "nuclei", "--formats", form, "--output", str(tmp_path / "a")]
    assert main(command) == 0
    endings = {"csv": "predictions.csv", "roi": "*.zip", "geojson": "*.geojson", "labels": "*-labels.tif"}
    (file,) = (tmp_path / "a").glob(endings[form])
    assert file.stat().st_size > 500
