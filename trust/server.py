"""The server under load and attack: memory stays flat, nothing leaks, nobody is answered who should not be.

python trust/server.py --minutes 60 --only "full load"
python trust/server.py --rounds 50
"""

import http.client
import random
import re
import resource
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from starlette.types import Receive, Scope, Send

from attacks import HOSTS, ORIGINS, PICTURE, lying, prediction, smuggled
from campaign import Attempt, Figures, Finding, Line, NotHere, run
from conftest import draw, encoded
from serving import make_captioner, make_classifier, wait_until
from showtell.serving.guard import Guard

CLIENTS, WINDOW = 16, 10.0
WARM = 3
"""Windows before memory is looked at."""
FLAT, SLOWER = 1.02, 1.25
"""Most that memory may differ within the second half, and p99 from that of a server just started."""
CROWD = 1000
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


@contextmanager
def full_load(folder: Path) -> Iterator[Attempt]:
    """Ask as much as is answered, window by window; at the end compare with a server just started."""
    with serving(folder) as server:
        load(server, 2, random.Random(0))
        server.settle(1000)
        files, memory = server.files(), list[float]()

        def attempt(chance: random.Random) -> Figures:
            times = load(server, WINDOW, chance)
            memory.append(server.memory())
            return {
                "requests": len(times),
                "highest p99 ms": p99(times),
                "lowest MB": memory[-1],
                "highest MB": memory[-1],
            }

        yield attempt
        server.settle(files + 1)
        half = memory[max(WARM, len(memory) // 2) :]
        if half and max(half) > FLAT * min(half):
            raise Finding(f"memory moves from {min(half):.1f} to {max(half):.1f} MB in the second half")
        with serving(folder) as fresh:
            load(fresh, 2, random.Random(0))
            turns = [
                (p99(load(server, 5, random.Random(n))), p99(load(fresh, 5, random.Random(n))))
                for n in range(6)
            ]
        old, new = (statistics.median(values) for values in zip(*turns))
        was = f"{memory[0]:.1f} to {memory[-1]:.1f} MB"
        print(f"full load: {was}; p99 in turn {old:.1f} ms, of a server just started {new:.1f} ms")
        if old > SLOWER * new:
            raise Finding(f"p99 is {old:.1f} ms after the load, and {new:.1f} ms of a server just started")


def _misbehave(server: Server, chance: random.Random) -> None:
    """Be one bad client: leave in the middle, reset, send rubbish, drip, or never read the answer."""
    whole = prediction(keep=True)
    with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        kind = chance.randrange(6)
        if kind == 0:
            connection.sendall(whole[: chance.randrange(len(whole))])
        elif kind == 1:  # a reset instead of an end
            connection.sendall(whole[: chance.randrange(len(whole))])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif kind == 2:
            connection.sendall(chance.randbytes(chance.randrange(1, 5000)))
        elif kind == 3:
            for byte in whole[: chance.randrange(40)]:
                connection.sendall(bytes([byte]))
                time.sleep(0.01)
        elif kind == 4:  # many requests, of which no answer is read
            connection.sendall(whole * chance.randrange(1, 20))
            time.sleep(0.1)
        else:
            damaged = bytearray(whole)
            for _ in range(chance.randrange(1, 20)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            connection.sendall(damaged)
            connection.recv(1000)


@contextmanager
def bad_clients(folder: Path) -> Iterator[Attempt]:
    """Send forty bad clients at once, and a good one among them, who must be answered."""
    with serving(folder, "--idle-timeout", "1") as server:
        load(server, 1, random.Random(0))
        server.settle(1000)
        files = server.files()

        def attempt(chance: random.Random) -> Figures:
            bad = [
                threading.Thread(target=_misbehave, args=(server, random.Random(chance.getrandbits(32))))
                for _ in range(40)
            ]
            for thread in bad:
                thread.start()
            began = time.monotonic()
            answer = server.send(prediction())
            waited = time.monotonic() - began
            for thread in bad:
                thread.join()
            if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")):
                raise Finding(f"a good client among bad ones is answered {answer[:80]!r}")
            server.settle(files + 1)
            return {"clients": 40, "highest wait s": waited}

        yield attempt


@contextmanager
def crowd(folder: Path) -> Iterator[Attempt]:
    """Open 1,000 connections at once: each is answered or refused, and afterwards all is as before."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * CROWD:
        raise NotHere(f"a process may open {hard} files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(4096, 2 * CROWD), hard))
    with serving(folder) as server:
        load(server, 1, random.Random(0))
        server.settle(1000)
        files = server.files()

        def attempt(chance: random.Random) -> Figures:
            asked = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(CROWD)]
            statuses = []
            try:
                for connection in chance.sample(asked, CROWD):
                    with suppress(OSError):  # refused already
                        connection.sendall(prediction())
                for connection in asked:
                    with suppress(ConnectionError):
                        statuses.append(connection.recv(4096)[9:12])
            finally:
                for connection in asked:
                    connection.close()
            if odd := set(statuses) - {b"200", b"503"}:
                raise Finding(f"one of {CROWD} connections is answered {odd.pop()!r}")
            if len(statuses) < CROWD:
                raise Finding(f"{CROWD - len(statuses)} of {CROWD} connections are reset without an answer")
            server.settle(files + 1)
            return {"answered": statuses.count(b"200"), "refused": statuses.count(b"503")}

        yield attempt


def all_of(server: Server, requests: Iterator[tuple[str, bytes]], chance: random.Random) -> dict[str, bytes]:
    """Return by name what comes back for requests, eight at a time in a random order."""
    asked = dict(requests)
    names = chance.sample(list(asked), len(asked))
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(names, pool.map(server.send, (asked[name] for name in names))))


@contextmanager
def smuggling(folder: Path) -> Iterator[Attempt]:
    """Hide a request in the body of another, by every trick; the hidden one is not answered."""
    with serving(folder, "--idle-timeout", "1") as server:

        def attempt(chance: random.Random) -> Figures:
            answers = all_of(server, smuggled(), chance)
            if bad := {
                name: answer[:60]
                for name, answer in answers.items()
                if answer.count(b"HTTP/1.1 ") > 1 or answer.startswith(b"HTTP/1.1 5")
            }:
                raise Finding(f"a hidden request is answered, or a fault: {bad}")
            refused = sum(answer.startswith(b"HTTP/1.1 4") for answer in answers.values())
            return {"tricks": len(answers), "refused": refused}

        yield attempt


@contextmanager
def lies(folder: Path) -> Iterator[Attempt]:
    """Upload what is not what it says; nothing of it is answered as an image."""
    with serving(folder, "--idle-timeout", "1") as server:

        def attempt(chance: random.Random) -> Figures:
            asked = b"HTTP/1.1 100 Continue\r\n\r\n"
            answers = all_of(server, lying(), chance)
            if bad := {
                name: answer[:60]
                for name, answer in answers.items()
                if not answer.removeprefix(asked).startswith(b"HTTP/1.1 4")
            }:
                raise Finding(f"taken for an image, or not answered: {bad}")
            return {"uploads": len(answers)}

        yield attempt


@contextmanager
def strangers(folder: Path) -> Iterator[Attempt]:
    """Call a local server by other names (DNS rebinding), and from pages of other sites."""
    with serving(folder) as server:

        def attempt(chance: random.Random) -> Figures:
            host, origin = f"localhost:{server.port}", None
            if chance.random() < 0.5:
                host = chance.choice(HOSTS)
            else:
                origin = chance.choice(ORIGINS)
            method, path = chance.choice([("GET", "/"), ("GET", "/v1/models"), ("POST", "/v1/predict")])
            lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
            lines += [] if origin is None else [f"Origin: {origin}"]
            lines += [f"Content-Length: {len(PICTURE)}"] if method == "POST" else []
            body = PICTURE if method == "POST" else b""
            answer = server.send("\r\n".join([*lines, "", ""]).encode() + body)
            if not re.match(rb"HTTP/1.1 (400|403|421) ", answer):
                raise Finding(f"{method} {path} of host {host!r}, page {origin!r}: {answer[:60]!r}")
            return {"refused": 1}

        yield attempt


@contextmanager
def tokens(_: Path) -> Iterator[Attempt]:
    """Time wrong tokens that are wrong at the first letter, and at the last."""
    token = "k" * 12_000

    async def nobody(scope: Scope, receive: Receive, send: Send) -> None:
        raise Finding("a wrong token was taken")

    async def silent(*_: object) -> dict[str, object]:
        return {"type": "http.disconnect"}

    guard = Guard(nobody, token=token, local=False, trusted=())

    def spent(shown: str) -> float:
        header = [(b"authorization", b"Bearer " + shown.encode())]
        scope = {"type": "http", "path": "/v1/models", "headers": header}
        began = time.perf_counter_ns()
        for _ in range(20):
            with suppress(StopIteration):
                guard(scope, silent, silent).send(None)
        return time.perf_counter_ns() - began

    def attempt(_: random.Random) -> Figures:
        first, last = "x" + token[1:], token[:-1] + "x"
        turns = [(spent(first), spent(last)) for _ in range(300)]
        early, late = (min(values) for values in zip(*turns))
        if late > 1.03 * early:
            raise Finding(f"a token wrong at its end takes {late / early:.3f} times as long")
        return {"highest ratio": late / early}

    yield attempt


@contextmanager
def scanner(folder: Path) -> Iterator[Attempt]:
    """Let schemathesis try what the server's own description allows, and what it does not."""
    if find_spec("schemathesis") is None:
        raise NotHere("schemathesis is not installed")
    with serving(folder, "--max-body-mb", "1") as server:
        files = server.files()

        def attempt(chance: random.Random) -> Figures:
            command = [
                sys.executable,
                "-m",
                "schemathesis.cli",
                "run",
                f"http://127.0.0.1:{server.port}/openapi.json",
            ]
            command += ["--max-examples", "40", "--seed", str(chance.getrandbits(31)), "--no-color"]
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
            if done.returncode != 0:
                raise Finding(done.stdout[-3000:] + done.stderr[-300:])
            server.settle(files + 2)
            return {
                "cases": int(
                    (re.search(r"(\d[\d,]*) generated", done.stdout) or [0, "0"])[1].replace(",", "")
                )
            }

        yield attempt


LINES = (
    Line("full load", full_load, share=20, short=0),
    Line("slow and broken clients", bad_clients, share=3, short=1),
    Line("1,000 connections at once", crowd, share=2, short=1),
    Line("requests within requests", smuggling, share=2, short=0),
    Line("uploads that lie", lies, share=2, short=0),
    Line("other names, other sites", strangers, share=1, short=80),
    Line("tokens in constant time", tokens, share=1, short=0),
    Line("a scanner", scanner, share=3, short=0),
)

if __name__ == "__main__":
    sys.exit(run("server", __doc__, LINES))
