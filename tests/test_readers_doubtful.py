"""What may be read in two ways: the likelier one is taken and said, or nothing is."""

import json
from pathlib import Path

import openpyxl
import pytest

from reading import FILES, WORDS, captions, labels, read, said, splits, table, tar, touch, write, written
from showtell.data.names import splits_in_names
from showtell.errors import DataError

LABELS = ["red", "blue"] * 6


@pytest.mark.parametrize("called", ["split", "where"])
def test_eval_beside_dev_is_what_is_tested_on(tmp_path: Path, called: str) -> None:
    brought = ["train"] * 6 + ["dev"] * 3 + ["eval"] * 3
    dataset = read(table(tmp_path, f"image,label,{called}", FILES, LABELS, brought))
    assert list(splits(dataset).values()) == ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    assert said(dataset, "dev, eval is test, train")


@pytest.mark.parametrize("others", [["train"] * 9, ["train"] * 6 + ["test"] * 3])
def test_eval_is_val_where_nothing_else_is(tmp_path: Path, others: list[str]) -> None:
    dataset = read(table(tmp_path, "image,label,split", FILES, LABELS, [*others, *["eval"] * 3]))
    assert list(splits(dataset).values())[9:] == ["val"] * 3


def test_tables_called_eval_beside_dev_are_tested_on(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{name}" for name in FILES))
    for part, name in enumerate(("train", "dev", "eval")):
        rows = zip(FILES[4 * part : 4 * part + 4], LABELS)
        write(tmp_path / f"{name}.csv", written(("image", "label"), rows))
    assert list(splits(read(tmp_path)).values()) == ["val"] * 4 + ["test"] * 4 + ["train"] * 4


def test_a_word_that_ends_in_eval_is_none() -> None:
    names = ["medieval_train", "medieval_val", "modern_train", "modern_val"]
    assert list(splits_in_names(names).values()) == ["train", "val"] * 2


def test_a_column_of_splits_that_says_other_than_the_folders_is_said_to(tmp_path: Path) -> None:
    names = [f"{'train' if number < 6 else 'test'}/{name}" for number, name in enumerate(FILES)]
    touch(tmp_path, *names)
    agreed = ["train"] * 6 + ["test"] * 6
    for brought, contradicts in ((agreed[::-1], True), (agreed, False)):
        rows = zip(names, LABELS, brought)
        dataset = read(write(tmp_path / "t.csv", written(("image", "label", "split"), rows)))
        assert list(splits(dataset).values()) == brought
        assert said(dataset, "12 images are in another split", "train/00.jpg is test") == contradicts


def test_a_number_of_a_row_in_the_place_of_a_name_is_said(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{number}.jpg" for number in range(12)))
    rows = [(number, f"IMG_{100 - number}", WORDS[number]) for number in range(12)]
    dataset = read(write(tmp_path / "t.csv", written(("No.", "photo", "caption"), rows)))
    assert said(dataset, "'No.' holds the images")
    assert said(dataset, "'photo' does not hold the images", "names no files that are here")


def test_a_column_of_formulas_without_values_is_said(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}.jpg" for number in range(1, 13)))
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["row", "image", "label"])
    for number in range(12):
        book.active.append([number + 1, f'=(13-A{number + 2})&".jpg"', LABELS[number]])
    book.save(tmp_path / "t.xlsx")
    assert said(read(tmp_path / "t.xlsx"), "'image' does not hold the images", "it has no values (formulas")


@pytest.mark.parametrize("last", ["", ", train"])
def test_quotes_behind_a_blank_are_none_of_the_words(tmp_path: Path, last: str) -> None:
    touch(tmp_path, *FILES)
    lines = [f'{name}, "{words}, and more"{last}' for name, words in zip(FILES, WORDS)]
    header = 'image, "caption"' + (", split" if last else "")
    dataset = read(write(tmp_path / "t.csv", "\n".join([header, *lines])))
    assert list(captions(dataset).values()) == [(f"{words}, and more",) for words in WORDS]
    assert said(dataset, "blanks before the quotes of t.csv")


def test_quotes_that_a_person_wrote_stay(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    lines = [f'{name}, a sign says "stop"' for name in FILES]
    dataset = read(write(tmp_path / "t.csv", "\n".join(["image,caption", *lines])))
    assert captions(dataset)["00.jpg"] == ('a sign says "stop"',)


@pytest.mark.parametrize("order", [("txt", "json"), ("json", "txt")])
def test_a_text_in_a_tar_is_its_image_s_whatever_else_a_json_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[str, str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    members: dict[str, bytes] = {}
    for number in range(4):
        contents = {"txt": WORDS[number], "json": json.dumps({"caption": "another", "split": "val"})}
        members |= {f"{number}.jpg": b""} | {f"{number}.{one}": contents[one].encode() for one in order}
    tar(tmp_path / "0.tar", members)
    dataset = read(tmp_path / "0.tar")
    assert list(captions(dataset).values()) == [(WORDS[number],) for number in range(4)]
    assert set(splits(dataset).values()) == {"val"}
    assert said(dataset, "of 4 samples of 0.tar the .json has other words")


@pytest.mark.parametrize("words", ["良品 不良 划痕", "轿车 卡车 公交车"])
def test_a_few_chinese_labels_are_not_taken_for_korean(tmp_path: Path, words: str) -> None:
    touch(tmp_path, *FILES)
    named = written(("image", "label"), zip(FILES, words.split() * 4))
    path = write(tmp_path / "t.csv", named, encoding="gbk")
    with pytest.raises(DataError, match=f"--encoding gb18030: 00.jpg,{words.split()[0]}"):
        read(path)
    assert set(labels(read(path, encoding="gbk")).values()) == set(words.split())


@pytest.mark.parametrize("words", ["불량 양품 긁힘", "고양이 강아지 토끼", "정상 파손 얼룩"])
def test_a_few_korean_labels_still_prove_themselves(tmp_path: Path, words: str) -> None:
    touch(tmp_path, *FILES)
    named = written(("image", "label"), zip(FILES, words.split() * 4))
    path = write(tmp_path / "t.csv", named, encoding="cp949")
    assert set(labels(read(path)).values()) == set(words.split())


@pytest.mark.parametrize(("words", "encoding"), [("Bär Löwe Kuh", "cp850"), ("годен брак скол", "cp866")])
def test_encodings_of_dos_are_offered_and_not_taken_for_those_of_windows(
    tmp_path: Path, words: str, encoding: str
) -> None:
    touch(tmp_path, *FILES)
    path = write(
        tmp_path / "t.csv", written(("image", "label"), zip(FILES, words.split() * 4)), encoding=encoding
    )
    with pytest.raises(DataError, match=f"--encoding {encoding}: 00.jpg,{words.split()[0]}"):
        read(path)


@pytest.mark.parametrize(
    ("cell", "caption", "note"),
    [
        ("b'a dog near tree {}'", "a dog near tree {}", "marks of bytes"),
        (r'b"a dog\xc3\xa9 near tree {}"', "a dogé near tree {}", "marks of bytes"),
        (r"a dog\nnear tree {}", "a dog near tree {}", r"escapes such as \n were taken out of 12 captions"),
        (r"\uac1c \ud83d\ude00 near tree {}", "개 😀 near tree {}", "escapes such as"),
    ],
)
def test_what_programs_write_around_a_text_is_taken_off(
    tmp_path: Path, cell: str, caption: str, note: str
) -> None:
    dataset = read(table(tmp_path, "image,caption", FILES, [cell.format(number) for number in range(12)]))
    assert list(captions(dataset).values()) == [(caption.format(number),) for number in range(12)]
    assert said(dataset, note)


def test_a_folder_of_windows_in_a_caption_is_no_escape(tmp_path: Path) -> None:
    dataset = read(
        table(tmp_path, "image,caption", FILES, [rf"a window of C:\new, tree {n}" for n in range(12)])
    )
    assert captions(dataset)["00.jpg"] == (r"a window of C:\new, tree 0",)


@pytest.mark.parametrize(
    "cell", ["{{'a dog near tree {0}', 'a pole {0}'}}", '{{"a dog near tree {0}","a pole {0}"}}']
)
def test_sets_of_python_and_arrays_of_databases_are_several_captions(tmp_path: Path, cell: str) -> None:
    dataset = read(table(tmp_path, "image,caption", FILES, [cell.format(number) for number in range(12)]))
    assert captions(dataset)["03.jpg"] == ("a dog near tree 3", "a pole 3")


def test_numbers_in_lists_of_splits_are_said_to_be_those_of_files_and_what_is_none_is_named(
    tmp_path: Path,
) -> None:
    touch(tmp_path, *(f"{number:04}.jpg" for number in range(8)))
    write(tmp_path / "t.csv", written(("image", "label"), [(f"{n:04}.jpg", LABELS[n]) for n in range(8)]))
    for name, numbers in (("train", "1 2 3 4 5"), ("val", "6"), ("test", "7 8")):
        write(tmp_path / f"{name}.txt", "\n".join(numbers.split()))
    dataset = read(tmp_path)
    assert splits(dataset)["0007.jpg"] == "test"
    assert said(dataset, "numbers in the lists of splits are taken for those of files: 7 is 0007.jpg")
    assert said(dataset, "of 1 names in the lists of splits no image is read: 8")


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"\ud83d\ud83d\ude00"])
def test_half_an_emoji_costs_a_sign_and_no_record(tmp_path: Path, half: str) -> None:
    touch(tmp_path, *FILES)
    lines = [f'{{"image": "{name}", "caption": "{words} {half}"}}' for name, words in zip(FILES, WORDS)]
    dataset = read(write(tmp_path / "t.jsonl", "\n".join(lines)))
    assert all(one.startswith(f"{words} \ufffd") for (one,), words in zip(captions(dataset).values(), WORDS))
    assert said(dataset, "12 captions hold \ufffd, where an earlier program lost a letter")


@pytest.mark.parametrize("other", ["test", "images_test", "thumbnails"])
def test_namesakes_in_another_folder_are_said_not_to_be_read(tmp_path: Path, other: str) -> None:
    touch(tmp_path, *(f"{folder}/{name}" for folder in ("train", other) for name in FILES))
    dataset = read(write(tmp_path / "t.csv", written(("image", "label"), zip(FILES, LABELS))))
    assert {image.path.parent.name for image in dataset.images} == {"train"}
    assert said(dataset, "the images are those in train", f"none is read in {other} (--images")
