"""Hostile tables, JSON, archives, answers, settings and records: whatever is parsed that somebody else wrote.

python trust/hostile_data.py --rounds 10         # 100 inputs a round and line
"""

import csv
import io
import json
import os
import random
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from campaign import Attempt, Figures, Line, NotHere, run
from guard import Guard
from mutate import mutated
from mutate_text import as_json, mutated_cells, mutated_json
from parsing import read_answers, read_settings

INPUTS = 100
"""In a round."""
NAMES = [f"p{number}.png" for number in range(6)]
SAID = [
    "a red dog runs",
    "a cat sleeps",
    "two birds on a tree",
    "강아지가 달린다",
    "a dog, again",
    "the last one",
]
Make = Callable[[random.Random], tuple[bytes, Any]]


def _bound(size: int) -> int:
    """Return the bytes that reading a file of text may take: a hundred for each of its own, and 32 MB."""
    return 100 * size + (32 << 20)


@contextmanager
def _of_data(
    names: list[str], write: Callable[[random.Random], tuple[str, bytes]], folder: Path
) -> Iterator[Attempt]:
    """Read a folder of images beside one hostile file; or the file itself."""
    from showtell.data.readers import read_dataset
    from showtell.data.source import DataSource
    from showtell.errors import ShowtellError

    data, secret = folder / "data", folder / "secret"
    data.mkdir()
    secret.mkdir()
    Image.new("RGB", (4, 4), "red").save(secret / "secret.png")
    for name in names:
        (data / name).write_bytes((secret / "secret.png").read_bytes())
    (data / "link.png").symlink_to(secret / "secret.png")
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # where archives are unpacked

    def read(path: Path) -> None:
        dataset = read_dataset(DataSource(path))
        for image in dataset.images:
            where = getattr(image.path, "resolve", lambda: data)()
            if not where.is_relative_to(folder) or where.is_relative_to(secret):
                raise AssertionError(f"{image.path} lies outside of the folder")

    def make(chance: random.Random) -> tuple[bytes, Path]:
        name, content = write(chance)
        for left in data.iterdir():
            if left.name not in (*names, "link.png"):
                left.unlink()
        (data / name).write_bytes(content)
        return content, chance.choice((data, data / name))

    yield _attempt(Guard(read, (ShowtellError,), _bound, folder, (secret,)), make)


def _attempt(guard: Guard, make: Make) -> Attempt:
    def attempt(chance: random.Random) -> Figures:
        return guard.try_all(make, INPUTS, str(chance.random()))

    return attempt


def _delimited(chance: random.Random) -> tuple[str, bytes]:
    header = chance.choice(
        (["image", "caption"], ["file", "label"], ["image", "caption", "split", "who"], ["path", "a", "b"])
    )
    rows = [[name, said, "train", "person"][: len(header)] for name, said in zip(NAMES, SAID)]
    if "a" in header:  # one column a class
        rows = [[name, str(int(number < 3)), str(int(number >= 3))] for number, name in enumerate(NAMES)]
    rows = [header, *rows]
    if chance.random() < 0.7:
        rows = mutated_cells(rows, chance)
    buffer = io.StringIO()
    quoting = chance.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    csv.writer(buffer, delimiter=chance.choice(",;\t|"), quoting=quoting).writerows(rows)
    content = buffer.getvalue().encode(chance.choice(("utf-8", "utf-16", "cp949", "latin-1")), "replace")
    if chance.random() < 0.5:
        content = mutated(content, chance)
    return f"t.{chance.choice(('csv', 'tsv', 'txt'))}", content


