"""What a cell of a table holds: a list of captions, several labels, nothing, markup, signs without room."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reading import (
    FILES,
    WORDS,
    captions,
    labels,
    problems,
    read,
    read_or_refused,
    said,
    table,
    touch,
    write,
    written,
)
from showtell.errors import DataError

# --- lists of captions

TWO = ['a "red" dog, it\'s fast', "ein grüner Hund [nass]"]
LISTS = {
    "JSON": json.dumps(TWO, ensure_ascii=False),
    "JSON with escapes": json.dumps(TWO),
    "Python": repr(TWO),
    "Python tuple": repr(tuple(TWO)),
    "NumPy": str(np.array(["a dog", "two dogs"])),
    "NumPy over lines": "['a dog'\n 'two dogs']",
    "records": repr([{"raw": text, "tokens": ["x"], "sentid": 3} for text in TWO]),
    "JSON records": json.dumps([{"caption": text, "id": 3} for text in TWO]),
}


@pytest.mark.parametrize("form", LISTS)
@pytest.mark.parametrize("name", ["caption", "raw", "Sätze"])
def test_a_list_in_a_cell_is_several_captions(tmp_path: Path, form: str, name: str) -> None:
    dataset = read(table(tmp_path, f"image,{name}", FILES, [LISTS[form]] * 12))
    expected = ("a dog", "two dogs") if "NumPy" in form else tuple(TWO)
    assert captions(dataset) == dict.fromkeys(FILES, expected)
    assert said(dataset, f"each cell of {name!r} is a list")


@example(texts=["a' \"b"], form=repr)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text("ab \"',;[](){}é개#\\", max_size=12).map("a{}b".format), min_size=1, max_size=4),
    form=st.sampled_from([json.dumps, repr]),
)
def test_any_list_is_read_back(tmp_path: Path, texts: list[str], form: object) -> None:
    texts = list(dict.fromkeys(map(" ".join, map(str.split, texts))))
    cell = json.dumps(texts) if form is json.dumps else repr(texts)
    dataset = read(table(tmp_path, "image,caption", FILES, [cell] * 12))
    assert captions(dataset) == dict.fromkeys(FILES, tuple(texts))


def test_captions_that_begin_with_a_bracket_are_no_lists(tmp_path: Path) -> None:
    words = ["[a dog", "(left) a dog", "[sic] a (dog)", *(f"a dog {number}" for number in range(9))]
    found = captions(read(table(tmp_path, "image,caption", FILES, words)))
    assert found == {f: (w,) for f, w in zip(FILES, words)}


# --- what stands for nothing


def test_what_stands_for_a_missing_caption_is_not_learnt(tmp_path: Path) -> None:
    nothing = ["nan", "NaN", "None", "NULL", "N/A", "#N/A", "-", "<NA>", "  "]
    words = [*nothing, "none of them runs", "nan bread", "a null sign"]
    dataset = read(table(tmp_path, "image,caption", FILES, words))
    assert captions(dataset) == {file: (word,) for file, word in zip(FILES[9:], words[9:])}
    left_out = [(kind, where) for kind, where in problems(dataset) if kind.endswith("caption")]
    missing = [("missing caption", f"t.csv:{line}") for line in range(2, 10)]
    assert left_out == [*missing, ("empty caption", "t.csv:10")]


def test_a_class_may_be_called_none_but_not_nan(tmp_path: Path) -> None:
    cells = ["None", "NA", "glioma", "nan", "NULL", ""] * 2
    dataset = read(table(tmp_path, "image,label", FILES, cells))
    assert labels(dataset) == {file: cell for file, cell in zip(FILES, cells) if cell in cells[:3]}
    assert [kind for kind, _ in problems(dataset)][:6] == [*["missing label"] * 2, "empty label"] * 2


# --- what is no word

MARKUP = {
    "Tom &amp; Jerry&#39;s <b>red</b> dog<br>runs": ("Tom & Jerry's red dog runs", "HTML"),
    "<p class='x'>a dog</p>": ("a dog", "HTML"),
    "a&nbsp;dog": ("a dog", "HTML"),
    "<start> a dog runs <end>": ("a dog runs", "marks of beginning and end"),
    "<s>a dog</s>": ("a dog", "marks of beginning and end"),
    "a red\u200b dog": ("a red dog", "invisible signs"),
    "\u200fa dog\u200e": ("a dog", "invisible signs"),
    "a dog\ufeff runs": ("a dog runs", "invisible signs"),
}
PLAIN = ["a < b and c > d", "I <3 dogs", "C++ & 3.5% #dog ❤️", "👨\u200d👩\u200d👧 family", "dogs && cats"]


@pytest.mark.parametrize("text", MARKUP)
def test_markup_and_invisible_signs_are_taken_out_and_counted(tmp_path: Path, text: str) -> None:
    clean, what = MARKUP[text]
    dataset = read(table(tmp_path, "image,caption", FILES, [text] * 11 + ["a plain dog"]))
    assert captions(dataset) == dict.fromkeys(FILES[:-1], (clean,)) | {FILES[-1]: ("a plain dog",)}
    assert said(dataset, what, "taken out of 11 captions")


@pytest.mark.parametrize("text", PLAIN)
def test_signs_that_are_no_markup_stay(tmp_path: Path, text: str) -> None:
    dataset = read(table(tmp_path, "image,caption", FILES, [text] * 12))
    assert captions(dataset) == dict.fromkeys(FILES, (text,))
    assert dataset.notes == ()


# --- labels


@pytest.mark.parametrize("yes, no", [("1", "0"), ("1.0", "0.0"), ("True", "False"), (" 1", " 0")])
@pytest.mark.parametrize("classes", [["MEL", "NV", "BCC"], ["ok", "broken"]])
def test_one_hot_columns_are_one_label(tmp_path: Path, yes: str, no: str, classes: list[str]) -> None:
    expected = [classes[number % len(classes)] for number in range(12)]
    columns = [[yes if label == name else no for label in expected] for name in classes]
    dataset = read(table(tmp_path, f"image,{','.join(classes)}", FILES, *columns))
    assert labels(dataset) == dict(zip(FILES, expected))
    assert said(dataset, "the label is the column that holds 1", *classes)


def test_several_ones_in_a_row_are_several_labels(tmp_path: Path) -> None:
    columns = [[str(number >> bit & 1) for number in range(12)] for bit in range(3)]
    with pytest.raises(DataError, match=r"several labels.*red, round, big") as error:
        read(table(tmp_path, "image,red,round,big", FILES, *columns))
    assert "one classifier on each" in error.value.hint


@pytest.mark.parametrize("mark", ["|", ";", ",", ", ", "#", " ", "+"])
def test_several_labels_in_a_cell_are_refused_with_an_example(tmp_path: Path, mark: str) -> None:
    cells = ["scab", f"scab{mark}rust", "rust", f"mildew{mark}scab", "healthy", f"rust{mark}mildew"] * 2
    with pytest.raises(DataError, match="gives an image several labels") as error:
        read(table(tmp_path, "image,labels", FILES, cells))
    assert any(repr(cell) in error.value.what for cell in cells if mark in cell)


@pytest.mark.parametrize("form", [repr, json.dumps])
def test_lists_of_labels_are_several_labels(tmp_path: Path, form: type[repr]) -> None:
    cells = [form(labels) for labels in (["scab", "rust"], ["rust"], ["mildew"])] * 4
    with pytest.raises(DataError, match="several labels: lists in 'label'"):
        read(table(tmp_path, "image,label", FILES, cells))


@pytest.mark.parametrize(
    "names",
    [
        ["boston terrier", "boston bull", "bull terrier"],
        ["Leo, the cat", "Eve, the cat", "Ming, the cat"],
        ["C#", "C++", "F#"],
        ["Apple___Black_rot", "Apple___healthy", "Tomato"],
        ["0", "1", "2"],
        ["0.0", "1.0", "2.0"],
        ["red/dark", "red/light", "blue"],
    ],
)
def test_names_of_one_class_stay_whole(tmp_path: Path, names: list[str]) -> None:
    dataset = read(table(tmp_path, "image,label", FILES, names * 4))
    assert labels(dataset) == dict(zip(FILES, names * 4))


def test_an_image_under_two_labels_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    rows = [*zip(FILES, ["cat", "dog"] * 6), (FILES[0], "dog"), (FILES[1], "dog")]
    dataset = read(write(tmp_path / "t.csv", written(("image", "label"), rows)))
    assert set(labels(dataset)) == set(FILES[1:])
    assert problems(dataset) == [("two labels", "t.csv:14"), ("repeated row", "t.csv:15")]


# --- lines that are not quite a table's


@pytest.mark.parametrize(
    "text, expected",
    [
        ('image,caption\n00.jpg,"a \\"stop\\" sign, red"\n', ['a "stop" sign, red']),
        ("image,caption\n00.jpg,a dog, running, fast\n", ["a dog, running, fast"]),
        ("image,caption,\n00.jpg,a dog,\n01.jpg,a cat,\n", ["a dog", "a cat"]),
        ("image,caption\n00.jpg,a dog,\n01.jpg,a cat,,\n", ["a dog", "a cat"]),
        ("image,caption\r00.jpg,a dog\r01.jpg,a cat\r", ["a dog", "a cat"]),
        ('"image,caption"\n"00.jpg,""a dog, fast"""\n"01.jpg,a cat"\n', ["a dog, fast", "a cat"]),
        ("image,caption\r\n00.jpg,a dog\n01.jpg,a cat\r02.jpg,an owl", ["a dog", "a cat", "an owl"]),
        ("image;score;caption\n00.jpg;0,93;a dog\n01.jpg;0,5;a cat\n", ["a dog", "a cat"]),
        ("image,caption\n00.jpg,a dog\nimage,caption\n01.jpg,a cat\n", ["a dog", "a cat"]),
        (
            'image\tcaption\n00.jpg\ta 12" pizza\n01.jpg\t"L is written\n02.jpg\ta cat\n',
            ['a 12" pizza', '"L is written', "a cat"],
        ),
    ],
    ids=[
        "backslash",
        "bare commas",
        "mark at the end",
        "marks in rows",
        "CR",
        "lines in quotes",
        "mixed ends",
        "decimal comma",
        "header again",
        "bare quotes",
    ],
)
def test_tables_that_programs_write(tmp_path: Path, text: str, expected: list[str]) -> None:
    touch(tmp_path, *FILES)
    dataset = read(write(tmp_path / "t.csv", text))
    assert captions(dataset) == {file: (caption,) for file, caption in zip(FILES, expected)}


