"""Say where the command line's tuned allocator pays: encoding and training, with it and without it.

    python bench/allocator.py [--rounds 3]

Processes in turn, one as the command line tunes it, one with glibc's allocator as it comes, everything else
the same: two batches of 16 images side by side through networks of random weights, and steps of a captioner's
training (step_age.py). Beside the time: seconds of the system, and page faults, which are what it saves.
"""

import argparse
import contextlib
import io
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import step_age
from record import add_results, record

NETWORKS = {"mobilenetv2_100": 224, "inception_v3": 299}
BATCH, BATCHES, STEPS = 16, 8, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=2, metavar=("ALLOCATOR", "WORK"))
    add_results(parser)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(*options.worker)))
        return
    figures = {}
    for what in (*NETWORKS, "training"):
        found: dict[str, list[list[float]]] = {"tuned": [], "plain": []}
        for _ in range(options.rounds):
            for allocator, rounds in found.items():
                command = [sys.executable, __file__, "--worker", allocator, what]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                rounds.append(json.loads(done.stdout.splitlines()[-1]))
        unit = "a step" if what == "training" else "an image"
        for allocator, rounds in found.items():
            ms, system, faults = map(statistics.median, zip(*rounds))
            figures[f"{what}, {allocator}"] = {"ms": ms, "system_ms": system, "faults": faults}
            print(
                f"{what:<16} {allocator}: {ms:.1f} ms {unit}, {system:.2f} of the system, {faults:.0f} faults"
            )
    record("allocator", figures, options)


def work(allocator: str, what: str) -> list[float]:
    """Return milliseconds, milliseconds of the system and page faults of an image, or of a step."""
    if allocator == "plain":
        platform.libc_ver = lambda *_: ("", "")  # what the tuning heeds
    if what == "training":
        before, said = resource.getrusage(resource.RUSAGE_SELF), io.StringIO()
        with contextlib.redirect_stdout(said):
            step_age.work(STEPS, 32)
        times = [float(line.split()[0]) for line in said.getvalue().splitlines()][STEPS // 2 :]
        return [1000 * statistics.median(times), *_spent(before, STEPS)]
    return _encode(what)


def _encode(name: str) -> list[float]:
    import showtell

    showtell.tune_process()
    import timm
    import torch

    from showtell.runtime import limit_threads

    network = timm.create_model(name, pretrained=False).eval()
    images = torch.randn(BATCH, 3, NETWORKS[name], NETWORKS[name])

    @torch.inference_mode()
    def encode(_: int) -> float:
        return network.forward_features(images).mean().item()

    with ThreadPoolExecutor(2, initializer=limit_threads, initargs=(1,)) as pool:
        list(pool.map(encode, range(4)))
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        list(pool.map(encode, range(BATCHES)))
        seconds = time.perf_counter() - started
    return [1000 * seconds / BATCH / BATCHES, *_spent(before, BATCH * BATCHES)]


def _spent(before: resource.struct_rusage, count: int) -> list[float]:
    after = resource.getrusage(resource.RUSAGE_SELF)
    return [
        1000 * (after.ru_stime - before.ru_stime) / count,
        (after.ru_minflt - before.ru_minflt) / count,
    ]


if __name__ == "__main__":
    main()
