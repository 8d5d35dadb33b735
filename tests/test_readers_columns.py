"""What the columns of a table are, told by their cells: images, words, splits, groups, nothing of use."""

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
    splits,
    table,
    touch,
    write,
    written,
)
from showtell.data.readers import read_dataset
from showtell.errors import DataError
from showtell.kinds.captioner.settings import TrainCaptioner

CLASSES = ["cat", "dog", "owl"] * 4


# --- the column of images, and that of the words


@pytest.mark.parametrize("headers", ["Bild,Beschreibung", "x,y", "file-with-image,what is seen", "a.b,c"])
@pytest.mark.parametrize("extension", [".jpg", ""])
def test_columns_are_known_by_their_cells(tmp_path: Path, headers: str, extension: str) -> None:
    names = [name.removesuffix(".jpg") + extension for name in FILES]
    for header, columns in ((headers, (names, WORDS)), (",".join(headers.split(",")[::-1]), (WORDS, names))):
        dataset = read(table(tmp_path, header, *columns))
        assert captions(dataset) == {name: (word,) for name, word in zip(FILES, WORDS)}
        image, text = headers.split(",")
        assert said(dataset, repr(image), "holds the images", "--image-column")
        assert said(dataset, repr(text), "holds the captions", "--text-column")


@pytest.mark.parametrize("header", ["image,wat", "파일명,품종", "wat,label", "id,dx"])
def test_repeated_short_values_are_labels(tmp_path: Path, header: str) -> None:
    dataset = read(table(tmp_path, header, FILES, CLASSES))
    assert (dataset.format, labels(dataset)) == ("labels", dict(zip(FILES, CLASSES)))
    assert dataset.classes == ("cat", "dog", "owl")


ASIDE: dict[str, list[object]] = {
    "score": [f"0.{number}" for number in range(12)],
    "width": [640] * 12,
    "created_at": [f"2023-05-0{1 + number % 2}T10:00:{number:02}Z" for number in range(12)],
    "date": [f"2019-04-{number % 3 + 1:02}" for number in range(12)],
    "annotation_id": list(range(100, 112)),
    "hash": [f"{number * 0x3F2A9C1B7D:016x}" for number in range(12)],
    "empty": [""] * 12,
    "": list(range(12)),
    "Unnamed: 0": list(range(12)),
    "patient_id": ["p1", "p2", "p3"] * 4,
}


@pytest.mark.parametrize("name", ASIDE)
@pytest.mark.parametrize("column, values", [("Sehen", WORDS), ("Art", CLASSES)])
def test_numbers_dates_and_codes_are_left_aside(
    tmp_path: Path, name: str, column: str, values: list[object]
) -> None:
    dataset = read(table(tmp_path, f"{name},image,{column}", ASIDE[name], FILES, values))
    held = captions(dataset) if column == "Sehen" else labels(dataset)
    assert held == {file: (text,) if column == "Sehen" else text for file, text in zip(FILES, values)}


def test_full_names_go_before_an_index_that_fits_too(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{number}.jpg" for number in range(4)))
    rows = [(number, f"{3 - number}.jpg", f"a dog {3 - number}") for number in range(4)]
    dataset = read(write(tmp_path / "t.csv", written(("", "image", "caption"), rows)))
    assert captions(dataset) == {f"{number}.jpg": (f"a dog {number}",) for number in range(4)}


def test_two_columns_of_images_are_refused_until_one_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, "before,after,caption", FILES[:6], FILES[6:], WORDS[:6])
    with pytest.raises(DataError, match="two columns of different images, 'before' and 'after'") as error:
        read(path)
    assert "--image-column" in error.value.hint
    assert captions(read(path, image_column="after")) == {n: (w,) for n, w in zip(FILES[6:], WORDS)}


def test_several_columns_that_may_be_the_words_are_named_with_examples(tmp_path: Path) -> None:
    path = table(tmp_path, "image,gender,season", FILES, ["men", "women"] * 6, ["fall", "fall", "summer"] * 4)
    with pytest.raises(DataError, match=r"'gender', such as 'men'; 'season', such as 'fall'"):
        read(path)
    assert read(path, text_column="season").classes == ("fall", "summer")


