"""What stands for something else: no image gets the words of another, and none is dropped without a word."""

import json
from pathlib import Path

import pytest

from reading import (
    FILES,
    WORDS,
    captions,
    labels,
    messages,
    problems,
    read,
    said,
    table,
    touch,
    write,
)
from reading import written as csv_of
from showtell.data.readers import read_dataset
from showtell.data.source import DataSource
from showtell.errors import DataError

LABELS = ["red", "blue"] * 6


def test_a_text_beside_its_image_is_no_text_of_a_namesake(tmp_path: Path) -> None:
    for number in range(4):
        touch(tmp_path, f"train/{number}.jpg", *([f"val/{number}.jpg"] if number else []))
        write(tmp_path / f"train/{number}.txt", WORDS[number])
    dataset = read(tmp_path)
    assert captions(dataset) == {f"train/{number}.jpg": (WORDS[number],) for number in range(4)}
    assert problems(dataset) == [("image without captions", f"{number}.jpg") for number in range(1, 4)]


def test_a_text_elsewhere_is_of_one_image_or_of_none(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/2.jpg", "b/2.jpg")
    for number in (1, 2):
        write(tmp_path / f"texts/{number}.txt", WORDS[number])
    assert captions(read(tmp_path, format="sidecar")) == {"a/1.jpg": (WORDS[1],)}


@pytest.mark.parametrize("file, other", [("a.jpg", "a.png"), ("0007.jpg", "7.jpg"), ("0007.jpg", "7")])
@pytest.mark.parametrize("turned", [False, True])
def test_a_missing_image_is_not_swapped_for_one_that_the_table_names_itself(
    tmp_path: Path, file: str, other: str, turned: bool
) -> None:
    touch(tmp_path, file, "b.jpg")
    rows = [(file, "a dog"), (other, "a cat"), ("b.jpg", "a cow")]
    dataset = read(write(tmp_path / "t.csv", csv_of(("image", "caption"), rows[::-1] if turned else rows)))
    assert captions(dataset) == {"b.jpg": ("a cow",)}
    assert ("ambiguous name", "t.csv") in problems(dataset)


def test_every_name_that_differs_in_case_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    rows = [("a.jpg", "a dog"), ("A.jpg", "a cat"), ("A.jpg", "a cow")]
    dataset = read(write(tmp_path / "t.csv", csv_of(("image", "caption"), rows)))
    assert problems(dataset) == [("name differs in case", "t.csv:3")]


def test_coco_images_of_one_id_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    images = [
        {"id": 1, "file_name": "a.jpg"},
        {"id": 1, "file_name": "b.jpg"},
        {"id": 2, "file_name": "c.jpg"},
    ]
    notes = [{"image_id": 1, "caption": "a dog"}, {"image_id": 2, "caption": "a cat"}]
    dataset = read(write(tmp_path / "c.json", json.dumps({"images": images, "annotations": notes})))
    assert captions(dataset) == {"c.jpg": ("a cat",)}
    assert problems(dataset) == [("ambiguous name", "c.json:annotations[0]")]


QUOTED = '"a sign that says \\"stop\\", red"'


def test_quotes_behind_backslashes_are_found_far_down(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}.jpg" for number in range(60)))
    rows = [f"{number}.jpg,{QUOTED if number == 50 else 'a dog'}\n" for number in range(60)]
    dataset = read(write(tmp_path / "t.csv", "image,caption\n" + "".join(rows)))
    assert captions(dataset)["50.jpg"] == ('a sign that says "stop", red',)
    assert problems(dataset) == []


def test_a_backslash_at_the_end_of_a_folder_is_no_escape(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    rows = [f'{name},"C:\\set\\","a dog, {name}"\n' for name in FILES]
    dataset = read(write(tmp_path / "t.csv", "image,root,caption\n" + "".join(rows)))
    assert captions(dataset) == {name: (f"a dog, {name}",) for name in FILES}


def test_some_cells_may_be_lists_of_captions(tmp_path: Path) -> None:
    cells = [str([word, f"{word} again"]) if place % 3 == 0 else word for place, word in enumerate(WORDS)]
    dataset = read(table(tmp_path, "image,caption", FILES, [*cells[:-1], "(a dog)"]))
    assert captions(dataset)["00.jpg"] == (WORDS[0], f"{WORDS[0]} again")
    assert captions(dataset)["01.jpg"] == (WORDS[1],)
    assert captions(dataset)["11.jpg"] == ("(a dog)",)


@pytest.mark.parametrize("form", ["columns", "lists"])
def test_several_labels_far_down_are_left_out_and_named(tmp_path: Path, form: str) -> None:
    names = [f"{number:04}.jpg" for number in range(1010)]
    touch(tmp_path, *names)
    given = [
        ["red", "blue"] if place == 1005 else [("red", "blue", "green")[place % 3]] for place in range(1010)
    ]
    if form == "lists":
        records = [{"image": name, "label": some} for name, some in zip(names, given)]
        data = write(tmp_path / "t.json", json.dumps(records))
    else:
        header = ("image", "red", "blue", "green")
        rows = [(name, *(int(one in some) for one in header[1:])) for name, some in zip(names, given)]
        data = write(tmp_path / "t.csv", csv_of(header, rows))
    dataset = read(data)
    assert "1005.jpg" not in labels(dataset)
    assert len(dataset.images) == 1009
    assert "several labels" in messages(dataset)


def test_another_column_of_labels_is_said(tmp_path: Path) -> None:
    kinds = ["cat", "dog"] * 6
    breeds = ["x", "y", "z"] * 4
    assert said(
        read(table(tmp_path, "image,species,breed", FILES, kinds, breeds)), "'breed'", "not 'species'"
    )
    numbers = ["0", "1"] * 6
    assert not read(table(tmp_path, "image,label,class_name", FILES, numbers, kinds)).notes


def test_classes_that_differ_in_capitals_are_said(tmp_path: Path) -> None:
    touch(tmp_path, "train/Cat/1.jpg", "train/Dog/1.jpg", "test/cat/2.jpg", "test/Dog/2.jpg")
    assert said(read(tmp_path), "differ in capitals", "'Cat' and 'cat'")


BOXES = {
    "KITTI": "Car 0.00 0 -1.58 587.01 173.33 614.12 200.12 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59",
    "DOTA": "gsd:0.146\n937.0 913.0 921.0 912.0 923.0 874.0 940.0 875.0 small-vehicle 0",
    "YOLO": "0 0.5 0.5 0.1 0.2",
}


@pytest.mark.parametrize("text", BOXES.values(), ids=BOXES)
def test_boxes_of_any_kind_are_no_captions(tmp_path: Path, text: str) -> None:
    for number in range(6):
        touch(tmp_path, f"{number}.jpg")
        write(tmp_path / f"{number}.txt", text if number < 2 else "")  # most images show nothing
    with pytest.raises(DataError, match="holds boxes"):
        read(tmp_path)


def test_an_empty_text_is_in_no_encoding(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "2.jpg")
    write(tmp_path / "1.txt", "a dog")
    write(tmp_path / "2.txt", "")
    dataset = read(tmp_path)
    assert "UTF-16" not in messages(dataset)
    assert ("empty caption", "2.txt") in problems(dataset)


def test_class_folders_with_texts_are_read_for_what_is_asked(tmp_path: Path) -> None:
    for one in ("cat", "dog"):
        touch(tmp_path, f"{one}/1.jpg")
        write(tmp_path / f"{one}/1.txt", f"a {one}")
    assert read_dataset(DataSource(tmp_path), "labels").classes == ("cat", "dog")
    assert captions(read_dataset(DataSource(tmp_path), "captions")) == {
        "cat/1.jpg": ("a cat",), "dog/1.jpg": ("a dog",),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_numbers_that_are_none_do_not_spoil_json(tmp_path: Path, name: str) -> None:
    touch(tmp_path, *FILES)
    records = [{"image": image, "caption": word, "score": float("nan")} for image, word in zip(FILES, WORDS)]
    lines = json.dumps(records) if name == "t.json" else "\n".join(map(json.dumps, records))
    assert captions(read(write(tmp_path / name, lines))) == {
        file: (word,) for file, word in zip(FILES, WORDS)
    }


def test_columns_of_one_name_in_a_workbook_are_all_read(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    touch(tmp_path, *FILES)
    book = openpyxl.Workbook()
    for row in [("image", "caption", "caption"), *((name, f"one {name}", f"two {name}") for name in FILES)]:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    assert captions(read(tmp_path / "t.xlsx")) == {name: (f"one {name}", f"two {name}") for name in FILES}


def test_parquet_with_paths_in_place_of_images_names_files(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    touch(tmp_path, *FILES)
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    cells = pyarrow.array([{"bytes": None, "path": name} for name in FILES], image)
    parquet.write_table(pyarrow.table({"image": cells, "text": WORDS}), tmp_path / "t.parquet")
    assert captions(read(tmp_path / "t.parquet")) == {name: (word,) for name, word in zip(FILES, WORDS)}


def test_labels_that_look_alike_are_one_class_or_said(tmp_path: Path) -> None:
    cells = ["cat", "cat\u200b", "dog", "big dog", "big  dog", "cat\u00a0"] * 2
    dataset = read(table(tmp_path, "image,label", FILES, cells))
    assert dataset.classes == ("big  dog", "big dog", "cat", "dog")
    assert said(dataset, "'big  dog' and 'big dog'", "stay apart")


def test_labels_that_pandas_has_made_fractions_are_said(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    write(tmp_path / "train.csv", csv_of(("image", "label"), zip(FILES[:8], ["0.0", "1.0"] * 4)))
    write(tmp_path / "val.csv", csv_of(("image", "label"), zip(FILES[8:], "0101")))
    assert said(read(tmp_path), "'0' and '0.0'", "stay apart")


@pytest.mark.parametrize("opened", [(3,), (3, 9), (29,)])
def test_an_open_quote_swallows_no_rows_that_begin_with_a_number(
    tmp_path: Path, opened: tuple[int, ...]
) -> None:
    touch(tmp_path, *(f"{number}.jpg" for number in range(30)))
    rows = [(f"{number},", '"' * (number in opened), f"a dog, {number}\n") for number in range(30)]
    dataset = read(write(tmp_path / "t.csv", "id,caption\n" + "".join(map("".join, rows))))
    assert len(dataset.images) == 30
    assert captions(dataset)["4.jpg"] == ("a dog, 4",)


def test_a_numbered_caption_of_several_lines_stays_whole(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    text = "1. a dog, running\n2. a cat, asleep"
    assert set(captions(read(table(tmp_path, "image,caption", FILES, [text] * 12))).values()) == {(text,)}


@pytest.mark.parametrize(
    "values", [["a dog", "cat"], ["a dog", ["a cat", "a cow"]], ["개", "고양이 두 마리"]]
)
def test_a_mapping_may_hold_captions_of_one_word_and_of_several(tmp_path: Path, values: list[object]) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    content = json.dumps(dict(zip(("a.jpg", "b.jpg"), values)))
    found = captions(read(write(tmp_path / "t.json", content)))
    assert found == {
        name: tuple(value) if isinstance(value, list) else (value,)
        for name, value in zip(("a.jpg", "b.jpg"), values)
    }


def test_an_image_may_stand_in_a_json_object_twice(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    content = '{"a.jpg": "a dog", "b.jpg": "a cat", "a.jpg": "a brown dog"}'
    found = captions(read(write(tmp_path / "t.json", content)))
    assert found == {"a.jpg": ("a dog", "a brown dog"), "b.jpg": ("a cat",)}


@pytest.mark.parametrize("key", ["path", "file_name", "name"])
def test_an_image_may_be_an_object_with_its_name(tmp_path: Path, key: str) -> None:
    touch(tmp_path, *FILES)
    records = [{"image": {key: name, "width": 9}, "caption": word} for name, word in zip(FILES, WORDS)]
    found = captions(read(write(tmp_path / "t.json", json.dumps(records))))
    assert found == {name: (word,) for name, word in zip(FILES, WORDS)}


@pytest.mark.parametrize(
    "record",
    [
        {"text": "a dog"},
        {"captions": ["a dog"]},
        {"caption": ["a dog"]},
        {"Description": "a dog", "Make": "x"},
        [{"SourceFile": "x", "XMP:Description": "a dog"}],
    ],
)
def test_json_beside_an_image_may_call_its_captions_otherwise(tmp_path: Path, record: object) -> None:
    for name in FILES:
        touch(tmp_path, name)
        write(tmp_path / name.replace(".jpg", ".json"), json.dumps(record))
    assert set(captions(read(tmp_path)).values()) == {("a dog",)}


@pytest.mark.parametrize("ending", ["", ".supplemental-metadata", ".supplemental-met", ".s"])
@pytest.mark.parametrize("album", ["", "Trip/"])
def test_json_of_a_cloud_is_of_the_image_before_its_ending(tmp_path: Path, ending: str, album: str) -> None:
    for name in FILES:
        touch(tmp_path, album + name)
        text = json.dumps({"title": name, "description": "a dog", "imageViews": "3"})
        write(tmp_path / f"{album}{name}{ending}.json", text)
    assert captions(read(tmp_path)) == dict.fromkeys([album + name for name in FILES], ("a dog",))


@pytest.mark.parametrize("form", ["/data/upload/1/1a2b3c4d-{}.jpg", "C:\\set\\{}.jpg", "{}.png", "{}.jpg"])
def test_an_index_beside_names_of_images_is_no_image(tmp_path: Path, form: str) -> None:
    touch(tmp_path, *(f"{number}.jpg" for number in range(12)))
    rows = [(number, form.format(11 - number), "red" if number < 6 else "blue") for number in range(12)]
    dataset = read(write(tmp_path / "t.csv", csv_of(("id", "image", "choice"), rows)))
    assert labels(dataset) == {f"{11 - number}.jpg": "red" if number < 6 else "blue" for number in range(12)}


def test_an_index_counts_where_the_other_names_are_of_other_images(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}.jpg" for number in range(12)))
    rows = [(number, f"https://example.org/x{number}.jpg", "red") for number in range(12)]
    dataset = read(write(tmp_path / "t.csv", csv_of(("id", "url", "label"), rows)))
    assert len(dataset.images) == 12


def test_json_objects_of_one_list_are_lists(tmp_path: Path) -> None:
    cells = [
        json.dumps({"text": [word, "a dog"]}) if place % 3 == 0 else word for place, word in enumerate(WORDS)
    ]
    assert captions(read(table(tmp_path, "image,caption", FILES, cells)))["00.jpg"] == (WORDS[0], "a dog")
    choices = ["cat", json.dumps({"choices": ["cat", "dog"]})] * 6
    with pytest.raises(DataError, match="gives an image several labels"):
        read(table(tmp_path, "image,choice", FILES, choices))


def test_lists_of_one_label_are_labels(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    records = [{"image": name, "annotations": [label]} for name, label in zip(FILES, LABELS)]
    assert labels(read(write(tmp_path / "t.json", json.dumps(records)))) == dict(zip(FILES, LABELS))


def test_two_lists_of_records_are_not_paired_by_their_order(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    images = [{"id": number, "file_name": name} for number, name in enumerate(FILES)]
    notes = [{"image_id": number, "caption": word} for number, word in enumerate(WORDS)]
    with pytest.raises(DataError):
        read(write(tmp_path / "t.json", json.dumps({"images": images, "captions": notes[::-1]})))


def test_the_first_row_without_a_header_is_no_header_though_its_image_is_missing(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{number}.jpg" for number in range(101, 112)))
    rows = "".join(f"{number},{LABELS[number % 2]}\n" for number in range(100, 112))
    dataset = read(write(tmp_path / "t.csv", rows))
    assert said(dataset, "has no header")
    assert problems(dataset) == [("missing image", "t.csv:1")]


def test_few_numbers_are_no_captions(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="numbers in 'price', which are neither words nor classes"):
        read(table(tmp_path, "image,price", FILES, [f"{number * 1.37:.2f}" for number in range(12)]))


@pytest.mark.parametrize("form", ["{}_mask", "{}_mask_1", "{}-seg", "{}_segmentation", "{}_GT"])
def test_masks_beside_the_images_of_a_class_are_left_out(tmp_path: Path, form: str) -> None:
    made = {f"{one}/{one} ({number}).png": one for one in ("benign", "normal") for number in range(3)}
    touch(tmp_path, *made, *(f"{form.format(name[:-4])}.png" for name in made), "benign/gas_mask.png")
    dataset = read(tmp_path)
    assert labels(dataset) == made | {"benign/gas_mask.png": "benign"}
    assert [kind for kind, _ in problems(dataset)] == ["mask"] * 6


def test_a_text_beside_two_images_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "1.png", "2.jpg")
    for number in (1, 2):
        write(tmp_path / f"{number}.txt", WORDS[number])
    assert said(read(tmp_path), "1 texts stand beside several images each", "1.txt")


def test_a_folder_that_holds_the_classes_again_is_none(tmp_path: Path) -> None:
    made = {f"{one}/{number}.png": one for one in ("Parasitized", "Uninfected") for number in range(3)}
    touch(tmp_path, *made, *(f"cell_images/{name}" for name in made))
    dataset = read(tmp_path)
    assert labels(dataset) == made
    assert [kind for kind, _ in problems(dataset)] == ["copy of the classes"] * 6


def test_a_table_without_words_beside_classes_says_how_to_take_those(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{one}/{one}-{number}.png" for one in ("COVID", "Normal") for number in range(3)))
    rows = [
        (f"COVID-{number}", "PNG", f"{number} x 9", f"https://example.org/{number}") for number in range(3)
    ]
    write(tmp_path / "COVID.metadata.csv", csv_of(("FILE NAME", "FORMAT", "SIZE", "URL"), rows))
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert "no column that holds a caption or a label" in error.value.what
    assert "--format classes" in error.value.hint
    assert read(tmp_path, format="classes").classes == ("COVID", "Normal")


def test_numbers_of_classes_are_labels(tmp_path: Path) -> None:
    numbers = [number % 3 for number in range(12)]
    dataset = read(table(tmp_path, "Path,Width,Roi.X1,ClassId", FILES, range(12), range(5, 17), numbers))
    assert list(labels(dataset).values()) == list(map(str, numbers))


def test_the_only_folder_with_a_table_in_it_is_no_class(tmp_path: Path) -> None:
    touch(tmp_path, *(f"flickr30k_images/flickr30k_images/{name}" for name in FILES))
    write(
        tmp_path / "flickr30k_images/results.csv", csv_of(("image_name", "comment"), zip(FILES, WORDS), "|")
    )
    dataset = read(tmp_path)
    assert captions(dataset) == {name: (word,) for name, word in zip(FILES, WORDS)}
    assert said(dataset, "what is known lies in", "flickr30k_images")


def test_named_columns_are_those_of_the_table_and_not_of_folders_beside_it(tmp_path: Path) -> None:
    touch(tmp_path, *(f"part_{number % 2}/{name}" for number, name in enumerate(FILES)))
    rows = [(name, label, f"a {label} thing") for name, label in zip(FILES, LABELS)]
    write(tmp_path / "t.csv", csv_of(("image_id", "dx", "sex"), rows))
    assert read(tmp_path, text_column="dx").classes == ("blue", "red")


def test_tables_of_splits_may_name_the_folder_of_their_split(tmp_path: Path) -> None:
    for split in ("Train", "Test"):
        touch(tmp_path, *(f"{split}/{name}" for name in FILES))
        rows = [(f"{split}/{name}", label) for name, label in zip(FILES, LABELS)]
        write(tmp_path / f"{split}.csv", csv_of(("Path", "ClassId"), rows))
    dataset = read(tmp_path)
    assert labels(dataset) == {
        f"{one}/{name}": label for one in ("Test", "Train") for name, label in zip(FILES, LABELS)
    }
    assert [note for note in dataset.notes if "found by" in note or "left out" in note] == []


def test_backslashes_that_escape_no_quote_stay(tmp_path: Path) -> None:
    touch(tmp_path, *(f"new/{name}" for name in FILES))
    rows = "".join(f'new\\{name},"a sign \\"stop\\", {name}"\n' for name in FILES)
    found = captions(read(write(tmp_path / "t.csv", f"image,caption\n{rows}")))
    assert found == {f"new/{name}": (f'a sign "stop", {name}',) for name in FILES}


def test_lines_of_a_caption_may_begin_with_numbers_as_names_do(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}.jpg" for number in range(12)))
    rows = "".join(f'{number},"a dog\n2021, a cat"\n' for number in range(12))
    found = captions(read(write(tmp_path / "t.csv", f"id,caption\n{rows}")))
    assert set(found.values()) == {("a dog\n2021, a cat",)}


def test_a_header_that_is_a_number_beside_a_usual_name_is_one(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}.jpg" for number in range(12)))
    rows = [(number, label) for number, label in enumerate(LABELS)]
    assert problems(read(write(tmp_path / "t.csv", csv_of(("2020", "label"), rows)))) == []


def test_an_index_that_stands_in_for_names_is_said(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}.jpg" for number in range(12)))
    rows = [(number, f"old_{number}.png", label) for number, label in enumerate(LABELS)]
    dataset = read(write(tmp_path / "t.csv", csv_of(("id", "image", "label"), rows)))
    assert said(dataset, "column 'id' holds the images", "'image' are hardly those of files")


def test_texts_in_a_tree_like_that_of_the_images(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for number in range(3):
            touch(tmp_path, f"images/{split}/{number}.jpg")
            write(tmp_path / f"texts/{split}/{number}.txt", f"{split} {number}")
    assert captions(read(tmp_path)) == {
        f"images/{split}/{number}.jpg": (f"{split} {number}",)
        for split in ("train", "val")
        for number in range(3)
    }
