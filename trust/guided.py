"""Fuzzing of what parses, guided by coverage: atheris keeps inputs that reach new lines, and mutates those.

    pip install atheris                       # CPython 3.11 on Linux; without it the lines are left out
    python trust/guided.py --minutes 20
    python trust/guided.py --only JSON

A round fuzzes one parser for half a minute in a process of its own and goes on from what the rounds before it
found. It ends at anything but an answer or a message: another exception, five seconds, too much memory.
"""

import contextlib
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from campaign import Attempt, Figures, Finding, NotHere, line, run
from parsing import read_answers, read_settings

SECONDS, LONGEST, MEGABYTES = 30, 5, 2000
"""Of a round; of one input; of the whole process, torch's code included."""
NAMES = ("a.png", "b.png", "c.png", "d.png")
SEEDS = {
    "tables": (
        b"image,caption\na.png,a red dog\nb.png,two cats\nc.png,\"a, b\"\nd.png,end\n",
        "image;label;split\na.png;고양이;train\nb.png;개;val\nc.png;개;test\nd.png;개;train\n".encode("cp949"),
        "image\tcat\tdog\na.png\t1\t0\nb.png\t0\t1\nc.png\t1\t0\nd.png\t0\t1\n".encode("utf-16"),
    ),
    "json": (
        b'{"images":[{"id":1,"file_name":"a.png"}],"annotations":[{"image_id":1,"caption":"a dog"}]}',
        b'{"images":[{"filename":"a.png","split":"train","sentences":[{"raw":"a dog"}]}],"dataset":"x"}',
        b'{"a.png": ["a dog", "a cat"], "b.png": "two cats"}',
        b'[{"image": "a.png", "label": "cat"}, {"image": "b.png", "label": "dog"}]',
    ),
    "answers": (b"image,caption,who,time\na.png,a dog,person,2026-11-29T10:00:01Z\nb.png,a cat,machine,\n",),
    "settings": (b"hidden_dim = 16\nlearning_rate = 1e-3\npatience = 3\n[a]\nb = [1, {c = 2}]\n",),
    "space": (b'{"format": 1, "dtype": "float16", "grid_shape": [4, 8], "pooled_dim": 8}',),
}  # fmt: skip
"""What each parser begins with."""


def _file(name: str, parse: Callable[[Path], object], folder: Path) -> Callable[[bytes], object]:
    path = folder / name

    def read(content: bytes) -> None:
        path.write_bytes(content)
        parse(path)

    return read


def _data(file: str, folder: Path) -> Callable[[bytes], object]:
    from showtell.data.readers import read_dataset
    from showtell.data.source import DataSource

    for number, name in enumerate(NAMES):
        Image.new("RGB", (4, 4), (60 * number, 0, 0)).save(folder / name)
    return _file(file, lambda path: read_dataset(DataSource(path)), folder)


def _space(folder: Path) -> Callable[[bytes], object]:
    from showtell.store.store import FeatureStore

    space = folder / "0123456789abcdef"
    space.mkdir(exist_ok=True)
    return _file("space.json", lambda path: FeatureStore(folder).spaces(), space)


PARSERS: dict[str, Callable[[Path], Callable[[bytes], object]]] = {
    "tables": partial(_data, "t.csv"),
    "json": partial(_data, "t.json"),
    "answers": partial(_file, "captions.csv", read_answers),
    "settings": partial(_file, "settings.toml", read_settings),
    "space": _space,
}


def fuzz(parser: str, folder: Path, arguments: list[str]) -> None:
    """Be the process that fuzzes one parser; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["showtell"], enable_loader_override=False):
        from showtell.errors import ShowtellError

        read = PARSERS[parser](folder)
        with contextlib.suppress(ShowtellError):
            read(SEEDS[parser][0])  # what is imported at the first use is watched, too

    def one(content: bytes) -> None:
        with contextlib.suppress(ShowtellError):
            read(content)

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def _guided(parser: str, folder: Path) -> Iterator[Attempt]:
    if find_spec("atheris") is None:
        raise NotHere("atheris is not installed")
    corpus, place = folder / "corpus", folder / "place"
    for made in (corpus, place):
        made.mkdir()
    for number, seed in enumerate(SEEDS[parser]):
        (corpus / f"seed{number}").write_bytes(seed)

    def attempt(chance: random.Random) -> Figures:
        limits = [f"-max_total_time={SECONDS}", f"-timeout={LONGEST}", f"-rss_limit_mb={MEGABYTES}"]
        how = [f"-seed={chance.getrandbits(31)}", "-max_len=20000", f"-artifact_prefix={folder}/"]
        command = [sys.executable, __file__, "--fuzz", parser, str(place), str(corpus), *limits, *how]
        done = subprocess.run(
            [*command, "-print_final_stats=1"], capture_output=True, text=True, errors="replace", check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")},
        )  # fmt: skip
        said = done.stderr
        if done.returncode != 0:
            found = sorted(
                path for path in folder.iterdir() if path.name.startswith(("crash", "timeout", "oom"))
            )
            content = found[-1].read_bytes()[:300] if found else b""
            why = re.findall(r"^.*(?:Error|Exception|ERROR).*$", said, re.MULTILINE)[:3]
            raise Finding(f"{content!r} ends in {why or said[-300:]}")
        inputs = re.search(r"number_of_executed_units:\s*(\d+)", said)
        edges = re.findall(r"cov: (\d+)", said)
        return {
            "inputs": int(inputs[1]) if inputs else 0,
            "highest edges": float(edges[-1]) if edges else 0.0,
        }

    yield attempt


LINES = (
    line("tables in text", _guided, "tables", share=3, short=0),
    line("JSON", _guided, "json", share=3, short=0),
    line("answers of teach", _guided, "answers", short=0),
    line("settings", _guided, "settings", short=0),
    line("a space of the store", _guided, "space", short=0),
)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--fuzz"]:
        _, _, parser, place, *rest = sys.argv
        fuzz(parser, Path(place), rest)
    sys.exit(run("guided", __doc__, LINES))
