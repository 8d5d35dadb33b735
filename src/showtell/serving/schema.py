"""The shapes of answers, for the documentation and for those who write clients."""

from pydantic import BaseModel, Field


class Word(BaseModel):
    """A word of a caption."""

    word: str
    probability: float = Field(description="Given the image and the words before, 0 to 1.")
    attention: list[list[float]] = Field(
        description="Attention weights, rows x columns over what it saw of the image; sums to 1."
    )


class OtherCaption(BaseModel):
    """A caption that was weighed, too."""

    caption: str
    log_probability: float


class Neighbour(BaseModel):
    """A training image that a caption leaned on."""

    image: str = Field(description="Its name in the training data.")
    captions: list[str] = Field(description="What people wrote of it, most like the caption first.")
    similarity: float = Field(description="Cosine of the pooled features, -1 to 1.")
    share: float = Field(description="Its part of what all neighbours say for the caption, 0 to 1.")


class GradCam(BaseModel):
    """What speaks for the class a classifier chose: Grad-CAM."""

    label: str
    cells: list[list[float]] = Field(
        description="How much each cell speaks for the class, rows x columns, as fractions of the largest."
    )


class Seen(BaseModel):
    """What every record may hold."""

    image: str | None = Field(None, description="Name of the file, where one was sent.")
    seen: tuple[float, float, float, float] | None = Field(
        None,
        description="With explain: left, top, right, bottom of what the network saw, in [0, 1].",
    )


class Captioned(Seen):
    """What a captioner says of an image."""

    caption: str
    log_probability: float = Field(description="Natural logarithm, summed over all tokens and the end.")
    words: list[Word]
    others: list[OtherCaption] = Field(description="Further captions of the search, best first.")
    neighbours: list[Neighbour] | None = Field(
        None, description="With a memory: the training images that spoke most for the caption."
    )


class Classified(Seen):
    """What a classifier says of an image."""

    label: str = Field(alias="class")
    classes: dict[str, float] = Field(description="The five likeliest with their probabilities.")
    grad_cam: GradCam | None = None


class Unreadable(BaseModel):
    """An image among several that cannot be read."""

    image: str | None = None
    error: str


class Answer(BaseModel):
    """What a model says of the images of a request, in their order."""

    model: str
    results: list[Captioned | Classified | Unreadable]


class ModelSummary(BaseModel):
    """A model that this server holds."""

    name: str
    kind: str = Field(description="captioner or classifier.")
    backbone: str
    language: str = Field(description="Guessed from its words: ko or en.")
    scores: dict[str, float] = Field(description="On the images that validated it.")
    corrects: bool = Field(description="Whether /v1/corrections keeps what people correct of it.")
    alike: bool = Field(description="Whether /v1/alike finds training images of it that look like an image.")
    classes: list[str] | None = None
    vocab_size: int | None = None
    beam_size: int | None = None


class Alike(BaseModel):
    """A training image that looks like an image."""

    image: str = Field(description="Its name in the training data.")
    similarity: float = Field(description="Cosine of the pooled features, -1 to 1.")
    words: str = Field(description="Its label, or the first of its captions.")


class Card(BaseModel):
    """A model card."""

    name: str
    config: dict[str, object]
    readme: str


class Error(BaseModel):
    """Why there is no answer."""

    error: str
