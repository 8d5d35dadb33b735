"""What the page of captions asks of its server."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request

from showtell.data.answers import ACCEPTED, MACHINE, PERSON, Answer
from showtell.errors import ConfigError
from showtell.teaching.captioning import LONGEST, Captioning

router = APIRouter(prefix="/v1/captions")
Tab = Annotated[str, Query(max_length=64, description="Which tab asks: it has an undo of its own.")]


class Row(BaseModel):
    """A caption as it stands in the table."""

    text: str
    who: str
    time: str


class Caption(BaseModel):
    """A caption of an image."""

    image: str
    text: str = Field(max_length=LONGEST)
    old: Row | None = Field(None, description="The caption that it takes the place of.")


class Begun(BaseModel):
    """What was typed of a caption."""

    image: str
    text: str = Field(max_length=LONGEST)


class Asked(BaseModel):
    """An image, and one of its captions."""

    image: str
    old: Row


def _state(request: Request) -> Captioning:
    found: Captioning = request.app.state.captioning
    return found


def _record(request: Request, image: str) -> dict[str, object]:
    """Return how far it is, and the captions of the image on show."""
    found = _state(request).record(image) | {"training": request.app.state.caption_training.record()}
    return found | {"captions": _state(request).of(image)}


def _row(captioning: Captioning, image: str, row: Row) -> Answer:
    """Return the answer that a page has seen as a row.

    Raises:
        ConfigError: It is there no more.
    """
    for one in captioning.read():
        if (one.image, one.text, one.who, one.time) == (image, row.text, row.who, row.time):
            return one
    raise ConfigError("Somebody else has changed this caption meanwhile.")


@router.get("", summary="How far captioning is, what to show next, and the captions of an image")
def read_captions(request: Request, image: str = "") -> dict[str, object]:
    """Return it; without an image, of none."""
    return _record(request, image)


@router.post("/suggest", summary="What may come next in a caption")
def suggest(request: Request, begun: Begun) -> dict[str, object]:
    """Return next words, each with the whole text, and a sentence."""
    return _state(request).suggest(begun.image, begun.text)


@router.post("", summary="Keep a caption")
def keep(request: Request, tab: Tab, given: Caption) -> dict[str, object]:
    """Keep it on the disk; one that a machine wrote, left as it is, is accepted."""
    captioning = _state(request)
    old = None if given.old is None else _row(captioning, given.image, given.old)
    same = old is not None and old.who in (MACHINE, ACCEPTED) and old.text == given.text
    captioning.answer(given.image, given.text, tab, old=old, who=ACCEPTED if same else PERSON)
    return _record(request, given.image)


@router.post("/remove", summary="Take a caption out")
def remove(request: Request, tab: Tab, asked: Asked) -> dict[str, object]:
    """Take it out of the table; undo puts it back."""
    captioning = _state(request)
    captioning.remove(_row(captioning, asked.image, asked.old), tab)
    return _record(request, asked.image)


@router.post("/undo", summary="Take back what this tab did last")
def undo(request: Request, tab: Tab) -> dict[str, object]:
    """Return the image that it was of, too."""
    image = _state(request).undo(tab)
    return _record(request, image or "") | {"undone": image}


@router.post("/training", summary="Train a captioner on what was written")
def start_training(request: Request) -> dict[str, object]:
    """Start it; reading says how far it is."""
    request.app.state.caption_training.start()
    return _record(request, "")


@router.delete("/training", summary="Stop the training")
def stop_training(request: Request) -> dict[str, object]:
    """Stop it as Ctrl-C does."""
    request.app.state.caption_training.stop()
    return _record(request, "")
