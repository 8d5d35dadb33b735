"""What cells mean that programs and spreadsheets write: columns without a name, objects, pieces, marks."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reading import FILES, captions, labels, problems, read, said, splits, touch, write, written
from showtell.data.readers import read_dataset
from showtell.data.readers.reading import Annotation
from showtell.data.records import Dataset
from showtell.data.source import DataSource
from showtell.errors import DataError

WORDS = [
    "a dog runs on the grass",
    "two cats asleep on a sofa",
    "a red bus near a bridge",
    "people eat lunch outside",
    "a child holds a kite",
    "an old man reads a paper",
    "birds fly over the sea",
    "a woman rides a horse",
    "three boats in a harbour",
    "snow lies on a roof",
    "a train leaves the station",
    "a boy kicks a ball",
]
PETS = ["dog", "cat"] * 6
EACH = dict(zip(FILES, ((text,) for text in WORDS)))


def read_text(root: Path, text: str, name: str = "t.csv", **known: Any) -> Dataset:
    """Read a table beside the images of `FILES`."""
    touch(root, *(f"images/{file}" for file in FILES))
    return read(write(root / name, text), **known)


def read_columns(root: Path, header: str, *columns: Sequence[object], **known: Any) -> Dataset:
    """Read a table of the images and as many further columns as the header names."""
    names = header.split(",")
    return read_text(root, written(names, zip(FILES, *columns[: len(names) - 1])), **known)


# --- columns without a name


@pytest.mark.parametrize("header", [",label", ",0", ",caption", "image,", ",caption,split"])
def test_a_column_without_a_name_is_read(tmp_path: Path, header: str) -> None:
    words = WORDS if "caption" in header else PETS
    dataset = read_columns(tmp_path, header, words, ["train"] * 12)
    if words is WORDS:
        assert captions(dataset) == EACH
    else:
        assert labels(dataset) == dict(zip(FILES, PETS))
    assert said(dataset, "column 'column ")
    assert set(splits(dataset).values()) == {"train" if "split" in header else None}


@pytest.mark.parametrize(
    "header, count", [("image,captions,,,", 2), ("image,label,", 1), ("image,caption,", 1)]
)
def test_a_column_without_a_name_that_is_not_read_is_named(tmp_path: Path, header: str, count: int) -> None:
    further = [[f"{number} {text}" for text in WORDS] for number in range(count)]
    words = PETS if "label" in header else WORDS
    dataset = read_columns(tmp_path, header, words, *further, [""] * 12)
    assert said(dataset, *(f"column {place}" for place in range(3, 3 + count)))
    assert len(dataset.images) == 12


@pytest.mark.parametrize("numbers", [range(12), range(12, 0, -1), range(700, 712)])
def test_numbers_of_rows_need_no_name_and_no_word(tmp_path: Path, numbers: range) -> None:
    dataset = read_text(tmp_path, written(["", "image", "caption"], zip(numbers, FILES, WORDS)))
    assert captions(dataset) == EACH
    assert dataset.notes == ()


# --- objects in records

CLASSED = {
    "beside an author": lambda pet, n: {"label": {"name": pet}, "author": {"name": f"Ann{n % 3}"}},
    "behind an author": lambda pet, n: {"author": {"name": f"Ann{n % 3}"}, "label": {"name": pet}},
    "with a number": lambda pet, n: {"category": {"id": len(pet) + n, "name": pet}, "user": {"id": n}},
    "with a score": lambda pet, n: {"class": {"label": pet, "score": n / 12}},
    "in a list": lambda pet, n: {"labels": [{"name": pet, "score": n / 12}]},
    "as a value": lambda pet, n: {"label": {"value": pet}, "meta": {"value": n}, "other": {"value": n}},
}


@pytest.mark.parametrize("form", CLASSED)
def test_an_object_called_label_is_the_label(tmp_path: Path, form: str) -> None:
    records = [{"image": file, **CLASSED[form](pet, n)} for n, (file, pet) in enumerate(zip(FILES, PETS))]
    dataset = read_text(tmp_path, json.dumps(records), "t.json")
    assert labels(dataset) == dict(zip(FILES, PETS))
    if "author" in form:
        assert said(dataset, "not read: author.name")


def test_names_that_several_objects_hold_stand_behind_theirs(tmp_path: Path) -> None:
    records = [
        {"image": file, "a": {"text": text}, "b": {"text": f"{text} {n}"}}
        for n, (file, text) in enumerate(zip(FILES, WORDS))
    ]
    dataset = read_text(tmp_path, json.dumps(records), "t.json", text_column="b.text")
    assert captions(dataset) == {file: (f"{WORDS[n]} {n}",) for n, file in enumerate(FILES)}


@pytest.mark.parametrize("key", ["labels", "annotations"])
def test_boxes_are_no_empty_labels(tmp_path: Path, key: str) -> None:
    records = [{"image": file, key: [{"box": {"x": 1, "y": n}}]} for n, file in enumerate(FILES)]
    with pytest.raises(DataError, match="no column that holds a caption or a label"):
        read_text(tmp_path, json.dumps(records), "t.json")


# --- texts in pieces

PIECES = {
    "Telegram": lambda text: [text[:4], {"type": "bold", "text": text[4:6]}, text[6:]],
    "Telegram's links": lambda text: [f"{text[:5]}", {"type": "link", "text": ""}, text[5:]],
    "rich text": lambda text: [
        {"text": f"{text.split()[0]} "},
        {"text": text.partition(" ")[2], "bold": True},
    ],
    "words": str.split,
    "lists of words": lambda text: [text.split()],
    "records of words": lambda text: [{"text": word} for word in text.split()],
    "words in text": lambda text: str(text.split()),
    "JSON in text": lambda text: json.dumps([text.split()]),
}


@pytest.mark.parametrize("form", PIECES)
@pytest.mark.parametrize("name", ["caption", "text"])
def test_a_text_in_pieces_is_one_caption(tmp_path: Path, form: str, name: str) -> None:
    records = [{"image": file, name: PIECES[form](text)} for file, text in zip(FILES, WORDS)]
    dataset = read_text(tmp_path, json.dumps(records), "t.json")
    assert captions(dataset) == EACH
    assert said(dataset, f"each list in {name!r} is one text in pieces")


def test_lists_of_lists_of_words_are_several_captions(tmp_path: Path) -> None:
    records = [{"image": f, "captions": [t.split(), f"so {t}".split()]} for f, t in zip(FILES, WORDS)]
    dataset = read_text(tmp_path, json.dumps(records), "t.json")
    assert captions(dataset) == {file: (text, f"so {text}") for file, text in zip(FILES, WORDS)}


SEVERAL = {
    "short ones": ["dog", "a dog running"],
    "two words": ["dog", "puppy"],
    "blanks behind": ["a dog runs . ", "two dogs . "],
    "empty ones": ["", "", "a dog"],
    "Chinese": ["一只狗在跑", "两只猫在睡", "红色巴士"],
    "records": [{"raw": "a dog ", "id": 1}, {"raw": "two dogs ", "id": 2}],
}


@pytest.mark.parametrize("form", SEVERAL)
def test_several_captions_are_not_joined(tmp_path: Path, form: str) -> None:
    records = [{"image": file, "captions": SEVERAL[form]} for file in FILES]
    dataset = read_text(tmp_path, json.dumps(records), "t.json")
    texts = [part["raw"] if isinstance(part, dict) else part for part in SEVERAL[form]]
    assert captions(dataset) == dict.fromkeys(FILES, tuple(text.strip() for text in texts if text))
    assert not said(dataset, "pieces")


# --- sentences in a column of labels


@pytest.mark.parametrize("name", ["label", "target", "category"])
@pytest.mark.parametrize("wanted", [None, "captions"])
def test_sentences_are_captions_whatever_their_column_is_called(
    tmp_path: Path, name: str, wanted: Annotation | None
) -> None:
    source = read_columns(tmp_path, f"image,{name}", WORDS).source
    dataset = read_dataset(DataSource(source), wanted)
    assert captions(dataset) == EACH
    assert said(dataset, f"{name!r} holds sentences", "--format labels")
    assert labels(read(source, format="labels")) == dict(zip(FILES, WORDS))
    assert labels(read_dataset(DataSource(source), "labels")) == dict(zip(FILES, WORDS))


@pytest.mark.parametrize("known, wanted", [({"format": "csv"}, None), ({"text_column": "label"}, "captions")])
def test_a_flag_makes_captions_of_any_label(
    tmp_path: Path, known: dict[str, str], wanted: Annotation | None
) -> None:
    source = read_columns(tmp_path, "image,label", PETS).source
    dataset = read_dataset(DataSource(source, **known), wanted)
    assert captions(dataset) == {file: (pet,) for file, pet in zip(FILES, PETS)}
    assert labels(read(source)) == dict(zip(FILES, PETS))


@pytest.mark.parametrize(
    "words", [[f"dog number {n}" for n in range(12)], [f"a very small {pet} asleep" for pet in PETS]]
)
def test_names_of_classes_are_no_sentences(tmp_path: Path, words: list[str]) -> None:
    assert labels(read_columns(tmp_path, "image,label", words)) == dict(zip(FILES, words))


def test_codes_with_boxes_are_no_captions(tmp_path: Path) -> None:
    boxes = [f"n0144{3537 + n % 2} {n} 2 30 {40 + n}" for n in range(12)]
    with pytest.raises(DataError, match="no column that holds a caption or a label"):
        read_columns(tmp_path, "ImageId,PredictionString", boxes)


# --- a usual name of captions, and a column that says more

PROMPTS = {
    "one prompt": ("prompt,answer", ["Describe the picture"] * 12),
    "two prompts": ("prompt,response", ["What is this?", "Describe it."] * 6),
    "remarks": ("comment,description", ["check this one", "", ""] * 4),
    "remarks behind": ("text,caption text", ["blurred, I think", *[""] * 11]),
}


@pytest.mark.parametrize("form", PROMPTS)
def test_prompts_and_remarks_yield_to_the_column_that_describes(tmp_path: Path, form: str) -> None:
    header, cells = PROMPTS[form]
    first, _, second = header.partition(",")
    dataset = read_columns(tmp_path, f"image,{header}", cells, WORDS)
    assert captions(dataset) == EACH
    assert said(dataset, f"column {second!r} holds the captions")
    assert said(dataset, "left out beside the captions", first)


@pytest.mark.parametrize("name", ["caption", "prompt", "text"])
def test_a_column_that_varies_keeps_its_rank(tmp_path: Path, name: str) -> None:
    dataset = read_columns(tmp_path, f"image,{name},description", WORDS, [f"so {text}" for text in WORDS])
    assert captions(dataset) == EACH


def test_a_column_called_caption_is_never_outdone(tmp_path: Path) -> None:
    dataset = read_columns(tmp_path, "image,caption,answer", ["Describe the picture"] * 12, WORDS)
    assert captions(dataset) == dict.fromkeys(FILES, ("Describe the picture",))
    assert said(dataset, "left out beside the captions: answer")


# --- several labels in a cell


@pytest.mark.parametrize(
    "cells, mark",
    [
        *itertools.product(
            [["cat", "dog", "cat|dog"], ["cat", "dog", "cat|dog", "dog|cat"]], [", ", ";", "|"]
        ),
        *itertools.product([["cat", "dog", "cat|dog", "dog|cat"]], ["+", "/", " | "]),
    ],
)
def test_a_combination_of_two_classes_is_several_labels(tmp_path: Path, cells: list[str], mark: str) -> None:
    cells = [cell.replace("|", mark) for cell in cells]
    with pytest.raises(DataError, match="gives an image several labels"):
        read_columns(tmp_path, "image,label", cells * 4)


@pytest.mark.parametrize(
    "cells",
    [
        ["hot", "dog", "hot dog"],
        ["C", "C++", "C#"],
        ["1", "1,5", "5"],
        ["animal", "animal/cat", "plant/rose"],
        ["tomato/healthy", "tomato/blight", "potato/healthy", "potato/blight"],
        ["Leo, the cat", "Leo", "Max, the dog"],
    ],
)
def test_names_with_such_signs_are_classes(tmp_path: Path, cells: list[str]) -> None:
    assert set(labels(read_columns(tmp_path, "image,label", cells * 4)).values()) == set(cells)


# --- truth values that are no split


@pytest.mark.parametrize("name", ["valid", "Valid"])
@pytest.mark.parametrize("wrong", [0, 1, 4])
@pytest.mark.parametrize("yes, no", [("TRUE", "FALSE"), ("1", "0"), ("yes", "no")])
def test_valid_that_is_true_for_most_rows_is_a_mark_of_quality(
    tmp_path: Path, name: str, wrong: int, yes: str, no: str
) -> None:
    dataset = read_columns(tmp_path, f"image,caption,{name}", WORDS, [no] * wrong + [yes] * (12 - wrong))
    assert set(splits(dataset).values()) == {None}
    assert said(dataset, f"the column {name!r} is not read as a split", "most rows")


@pytest.mark.parametrize("name, cell", [("is_valid", "True"), ("is_train", "0"), ("test", "1")])
def test_a_split_without_train_is_none(tmp_path: Path, name: str, cell: str) -> None:
    dataset = read_columns(tmp_path, f"image,label,{name}", PETS, [cell] * 12)
    assert set(splits(dataset).values()) == {None}
    assert said(dataset, f"the column {name!r} is not read as a split", "of 12 rows 0 would be train")


@pytest.mark.parametrize("name", ["valid", "is_valid", "test"])
def test_truth_for_a_few_rows_is_still_a_split(tmp_path: Path, name: str) -> None:
    dataset = read_columns(tmp_path, f"image,label,{name}", PETS, ["1"] * 3 + ["0"] * 9)
    expected = "test" if name == "test" else "val"
    assert list(splits(dataset).values()) == [expected] * 3 + ["train"] * 9


def test_a_train_among_things_is_no_split(tmp_path: Path) -> None:
    things = [[int(n % step == 0) for n in range(12)] for step in (2, 5, 3)]
    dataset = read_columns(tmp_path, "image,caption,person,train,dog", WORDS, *things)
    assert captions(dataset) == EACH
    assert set(splits(dataset).values()) == {None}
    assert said(dataset, "not read", "train")


# --- marks that are no HTML


@pytest.mark.parametrize(
    "text",
    [
        "<a dog runs on the grass>",
        "a dog <a small one> near it",
        "a dog is left of <i am here>",
        "a pen&notebook, oven&microwave",
        "a dog &amp a cat",
        "R&D; and AT&T;",
        "<small dog>",
    ],
)
def test_marks_that_are_no_html_stay(tmp_path: Path, text: str) -> None:
    dataset = read_columns(tmp_path, "image,caption", [text] * 12)
    assert captions(dataset) == dict.fromkeys(FILES, (text,))
    assert dataset.notes == ()


@pytest.mark.parametrize(
    "text",
    ["<a href='x'>a dog</a>", "<p>a dog</p>", "a<br/>dog", "a&nbsp;dog", "<B >a</b > dog", "a&#32;dog"],
)
def test_html_is_still_taken_out(tmp_path: Path, text: str) -> None:
    dataset = read_columns(tmp_path, "image,caption", [text] * 12)
    assert captions(dataset) == dict.fromkeys(FILES, ("a dog",))
    assert said(dataset, "HTML")


# --- quotes


@pytest.mark.parametrize("header", ["image,caption", "'image','caption'"])
@pytest.mark.parametrize("mark", [",", "\t", ";"])
@pytest.mark.parametrize("blank", ["", " "])
def test_single_quotes_around_cells_are_no_words(tmp_path: Path, header: str, mark: str, blank: str) -> None:
    rows = [f"'{file}'{mark}{blank}'{text}{mark} isn''t \"it\"'\n" for file, text in zip(FILES, WORDS)]
    dataset = read_text(tmp_path, header.replace(",", mark) + "\n" + "".join(rows))
    assert captions(dataset) == {f: (f'{t}{mark} isn\'t "it"',) for f, t in zip(FILES, WORDS)}
    assert said(dataset, "single quotes around the cells")


def test_apostrophes_are_no_quotes(tmp_path: Path) -> None:
    texts = [f"'tis {text}, isn't it'" for text in WORDS]
    dataset = read_columns(tmp_path, "image,caption", texts)
    assert captions(dataset) == {file: (text,) for file, text in zip(FILES, texts)}
    assert dataset.notes == ()


@pytest.mark.parametrize("mark", [",", "\t"])
def test_quotes_with_text_behind_them_are_kept(tmp_path: Path, mark: str) -> None:
    texts = [f'"Stop" sign near {text}' for text in WORDS[:6]] + WORDS[6:]
    rows = "".join(f"{file}{mark}{text}\n" for file, text in zip(FILES, texts))
    dataset = read_text(tmp_path, f"image{mark}caption\n{rows}")
    assert captions(dataset) == {file: (text,) for file, text in zip(FILES, texts)}
    assert said(dataset, "quotes that begin cells", "are kept")


# --- sheets of marks

NAMES = ["cat", "dog", "bird"]


@pytest.mark.parametrize(
    "yes, no", [("x", ""), ("X", ""), ("✓", ""), ("O", ""), ("O", "X"), ("✓", "✗"), ("v", "")]
)
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("none", [0, 2])
def test_the_marked_column_is_the_class(tmp_path: Path, yes: str, no: str, count: int, none: int) -> None:
    columns = [[yes if n % count == k and n >= none else no for n in range(12)] for k in range(count)]
    dataset = read_columns(tmp_path, f"image,{','.join(NAMES[:count])}", *columns)
    assert labels(dataset) == {file: NAMES[n % count] for n, file in enumerate(FILES) if n >= none}
    assert said(dataset, "the label is the column that holds", repr(yes.casefold()))
    assert [kind for kind, _ in problems(dataset)].count("empty label") == none


@pytest.mark.parametrize("yes, no", [("x", ""), ("O", "X"), ("1", "0")])
def test_several_marks_in_a_row_are_several_labels(tmp_path: Path, yes: str, no: str) -> None:
    columns = [[yes if n % step == 0 else no for n in range(12)] for step in (1, 2)]
    with pytest.raises(DataError, match="several labels"):
        read_columns(tmp_path, "image,cat,dog", *columns)


def test_two_columns_of_0_and_1_that_leave_rows_open_are_refused_with_the_reason(tmp_path: Path) -> None:
    columns = [[int(n % 3 == k) for n in range(12)] for k in range(2)]
    with pytest.raises(DataError, match=r"0 and 1.*in some rows none is 1"):
        read_columns(tmp_path, "image,cat,dog", *columns)


@pytest.mark.parametrize("cells", [["01", "1", "02"], ["0", "00", "7"], ["1", "1.0", "3"]])
def test_classes_that_differ_in_zeros_alone_stay_apart_and_this_is_said(
    tmp_path: Path, cells: list[str]
) -> None:
    dataset = read_columns(tmp_path, "image,label", cells * 4)
    assert set(labels(dataset).values()) == set(cells)
    assert said(dataset, "stay apart", *map(repr, cells[:2]))