def test_numbers_alone_are_no_words(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number:02}.jpg" for number in range(30)))
    rows = [(f"{number:02}.jpg", f"{number * 1.7:.1f}") for number in range(30)]
    with pytest.raises(DataError, match="numbers in 'age', which are neither words nor classes"):
        read(write(tmp_path / "t.csv", written(("image", "age"), rows)))


# --- several captions an image


@pytest.mark.parametrize(
    "names",
    [
        "caption_1,caption_2",
        "caption1,caption2",
        "Caption 0,Caption 1",
        "caption,caption",
        "caption,caption_2",
        "sentence1,sentence2",
        "comment_0,comment_1",
        "desc 0,desc 1",
        "설명1,설명2",
    ],
)
def test_all_columns_of_captions_are_read(tmp_path: Path, names: str) -> None:
    second = ["", *(f"{word} again" for word in WORDS[1:])]
    dataset = read(table(tmp_path, f"image,{names}", FILES, WORDS, second))
    expected = {file: (word, more) for file, word, more in zip(FILES, WORDS, second)}
    assert captions(dataset) == expected | {FILES[0]: (WORDS[0],)}
    assert said(dataset, "2 columns of captions are read", *names.split(","))


def test_languages_are_not_mixed(tmp_path: Path) -> None:
    german = [f"Hund {number}" for number in range(12)]
    path = table(tmp_path, "image,caption_en,caption_de", FILES, WORDS, german)
    with pytest.raises(DataError, match="several languages: caption_en, caption_de") as error:
        read(path)
    assert "--text-column" in error.value.hint
    assert captions(read(path, text_column="caption_de"))[FILES[0]] == ("Hund 0",)
    assert captions(read(path, text_column="caption_en,caption_de"))[FILES[0]] == (WORDS[0], "Hund 0")


def test_words_beside_the_captions_are_said_to_be_left_out(tmp_path: Path) -> None:
    titles = [f"Print number {number} on paper" for number in range(12)]
    dataset = read(table(tmp_path, "image,description,note", FILES, WORDS, titles))
    assert captions(dataset) == {file: (word,) for file, word in zip(FILES, WORDS)}
    assert said(dataset, "left out beside the captions: note", "--text-column")


# --- splits

NAMED = [
    ["train", "val", "test"],
    ["TRAIN", "VALID", "TEST"],
    ["Training", "PublicTest", "PrivateTest"],
    ["train", "dev", "holdout"],
    ["trn", "Validation ", "testing"],
    ["학습", "검증", "테스트"],
]


@pytest.mark.parametrize("values", NAMED, ids=["usual", "capitals", "fer", "holdout", "blank", "korean"])
@pytest.mark.parametrize("name", ["split", "partition", "Usage", "wat"])
def test_a_column_whose_every_value_is_a_split_is_one(tmp_path: Path, values: list[str], name: str) -> None:
    cells = [values[0]] * 8 + values[1:] * 2
    dataset = read(table(tmp_path, f"image,caption,{name}", FILES, WORDS, cells))
    assert list(splits(dataset).values()) == ["train"] * 8 + ["val", "test"] * 2
    assert said(dataset, f"the splits are those of the column {name!r}")


@pytest.mark.parametrize(
    "yes, no", [("1", "0"), ("True", "False"), ("yes", "no"), ("1.0", "0.0"), ("t", "f")]
)
@pytest.mark.parametrize(
    "name, if_true, if_false",
    [
        ("is_valid", "val", "train"),
        ("is_test", "test", "train"),
        ("is_train", "train", "val"),
        ("train", "train", "val"),
        ("Validation", "val", "train"),
        ("in_train_set", "train", "val"),
    ],
)
def test_truth_values_are_turned_by_the_columns_name(
    tmp_path: Path, yes: str, no: str, name: str, if_true: str, if_false: str
) -> None:
    dataset = read(table(tmp_path, f"image,caption,{name}", FILES, WORDS, [yes, no, no] * 4))
    assert list(splits(dataset).values()) == [if_true, if_false, if_false] * 4
    assert said(dataset, repr(name), f"says what is {if_true}; the rest is {if_false}")


