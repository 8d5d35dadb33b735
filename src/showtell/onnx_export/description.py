"""``model.json`` of an export: what a reader of its graphs must know."""

from typing import Any, TypedDict


class Search(TypedDict):
    """How a captioner is searched: ids of tokens, and which outputs of the encoder are memory and state."""

    bos_id: int
    eos_id: int
    never: list[int]
    beam_size: int
    max_length: int
    length_penalty: float
    ahead: int
    memory: list[str]
    state: list[str]


class Words(TypedDict):
    """How token ids become a text: the piece of each, and those after which there is no blank."""

    pieces: list[str]
    no_blank_after: list[int]
    bytes: bool


class Description(TypedDict, total=False):
    """``model.json``; a captioner has ``search``, ``grids`` and ``words``, a classifier ``classes``."""

    kind: str
    backbone: str
    weights: str  # SHA-256 of the backbone's
    preprocessing: dict[str, Any]  # fields of Preprocessing
    pixels: str  # what the graphs take, for people
    provenance: dict[str, object]
    files: dict[str, str]  # by the name of the graph
    int8_files: dict[str, str]
    purposes: dict[str, str]
    search: Search
    grids: list[list[int]]  # rows and columns of each network's; attention lists those of one size once
    words: Words
    classes: list[str]
    check: dict[str, Any]  # what the export was found to be like
