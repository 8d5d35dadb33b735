"""Readers that guess may not overrule what is plainly there: a caption stays one, a split stays a split."""

import json
from pathlib import Path

import pytest

from reading import FILES, WORDS, captions, labels, read, said, splits, table, touch, write
from showtell.errors import DataError

SAYINGS = [f"taken by my friend {name} in the park, number {n}" for n, name in enumerate(["Ann", "Bob"] * 6)]


# --- a usual name of captions stays


@pytest.mark.parametrize("text", ["a photo of sks dog", "a red pokemon", "a dog"])
@pytest.mark.parametrize("other", ["source", "artist", "note", "description", "answer"])
def test_one_caption_for_all_images_stays(tmp_path: Path, text: str, other: str) -> None:
    dataset = read(table(tmp_path, f"file_name,text,{other}", FILES, [text] * 12, SAYINGS))
    assert captions(dataset) == dict.fromkeys(FILES, (text,))
    assert said(dataset, "left out beside the captions", other)


@pytest.mark.parametrize("other", ["note", "source", "title", "answer"])
def test_captions_of_a_few_images_stay(tmp_path: Path, other: str) -> None:
    few = ["a dog on a lawn", "", ""] * 4
    dataset = read(table(tmp_path, f"file_name,text,{other}", FILES, few, SAYINGS))
    assert set(captions(dataset).values()) == {("a dog on a lawn",)}


@pytest.mark.parametrize(
    "text", ["Describe the image.", "<image>\nWrite a caption", "Who is this?", "tell me"]
)
@pytest.mark.parametrize("other, yields", [("answer", True), ("model_output", True), ("source", False)])
def test_a_question_yields_to_answers_alone(tmp_path: Path, text: str, other: str, yields: bool) -> None:
    dataset = read(table(tmp_path, f"file_name,text,{other}", FILES, [text] * 12, SAYINGS))
    assert said(dataset, f"column {other if yields else 'text'!r} holds the captions")


# --- a split stays a split

FLAGS = [[int(n % step == 0) for n in range(12)] for step in (2, 5)]


@pytest.mark.parametrize("name", ["test", "val", "valid", "train", "is_train"])
@pytest.mark.parametrize("words", ["label", "caption"])
@pytest.mark.parametrize("others", ["blurry,flipped", "checked,dark"])
def test_a_split_beside_other_truth_values_is_one(tmp_path: Path, name: str, words: str, others: str) -> None:
    texts = ["dog", "cat"] * 6 if words == "label" else WORDS
    first = ["1"] * 4 + ["0"] * 8
    dataset = read(table(tmp_path, f"image,{words},{others},{name}", FILES, texts, *FLAGS, first))
    split, other = {"test": ("test", "train"), "val": ("val", "train"), "valid": ("val", "train")}.get(
        name, ("train", "val")
    )
    assert list(splits(dataset).values()) == [split] * 4 + [other] * 8


@pytest.mark.parametrize("name", ["test", "val"])
def test_a_split_beside_things_is_one(tmp_path: Path, name: str) -> None:
    columns = [WORDS, *FLAGS, ["1"] * 4 + ["0"] * 8]
    dataset = read(table(tmp_path, f"image,caption,person,dog,{name}", FILES, *columns))
    assert list(splits(dataset).values()) == [name] * 4 + ["train"] * 8


@pytest.mark.parametrize("header", ["image,label,person,dog,train", "image,caption,person,dog,train,val"])
def test_a_train_beside_a_label_or_another_split_is_one(tmp_path: Path, header: str) -> None:
    columns = [["dog", "cat"] * 6, *FLAGS, ["1"] * 8 + ["0"] * 4, ["0"] * 8 + ["1"] * 4]
    dataset = read(table(tmp_path, header, FILES, *columns[: header.count(",")]))
    assert list(splits(dataset).values()) == ["train"] * 8 + ["val"] * 4


def test_a_train_among_things_is_said_to_be_no_split(tmp_path: Path) -> None:
    dataset = read(table(tmp_path, "image,caption,person,dog,train", FILES, WORDS, *FLAGS, FLAGS[0]))
    assert set(splits(dataset).values()) == {None}
    assert said(dataset, "the column 'train' is not read as a split", "person, dog")


@pytest.mark.parametrize("whole", [True, False])
def test_a_train_is_a_class_or_beside_the_classes_a_split(tmp_path: Path, whole: bool) -> None:
    person = [n % 2 for n in range(12)]
    dog = [1 - one for one in person]
    train = [1] * 8 + [0] * 4
    if not whole:
        person, dog, train = ([int(n % 4 == place) for n in range(12)] for place in range(3))
    dataset = read(table(tmp_path, "image,person,dog,train", FILES, person, dog, train))
    assert set(labels(dataset).values()) == ({"person", "dog"} if whole else {"person", "dog", "train"})
    assert set(splits(dataset).values()) == ({"train", "val"} if whole else {None})


