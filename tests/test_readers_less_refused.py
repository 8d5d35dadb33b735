"""Data sets that are read, though something in them looks like what is refused."""

from pathlib import Path

import pytest

from conftest import draw, encoded
from reading import captions, messages, problems, read, said, splits, tar, touch, write, written
from showtell.errors import DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpack images into a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


# --- a validation list cut from train, where test has files of the same names


def cut(root: Path, *tops: str, name: str = "{}.jpg", val: str = "val") -> Path:
    touch(root, *(f"{top}/{n}.jpg" for top in tops for n in range(40)))
    for split, numbers in (("train", range(30)), (val, range(30, 40))):
        rows = [(name.format(n), ("cat", "dog")[n % 2]) for n in numbers]
        write(root / f"{split}.csv", written(["image", "label"], rows))
    return root


@pytest.mark.parametrize("val", ["val", "valid", "dev"])
@pytest.mark.parametrize("name", ["{}.jpg", "{}"])
@pytest.mark.parametrize(
    "tops", [("train", "test"), ("images/train", "images/test"), ("d/train/images", "d/test/images")]
)
def test_a_val_without_a_folder_was_cut_from_train(
    tmp_path: Path, tops: tuple[str, ...], name: str, val: str
) -> None:
    dataset = read(cut(tmp_path, *tops, name=name, val=val))
    expected = {f"{tops[0]}/{n}.jpg": "train" if n < 30 else "val" for n in range(40)}
    assert splits(dataset) == expected
    assert not {kind for kind, _ in problems(dataset)} - {"image without label"}


def test_a_row_of_val_never_means_an_image_of_test(tmp_path: Path) -> None:
    cut(tmp_path, "train", "test")
    for n in range(30, 40):
        (tmp_path / f"train/{n}.jpg").unlink()
    dataset = read(tmp_path)
    assert len(dataset.images) == 30
    assert [kind for kind, _ in problems(dataset)].count("missing image") == 10


def test_a_split_with_a_folder_never_means_an_image_of_another(tmp_path: Path) -> None:
    cut(tmp_path, "train", "val", "test")
    (tmp_path / "val/30.jpg").unlink()
    assert "train/30.jpg" not in splits(read(tmp_path))


@pytest.mark.parametrize("tops", [("train", "val"), ("val", "test")])
def test_which_of_two_folders_another_split_means_stays_open(tmp_path: Path, tops: tuple[str, ...]) -> None:
    cut(tmp_path, *tops)
    split = ({"train", "val", "test"} - {*tops}).pop()
    write(tmp_path / f"{split}.csv", "image,label\n7.jpg,cat\n8.jpg,dog\n")
    kinds = [kind for kind, _ in problems(read(tmp_path))]
    assert kinds.count("ambiguous name") == 2


def test_rows_of_test_may_lie_in_train_where_names_are_of_one_kind(tmp_path: Path) -> None:
    touch(tmp_path, *(f"train/{n}.jpg" for n in range(40)), *(f"test/{n}.jpg" for n in range(40, 80)))
    rows = [(f"{n}.jpg", ("cat", "dog")[n % 2], "test" if n > 29 else "train") for n in range(40)]
    write(tmp_path / "labels.csv", written(["image", "label", "split"], rows))
    assert splits(read(tmp_path)) == {f"train/{n}.jpg": "test" if n > 29 else "train" for n in range(40)}


# --- one text of a tar that is damaged, or in another encoding

PICTURE = encoded(draw(1, 32), "PNG")
KOREAN = "공원에서 개가 뛰어 논다"


def packed(path: Path, texts: list[bytes], suffix: str = "txt") -> None:
    members: dict[str, bytes] = {}
    for number, text in enumerate(texts):
        members |= {f"{path.stem}{number:02}.png": PICTURE, f"{path.stem}{number:02}.{suffix}": text}
    tar(path, members)


@pytest.mark.parametrize("suffix", ["txt", "caption", "cls"])
@pytest.mark.parametrize(
    ("number", "other", "bad"),
    [
        (30, "a dog", b"a dog \xff\xfe here"),
        (12, "a dog", b"a dog \xff\xfe here"),
        (12, KOREAN, KOREAN.encode("cp949")),
        (3, KOREAN, KOREAN.encode("cp949")),
    ],
)
def test_a_damaged_text_leaves_out_its_own_sample(
    tmp_path: Path, number: int, other: str, bad: bytes, suffix: str
) -> None:
    packed(tmp_path / "a.tar", [f"{other} {n % 2}".encode() for n in range(number)], suffix)
    packed(tmp_path / "b.tar", [f"{other} {n % 2}".encode() for n in range(number - 1)] + [bad], suffix)
    dataset = read(tmp_path)
    assert len(dataset.images) == 2 * number - 1
    assert said(dataset, "1 texts of b.tar are left out", f"b{number - 1:02}.{suffix}", "utf-8")
    assert f"b{number - 1:02}.png" in messages(dataset)
    assert len(read(tmp_path / "b.tar").images) == number - 1


def test_a_tar_in_another_encoding_is_read_in_it_or_refused(tmp_path: Path) -> None:
    packed(tmp_path / "0.tar", [f"{KOREAN} {n}".encode("cp949") for n in range(9)])
    assert all(KOREAN in text for (text,) in captions(read(tmp_path / "0.tar")).values())
    packed(tmp_path / "1.tar", [f"\xe9t\xe9 \x83 \x99 {n}".encode("latin-1") for n in range(9)])
    with pytest.raises(DataError, match="encoding"):
        read(tmp_path / "1.tar")


# --- codes that pass for dates


