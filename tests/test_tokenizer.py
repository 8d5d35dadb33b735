"""Captions survive the way to token ids and back, whatever they are written in."""

import copy
import json
import pickle
import random
import subprocess
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from showtell.errors import ConfigError, DataError, ModelError
from showtell.text.tokenizer import SPECIAL_TOKENS, CaptionTokenizer, Kind

ENGLISH = ["A dog runs on the grass.", "The dog's ball is red.", "Two dogs don't play, a cat runs."]
KOREAN = ["개가 잔디 위를 뛴다.", "두 마리 개가 공을 쫓는다.", "고양이가 소파에서 잔다."]
GREEK = ["Ένας σκύλος τρέχει στο γρασίδι.", "Δύο γάτες κοιμούνται."]
JAPANESE = ["犬が芝生を走る。", "二匹の猫がソファーで寝ている。"]
THAI = ["สุนัขกำลังวิ่งบนหญ้า"]
ALL = [*ENGLISH, *KOREAN, *GREEK, *JAPANESE, *THAI]
KINDS: tuple[Kind, ...] = ("word", "bpe")


@pytest.fixture(scope="module")
def word() -> CaptionTokenizer:
    return CaptionTokenizer.train(ALL, min_count=1)


@pytest.fixture(scope="module")
def bpe() -> CaptionTokenizer:
    return CaptionTokenizer.train(ALL, kind="bpe", vocab_size=400, min_count=2)


@pytest.mark.parametrize(
    ("caption", "decoded"),
    [
        (ENGLISH[1], "the dog's ball is red"),
        (ENGLISH[2], "two dogs don't play a cat runs"),
        (KOREAN[0], "개가 잔디 위를 뛴다"),
        (GREEK[0], "ένας σκύλος τρέχει στο γρασίδι"),
        (JAPANESE[1], "二匹の猫がソファーで寝ている"),
        (THAI[0], THAI[0]),
    ],
)
def test_words_round_trip(word: CaptionTokenizer, caption: str, decoded: str) -> None:
    ids = word.encode(caption)
    assert word.decode(ids) == decoded
    assert word.unk_id not in ids
    assert word.encode(unicodedata.normalize("NFD", caption)) == ids


@pytest.mark.parametrize("caption", [*ALL, "한 번도 못 본 문장 🐶!", "naïve  Straße", "<eos> <pad>"])
def test_bpe_keeps_every_character(bpe: CaptionTokenizer, caption: str) -> None:
    ids = bpe.encode(caption)
    assert bpe.decode(ids) == " ".join(caption.split())
    assert not {bpe.pad_id, bpe.bos_id, bpe.eos_id, bpe.unk_id} & set(ids)
    assert bpe.encode(unicodedata.normalize("NFD", caption)) == ids


