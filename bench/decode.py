"""Time beam search from grids to captions against a widely used tutorial and Hugging Face's ``generate``.

    python bench/decode.py [--python PATH] [--sizes 49x1280 64x2048] [--threads N]
    python bench/decode.py --run RUN --images FOLDER

Beam 3, hidden 512, 5,000 words, float32, random weights whose captions are all 11 words long (an end is made
unlikely), so that everybody makes the same number of steps. Ours is the product's ``search`` and its captions
with a probability and a map a word. The tutorial (tutorial_torch.py) describes one image at a time.
``generate`` drives GPT-2 with cross-attention and about as many weights as ours, by ``--python``, a Python
with transformers and torch, in two shapes: 6 layers of 256, and 1 layer of 512. ``--run`` times a real model
on real photos, whose captions end when they end. "Our matrix products alone" repeats those of our search and
does nothing else, which no order of the same work can go below. Figures need a quiet machine; with
``--threads 1`` the processor's time is taken, which other work disturbs least.
"""

import argparse
import itertools
import json
import os
import statistics
import string
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from record import add_results, record

VOCABULARY, HIDDEN, BEAM, WORDS = 5000, 512, 3, 11
PAD, BOS, EOS = 0, 1, 2
BATCHES = {1: 30, 64: 3}
"""Images side by side, and how often each is timed."""
PEERS = {
    "products": "our matrix products alone",
    "tutorial": "PyTorch tutorial",
    "generate6": "Hugging Face generate, 6 layers of 256",
    "generate1": "Hugging Face generate, 1 layer of 512",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["49x1280", "64x2048"])
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of everybody")
    parser.add_argument("--rounds", type=int, default=1, help="everybody takes turns as often")
    parser.add_argument("--python", default=sys.executable, help="a Python that has transformers and torch")
    parser.add_argument("--run", type=Path, help="a captioner's run, timed as it is")
    parser.add_argument("--images", type=Path, help="a folder of photos for --run")
    parser.add_argument("--worker", nargs=3, metavar=("KIND", "CELLS", "CHANNELS"))
    add_results(parser)
    options = parser.parse_args()
    if not options.worker:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    if options.worker:
        kind, *sizes = options.worker
        print(json.dumps(_work(kind, *map(int, sizes))))
    elif options.run:
        record("decode", {"run": _real(options.run, options.images)}, options)
    else:
        found = {}
        for size in options.sizes:
            print(f"grid {size}, hidden {HIDDEN}, {VOCABULARY} words, beam {BEAM}, {WORDS} words a caption")
            found[size] = _compare(size.split("x"), options)
        record("decode", found, options)


