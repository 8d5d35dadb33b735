"""Captions and labels in JSON, in the forms in which people have them; COCO with ids of two types."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reading import captions, labels, problems, read, read_or_refused, said, splits, touch, write
from showtell.errors import DataError

FILES = [f"p{number}.jpg" for number in range(6)]
WORDS = [f"a dog near tree {number}" for number in range(6)]
CAPTIONED = {file: (word,) for file, word in zip(FILES, WORDS)}
DOUBLY = {file: (word, f"{word} again") for file, word in zip(FILES, WORDS)}
LABELLED = dict(zip(FILES, ["cat", "dog"] * 3))
RECORDS = [{"image": file, "caption": word} for file, word in zip(FILES, WORDS)]


def dump(root: Path, value: object, name: str = "t.json") -> Path:
    touch(root, *(f"images/{file}" for file in FILES))
    return write(root / name, json.dumps(value, ensure_ascii=False))


def spoken(number: int, user: str, model: str, role: str, text: str) -> list[dict[str, str]]:
    """Return a conversation on an image, of which the first answer is its caption."""
    turns = [(user, "<image>\nWhat is seen?"), (model, WORDS[number]), (user, "And?"), (model, "No more.")]
    return [{role: who, text: what} for who, what in turns]


def in_parts(image: dict[str, object], answer: str) -> dict[str, object]:
    asked = [{"type": "text", "text": "what is that?"}, image]
    said = [{"type": "text", "text": answer}]
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}


LLAVA = ("human", "gpt", "from", "value")
JSON: dict[str, tuple[Any, dict[str, Any]]] = {
    "list of records": (RECORDS, CAPTIONED),
    "records of lists": ([{"file_name": f, "captions": list(w)} for f, w in DOUBLY.items()], DOUBLY),
    "ids that are files": (
        [{"url": "http://h/x", "image_id": f, "caption": list(w)} for f, w in DOUBLY.items()],
        DOUBLY,
    ),
    "mapping to a caption": (dict(zip(FILES, WORDS)), CAPTIONED),
    "mapping to captions": ({file: list(words) for file, words in DOUBLY.items()}, DOUBLY),
    "mapping of stems": ({file[:-4]: list(words) for file, words in DOUBLY.items()}, DOUBLY),
    "mapping to records": ({f: {"caption": w, "tags": "x, y"} for f, w in zip(FILES, WORDS)}, CAPTIONED),
    "mapping of ids": (
        {str(i): {"filename": f, "caption": w} for i, (f, w) in enumerate(zip(FILES, WORDS))},
        CAPTIONED,
    ),
    "columns of lists": ({"image": FILES, "caption": WORDS}, CAPTIONED),
    "columns of pandas": (
        {"image": dict(zip("012345", FILES)), "caption": dict(zip("012345", WORDS))},
        CAPTIONED,
    ),
    "wrapped in annotations": ({"info": {"year": 2017}, "annotations": RECORDS}, CAPTIONED),
    "wrapped in data": ({"dataset_type": "train", "data": RECORDS}, CAPTIONED),
    "LLaVA": (
        [{"id": i, "image": f, "conversations": spoken(i, *LLAVA)} for i, f in enumerate(FILES)],
        CAPTIONED,
    ),
    "messages": (
        [
            {"image": file, "messages": spoken(number, "user", "assistant", "role", "content")}
            for number, file in enumerate(FILES)
        ],
        CAPTIONED,
    ),
    "messages in parts": (
        [in_parts({"type": "image", "image": file}, word) for file, word in zip(FILES, WORDS)],
        CAPTIONED,
    ),
    "messages with addresses": (
        [in_parts({"type": "image_url", "image_url": {"url": f}}, w) for f, w in zip(FILES, WORDS)],
        CAPTIONED,
    ),
}


@pytest.mark.parametrize("form", JSON)
def test_captions_in_json(tmp_path: Path, form: str) -> None:
    value, expected = JSON[form]
    dataset = read(dump(tmp_path, value))
    assert (dataset.format, captions(dataset)) == ("csv", expected)
    assert captions(read(tmp_path)) == expected, "the folder that holds it is read alike"


@pytest.mark.parametrize("form", ["json", "jsonl", "ndjson"])
def test_json_lines_are_known_by_content(tmp_path: Path, form: str) -> None:
    touch(tmp_path, *FILES)
    lines = "\n".join(map(json.dumps, RECORDS))
    assert captions(read(write(tmp_path / f"t.{form}", f"\ufeff{lines}\n\n"))) == CAPTIONED
    cut = read(write(tmp_path / f"t.{form}", lines[:-9]))
    assert captions(cut) == {file: CAPTIONED[file] for file in FILES[:-1]}
    assert problems(cut)[0] == ("broken line", f"t.{form}:6")
    assert captions(read(dump(tmp_path, RECORDS, f"t.{form}"))) == CAPTIONED


LABELS: dict[str, Any] = {
    "list of records": [{"image": file, "label": label} for file, label in LABELLED.items()],
    "mapping": LABELLED,
    "FiftyOne": {"classes": ["cat", "dog"], "labels": {f[:-4]: int(c == "dog") for f, c in LABELLED.items()}},
    "Label Studio": [
        {
            "id": i,
            "image": f"/data/upload/1/3f2a9c1b-{file}",
            "choice": label,
            "annotator": 1,
            "created_at": f"2023-05-01T10:00:0{i}Z",
            "lead_time": 1.5 + i,
        }
        for i, (file, label) in enumerate(LABELLED.items())
    ],
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_in_json(tmp_path: Path, form: str) -> None:
    dataset = read(dump(tmp_path, LABELS[form]))
    found = {name.removeprefix("images/"): label for name, label in labels(dataset).items()}
    assert (dataset.format, found) == ("labels", LABELLED)
    if form == "Label Studio":
        assert said(dataset, "column 'choice' holds the labels")
        assert said(dataset, "'/data/upload/1/3f2a9c1b-p0.jpg' is")


@pytest.mark.parametrize("keys", [("train", "val", "test"), ("Training", "valid", "TEST")])
def test_keys_of_a_json_may_be_splits(tmp_path: Path, keys: tuple[str, ...]) -> None:
    dataset = read(dump(tmp_path, dict(zip(keys, (RECORDS[:3], RECORDS[3:5], RECORDS[5:])))))
    assert captions(dataset) == CAPTIONED
    assert list(splits(dataset).values()) == ["train"] * 3 + ["val"] * 2 + ["test"]


def test_records_without_an_image_are_named(tmp_path: Path) -> None:
    value, expected = JSON["LLaVA"]
    dataset = read(dump(tmp_path, [*value, {"id": 9, "conversations": spoken(0, *LLAVA)}]))
    assert captions(dataset) == expected
    assert problems(dataset) == [("empty image name", "t.json:[6]")]


@pytest.mark.parametrize(
    "text, match",
    [
        ("", "is not JSON"),
        ('[{"image": "p0.jpg",]', "not JSON"),
        ("[]", "no records"),
        ("[1, 2]", "no records"),
        ("{'a': 1}", "not JSON"),
        ('{"a": 1}', "no column whose cells are images"),
    ],
)
def test_json_that_says_nothing_is_refused(tmp_path: Path, text: str, match: str) -> None:
    touch(tmp_path, *FILES)
    with pytest.raises(DataError, match=match):
        read(write(tmp_path / "t.json", text))


@pytest.mark.parametrize(
    "image_id, other", [("{}", int), ("{:06}", int), ("{}", str), ("{:06}", "{:06}".format)]
)
def test_coco_ids_are_numbers_or_text(tmp_path: Path, image_id: str, other: Callable[[int], Any]) -> None:
    images = [{"id": image_id.format(number), "file_name": file} for number, file in enumerate(FILES)]
    notes = [{"image_id": other(number), "id": number, "caption": word} for number, word in enumerate(WORDS)]
    for value in (
        {"images": images, "annotations": notes},
        {
            "images": [{**image, "id": int(image["id"])} for image in images],
            "annotations": [{**note, "image_id": f"{int(note['image_id']):09}"} for note in notes],
        },
    ):
        dataset = read(dump(tmp_path, value))
        assert (dataset.format, captions(dataset)) == ("coco", CAPTIONED)


def test_boxes_are_no_captions(tmp_path: Path) -> None:
    touch(tmp_path / "yolo", *FILES)
    for file in FILES:
        write(tmp_path / "yolo" / f"{file[:-4]}.txt", "0 0.5 0.5 0.25 0.3\n1 0.1 0.2 0.05 0.06\n")
    with pytest.raises(DataError, match="YOLO"):
        read(tmp_path / "yolo")
    images = [{"id": 1, "file_name": "p0.jpg"}]
    coco = {"images": images, "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}], "categories": []}
    with pytest.raises(DataError, match="COCO's boxes"):
        read(dump(tmp_path / "coco", coco))


KEYS = (
    *("image", "images", "id", "file_name", "filename", "path", "bytes", "p0.jpg", "p1.jpg", "image_id"),
    *("caption", "captions", "label", "labels", "classes", "annotations", "sentences", "raw", "tokens"),
    *("split", "train", "val", "data", "conversations", "messages", "from", "role", "value", "content"),
)
leaves = st.sampled_from(["p0.jpg", "p1.jpg", "a dog", "", "train", "human", None, True, 0, -1, 2.5, 10**20])
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, min_size=1, max_size=4)
    ),
    max_leaves=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values, name=st.sampled_from(["t.json", "t.jsonl", "train.json", "metadata.jsonl", "p0.json"]))
def test_any_json_ends_in_a_data_set_or_in_a_message(tmp_path: Path, value: Any, name: str) -> None:
    path = write(touch(tmp_path, "p0.jpg", "p1.jpg") / name, json.dumps(value))
    for data in (path, tmp_path):
        if dataset := read_or_refused(data, ["p0.jpg", "p1.jpg"]):
            texts = [text for image in dataset.images for text in image.captions]
            assert not any(text.startswith(("{'", "[{'")) for text in texts), "no record is a caption"
    path.unlink()


def test_coco_categories_without_boxes_are_said_to_be_that(tmp_path: Path) -> None:
    """ "no column whose cells are images; its fields are 'id', 'caption'" is of another file."""
    touch(tmp_path, *(f"images/{name}" for name in FILES))
    value = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(FILES)],
        "annotations": [{"image_id": number, "category_id": number % 3} for number in range(6)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(("cat", "dog", "owl"))],
    }
    try:
        dataset = read(write(tmp_path / "t.json", json.dumps(value)))
    except DataError as error:
        said = error.what.replace(str(tmp_path), "")
        assert "COCO" in said or "categor" in said
    else:
        assert labels(dataset) == dict(zip(FILES, ["cat", "dog", "owl"] * 2))


PLACED = [[file, word] for file, word in zip(FILES, WORDS)]
WRAPPED = {
    "cells by place": PLACED,
    "VIA": {"_via_settings": {"ui": {}}, "_via_img_metadata": {f"{f}9": {"filename": f, "caption": w}
            for f, w in zip(FILES, WORDS)}},
    "mapping beside others": {"version": "1.0", "images": {f: {"caption": w} for f, w in zip(FILES, WORDS)}},
    "splits beside others": {"info": {"v": 1}, "train": RECORDS[:4], "test": RECORDS[4:]},
    "Label Studio": [{"id": 1, "data": {"image": f"/data/upload/1/{f}"}, "drafts": [], "annotations": [
        {"id": 9, "result": [{"type": "textarea", "value": {"text": [w]}}]}]} for f, w in zip(FILES, WORDS)],
}  # fmt: skip


@pytest.mark.parametrize("form", WRAPPED)
def test_captions_in_json_of_programs(tmp_path: Path, form: str) -> None:
    dataset = read(dump(tmp_path, WRAPPED[form]))
    assert {name.rpartition("/")[2]: found for name, found in captions(dataset).items()} == CAPTIONED
    if form.startswith("splits"):
        assert list(splits(dataset).values()) == ["train"] * 4 + ["test"] * 2


def test_json_lines_of_cells(tmp_path: Path) -> None:
    dump(tmp_path, {})
    lines = "\n".join(map(json.dumps, PLACED))
    assert captions(read(write(tmp_path / "t.jsonl", lines))) == CAPTIONED


@pytest.mark.parametrize("form", ["by class", "Label Studio"])
def test_labels_in_json_of_programs(tmp_path: Path, form: str) -> None:
    by_class = {label: [file for file, of in LABELLED.items() if of == label] for label in ("cat", "dog")}
    tasks = [
        {"data": {"image": file}, "annotations": [{"result": [{"value": {"choices": [label]}}]}]}
        for file, label in LABELLED.items()
    ]
    dataset = read(dump(tmp_path, by_class if form == "by class" else tasks))
    assert labels(dataset) == LABELLED