@pytest.mark.parametrize("name", ["fold", "kfold", "Fold_ID", "folds"])
@pytest.mark.parametrize("form", ["{}", "{}.0", "fold_{}", "Fold {}"])
def test_a_fold_is_for_validation_and_it_is_said_which(tmp_path: Path, name: str, form: str) -> None:
    cells = [form.format(number % 3 + 1) for number in range(12)]
    dataset = read(table(tmp_path, f"image,label,{name}", FILES, CLASSES, cells))
    assert list(splits(dataset).values()) == ["val", "train", "train"] * 4
    assert said(dataset, "holds 3 folds: fold 1 is val, the others are train")


@pytest.mark.parametrize(
    "name, cells",
    [
        ("set", ["lego", "duplo"]),
        ("phase", ["new", "full"]),
        ("val", ["0.3", "0.7"]),
        ("test", ["3", "17"]),
        ("fold", ["left", "right"]),
        ("is_train", ["12", "7"]),
        ("train", ["ICE", "TGV"]),
    ],
)
def test_what_only_has_the_name_of_a_split_is_none(tmp_path: Path, name: str, cells: list[str]) -> None:
    dataset = read(table(tmp_path, f"image,caption,{name}", FILES, WORDS, cells * 6))
    assert captions(dataset) == {file: (word,) for file, word in zip(FILES, WORDS)}
    assert set(splits(dataset).values()) == {None}


def test_classes_called_train_and_test_are_no_split(tmp_path: Path) -> None:
    dataset = read(table(tmp_path, "image,label", FILES, ["train", "bus", "test tube"] * 4))
    assert (dataset.classes, set(splits(dataset).values())) == (("bus", "test tube", "train"), {None})


def test_images_without_a_split_are_counted(tmp_path: Path) -> None:
    cells = ["train", "train", "test", ""] * 3
    dataset = read(table(tmp_path, "image,caption,split", FILES, WORDS, cells))
    assert list(splits(dataset).values()) == ["train", "train", "test", None] * 3
    assert said(dataset, "3 images have no split in the data")


def test_groups_are_offered_as_the_command_takes_them(tmp_path: Path) -> None:
    path = table(tmp_path, "image,caption,lesion_id", FILES, WORDS, ["p1", "p2", "p3", "p4"] * 3)
    assert said(read_dataset(TrainCaptioner(path)), 'group_column = "lesion_id" in the file of --config')


def test_groups_are_offered_and_taken_where_named(tmp_path: Path) -> None:
    cells = ["p1", "p2", "p3", "p4"] * 3
    path = table(tmp_path, "image,label,lesion_id", FILES, CLASSES, cells)
    offered = read(path)
    assert said(offered, "--group-column lesion_id")
    assert {image.group for image in offered.images} == {None}
    taken = read(path, group_column="lesion_id")
    assert [image.group for image in taken.images] == cells
    assert problems(taken) == []


# --- no header, or something above it


@pytest.mark.parametrize("first", ["sep={}", '"sep={}"', "SEP={}", "sep={}\r"])
@pytest.mark.parametrize("mark", [",", ";", "|", "\t"])
def test_the_delimiter_may_be_told_above_the_header(tmp_path: Path, first: str, mark: str) -> None:
    text = written(("image", "caption"), [(file, f"{word}, near") for file, word in zip(FILES, WORDS)], mark)
    touch(tmp_path, *FILES)
    dataset = read(write(tmp_path / "t.csv", f"{first.format(mark)}\n{text}"))
    assert captions(dataset) == {file: (f"{word}, near",) for file, word in zip(FILES, WORDS)}