PIECES = (
    *"\n\n,\t;|\"'[](){}\\#/= ",
    *("00.jpg", "01.jpg", "image", "caption", "label", "split", "fold", "train", "1", "0", "-1", "nan", "²"),
    *("é개", "\ufeff", "\r", "../00.jpg", "C:\\00.jpg", "http://h/00.jpg", "sep=;", "9" * 30),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    name=st.sampled_from(["t.csv", "t.txt", "t.tsv", "train.csv", "metadata.csv", "t.token.txt", "00.txt"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "cp949"]),
)
def test_any_text_ends_in_a_data_set_or_in_a_message(
    tmp_path: Path, text: str, name: str, encoding: str
) -> None:
    path = touch(tmp_path, "00.jpg", "01.jpg") / name
    path.write_bytes(text.encode(encoding, "replace"))
    for data in (path, tmp_path):
        read_or_refused(data, ["00.jpg", "01.jpg"])
    path.unlink()


def test_rows_of_no_class_are_not_called_several_labels(tmp_path: Path) -> None:
    """The message says that up to 1 of the columns are 1, and advises one classifier on each."""
    columns = [[int(number % 4 == place) for number in range(12)] for place in range(3)]
    path = table(tmp_path, "image,cat,dog,owl", FILES, *columns)
    try:
        dataset = read(path)
    except DataError as error:
        assert "several labels" not in error.what
    else:
        assert len(dataset.images) == 9
        assert [kind for kind, _ in problems(dataset) if "label" in kind]


