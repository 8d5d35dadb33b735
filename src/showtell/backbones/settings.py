"""Settings of the network that encodes images."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from showtell.backbones.description import EngineChoice, Precision, choose_engine
from showtell.errors import ConfigError
from showtell.settings import MAX_SIDE, Maybe, Settings, at_least, at_most

if TYPE_CHECKING:
    from showtell.backbones.backbone import Backbone
    from showtell.console import Console


@dataclass(frozen=True)
class BackboneSettings(Settings):
    """Which network encodes images, and how it is run."""

    backbone: Maybe[str] = None
    """Any timm network, or several whose features are joined: a,b.
    By default that of --weights, a cached mobilenetv2_100, or tf_efficientnet_lite0 of the extra weights."""
    weights: Maybe[str] = None
    """A folder in timm's local format, a .safetensors or .pth file, or random; for several networks a,b.
    By default, and where one of several is empty, the hub's cache, then the extra weights, then the hub."""
    image_size: Maybe[int] = None
    """Side of the network's input in pixels, at least 32; the network's own by default."""
    resize: Literal["stretch", "crop"] = "stretch"
    """Stretch the whole image to the input, or crop its centre."""
    precision: Precision = "float32"
    """Arithmetic of the backbone; features differ slightly.
    bfloat16 takes half the time if the CPU supports it, int8 by onnxruntime even less."""
    engine: EngineChoice = "auto"
    """What runs the backbone: auto is the fastest that is installed and gives the features of torch.
    On a CPU that is mostly openvino (extra: openvino), then onnxruntime (export)."""
    store: Maybe[Path] = None
    """Folder of the feature store; SHOWTELL_STORE or the user's cache by default."""
    device: str = "auto"
    """Where to compute: cpu, cuda or mps; auto takes the best there is."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, image_size=32)
        at_most(self, image_size=MAX_SIDE)
        choose_engine(self.engine, self.precision)
        self.networks()

    def networks(self) -> "list[tuple[str | None, str | None]]":
        """Return the name and the weights of each network; None for what is not said.

        Raises:
            ConfigError: There are more or fewer weights than networks.
        """
        names, weights = _listed(self.backbone), _listed(self.weights)
        if names == [None]:
            names *= len(weights)
        if weights == [None]:
            weights *= len(names)
        if len(names) != len(weights):
            raise ConfigError(
                f"--backbone names {len(names)} networks ({self.backbone}), and --weights names those of "
                f"{len(weights)} ({self.weights}).",
                hint="Expected one for each, in the same order; an empty one is the network's own: "
                "--backbone a,b --weights PATH,",
            )
        return list(zip(names, weights))

    def load(self, *, seed: int = 0, console: "Console | None" = None) -> "Backbone":
        """Build the backbone, or the several ones, with their weights, on its device.

        Args:
            seed: Of random weights.
            console: Told which weights were found, and before anything is downloaded.

        Raises:
            WeightsError: The weights are missing, damaged, or of another network.
            ConfigError: There is no such network or device.
        """
        # torch takes seconds to import, and settings are read for --help, too.
        from showtell.backbones.joint import JointBackbone
        from showtell.backbones.weights import load_backbone
        from showtell.runtime import choose_device

        device = choose_device(self.device)
        found = [
            load_backbone(
                name,
                weights,
                image_size=self.image_size,
                fit=self.resize,
                seed=seed,
                precision=self.precision,
                engine=self.engine,
                console=console,
            )
            for name, weights in self.networks()
        ]
        return (found[0] if len(found) == 1 else JointBackbone(found)).to(device)


def _listed(given: str | None) -> "list[str | None]":
    """Return what is listed with commas between, None for what is empty; a path that has one is one."""
    if given is None or Path(given).exists():
        return [given]
    return [part.strip() or None for part in given.split(",")]
