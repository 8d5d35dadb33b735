"""How token ids become text, as plain data: for readers that have none of this package."""

from typing import Any

from showtell.text.tokenizer import CaptionTokenizer
from showtell.text.words import attaches, unspaced


def detokenization_table(tokenizer: CaptionTokenizer) -> dict[str, Any]:
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
