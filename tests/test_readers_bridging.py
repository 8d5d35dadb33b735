"""A table's name that is not the file's: the right file is found and it is said how, or none is."""

import os
import posixpath
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reading import captions, problems, read, said, touch, write, written
from showtell.data.records import Dataset
from showtell.errors import DataError


def table_of(root: Path, *names: str, name: str = "t.csv") -> Path:
    """Write a captions table in which each image's caption is its own name in the table."""
    return write(root / name, written(("image", "caption"), [(one, f"of {one}") for one in names]))


def found(dataset: Dataset) -> dict[str, str]:
    """Return the table's name of each image by its file's."""
    return {image.name: image.captions[0].removeprefix("of ") for image in dataset.images}


WAYS = {
    "percent signs": ("my dog (1).jpg", "my%20dog%20%281%29.jpg", "last parts"),
    "percent signs in Hangul": ("개.jpg", "%EA%B0%9C.jpg", "last parts"),
    "Windows drive": ("a.jpg", "C:\\Users\\me\\set\\a.jpg", "last parts"),
    "Windows share": ("a.jpg", "\\\\nas\\photos\\set\\a.jpg", "last parts"),
    "home of another machine": ("a.jpg", "/home/me/set/a.jpg", "last parts"),
    "tail of two folders": ("x/y/a.jpg", "/mnt/x/y/a.jpg", "last parts"),
    "relative to elsewhere": ("a.jpg", "datasets/set/a.jpg", "last parts"),
    "file address": ("a.jpg", "file:///home/me/a.jpg", "last parts"),
    "file address with drive": ("a.jpg", "file:///C:/me/a.jpg", "last parts"),
    "web address": ("a.jpg", "https://example.org/2024/a.jpg", "addresses are never fetched"),
    "signed web address": ("a.jpg", "https://example.org/a.jpg?w=640&sig=ab%2F0", "never fetched"),
    "bucket": ("a.jpg", "gs://bucket/set/a.jpg", "addresses are never fetched"),
    "Label Studio's disk": ("a.jpg", "/data/local-files/?d=set/a.jpg", "last parts"),
    "Label Studio's upload": ("a.jpg", "/data/upload/1/3f2a9c1b-a.jpg", "first hyphen"),
    "lost zeros": ("000007.jpg", "7", "zeros added"),
    "lost zeros with extension": ("000007.jpg", "7.jpg", "zeros added"),
    "number as a decimal": ("000007.jpg", "7.0", "zeros added"),
    "number of COCO": ("COCO_val2014_000000000042.jpg", "42", "zeros added"),
    "extension of before": ("a.png", "a.jpg", "without the extension"),
    "a camera's own file": ("IMG_7.jpg", "IMG_7.CR2", "without the extension"),
    "no extension, in a folder": ("part_1/a.jpg", "a", "without the extension"),
    "blanks as pluses": ("my dog.jpg", "my+dog.jpg", "escaped letters"),
    "blanks as underscores": ("my_dog_1.jpg", "my dog 1.jpg", "escaped letters"),
    "percent signs in the file": ("my%20dog.jpg", "my dog.jpg", "escaped letters"),
    "unpacked with escapes": ("#Uac00#Uac01.jpg", "가각.jpg", "escaped letters"),
    "unpacked as of DOS": ("고양이.jpg".encode("cp949").decode("cp437"), "고양이.jpg", "escaped letters"),
    "other extension, other machine": ("a.webp", "/home/me/a.jpg", "without the extension"),
}


@pytest.mark.parametrize("file, name, how", WAYS.values(), ids=WAYS)
def test_a_name_is_bridged_and_it_is_said_how(tmp_path: Path, file: str, name: str, how: str) -> None:
    touch(tmp_path, f"images/{file}", "images/other.jpg")
    dataset = read(table_of(tmp_path, name), images=tmp_path / "images")
    assert found(dataset) == {file: name}
    assert said(dataset, "1 images are found by", how, repr(name), repr(file))


@pytest.mark.parametrize(
    "file, name",
    [
        ("50%20off.jpg", "50%20off.jpg"),
        ("a#1.jpg", "a#1.jpg"),
        ("sub/a.jpg", "sub\\a.jpg"),
        ("a.jpg", " a.jpg "),
        ("a.jpg", '"a.jpg"'),
        ("a.jpg", "./a.jpg"),
        ("a.jpg", "a.jpg#0"),
        ("a.jpeg", "a.jpeg#4"),
        ("a.jpg", "a"),
        ("22.05 take.jpg", "22.05 take"),
        ("sub/a.jpg", "sub//a.jpg"),
        ("1.jpg", "1"),
    ],
)
def test_what_the_file_is_called_needs_no_bridge(tmp_path: Path, file: str, name: str) -> None:
    touch(tmp_path, f"images/{file}", "images/other.jpg")
    dataset = read(table_of(tmp_path, name, "other.jpg"))
    assert [image.name for image in dataset.images] == [file, "other.jpg"]
    assert dataset.notes == ()


