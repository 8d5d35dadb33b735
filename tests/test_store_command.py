"""Stores that travel: merged, verified, kept below a size, and exported so that other libraries read them."""

import json
import os
import shlex
import time
from pathlib import Path

import numpy as np
import pytest

from conftest import draw
from showtell.console import Log
from showtell.errors import ConfigError, DataError, StoreError
from showtell.store.adopt import adopt
from showtell.store.command import list_store
from showtell.store.merge import merge_store
from showtell.store.settings import Store
from showtell.store.store import FeatureStore, FileStamp, content_digest
from showtell.store.verify import verify_space
from test_adopt import TOLD, killed_again_and_again
from test_store import DESCRIPTION, POOLED_ONLY, D, L, assert_intact, child, finished, key_of, record_of

BACKBONE = {
    **DESCRIPTION,
    "architecture": "mobilenetv2_100",
    "engine": "torch",
    "precision": "float32",
    "preprocessing": {"width": 224, "height": 224},
}


def described(name: str) -> dict[str, object]:
    return {**BACKBONE, "weights": name, "architecture": name}


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "저장소")


# --- merge ----------------------------------------------------------------------------------------------


def test_a_merged_store_has_what_both_had_byte_for_byte_and_the_other_stays(store, tmp_path):
    other = FeatureStore(tmp_path / "stick")
    store.space(BACKBONE).put([record_of(n) for n in range(10)])
    there = other.space(BACKBONE)  # in use meanwhile
    there.put([record_of(n) for n in range(5, 30)])
    other.space(POOLED_ONLY).put([(key_of(1), None, np.arange(8.0))])
    old = draw_to(tmp_path / "a.png").stat()
    stamp = FileStamp(str(tmp_path / "a.png"), old.st_size, 1, 1, time.time_ns())
    other.remember_digests([(stamp, content_digest(b"a"))])
    [first, second] = merge_store(store, other.root, Log()).values()
    assert sorted((first.records, second.records)) == [1, 20] and max(first.known, second.known) == 5
    assert_intact(store.space(BACKBONE), range(30))
    assert store.space(POOLED_ONLY).get_pooled([key_of(1)])[0].tolist() == list(range(8))
    assert store.digest_of(stamp) == content_digest(b"a")
    assert all(one.records == 0 for one in merge_store(store, other.root, Log()).values())
    assert_intact(there, range(5, 30))


def draw_to(path: Path) -> Path:
    draw(1).save(path)
    return path


def test_of_a_file_that_both_know_the_later_change_counts(store, tmp_path):
    other = FeatureStore(tmp_path / "other")

    def stamp(ctime: int) -> FileStamp:
        return FileStamp("/photos/a.jpg", 10, 5, ctime, time.time_ns())

    store.remember_digests([(stamp(7), content_digest(b"new"))])
    other.remember_digests([(stamp(6), content_digest(b"old"))])
    assert store.adopt_known_files(other.root) == 0 and other.adopt_known_files(store.root) == 1
    assert store.digest_of(stamp(7)) == other.digest_of(stamp(7)) == content_digest(b"new")
    assert store.adopt_known_files(tmp_path / "nothing") == 0


def test_kill_9_while_it_is_merged_loses_nothing_and_the_next_call_goes_on(store, tmp_path):
    other = FeatureStore(tmp_path / "other")
    other.space(DESCRIPTION).put([record_of(n) for n in range(600)])
    program = TOLD + "merge.merge_store(store, t.Path(argv[1]), Told(quiet=True))"
    counts = killed_again_and_again(store, program, other.root)
    assert counts == sorted(counts) and counts[-1] == 600 and len(set(counts)) > 3
    assert_intact(other.space(DESCRIPTION), range(600))


def test_what_cannot_be_merged_is_said_after_the_rest_was(store, tmp_path):
    with pytest.raises(StoreError, match="no feature space"):
        merge_store(store, tmp_path, Log())
    other = FeatureStore(tmp_path / "other")
    for name in ("a", "b"):
        space = other.space(described(name))
        for number in (1, 2):  # two commits: what held less cannot be told from what never held one
            space.put([record_of(number)])
        del space
    with pytest.raises(StoreError, match="into itself"):
        merge_store(other, other.root, Log())
    broken = next(info.id for info in other.spaces() if info.description["weights"] == "a")
    data = other.root / broken / "pooled" / "data.mdb"
    data.write_bytes(data.read_bytes()[:4096])
    with pytest.raises(StoreError, match=f"1 space of .* could not be copied: {broken}"):
        merge_store(store, other.root, Log())
    assert_intact(store.space(described("b")), [1, 2])


# --- verify ---------------------------------------------------------------------------------------------


