"""Captions become words: in English those of the COCO toolkit's Java tokenizer, elsewhere sensible ones."""

import shutil
import subprocess
import unicodedata
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from showtell.text.words import join_words, metric_tokens, ngrams, normalise, words

FLICKR = Path(__file__).parents[2] / "shared" / "data" / "flickr8k"

any_text = st.text() | st.text("abn'tsdm.c -σΣ犬がกำ한()#&@/1,:’r")


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog's ball.", "a dog 's ball"),
        ("They can't; he didn’t!", "they ca n't he did n't"),
        ("cannot canned", "can not canned"),
        ('A "half-eaten" t-shirt, 3,000 x 1.5', "a half-eaten t-shirt 3,000 x 1.5"),
        ("Mr. Lee of the U.S. ran", "mr. lee of the u.s. ran"),
        ("The letter P. is not a.", "the letter p. is not a"),
        ("the dog.The cat", "the dog the cat"),
        ("five o'clock - dogs' toys", "five o'clock dogs toys"),
        ("player # 28 & <eos> 50%", "player # 28 & < eos > 50 %"),
        ("개가 잔디 위를 뛴다.", "개가 잔디 위를 뛴다"),
        ("Ο ΣΚΎΛΟΣ τρέχει;", "ο σκύλος τρέχει"),
        ("Ein Hündchen läuft über Straßen", "ein hündchen läuft über straßen"),
        ("犬が走る。", "犬 が 走 る"),
        ("น้ำ", "น้ ำ"),
        ("हिन्दी में", "हिन्दी में"),
        ("می‌دود", "می‌دود"),
        ("?!", ""),
        ("", ""),
    ],
)
def test_words_of(caption: str, expected: str) -> None:
    assert words(caption) == expected.split(" " if expected else None)


@given(any_text)
def test_unicode_form_does_not_matter(text: str) -> None:
    assert words(unicodedata.normalize("NFD", text)) == words(unicodedata.normalize("NFC", text))


@given(any_text)
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@settings(max_examples=500)
@given(any_text)
def test_joined_words_split_into_the_same_words(text: str) -> None:
    assert words(join_words(words(text))) == words(text)


def test_words_are_joined_as_a_person_writes() -> None:
    assert join_words(["the", "dog", "'s", "ball", "is", "n't", "red"]) == "the dog's ball isn't red"
    assert join_words(list("犬が走る")) == "犬が走る"
    assert join_words([]) == ""


def test_only_scores_count_brackets() -> None:
    assert words("a (red) dog") == ["a", "red", "dog"]
    assert metric_tokens("a (red) dog") == ["a", "-lrb-", "red", "-rrb-", "dog"]


def test_ngrams() -> None:
    assert ngrams(["a", "b", "c"]) == [("a",), ("b",), ("c",), ("a", "b"), ("b", "c"), ("a", "b", "c")]
    assert ngrams([]) == []


def test_flickr8k_splits_as_with_java(tmp_path: Path) -> None:
    if not FLICKR.exists():
        pytest.skip("the Flickr8k captions are not on this machine")
    if not shutil.which("java"):
        pytest.skip("java is not on this machine")
    spec = find_spec("pycocoevalcap.tokenizer.ptbtokenizer")
    if spec is None or spec.origin is None:
        pytest.skip("pycocoevalcap is not installed")
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS, STANFORD_CORENLP_3_4_1_JAR

    table = (FLICKR / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()
    captions = [line.split("\t")[1] for line in table]
    (tmp_path / "captions.txt").write_text("\n".join(captions) + "\n", encoding="utf-8")
    jar = Path(spec.origin).with_name(STANFORD_CORENLP_3_4_1_JAR)
    command = ["java", "-cp", jar, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    output = subprocess.run(
        [*command, "captions.txt"], cwd=tmp_path, capture_output=True, check=True, encoding="utf-8"
    ).stdout
    expected = [[word for word in line.split() if word not in PUNCTUATIONS] for line in output.splitlines()]
    different = [
        caption for caption, truth in zip(captions, expected, strict=True) if metric_tokens(caption) != truth
    ]
    assert different == []
