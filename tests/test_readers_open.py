"""What is not right yet."""

from pathlib import Path

from reading import captions, labels, problems, read, touch, write


def test_on_another_machine_too_a_missing_picture_is_not_swapped_for_its_namesake(tmp_path: Path) -> None:
    """Folders that agree for one name of the table are known; `dogs/2.jpg` is another picture then."""
    touch(tmp_path, "cats/1.jpg", "cats/2.jpg")
    rows = "/home/me/set/cats/1.jpg,A cat\n/home/me/set/dogs/2.jpg,A dog\n"
    dataset = read(write(tmp_path / "t.csv", f"image,caption\n{rows}"))
    assert captions(dataset) == {"cats/1.jpg": ("A cat",)}
    assert ("missing picture", "t.csv:3") in problems(dataset)


def test_a_text_without_its_picture_is_named(tmp_path: Path) -> None:
    """A download that failed, or a picture that was renamed: its caption is lost without a word."""
    for number in range(4):
        touch(tmp_path, f"p{number}.jpg")
        write(tmp_path / f"p{number}.txt", f"a dog {number}")
    write(tmp_path / "p99.txt", "a cat")
    dataset = read(tmp_path)
    assert len(dataset.pictures) == 4
    assert "p99.txt" in [where for _, where in problems(dataset)]


def test_masks_beside_numbered_pictures_are_left_out(tmp_path: Path) -> None:
    """Pictures of several classes are called 0.png: that makes no versions of one set of the classes."""
    files = [
        f"{name}/{kind}/{n}.png" for name in ("cat", "dog") for kind in ("images", "masks") for n in "012"
    ]
    dataset = read(touch(tmp_path, *files))
    assert labels(dataset) == {file: file[:3] for file in files if "masks" not in file}