@pytest.mark.parametrize("cell", ["json", "text"])
def test_a_list_of_one_image_is_that_image(tmp_path: Path, cell: str) -> None:
    """ShareGPT's `images`, and NLVR's and R2Gen's paths; the list's text is taken for a name."""
    if cell == "text":
        path = table(tmp_path, "no,images,caption", FILES, [f"['{name}']" for name in FILES], WORDS)
    else:
        touch(tmp_path, *(f"images/{name}" for name in FILES))
        records = [{"images": [name], "caption": word} for name, word in zip(FILES, WORDS)]
        path = write(tmp_path / "t.json", json.dumps(records))
    assert captions(read(path)) == {name: (word,) for name, word in zip(FILES, WORDS)}


def test_a_list_of_two_images_is_refused_as_such(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{name}" for name in FILES))
    records = [{"image": FILES[number : number + 2], "caption": WORDS[number]} for number in (0, 2, 4)]
    with pytest.raises(DataError) as error:
        read(write(tmp_path / "t.json", json.dumps(records)))
    assert "None of the 3 images" not in error.value.what, "the images are there"


# --- several captions that a mark parts


def three(mark: str, form: str = "{}") -> list[str]:
    turns = zip(WORDS, WORDS[1:] + WORDS, WORDS[2:] + WORDS)
    return [mark.join(form.format(number=n, text=t) for n, t in enumerate(turn, 1)) for turn in turns]


@pytest.mark.parametrize("mark", ["|", " || ", "\n", " <sep> ", "[SEP]", " ## ", "; ", "<br>"])
def test_a_mark_in_nearly_every_cell_parts_captions(tmp_path: Path, mark: str) -> None:
    data = table(tmp_path, "image,caption", FILES, three(mark, "{text}"))
    assert captions(read(data))["00.jpg"] == tuple(WORDS[:3])
    assert said(read(data), "several captions, parted by")


@pytest.mark.parametrize("form", ["{number}. {text}", "({number}) {text}", "- {text}", "• {text}"])
def test_a_list_in_a_cell_loses_its_numbers(tmp_path: Path, form: str) -> None:
    data = table(tmp_path, "image,captions", FILES, three("\n", form))
    assert captions(read(data))["11.jpg"] == (WORDS[11], *WORDS[:2])


@pytest.mark.parametrize("mark", ["\n", "; "])
def test_two_lines_are_one_caption(tmp_path: Path, mark: str) -> None:
    texts = [f"{text}{mark}and a cat" for text in WORDS]
    found = captions(read(table(tmp_path, "image,caption", FILES, texts)))
    assert found == {name: (text,) for name, text in zip(FILES, texts)}


@pytest.mark.parametrize("mark", [";", "\n", "|"])
def test_a_mark_that_stands_in_some_captions_parts_none(tmp_path: Path, mark: str) -> None:
    texts = [f"a dog{mark} it runs" if number % 2 else text for number, text in enumerate(WORDS)]
    found = captions(read(table(tmp_path, "image,caption", FILES, texts)))
    assert [len(several) for several in found.values()] == [1] * 12
    words = [mark.join(["dog", "tree", "sky"][: 1 + number % 3]) for number in range(12)]
    assert {len(s) for s in captions(read(table(tmp_path, "image,caption", FILES, words))).values()} == {1}


# --- what stands for nothing, or was damaged before


@pytest.mark.parametrize(
    "text",
    ["\\N", "(null)", "[null]", "<none>", "#NAME?", "#DIV/0!", "#ERROR!", "(blank)", "NaT", "...", "?"],
)
def test_what_databases_and_spreadsheets_write_for_nothing_is_not_learnt(tmp_path: Path, text: str) -> None:
    dataset = read(table(tmp_path, "image,caption", FILES[:2], [text, "a dog"]))
    assert captions(dataset) == {"01.jpg": ("a dog",)}
    assert ("missing caption", "t.csv:2") in problems(dataset)


@pytest.mark.parametrize("text", ["un café noir à l’été", "ein grüner Hund", "개가 달린다", "犬が走る"])
def test_letters_that_were_read_in_a_wrong_encoding_are_mended_and_said(tmp_path: Path, text: str) -> None:
    wrong = "".join(chr(b) if b in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([b]).decode("cp1252")
                    for b in text.encode())  # fmt: skip
    dataset = read(table(tmp_path, "image,caption", FILES[:2], [wrong, text]))
    assert set(captions(dataset).values()) == {(text,)}
    assert said(dataset, "wrong encoding were mended in 1 captions")


def test_letters_that_are_lost_are_said(tmp_path: Path) -> None:
    dataset = read(table(tmp_path, "image,caption", FILES[:2], ["a caf\ufffd", "a dog"]))
    assert said(dataset, "1 captions hold \ufffd")


@pytest.mark.parametrize("form", ["{} {}", "{}: {}", "{}#0 {}", "{} - {}"])
def test_the_name_of_the_image_is_no_part_of_its_caption(tmp_path: Path, form: str) -> None:
    texts = [form.format(name, text) for name, text in zip(FILES, WORDS)]
    dataset = read(table(tmp_path, "image,caption", FILES, texts))
    assert captions(dataset) == {name: (text,) for name, text in zip(FILES, WORDS)}
    assert said(dataset, "names of the images were taken out of 12 captions")


def test_minus_one_is_no_class(tmp_path: Path) -> None:
    """CelebA writes -1 for no, CheXpert for perhaps; a column with it was left aside without a word."""
    rows = [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]] * 4
    dataset = read(table(tmp_path, "image,a,b,c", FILES, *zip(*rows)))
    assert dataset.classes == ("a", "b", "c")
    with pytest.raises(DataError, match="several labels"):
        read(table(tmp_path, "image,a,b,c", FILES, *zip(*[[1, 1, -1], [-1, 1, -1], [-1, -1, 1]] * 4)))