def test_the_exact_name_goes_before_every_bridge(tmp_path: Path) -> None:
    names = ["1.jpg", "001.jpg", "my dog.jpg", "my%20dog.jpg", "a.png", "a.jpg", "A.JPG", "x-b.jpg", "b.jpg"]
    touch(tmp_path, *(f"images/{name}" for name in names))
    dataset = read(table_of(tmp_path, *reversed(names)))
    assert found(dataset) == {name: name for name in names}
    assert (dataset.notes, dataset.problems) == ((), ())


def test_half_of_the_names_may_be_absolute(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{name}.jpg" for name in "abcd"))
    here = [f"{tmp_path}/images/a.jpg", "b.jpg"]
    dataset = read(table_of(tmp_path, *here, "/home/me/images/c.jpg", "D:\\images\\d.jpg"))
    assert [image.name for image in dataset.images] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert said(dataset, "2 images are found by the last parts")


def test_the_longest_common_tail_tells_namesakes_apart(tmp_path: Path) -> None:
    files = ["train2014/0.jpg", "val2014/0.jpg", "val2014/1.jpg"]
    touch(tmp_path, *files)
    names = [f"/export/share/coco/images/{file}" for file in files]
    dataset = read(table_of(tmp_path, *names))
    assert found(dataset) == dict(zip(files, names))
    assert said(dataset, "3 images are found by the last parts")


def test_a_name_that_fits_two_files_is_none(tmp_path: Path) -> None:
    touch(tmp_path, "day1/0.jpg", "day2/0.jpg", "b.jpg", "b.png", "7.jpg", "07.jpg", "d.jpg")
    dataset = read(table_of(tmp_path, "0.jpg", "b", "007", "d.jpg"))
    assert found(dataset) == {"d.jpg": "d.jpg"}
    ambiguous = [problem for problem in dataset.problems if problem.kind == "ambiguous name"]
    assert [problem.where.rpartition(":")[2] for problem in ambiguous] == ["2", "3", "4"]
    assert "day1/0.jpg or day2/0.jpg" in ambiguous[0].detail


def test_a_file_for_which_two_names_stand_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "images/0.jpg", "images/1.jpg")
    dataset = read(
        table_of(tmp_path, "/u/cats/0.jpg", "/u/dogs/0.jpg", "/u/1.jpg"), images=tmp_path / "images"
    )
    assert found(dataset) == {"1.jpg": "/u/1.jpg"}
    assert "ambiguous name" in [kind for kind, _ in problems(dataset)]


def test_a_missing_image_is_not_swapped_for_one_of_another_folder(tmp_path: Path) -> None:
    touch(tmp_path, "cats/1.jpg", "cats/2.jpg", "dogs/3.jpg")
    dataset = read(table_of(tmp_path, "cats/1.jpg", "dogs/2.jpg", "birds/3.jpg"))
    assert found(dataset) == {"cats/1.jpg": "cats/1.jpg"}
    assert [kind for kind, _ in problems(dataset)][:2] == ["missing image"] * 2


def test_addresses_are_said_to_be_never_fetched(tmp_path: Path) -> None:
    touch(tmp_path, "images/000000000.jpg", "images/000000001.jpg")
    table = table_of(tmp_path, "https://example.org/x.jpg", "https://example.org/y.jpg")
    with pytest.raises(DataError, match="addresses are never fetched") as error:
        read(table)
    assert error.value.run == "", "to run the same once more would help nobody"
    assert "--images DIR" in error.value.hint


