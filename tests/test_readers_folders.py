"""Class folders as people have them: wrapped, doubled, split by name, with masks, versions and links."""

from pathlib import Path
from tempfile import TemporaryDirectory
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reading import labels, problems, read, said, splits, touch, write
from showtell.console import Console
from showtell.data.annotated import read_annotated
from showtell.data.readers import read_dataset, read_images
from showtell.data.source import DataSource
from showtell.errors import DataError

CLASSES = ("blue", "green", "red")


def classes(root: Path, *prefixes: str, each: int = 2, names: tuple[str, ...] = CLASSES) -> dict[str, str]:
    """Make class folders below each prefix; return the label of each image."""
    made = {
        f"{prefix}{name}/{place}{name}{number}.jpg": name
        for place, prefix in enumerate(prefixes or ("",))
        for name in names
        for number in range(each)
    }
    touch(root, *made)
    return made


def kinds(root: Path) -> list[str]:
    return [kind for kind, _ in problems(read(root))]


# --- where the classes are


@pytest.mark.parametrize("wrapper", ["", "set/", "archive/data set v2/", "a/b/c/d/", "images/"])
def test_folders_that_hold_everything_are_looked_through(tmp_path: Path, wrapper: str) -> None:
    made = classes(tmp_path, wrapper)
    write(tmp_path / "README.md", "about")
    touch(tmp_path, "__MACOSX/blue/._0blue0.jpg")
    dataset = read(tmp_path)
    assert (dataset.classes, labels(dataset)) == (CLASSES, made)
    assert said(dataset, f"the folder {wrapper.rstrip('/')} holds everything") == bool(wrapper)
    assert ("system folder", "__MACOSX") in problems(dataset)


class_names = st.text("abAB01 _-.,#+&%'()é개\u0301", min_size=1, max_size=8).filter(
    lambda name: name == name.strip() and not name.startswith(".")
)


@settings(max_examples=30, deadline=None)
@given(
    names=st.sets(class_names, min_size=2, max_size=4).map(sorted), wrapper=st.sampled_from(["", "a set/"])
)
def test_a_folder_may_have_any_name(names: list[str], wrapper: str) -> None:
    with TemporaryDirectory() as place:
        touch(Path(place), *(f"{wrapper}{name}/{number}.jpg" for number, name in enumerate(names)))
        dataset = read(Path(place))
    assert sorted(image.label or "" for image in dataset.images) == sorted(
        normalize("NFC", name) for name in names
    )


SPLITS = [
    ("train/", "val/", "test/"),
    ("TRAIN/", "Valid/", "TESTING/"),
    ("Training Set/", "dev/", "holdout/"),
    ("seg_train/seg_train/", "seg_val/seg_val/", "seg_test/seg_test/"),
    ("train_images/", "val_images/", "test_images/"),
    ("trainset/", "valset/", "testset/"),
    ("1_train/", "2_val/", "3_test/"),
    ("train/images/", "valid/images/", "test/images/"),
    ("archive/train/", "archive/val/", "archive/test/"),
    ("훈련/", "검증/", "테스트/"),
]


@pytest.mark.parametrize("prefixes", SPLITS, ids=lambda prefixes: prefixes[0])
def test_folders_named_after_splits_bring_them(tmp_path: Path, prefixes: tuple[str, ...]) -> None:
    made = classes(tmp_path, *prefixes)
    dataset = read(tmp_path)
    assert (dataset.classes, labels(dataset)) == (CLASSES, made)
    expected = dict(zip(prefixes, ("train", "val", "test")))
    assert splits(dataset) == {
        file: split for prefix, split in expected.items() for file in made if file.startswith(prefix)
    }


