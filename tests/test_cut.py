"""A backbone cut below its trained layers: above and below together are the whole network."""

import copy

import pytest
import torch
from torch import nn

from showtell.backbones.backbone import Backbone
from showtell.backbones.cut import LowerBackbone, cut_below, from_store, run_above
from showtell.backbones.layers import layers_from
from showtell.backbones.weights import load_backbone
from showtell.errors import ConfigError

FAMILIES = ["test_resnet", "test_efficientnet", "test_vit", "test_convnext"]


def noise(count: int, seed: int = 1) -> torch.Tensor:
    made = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, 64, 64), dtype=torch.uint8, generator=made)


@pytest.mark.parametrize("start", ["0.2", "0.5", "1.0"])
@pytest.mark.parametrize("name", FAMILIES)
def test_above_and_below_are_the_whole_network(name, start):
    backbone = load_backbone(name, "random", image_size=64)
    layers = layers_from(backbone, start)
    cut = cut_below(backbone, layers)
    stored, _ = LowerBackbone(backbone, cut)(noise(3))
    assert stored.dtype == torch.float16 and stored.shape[0] == 3
    with torch.no_grad():
        found = run_above(backbone, cut, from_store(stored, cut))
        expected = backbone.features(noise(3))
        others = backbone.features(noise(3, seed=2))
    difference = (found - expected).abs().mean()
    assert difference < 0.01 * (others - expected).abs().mean()  # what remains is rounding
    trained = {layer.name for layer in layers}
    for below in cut.below:
        assert not any(layer == below or layer.startswith(f"{below}.") for layer in trained)
    with torch.no_grad():
        assert torch.equal(backbone.features(noise(3)), expected), "nothing stands in any more"


def test_a_layer_within_a_block_is_cut_off_with_its_block():
    """The block's input goes around the layer, so it cannot be cut off by itself."""
    backbone = load_backbone("test_resnet", "random", image_size=64)
    cut = cut_below(backbone, layers_from(backbone, "layer3.0.conv2"))
    assert cut.module == "layer3.0"
    assert set(cut.below) == {"conv1", "bn1", "act1", "maxpool", "layer1", "layer2"}


def test_gradients_through_a_cut_are_those_of_the_whole_network():
    backbone = load_backbone("test_resnet", "random", image_size=64)
    layers = layers_from(backbone, "layer4")
    cut, gradients = cut_below(backbone, layers), []
    kept: list[torch.Tensor] = []
    hook = backbone.network.get_submodule(cut.module).register_forward_pre_hook(
        lambda module, inputs: kept.append(inputs[0].detach().clone())
    )
    backbone.features(noise(2))
    hook.remove()
    for features in (lambda b: b.features(noise(2)), lambda b: run_above(b, cut, kept[0])):
        tuned = copy.deepcopy(backbone)
        modules = [tuned.network.get_submodule(layer.name) for layer in layers]
        parameters = [one for module in modules for one in module.parameters(recurse=False)]
        for parameter in parameters:
            parameter.requires_grad_(True)
        features(tuned).square().mean().backward()
        gradients.append([parameter.grad for parameter in parameters])
    assert any(one.abs().max() > 0 for one in gradients[0])
    for whole, above in zip(*gradients, strict=True):
        torch.testing.assert_close(above, whole)


def test_what_is_below_has_a_space_of_its_own(store):
    backbone = load_backbone("test_resnet", "random", image_size=64)
    cuts = [cut_below(backbone, layers_from(backbone, start)) for start in ("layer3", "layer4")]
    descriptions = [backbone.description, *(LowerBackbone(backbone, cut).description for cut in cuts)]
    assert [one.layer for one in descriptions[1:]] == [f"input of {cut.module}" for cut in cuts]
    spaces = {store.space(one.for_store()).folder for one in descriptions}
    assert len(spaces) == 3


class Bypassed(nn.Module):
    """A network whose pixels reach the top beside all of its layers."""

    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.below, self.above = nn.Conv2d(3, 4, 3, stride=8), nn.Conv2d(4, 4, 1)

    def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.above(self.below(pixels)) + pixels.mean()

    def forward_head(self, features: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        return features.mean((2, 3))


def test_a_network_that_no_cut_separates_is_refused():
    like = load_backbone("test_resnet", "random", image_size=64)
    backbone = Backbone(Bypassed(), like.preprocessing, like.spec)
    with pytest.raises(ConfigError, match=r"cannot be fine-tuned from above up"):
        cut_below(backbone, layers_from(backbone, "above"))
