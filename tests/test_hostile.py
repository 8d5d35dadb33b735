"""What the campaign of trust/ has found, one test a kind: damage and nonsense end in words, or are mended."""

import io
import json
import os
import random
import time
from pathlib import Path

import lmdb
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import draw
from reading import read, write
from showtell import files
from showtell.data.answers import Answer, AnswerTable
from showtell.errors import DataError, ModelError, StoreError
from showtell.files import make_folder, parse_json
from showtell.report.curves import draw_loss, draw_score
from showtell.runs.run import Run
from showtell.store import description
from showtell.store.command import list_store
from showtell.store.environment import open_environment
from showtell.store.settings import Store
from showtell.store.store import FeatureStore
from showtell.training.checkpoint import Progress, TrainingState, load_checkpoint, save_checkpoint

DESCRIPTION = {"dtype": "float16", "grid_shape": None, "pooled_dim": 4}
DEEP = "[" * 100_000


HANGUL = ("개가 달린다", "고양이가 잔다", "새 두 마리", "빨간 자동차", "바다와 배", "산에 눈이 온다")


def test_json_without_end_is_no_recursion_error(tmp_path):
    with pytest.raises(ValueError, match="too deeply"):
        parse_json(DEEP)
    (tmp_path / "images.jsonl").write_text(DEEP + "\n", encoding="utf-8")
    (tmp_path / "config.json").write_text(DEEP, encoding="utf-8")
    with pytest.raises(ModelError, match="too deeply"):
        _ = Run(tmp_path).images
    with pytest.raises(ModelError, match="too deeply"):
        _ = Run(tmp_path).record


@pytest.mark.parametrize(
    "line", ["[1, 2]", '{"step": 1}', '{"validation": 3}', '{"validation": {"score": 1}}', '"\ud800"', "\xff"]
)
def test_a_line_of_metrics_that_is_no_record_is_named(tmp_path, line):
    path, step = tmp_path / "metrics.jsonl", '{"step": 1, "epoch": 1, "loss": 2.5}'
    path.write_bytes(f"{step}\n{line}\n{step}\n".encode("utf-8", "surrogatepass"))
    for curve in (draw_loss, draw_score):
        with pytest.raises(ModelError, match=r"metrics\.jsonl:2 is no record"):
            curve(path)