def test_splits_inside_of_classes(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/{part}/{name}{part}.jpg" for name in CLASSES for part in ("train", "test")))
    dataset = read(tmp_path)
    assert dataset.classes == CLASSES
    assert splits(dataset) == {image.name: image.name.split("/")[1] for image in dataset.images}
    assert said(dataset, "the splits are the folders inside of each class")


@pytest.mark.parametrize("form", ["fold{}", "Fold {}", "cv_{}"])
def test_folds_are_no_classes(tmp_path: Path, form: str) -> None:
    made = classes(tmp_path, *(f"{form.format(number)}/" for number in (1, 2, 3)))
    dataset = read(tmp_path)
    assert labels(dataset) == made
    first = form.format(1)
    assert splits(dataset) == {file: "val" if file.startswith(first) else "train" for file in made}
    assert said(dataset, f"{first} is val", f"{form.format(2)} is train")


@pytest.mark.parametrize("names", [("bus", "car", "train"), ("control", "test"), ("invoice", "validation")])
def test_a_class_may_have_the_name_of_a_split_and_it_is_said(tmp_path: Path, names: tuple[str, ...]) -> None:
    made = classes(tmp_path, names=names)
    dataset = read(tmp_path)
    assert labels(dataset) == made
    assert set(splits(dataset).values()) == {None}
    assert said(dataset, "is a class here, not a split")


@pytest.mark.parametrize(
    "prefix, place",
    [
        ("", "test"),
        ("", "pred"),
        ("", "unlabelled"),
        ("train/", "test"),
        ("seg_train/seg_train/", "seg_pred"),
    ],
)
def test_images_without_a_class_are_named_and_left_out(tmp_path: Path, prefix: str, place: str) -> None:
    made = classes(tmp_path, prefix)
    touch(tmp_path, f"{place}/1.jpg", f"{place}/2.jpg")
    dataset = read(tmp_path)
    assert (dataset.classes, labels(dataset)) == (CLASSES, made)
    left_out = [problem for problem in dataset.problems if problem.where.startswith(place)]
    assert len(left_out) == 2
    assert all("no label" in problem.detail for problem in left_out)


def test_versions_of_one_set_are_no_classes(tmp_path: Path) -> None:
    files = [f"{name}/{number}.jpg" for name in CLASSES for number in range(3)]
    touch(tmp_path, *(f"{version}/{file}" for version in ("color", "gray", "cut") for file in files))
    with pytest.raises(
        DataError, match="classes of their own that are not named after splits: color, cut, gray"
    ):
        read(tmp_path)
    assert labels(read(tmp_path / "color")) == {file: file.partition("/")[0] for file in files}


@pytest.mark.parametrize("masks", ["masks", "mask", "trimaps", "ground_truth"])
def test_masks_are_no_images_of_the_class(tmp_path: Path, masks: str) -> None:
    files = [f"{name}/{kind}/{name}.png" for name in CLASSES for kind in ("images", masks)]
    touch(tmp_path, *files)
    dataset = read(tmp_path)
    assert labels(dataset) == {file: file.partition("/")[0] for file in files if masks not in file.split("/")}
    assert kinds(tmp_path).count("mask") == 3


def test_sources_below_a_class_are_said(tmp_path: Path) -> None:
    touch(tmp_path, "cat/kaggle/0.jpg", "cat/own/1.jpg", "dog/show/2.jpg", "dog/3.jpg")
    dataset = read(tmp_path)
    assert list(labels(dataset).values()) == ["cat", "cat", "dog", "dog"]
    assert said(dataset, "3 images in deeper folders", "class above", "cat/kaggle/0.jpg is of cat")


def test_one_class_is_read_and_refused_by_training(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "cat/2.jpg")
    assert read(tmp_path).classes == ("cat",)
    with pytest.raises(DataError, match="nothing to tell apart"):
        read_annotated(DataSource(tmp_path), "labels", Console(quiet=True), to_learn=True)


@pytest.mark.parametrize("place", ["images", "JPEGImages", "DCIM/100APPLE", "사진"])
def test_a_folder_of_images_alone_is_no_class(tmp_path: Path, place: str) -> None:
    touch(tmp_path, f"{place}/1.jpg", f"{place}/2.jpg")
    dataset, error = read_images(DataSource(tmp_path))
    assert isinstance(error, DataError)
    assert (len(dataset.images), dataset.classes) == (2, ())


# --- links


def test_links_inside_are_read_where_they_lead(tmp_path: Path) -> None:
    classes(tmp_path, "disk/store/")
    for name in CLASSES:
        (tmp_path / name).symlink_to(f"disk/store/{name}")
    dataset = read(tmp_path)
    assert (dataset.classes, len(dataset.images)) == (CLASSES, 6)
    assert sorted(problems(dataset)) == [("link inside", name) for name in CLASSES]


@pytest.mark.parametrize("single", [False, True])
def test_links_that_lead_out_are_refused_with_that_reason(tmp_path: Path, single: bool) -> None:
    away = tmp_path / "away"
    for file, name in classes(away).items():
        (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
        if single:
            (tmp_path / "set" / name).mkdir(exist_ok=True)
            (tmp_path / "set" / file).symlink_to(away / file)
        elif not (tmp_path / "set" / name).is_symlink():
            (tmp_path / "set" / name).symlink_to(away / name)
    with pytest.raises(DataError, match="is a link out of") as error:
        read(tmp_path / "set")
    assert "copy the files in, or name the folder that holds both" in error.value.what


def test_broken_and_circular_links_are_named_and_reading_ends(tmp_path: Path) -> None:
    made = classes(tmp_path)
    (tmp_path / "gone").symlink_to("/nowhere/gone")
    (tmp_path / "red" / "gone.jpg").symlink_to("/nowhere/gone.jpg")
    (tmp_path / "red" / "all").symlink_to("..")
    (tmp_path / "loop").symlink_to("loop")
    dataset = read(tmp_path)
    assert labels(dataset) == made
    found = sorted(problems(dataset))
    assert found == [("dangling link", "gone"), ("dangling link", "gone.jpg"), ("dangling link", "loop"),
                     ("link inside", "all")]  # fmt: skip


def test_a_link_that_was_copied_as_text_is_no_class(tmp_path: Path) -> None:
    made = classes(tmp_path, "train/")
    write(tmp_path / "valid", "train")
    write(tmp_path / "train" / "red" / "x.jpg_large", "../blue/0blue0.jpg")
    dataset = read(tmp_path)
    assert labels(dataset) == made
    assert ("link as text", "x.jpg_large") in problems(dataset)


def test_class_folders_beside_the_table_of_another_split_are_not_dropped_silently(tmp_path: Path) -> None:
    """Those of the table alone are read, and it is said which others are left out."""
    classes(tmp_path, "train/", each=4)
    touch(tmp_path, "test/p0.jpg", "test/p1.jpg", "test/p2.jpg", "test/p3.jpg")
    write(tmp_path / "test_labels.csv", "image,label\np0.jpg,red\np1.jpg,blue\np2.jpg,green\np3.jpg,red\n")
    dataset = read(tmp_path)
    assert len(dataset.images) == 4
    assert "images beside the table's are left out: train (see --format classes)" in dataset.notes


def test_masks_beside_numbered_images_are_left_out(tmp_path: Path) -> None:
    """Images of several classes are called 0.png: that makes no versions of one set of the classes."""
    kinds = ("images", "masks")
    files = [f"{name}/{kind}/{n}.png" for name in ("cat", "dog") for kind in kinds for n in "012"]
    dataset = read(touch(tmp_path, *files))
    assert labels(dataset) == {file: file[:3] for file in files if "masks" not in file}


# --- data sets among other folders


@pytest.mark.parametrize("aside", ["samples", "docs", "unlabeled", "holiday"])
def test_the_folder_that_holds_splits_is_the_data_set(tmp_path: Path, aside: str) -> None:
    made = classes(tmp_path, "data/train/", "data/val/")
    touch(tmp_path, *(f"{aside}/{number}.png" for number in range(3)))
    dataset = read(tmp_path)
    assert labels(dataset) == made
    assert said(dataset, "the folder data holds the classes")
    assert kinds(tmp_path).count("image outside a split folder") == 3


@pytest.mark.parametrize("aside", ["samples", "docs", "unlabeled"])
def test_beside_folders_of_samples_and_the_like_the_other_one_holds_the_classes(
    tmp_path: Path, aside: str
) -> None:
    made = classes(tmp_path, "PetImages/")
    touch(tmp_path, *(f"{aside}/{number}.jpg" for number in range(3)))
    assert labels(read(tmp_path)) == made
    assert kinds(tmp_path).count("image outside a class folder") == 3


def test_data_sets_side_by_side_are_not_classes(tmp_path: Path) -> None:
    for name in ("Plants(augmented)", "plants(augmented)"):
        classes(tmp_path, *(f"{name}/{name}/{split}/" for split in ("train", "valid")))
    touch(tmp_path, "test/test/x.jpg")
    with pytest.raises(DataError, match=r"classes of their own .* Plants\(augmented\), plants"):
        read(tmp_path)


def test_labels_in_the_names_of_files_are_pointed_at(tmp_path: Path) -> None:
    touch(tmp_path, *(f"train/{name}.{number}.jpg" for name in ("cat", "dog") for number in range(9)))
    with pytest.raises(DataError, match="begin with cat, dog"):
        read(tmp_path)


@pytest.mark.parametrize("file", ["cat_to_name.json", "classes.txt", "LOC_synset_mapping.txt"])
def test_a_file_that_may_name_numbered_classes_is_said(tmp_path: Path, file: str) -> None:
    classes(tmp_path, names=("1", "n01440764"))
    write(tmp_path / file, "{}")
    assert said(read(tmp_path), "may name them", file)


def test_texts_of_a_cloud_beside_class_folders_are_no_captions(tmp_path: Path) -> None:
    made = classes(tmp_path)
    for name in made:
        write(tmp_path / f"{name}.json", '{"title": "x.jpg", "description": ""}')
    assert labels(read(tmp_path)) == made
    for name in made:
        write(tmp_path / f"{name}.json", '{"title": "x.jpg", "description": "a dog"}')
    assert read(tmp_path).images[0].captions == ("a dog",)


@pytest.mark.parametrize(
    "folders",
    [
        ("images_001/images", "images_002/images"),
        ("data_256", "val_256"),
        ("Photos from 2019", "Photos from 2020"),
        ("HAM_images_part_1", "HAM_images_part_2"),
        ("2024-01-05", "2024-02-17"),
        ("2023.11", "2023.12"),
    ],
)
def test_parts_of_a_collection_of_photos_are_no_classes(tmp_path: Path, folders: tuple[str, str]) -> None:
    names = [f"{folder}/{number}{place}.jpg" for place, folder in enumerate(folders) for number in range(6)]
    touch(tmp_path, *names)
    with pytest.raises(DataError, match="no format that is known"):
        read(tmp_path)
    assert len(read(tmp_path, format="classes").classes) == 2
    bare = [name.rpartition("/")[2] for name in names]
    write(tmp_path / "t.csv", "image,label\n" + "".join(f"{name},{name[0]}\n" for name in bare))
    assert read(tmp_path).classes == tuple("012345")


@pytest.mark.parametrize(
    "folders", [("part 1", "part 2"), ("0001", "0002"), ("images", "cats"), ("2019", "2020")]
)
def test_classes_may_be_called_much_like_parts(tmp_path: Path, folders: tuple[str, str]) -> None:
    touch(tmp_path, *(f"{folder}/{number}.jpg" for folder in folders for number in range(6)))
    assert read(tmp_path).format == "classes"


def test_a_table_whose_labels_are_the_folders_needs_no_choice(tmp_path: Path) -> None:
    made = classes(tmp_path, "train/", "test/")
    rows = "".join(f"{name},{label},{name.partition('/')[0]}\n" for name, label in made.items())
    write(tmp_path / "all.csv", f"filepaths,labels,data set\n{rows}")
    dataset = read(tmp_path)
    assert (dataset.format, labels(dataset)) == ("labels", made)
    assert splits(dataset) == {n: n.partition("/")[0] for n in made}
    assert not said(dataset, "left out")


def test_a_table_whose_names_fit_several_files_each_is_none_of_class_folders(tmp_path: Path) -> None:
    made = [f"cars/cars/{split}/{name}/{number}.jpg" for split in ("train", "test") for name in ("BMW", "VW")
            for number in range(6)]  # fmt: skip
    touch(tmp_path, *made)
    write(tmp_path / "anno.csv", "".join(f"{number}.jpg,39,{number % 2}\n" for number in range(6)))
    dataset = read(tmp_path)
    assert (dataset.classes, len(dataset.images)) == (("BMW", "VW"), 24)
    assert said(dataset, "left out", "anno.csv")


# --- a table in each folder


@pytest.mark.parametrize("folders", [("train", "val"), ("anna", "ben"), ("2023/images", "2024/images")])
@pytest.mark.parametrize(
    ("name", "header", "sign"),
    [
        ("captions.csv", "image,caption", ","),
        ("metadata.csv", "file_name,text", ","),
        ("captions.txt", "", "\t"),
    ],
)
def test_tables_that_lie_beside_their_own_images_are_one_data_set(tmp_path, folders, name, header, sign):
    meant, tops = {}, [folder.partition("/")[0] for folder in folders]
    for folder, top in zip(folders, tops):
        touch(tmp_path, *(f"{folder}/{number}.jpg" for number in range(4)))
        said_there = {f"{number}.jpg": f"a dog of {top} runs by tree {number}" for number in range(4)}
        lines = [header] * bool(header) + [f"{image}{sign}{text}" for image, text in said_there.items()]
        write(tmp_path / top / name, "\n".join(lines))
        meant |= {f"{folder}/{image}": (text,) for image, text in said_there.items()}
    dataset = read(tmp_path)
    assert {image.name: image.captions for image in dataset.images} == meant
    assert not dataset.problems
    assert {image.split for image in dataset.images} == ({"train", "val"} if "train" in tops else {None})
    if not (name == "metadata.csv" and "train" in tops):  # which is Hugging Face's form
        assert any("read together" in note and tops[0] in note for note in dataset.notes)


def test_a_classifier_learns_the_folders_of_such_tables(tmp_path):
    for label in ("cat", "dog"):
        touch(tmp_path, *(f"{label}/{number}.jpg" for number in range(4)))
        rows = "".join(f"{number}.jpg,a {label} runs by tree {number}\n" for number in range(4))
        write(tmp_path / label / "captions.csv", f"image,caption\n{rows}")
    found = read_dataset(DataSource(tmp_path), "labels")
    assert found.format == "classes" and set(labels(found).values()) == {"cat", "dog"}
    assert read_dataset(DataSource(tmp_path), "captions").format == "csv"


def test_a_table_that_only_describes_files_is_none_of_these(tmp_path):
    for label in ("cat", "dog"):
        touch(tmp_path, *(f"{label}/{number}.jpg" for number in range(4)))
        rows = "".join(f"{number}.jpg,{640 + number},480\n" for number in range(4))
        write(tmp_path / label / "sizes.csv", f"file,width,height\n{rows}")
    assert read(tmp_path).format == "classes"
