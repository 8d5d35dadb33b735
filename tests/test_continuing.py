"""A caption that a person has begun is gone on with: in her words, from where it stands, in her spelling."""

import pytest
import torch

from showtell.kinds.captioner.task import caption_loss
from showtell.models.batch import assemble
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.continuing import continue_caption
from showtell.models.decoding import Beam
from showtell.text.hangul import becomes, keystrokes
from showtell.text.tokenizer import CaptionTokenizer
from showtell.text.typed import Typed

ENGLISH = [
    "A dog runs through the grass.",
    "A brown dog runs on the beach.",
    "A dog catches a ball in the dog's yard.",
    "Two girls play on the beach.",
    "Two girls ride a bicycle.",
]
KOREAN = [
    "강아지가 가방을 물고 달린다",
    "강아지가 풀밭에서 달린다",
    "고양이가 과자를 먹는다",
    "고양이가 가방 안에서 잔다",
    "두 아이가 과자를 먹는다",
]
CELLS, CHANNELS = 4, 8
BEAM = Beam(3, length_penalty=0.7)


def grids(count: int) -> torch.Tensor:
    return torch.randn(count, CELLS, CHANNELS, generator=torch.Generator().manual_seed(1))


def taught(captions: list[str], kind: str, decoder: str = "lstm") -> Captioner:
    """Return a captioner that knows a few captions by heart, an image each."""
    torch.manual_seed(0)
    size = {"word": 200, "bpe": 340}[kind]
    tokenizer = CaptionTokenizer.train(captions, kind=kind, vocab_size=size, min_count=1)
    sizes = DecoderConfig(tokenizer.vocab_size, CHANNELS, 32, 32, 16, kind=decoder, dropout=0.0)
    captioner = Captioner(sizes, tokenizer, (2, 2))
    optimizer = torch.optim.Adam(captioner.decoder.parameters(), 0.02)
    framed = [[[tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id]] for text in captions]
    batch = assemble(grids(len(captions)), framed, tokenizer.pad_id)
    for _ in range(60):
        optimizer.zero_grad()
        caption_loss(captioner, batch, label_smoothing=0.0).backward()
        optimizer.step()
    return captioner.eval()


@pytest.fixture(scope="module", params=["word", "bpe"])
def english(request) -> Captioner:
    return taught(ENGLISH, request.param)


@pytest.fixture(scope="module", params=["word", "bpe"])
def korean(request) -> Captioner:
    return taught(KOREAN, request.param)


def plain(captioner: Captioner, text: str) -> str:
    """Return a caption as the captioner writes it."""
    return captioner.tokenizer.decode(captioner.tokenizer.encode(text))


def test_where_nothing_is_typed_sentences_are_those_of_the_search(english):
    for grid in grids(5):
        for beam in (Beam(1), BEAM):
            found = continue_caption(english, grid, "", beam=beam)
            searched = english.search(
                grid.unsqueeze(0), beam_size=beam.size, length_penalty=beam.length_penalty
            )[0]
            assert list(found.sentences) == list(
                dict.fromkeys(english.tokenizer.decode(one.token_ids) for one in searched)
            )


def test_every_beginning_of_a_caption_that_is_known_by_heart_is_gone_on_with(english):
    for grid, caption in zip(grids(5), ENGLISH):
        known = plain(english, caption)
        for end in range(len(known)):
            found = continue_caption(english, grid, known[:end], beam=BEAM)
            assert found.sentences[0] == known, known[:end]
            assert known.startswith(found.words[0].text), (known[:end], found.words)


def test_what_was_typed_stands_at_the_beginning_of_whatever_is_offered(english):
    for typed in (
        "A",
        "a ",
        "A D",
        "TWO ",
        "a purple",
        "a purple ",
        "zzz",
        "A dog, ",
        "A dog's b",
        "Two girls",
        "(",
    ):
        found = continue_caption(english, grids(1)[0], typed, beam=BEAM)
        for text in [*found.sentences, *(word.text for word in found.words)]:
            assert text.startswith(typed), (typed, text)
            assert "<unk>" not in text
        assert found.sentences, typed


def test_a_finished_word_is_followed_by_the_next_and_not_by_itself():
    captioner = taught(ENGLISH, "word")
    found = continue_caption(captioner, grids(5)[0], "a dog")
    assert found.words[0].text == "a dog runs"
    assert [word.word for word in continue_caption(captioner, grids(5)[0], "a do").words] == ["dog"]


def test_probabilities_of_next_words_are_those_of_the_decoder(english):
    """The words, each however many tokens long, and the end share one."""
    found = continue_caption(english, grids(5)[0], "", words=20)
    probabilities = [word.probability for word in found.words]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0.98 < sum(probabilities) + found.ends <= 1.0001
    ended = continue_caption(english, grids(5)[3], plain(english, ENGLISH[3]) + " ")
    assert ended.ends > 2 * ended.words[0].probability
    assert continue_caption(english, grids(5)[3], "Two gi").ends == 0


def test_a_caption_of_the_greatest_length_is_not_gone_on_with(english):
    assert continue_caption(english, grids(1)[0], "a dog " * 30).sentences == ()


@pytest.mark.parametrize("decoder", ["gru", "transformer"])
def test_every_decoder_goes_on(decoder):
    captioner = taught(ENGLISH, "word", decoder)
    found = continue_caption(captioner, grids(5)[3], "Two girls p", beam=BEAM)
    assert found.words[0].word == "play"
    assert found.sentences[0].startswith("Two girls play")


def test_a_syllable_under_way_becomes_the_word_that_it_begins(korean):
    """As an input method shows it: the next syllable's consonant is still in this one."""
    for typed, word in (
        ("가", "가방"),
        ("갑", "가방"),
        ("가바", "가방"),
        ("강", "강아지"),
        ("고", "고양이"),
        ("ㄱ", ""),
    ):
        found = continue_caption(korean, grids(5)[0], typed, words=8)
        offered = [one.word for one in found.words]
        assert offered and all(keystrokes(one).startswith(keystrokes(typed)) for one in offered), (
            typed,
            offered,
        )
        assert any(one.startswith(word) for one in offered), (typed, offered)
    for grid, caption in zip(grids(5), KOREAN):
        for end in range(1, len(caption)):
            assert continue_caption(korean, grid, caption[:end], beam=BEAM).sentences[0] == caption
    assert continue_caption(korean, grids(5)[2], "고양이가 고", beam=BEAM).sentences[0] == KOREAN[2]


def test_keystrokes_of_every_syllable_begin_with_those_of_the_syllables_before_it():
    assert keystrokes("값") == "가ㅂㅅ".replace("가", keystrokes("가")).translate(
        str.maketrans("ㅂㅅ", keystrokes("ㅂ") + keystrokes("ㅅ"))
    )
    for earlier, later in (
        ("갑", "가방"),
        ("고", "과자"),
        ("왜", "왜"),
        ("오", "왜"),
        ("닭", "달기"),
        ("ㅎ", "한"),
    ):
        assert keystrokes(later).startswith(keystrokes(earlier)), (earlier, later)
        assert any(later.startswith(one) for one in becomes(earlier)), (earlier, later)
    assert becomes("x") == ["x"]


def test_the_word_under_way_is_found():
    tokenizer = CaptionTokenizer.train(ENGLISH, min_count=1)
    for text, unfinished in (
        ("", ""), ("A do", "do"), ("A dog ", ""), ("the dog's", "'s"), ("a dog,", ""), ("犬", ""),
        ("Two\tgi", "gi"),
    ):  # fmt: skip
        found = Typed.of(tokenizer, text)
        assert (found.unfinished, found.text) == (unfinished, text)
