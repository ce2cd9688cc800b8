"""Every kind of picture comes out as the same RGB; everything else is one clear line."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from associative_embedding.io.find_images import find_images
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.images import read_image, read_url

Array = np.ndarray[Any, np.dtype[Any]]

# red, green / blue, grey, each a block large enough to survive JPEG
CORNERS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [128, 128, 128]]], np.uint8)
RGB = CORNERS.repeat(16, 0).repeat(24, 1)  # (32, 48, 3)
GREY = np.arange(0, 256, dtype=np.uint8).reshape(8, 32)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners(image: Array) -> Array:
    h, w = image.shape[:2]
    return image[[h // 4, 3 * h // 4]][:, [w // 4, 3 * w // 4]]


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("PNG", 0), ("BMP", 0), ("TIFF", 0), ("PPM", 0), ("GIF", 1), ("JPEG", 4), ("WEBP", 8)]
)
def test_formats(kind: str, tolerance: int, tmp_path: Path) -> None:
    data = encoded(Image.fromarray(RGB), kind)
    image = read_image(data)
    assert image.shape == RGB.shape
    assert image.dtype == np.uint8
    assert np.abs(corners(image).astype(int) - CORNERS).max() <= tolerance
    path = tmp_path / "picture"
    path.write_bytes(data)
    for same in (path, str(path), Image.open(io.BytesIO(data))):
        np.testing.assert_array_equal(read_image(same), image)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "PA", "1", "CMYK", "YCbCr", "I;16", "F"])
def test_modes_of_a_pillow_image(mode: str) -> None:
    if mode == "F":
        source = Image.fromarray(GREY.astype(np.float32) / 255)
    elif mode == "I;16":
        source = Image.fromarray(GREY.astype(np.uint16) * 257)
    else:
        source = Image.fromarray(GREY).convert("RGB" if mode == "CMYK" else "P" if mode == "PA" else "L").convert(mode)
    image = read_image(source)
    assert image.shape == (8, 32, 3)
    expected = np.where(GREY > 127, 255, 0) if mode == "1" else GREY
    if mode == "1":  # Pillow dithers: only the mean is kept
        assert set(np.unique(image)) == {0, 255}
        assert abs(image.mean() - expected.mean()) < 8
    else:
        assert np.abs(image.astype(int) - expected[:, :, None]).max() <= 2


def test_sixteen_bits_use_the_full_range() -> None:
    deep = GREY.astype(np.uint16) * 257
    expected = GREY[:, :, None].repeat(3, 2)
    for data in (encoded(Image.fromarray(deep), "PNG"), encoded(Image.fromarray(deep), "TIFF"), deep):
        np.testing.assert_array_equal(read_image(data), expected)
    for extension in (".png", ".tiff", ".ppm"):
        colour = RGB.astype(np.uint16) * 257
        data = cv2.imencode(extension, colour[:, :, ::-1])[1].tobytes()
        np.testing.assert_array_equal(read_image(data), RGB)


def test_float_tiff() -> None:
    grey = encoded(Image.fromarray(GREY.astype(np.float32) / 255), "TIFF")
    np.testing.assert_array_equal(read_image(grey)[:, :, 0], GREY)
    colour = cv2.imencode(".tiff", RGB[:, :, ::-1].astype(np.float32) / 255)[1].tobytes()
    np.testing.assert_array_equal(read_image(colour), RGB)
    with pytest.raises(ImageError, match="limit of 100 pixels"):
        read_image(colour, max_pixels=100)
    stretched = read_image(encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"))
    np.testing.assert_array_equal(stretched[:, :, 0], stretched_by_percentiles(GREY))


def stretched_by_percentiles(values: Array) -> Array:
    low, high = np.percentile(values.astype(np.float64), [1, 99.8])
    return (((values - low) / (high - low)).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def test_integers_whose_white_is_unknown_are_stretched() -> None:
    values = np.arange(-1000, 71_000, 100, dtype=np.int32).reshape(20, 36)
    for source in (encoded(Image.fromarray(values), "TIFF"), values, values.astype(">i8"), values.astype(np.float64)):
        np.testing.assert_array_equal(read_image(source)[:, :, 0], stretched_by_percentiles(values))


def test_cmyk_of_adobe() -> None:
    data = encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=100)
    assert b"Adobe" in data  # whose CMYK is stored inverted
    assert np.abs(corners(read_image(data)).astype(int) - CORNERS).max() <= 6


def test_alpha_lies_over_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0] = 200
    rgba[0, :, 3] = 0, 255, 102  # 0.4
    expected = [[[255, 255, 255], [200, 0, 0], [233, 153, 153]]]
    for source in (rgba, Image.fromarray(rgba), encoded(Image.fromarray(rgba), "PNG")):
        np.testing.assert_array_equal(read_image(source), expected)
    np.testing.assert_array_equal(read_image(rgba.astype(np.float32) / 255), expected)
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    data = encoded(palette, "PNG", transparency=bytes([0, 255]))
    np.testing.assert_array_equal(read_image(data)[0], [[255] * 3, [1] * 3])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation(orientation: int, kind: str) -> None:
    stored = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),  # to be turned clockwise
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation](RGB)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    image = read_image(encoded(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options))
    assert image.shape == RGB.shape
    assert np.abs(corners(image).astype(int) - CORNERS).max() <= 4


def test_broken_exif_does_not_hide_the_pixels() -> None:
    data = encoded(Image.fromarray(RGB), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff broken")
    assert read_image(data).shape == RGB.shape


def test_first_frame_of_an_animation() -> None:
    frames = [Image.fromarray(np.full((4, 4, 3), v, np.uint8)) for v in (10, 200)]
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(read_image(data).astype(int) - 10).max() <= 2, kind


def test_arrays() -> None:
    assert read_image(RGB) is RGB
    for array in (GREY, GREY[:, :, None]):
        np.testing.assert_array_equal(read_image(array), GREY[:, :, None].repeat(3, 2))
    np.testing.assert_array_equal(read_image(RGB[::-1, ::-1]), RGB[::-1, ::-1])
    np.testing.assert_array_equal(read_image(RGB.astype(np.float64) / 255), RGB)
    np.testing.assert_array_equal(read_image(np.array([[1.0005, -0.0005]], np.float32))[0, :, 0], [255, 0])
    np.testing.assert_array_equal(read_image(GREY > 127)[:, :, 0], np.where(GREY > 127, 255, 0))
    deep = RGB.astype(np.uint16) * 257
    for order in "<>":
        np.testing.assert_array_equal(read_image(deep.astype(f"{order}u2")), RGB)
        np.testing.assert_array_equal(read_image((RGB / 255).astype(f"{order}f4")), RGB)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((3, 8, 8), np.uint8), r"shape must be .*; channels come last: array\.transpose\(1, 2, 0\)"),
        (np.zeros((8, 8, 2), np.uint8), "shape must be"),
        (np.zeros(8, np.uint8), "shape must be"),
        (np.zeros((0, 8, 3), np.uint8), "no pixels"),
        (np.zeros((8, 8), np.complex64), "type complex64, which are no grey values"),
        (np.full((8, 8), "a"), "which are no grey values"),
        (np.full((8, 8), np.nan), "no value that is finite"),
        (np.zeros((200, 200), np.uint8), "200x200, more than the limit of 10000 pixels"),
    ],
)
def test_wrong_arrays(array: Array, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        read_image(array, max_pixels=10_000)


def test_wrong_files(tmp_path: Path) -> None:
    png = encoded(Image.fromarray(RGB), "PNG")
    jpeg = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)), "JPEG")
    contents = {
        "empty.jpg": (b"", "is empty"),
        "text.jpg": (b"hello, world", "not an image"),
        "page.png": (b"<!doctype html><html></html>", "not an image"),
        "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "damaged or truncated"),
        "cut.png": (png[: len(png) // 2], "damaged or truncated"),
        "head.png": (png[:20], ""),
        "cut.tif": (encoded(Image.fromarray(RGB), "TIFF")[:3000], "damaged or truncated"),
    }
    for name, (data, reason) in contents.items():
        (tmp_path / name).write_bytes(data)
        assert_one_line(tmp_path / name, f"{name}: .*{reason}")
    assert_one_line(tmp_path, "is a folder")
    assert_one_line(tmp_path / "missing.jpg", "No such file")
    assert_one_line(str(tmp_path) + "\0", "null")
    assert_one_line("x" * 5000, "too long")
    os.mkfifo(tmp_path / "pipe")
    assert_one_line(tmp_path / "pipe", "not a regular file")
    assert_one_line("file:///etc/hostname", "only http and https")
    with pytest.raises(ImageError, match=r"image of type Tensor: give .*tensor\.permute\(1, 2, 0\)"):
        read_image(torch.zeros(3, 8, 8))  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="image of type NoneType"):
        read_image(None)  # type: ignore[arg-type]


def assert_one_line(source: Any, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(source)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_limits(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(encoded(Image.new("1", (12_000, 12_000)), "PNG"))  # Pillow alone would warn of it
    with pytest.raises(ImageError, match="12000x12000, more than the limit of 100000000 pixels"):
        read_image(path, max_pixels=100_000_000)
    with pytest.raises(ImageError, match="more than the limit of 100"):
        read_image(path, max_bytes=100)
    before = Image.MAX_IMAGE_PIXELS
    wide = encoded(Image.new("1", (20_000, 10_000)), "PNG")  # of which Pillow alone would make an error
    with pytest.raises(ImageError, match="more than the limit"):
        read_image(wide)
    assert before == Image.MAX_IMAGE_PIXELS


def mutations() -> st.SearchStrategy[list[tuple[float, int]]]:
    return st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"]), mutations(), st.floats(0, 1))
def test_damage_is_an_image_or_an_image_error(kind: str, changes: list[tuple[float, int]], keep: float) -> None:
    data = bytearray(encoded(Image.fromarray(RGB), kind))
    for place, value in changes:
        data[int(place * len(data))] = value
    with contextlib.suppress(ImageError):  # which nothing else may come out as
        image = read_image(bytes(data[: int(keep * len(data)) + 1]), max_pixels=10**6)
        assert image.ndim == 3
        assert image.dtype == np.uint8


def test_threads_decode_and_leave_no_trace() -> None:
    data = encoded(Image.fromarray(RGB), "PNG")
    good: list[bool] = []
    threads = [
        threading.Thread(target=lambda: good.extend(np.array_equal(read_image(data), RGB) for _ in range(20)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert good == [True] * 80
    assert Image.MAX_IMAGE_PIXELS is not None


# --- URLs


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        name = self.path.split("?")[0].lstrip("/")
        if name == "missing.png":
            self.send_error(404)
        elif name in ("redirect", "redirect_ftp"):
            self.send_response(302)
            self.send_header("Location", "/gr%C3%BCn.png" if name == "redirect" else "ftp://127.0.0.1/x.png")
            self.end_headers()
        elif name == "slow_header":
            time.sleep(10)
        else:
            self.answer(name)

    def answer(self, name: str) -> None:
        png = encoded(Image.fromarray(RGB), "PNG")
        data = {"text.png": b"<html>not an image</html>", "large.png": png + b"\0" * 300_000}.get(name, png)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if name == "cut.png":
            self.wfile.write(data[: len(data) // 2])
        elif name == "slow.png":
            for i in range(len(data)):  # each byte in time, the whole never
                self.wfile.write(data[i : i + 1])
                time.sleep(0.05)
        else:
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the reader hung up, as it should


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    patch = pytest.MonkeyPatch()
    patch.setenv("no_proxy", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()
    patch.undo()


def test_urls(server: str) -> None:
    for path in ("picture.png", "grün und blau.png", "picture.png?a=1&b=%20", "redirect"):
        np.testing.assert_array_equal(read_image(f"{server}/{path}"), RGB)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing.png", "HTTP 404"),
        ("text.png", "not an image"),
        ("large.png", "larger than the limit of 100000 bytes"),
        ("cut.png", "bytes early"),
        ("redirect_ftp", "ftp"),
    ],
)
def test_wrong_urls(server: str, path: str, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        read_url(f"{server}/{path}", max_bytes=100_000)
    assert str(caught.value).startswith(f"{server}/{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["slow.png", "slow_header"])
def test_the_whole_time_is_bounded(server: str, path: str) -> None:
    start = time.monotonic()
    with pytest.raises(ImageError, match=r"no complete answer within 0\.4 seconds"):
        read_url(f"{server}/{path}", timeout=0.4)
    assert time.monotonic() - start < 5  # neither the ten seconds of the header nor the minutes of the bytes


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1/x.png", "http://127.0.0.1:port/x.png", "http://127.0.0.1:9/x.png", "ftp://x/y.png"]
)
def test_urls_that_lead_nowhere(url: str) -> None:
    with pytest.raises(ImageError):
        read_image(url)


def test_photographs(shared: Path) -> None:
    paths = find_images([str(shared / "data/pose/no_people/images")])
    assert len(paths) == 70
    for path in paths[:5]:
        direct = cv2.imread(path)[:, :, ::-1]
        assert np.abs(read_image(path).astype(int) - direct).mean() < 1
