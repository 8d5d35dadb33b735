"""Train the small backbone that the package ships, from scratch, on drawings made on the fly.

The network learns to say, at the grid cells around an object's centre, what the object is: size, colour,
shape, and how many of its kind there are; at every cell where it lies in the image; and from the mean
over the cells how many objects of each size, colour and shape there are. These three read-outs are linear
and thrown away; what they leave in the grid is what a captioner reads.

It sees every composition of colour, shape and count, as a network pretrained on ImageNet has seen most
things, and no caption: what the quickstart holds out, it holds out from the captioner.

Run: python scripts/train_small_backbone.py --out src/showtell/backbones/small_backbone
"""

import json
import time
from pathlib import Path

import numpy as np
import timm
import torch
import tyro
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from showtell.samples import Scene, draw_scene, make_scenes, place_objects
from showtell.samples.scenes import COLOURS, COUNTS_ALONE, SHAPES, SIZES

ARCHITECTURE = "resnet10t"
MODEL_ARGS = {"stem_width": 12, "channels": [24, 40, 64, 80], "output_stride": 16}
INPUT_SIZE = 128
GRID = INPUT_SIZE // MODEL_ARGS["output_stride"]
MOST = max(COUNTS_ALONE)
SEED = 20_250_101
TOUCHED_FROM, SHOWN_FROM = 0.05, 0.2
MARKS = 1 + len(SIZES) + len(COLOURS) + len(SHAPES) + MOST


def mark_cells(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Mark the cells around each object's centre with what it is.

    A centre is shared among the four nearest cells by bilinear weights, which sum to 1, so that objects
    can be counted by a sum. A cell with a fifth of a centre or more tells all of the object.

    Returns:
        Marks (GRID, GRID, MARKS) in [0, 1]: the share of a centre; then 1 for one of each size, colour,
        shape and count. And whether to ask for the marks, (GRID, GRID): 0 where a cell is hardly touched.
    """
    marks = np.zeros((GRID, GRID, MARKS), np.float32)
    for placed in place_objects(scene):
        group = placed.group
        what = np.concatenate(
            [
                np.array([value == other for other in values], np.float32)
                for value, values in (
                    (group.size, SIZES),
                    (group.colour, COLOURS),
                    (group.shape, SHAPES),
                    (group.count, range(1, MOST + 1)),
                )
            ]
        )
        down, right = placed.y * GRID - 0.5, placed.x * GRID - 0.5
        for row in (int(down), int(down) + 1):
            for column in (int(right), int(right) + 1):
                share = (1 - abs(down - row)) * (1 - abs(right - column))
                if share > marks[row, column, 0]:
                    marks[row, column, 1:] = what if share >= TOUCHED_FROM else 0.0
                marks[row, column, 0] += share
    shown = (marks[..., 0] < TOUCHED_FROM) | (marks[..., 0] >= SHOWN_FROM)
    return marks, shown.astype(np.float32)


def draw_batch(number: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a batch that no other number gives.

    Returns:
        Pixels (B, 3, INPUT_SIZE, INPUT_SIZE) in [-1, 1], marks (B, GRID, GRID, MARKS), and whether to ask
        for them (B, GRID, GRID).
    """
    scenes = make_scenes(SEED + number, size, None)
    pixels = [
        np.asarray(draw_scene(scene).resize((INPUT_SIZE, INPUT_SIZE), Image.Resampling.BILINEAR))
        for scene in scenes
    ]
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
    marks, shown = zip(*(mark_cells(scene) for scene in scenes))
    return images, torch.from_numpy(np.stack(marks)), torch.from_numpy(np.stack(shown))


class Readouts(nn.Module):
    """The linear questions asked of the grid; kept only while training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.marks = nn.Linear(width, MARKS)
        self.place = nn.Linear(width, 2)
        self.totals = nn.Linear(width, MARKS - MOST - 1)
        ruler = (torch.arange(GRID) + 0.5) / GRID
        self.register_buffer("cells", torch.stack(torch.meshgrid(ruler, ruler, indexing="xy"), dim=-1))

    def forward(self, grid: Tensor, marks: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
        """Score the answers.

        Args:
            grid: (B, D, GRID, GRID), float32.
            marks: (B, GRID, GRID, MARKS), in [0, 1].
            shown: Whether to ask for the marks, (B, GRID, GRID), 0 or 1.

        Returns:
            The loss, and the share of cells with half a centre or more of which every mark is right.
        """
        cells = grid.float().permute(0, 2, 3, 1)  # (B, GRID, GRID, D)
        logits = self.marks(cells)  # (B, GRID, GRID, MARKS)
        weight = torch.where(marks[..., :1] > 0, 4.0, 1.0) * shown[..., None]
        what = binary_cross_entropy_with_logits(logits[..., 1:], marks[..., 1:], weight)
        centre = binary_cross_entropy_with_logits(logits[..., 0], marks[..., 0])
        place = mse_loss(self.place(cells), self.cells.expand(*cells.shape[:3], 2))
        objects = marks[..., :1] * marks[..., 1 : MARKS - MOST]
        totals = objects.sum(dim=(1, 2))  # (B, MARKS - MOST - 1)
        counted = mse_loss(self.totals(cells.mean(dim=(1, 2))), totals)
        loss = 10.0 * (what + centre) + 2.0 * place + 0.5 * counted
        right = ((logits[..., 1:] > 0) == (marks[..., 1:] > 0)).all(dim=-1)
        return loss, right[marks[..., 0] >= 0.5].float().mean()


def save_backbone(network: nn.Module, folder: Path) -> None:
    """Write timm's local folder format with float16 weights."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architecture": ARCHITECTURE,
        "num_classes": 0,
        "num_features": network.num_features,
        "model_args": MODEL_ARGS,
        "pretrained_cfg": {
            "tag": "showtell_scenes",
            "custom_load": False,
            "input_size": [3, INPUT_SIZE, INPUT_SIZE],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "num_classes": 0,
            "pool_size": [GRID, GRID],
            "first_conv": "conv1.0",
            "classifier": "fc",
            "license": "mit",
        },
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def main(out: Path, steps: int = 2000, batch_size: int = 64, learning_rate: float = 4e-3) -> None:
    """Train and save.

    Args:
        out: Folder for config.json and model.safetensors.
        steps: Batches, 1 or more.
        batch_size: Drawings a batch.
        learning_rate: Peak of the one-cycle schedule.
    """
    torch.manual_seed(SEED)
    network = timm.create_model(ARCHITECTURE, num_classes=0, **MODEL_ARGS)
    network = network.to(memory_format=torch.channels_last)
    readouts = Readouts(network.num_features)
    parameters = [*network.parameters(), *readouts.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, learning_rate, total_steps=steps, pct_start=0.15
    )
    started = time.monotonic()
    for step in range(1, steps + 1):
        images, marks, shown = draw_batch(step, batch_size)
        with torch.autocast("cpu", torch.bfloat16):
            grid = network.forward_features(images.to(memory_format=torch.channels_last))
        loss, right = readouts(grid, marks, shown)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == steps:
            elapsed = time.monotonic() - started
            print(
                f"{step}/{steps}  loss {loss:.4f}  objects all right {right:.3f}  {elapsed:.0f} s", flush=True
            )
    save_backbone(network, out)


if __name__ == "__main__":
    tyro.cli(main)