def test_images_are_never_paired_by_their_order(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{number:03}.jpg" for number in range(4)))
    with pytest.raises(DataError, match="None of the 4 images") as error:
        read(table_of(tmp_path, *(f"4385058960_{number}.jpg" for number in range(4))))
    assert "4385058960_0.jpg" in error.value.what


def test_capitals_are_bridged_in_names_and_in_folders(tmp_path: Path) -> None:
    touch(tmp_path, "Images/A.JPG", "Images/b.Jpg")
    dataset = read(table_of(tmp_path / "Annotations", "images/a.jpg", "images/B.jpg"), images=None)
    assert found(dataset) == {"A.JPG": "images/a.jpg", "b.Jpg": "images/B.jpg"}
    assert said(dataset, "2 images are found by the last parts")


# --- whatever a table says, no file outside of the folder is read

parts = st.sampled_from(
    ["..", ".", "a", "s", "set", "secret.jpg", "a.jpg", "~", "", "%2e%2e", "link", "LINK"]
)
starts = st.sampled_from(["", "/", "//", "\\", "C:/", "C:\\", "file:///", "file://../", "https://h/"])
hostile_names = st.builds(
    lambda start, between, sign: start + sign.join(between),
    starts,
    st.lists(parts, min_size=1, max_size=6),
    st.sampled_from(["/", "\\", "%2F", "//"]),
)


@settings(max_examples=30, deadline=None)
@given(names=st.lists(hostile_names, min_size=1, max_size=8), above=st.booleans())
def test_no_name_leads_out_of_the_folder(names: list[str], above: bool) -> None:
    with TemporaryDirectory() as place:
        root = Path(place) / "s" / "set"
        touch(root, "a.jpg", "a/a.jpg")
        touch(root.parent, "secret.jpg", "a/secret.jpg")
        (root / "link").symlink_to(root.parent)
        given = [f"{root.parent}/{name}" if above else name for name in names]
        try:
            images = read(table_of(root, *given)).images
        except DataError:
            return
        for image in images:
            assert Path(os.path.realpath(image.path)).is_relative_to(os.path.realpath(root)), given


# --- for any tree and any machine, the right file or none

folders = st.lists(st.sampled_from("pqr"), max_size=2).map("/".join)
bases = st.sampled_from([f"{base}.jpg" for base in ("0", "1", "a", "b c", "개", "é%")])
trees = st.sets(st.builds(posixpath.join, folders, bases), min_size=1, max_size=8)
PREFIXES = (
    "",
    "./",
    "/home/me/set/",
    "set/photos/",
    "C:\\set\\",
    "\\\\nas\\set\\",
    "file:///C:/me/",
    "s3://b/",
)


def is_certain(file: str, tree: set[str]) -> bool:
    """Tell whether no other file of a tree ends like this one, which some other machine's folders precede."""
    return not any(other != file and f"/{other}".endswith(f"/{file}") for other in tree)


@settings(max_examples=40, deadline=None)
@given(there=trees, gone=trees, prefix=st.sampled_from(PREFIXES), upper=st.booleans())
def test_any_tree_and_any_prefix_give_the_right_file_or_none(
    there: set[str], gone: set[str], prefix: str, upper: bool
) -> None:
    known = {posixpath.basename(file) for file in there}
    gone = {file for file in gone if posixpath.basename(file) not in known}
    sign = "\\" if "\\" in prefix else "/"
    named = {prefix + file.replace("/", sign): file for file in sorted(there | gone)}
    named = {name.upper() if upper else name: file for name, file in named.items()}
    certain = {file for file in there if prefix in ("", "./") or is_certain(file, there)}
    with TemporaryDirectory() as place:
        table = table_of(touch(Path(place), *(f"images/{file}" for file in there)), *named)
        if not certain:
            with pytest.raises(DataError, match="No row"):
                read(table)
            return
        dataset = read(table, images=Path(place) / "images")
    assert {file: named[name] for file, name in found(dataset).items()} == {file: file for file in certain}


@pytest.mark.parametrize("places", [("train", "val"), ("images", "images2"), ("photos", "more photos")])
def test_images_in_several_folders_beside_their_table_are_all_found(
    tmp_path: Path, places: tuple[str, str]
) -> None:
    """The first folder that holds half of the names is taken for all; the whole one holds every name."""
    names = [f"p{number}.jpg" for number in range(12)]
    made = {f"{places[number % 2]}/{name}": name for number, name in enumerate(names)}
    assert found(read(table_of(touch(tmp_path, *made), *names))) == made


def test_a_few_missing_images_are_not_taken_from_a_folder_of_thumbnails(tmp_path: Path) -> None:
    names = [f"p{number}.jpg" for number in range(12)]
    touch(tmp_path, *(f"images/{name}" for name in names[2:]), *(f"small/{name}" for name in names[2:]))
    assert found(read(table_of(tmp_path, *names))) == {name: name for name in names[2:]}


def test_on_another_machine_too_a_missing_image_is_not_swapped_for_its_namesake(tmp_path: Path) -> None:
    """Folders that agree for one name of the table are known; `dogs/2.jpg` is another image then."""
    touch(tmp_path, "cats/1.jpg", "cats/2.jpg")
    rows = "/home/me/set/cats/1.jpg,A cat\n/home/me/set/dogs/2.jpg,A dog\n"
    dataset = read(write(tmp_path / "t.csv", f"image,caption\n{rows}"))
    assert captions(dataset) == {"cats/1.jpg": ("A cat",)}
    assert ("missing image", "t.csv:3") in problems(dataset)


@pytest.mark.parametrize("header", ["folder,filename,caption", "filename,class,caption"])
@pytest.mark.parametrize("above", ["", "images/"])
def test_a_column_names_the_folders_of_images_whose_names_repeat(
    tmp_path: Path, header: str, above: str
) -> None:
    rows = [
        (label, f"{number}.jpg", f"a {label} {number}") for label in ("cat", "dog") for number in range(6)
    ]
    touch(tmp_path, *(f"{above}{label}/{name}" for label, name, _ in rows))
    rows = rows if header.startswith("folder") else [(name, label, text) for label, name, text in rows]
    dataset = read(write(tmp_path / "t.csv", written(header.split(","), rows)))
    assert {"/".join(one.name.split("/")[-2:]): one.captions[0] for one in dataset.images} == {
        f"{label}/{number}.jpg": f"a {label} {number}" for label in ("cat", "dog") for number in range(6)
    }
    assert said(dataset, "names the folder of each image")
