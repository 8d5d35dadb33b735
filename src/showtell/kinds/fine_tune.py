"""What every fine-tuning shares: a backbone whose top is trained together with what reads its features."""

from collections.abc import Sequence

from torch import nn

from showtell.backbones.backbone import Backbone, spec_in_memory
from showtell.backbones.layers import Layer
from showtell.runs.settings import FineTuningSettings


class TunedNetwork(nn.Module):
    """A backbone with its head; batch statistics and dropout of the backbone stay as they were.

    Statistics of a few images would be worse than those of ImageNet, and weights may come with statistics
    that are folded into them and cannot be estimated again.

    Args:
        backbone: Its chosen layers are unfrozen.
        head: What is trained on its features.
        layers: What to train of the backbone, the lowest first.
    """

    def __init__(self, backbone: Backbone, head: nn.Module, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.backbone, self.head, self.layers = backbone, head, layers
        for layer in layers:
            for parameter in backbone.network.get_submodule(layer.name).parameters(recurse=False):
                parameter.requires_grad_(True)
        head.requires_grad_(True)

    def train(self, mode: bool = True) -> "TunedNetwork":
        """Switch the head between training and evaluation; the backbone stays in evaluation."""
        super().train(mode)
        self.backbone.eval()
        return self

    def tuned_backbone(self) -> Backbone:
        """Return the backbone as it is now, frozen again, for torch to run."""
        description = self.backbone.description
        source = f"{description.weights_source}, fine-tuned from {self.layers[0].name} up"
        spec = spec_in_memory(description, weights_source=source, weights_hash=None, engine="torch")
        return Backbone(self.backbone.network, description.preprocessing, spec)


def lr_scales(
    network: TunedNetwork,
    *,
    top: float = FineTuningSettings.top_share,
    bottom: float = FineTuningSettings.bottom_share,
) -> dict[str, float]:
    """Return each backbone parameter's factor of the learning rate, falling geometrically from the top.

    Args:
        network: Backbone and head.
        top: Share of the highest trained layer.
        bottom: Share of the lowest.

    Source: Howard and Ruder 2018.
    """
    ratio, layers = bottom / top, network.layers
    scales: dict[str, float] = {}
    for place, layer in enumerate(reversed(layers)):
        share = top * ratio ** (place / max(1, len(layers) - 1))
        module = network.backbone.network.get_submodule(layer.name)
        for name, _ in module.named_parameters(recurse=False):
            scales[f"backbone.network.{layer.name}.{name}"] = share
    return scales


def describe_layers(backbone: Backbone, layers: Sequence[Layer]) -> str:
    """Say what is trained of a backbone."""
    return (
        f"Fine-tuning {len(layers)} layers of {backbone.description.architecture}, from {layers[0].name} "
        f"(number {layers[0].number}) up"
    )
