"""A captioner: a backbone, a decoder that attends to its grid, and the decoder's words."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from torch import Tensor

from showtell.backbones.backbone import Backbone
from showtell.data.images import ImageLike, open_image
from showtell.errors import ConfigError, ModelError
from showtell.kinds.captioner.remembering import memory_text, read_memory
from showtell.kinds.captioner.settings import Recipe
from showtell.kinds.model import CHANGED, Card, Graph, Model, ModelConfig, Provenance
from showtell.kinds.result import Pictured
from showtell.models.captioner import Caption, Captioner
from showtell.models.config import DecoderConfig
from showtell.models.continuing import Continuation, continue_caption
from showtell.models.memory import MemoryConfig
from showtell.runs.records import JsonObject
from showtell.text.tokenizer import CaptionTokenizer

NAME = "captioner"
_WORDS, _MEMORY = "tokenizer.json", "memory.json"


@dataclass(frozen=True, kw_only=True)
class CaptionerProvenance(Provenance):
    """How a captioner was made.

    Attributes:
        recipe: What followed from how many images there were; None where that is not known.
        best_epoch: The epoch whose weights were kept.
        xe_epochs: Epochs until self-critical training began; None where there was none.
        verdict: Against captions that need no model, in a line.
        fault: Why it is not known to have learnt anything; empty where it is.
    """

    recipe: Recipe | None = None
    best_epoch: int = 0
    xe_epochs: int | None = None
    verdict: str = ""
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class CaptionerConfig(ModelConfig):
    """What ``config.json`` of a captioner says.

    Attributes:
        provenance: How it was made, for people.
        captioner: Sizes of the decoder.
        beam_size: Captions searched side by side, unless asked otherwise.
        memory: Of training images; None where there is none.
    """

    provenance: CaptionerProvenance = field(default_factory=CaptionerProvenance)
    captioner: DecoderConfig
    beam_size: int
    memory: MemoryConfig | None = None


@dataclass(frozen=True)
class CaptionResult(Caption, Pictured):
    """What a captioner says of an image: the best caption, and the others of its search.

    Attributes:
        others: Further captions, best first.
    """

    others: tuple[Caption, ...] = ()

    def _repr_html_(self) -> str:
        from showtell.kinds.captioner.showing import caption_html  # drawing takes a second to load

        return caption_html(self)

    @property
    def scores(self) -> Mapping[str, float]:
        """Return nothing: a caption is a sentence."""
        return {}

    def with_scores(self, scores: Mapping[str, float]) -> Self:
        """Return itself: a caption is a sentence."""
        return self

    def record(self, *, attention: bool = True) -> JsonObject:
        """Return what a script reads: the caption, its words, and the other captions."""
        words: list[JsonObject] = [
            {"word": word.text, "probability": word.probability} for word in self.words
        ]
        record: JsonObject = {
            "caption": self.text,
            "log_probability": self.log_probability,
            "words": words,
        }
        if attention:
            for entry, word in zip(words, self.words):
                entry["attention"] = [[round(value, 5) for value in row] for row in word.attention.tolist()]
            record["others"] = [
                {"caption": other.text, "log_probability": other.log_probability} for other in self.others
            ]
        if self.neighbours:
            record["neighbours"] = [asdict(neighbour) for neighbour in self.neighbours]
        return record


class CaptionerModel(Model[CaptionResult]):
    """From images to captions.

    Args:
        config: As saved.
        backbone: From pixels to grids.
        captioner: From grids to captions.
        beam_size: Captions searched side by side; None for what the config says.
    """

    config: CaptionerConfig
    Config: ClassVar[type[ModelConfig]] = CaptionerConfig

    def __init__(
        self,
        config: CaptionerConfig,
        backbone: Backbone,
        captioner: Captioner,
        beam_size: int | None = None,
    ) -> None:
        super().__init__(config, backbone, captioner)
        self.captioner = captioner
        self.beam_size = beam_size or config.beam_size
        self.memory = captioner.memory

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        captioner: Captioner,
        *,
        beam_size: int,
        provenance: CaptionerProvenance | None = None,
    ) -> Self:
        """Make a model of what was trained.

        Args:
            backbone: From pixels to grids.
            captioner: From grids to captions.
            beam_size: Captions searched side by side, unless asked otherwise.
            provenance: How it was made; None where that is not known.
        """
        config = CaptionerConfig(
            kind=NAME,
            backbone=backbone.description,
            provenance=provenance or CaptionerProvenance(),
            captioner=captioner.decoder.config,
            beam_size=beam_size,
            memory=captioner.memory.config if captioner.memory else None,
        )
        return cls(config, backbone, captioner.eval())

    @classmethod
    def build(cls, config: CaptionerConfig, backbone: Backbone, folder: Path) -> Self:
        """Build it from its saved parts, the decoder still without its weights.

        Raises:
            ModelError: The tokenizer is missing, or is of another model.
        """
        tokenizer = CaptionTokenizer.load(folder / _WORDS)
        if tokenizer.vocab_size != config.captioner.vocab_size:
            raise ModelError(
                f"{folder / _WORDS} has {tokenizer.vocab_size} tokens; the model was trained with "
                f"{config.captioner.vocab_size}.",
                hint=CHANGED,
            )
        captioner = Captioner(config.captioner, tokenizer, config.backbone.grid_size)
        if config.memory is not None:
            captioner.memory = read_memory(folder / _MEMORY, config.memory)
        return cls(config, backbone, captioner)

    def files(self) -> dict[str, str]:
        """Return the tokenizer, and the captions that are remembered, as texts."""
        files = {_WORDS: self.captioner.tokenizer.to_json()}
        if self.captioner.memory is not None:
            files[_MEMORY] = memory_text(self.captioner.memory)
        return files

    def predict(self, grid: Tensor, pooled: Tensor) -> list[CaptionResult]:
        """Caption images from their grids, (B, L, D)."""
        recalled = None if self.memory is None else self.memory.recall(pooled)
        found = self.captioner.describe(grid, recalled, beam_size=self.beam_size)
        return [CaptionResult(**vars(best), others=tuple(others)) for best, *others in found]

    def log_likelihood(self, grid: Tensor, pooled: Tensor, text: str) -> Tensor:
        """Return the log-probability of a sentence given each image (B,); unknown words count for nothing."""
        if not self.captioner.tokenizer.coverage([text]):
            raise ConfigError(
                f"The captioner knows no word of {text!r}.", hint="Expected words of its training."
            )
        return self.captioner.log_probabilities(grid, [text])[:, 0]

    def continue_caption(self, image: ImageLike, text: str) -> Continuation:
        """Go on with what a person has typed of an image's caption.

        Example:
            >>> found = model.continue_caption("dog.jpg", "A brown d")
            >>> found.words[0].text, found.sentences[0]
            ('A brown dog', 'A brown dog runs through the grass')

        Args:
            image: The image.
            text: What was typed; empty for nothing.

        Returns:
            The likeliest next words, and whole captions, which begin with what was typed.

        Raises:
            ImageError: It cannot be read.
        """
        grid, _ = self.backbone(self.pixels(image).unsqueeze(0).to(self.device))
        return continue_caption(self.captioner, grid[0], text)

    def draw(self, image: Path, result: CaptionResult, out: Path, known: str | None = None) -> Path:
        """Draw an image, its caption, and where the model attended at each word."""
        from showtell.kinds.captioner.drawing import draw_attention  # matplotlib takes a second to load

        return draw_attention(open_image(image), result, self.backbone.preprocessing, out)

    def with_beam_size(self, beam_size: int | None) -> Self:
        """Return the model with another width of its search."""
        return type(self)(self.config, self.backbone, self.captioner, beam_size or self.beam_size)

    def for_graphs(self) -> tuple[Self, str]:
        """Return the model without its memory: a graph holds no captions."""
        if self.memory is None:
            return self, ""
        without = copy.copy(self)
        without.memory = None
        return without, "The memory is not exported: there, captions are ranked by likelihood alone"

    def graphs(self) -> tuple[list[Graph], JsonObject]:
        """Return encoder and decoder, and what the search and the words need."""
        from showtell.kinds.captioner.graphs import captioner_graphs

        return captioner_graphs(self)

    def summary(self) -> JsonObject:
        """Return the sizes of vocabulary and search."""
        return {"vocab_size": self.captioner.tokenizer.vocab_size, "beam_size": self.beam_size}

    def words(self) -> Iterable[str]:
        """Return the texts of all tokens."""
        tokenizer = self.captioner.tokenizer
        return (tokenizer.decode([token]) for token in range(tokenizer.vocab_size))

    def card(self) -> Card:
        """Return what its README tells."""
        config = self.config
        rows, columns = config.backbone.grid_size
        memory: tuple[str, ...] = ()
        remembered = ""
        fault = config.provenance.fault
        unlearnt = f"It is not known to have learnt anything: {fault}.\n\n" if fault else ""
        if config.memory is not None:
            remembered = f", and its memory: names, captions and features of {config.memory.images:,} images"
            memory = (
                "Memory: captions are ranked by what people said of similar training images; what they said "
                "is in this folder for whoever has it to read",
            )
        return Card(
            purpose="Says in a sentence what an image shows, and where it looked for each word.",
            made=(
                f"Decoder: {config.captioner.kind} with attention over a {rows}x{columns} "
                f"grid, {config.captioner.vocab_size:,} tokens",
                *memory,
            ),
            chosen_by="CIDEr-D of its captions of",
            limits=f"{unlearnt}It knows the words and the kinds of images it was trained on, and nothing "
            "else; it states what is likely, not what is true.",
            contents=f"the {config.captioner.vocab_size:,} words it learnt{remembered}",
            pipeline_tag="image-to-text",
            tag="image-captioning",
        )
