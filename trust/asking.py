"""A server in a process of its own, and clients that ask it as fast as they are answered."""

import http.client
import random
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from attacks import PICTURE
from campaign import Finding
from conftest import draw, encoded
from serving import make_captioner, make_classifier, wait_until

CLIENTS = 16

REQUESTS = (
    ("POST", "/v1/predict", PICTURE, 200),
    ("POST", "/v1/predict", encoded(draw(2, 64), "PNG"), 200),
    ("POST", "/v1/predict?explain=true", PICTURE, 200),
    ("POST", "/v1/predict?model=captioner&beams=2", PICTURE, 200),
    ("POST", "/v1/predict", PICTURE[:300], 422),
    ("POST", "/v1/predict?model=none", PICTURE, 404),
    ("GET", "/v1/models", None, 200),
    ("GET", "/healthz", None, 200),
)

WEIGHTS = (60, 20, 4, 4, 5, 1, 3, 3)


@dataclass
class Server:
    """A server in a process of its own.

    Attributes:
        process: Its process.
        port: Where it listens.
    """

    process: subprocess.Popen[str]
    port: int

    def memory(self) -> float:
        """Return its resident megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def files(self) -> int:
        """Return how many descriptors it holds."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def get(self, path: str) -> bytes:
        """Return what is at a path.

        Raises:
            Finding: It does not answer, or with a fault.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            raise Finding(f"the server does not answer {path} any more: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise Finding(f"{path} is answered with {answer.status}")
        return body

    def send(self, content: bytes) -> bytes:
        """Return all that comes back for some bytes until the server hangs up."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection, suppress(OSError):
            connection.sendall(content)
            while received := connection.recv(65536):
                answer += received
        return answer

    def settle(self, files: int) -> None:
        """Wait until nothing is in flight and no descriptor is held beyond some.

        Raises:
            Finding: It does not come to that.
        """
        idle = b"showtell_requests_in_flight 0.0"
        try:
            wait_until(lambda: self.files() <= files and idle in self.get("/metrics"), 20)
        except AssertionError:
            raise Finding(
                f"{self.files()} descriptors are held where {files} were, or requests are"
            ) from None


@contextmanager
def serving(folder: Path, *more: str) -> Iterator[Server]:
    """Start ``showtell serve`` with a small classifier and a small captioner of random weights."""
    runs = [folder / "classifier", folder / "captioner"]
    if not runs[1].exists():
        make_classifier(runs[0])
        make_captioner(runs[1], ["a red ball on grass", "two dogs run"])
    command = [sys.executable, "-m", "showtell", "serve", *map(str, runs), "--port", "0", *more]
    # Where logs go is a file: a pipe that nobody reads would stop the server.
    log = folder / f"log-{time.monotonic_ns()}"
    with log.open("w") as said, subprocess.Popen(command, stderr=said, text=True) as process:
        try:
            wait_until(lambda: "Ctrl-C" in log.read_text("utf-8") or process.poll() is not None, 120)
            found = re.search(r"http://127.0.0.1:(\d+)", log.read_text("utf-8"))
            if found is None:
                raise Finding(f"the server does not start: {log.read_text('utf-8')[-300:]}")
            yield Server(process, int(found[1]))
            if process.poll() is not None:
                raise Finding(f"the server ended with status {process.returncode}")
        finally:
            process.terminate()
            process.wait(40)
    if "Traceback" in (told := log.read_text("utf-8")):
        raise Finding(f"the server tells of a fault: {told[-300:]}")


def load(server: Server, seconds: float, chance: random.Random) -> list[float]:
    """Let clients ask as fast as they are answered; return the seconds of every answer.

    Raises:
        Finding: One is answered otherwise than it should be.
    """
    end, times, wrong = time.monotonic() + seconds, list[float](), list[str]()
    seeds = [chance.getrandbits(32) for _ in range(CLIENTS)]

    def ask(seed: int) -> None:
        own = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        while time.monotonic() < end and not wrong:
            method, path, body, status = own.choices(REQUESTS, WEIGHTS)[0]
            began = time.perf_counter()
            try:
                connection.request(method, path, body)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                wrong.append(f"{method} {path} is not answered: {error!r}")
                break
            times.append(time.perf_counter() - began)
            if answer.status != status:
                wrong.append(f"{method} {path} is answered with {answer.status}, not {status}")
        connection.close()

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise Finding(wrong[0])
    return times


def p99(times: Sequence[float]) -> float:
    """Return the 99th percentile in milliseconds."""
    return 1000 * statistics.quantiles(times, n=100)[98]