def test_quantities_are_no_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="classes, not quantities"):
        read(table(tmp_path, "image,label", FILES, [0.37 * number for number in range(12)]))
    assert read(table(tmp_path, "image,label", FILES, [0.5, 1.5] * 6)).classes == ("0.5", "1.5")


@pytest.mark.parametrize("write_cell", [json.dumps, str])
def test_objects_in_cells_are_columns(tmp_path: Path, write_cell: Callable[[object], str]) -> None:
    cells = [write_cell({"caption": word, "public_domain": "no", "image_url": ""}) for word in WORDS]
    dataset = read(table(tmp_path, "filename,file_attributes,region_attributes", FILES, cells, ["{}"] * 12))
    assert captions(dataset) == {name: (word,) for name, word in zip(FILES, WORDS)}
    kinds = ["cat", "dog", "owl"] * 4
    cells = [write_cell({"species": kind, "sure": "yes"}) for kind in kinds]
    path = table(tmp_path, "filename,region_attributes", FILES, cells)
    assert labels(read(path, text_column="species")) == dict(zip(FILES, kinds))
    cells = [write_cell({"bytes": None, "path": f"images/{name}"}) for name in FILES]
    assert captions(read(table(tmp_path, "image,text", cells, WORDS)))["images/00.jpg"] == (WORDS[0],)


