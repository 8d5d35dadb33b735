"""Which class is which decoder: a new one is a line here, and a name in :mod:`showtell.models.config`."""

from typing import Any

from showtell.models.attention import AttentionDecoder
from showtell.models.config import DecoderConfig, DecoderKind
from showtell.models.decoder import Decoder

_DECODERS: dict[DecoderKind, type[Decoder[Any, Any]]] = {"lstm": AttentionDecoder, "gru": AttentionDecoder}


def build_decoder(config: DecoderConfig) -> Decoder[Any, Any]:
    """Build the decoder that a config describes, untrained."""
    return _DECODERS[config.kind](config)