def _compare(size: Sequence[str], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Run everybody in turns; print medians and ratios to ours; return the milliseconds by batch size."""
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for kind in ("ours", *PEERS):
            python = options.python if kind.startswith("generate") else sys.executable
            command = [python, __file__, "--worker", kind, *size]
            child = subprocess.run(command, capture_output=True, text=True, check=False)
            if child.returncode:
                print(f"  {kind}: left out: {child.stderr.strip().splitlines()[-1]}")
                continue
            found.setdefault(kind, []).append(json.loads(child.stdout.splitlines()[-1]))
    median = {
        kind: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for kind, runs in found.items()
    }
    ours = median["ours"]
    for kind, times in median.items():
        parts = [f"{times['weights'] / 1e6:.1f} million weights"]
        for batch in BATCHES:
            ms = times[str(batch)]
            parts.append(f"batch {batch}: {ms:.1f} ms, {1000 * batch / ms:.1f} captions/s")
            if kind != "ours":
                parts[-1] += f" (ours {ms / ours[str(batch)]:.2f} times)"
        print(f"  {PEERS.get(kind, kind):<38} " + "; ".join(parts), flush=True)
    return median


def _work(kind: str, cells: int, channels: int) -> dict[str, float]:
    """Return the number of weights, and milliseconds for each size of a batch."""
    import torch

    torch.manual_seed(0)
    if kind == "ours":
        weights, describe = _ours(cells, channels)
    elif kind == "products":
        weights, describe = _products(cells, channels)
    elif kind == "tutorial":
        weights, describe = _tutorial(channels)
    else:
        layers = int(kind.removeprefix("generate"))
        weights, describe = _generate(channels, layers, {6: 256, 1: 512}[layers])
    times: dict[str, float] = {"weights": weights}
    for batch, repeats in BATCHES.items():
        grid = torch.randn(batch, cells, channels).relu()
        describe(grid)  # memory is touched for the first time, and kernels are made
        times[str(batch)] = statistics.median(_clock(describe, grid) for _ in range(repeats))
    return times


def _clock(describe: Callable, grid) -> float:
    now = time.process_time if os.environ.get("OMP_NUM_THREADS") == "1" else time.perf_counter
    started = now()
    captions = describe(grid)
    milliseconds = 1000 * (now() - started)
    assert len(captions) == len(grid) and all(length == WORDS for length in captions), captions
    return milliseconds


def _ours(cells: int, channels: int) -> tuple[int, Callable]:
    """Return the product's captioner as a function from grids to lengths of captions."""
    import torch

    from showtell.models.captioner import Captioner
    from showtell.models.config import DecoderConfig
    from showtell.process import tune_process
    from showtell.text.tokenizer import CaptionTokenizer

    tune_process()
    words = ["".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=3)]
    special = CaptionTokenizer.train(["aaa"], min_count=1).vocab_size - 1
    tokenizer = CaptionTokenizer.train(
        [" ".join(words[: VOCABULARY - special])], min_count=1, vocab_size=VOCABULARY
    )
    assert tokenizer.vocab_size == VOCABULARY, tokenizer.vocab_size
    config = DecoderConfig(VOCABULARY, channels, HIDDEN, HIDDEN, HIDDEN // 2)
    captioner = Captioner(config, tokenizer, (1, cells)).eval()
    with torch.no_grad():
        captioner.decoder.output_bias[tokenizer.eos_id] = -1e4

    def describe(grid) -> list[int]:
        found = captioner.search(grid, beam_size=BEAM, max_length=WORDS)
        return [len(captioner.caption(hypotheses[0]).words) for hypotheses in found]

    return sum(part.numel() for part in captioner.parameters()), describe


def _products(cells: int, channels: int) -> tuple[int, Callable]:
    """Return a function that repeats the matrix products of our search, with the very numbers."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    weights, describe = _ours(cells, channels)
    noted: list[Callable] = []

    class Notes(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, arguments=(), named=None):
            if operation.overloadpacket.__name__ in ("linear", "matmul", "mm", "addmm", "bmm", "baddbmm"):
                noted.append(partial(operation, *arguments, **(named or {})))
            return operation(*arguments, **(named or {}))

    products: dict[int, list[Callable]] = {}
    for batch in BATCHES:
        noted.clear()
        with Notes():
            describe(torch.randn(batch, cells, channels).relu())
        products[batch] = list(noted)

    @torch.inference_mode()
    def repeat(grid) -> list[int]:
        for product in products[len(grid)]:
            product()
        return [WORDS] * len(grid)

    return weights, repeat


def _tutorial(channels: int) -> tuple[int, Callable]:
    import torch

    import tutorial_torch as tutorial

    model = tutorial.Captioner(VOCABULARY, channels, HIDDEN).eval()
    with torch.no_grad():
        model.to_words.bias[EOS] = -1e4

    def describe(grid) -> list[int]:
        found = [tutorial.search(model, one, bos=BOS, eos=EOS, beam=BEAM, longest=WORDS - 1) for one in grid]
        return [len(ids) - 1 for ids, _ in found]

    return sum(part.numel() for part in model.parameters()), describe


def _generate(channels: int, layers: int, width: int) -> tuple[int, Callable]:
    """Return Hugging Face's encoder-decoder; its encoder is left out, since grids are given."""
    import torch
    from transformers import (
        GPT2Config,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
        ViTConfig,
    )
    from transformers.modeling_outputs import BaseModelOutput

    eye = ViTConfig(
        hidden_size=channels, num_hidden_layers=1, num_attention_heads=8, intermediate_size=8, image_size=32
    )
    ids = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
    speaker = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=64,
        n_embd=width,
        n_layer=layers,
        n_head=8,
        add_cross_attention=True,
        **ids,
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(eye, speaker)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = BOS, PAD, EOS
    model = VisionEncoderDecoderModel(config=config).eval()
    model.generation_config.update(decoder_start_token_id=BOS, **ids)

    @torch.inference_mode()
    def describe(grid) -> list[int]:
        found = model.generate(
            encoder_outputs=BaseModelOutput(grid), num_beams=BEAM, min_new_tokens=WORDS, max_new_tokens=WORDS
        )
        return [len(ids) - 1 for ids in found]

    encoder = {id(part) for part in model.encoder.parameters()}
    return sum(part.numel() for part in model.parameters() if id(part) not in encoder), describe


def _real(run: Path, folder: Path) -> dict[str, float]:
    """Time a trained captioner on photos: batches of one and of 64."""
    import showtell

    showtell.tune_process()
    import torch

    model = showtell.load(run)
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg"})[:64]
    grid = torch.cat([model.backbone(model.pixels(path).unsqueeze(0))[0] for path in paths])
    captioner = model.captioner
    started = time.perf_counter()
    alone = [captioner.describe(one, beam_size=BEAM)[0][0].text for one in grid.split(1)]
    single = 1000 * (time.perf_counter() - started) / len(paths)
    captioner.describe(grid, beam_size=BEAM)
    started = time.perf_counter()
    together = [captions[0] for captions in captioner.describe(grid, beam_size=BEAM)]
    seconds = time.perf_counter() - started
    lengths = [len(caption.words) for caption in together]
    same = sum(caption.text == text for caption, text in zip(together, alone))
    print(
        f"{len(paths)} photos: one at a time {single:.1f} ms each; together {len(paths) / seconds:.0f} "
        f"captions/s; {statistics.mean(lengths):.1f} words, at most {max(lengths)}; {same} said alike"
    )
    return {"photos": len(paths), "ms_alone": single, "captions_per_s_together": len(paths) / seconds}


if __name__ == "__main__":
    main()