def test_parquet_with_text_that_is_not_utf8_is_refused(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    buffer = io.BytesIO()
    table = pyarrow.table({"image": ["a.png", "b.png"], "caption": ["qqqq", "a cat"]})
    parquet.write_table(table, buffer, compression="none", use_dictionary=False)
    (tmp_path / "t.parquet").write_bytes(buffer.getvalue().replace(b"qqqq", b"q\xff\xfeq"))
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read(tmp_path / "t.parquet")


def test_a_table_of_answers_with_a_lone_carriage_return_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_bytes(b"image,caption\na.png,a\rdog\n")
    with pytest.raises(DataError, match="cannot be read as a table"):
        AnswerTable(path, "caption").add([Answer("b.png", "a cat")])
    assert path.read_bytes() == b"image,caption\na.png,a\rdog\n"


def test_a_header_of_megabytes_is_refused_at_once(tmp_path):
    header = ",".join(["image", "caption", *(f"{number:0>99}" for number in range(45_000))])
    with pytest.raises(DataError, match="the header of a table is shorter"):
        read(write(tmp_path / "t.csv", f"{header}\na.png,a dog\n"))


def test_a_cell_of_megabytes_says_nothing_of_the_encoding_and_takes_no_time(tmp_path):
    rows = [(f"{name}.png", text) for name, text in zip("abcdef", HANGUL)]
    body = "".join(f"{name},{text}\n" for name, text in rows)
    path = write(
        tmp_path / "t.csv", f"image,caption\n{body}g.png,고양이,{'a' * 20_000_000}\n", encoding="cp949"
    )
    for name in "abcdefg":
        draw(1, 16).save(tmp_path / f"{name}.png")
    started = time.process_time()
    found = read(path)
    assert time.process_time() - started < 5
    assert [one.captions for one in found.images][:6] == [(text,) for _, text in rows]


def state() -> TrainingState:
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return TrainingState(module, {name: one.clone() for name, one in module.state_dict().items()}, optimizer)


@pytest.mark.parametrize("what", ["a part", "a weight", "progress", "a shape", "another part"])
def test_a_checkpoint_that_lacks_something_or_has_something_else_is_refused(tmp_path, what):
    path, progress = tmp_path / "last.safetensors", json.dumps({"step": 1})
    save_checkpoint(path, state(), Progress(step=1), "print")
    tensors = load_file(path)
    if what == "a part":
        tensors = {name: one for name, one in tensors.items() if not name.startswith("random")}
    elif what == "a weight":
        del tensors["network.weight"]
    elif what == "a shape":
        tensors["ema.bias"] = torch.zeros(7)
    elif what == "another part":
        tensors["networj.weight"] = torch.zeros(1)
    else:
        progress = progress[:-1]
    save_file(tensors, path, {"fingerprint": "print", "progress": progress})
    with pytest.raises(ModelError, match="is damaged, or was made by another version"):
        load_checkpoint(path, state(), "print")


@pytest.mark.parametrize("text", ["[]", "3", "null", DEEP, '{"dtype": "float16"}'])
def test_a_description_that_is_none_is_told_and_lists_with_the_others(store, text):
    store.space(DESCRIPTION)
    [folder] = [path for path in store.root.iterdir() if path.is_dir()]
    (folder / "space.json").write_text(text, encoding="utf-8")
    [info] = FeatureStore(store.root).spaces()
    assert "cannot be read" in info.problem
    with pytest.raises(StoreError, match="cannot be read"):
        store.space(DESCRIPTION)


@pytest.mark.parametrize("more", [{}, {"preprocessing": "small", "engine": 3}])
def test_a_space_of_another_program_is_listed(store, more):
    store.space(DESCRIPTION | more)
    assert len(list_store(Store(store.root))) == 1


def test_checkpoints_of_the_same_values_are_the_same_bytes(tmp_path):
    """The library orders metadata anew each time, so that a resumed training seemed to end otherwise."""
    kept, path = state(), tmp_path / "last.safetensors"
    written = set()
    for _ in range(12):
        save_checkpoint(path, kept, Progress(step=1), "print")
        written.add(path.read_bytes())
    assert len(written) == 1
    assert load_checkpoint(path, kept, "print") == Progress(step=1)


@pytest.mark.parametrize("moment", ["write_atomic", "rename"])
def test_a_kill_at_its_creation_leaves_no_store_without_a_description(tmp_path, monkeypatch, moment):
    def killed(*_args, **_more):
        raise KeyboardInterrupt

    store = FeatureStore(tmp_path / "store")
    with monkeypatch.context() as patch:
        if moment == "rename":
            patch.setattr(Path, "rename", killed)
        else:
            patch.setattr(description, "write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            store.space(DESCRIPTION)
    assert store.spaces() == []
    assert len(store.space(DESCRIPTION)) == 0
    assert [path.name for path in store.root.iterdir() if path.name.endswith(".new")] == []


def test_folders_are_on_the_disk_when_they_are_made(tmp_path, monkeypatch):
    """A power cut took the names of a store's files, where a disk keeps names by syncs of folders alone."""
    synced = []
    monkeypatch.setattr(files, "sync_folder", lambda folder: synced.append(folder))
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a")
    assert sorted(synced) == [tmp_path, tmp_path / "a"]


def test_a_new_store_has_its_names_on_the_disk(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def noted(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    space = FeatureStore(tmp_path / "store").space(DESCRIPTION | {"grid_shape": [2, 4]})
    folders = [tmp_path, tmp_path / "store", space.folder, space.folder / "pooled", space.folder / "grid"]
    assert set(folders) <= set(synced)


def test_a_store_that_a_power_cut_caught_at_its_creation_opens(tmp_path):
    chance, size = random.Random(0), 1 << 20
    lmdb.open(str(tmp_path / "new"), map_size=size).close()
    whole = (tmp_path / "new" / "data.mdb").read_bytes()
    for number in range(20):
        sectors = [whole[at : at + 512] for at in range(0, chance.choice((512, 4096, len(whole))), 512)]
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "data.mdb").write_bytes(b"".join(chance.choice((one, bytes(512))) for one in sectors))
        environment = open_environment(folder, map_size=size)
        environment.write(lambda transaction: transaction.put(b"key", b"value"))
        assert len(environment) == 1


@pytest.mark.parametrize("content", [b"not a database", b"\1" * 8192, bytes(12_288)])
def test_a_file_that_may_have_held_something_is_refused_and_left_alone(tmp_path, content):
    folder = tmp_path / "pooled"
    folder.mkdir()
    (folder / "data.mdb").write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"):
        open_environment(folder)
    assert (folder / "data.mdb").read_bytes() == content