def test_captions_in_objects_are_columns_of_captions(tmp_path: Path) -> None:
    languages = [json.dumps({"en": word, "ko": "개"}) for word in WORDS]
    path = table(tmp_path, "image,caption", FILES, languages)
    with pytest.raises(DataError, match="several languages: caption_en, caption_ko"):
        read(path)
    assert captions(read(path, text_column="caption_en"))["00.jpg"] == (WORDS[0],)
    records = [{"image": name, "captions": {"0": word, "1": "a cat"}} for name, word in zip(FILES, WORDS)]
    assert captions(read(write(tmp_path / "t.json", json.dumps(records))))["00.jpg"] == (WORDS[0], "a cat")


def test_rows_beside_objects_that_are_none_are_named(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    rows = [[name, json.dumps({"caption": word, "x": 1})] for name, word in zip(FILES, WORDS)]
    rows[5].append("more")
    dataset = read(write(tmp_path / "t.csv", written(("image", "attributes"), rows)))
    assert len(dataset.images) == 11
    assert ("broken line", "t.csv:7") in problems(dataset)


@pytest.mark.parametrize("cell", ["['{}']", '["{}"]', '{{"choices": ["{}"]}}'])
def test_a_list_of_one_label_in_a_cell_is_that_label(tmp_path: Path, cell: str) -> None:
    kinds = ["cat", "dog", "owl"] * 4
    dataset = read(table(tmp_path, "image,label", FILES, [cell.format(kind) for kind in kinds]))
    assert labels(dataset) == dict(zip(FILES, kinds))
