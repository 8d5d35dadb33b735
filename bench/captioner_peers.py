"""Time training of the captioner against two widely used tutorials, on the same grids and captions.

    python bench/captioner_peers.py [--python PATH] [--captions 4800] [--sizes 49x1280 64x2048] [--threads N]

Ours is the product's own loop, batches, loss and optimiser. The tutorials' ways are in tutorial_torch.py
(plain PyTorch, a caption a row; "keys once" is the same without its one needless product) and in
tutorial_tensorflow.py, which runs by ``--python``, a Python with tensorflow. All see every caption once,
grids in memory, each in a process of its own, with all cores. The loss is that of a held-out part:
cross-entropy a word, no smoothing, no dropout. Captions are drawn from a subject that the grid shows, so that
there is something to learn. Figures need a quiet machine; with ``--threads 1`` the processor's time is taken,
which other work disturbs least.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from record import add_results, record

VOCABULARY, HIDDEN, CAPTIONS = 5000, 512, 5
PAD, BOS, EOS, FIRST = 0, 1, 2, 4
"""Special ids, and the first that is a word."""
HELD_OUT = 64
"""Images that nobody trains on."""
MARKS = 3
"""How often the loss is taken on the way."""
PEERS = {"torch": "PyTorch tutorial", "keys": "the same, keys once", "tensorflow": "TensorFlow tutorial"}


def make_data(images: int, cells: int, channels: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw grids (B, L, D), float16, and captions shaped like Flickr8k's: 5 to 26 words, 11 on average."""
    random = np.random.default_rng(seed)
    subjects = 40
    looks = random.standard_normal((subjects, channels))
    frequency = 1 / np.arange(2, VOCABULARY - FIRST + 2)
    frequency /= frequency.sum()
    words_of = random.choice(VOCABULARY - FIRST, (subjects, 20), p=frequency) + FIRST
    subject = random.integers(subjects, size=images)
    grid = np.empty((images, cells, channels), np.float16)
    for image in range(images):
        shown = random.random((cells, 1)) < 0.4
        noise = random.standard_normal((cells, channels)) * 0.7
        grid[image] = np.maximum(noise + shown * looks[subject[image]], 0)
    lengths = (random.standard_normal((images, CAPTIONS)) * 3.8 + 11.5).round().clip(5, 26).astype(np.int64)
    any_word = random.choice(VOCABULARY - FIRST, (images, CAPTIONS, 26), p=frequency) + FIRST
    own_word = words_of[subject[:, None, None], random.integers(20, size=any_word.shape)]
    words = np.where(random.random(any_word.shape) < 0.5, own_word, any_word)
    token_ids = np.full((images, CAPTIONS, 27), PAD, np.int64)
    token_ids[..., 0] = BOS
    place = np.arange(1, 27)
    token_ids[..., 1:] = np.where(
        place < lengths[..., None], words, np.where(place == lengths[..., None], EOS, PAD)
    )
    return {"grid": grid, "token_ids": token_ids, "lengths": lengths}  # lengths count the end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["49x1280", "64x2048"])
    parser.add_argument("--captions", type=int, default=4800, help="that everybody trains on")
    parser.add_argument("--batch", type=int, default=32, help="images a step of ours; 32 is the product's")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of everybody")
    parser.add_argument("--python", help="a Python that has tensorflow")
    parser.add_argument("--only", nargs="+", choices=("ours", *PEERS))
    parser.add_argument("--worker", nargs=2, metavar=("KIND", "DATA"))
    add_results(parser)
    options = parser.parse_args()
    if options.worker:
        kind, path = options.worker
        work = _ours if kind == "ours" else _tutorial
        print(json.dumps(work(kind, Path(path), options.batch)))
        return
    if options.captions < 3 * MARKS * options.batch * CAPTIONS:
        parser.error(f"--captions: expected at least {3 * MARKS * options.batch * CAPTIONS}")
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(options.threads)
    figures = {}
    for size in options.sizes:
        cells, channels = map(int, size.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.npz"
            _save(path, make_data(options.captions // CAPTIONS + HELD_OUT, cells, channels))
            print(
                f"grid {size}, hidden {HIDDEN}, {VOCABULARY} words, {options.captions} captions", flush=True
            )
            figures[size] = _compare(path, options)
    record("captioner_peers", figures, options)


def _save(path: Path, data: dict[str, np.ndarray]) -> None:
    parts = {f"held_{name}": value[:HELD_OUT] for name, value in data.items()}
    np.savez(path, **parts, **{f"train_{name}": value[HELD_OUT:] for name, value in data.items()})


def _load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return what is trained on, and what is held out."""
    with np.load(path) as file:
        names = ("grid", "token_ids", "lengths")
        return {name: file[f"train_{name}"] for name in names}, {name: file[f"held_{name}"] for name in names}


def _compare(path: Path, options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Run everybody; print and return captions a second and losses, and print the ratio to ours."""
    rates: dict[str, float] = {}
    figures: dict[str, dict[str, object]] = {}
    for kind in options.only or ("ours", *PEERS):
        own = [sys.executable, __file__, "--batch", str(options.batch), "--worker", kind, str(path)]
        script = str(Path(__file__).with_name("tutorial_tensorflow.py"))
        other = [options.python, script, *map(str, (path, VOCABULARY, HIDDEN, MARKS))]
        if kind == "tensorflow" and not options.python:
            print(f"  {PEERS[kind]}: left out, since no --python with tensorflow was given")
            continue
        child = subprocess.run(
            other if kind == "tensorflow" else own, capture_output=True, text=True, check=False
        )
        if child.returncode:
            print(f"  {kind}: left out: {child.stderr.strip().splitlines()[-1]}")
            continue
        found = json.loads(child.stdout.splitlines()[-1])
        times = [cpu if options.threads == 1 else wall for wall, cpu in found["seconds"]]
        rates[kind] = found["batch"] / statistics.median(times[3:])
        figures[kind] = {"captions_per_s": rates[kind], "losses": found["losses"]}
        losses = ", ".join(f"{loss:.3f} after {captions}" for captions, loss in found["losses"])
        ratio = f", ours {rates['ours'] / rates[kind]:.2f} times" if "ours" in rates else ""
        print(
            f"  {PEERS.get(kind, kind):<22} {rates[kind]:7.1f} captions/s{ratio}; loss {losses}", flush=True
        )
    return figures


class _Task:
    """What the product's loop trains, on data in memory; an epoch is the way to the next mark."""

    unit = "captions"

    def __init__(self, data: dict[str, np.ndarray], held: dict[str, np.ndarray], batch: int) -> None:
        import torch

        from showtell.models.attention import AttentionDecoder
        from showtell.models.config import DecoderConfig
        from showtell.training.processes import ALONE

        self.processes, self.rests = ALONE, False
        self.data, self.held, self.batch = data, held, batch
        channels = data["grid"].shape[2]
        self.network = AttentionDecoder(DecoderConfig(VOCABULARY, channels, HIDDEN, HIDDEN, HIDDEN // 2))
        self.captioner = SimpleNamespace(decoder=self.network)
        self.network.fit_feature_scale(torch.from_numpy(data["grid"][:200]))
        counts = np.bincount(data["token_ids"].ravel(), minlength=VOCABULARY)
        counts[[PAD, BOS]] = 0
        self.network.fit_word_bias(torch.from_numpy(counts))
        self.order = np.random.default_rng(0).permutation(len(data["grid"]))
        self.steps_per_epoch = len(self.order) // batch // MARKS
        self.losses: list[tuple[int, float]] = []

    def _batch(self, data: dict[str, np.ndarray], chosen: np.ndarray):
        import torch

        from showtell.models.batch import assemble

        captions = [
            [ids[: length + 1].tolist() for ids, length in zip(data["token_ids"][i], data["lengths"][i])]
            for i in chosen
        ]
        return assemble(torch.from_numpy(data["grid"][chosen]), captions, PAD)

    def why_stop(self, progress) -> str:
        return ""

    def loss(self, epoch: int, index: int):
        from showtell.kinds.captioner.task import caption_loss

        start = (epoch * self.steps_per_epoch + index) * self.batch
        batch = self._batch(self.data, self.order[start : start + self.batch])
        return caption_loss(self.captioner, batch), self.batch * CAPTIONS

    def validate(self) -> dict[str, float]:
        import torch
        import torch.nn.functional as F

        batch = self._batch(self.held, np.arange(len(self.held["grid"])))
        with torch.no_grad():
            packed = self.network.teacher_forced(batch.grid, batch.token_ids, batch.lengths)
            image, caption, moment = packed.position.unbind(1)
            targets = batch.token_ids[image, caption, moment + 1]
            loss = F.cross_entropy(packed.logits, targets).item()
        seen = (len(self.losses) + 1) * self.steps_per_epoch * self.batch * CAPTIONS
        self.losses.append((seen, loss))
        return {"score": -loss}


class _Clock:
    """Watch the loop: seconds between one step and the next, of the wall's clock and of the processor's."""

    def __init__(self) -> None:
        self.seconds: list[tuple[float, float]] = []
        self._last: tuple[float, float] | None = None

    def begin(self, step: int, epoch: int) -> None:
        self._last = None

    def step(self, step: int, epoch: int, loss: float, learning_rate: float) -> None:
        now = time.perf_counter(), time.process_time()
        if self._last is not None:
            self.seconds.append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now

    def validation(self, step: int, record: dict[str, float]) -> None:
        self._last = None

    def checkpoint(self) -> None:
        self._last = None


def _ours(kind: str, path: Path, batch: int) -> dict[str, object]:
    import torch

    from showtell.console import Console
    from showtell.process import tune_process
    from showtell.training.loop import Loop
    from showtell.training.schedule import LoopConfig

    tune_process()
    torch.manual_seed(0)
    task, clock = _Task(*_load(path), batch), _Clock()
    config = LoopConfig(epochs=MARKS, patience=MARKS)
    console = Console(quiet=True)
    with tempfile.TemporaryDirectory() as folder:
        Loop(task, config, Path(folder), fingerprint="", console=console).run(resume=False, callbacks=[clock])
    return {"seconds": clock.seconds, "batch": batch * CAPTIONS, "losses": task.losses}


def _tutorial(kind: str, path: Path, _batch: int) -> dict[str, object]:
    import torch

    import tutorial_torch as tutorial

    torch.manual_seed(0)
    data, held = _load(path)
    model = tutorial.Captioner(VOCABULARY, data["grid"].shape[2], HIDDEN, keys_once=kind == "keys")
    optimizer = torch.optim.Adam(model.parameters(), lr=tutorial.RATE)
    order = np.random.default_rng(0).permutation(data["lengths"].size)
    steps = len(order) // tutorial.BATCH
    seconds, losses = [], []
    for step in range(1, steps + 1):
        started = time.perf_counter(), time.process_time()
        rows = order[(step - 1) * tutorial.BATCH : step * tutorial.BATCH]
        tutorial.optimise(model, optimizer, tutorial.sorted_rows(data, rows, CAPTIONS))
        seconds.append((time.perf_counter() - started[0], time.process_time() - started[1]))
        if step * MARKS // steps > (step - 1) * MARKS // steps:
            losses.append((step * tutorial.BATCH, tutorial.held_out_loss(model, held)))
    return {"seconds": seconds, "batch": tutorial.BATCH, "losses": losses}


if __name__ == "__main__":
    main()
