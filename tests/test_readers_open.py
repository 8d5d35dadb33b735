"""What is not right yet."""

from pathlib import Path

from reading import captions, problems, read, touch, write


def test_on_another_machine_too_a_missing_picture_is_not_swapped_for_its_namesake(tmp_path: Path) -> None:
    """Folders that agree for one name of the table are known; `dogs/2.jpg` is another picture then."""
    touch(tmp_path, "cats/1.jpg", "cats/2.jpg")
    rows = "/home/me/set/cats/1.jpg,A cat\n/home/me/set/dogs/2.jpg,A dog\n"
    dataset = read(write(tmp_path / "t.csv", f"image,caption\n{rows}"))
    assert captions(dataset) == {"cats/1.jpg": ("A cat",)}
    assert ("missing picture", "t.csv:3") in problems(dataset)