def _json(chance: random.Random) -> tuple[str, bytes]:
    pairs = list(zip(NAMES, SAID))
    coco = {
        "images": [{"id": number, "file_name": name} for number, (name, _) in enumerate(pairs)],
        "annotations": [{"id": n, "image_id": n, "caption": said} for n, (_, said) in enumerate(pairs)],
    }
    karpathy = {
        "images": [
            {
                "filename": name,
                "split": "train",
                "sentences": [{"raw": said, "tokens": said.split()}],
                "imgid": number,
            }
            for number, (name, said) in enumerate(pairs)
        ]
    }
    plain = [{"image": name, "captions": [said, said + " too"]} for name, said in pairs]
    name, value = chance.choice(
        (
            ("captions.json", coco),
            ("karpathy.json", karpathy),
            ("t.json", plain),
            ("t.json", dict(pairs)),
            ("metadata.jsonl", plain),
        )
    )
    value = mutated_json(value, chance)
    if name == "metadata.jsonl" and isinstance(value, list):
        value = [
            {"file_name" if key == "image" else key: v for key, v in one.items()}
            if isinstance(one, dict)
            else one
            for one in value
        ]
        content = b"\n".join(as_json(one, chance) for one in value)
    else:
        content = as_json(value, chance)
    return name, mutated(content, chance) if chance.random() < 0.4 else content


def _listed(chance: random.Random) -> tuple[str, bytes]:
    lines = "".join(f"{name}#{number % 3}\t{said}\n" for number, (name, said) in enumerate(zip(NAMES, SAID)))
    return "Flickr8k.token.txt", mutated(lines.encode(), chance)


def _archive(chance: random.Random) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    picture = io.BytesIO()
    Image.new("RGB", (4, 4)).save(picture, "PNG")
    with tarfile.open(
        fileobj=buffer, mode="w", format=chance.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    ) as tar:
        for number, said in enumerate(SAID):
            stem = chance.choice((f"s{number}", "../secret/x", "/etc/x", "s\n", "가" * 80, f"a/b/{number}"))
            for suffix, content in (
                ("png", picture.getvalue()),
                ("txt", said.encode()),
                ("json", b'{"caption": "x"}'),
            ):
                member = tarfile.TarInfo(f"{stem}.{suffix}")
                member.size = len(content)
                if chance.random() < 0.05:
                    member.type, member.linkname = (
                        chance.choice((tarfile.SYMTYPE, tarfile.LNKTYPE)),
                        "/etc/passwd",
                    )
                tar.addfile(member, io.BytesIO(content))
    content = buffer.getvalue()
    return "shard-000.tar", mutated(content, chance) if chance.random() < 0.8 else content


def _office(suffix: str, chance: random.Random, made: dict[str, bytes] = {}) -> tuple[str, bytes]:  # noqa: B006
    if not made:
        try:
            import openpyxl
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise NotHere(str(error)) from None
        book, buffer = openpyxl.Workbook(), io.BytesIO()
        for row in (["image", "caption"], *map(list, zip(NAMES, SAID))):
            book.active.append(row)
        book.save(buffer)
        made["xlsx"], buffer = buffer.getvalue(), io.BytesIO()
        parquet.write_table(pyarrow.table({"image": NAMES, "caption": SAID}), buffer)
        made["parquet"] = buffer.getvalue()
    return f"t.{suffix}", mutated(made[suffix], chance, list(made.values()))


@contextmanager
def _answers(folder: Path) -> Iterator[Attempt]:
    """Read a table of answers, and add one, as ``teach`` does."""
    from showtell.errors import ShowtellError

    path = folder / "captions.csv"

    def make(chance: random.Random) -> tuple[bytes, Path]:
        rows = [
            ["image", "caption", "who", "time"],
            *([n, s, "person", "2026-11-29T10:00:01Z"] for n, s in zip(NAMES, SAID)),
        ]
        buffer = io.StringIO()
        csv.writer(buffer).writerows(mutated_cells(rows, chance) if chance.random() < 0.7 else rows)
        content = buffer.getvalue().encode("utf-8", "replace")
        path.write_bytes(content := mutated(content, chance) if chance.random() < 0.6 else content)
        return content, path

    yield _attempt(Guard(read_answers, (ShowtellError,), _bound, folder), make)


