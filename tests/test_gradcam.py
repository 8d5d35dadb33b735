"""Grad-CAM: equal to captum's and to the class activation map of a linear head; it finds what speaks."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.backbones.backbone import Backbone
from showtell.backbones.gradcam import grad_cam
from showtell.backbones.weights import load_backbone
from showtell.models.heads import HeadConfig, build_head


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone("test_resnet", "random", image_size=96)


def head_for(backbone: Backbone, kind: str) -> nn.Module:
    torch.manual_seed(0)
    head = build_head(HeadConfig(kind, backbone.description.pooled_dim, 4))
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.3)
    return head.eval()


def pixels_of(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, 3, 96, 96), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_it_equals_captum(backbone, kind):
    attr = pytest.importorskip("captum.attr")
    head = head_for(backbone, kind)

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Identity()

        def forward(self, pixels: Tensor) -> Tensor:
            return head(backbone.pool(self.last(backbone.features(pixels).requires_grad_())))

    whole = Whole()
    for index in range(4):
        ours = grad_cam(backbone, head, pixels_of(index), index)
        theirs = attr.LayerGradCam(whole, whole.last).attribute(
            pixels_of(index), index, relu_attributions=True
        )
        assert ours.max() > 0
        torch.testing.assert_close(ours, theirs[0, 0].detach(), rtol=1e-4, atol=1e-6)


def test_with_mean_pooling_and_a_plain_linear_head_it_is_the_class_activation_map(backbone):
    """Selvaraju et al. 2017, section 3: Grad-CAM generalises CAM."""
    head = head_for(backbone, "pretrained")
    pixels = pixels_of(9)
    features = backbone.features(pixels)  # (1, D, h, w)
    cells = features.shape[-2] * features.shape[-1]
    for index in range(4):
        expected = F.relu(torch.einsum("d,dhw->hw", head.linear.weight[index].detach(), features[0]) / cells)
        torch.testing.assert_close(grad_cam(backbone, head, pixels, index), expected, rtol=1e-4, atol=1e-6)


def test_nothing_is_left_behind(backbone):
    head = head_for(backbone, "linear")
    with torch.inference_mode():
        backbone(pixels_of(0))
    heat = grad_cam(backbone, head, pixels_of(0), 1)
    assert not heat.requires_grad
    assert heat.shape == backbone.description.grid_size
    assert all(p.grad is None for p in (*backbone.parameters(), *head.parameters()))


def test_tokens_are_a_grid_too():
    vit = load_backbone("test_vit", "random")
    heat = grad_cam(vit, head_for(vit, "linear"), pixels_of(1).repeat(1, 1, 2, 2)[..., :160, :160], 0)
    assert heat.shape == vit.description.grid_size
