"""The page of the service: its files, and what they need to know about the model."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import JSONResponse

from associative_embedding.apps.server.browsers import PAGE_HEADERS
from associative_embedding.apps.server.jobs import ServedModel
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.requests import model_description
from associative_embedding.drawing.palette import COLOURS, palette
from associative_embedding.drawing.skeletons import MIN_KEYPOINT_SCORE, SIDE_COLOURS, keypoint_sides
from associative_embedding.structures.skeleton import Skeleton

# The types are stated here: some systems guess others, and a browser runs no script of another type.
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}
# Name of the only category of a model -> example photo
EXAMPLES = {"person": "people.jpg", "nucleus": "nucleus.jpg"}


def page_router(model: ServedModel, limits: Limits) -> APIRouter:
    """Returns the routes ``/`` and ``/page/...``.

    Args:
        model: the model.
        limits: limits of the service; the page checks a photo before it sends it.
    """
    router = APIRouter(include_in_schema=False)
    files = {entry.name: entry.read_bytes() for entry in page_folder().iterdir() if suffix(entry.name) in MEDIA_TYPES}
    description = page_description(model, limits)

    @router.get("/")
    async def page() -> Response:
        return Response(files["page.html"], headers=PAGE_HEADERS, media_type=MEDIA_TYPES[".html"])

    @router.get("/page/model.json")
    async def model_json() -> JSONResponse:
        return JSONResponse(description, headers=NOT_KEPT)

    @router.get("/page/{name}")
    async def file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "the page has no such file")
        return Response(files[name], headers=NOT_KEPT, media_type=MEDIA_TYPES[suffix(name)])

    return router


# Files of two versions would not fit together, so a browser asks again after an update.
NOT_KEPT = {"Cache-Control": "no-cache"}


def page_folder() -> Any:
    """Returns the folder of the page's files, in an installed package, too."""
    return resources.files("associative_embedding.apps.server").joinpath("page")


def suffix(name: str) -> str:
    return name[name.rfind(".") :]


def page_description(model: ServedModel, limits: Limits) -> dict[str, Any]:
    """Returns what the page needs to know: the model, the colours of pictures, and the limits of a request."""
    task = model.task
    names = [category["name"] for category in task.categories]
    return {
        **model_description(model),
        "categories": [describe_category(category) for category in task.categories],
        "masks": task.finds_masks,
        "palette": [hex_colour(*colour) for colour in palette(COLOURS).tolist()],
        "side_colours": {side: hex_colour(*colour) for side, colour in SIDE_COLOURS.items()},
        "keypoint_score": MIN_KEYPOINT_SCORE,
        "example": EXAMPLES.get(names[0]) if len(names) == 1 else None,
        "limits": {"bytes": limits.max_bytes, "pixels": limits.max_pixels, "seconds": limits.timeout},
    }


def describe_category(category: Mapping[str, Any]) -> dict[str, Any]:
    """Returns id and name of a COCO category; with keypoints also their names, edges (counted from 0) and sides."""
    described = {"id": category["id"], "name": category["name"]}
    if "keypoints" not in category:
        return described
    skeleton = Skeleton.from_category(category)
    edges, sides = skeleton.edge_index.tolist(), list(keypoint_sides(skeleton))
    return {**described, "keypoints": list(skeleton.keypoints), "edges": edges, "sides": sides}


def hex_colour(red: int, green: int, blue: int) -> str:
    return f"#{red:02x}{green:02x}{blue:02x}"
