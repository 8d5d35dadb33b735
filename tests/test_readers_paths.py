"""How a table's name finds its file, and what it may never reach; encodings of tables."""

import unicodedata
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image

from showtell.data.readers import read_dataset, read_images
from showtell.data.readers.image_folder import ImageFolder, Match, Refusal
from showtell.data.records import Dataset
from showtell.data.source import DataSource
from showtell.errors import ConfigError, DataError


def read(data: Path, **known: Any) -> Dataset:
    return read_dataset(DataSource(data, **known))


Form = Literal["NFC", "NFD"]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def refused(folder: ImageFolder, name: str, under: str = "") -> str:
    found = folder.find(name, under=under)
    assert isinstance(found, Refusal), found
    return found.kind


def matched(folder: ImageFolder, name: str) -> Match:
    found = folder.find(name)
    assert isinstance(found, Match), found
    return found


def test_a_folder_of_images_without_words_holds_what_lies_in_it_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    touch(root / "b.jpg", root / "2024" / "a.PNG", root / ".trash.jpg", root / "note.txt")
    touch(tmp_path / "secret.jpg")
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    dataset, error = read_images(DataSource(root))
    assert isinstance(error, DataError)
    assert [image.name for image in dataset.images] == ["2024/a.PNG", "b.jpg"]
    assert [(problem.kind, problem.where) for problem in dataset.problems] == [
        ("outside the image folder", "link.jpg")
    ]
    with pytest.raises(DataError):
        read_images(DataSource(root, format="csv"))


def test_names_that_lead_out_are_refused_even_if_the_file_exists(tmp_path: Path) -> None:
    root = tmp_path / "images"
    touch(root / "a.jpg", root / "sub" / "b.jpg", tmp_path / "secret.jpg", tmp_path / "images2" / "c.jpg")
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "linked").symlink_to(tmp_path / "images2")
    (root / "inside.jpg").symlink_to(root / "a.jpg")
    folder = ImageFolder(root)
    for name in (
        "../secret.jpg",
        "sub/../../secret.jpg",
        "..\\secret.jpg",
        str(tmp_path / "secret.jpg"),
        "../images2/c.jpg",
        str(tmp_path / "images2" / "c.jpg"),
        "link.jpg",
        "linked/c.jpg",
        "sub/../link.jpg",
        "c:/secret.jpg",
        "..",
    ):
        assert refused(folder, name) == "outside the image folder", name
    assert refused(folder, "../a.jpg", under="sub") == "outside the image folder"
    assert {problem.where for problem in folder.problems} == {"link.jpg", "linked"}
    for name in ("./a.jpg", "sub/../a.jpg", str(root / "a.jpg"), "images/a.jpg"):
        assert matched(folder, name).name == "a.jpg"
    assert matched(folder, "sub\\b.jpg").name == "sub/b.jpg"
    assert matched(folder, "inside.jpg").name == "inside.jpg"


def test_a_root_that_is_itself_a_link_is_followed(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "a.jpg")
    (tmp_path / "images").symlink_to(tmp_path / "real")
    assert matched(ImageFolder(tmp_path / "images"), "a.jpg").path == tmp_path / "images" / "a.jpg"


