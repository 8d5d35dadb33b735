"""The server under load and attack: memory stays flat, nothing leaks, nobody is answered who should not be.

python trust/server.py --minutes 60 --only "full load"
python trust/server.py --rounds 50
"""

import random
import re
import resource
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from starlette.types import Receive, Scope, Send

from asking import Server, load, p99, serving
from attacks import HOSTS, ORIGINS, PICTURE, lying, prediction, smuggled
from campaign import Attempt, Figures, Finding, Line, NotHere, run
from scanners import by_schemathesis, by_wapiti
from showtell.serving.guard import Guard

WINDOW, WARM = 10.0, 3
"""Seconds of a window, and windows before memory is looked at."""

FLAT, SLOWER = 1.02, 1.25
"""Most that memory may differ within the second half, and p99 from that of a server just started."""

CROWD = 1000


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


LINES = (
    Line("full load", full_load, share=20, short=0),
    Line("slow and broken clients", bad_clients, share=3, short=1),
    Line("1,000 connections at once", crowd, share=2, short=1),
    Line("requests within requests", smuggling, share=2, short=0),
    Line("uploads that lie", lies, share=2, short=0),
    Line("other names, other sites", strangers, share=1, short=80),
    Line("tokens in constant time", tokens, share=1, short=0),
    Line("schemathesis", by_schemathesis, share=3, short=0),
    Line("wapiti", by_wapiti, share=3, most=1, short=0),
)

if __name__ == "__main__":
    sys.exit(run("server", __doc__, LINES))
