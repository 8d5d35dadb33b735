"""Measure the HTTP API under load against the library's own batched throughput, in the same run.

    python bench/serve.py RUN [--images FOLDER] [--seconds 60]

Needs the load tool hey (apt install hey). 16 clients, four images of 500x375. The server and the library
take turns, since the speed of a shared machine comes and goes; each turn is compared with its neighbours.
"""

import argparse
import csv
import io
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from urllib.request import urlopen

from PIL import Image

import showtell
from record import add_results, record

CLIENTS, SIZE, ROUNDS = 16, (500, 375), 6


def jpegs(folder: Path | None) -> list[bytes]:
    """Return four photos, or drawings where there are none."""
    from showtell.data.images import open_image
    from showtell.samples import draw_scene, make_scenes

    if folder is None:
        images = [draw_scene(scene, 500) for scene in make_scenes(1, 4, "train")]
    else:
        images = [open_image(path) for path in sorted(folder.glob("*.jpg"))[:4]]
    contents = []
    for image in images:
        buffer = io.BytesIO()
        image.resize(SIZE, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=92)
        contents.append(buffer.getvalue())
    return contents


def time_library(model, contents: list[bytes], seconds: float) -> tuple[float, float]:
    """Return images a second and CPU milliseconds an image of ``model.stream``."""
    list(model.stream(islice(cycle(contents), 32)))
    count, end = 0, time.perf_counter() + seconds
    began, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() < end:
        count += len(list(model.stream(islice(cycle(contents), 64))))
    return count / (time.perf_counter() - began), 1000 * (time.process_time() - cpu) / count


@contextmanager
def server(run: str) -> Iterator[str]:
    """Run ``showtell serve``; yield its address."""
    command = [sys.executable, "-m", "showtell", "serve", run, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        said = ""
        while "Ctrl-C" not in said:
            said = child.stderr.readline()
            if not said:
                raise SystemExit("the server did not start")
        threading.Thread(target=child.stderr.read, daemon=True).start()
        yield re.search(r"http://\S+:\d+", said)[0]
        child.terminate()


def load(
    address: str, paths: list[Path], clients: int, seconds: float, rate: float = 0
) -> list[tuple[float, str]]:
    """Return time and status of every answer to ``clients``, each with one request at a time.

    Args:
        address: Of the server.
        paths: One image an instance of the tool.
        clients: All together.
        seconds: How long.
        rate: Requests a second, all together; 0 for as many as are answered.
    """
    each = clients // len(paths)
    limit = ["-q", f"{rate / clients:.3f}"] if rate else []
    command = [
        "hey",
        "-z",
        f"{seconds:g}s",
        "-c",
        str(each),
        *limit,
        "-m",
        "POST",
        "-T",
        "image/jpeg",
        "-o",
        "csv",
    ]
    tools = [
        subprocess.Popen([*command, "-D", path, f"{address}/v1/predict"], stdout=subprocess.PIPE, text=True)
        for path in paths
    ]
    rows = [row for tool in tools for row in csv.DictReader(io.StringIO(tool.communicate()[0]))]
    return [(float(row["response-time"]), row["status-code"]) for row in rows]


def metric(address: str, name: str) -> float:
    """Return a figure of the server's own."""
    with urlopen(f"{address}/metrics") as answer:
        return float(re.search(rf"^{name} (\S+)", answer.read().decode(), re.M)[1])


def watch_memory(address: str, found: list[float], stop: threading.Event) -> None:
    while not stop.wait(2):
        found.append(metric(address, "process_resident_memory_bytes") / 1e6)


def p99(answers: list[tuple[float, str]]) -> float:
    return statistics.quantiles([seconds for seconds, _ in answers], n=100)[98]


def full_load(
    address: str, paths: list[Path], seconds: float
) -> tuple[list[tuple[float, str]], float, float]:
    """Return the answers to 16 clients, none lost; images a second; and CPU milliseconds an image."""
    counters = ("showtell_predict_seconds_count", "process_cpu_seconds_total")
    before = [metric(address, name) for name in counters]
    began = time.perf_counter()
    answers = load(address, paths, CLIENTS, seconds)
    speed = len(answers) / (time.perf_counter() - began)
    counted, cpu = (metric(address, name) - was for name, was in zip(counters, before))
    if counted != len(answers):
        raise SystemExit(f"the server counted {counted:.0f} answers, the clients {len(answers)}")
    return answers, speed, 1000 * cpu / len(answers)


def statuses(answers: list[tuple[float, str]]) -> dict[str, int]:
    return dict(Counter(status for _, status in answers))


def main() -> None:
    """Measure one run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    add_results(parser)
    options = parser.parse_args()
    if shutil.which("hey") is None:
        raise SystemExit("hey is not installed: apt install hey")
    showtell.tune_process()  # as the server is, and before torch is imported
    contents = jpegs(options.images)
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; images of {len(contents[0]) / 1000:.0f} kB"
    )
    model = showtell.load(options.run, device="cpu")
    with tempfile.TemporaryDirectory() as folder, server(options.run) as address:
        paths = [Path(folder) / f"{number}.jpg" for number in range(len(contents))]
        for path, content in zip(paths, contents):
            path.write_bytes(content)
        load(address, paths, CLIENTS, 3)  # warm up
        memory, stop = [], threading.Event()
        watcher = threading.Thread(target=watch_memory, args=(address, memory, stop))
        watcher.start()
        each = options.seconds / ROUNDS
        library, answers, speeds, shares = [time_library(model, contents, each / 2)], [], [], []
        processor: list[float] = []
        for _ in range(ROUNDS):
            found, speed, cpu = full_load(address, paths, each)
            library.append(time_library(model, contents, each / 2))
            beside = (library[-2][0] + library[-1][0]) / 2
            print(
                f"server {speed:.1f} images/s, CPU {cpu:.1f} ms an image; library before and after "
                f"{beside:.1f}, {library[-1][1]:.1f} ms: {speed / beside:.0%}"
            )
            answers += found
            speeds.append(speed)
            processor.append(cpu)
            shares.append(speed / beside)
        stop.set()
        watcher.join()
        speed = statistics.median(speeds)
        print(f"the server reaches {statistics.median(shares):.0%} of the library, {speed:.1f} images/s")
        median = statistics.median(seconds for seconds, _ in answers)
        print(f"p50 {median:.3f} s, p99 {p99(answers):.3f} s, {CLIENTS} clients; {statuses(answers)}")
        early, late = memory[len(memory) // 6], memory[-1]
        print(f"memory {early:.0f} MB early, {late:.0f} late, {max(memory):.0f} at most")
        half = load(address, paths, CLIENTS, options.seconds / 2, speed / 2)
        print(f"at half of that load: p99 {p99(half):.3f} s of {len(half)}, {statuses(half)}")
        beyond = load(address, paths, 128, options.seconds / 6)
        print(f"128 clients, 64 let in: {statuses(beyond)}")
    figures = {
        "share_of_library": statistics.median(shares),
        "images_per_s": speed,
        "server_processor_ms": statistics.median(processor),
        "library_processor_ms": statistics.median(ms for _, ms in library),
        "p50_s": median,
        "p99_s": p99(answers),
        "p99_half_load_s": p99(half),
        "memory_mb": {"early": early, "late": late, "most": max(memory)},
    }
    record("serve", figures, options)


if __name__ == "__main__":
    main()