def test_without_a_header_a_split_may_stand_before_the_address(tmp_path: Path) -> None:
    parts = ["TRAIN", "TRAIN", "VALIDATION", "TEST"] * 3
    touch(tmp_path, *(f"images/{name}" for name in FILES))
    rows = "".join(f"{part},gs://b/x/{file},{label}\n" for part, file, label in zip(parts, FILES, CLASSES))
    dataset = read(write(tmp_path / "import.csv", rows), images=tmp_path / "images")
    assert labels(dataset) == dict(zip(FILES, CLASSES))
    assert list(splits(dataset).values()) == ["train", "train", "val", "test"] * 3
    assert said(dataset, "import.csv has no header")
    assert said(dataset, "addresses are never fetched")


def test_a_list_of_paths_and_numbers_parted_by_blanks(tmp_path: Path) -> None:
    files = ["red/a b.jpg", "red/c.jpg", "blue sky/d.jpg", "blue sky/e.jpg"]
    touch(tmp_path, *files)
    rows = "".join(f"{file} {number // 2}\n" for number, file in enumerate(files))
    assert labels(read(write(tmp_path / "train.txt", rows))) == dict(zip(files, "0011"))


def test_fold_minus_one_is_not_trained_on(tmp_path: Path) -> None:
    """-1 (MONAI, Kaggle) stands for what is in no fold, mostly the test set; it is read as fold 1."""
    folds = [-1, 0, 1, 2] * 3
    dataset = read(table(tmp_path, "image,caption,fold", FILES, WORDS, folds))
    without = [split for split, fold in zip(splits(dataset).values(), folds) if fold == -1]
    assert set(without) <= {None, "test"}
    assert list(splits(dataset).values())[1:4] == ["val", "train", "train"]
    assert "-1" in messages(dataset)


@pytest.mark.parametrize("name", ["label", "class", "caption"])
def test_a_column_of_words_is_no_split_whatever_its_cells_are(tmp_path: Path, name: str) -> None:
    """Vehicles and lab samples: classes that are called train and test."""
    dataset = read(table(tmp_path, f"image,{name}", FILES, ["train", "test"] * 6))
    assert set(splits(dataset).values()) == {None}
    found = [image.label or image.captions[0] for image in dataset.images]
    assert found == ["train", "test"] * 6


def test_the_column_that_the_user_named_is_no_split(tmp_path: Path) -> None:
    path = table(tmp_path, "image,kind,label", FILES, ["train", "test"] * 6, CLASSES)
    dataset = read(path, text_column="kind", format="labels")
    assert list(labels(dataset).values()) == ["train", "test"] * 6
    assert set(splits(dataset).values()) == {None}


# --- columns and headers as programs write them


@pytest.mark.parametrize(
    "names",
    [
        "caption,caption.1",
        "Caption (1),Caption (2)",
        "Caption #1,Caption #2",
        "Answer.caption1,Answer.caption2",
        "image_caption_1,image_caption_2",
    ],
)
def test_numbered_columns_of_captions_in_any_spelling(tmp_path: Path, names: str) -> None:
    data = table(tmp_path, f"image,{names}", FILES, WORDS, [f"{text} too" for text in WORDS])
    assert captions(read(data)) == {name: (text, f"{text} too") for name, text in zip(FILES, WORDS)}


@pytest.mark.parametrize("name", ["caption_str", "image_description", "alt_text", "Answer.caption"])
def test_captions_are_known_by_a_name_that_holds_a_usual_one(tmp_path: Path, name: str) -> None:
    dataset = read(table(tmp_path, f"image,label,caption_id,{name}", FILES, CLASSES, range(12), WORDS))
    assert captions(dataset) == {name: (text,) for name, text in zip(FILES, WORDS)}
    assert dataset.classes == ("cat", "dog", "owl")


CODES = {
    "address": "https://example.org/{}/s1600/",
    "hash": "{:032x}",
    "key": "k{:04}",
    "day": "{:02}/11/2024",
    "moment": "2024-11-{:02} 10:00:00",
    "box": "[{}.0, 22.0, 56.0, 36.0]",
}


