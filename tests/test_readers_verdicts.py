"""Rows of which somebody has decided whether they are to be used."""

import pytest

from reading import FILES, WORDS, captions, labels, read, table


@pytest.mark.parametrize(
    ("column", "verdicts", "kept"),
    [
        ("answer", ("accept", "reject", "ignore"), {0}),  # Prodigy
        ("AssignmentStatus", ("Approved", "Rejected", "Submitted"), {0, 2}),  # Mechanical Turk
        ("is_rejected", ("0", "1", ""), {0, 2}),
        ("answer", ("two", "reject", "none"), {0, 1, 2}),  # no verdicts
    ],
)
def test_rows_that_somebody_rejected_are_left_out_and_counted(tmp_path, column, verdicts, kept):
    given = [verdicts[number % 3] for number in range(len(FILES))]
    dataset = read(table(tmp_path, f"image,caption,{column}", FILES, WORDS, given))
    left = {name: (word,) for number, (name, word) in enumerate(zip(FILES, WORDS)) if number % 3 in kept}
    assert captions(dataset) == left
    assert len([one for one in dataset.problems if one.kind == "rejected"]) == len(FILES) - len(left)


def test_a_verdict_that_is_all_there_is_to_learn_is_the_label(tmp_path):
    verdicts = ["accepted", "rejected"] * (len(FILES) // 2)
    assert set(labels(read(table(tmp_path, "image,verdict", FILES, verdicts))).values()) == {
        "accepted",
        "rejected",
    }
