"""What every fine-tuning shares: a backbone whose top is trained together with what reads its features."""

from collections.abc import Sequence

from torch import nn

from showtell.backbones.backbone import Backbone, spec_in_memory
from showtell.backbones.layers import Layer
from showtell.console import many
from showtell.runs.settings import FineTuningSettings


class TunedNetwork(nn.Module):
    """A backbone with its head; batch statistics and dropout of the backbone stay as they were.

    Statistics of a few images would be worse than those of ImageNet, and weights may come with statistics
    that are folded into them and cannot be estimated again.

    Args:
        backbone: Its chosen layers are unfrozen.
        head: What is trained on its features.
        layers: What to train of each network of the backbone, the lowest first.
    """

    def __init__(self, backbone: Backbone, head: nn.Module, layers: Sequence[Sequence[Layer]]) -> None:
        super().__init__()
        self.backbone, self.head, self.layers = backbone, head, layers
        for part, chosen in zip(backbone.parts, layers, strict=True):
            for layer in chosen:
                for parameter in part.network.get_submodule(layer.name).parameters(recurse=False):
                    parameter.requires_grad_(True)
        head.requires_grad_(True)

    def train(self, mode: bool = True) -> "TunedNetwork":
        """Switch the head between training and evaluation; the backbone stays in evaluation."""
        super().train(mode)
        self.backbone.eval()
        return self

    def tuned_backbone(self) -> Backbone:
        """Return the backbone as it is now, frozen again, for torch to run."""
        tuned = []
        for part, layers in zip(self.backbone.parts, self.layers):
            description = part.description
            source = f"{description.weights_source}, fine-tuned from {layers[0].name} up"
            spec = spec_in_memory(description, weights_source=source, weights_hash=None, engine="torch")
            tuned.append(Backbone(part.network, description.preprocessing, spec))
        return self.backbone.made_of(tuned)


def lr_scales(
    network: TunedNetwork,
    *,
    top: float = FineTuningSettings.top_share,
    bottom: float = FineTuningSettings.bottom_share,
) -> dict[str, float]:
    """Return each backbone parameter's factor of the learning rate, falling geometrically from each top.

    Args:
        network: Backbone and head.
        top: Share of the highest trained layer.
        bottom: Share of the lowest.

    Source: Howard and Ruder 2018.
    """
    ratio = bottom / top
    names = {parameter: name for name, parameter in network.named_parameters()}
    scales: dict[str, float] = {}
    for part, layers in zip(network.backbone.parts, network.layers):
        for place, layer in enumerate(reversed(layers)):
            share = top * ratio ** (place / max(1, len(layers) - 1))
            module = part.network.get_submodule(layer.name)
            scales |= {names[one]: share for one in module.parameters(recurse=False)}
    return scales


def describe_layers(backbone: Backbone, layers: Sequence[Layer]) -> str:
    """Say what is trained of a backbone."""
    which = f"{many(len(layers), 'layer', 'layers')} of {backbone.description.architecture}"
    return f"Fine-tuning {which}, from {layers[0].name} (number {layers[0].number}) up"