@pytest.mark.parametrize("form", CODES.values(), ids=CODES)
def test_codes_are_no_captions(tmp_path: Path, form: str) -> None:
    codes = [form.format(number + 10) for number in range(12)]
    with pytest.raises(DataError, match="no column that holds a caption or a label"):
        read(table(tmp_path, "image,wat", FILES, codes))
    dataset = read(table(tmp_path, "image,wat,kind", FILES, codes, ["a1", "b2"] * 6))
    assert dataset.classes == ("a1", "b2")
    assert said(dataset, "not read: wat")


def test_a_column_that_is_the_same_everywhere_is_not_the_words(tmp_path: Path) -> None:
    dataset = read(table(tmp_path, "image,source,txt", FILES, ["crowd workers of 2024"] * 12, WORDS))
    assert captions(dataset)["00.jpg"] == (WORDS[0],)
    assert said(dataset, "not read: source")


def test_columns_that_are_not_read_are_named_but_for_numbers_of_rows(tmp_path: Path) -> None:
    header = "idx,image,label,xmin,utterance"
    dataset = read(table(tmp_path, header, range(12), FILES, CLASSES, range(12), WORDS))
    assert said(dataset, "not read: xmin, utterance (--text-column")
    assert read(table(tmp_path, "idx,image,label", range(12), FILES, CLASSES)).notes == ()


TITLES = ["Our captions;;\n;;\n", "# made in 2024, by us\n# second line\n", "Captions\n\n"]


@pytest.mark.parametrize("title", TITLES)
def test_lines_above_the_header_are_left_out_and_counted(tmp_path: Path, title: str) -> None:
    data = table(tmp_path, "image,caption,split", FILES, WORDS, ["train", "test"] * 6)
    content = data.read_text().replace(",", ";") if ";" in title else data.read_text()
    dataset = read(write(data, title + content))
    assert captions(dataset) == {name: (text,) for name, text in zip(FILES, WORDS)}
    assert set(splits(dataset).values()) == {"train", "test"} and not dataset.problems
    assert said(dataset, "above the header are left out")