@pytest.mark.parametrize(
    "names",
    [
        ("110101", "110102", "110105"),
        ("110101", "120101", "130102"),
        ("200001", "200002", "200003"),
        ("190001", "190002"),
        ("990101", "990203"),
        ("040101", "040203"),
        ("500101", "500203"),
    ],
)
def test_six_digits_that_are_no_calendar_are_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *(f"{name}/{name}_{n}.jpg" for name in names for n in range(3)))
    assert read(tmp_path).classes == names


@pytest.mark.parametrize(
    "names",
    [
        ("202001", "202002"),
        ("200512", "201001"),
        ("240105", "240207"),
        ("230105", "240207"),
        ("240105", "2024-01"),
    ],
)
def test_six_digits_that_are_a_calendar_are_no_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *(f"{name}/{name}_{n}.jpg" for name in names for n in range(3)))
    with pytest.raises(DataError, match="no format that is known"):
        read(tmp_path)


# --- the same folders in each class


def levels(root: Path, tops: tuple[str, ...], inner: tuple[str, ...], file: str) -> None:
    names = [(t, i, file.format(t=t, i=i, n=n)) for t in tops for i in inner for n in range(4)]
    touch(root, *("/".join(parts) for parts in names))


@pytest.mark.parametrize(
    ("tops", "inner", "file"),
    [
        (("cat", "dog"), ("front", "back"), "{t}_{i}_{n}.jpg"),
        (("cat", "dog"), ("front", "back"), "{n}.jpg"),
        (("cat", "dog"), ("Left_view", "Right_view"), "{n}.jpg"),
        (("cup", "bowl", "jug"), ("top", "side 1", "side 2", "bottom"), "{t}{i}{n}.jpg"),
        (("고양이", "개"), ("정면", "측면"), "{n}.jpg"),
        (("happy", "sad"), ("anna", "bob"), "{t}_{n}.jpg"),
        (("Happy", "Sad"), ("anna", "bob"), "{t}-{i}-{n}.jpg"),
        (("cat", "dog"), ("1", "2"), "{t}{i}{n}.jpg"),
    ],
)
def test_views_belong_to_the_class_above(
    tmp_path: Path, tops: tuple[str, ...], inner: tuple[str, ...], file: str
) -> None:
    levels(tmp_path, tops, inner, file)
    dataset = read(tmp_path)
    assert set(dataset.classes) == {*tops}
    assert len(dataset.images) == 4 * len(tops) * len(inner)
    assert said(dataset, "belong to the class above")


@pytest.mark.parametrize(
    ("tops", "inner", "file"),
    [
        (("raw", "cropped"), ("cat", "dog"), "{i}{n}.jpg"),
        (("raw", "cropped"), ("cat", "dog"), "{t}_{i}_{n}.jpg"),
        (("raw", "cropped"), ("day", "night"), "{n}.jpg"),
        (("plants", "plants_augmented"), ("ash", "oak"), "{t}_{n}.jpg"),
        (("clipart", "real", "sketch"), ("cat", "dog"), "{t}_{n}.jpg"),
        (("cam1", "cam2"), ("day", "night"), "{t}_{n}.jpg"),
        (("siteA", "siteB"), ("benign", "malignant"), "{t}_{n}.jpg"),
        (("Left", "Right"), ("front", "back"), "{t}_{n}.jpg"),
        (("happy", "sad"), ("anna", "bob"), "{n}.jpg"),
        (("day", "night"), ("cat", "dog"), "{n}.jpg"),
        (("raw/images", "cropped/images"), ("cat", "dog"), "{n}.jpg"),
    ],
)
def test_format_classes_reads_the_upper_folders_whatever_the_files_are_called(
    tmp_path: Path, tops: tuple[str, ...], inner: tuple[str, ...], file: str
) -> None:
    levels(tmp_path, tops, inner, file)
    with pytest.raises(DataError, match="classes of their own") as caught:
        read(tmp_path)
    assert "--format classes" in str(caught.value.hint)
    assert set(read(tmp_path, format="classes").classes) == {top.partition("/")[0] for top in tops}


# --- lists of names and class numbers, of which one is too short to show that the numbers repeat


@pytest.mark.parametrize("val", [1, 3, 4, 5])
@pytest.mark.parametrize("before", ["images/", ""])
def test_a_short_list_with_class_numbers_is_not_lost_without_a_word(
    tmp_path: Path, val: int, before: str
) -> None:
    touch(tmp_path, *(f"images/{n}.jpg" for n in range(20 + val)))
    for split, numbers in (("train", range(20)), ("val", range(20, 20 + val))):
        write(tmp_path / f"{split}.txt", "".join(f"{before}{n}.jpg {n % 3}\n" for n in numbers))
    assert said(read(tmp_path), f"of {val} names in the lists", f"{before}20.jpg 2", "--format labels")
    told = read(tmp_path, format="labels")
    assert sorted(map(str, splits(told).values())) == ["train"] * 20 + ["val"] * val


@pytest.mark.parametrize(
    "inner",
    [("S", "M", "L"), ("jan", "feb"), ("raw", "aug"), ("summer", "winter"), ("red", "green"), ("봄", "겨울")],
)
@pytest.mark.parametrize("upper", [("shirt", "shoe"), ("0", "1"), ("rain", "sun"), ("class_x", "other")])
def test_sizes_seasons_and_forms_inside_of_classes_are_none(tmp_path: Path, inner, upper) -> None:
    places = [f"{top}/{below}" for top in upper for below in inner for _ in range(3)]
    touch(tmp_path, *(f"{place}/IMG_{number}.jpg" for number, place in enumerate(places)))
    assert {image.label for image in read(tmp_path).images} == {*upper}
