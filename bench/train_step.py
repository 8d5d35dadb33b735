"""Time a training step of the captioner against the same model trained the naive way, at equal loss.

Naive: float32, the allocator as it comes, every caption a row of its own with its own copy of the grid,
projected again, padding computed and thrown away, autograd through the attention. Both start from the same
weights and see the same captions in the same order, dropout off, so that their losses must agree.

    python bench/train_step.py [--steps 12] [--pairs 3] [--threads N]

With ``--threads 1`` the processor's time is taken, which other work disturbs least.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise

from record import add_results, record

VOCABULARY, FEATURE_DIM, CELLS, HIDDEN, PICTURES, CAPTIONS = 2540, 1280, 49, 512, 32, 5


def main() -> None:
    """Run naive and own processes in turn and print medians, ratios and losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of everybody")
    parser.add_argument("--worker", choices=("naive", "own", "parts"))
    add_results(parser)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(_work(options.worker, options.steps)))
        return
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    pairs, ratios = [], []
    for pair in range(options.pairs):
        naive, own = (_spawn(kind, options.steps) for kind in ("naive", "own"))
        pairs.append({"naive": naive, "own": own})
        ratios.append(naive["step_ms"] / own["step_ms"])
        print(
            f"pair {pair + 1}: naive {naive['step_ms']:.0f} ms, own {own['step_ms']:.0f} ms a step of "
            f"{PICTURES * CAPTIONS} captions, ratio {ratios[-1]:.2f}; loss after {options.steps} steps "
            f"{naive['loss']:.4f} and {own['loss']:.4f}"
        )
        if abs(naive["loss"] - own["loss"]) > 0.02 * naive["loss"]:
            sys.exit("the losses differ by more than 2%: the two do not train the same model")
    print(f"median ratio {statistics.median(ratios):.2f}")
    parts = _spawn("parts", options.steps)
    print("a step of ours, ms: " + ", ".join(f"{name} {ms:.0f}" for name, ms in parts.items()))
    figures = {"ratio": statistics.median(ratios), "pairs": pairs, "parts_ms": parts}
    record("train_step", figures, options)


def _spawn(kind: str, steps: int) -> dict[str, float]:
    """Run a worker in a process of its own: the allocator can't be changed back."""
    command = [sys.executable, __file__, "--worker", kind, "--steps", str(steps)]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result


def _work(kind: str, steps: int) -> dict[str, float]:
    import torch

    from showtell.models.attention import AttentionDecoder
    from showtell.models.config import DecoderConfig
    from showtell.process import tune_process
    from showtell.runtime import has_fast_bfloat16

    if kind != "naive":
        tune_process()
    torch.manual_seed(0)
    config = DecoderConfig(VOCABULARY, FEATURE_DIM, HIDDEN, HIDDEN, HIDDEN // 2, dropout=0.0)
    decoder = AttentionDecoder(config)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-3)
    grid, token_ids, lengths = _batch()
    if kind == "parts":
        return _time_parts(decoder, optimizer, grid, token_ids, lengths)
    loss_of = _naive_loss if kind == "naive" else _own_loss
    bfloat16 = kind == "own" and has_fast_bfloat16(torch.device("cpu"))
    times, loss = [], torch.zeros(())
    for _ in range(steps):
        start = _now()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = loss_of(decoder, grid, token_ids, lengths)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(_now() - start)
    return {"step_ms": 1000 * statistics.median(times[2:]), "loss": loss.item()}


def _now() -> float:
    return time.process_time() if os.environ.get("OMP_NUM_THREADS") == "1" else time.perf_counter()


def _batch():
    """Return a batch shaped like Flickr8k's: 5 captions of 5 to 25 words, 11 on average."""
    import torch

    generator = torch.Generator().manual_seed(1)
    draws = torch.randn(PICTURES, CAPTIONS, generator=generator).mul(3.8).add(11.5).round()
    lengths = draws.clamp(5, 26).long().sort(dim=1, descending=True)[0]
    lengths = lengths[lengths[:, 0].argsort(descending=True)]
    token_ids = torch.randint(4, VOCABULARY, (PICTURES, CAPTIONS, 27), generator=generator)
    return torch.randn(PICTURES, CELLS, FEATURE_DIM, generator=generator).half(), token_ids, lengths


def _own_loss(decoder, grid, token_ids, lengths):
    import torch.nn.functional as F

    packed = decoder.teacher_forced(grid, token_ids, lengths)
    image, caption, moment = packed.position.unbind(1)
    return F.cross_entropy(packed.logits.float(), token_ids[image, caption, moment + 1])


def _naive_loss(decoder, grid, token_ids, lengths):
    """Compute the same loss caption by caption row, as tutorials do."""
    import torch
    import torch.nn.functional as F

    from showtell.models.attention import LstmState, lstm_cell

    rows = grid.repeat_interleave(CAPTIONS, dim=0).float()  # (B * K, L, D)
    words, length = token_ids.flatten(0, 1), lengths.flatten()
    memory = decoder.encode_grid(rows)
    values, keys = memory
    hidden, cell = (part[:, 0] for part in decoder.start(memory))
    parts = decoder.config.attention_dim, HIDDEN, 4 * HIDDEN
    logits = []
    for moment in range(int(length.max())):
        query, gate, hidden_gates = decoder.from_hidden(hidden).split(parts, dim=-1)
        energy = torch.tanh(keys + query.unsqueeze(1))  # (B * K, L, A)
        weights = F.softmax(decoder.score(energy).squeeze(-1), dim=-1)
        context = torch.sigmoid(gate) * (weights.unsqueeze(1) @ values).squeeze(1)
        word = decoder.embed(words[:, moment])
        inputs = decoder.from_input(torch.cat([word, context], dim=-1))
        hidden, cell = lstm_cell(inputs, hidden_gates, LstmState(hidden, cell))
        logits.append(decoder.logits(decoder.deep_output(word, hidden, context)))
    scores = torch.stack(logits, dim=1)  # (B * K, T, V)
    targets = words[:, 1 : scores.shape[1] + 1].clone()
    targets[torch.arange(scores.shape[1]) >= length.unsqueeze(1)] = -100
    return F.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=-100)


def _time_parts(decoder, optimizer, grid, token_ids, lengths) -> dict[str, float]:
    """Return the milliseconds of each part of a step of ours, medians of 5."""
    import torch
    import torch.nn.functional as F

    from showtell.runtime import has_fast_bfloat16

    bfloat16 = has_fast_bfloat16(torch.device("cpu"))
    runs: list[dict[str, float]] = []
    for _ in range(7):
        marks = [("start", _now())]
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            with torch.no_grad():
                decoder.encode_grid(grid)
            marks.append(("project the grids", _now()))
            packed = decoder.teacher_forced(grid, token_ids, lengths)
            marks.append(("read words and score the next, grids projected again", _now()))
        image, caption, moment = packed.position.unbind(1)
        loss = F.cross_entropy(packed.logits.float(), token_ids[image, caption, moment + 1])
        marks.append(("loss", _now()))
        loss.backward()
        marks.append(("backward", _now()))
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
        marks.append(("clip and AdamW", _now()))
        runs.append({name: 1000 * (now - before) for (_, before), (name, now) in pairwise(marks)})
    return {name: statistics.median(run[name] for run in runs[2:]) for name in runs[0]}


if __name__ == "__main__":
    main()