def test_damaged_records_are_found_by_their_bytes_and_taken_out(store, caplog):
    space = store.space(BACKBONE)
    space.put([record_of(n) for n in range(20)])
    assert verify_space(space, Log()).damaged == []
    folder, name = space.folder, space.id
    del space
    wanted = {}
    for part, index, number in (("grid", 1, 3), ("pooled", 2, 5)):
        data = folder / part / "data.mdb"
        content = bytearray(data.read_bytes())
        at = content.index(record_of(number)[index].tobytes())
        content[at + 17] ^= 4  # one bit, as a bad disk turns it
        data.write_bytes(content)
        wanted[key_of(number).hex()] = number
    with caplog.at_level("INFO", "showtell"):
        [listed] = list_store(Store(store=store.root, verify=True))
    assert set(listed["done"].damaged) == set(wanted) and listed["records"] == 18
    assert "2 damaged ones taken out" in caplog.text and name in caplog.text
    space = store.space(BACKBONE)
    assert space.missing([key_of(n) for n in range(20)]) == [3, 5]
    space.put([record_of(n) for n in (3, 5)])
    assert_intact(space, range(20))
    assert verify_space(space, Log()).damaged == []


def test_a_grid_file_that_is_gone_damages_its_records_alone(store, tmp_path):
    worker = FeatureStore(tmp_path / "worker").space(DESCRIPTION)
    worker.put([record_of(n) for n in range(5)])
    folder = worker.folder
    del worker
    space = store.space(DESCRIPTION)
    space.put([record_of(n) for n in range(5, 10)])
    adopt(space, folder, Log(), link_from=0)
    path = space.grid_files.path(1)
    del space
    path.unlink()
    space = store.space(DESCRIPTION)
    assert sorted(verify_space(space, Log()).damaged) == sorted(key_of(n).hex() for n in range(5))
    assert_intact(space, range(5, 10))


def test_a_space_that_cannot_be_mended_is_named_and_the_others_are_verified(store):
    for name in ("a", "b"):
        space = store.space(described(name))
        for number in (1, 2):
            space.put([record_of(number)])
        del space
    broken = next(info.id for info in store.spaces() if info.description["weights"] == "a")
    data = store.root / broken / "pooled" / "data.mdb"
    data.write_bytes(data.read_bytes()[:4096])
    with pytest.raises(StoreError, match="damaged beyond mending") as caught:
        list_store(Store(store=store.root, verify=True))
    where = shlex.quote(str(store.root))
    assert caught.value.run == f"showtell store --store {where} --remove {broken}"
    with pytest.raises(StoreError, match="no feature spaces xception"):
        list_store(Store(store=store.root, verify=True, space="xception"))


# --- limit ----------------------------------------------------------------------------------------------


def test_a_limit_removes_what_was_not_used_for_longest_and_nothing_in_use(store, caplog):
    for name in "abcd":
        store.space(described(name)).put([record_of(n) for n in range(40)])
    spaces = {info.description["weights"]: info for info in store.spaces()}
    for age, name in enumerate("abcd"):  # d was not used for longest
        lock, when = store.root / f"{spaces[name].id}.lock", time.time() - 1000 * (age + 1)
        os.utime(lock, (when, when))
    used = store.space(described("d"))
    when = time.time() - 9000
    os.utime(store.root / f"{used.id}.lock", (when, when))
    size = spaces["a"].bytes
    with caplog.at_level("INFO", "showtell"):
        left = list_store(Store(store=store.root, limit=f"{2.5 * size / 1e3:.3f}kB"))
    assert {one["weights"] for one in left} == {"a", "d"}
    assert f"Kept {used.id}" in caplog.text and f"Removed {spaces['c'].id}, c" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO", "showtell"):
        assert [one["weights"] for one in list_store(Store(store=store.root, limit="0"))] == ["d"]
    assert "more than the limit" in caplog.text


@pytest.mark.parametrize(
    "limit, size", [("20GB", 20_000_000_000), ("1.5 mb", 1_500_000), ("7", 7), ("2T", 2_000_000_000_000)]
)
def test_sizes_are_read_as_people_write_them(limit, size):
    assert Store(limit=limit).limit_bytes() == size


def test_settings_that_contradict_each_other_are_refused():
    for wrong in (
        {"limit": "many"},
        {"limit": "-1GB"},
        {"verify": True, "limit": "1GB"},
        {"data": Path("a.csv")},
        {"space": "mobilenetv2_100"},
        {"space": "mobilenetv2_100", "limit": "1GB"},
        {"format": "npy", "verify": True},
        {"export": Path("out"), "images": Path("a")},
    ):
        with pytest.raises(ConfigError):
            Store(**wrong)


# --- export ---------------------------------------------------------------------------------------------


@pytest.fixture
def cats(store, tmp_path) -> Path:
    """Five images in two classes with features, one without; return their folder."""
    folder = tmp_path / "고양이들"
    records = []
    for number in range(6):
        path = folder / f"class{number % 2}" / f"사진 {number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(number).save(path)
        if number != 4:
            records.append((content_digest(path.read_bytes()), *record_of(number)[1:]))
    store.space(BACKBONE).put(records)
    return folder


