"""Data sets that are read, though something in them looks like what is refused."""

from pathlib import Path

import pytest

from reading import problems, read, splits, touch, write, written

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