def test_a_linked_folder_that_goes_round_ends(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert ImageFolder(tmp_path).images == ["a.jpg"]


@pytest.mark.parametrize("on_disk, in_table", [("NFD", "NFC"), ("NFC", "NFD")])
def test_hangul_matches_in_either_unicode_form(tmp_path: Path, on_disk: Form, in_table: Form) -> None:
    touch(tmp_path / unicodedata.normalize(on_disk, "강아지/귀여운 개.jpg"))
    name = unicodedata.normalize(in_table, "강아지/귀여운 개.jpg")
    caption = unicodedata.normalize("NFD", "개")
    (tmp_path / "t.csv").write_text(f"image,caption\n{name},{caption}\n", encoding="utf-8")
    dataset = read(tmp_path / "t.csv")
    assert [image.name for image in dataset.images] == ["강아지/귀여운 개.jpg"]
    assert dataset.images[0].path.is_file()
    assert dataset.images[0].captions == ("개",)
    assert dataset.problems == ()


def test_two_files_of_one_name_are_reported(tmp_path: Path) -> None:
    touch(tmp_path / unicodedata.normalize("NFD", "개.jpg"), tmp_path / "개.jpg")
    folder = ImageFolder(tmp_path)
    assert folder.images == ["개.jpg"]
    assert [problem.kind for problem in folder.problems] == ["two files of one name"]


def test_case_is_bridged_where_unique_and_reported_once(tmp_path: Path) -> None:
    touch(tmp_path / "a.JPG", tmp_path / "b.jpg", tmp_path / "B.JPG")
    table = tmp_path / "t.csv"
    table.write_text("image,caption\na.jpg,One\na.jpg,Two\nb.jpg,Three\nb.Jpg,Four\n")
    dataset = read(table)
    assert {image.name: image.captions for image in dataset.images} == {
        "a.JPG": ("One", "Two"),
        "b.jpg": ("Three",),
    }
    kinds = [(problem.kind, problem.where.rpartition(":")[2]) for problem in dataset.problems[:2]]
    assert kinds == [("name differs in case", "2"), ("ambiguous name", "5")]


def test_a_missing_image_is_not_swapped_for_its_namesake_in_another_folder(tmp_path: Path) -> None:
    touch(tmp_path / "cats" / "1.jpg", tmp_path / "dogs" / "2.jpg", tmp_path / "3.jpg")
    folder = ImageFolder(tmp_path)
    for name in ("dogs/1.jpg", "cats/3.jpg"):
        assert refused(folder, name) == "missing image"
    assert matched(folder, "1.jpg").how  # one image alone has that name, and it is said
    (tmp_path / "t.csv").write_text("image,caption\ncats/1.jpg,A cat\nmice/1.jpg,A mouse\nbats/2.jpg,A bat\n")
    dataset = read(tmp_path / "t.csv")
    assert [image.captions for image in dataset.images] == [("A cat",)]


@pytest.mark.parametrize("folder", ["Images", "images", "Flicker8k_Dataset", "Flickr8k_Dataset", ""])
def test_image_folders_are_found_beside_the_table(tmp_path: Path, folder: str) -> None:
    touch(tmp_path / folder / "a.jpg", tmp_path / "thumbs" / "a.jpg")
    (tmp_path / "t.csv").write_text("image,caption\na.jpg,A\n")
    (image,) = read(tmp_path / "t.csv").images
    assert image.path == tmp_path / folder / "a.jpg"


def test_the_folder_that_holds_the_images_wins_over_one_that_is_well_named(tmp_path: Path) -> None:
    touch(tmp_path / "images" / "logo.png", tmp_path / "a.jpg", tmp_path / "b.jpg")
    (tmp_path / "t.csv").write_text("image,caption\na.jpg,A\nb.jpg,B\n")
    assert len(read(tmp_path / "t.csv").images) == 2
    touch(tmp_path / "train" / "1.jpg", tmp_path / "test" / "2.jpg")
    (tmp_path / "t.csv").write_text("image,caption\ntrain/1.jpg,A\ntest/2.jpg,B\n")
    assert [image.name for image in read(tmp_path / "t.csv").images] == [
        "train/1.jpg",
        "test/2.jpg",
    ]


SENTENCES = {
    "cp949": "빨간 공을 가진 강아지가 뛴다",
    "euc_jp": "赤いボールを追いかける犬がいます",
    "cp932": "赤いボールを追いかける犬がいます",
    "gb18030": "一只狗在草地上追着红色的球跑",
    "big5": "一隻狗在草地上追著紅色的球跑",
    "cp1251": "собака бежит по траве за мячом",
    "cp1252": "Un garçon court près de la forêt",
    "utf-16": "강아지",
    "utf-16-le": "강아지",
}


@pytest.mark.parametrize("encoding", SENTENCES)
def test_an_encoding_that_the_text_proves_is_read_and_said(tmp_path: Path, encoding: str) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "b.jpg")
    table = f"image,caption\na.jpg,A dog\nb.jpg,{SENTENCES[encoding]}\n"
    (tmp_path / "내 표.csv").write_bytes(table.encode(encoding))
    dataset = read(tmp_path)
    assert dataset.images[1].captions == (SENTENCES[encoding],)
    assert any("내 표.csv is" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "encoding, text",
    [("cp949", "개"), ("cp1250", "pies żółty biegnie po łące"), ("cp1253", "ένας σκύλος τρέχει στο γρασίδι")],
)
def test_an_encoding_that_is_not_certain_is_shown_decoded_and_taken_by_its_flag(
    tmp_path: Path, encoding: str, text: str
) -> None:
    touch(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_bytes(f"image,caption\na.jpg,{text}\n".encode(encoding))
    with pytest.raises(DataError, match="cannot be told for certain") as error:
        read(tmp_path / "t.csv")
    if encoding == "cp949":
        assert f"--encoding cp949: a.jpg,{text}" in error.value.what
    assert read(tmp_path / "t.csv", encoding=encoding).images[0].captions == (text,)
    with pytest.raises(ConfigError, match="--encoding klingon"):
        read(tmp_path / "t.csv", encoding="klingon")


def test_mixed_encodings_are_refused_as_such(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    rows = "a.jpg,강아지가 뛴다\n".encode() + "a.jpg,고양이가 잔다\n".encode("cp949")
    (tmp_path / "t.csv").write_bytes(b"image,caption\n" + rows)
    with pytest.raises(DataError, match="mixes encodings"):
        read(tmp_path / "t.csv")


def test_the_first_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    rows = b"a.jpg,A cat\na.jpg,A dog\na.jpg,A \xff\xfe cat\na.jpg,A \xff dog\n"
    (tmp_path / "t.csv").write_bytes(b"image,caption\n" + rows)
    with pytest.raises(DataError, match=r"line 4 is the first that is not"):
        read(tmp_path / "t.csv")


def test_an_image_named_as_a_table_is_called_no_text(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "t.csv", "JPEG")
    with pytest.raises(DataError, match=r"t.csv holds NUL bytes: it is not a text file") as error:
        read(tmp_path / "t.csv")
    assert error.value.run == ""  # nothing converts it


def test_a_fault_far_down_a_long_table_is_found(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    rows = "".join(f"a.jpg,Caption {number}\n" for number in range(50_000))
    last = "a.jpg,강아지가 공을 가지고 뛴다\n".encode("cp949")
    (tmp_path / "t.csv").write_bytes(b"image,caption\n" + rows.encode() + last)
    assert read(tmp_path / "t.csv").images[0].captions[-1] == "강아지가 공을 가지고 뛴다"


@pytest.mark.parametrize("caption", ["Un café noir", "A dog’s bowl", "“Quoted” words"])
def test_western_files_are_not_called_korean(tmp_path: Path, caption: str) -> None:
    touch(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_bytes(f"image,caption\na.jpg,{caption}\n".encode("cp1252"))
    assert read(tmp_path / "t.csv").images[0].captions == (caption,)


def test_binary_files_are_not_called_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\x00\x01\x02image,caption" * 30)
    with pytest.raises(DataError, match="not a text file"):
        read(tmp_path / "t.csv")


def test_mixed_encodings_are_said_to_be_mixed_whatever_the_other_one_is(tmp_path: Path) -> None:
    """UTF-8 and Latin-1 lines: advice to read all as GB18030 makes garbage of most lines."""
    touch(tmp_path / "p0.jpg")
    lines = [f"p0.jpg,ein grüner Kreis über weißem Grund {number}\n" for number in range(12)]
    text = b"".join(
        line.encode("cp1252" if number % 3 == 2 else "utf-8") for number, line in enumerate(lines)
    )
    (tmp_path / "t.csv").write_bytes(b"image,caption\n" + text)
    with pytest.raises(DataError, match="mixes encodings"):
        read(tmp_path / "t.csv")


FOREIGN = {
    "kırmızı bir araba": "cp1254",
    "kız koşuyor": "cp1254",
    "pies je mięso": "cp1250",
    "bílý pes": "cp1250",
    "egy mezőn fehér kutya": "cp1250",
    "un câine aleargă": "cp1250",
    "kot pod stołem": "cp1250",
    "suns skrien pa zāli": "cp1257",
    "כלב רץ על הדשא": "cp1255",
    "สุนัขวิ่งบนหญ้า": "cp874",
    "un café à l'été": "mac_roman",
}


@pytest.mark.parametrize("text", FOREIGN)
def test_what_only_looks_western_is_shown_in_the_right_encoding_too(tmp_path: Path, text: str) -> None:
    touch(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_bytes(f"image,caption\na.jpg,{text}\n".encode(FOREIGN[text]))
    with pytest.raises(DataError) as error:
        read(tmp_path / "t.csv")
    assert f"--encoding {FOREIGN[text]}: a.jpg,{text}" in error.value.what


@pytest.mark.parametrize("encoding", ["utf-32", "utf-16"])
def test_wide_letters_are_known_by_their_mark(tmp_path: Path, encoding: str) -> None:
    touch(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_bytes("image,caption\na.jpg,개가 달린다\n".encode(encoding))
    dataset = read(tmp_path / "t.csv")
    assert dataset.images[0].captions == ("개가 달린다",)
    assert any(encoding.upper() in note for note in dataset.notes)
