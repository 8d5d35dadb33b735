"""Small models of random weights, and a server of them in a thread, for the tests of the API and the page."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import torch
import uvicorn

from showtell.backbones.weights import load_backbone
from showtell.kinds.captioner.model import CaptionerModel, CaptionerProvenance
from showtell.kinds.classifier.model import ClassifierModel
from showtell.kinds.model_folder import save_model
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.heads import HeadConfig, build_head
from showtell.serving.api import build_app
from showtell.serving.serve import build_server, open_socket
from showtell.serving.settings import Serve
from showtell.text.tokenizer import CaptionTokenizer

CLASSES = ("레오", "ming", "zoe")
SETTINGS = Serve(runs=(), port=0, timeout=20)


def make_captioner(run: Path, captions: list[str]) -> Path:
    """Write a captioner that knows the words of some captions and says them at random."""
    backbone = load_backbone("test_resnet", "random", image_size=64)
    tokenizer = CaptionTokenizer.train(captions, kind="word", vocab_size=300, min_count=1)
    torch.manual_seed(0)
    sizes = DecoderConfig(tokenizer.vocab_size, backbone.description.grid_shape[1], 16, 16, 8)
    decoder = Captioner(sizes, tokenizer, backbone.description.grid_size).eval()
    scores = {"cider_d": 0.5}
    save_model(
        run / "model",
        CaptionerModel.of(backbone, decoder, beam_size=3, provenance=CaptionerProvenance(validation=scores)),
    )
    return run


def make_classifier(run: Path) -> Path:
    """Write a classifier of three classes that tells images apart at random."""
    backbone = load_backbone("test_resnet", "random", image_size=64)
    torch.manual_seed(0)
    head = build_head(HeadConfig("linear", backbone.description.pooled_dim, len(CLASSES))).eval()
    torch.nn.init.normal_(next(p for p in head.parameters() if p.dim() == 2), std=3.0)
    save_model(run / "model", ClassifierModel.of(backbone, head, CLASSES, temperature=1.0))
    return run


@contextmanager
def running(models: dict[str, object], **settings: object) -> Iterator[tuple[httpx.Client, uvicorn.Server]]:
    """Serve models in a thread; yield a client of it, and the server itself."""
    config = replace(SETTINGS, **settings)
    with served(build_app(models, config), config) as found:
        yield found


@contextmanager
def served(app: object, config: Serve = SETTINGS) -> Iterator[tuple[httpx.Client, uvicorn.Server]]:
    """Serve an app in a thread; yield a client of it, and the server itself."""
    with open_socket("127.0.0.1", 0) as socket:
        address = f"http://127.0.0.1:{socket.getsockname()[1]}"
        server = build_server(app, config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        with httpx.Client(base_url=address, timeout=20, trust_env=False) as client:
            yield client, server
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server does not end"


def wait_until(true, seconds: float = 10) -> None:
    """Wait for something to become true.

    Raises:
        AssertionError: It does not.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


class Held:
    """A model whose every look waits for ``go``.

    Args:
        model: What looks in the end.
    """

    def __init__(self, model: ClassifierModel) -> None:
        self.go = threading.Event()
        self.looks: list[int] = []
        self._look = model.from_pixels
        model.from_pixels = self._wait  # type: ignore[method-assign]

    def _wait(self, pixels):
        self.looks.append(len(pixels))
        assert self.go.wait(30)
        return self._look(pixels)
