"""Small sound things to be damaged, built in seconds: classifier, captioner, checkpoint, store."""

import io
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from showtell.backbones.weights import load_backbone
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.classifier.model import ClassifierModel
from showtell.kinds.model_folder import save_model
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.heads import HeadConfig, build_head
from showtell.store.store import FeatureStore
from showtell.text.tokenizer import CaptionTokenizer
from showtell.training.checkpoint import Progress, TrainingState, save_checkpoint

CAPTIONS = ["a red circle above two small stars", "빨간 동그라미 위에 작은 별 두 개", "three hearts"]
DESCRIPTION: dict[str, Any] = {
    "dtype": "float16", "grid_shape": [4, 8], "pooled_dim": 8, "weights": "0" * 64, "architecture": "test",
    "preprocessing": {"width": 8, "height": 8}, "engine": "torch", "precision": "float32",
}  # fmt: skip
RECORDS = 60


def network() -> Any:
    """Return the smallest backbone there is, with random weights."""
    return load_backbone("test_resnet", "random", image_size=64)


def classifier(folder: Path) -> None:
    """Save a classifier of three classes."""
    torch.manual_seed(0)
    backbone = network()
    head = build_head(HeadConfig("linear", backbone.description.pooled_dim, 3)).eval()
    save_model(folder, ClassifierModel.of(backbone, head, ("레오", "ming", "zoe"), temperature=1.0))


def captioner(folder: Path, words: str = "word") -> None:
    """Save a captioner."""
    backbone = network()
    tokenizer = CaptionTokenizer.train(CAPTIONS, kind=words, vocab_size=300, min_count=1)
    torch.manual_seed(0)
    sizes = DecoderConfig(tokenizer.vocab_size, backbone.description.grid_shape[1], 16, 16, 8)
    decoder = Captioner(sizes, tokenizer, backbone.description.grid_size).eval()
    save_model(folder, CaptionerModel.of(backbone, decoder, beam_size=2))


def training_state() -> TrainingState:
    """Return what a training changes: weights, their average, moments."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(3, 6)).sum().backward()
    optimizer.step()
    return TrainingState(
        module, {name: value.clone() for name, value in module.state_dict().items()}, optimizer
    )


def checkpoint(path: Path) -> None:
    """Save a checkpoint."""
    save_checkpoint(path, training_state(), Progress(step=1, best={"score": 0.5}), "fingerprint")


def record(number: int) -> tuple[bytes, Any, Any]:
    """Return the record of a number: key, grid, pooled."""
    chance = torch.Generator().manual_seed(number)
    values = torch.rand(5, 8, generator=chance).numpy()
    return number.to_bytes(32, "big"), values[:4], values[4]


def store(root: Path, count: int = RECORDS) -> None:
    """Fill a store with a space of small records, and know a file."""
    kept = FeatureStore(root)
    space = kept.space(DESCRIPTION)
    for start in range(0, count, 10):
        space.put([record(number) for number in range(start, min(start + 10, count))])


def picture() -> bytes:
    """Return an image's file."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((70, 64)).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()