# --- one class stays one

ONE_CLASS = {
    "sizes": ["S", "M", "L", "XL", "S/M"],
    "states": ["on", "off", "on/off"],
    "styles": ["Pop", "Rock", "Pop/Rock"],
    "sexes": ["men", "women", "men/women"],
    "alloys": ["Fe", "Cu", "Fe+Cu"],
    "grades": ["A+", "A", "B+", "B", "C+", "C", "D"],
}


@pytest.mark.parametrize("name", ONE_CLASS)
def test_one_class_that_looks_combined_is_one(tmp_path: Path, name: str) -> None:
    cells = (ONE_CLASS[name] * 4)[:12]
    assert labels(read(table(tmp_path, "image,label", FILES, cells))) == dict(zip(FILES, cells))


@pytest.mark.parametrize("nothing", ["N/A", "n/a"])
def test_a_missing_label_is_no_combination(tmp_path: Path, nothing: str) -> None:
    cells = ["N", "A", "n", "a", nothing, "N"] * 2
    assert set(labels(read(table(tmp_path, "image,label", FILES, cells))).values()) <= {*"NAna", None}


@pytest.mark.parametrize("cell", ["red|round", "red, round", "red;round", "red;round;", "red||round"])
@pytest.mark.parametrize("known", [{"text_column": "label"}, {"format": "labels"}])
def test_a_flag_reads_combined_classes_as_they_are(tmp_path: Path, cell: str, known: dict[str, str]) -> None:
    path = table(tmp_path, "image,label", FILES, ["red", "round", cell] * 4)
    with pytest.raises(DataError, match="several labels") as error:
        read(path)
    assert "--format labels" in error.value.hint
    dataset = read(path, **known)
    assert set(labels(dataset).values()) == {"red", "round", cell}
    assert said(dataset, f"{cell!r} in 'label' is read as one class")


# --- several captions stay several

SEVERAL = {
    "three of a split": ["a dog runs", " two cats sleep", " a red bus"],
    "two of a split": ["a dog runs", " two cats sleep"],
    "Thai": ["สุนัขวิ่งบนหญ้า", "แมวสองตัวนอนหลับ", "รถบัสสีแดง"],
    "Lao": ["ໝາແລ່ນຢູ່ເທິງຫຍ້າ", "ແມວສອງໂຕນອນຫຼັບ", "ລົດເມສີແດງ"],
    "Khmer": ["ឆ្កែរត់លើស្មៅ", "ឆ្មាពីរកំពុងដេក", "ឡានក្រុងក្រហម"],
    "Burmese": ["ခွေးတစ်ကောင်ပြေးနေသည်", "ကြောင်နှစ်ကောင်အိပ်နေသည်", "ဘတ်စ်ကားအနီ"],
}


@pytest.mark.parametrize("form", SEVERAL)
def test_lists_of_captions_are_not_joined(tmp_path: Path, form: str) -> None:
    """Not equally many an image, as pieces are."""
    given = {file: SEVERAL[form] + SEVERAL[form][-1:] * (n % 2) for n, file in enumerate(FILES)}
    touch(tmp_path, *(f"images/{file}" for file in FILES))
    records = [{"image": file, "captions": texts} for file, texts in given.items()]
    dataset = read(write(tmp_path / "t.json", json.dumps(records)))
    assert not said(dataset, "pieces")
    expected = {text.strip() for text in SEVERAL[form]}
    assert all(set(texts) == expected for texts in captions(dataset).values())


# --- long names of classes stay classes

GOODS = ["Nike Air Max {} White", "Apple iPhone {} Pro Max", "Statue of Liberty No {}", "red shoe size {}"]


@pytest.mark.parametrize("rows", [3, 4, 12])
@pytest.mark.parametrize("form", GOODS)
def test_long_names_that_differ_are_labels(tmp_path: Path, form: str, rows: int) -> None:
    names = [form.format(number) for number in range(90, 90 + rows)]
    assert labels(read(table(tmp_path, "image,label", FILES[:rows], names))) == dict(zip(FILES, names))


@pytest.mark.parametrize("rows", [3, 12])
@pytest.mark.parametrize(
    "form", ["a dog runs on the grass, {}", "A man in {} rides a horse.", "개가 {} 위를 달린다"]
)
def test_sentences_in_a_column_of_labels_are_captions(tmp_path: Path, form: str, rows: int) -> None:
    places = [*"abcdefghijkl"] if form.isascii() else [*"가나다라마바사아자차카타"]
    texts = [form.format(f"{place}{'hill' if form.isascii() else '산'}") for place in places[:rows]]
    dataset = read(table(tmp_path, "image,label", FILES[:rows], texts))
    if rows > 4 or form.isascii():
        assert captions(dataset) == {file: (text,) for file, text in zip(FILES, texts)}
    else:
        assert labels(dataset) == dict(zip(FILES, texts))