@contextmanager
def _settings(folder: Path) -> Iterator[Attempt]:
    """Parse a command line with a hostile ``--config`` file."""
    from showtell.errors import ShowtellError

    path = folder / "settings.toml"
    sound = b"hidden_dim = 16\nlearning_rate = 1e-3\npatience = 3\nbatch_size = 4\naugmentations = 1\n"
    values = ("[" * 400, "1" * 5000, '"""', "{a=" * 300, "nan", "-1", "[[1]]", "2026-11-29", "1e999", "true")

    def make(chance: random.Random) -> tuple[bytes, Path]:
        content = mutated(sound, chance)
        if chance.random() < 0.5:
            name = chance.choice(("patience", "image_size", "a.b", "x"))
            content += f"{name} = {chance.choice(values)}\n".encode()
        path.write_bytes(content)
        return content, path

    yield _attempt(Guard(read_settings, (ShowtellError,), _bound, folder), make)


@contextmanager
def _records(folder: Path) -> Iterator[Attempt]:
    """Read the records of a run."""
    from showtell.errors import ShowtellError
    from showtell.report.curves import draw_score
    from showtell.runs.records import EvaluationRecord
    from showtell.runs.run import Run

    sizes = {"height": 64, "width": 64, "fit": "stretch", "crop_pct": 1.0, "interpolation": "bilinear"}
    colours = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "recipe": "as ever"}
    backbone = {
        "architecture": "test_resnet", "model_args": {}, "weights": "c32d", "weights_source": "", "parts": [],
        "preprocessing": sizes | colours, "grid_shape": [4, 96], "grid_size": [2, 2], "pooled_dim": 96,
        "layer": "forward_features", "engine": "torch", "precision": "float32", "dtype": "float16",
    }  # fmt: skip
    record = {
        "format": 1, "kind": "captioner", "started": "2026-11-29", "folder": ".", "config": {"data": "x"},
        "resolved": {}, "backbone": backbone, "data": {"fingerprint": "0"}, "environment": {"torch": "2"},
    }  # fmt: skip
    image = {"name": "a.png", "split": "train", "sha256": "0" * 64, "label": "cat"}
    scores = {
        "split": "val",
        "images": 3,
        "scores": {"accuracy": 0.75},
        "intervals_95": {"accuracy": [0.5, 1]},
    }
    step = {"step": 1, "epoch": 1, "loss": 2.5, "learning_rate": 0.1}
    validation = {"step": 1, "validation": {"epoch": 1, "score": 0.5}}
    run = Run(folder)
    sound: dict[str, tuple[list[Any], Callable[[], object]]] = {
        "config.json": ([record], lambda: (run.record.command, run.started_with)),
        "images.jsonl": ([image, image], lambda: run.images),
        "evaluation-val.json": ([scores], lambda: run.evaluation("val", EvaluationRecord)),
        "predictions-val.jsonl": ([image, image], lambda: run.predictions("val")),
        "metrics.jsonl": ([step, step, validation, step], lambda: draw_score(folder / "metrics.jsonl")),
    }
    for name, (values, read) in sound.items():
        (folder / name).write_text("".join(json.dumps(value) + "\n" for value in values))
        read()

    def make(chance: random.Random) -> tuple[bytes, str]:
        name = chance.choice(list(sound))
        lines = [json.dumps(value).encode() for value in sound[name][0]]
        place = chance.randrange(len(lines))
        lines[place] = as_json(mutated_json(sound[name][0][place], chance), chance)
        content = b"\n".join(lines) + b"\n"
        content = mutated(content, chance) if chance.random() < 0.4 else content
        (folder / name).write_bytes(content)
        return content, name

    yield _attempt(Guard(lambda name: sound[name][1](), (ShowtellError,), _bound, folder), make)


def _data(write: Callable[[random.Random], tuple[str, bytes]], *, images: bool = True) -> Any:
    def open(folder: Path) -> AbstractContextManager[Attempt]:
        return _of_data(NAMES if images else [], write, folder)

    return open


LINES = (
    Line("tables in text", _data(_delimited), share=3),
    Line("JSON and JSON lines", _data(_json), share=3),
    Line("lists of captions", _data(_listed)),
    Line("archives", _data(_archive, images=False)),
    Line("spreadsheets", _data(partial(_office, "xlsx"))),
    Line("Parquet", _data(partial(_office, "parquet"))),
    Line("answers of teach", _answers),
    Line("settings", _settings),
    Line("records of a run", _records),
)

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.exit(run("hostile_data", __doc__, LINES))
