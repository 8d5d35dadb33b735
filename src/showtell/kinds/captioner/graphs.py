"""A captioner as graphs for other programs, and how its token ids become text there.

Two graphs: ``encoder``, from pixels to the decoder's memory and first state, once an image; and ``decoder``,
one word. Their inputs and outputs are named after the fields of the decoder's memory and state.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from showtell.backbones.backbone import Backbone
from showtell.kinds.model import Graph, as_stored
from showtell.models.captioner import LENGTH_PENALTY
from showtell.models.decoder import Decoder
from showtell.models.decoding import AHEAD, Rows, select_rows
from showtell.runs.records import JsonObject
from showtell.text.tokenizer import CaptionTokenizer
from showtell.text.words import attaches, unspaced

if TYPE_CHECKING:
    from showtell.kinds.captioner.model import CaptionerModel

AnyDecoder = Decoder[Any, Any]


class _Encoder(nn.Module):
    """From pixels to what a captioner keeps of an image, and its first state."""

    def __init__(self, backbone: Backbone, decoder: AnyDecoder) -> None:
        super().__init__()
        self.backbone, self.decoder = backbone, decoder

    def parts(self, pixels: Tensor) -> tuple[Rows, Rows]:
        """Return memory and state of images (B, 3, height, width), uint8."""
        grid, _ = self.backbone.encode(pixels)
        memory = self.decoder.encode_grid(as_stored(grid, self.backbone))
        return memory, self.decoder.start(memory)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors of both."""
        memory, state = self.parts(pixels)
        return (*memory, *state)


class _Step(nn.Module):
    """One word of a captioner.

    Args:
        decoder: The decoder.
        memory: What it keeps of some image, and
        state: its state: of what kind and how many tensors these are.
    """

    def __init__(self, decoder: AnyDecoder, memory: Rows, state: Rows) -> None:
        super().__init__()
        self.decoder = decoder
        self._memory, self._state, self._count = type(memory), type(state), len(memory)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Read words (B, K), int64, given the tensors of memory and state, one after the other."""
        token_ids, *parts = inputs
        memory, state = self._memory(*parts[: self._count]), self._state(*parts[self._count :])
        log_probs, moved, attention = self.decoder.step(memory, state, token_ids)
        return (log_probs, *moved, attention)


def captioner_graphs(model: "CaptionerModel") -> tuple[list[Graph], JsonObject]:
    """Return the graphs, and what a reader needs for the search and the words."""
    captioner, size = model.captioner, model.backbone.preprocessing
    decoder, special = captioner.decoder, captioner.special
    pixels = torch.zeros(2, 3, size.height, size.width, dtype=torch.uint8)
    encoder = _Encoder(model.backbone, decoder)
    with torch.inference_mode():
        memory, state = encoder.parts(pixels)
        # Three rows an image: a size of one would be taken for fixed.
        state = select_rows(state, torch.zeros(2, 3, dtype=torch.long))
    kept, moving = _names(memory), _names(state)
    inputs = {
        "token_ids": torch.full((2, 3), special.bos_id),
        **dict(zip(kept, memory)),
        **dict(zip(moving, state)),
    }
    outputs = ["log_probs", *(f"next_{name}" for name in moving), "attention"]
    about = {
        "search": {
            "bos_id": special.bos_id,
            "eos_id": special.eos_id,
            "never": list(special.never),
            "beam_size": model.beam_size,
            "max_length": decoder.config.max_length,
            "length_penalty": LENGTH_PENALTY,
            "ahead": AHEAD,
            "memory": kept,
            "state": moving,
        },
        "grids": [[grid.rows, grid.columns] for grid in captioner.grids],
        "words": detokenization_table(captioner.tokenizer),
    }
    return [
        Graph(
            "encoder",
            "pixels to what the decoder needs of an image, once an image",
            encoder,
            {"pixels": pixels},
            [*kept, *moving],
        ),
        Graph(
            "decoder",
            "the words so far to log-probabilities of the next, once a word",
            _Step(decoder, memory, state),
            inputs,
            outputs,
            rows=("token_ids", *moving),
        ),
    ], about


def _names(parts: Rows) -> list[str]:
    """Return the names of a memory's or a state's tensors."""
    return list(parts._fields)  # type: ignore[attr-defined]  # a named tuple, of whatever kind


def detokenization_table(tokenizer: CaptionTokenizer) -> JsonObject:
    """Return how token ids are written, for a reader without this package.

    Returns:
        ``pieces`` by id, each with the blank before it; ``no_blank_after``, ids after which that blank falls
        away; and ``bytes``: whether a piece is bytes, each given as the letter of its number.
    """
    tokens = tokenizer.tokens
    special = {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id}
    if tokenizer.kind == "bpe":
        letters = _byte_letters()
        pieces = ["".join(letters[letter] for letter in token) for token in tokens]
    else:
        pieces = [token if attaches(token) or unspaced(token[0]) else f" {token}" for token in tokens]
    return {
        "pieces": ["" if i in special else piece for i, piece in enumerate(pieces)],
        "no_blank_after": [
            i for i, token in enumerate(tokens) if tokenizer.kind == "word" and unspaced(token[-1])
        ],
        "bytes": tokenizer.kind == "bpe",
    }


def _byte_letters() -> dict[str, str]:
    """Map the letters by which byte-level BPE writes bytes back to the letters of the same number.

    Source: Radford et al. 2019, their published encoder: bytes that print stand for themselves, the others
    for letters from 256 on.
    """
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): chr(byte) for byte in printing} | {
        chr(256 + place): chr(byte) for place, byte in enumerate(others)
    }
