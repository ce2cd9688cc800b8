"""`make demo`: predicts on two photographs of scikit-image, and prints where the results are."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import skimage.data

from associative_embedding.apps.cli.main import main
from associative_embedding.io.write_images import write_image


def demo(output: str = "output/demo") -> int:
    """Writes the photographs to a temporary folder, runs ``ae predict`` on them and returns its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        photos = [Path(folder) / f"{name}.png" for name in ("astronaut", "camera")]
        for photo in photos:
            image = getattr(skimage.data, photo.stem)()
            # `camera` is grey, (H, W)
            write_image(photo, image if image.ndim == 3 else image[..., None].repeat(3, axis=2))
        status = main(["predict", *map(str, photos), "--output", output])
    print(f"annotated pictures and predictions.json are in {Path(output).resolve()}")
    print("your own photo:  .venv/bin/ae predict photo.jpg")
    return status


if __name__ == "__main__":
    sys.exit(demo())
