"""Hostile model folders, checkpoints, stores and graphs: whatever of ours somebody else may hand over.

python trust/hostile_models.py --rounds 10       # 50 inputs a round and line
"""

import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # threads do not survive a fork

import models
from campaign import Attempt, Figures, Line, NotHere, run
from guard import Guard
from mutate import mutated
from mutate_text import as_json, mutated_json

INPUTS = 50
"""In a round."""
Files = dict[str, bytes]


def _apart(work: Callable[..., None], *arguments: Any) -> None:
    """Do something in a child, which leaves no open store and no thread in this process."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work(*arguments)
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"{work.__name__} failed")


def _content(folder: Path) -> Files:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _laid(folder: Path, files: Files) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _spoilt(files: Files, chance: random.Random, most: tuple[str, ...] = ()) -> tuple[str, bytes | None]:
    """Change one file: its bytes, its JSON, or, if it is a tensor file, its header; None removes it."""
    name = chance.choice([*files, *(one for one in files if one.endswith(most))] if most else [*files])
    content = files[name]
    if chance.random() < 0.03:
        return name, None
    if name.endswith(".json") and chance.random() < 0.7:
        return name, as_json(mutated_json(json.loads(content), chance), chance)
    if name.endswith(".safetensors") and chance.random() < 0.6:
        length = int.from_bytes(content[:8], "little")
        header = as_json(mutated_json(json.loads(content[8 : 8 + length]), chance), chance)
        return name, len(header).to_bytes(8, "little") + header + content[8 + length :]
    return name, mutated(content, chance)


def _attempt(guard: Guard, sound: list[Files], folder: Path, most: tuple[str, ...] = ()) -> Attempt:
    def make(chance: random.Random) -> tuple[bytes, Path]:
        files = dict(chance.choice(sound))
        name, content = _spoilt(files, chance, most)
        if content is None:
            del files[name]
        else:
            files[name] = content
        _laid(folder, files)
        return content or b"", folder

    def attempt(chance: random.Random) -> Figures:
        return guard.try_all(make, INPUTS, str(chance.random()))

    return attempt


def _bound(size: int) -> int:
    """Return the bytes that a model of a megabyte may take: ten for each of its own, and 64 MB."""
    return 10 * size + (64 << 20)


@contextmanager
def _models(folder: Path) -> Iterator[Attempt]:
    from showtell.errors import ShowtellError
    from showtell.kinds.model_folder import load_model

    sound = []
    for number, build in enumerate(
        (models.classifier, models.captioner, lambda to: models.captioner(to, "bpe"))
    ):
        _apart(build, folder / str(number))
        sound.append(_content(folder / str(number)))
    picture = models.picture()

    def load(place: Path) -> None:
        model = load_model(place)
        model([picture])

    guard = Guard(load, (ShowtellError,), _bound, folder)
    yield _attempt(guard, sound, folder / "model", ("config.json", ".safetensors"))


@contextmanager
def _checkpoints(folder: Path) -> Iterator[Attempt]:
    from showtell.errors import ShowtellError
    from showtell.training.checkpoint import load_checkpoint

    (folder / "sound").mkdir()
    models.checkpoint(folder / "sound" / "last.safetensors")

    def load(place: Path) -> None:
        load_checkpoint(place / "last.safetensors", models.training_state(), "fingerprint")

    guard = Guard(load, (ShowtellError,), _bound, folder)
    yield _attempt(guard, [_content(folder / "sound")], folder / "checkpoints")


@contextmanager
def _stores(folder: Path) -> Iterator[Attempt]:
    """Open a damaged store, read every record, verify it, and write one."""
    import numpy as np

    from showtell.console import Log
    from showtell.errors import StoreError
    from showtell.store.store import FeatureStore
    from showtell.store.verify import verify_space

    _apart(models.store, folder / "sound")
    expected = {models.record(number)[0]: models.record(number) for number in range(models.RECORDS + 1)}

    def use(root: Path) -> None:
        store = FeatureStore(root)
        for info in store.spaces():
            if info.problem is None:
                verify_space(store.space(info.description), Log())
        space = store.space(models.DESCRIPTION)
        space.put([models.record(models.RECORDS)])
        for key in iter(space):
            grid, pooled = space.get([key])
            _, right_grid, right_pooled = expected.get(key, (None, None, None))
            if right_grid is None:
                continue  # a key that nobody asks for
            if not np.array_equal(grid[0], right_grid.astype(np.float16)) or not np.array_equal(
                pooled[0], right_pooled.astype(np.float16)
            ):
                raise AssertionError("a record that was verified is not what was written")

    guard = Guard(use, (StoreError,), _bound, folder)
    yield _attempt(guard, [_content(folder / "sound")], folder / "store", ("data.mdb",))


def _exported(run: Path, out: Path) -> None:
    from showtell.kinds.model_folder import load_model
    from showtell.onnx_export.graphs import write_graphs

    out.mkdir()
    write_graphs(load_model(run), out)


@contextmanager
def _exports(folder: Path) -> Iterator[Attempt]:
    """Say what an image shows by a damaged export; any error of Python's is a refusal here."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise NotHere(str(error)) from None
    sound = []
    for number, build in enumerate((models.classifier, models.captioner)):
        _apart(build, folder / str(number))
        _apart(_exported, folder / str(number), folder / f"onnx{number}")
        sound.append(
            {n: c for n, c in _content(folder / f"onnx{number}").items() if n.endswith((".onnx", ".json"))}
        )
    (folder / "picture.jpg").write_bytes(models.picture())

    def say(place: Path) -> None:
        from showtell.onnx_export.runner import ExportedModel

        ExportedModel(place, threads=1).say(folder / "picture.jpg")

    guard = Guard(say, (Exception,), lambda size: 20 * size + (128 << 20), folder)
    yield _attempt(guard, sound, folder / "onnx")


@contextmanager
def _graphs(folder: Path) -> Iterator[Attempt]:
    """Open the damaged graph of an engine, which is to be written anew then, and encode with it."""
    import torch

    from showtell.engines import onnx
    from showtell.errors import ModelError, ShowtellError

    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise NotHere(str(error)) from None
    (folder / "sound").mkdir()
    backbone = models.network()
    _apart(onnx.write_encoder, backbone, folder / "sound" / "network.onnx", ())

    def refuse(*_: object) -> None:
        raise ModelError("it would be written anew")

    onnx.write_encoder = refuse

    def encode(place: Path) -> None:
        from showtell.console import Log

        engine = onnx.OnnxEngine(backbone, place, (), Log())
        engine.encode(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))

    guard = Guard(encode, (ShowtellError,), lambda size: 20 * size + (128 << 20), folder)
    yield _attempt(guard, [_content(folder / "sound")], folder / "space")


LINES = (
    Line("model folders", _models, share=2),
    Line("checkpoints", _checkpoints),
    Line("feature stores", _stores, share=2),
    Line("graphs of an engine", _graphs, short=0),
    Line("exports", _exports, short=0),
)

if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    sys.exit(run("hostile_models", __doc__, LINES))
