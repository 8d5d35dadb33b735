"""Readers that guess may not overrule what is plainly there: a caption stays one, a split stays a split."""

from pathlib import Path

import pytest

from reading import FILES, captions, read, said, table

SAYINGS = [f"taken by my friend {name} in the park, number {n}" for n, name in enumerate(["Ann", "Bob"] * 6)]


# --- a usual name of captions stays


@pytest.mark.parametrize("text", ["a photo of sks dog", "a red pokemon", "a dog"])
@pytest.mark.parametrize("other", ["source", "artist", "note", "description", "answer"])
def test_one_caption_for_all_images_stays(tmp_path: Path, text: str, other: str) -> None:
    dataset = read(table(tmp_path, f"file_name,text,{other}", FILES, [text] * 12, SAYINGS))
    assert captions(dataset) == dict.fromkeys(FILES, (text,))
    assert said(dataset, "left out beside the captions", other)


@pytest.mark.parametrize("other", ["note", "source", "title", "answer"])
def test_captions_of_a_few_images_stay(tmp_path: Path, other: str) -> None:
    few = ["a dog on a lawn", "", ""] * 4
    dataset = read(table(tmp_path, f"file_name,text,{other}", FILES, few, SAYINGS))
    assert set(captions(dataset).values()) == {("a dog on a lawn",)}


@pytest.mark.parametrize("text", ["Describe the image.", "<image>\nWrite a caption", "Who is this?", "tell me"])
@pytest.mark.parametrize("other, yields", [("answer", True), ("model_output", True), ("source", False)])
def test_a_question_yields_to_answers_alone(tmp_path: Path, text: str, other: str, yields: bool) -> None:
    dataset = read(table(tmp_path, f"file_name,text,{other}", FILES, [text] * 12, SAYINGS))
    assert said(dataset, f"column {other if yields else 'text'!r} holds the captions")
