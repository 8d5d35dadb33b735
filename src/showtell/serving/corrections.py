"""Corrections from the demo's page: what is right of an image, kept in the run's folder with the image."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from showtell.data.pixels.opening import decode
from showtell.errors import DataError, ImageError
from showtell.files import numbered
from showtell.kinds.model import Model
from showtell.runs.corrections import Corrections
from showtell.runs.run import Run
from showtell.serving import schema
from showtell.serving.refusals import refusal

router = APIRouter()
LONGEST = 1000
"""Characters of a correction."""
Words = Annotated[str, Query(max_length=LONGEST)]


def corrections_of(models: Mapping[str, Model[Any]], runs: Sequence[Path]) -> dict[str, Corrections]:
    """Return where the corrections of each model are kept that has a run around it, by its name.

    Args:
        models: By name, in the order of the runs.
        runs: As typed.
    """
    found = {}
    for (name, model), folder in zip(models.items(), runs):
        run = Run(folder)
        if run.has_images:
            found[name] = Corrections(run, "label" if model.has_scores else "caption")
    return found


@router.post(
    "/v1/corrections",
    summary="Correct what a model said",
    responses={
        200: {"description": "How many corrections there are, and what to run to learn them."},
        404: {"model": schema.Error, "description": "The model has no run to keep it in."},
        422: {"model": schema.Error, "description": "The image cannot be read, or there are no words."},
        507: {"model": schema.Error, "description": "It cannot be kept."},
    },
)
async def correct(request: Request, model: str, right: Words, said: Words = "", name: Words = "") -> Response:
    """Send the image as the body; it is kept with what is right of it, in the folder of the run."""
    kept: Mapping[str, Corrections] = request.app.state.corrections
    if model not in kept:
        raise HTTPException(404, f"Corrections of {model[:100]!r} are not kept: it is no run of a demo.")
    corrections, content = kept[model], await request.body()
    try:
        await run_in_threadpool(_keep, corrections, content, right, said, name, request.app.state.max_pixels)
    except ImageError as error:
        return refusal(error, 422)
    except DataError as error:
        return refusal(error, 507 if right.strip() else 422)
    run = corrections.folder.parent
    command = f"train-{'captioner' if corrections.column == 'caption' else 'classifier'}"
    out = next(path for path in map(Path, numbered(str(run))) if not path.exists())
    learn = f"showtell {command} --from {shlex.quote(str(run))} --out {shlex.quote(str(out))}"
    return JSONResponse({"corrections": len(corrections.table.read()), "learn": learn})


def _keep(
    corrections: Corrections, content: bytes, right: str, said: str, name: str, max_pixels: int
) -> None:
    found = decode(content, max_pixels=max_pixels)  # what cannot be read is not worth keeping
    corrections.add(content, right, said=said, source=name or f"picture.{found.format.lower()}")