def test_rows_that_name_usual_columns_are_no_header_of_a_table_without_one(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    rows = "".join(f"{name},{label}\n" for name, label in zip(FILES, ["image", "photo", "text"] * 4))
    assert read(write(tmp_path / "t.csv", rows)).classes == ("image", "photo", "text")


@pytest.mark.parametrize("names", [FILES, [f"{number}.jpg" for number in range(1, 13)]])
def test_row_names_of_r_are_no_column(tmp_path: Path, names: list[str]) -> None:
    touch(tmp_path, *names)
    rows = [f'"{number}","{name}","{text}"' for number, (name, text) in enumerate(zip(names, WORDS), 1)]
    dataset = read(write(tmp_path / "t.csv", "\n".join(['"image","caption"', *rows])))
    assert captions(dataset) == {name: (text,) for name, text in zip(names, WORDS)}


@pytest.mark.parametrize("extension", [".jpg", ""])
def test_several_captions_in_a_line_without_a_header(tmp_path: Path, extension: str) -> None:
    touch(tmp_path, *FILES)
    rows = [f"{name[:2]}{extension}\t{text}\t{text} too" for name, text in zip(FILES, WORDS)]
    found = captions(read(write(tmp_path / "t.tsv", "\n".join(rows))))
    assert found == {name: (text, f"{text} too") for name, text in zip(FILES, WORDS)}


def test_rows_without_a_name_below_an_image_are_its_captions(tmp_path: Path) -> None:
    names = [cell for name in FILES for cell in (name, "", "")]
    texts = [f"{text}{more}" for text in WORDS for more in ("", " too", " again")]
    dataset = read(table(tmp_path, "image,caption", names, texts))
    assert captions(dataset)["05.jpg"] == tuple(texts[15:18])
    assert said(dataset, "captions of the image above")
    few = read(table(tmp_path, "image,caption", ["00.jpg", "01.jpg", "", "03.jpg"], WORDS[:4]))
    assert ("empty image name", "t.csv:4") in problems(few)


@pytest.mark.parametrize("mark", [": ", " - ", " -> ", " = ", " — ", "   "])
def test_a_sign_between_name_and_caption_is_no_part_of_either(tmp_path: Path, mark: str) -> None:
    touch(tmp_path, *FILES)
    rows = "".join(f"{name}{mark}{text}\n" for name, text in zip(FILES, WORDS))
    assert captions(read(write(tmp_path / "t.txt", rows))) == {n: (t,) for n, t in zip(FILES, WORDS)}


@pytest.mark.parametrize("header", ["Label,ClassName", "label,label_text", "class_id,disease", "target,wat"])
def test_the_names_of_numbered_classes_are_the_labels(tmp_path: Path, header: str) -> None:
    numbers = [CLASSES.index(name) for name in CLASSES]
    dataset = read(table(tmp_path, f"image,{header}", FILES, numbers, CLASSES))
    assert labels(dataset) == dict(zip(FILES, CLASSES))
    assert said(dataset, "names the classes", "--text-column")
    assert read(tmp_path / "t.csv", text_column=header.split(",")[0]).classes == ("0", "1", "2")


def test_words_that_do_not_stand_for_a_number_each_are_no_names_of_classes(tmp_path: Path) -> None:
    numbers = [0, 1, 2] * 400
    kinds = [CLASSES[number] for number in numbers]
    names = [f"{number}.jpg" for number in range(1200)]
    touch(tmp_path, *names)
    for place in (1100, 5):  # beyond the rows by which columns are judged, and among them
        kinds[place] = "cat"
        write(tmp_path / "t.csv", written(("image", "label", "kind"), zip(names, numbers, kinds)))
        assert read(tmp_path / "t.csv").classes == ("0", "1", "2")


@pytest.mark.parametrize("mark", ["\t", "|", ";", ","])
@pytest.mark.parametrize("extension", [".jpg", ""])
def test_without_a_header_signs_in_every_caption_part_no_cells(
    tmp_path: Path, mark: str, extension: str
) -> None:
    touch(tmp_path, *(f"ROCO_{number}.jpg" for number in range(12)))
    sign = {",": ";"}.get(mark, ",")
    told = {f"ROCO_{number}.jpg": (f"{word}{sign} small{sign} brown",) for number, word in enumerate(WORDS)}
    lines = [f"{name.removesuffix('.jpg')}{extension}{mark}{word}\n" for name, (word,) in told.items()]
    assert captions(read(write(tmp_path / "captions.txt", "".join(lines)))) == told


ALIGNED = {
    "header": "image label split\n{rows}",
    "CelebA": "12\nlabel split\n{rows}",
    "DeepFashion": "12\nimage_name  category_label  evaluation_status\n{rows}",
    "Oxford's pets": "#Image CLASS SPLIT\n#three classes\n{rows}",
}


@pytest.mark.parametrize("form", ALIGNED)
@pytest.mark.parametrize("extension", [".jpg", ""])
def test_cells_may_be_parted_by_blanks(tmp_path: Path, form: str, extension: str) -> None:
    names = [f"pet_{number}{extension}" for number in range(12)]
    touch(tmp_path, *(f"images/pet_{number}.jpg" for number in range(12)))
    rows = zip(names, CLASSES, ["train", "val", "test"] * 4)
    lines = "\n".join(f"{name:20}{label}  {split} " for name, label, split in rows)
    dataset = read(write(tmp_path / "list.txt", ALIGNED[form].format(rows=lines)))
    assert {
        name.removeprefix("images/").removesuffix(".jpg"): label for name, label in labels(dataset).items()
    } == {name.removesuffix(".jpg"): label for name, label in zip(names, CLASSES)}
    assert set(splits(dataset).values()) == {"train", "val", "test"}


def test_a_caption_parted_by_blanks_keeps_its_own(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    lines = "\n".join(f"{name}     {word}" for name, word in zip(FILES, WORDS))
    dataset = read(write(tmp_path / "t.txt", f"image      caption\n{lines}"))
    assert captions(dataset) == {name: (word,) for name, word in zip(FILES, WORDS)}


def test_lines_of_text_alone_are_no_table(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    with pytest.raises(DataError, match="single column"):
        read(write(tmp_path / "t.txt", "\n".join(WORDS)))
