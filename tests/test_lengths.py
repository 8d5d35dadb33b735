"""Limits of captions follow the data, and what is cut is said."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from showtell.data.records import AnnotatedImage
from showtell.kinds.captioner.data import caption_lengths, say_lengths
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.text.lengths import MOST_LENGTH, USUAL_LENGTH, length_limit
from showtell.text.tokenizer import CaptionTokenizer
from showtell.text.words import words


@given(st.lists(st.integers(1, 400), max_size=300))
def test_the_limit_leaves_all_but_one_in_a_thousand_whole(lengths):
    limit = length_limit(lengths)
    assert USUAL_LENGTH <= limit <= MOST_LENGTH
    if limit < MOST_LENGTH:
        assert sum(length > limit for length in lengths) * 1000 <= len(lengths)


def captioner(words_a_caption: int, limit: int) -> tuple[Captioner, tuple[AnnotatedImage, ...]]:
    caption = " ".join(f"word{number}" for number in range(words_a_caption))
    train = tuple(AnnotatedImage(f"{n}.jpg", Path(f"{n}.jpg"), captions=(caption,)) for n in range(3))
    tokenizer = CaptionTokenizer.train([caption] * 3, kind="word", vocab_size=200, min_count=1)
    sizes = DecoderConfig(tokenizer.vocab_size, 4, 8, 8, 8, max_length=limit)
    return Captioner(sizes, tokenizer, (2, 2)), train


def test_a_long_caption_is_learnt_to_its_end():
    model, train = captioner(79, length_limit([79, 79, 79]))
    (ids, *_) = model.tokenizer.encode_batch(list(train[0].captions))
    assert caption_lengths(model.tokenizer, train) == [79] * 3
    assert model.encode(train[0].captions) == [[model.tokenizer.bos_id, *ids, model.tokenizer.eos_id]]


@pytest.mark.parametrize(
    "limit, said", [(50, "3 of 3 are longer than 50 tokens (longest: 79)"), (79, "up to 79 tokens")]
)
def test_what_is_cut_and_what_is_longer_than_usual_is_said(limit, said):
    model, train = captioner(79, limit)
    lines: list[str] = []
    console = SimpleNamespace(say=lines.append)
    say_lengths(caption_lengths(model.tokenizer, train), limit, console)
    assert said in lines[0] and "max_length" in lines[0]
    short, few = captioner(12, USUAL_LENGTH)
    say_lengths(caption_lengths(short.tokenizer, few), USUAL_LENGTH, console)
    assert len(lines) == 1, "captions of usual length need no word"


def test_a_cut_caption_has_no_end():
    model, train = captioner(79, 50)
    (ids, *_) = model.tokenizer.encode_batch(list(train[0].captions))
    assert model.encode(train[0].captions) == [[model.tokenizer.bos_id, *ids[:50]]]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("A book about C++ and C#.", ["a", "book", "about", "c++", "and", "c#"]),
        ("the .NET logo", ["the", ".net", "logo"]),
        ("a c + b", ["a", "c", "+", "b"]),
    ],
)
def test_names_of_languages_are_words(text, expected):
    assert words(text) == expected