@given(st.text())
def test_bpe_round_trips_anything(bpe: CaptionTokenizer, text: str) -> None:
    once = bpe.decode(bpe.encode(text))
    assert bpe.decode(bpe.encode(once)) == once
    assert "".join(once.split()) == "".join(unicodedata.normalize("NFC", text).split())
    assert bpe.coverage([text]) == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_text_never_becomes_a_special_token(kind: Kind, tmp_path: Path) -> None:
    tokenizer = CaptionTokenizer.train(["<eos> dog <pad> <bos> <unk>"] * 9, kind=kind, vocab_size=400)
    tokenizer.save(tmp_path / "tokenizer.json")
    copies = [
        CaptionTokenizer.load(tmp_path / "tokenizer.json"),
        pickle.loads(pickle.dumps(tokenizer)),  # noqa: S301 - as a data loader's worker gets it
        copy.deepcopy(tokenizer),
    ]
    for each in (tokenizer, *copies):
        ids = each.encode("a <eos> dog <pad><bos> <unk>")
        assert not {each.pad_id, each.bos_id, each.eos_id} & set(ids)
        assert "eos" in each.decode(ids)
        assert "dog" in each.decode(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_captions_does_not_matter(kind: Kind, tmp_path: Path) -> None:
    shuffled = ALL * 3
    random.Random(0).shuffle(shuffled)
    for name, captions in (("one", ALL * 3), ("other", shuffled)):
        CaptionTokenizer.train(captions, kind=kind, vocab_size=330, min_count=2).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_save_and_load(kind: Kind, tmp_path: Path) -> None:
    tokenizer = CaptionTokenizer.train(ALL, kind=kind, min_count=1)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    tokenizer.save(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokenizer.json"]
    loaded = CaptionTokenizer.load(path)
    assert loaded.kind == kind
    assert loaded.vocab_size == tokenizer.vocab_size
    assert loaded.encode_batch(ALL) == tokenizer.encode_batch(ALL)
    assert [loaded.decode(ids) for ids in loaded.encode_batch(ALL)] == [
        tokenizer.decode(ids) for ids in tokenizer.encode_batch(ALL)
    ]


def test_special_ids_come_from_the_file(tmp_path: Path, word: CaptionTokenizer) -> None:
    path = tmp_path / "tokenizer.json"
    word.save(path)
    saved = json.loads(path.read_text(encoding="utf-8"))
    last = word.vocab_size - 1
    saved["model"]["vocab"] = {token: last - at for token, at in saved["model"]["vocab"].items()}
    for token in saved["added_tokens"]:
        token["id"] = last - token["id"]
    saved["added_tokens"].reverse()
    path.write_text(json.dumps(saved), encoding="utf-8")
    turned = CaptionTokenizer.load(path)
    ids = [turned.pad_id, turned.bos_id, turned.eos_id, turned.unk_id]
    assert ids == [last - word.pad_id, last - word.bos_id, last - word.eos_id, last - word.unk_id]
    assert turned.decode([turned.bos_id, *turned.encode("a dog"), turned.eos_id]) == "a dog"


def test_rare_words_are_unknown_and_the_vocabulary_is_capped() -> None:
    captions = ["dog dog dog cat cat bird"] * 2
    tokenizer = CaptionTokenizer.train(captions, min_count=4)
    assert tokenizer.vocab_size == len(SPECIAL_TOKENS) + 2
    assert tokenizer.encode("bird") == [tokenizer.unk_id]
    assert tokenizer.coverage(captions) == pytest.approx(5 / 6)
    assert tokenizer.coverage([]) == 1.0
    capped = CaptionTokenizer.train(captions, min_count=1, vocab_size=5)
    assert capped.vocab_size == 5
    assert [capped.encode(text) == [capped.unk_id] for text in ("dog", "cat", "bird")] == [False, True, True]


def test_equal_counts_are_ordered_by_the_word() -> None:
    tokenizer = CaptionTokenizer.train(["b c a"], min_count=1, vocab_size=6)
    assert tokenizer.decode(tokenizer.encode("a b c")) == "a b"


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_stops_at_eos_and_skips_specials(
    kind: Kind, word: CaptionTokenizer, bpe: CaptionTokenizer
) -> None:
    tokenizer = word if kind == "word" else bpe
    dog = tokenizer.encode("a dog")
    ids = [tokenizer.bos_id, *dog, tokenizer.pad_id, tokenizer.eos_id, *dog]
    assert tokenizer.decode(ids) == "a dog"
    assert tokenizer.decode([]) == ""
    assert [text for text, _, _ in tokenizer.word_spans(ids)] == ["a", "dog"]
    assert tokenizer.word_spans(ids)[0][1] == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("caption", [*ALL, "", "犬 dog 3匹 the dogs' <eos>", "🐶🐱"])
def test_spans_cover_what_is_read(
    kind: Kind, caption: str, word: CaptionTokenizer, bpe: CaptionTokenizer
) -> None:
    tokenizer = word if kind == "word" else bpe
    ids = tokenizer.encode(caption)
    spans = tokenizer.word_spans(ids)
    assert "".join(text for text, _, _ in spans) == tokenizer.decode(ids).replace(" ", "")
    assert all(first < end for _, first, end in spans)
    assert all(before[2] <= after[1] for before, after in pairwise(spans))
    assert all(" " not in text and "\ufffd" not in text for text, _, _ in spans)
    if kind == "bpe" and ids:
        assert spans[0][1] == 0
        assert spans[-1][2] == len(ids)
        assert all(before[2] == after[1] for before, after in pairwise(spans))


def test_spans_are_the_words_of_the_text(word: CaptionTokenizer, bpe: CaptionTokenizer) -> None:
    for caption in (*ENGLISH, *KOREAN, *GREEK):
        assert [text for text, _, _ in bpe.word_spans(bpe.encode(caption))] == caption.split()
    assert word.word_spans(word.encode("The dog's ball")) == [("the", 0, 1), ("dog's", 1, 3), ("ball", 3, 4)]
    assert bpe.word_spans(bpe.encode(JAPANESE[0]))[0][0] == "犬"


def test_half_a_character_still_decodes(bpe: CaptionTokenizer) -> None:
    ids = bpe.encode("🐶")
    assert len(ids) > 2
    assert bpe.decode(ids[:-1]).strip("\ufffd") == ""
    dog = bpe.encode("dog")
    assert bpe.word_spans([*ids[:-1], *dog])[-1][0].endswith("dog")


def test_too_few_words_say_what_would_do() -> None:
    with pytest.raises(DataError, match=r"No word occurs 5 times.*\n.*min_count to at most 2"):
        CaptionTokenizer.train(["a dog", "a cat"])
    with pytest.raises(DataError, match="captions that have words"):
        CaptionTokenizer.train(["!", ""])


@pytest.mark.parametrize(("kind", "size"), [("word", 4), ("bpe", 260)])
def test_no_room_for_a_vocabulary(kind: Kind, size: int) -> None:
    with pytest.raises(ConfigError, match=f"Give at least {size + 1}"):
        CaptionTokenizer.train(ALL, kind=kind, vocab_size=size)


def test_unusable_files(tmp_path: Path, word: CaptionTokenizer) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(ModelError, match="cannot be read"):
        CaptionTokenizer.load(path)
    word.save(path)
    whole = path.read_bytes()
    foreign = json.loads(whole)
    del foreign["model"]["vocab"]["<eos>"]
    foreign["added_tokens"] = [token for token in foreign["added_tokens"] if token["content"] != "<eos>"]
    gappy = json.loads(whole)
    gappy["model"]["vocab"]["dog"] += 1000
    unigram = json.loads(whole)
    unigram["model"] = {"type": "Unigram", "unk_id": 0, "vocab": [[token, -1.0] for token in SPECIAL_TOKENS]}
    for content, message in (
        (json.dumps(gappy).encode(), "its ids have gaps"),
        (json.dumps(unigram).encode(), "its model is a Unigram"),
        (b"", "damaged"),
        (whole[: len(whole) // 2], "damaged"),
        (b'{"word_index": {}}', "damaged"),
        (b"\xff\xfe" + whole, "cannot be read"),
        (json.dumps(foreign).encode(), "not one of showtell's: it lacks <eos>"),
    ):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=message):
            CaptionTokenizer.load(path)


def test_text_does_not_import_torch() -> None:
    modules = "showtell.text.tokenizer, showtell.evaluation.caption_scores"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