def read_back(folder: Path, format: str) -> list[tuple[dict, np.ndarray, np.ndarray]]:
    """Read an export by the libraries that users have."""
    if format == "webdataset":
        from webdataset import WebDataset

        tars = [str(path) for path in sorted(folder.glob("*.tar"))]
        samples = WebDataset(tars, shardshuffle=False, empty_check=False).decode()
        return [(s["json"], s["grid.npy"], s["pooled.npy"]) for s in samples]
    if format == "parquet":
        from pyarrow import parquet

        rows = []
        for path in sorted(folder.glob("*.parquet")):
            table = parquet.read_table(path)
            grid = table["grid"].combine_chunks().to_numpy_ndarray()
            pooled = table["pooled"].combine_chunks().to_numpy_ndarray()
            rows += list(zip(table.drop_columns(["grid", "pooled"]).to_pylist(), grid, pooled))
        return rows
    lines = [json.loads(line) for line in (folder / "rows.jsonl").read_text("utf-8").splitlines()]
    if format == "npy":
        return list(zip(lines, np.load(folder / "grid.npy"), np.load(folder / "pooled.npy")))
    from safetensors.numpy import load_file

    tensors = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
    grid, pooled = (np.concatenate([one[name] for one in tensors]) for name in ("grid", "pooled"))
    return list(zip(lines, grid, pooled))


FORMATS = ["webdataset", "parquet", "npy", "safetensors"]


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_is_read_by_other_libraries_with_names_and_labels(
    store, cats, tmp_path, format, monkeypatch, caplog
):
    monkeypatch.setattr("showtell.store.export._BATCH_BYTES", 2 * (L + 1) * D * 2)  # several batches
    out = tmp_path / "100% 내보내기"
    with caplog.at_level("INFO", "showtell"):
        [listed] = list_store(Store(store=store.root, export=out, format=format, data=cats))
    assert listed["done"].rows == 5 and listed["done"].missing == ("class0/사진 4.png",)
    assert "image without features" in caplog.text
    rows = read_back(out, format)
    assert [row["name"] for row, _, _ in rows] == [f"class{n % 2}/사진 {n}.png" for n in (0, 2, 1, 3, 5)]
    for (row, grid, pooled), number in zip(rows, (0, 2, 1, 3, 5)):
        assert row["label"] == f"class{number % 2}" and row["captions"] == [] and row["split"] is None
        assert row["key"] == content_digest((cats / row["name"]).read_bytes()).hex()
        assert grid.dtype == np.float16 and grid.tobytes() == record_of(number)[1].tobytes()
        assert grid.shape == (L, D) and pooled.tobytes() == record_of(number)[2].tobytes()
    assert json.loads((out / "space.json").read_text("utf-8")) == BACKBONE


@pytest.mark.parametrize("format", FORMATS)
def test_without_data_every_record_is_exported_by_its_key(store, tmp_path, format):
    space = store.space(BACKBONE)
    space.put([record_of(n) for n in range(7)])
    list_store(Store(store=store.root, export=tmp_path / "out", format=format, space="mobilenetv2_100"))
    rows = read_back(tmp_path / "out", format)
    assert [row["name"] for row, _, _ in rows] == sorted(key_of(n).hex() for n in range(7))
    expected = {key_of(n).hex(): record_of(n)[1].tobytes() for n in range(7)}
    assert all(grid.tobytes() == expected[row["key"]] for row, grid, _ in rows)


@pytest.mark.skipif(os.name == "nt", reason="limits on file sizes are POSIX")
def test_a_full_disk_ends_an_export_with_a_message_and_leaves_nothing(store, tmp_path):
    store.space(BACKBONE).put([record_of(n) for n in range(60)])
    program = """
import resource
from showtell.store.command import list_store
from showtell.store.settings import Store
import pyarrow.parquet, webdataset
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
for format in argv[2:]:
    try:
        list_store(Store(store=argv[0], export=argv[1], format=format))
    except t.StoreError as error:
        print(error)
"""
    message = finished(child(program, store.root, tmp_path / "out", *FORMATS))
    assert message.count(f"{tmp_path / 'out'} cannot be written") == message.count("Free some space") == 4
    assert [path.name for path in tmp_path.iterdir()] == [store.root.name]


def test_what_cannot_be_exported_is_said_and_leaves_nothing(store, cats, tmp_path, monkeypatch):
    store.space({**BACKBONE, "weights": "other"}).put([record_of(1)])
    with pytest.raises(StoreError, match="2 feature spaces"):
        list_store(Store(store=store.root, export=tmp_path / "out"))
    name = store.space(BACKBONE).id
    with pytest.raises(StoreError, match="is there already"):
        list_store(Store(store=store.root, export=cats, space=name))
    with pytest.raises(DataError):
        list_store(Store(store=store.root, export=tmp_path / "out", space=name, data=tmp_path / "nothing"))
    with pytest.raises(StoreError, match="has none of these images"):
        other = next(info.id for info in store.spaces() if info.id != name)
        list_store(Store(store=store.root, export=tmp_path / "out", space=other, data=cats))
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10_000})())
    with pytest.raises(StoreError, match="10 kB free"):
        list_store(Store(store=store.root, export=tmp_path / "out", space=name))
    assert not (tmp_path / "out").exists()
