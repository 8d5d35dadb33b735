"""Captions to token ids and back, in one plain ``tokenizer.json``.

Word level (``words``) suits English and small vocabularies. Byte-level BPE suits languages in which words run
together or take endings, such as Korean: it knows every string, so nothing is ever unknown.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE, WordLevel
from tokenizers.normalizers import Prepend
from tokenizers.normalizers import Sequence as NormalizerSequence
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizerSequence
from tokenizers.trainers import BpeTrainer

from showtell.errors import ConfigError, DataError, ModelError
from showtell.files import write_atomic
from showtell.text.words import (
    attaches,
    join_words,
    spacing_normalizer,
    unspaced,
    word_normalizer,
    word_splitter,
    words,
)

Kind = Literal["word", "bpe"]

PAD, BOS, EOS, UNK = "<pad>", "<bos>", "<eos>", "<unk>"
SPECIAL_TOKENS = (PAD, BOS, EOS, UNK)

# Letters keep their marks (Thai, Hindi), and a word keeps the space before it.
_BPE_PIECES = r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+"


class CaptionTokenizer:
    """A trained tokenizer with its four special tokens.

    Args:
        tokenizer: A tokenizer whose vocabulary holds ``SPECIAL_TOKENS``; ``train`` and ``load`` make one.

    Attributes:
        kind: ``word`` or ``bpe``.
        tokens: Every token in the order of the ids; those of BPE are bytes, written as its letters.
        vocab_size: How many ids there are, special tokens included.
        pad_id: The id that fills up a batch.
        bos_id: The id before the first token.
        eos_id: The id after the last token.
        unk_id: The id of a word that is not in the vocabulary; BPE never returns it.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        # Without this, a caption that happens to contain "<eos>" would end there.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab()
        self.tokens = sorted(vocabulary, key=vocabulary.__getitem__)
        self.kind: Kind = "word" if isinstance(tokenizer.model, WordLevel) else "bpe"
        self.vocab_size = len(vocabulary)
        self.pad_id, self.bos_id, self.eos_id, self.unk_id = (vocabulary[token] for token in SPECIAL_TOKENS)
        self._special_ids = frozenset({self.pad_id, self.bos_id, self.eos_id, self.unk_id})

    def __reduce__(self) -> tuple[type["CaptionTokenizer"], tuple[Tokenizer]]:
        # The library forgets ``encode_special_tokens`` in a copy; the constructor sets it again.
        return CaptionTokenizer, (self._tokenizer,)

    @classmethod
    def train(
        cls, captions: Iterable[str], *, kind: Kind = "word", vocab_size: int = 10000, min_count: int = 5
    ) -> "CaptionTokenizer":
        """Learn a vocabulary; the same captions in any order give the same tokenizer.

        Args:
            captions: The training captions, as written.
            kind: ``word``: lower-case words without punctuation. ``bpe``: pieces of the text as it is.
            vocab_size: The most ids there may be, special tokens included.
            min_count: How often a word, or for BPE a pair of pieces, must occur to be learned.

        Returns:
            The tokenizer.

        Raises:
            ConfigError: ``vocab_size`` leaves no room for a vocabulary.
            DataError: No word occurs ``min_count`` times.
        """
        fixed = len(SPECIAL_TOKENS) + (256 if kind == "bpe" else 0)
        if vocab_size <= fixed:
            raise ConfigError(
                f"A vocabulary of {vocab_size} leaves no room beside {kind}'s {fixed} fixed tokens.",
                hint=f"Give at least {fixed + 1}; 10000 is usual.",
            )
        tokenizer = (_train_words if kind == "word" else _train_bpe)(captions, vocab_size, min_count)
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> "CaptionTokenizer":
        """Load a tokenizer from its ``tokenizer.json``.

        Args:
            path: The file that ``save`` wrote.

        Returns:
            The tokenizer.

        Raises:
            ModelError: The file is missing, damaged, or holds a tokenizer of another program.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"The tokenizer {path} cannot be read: {error}.",
                hint="A model folder holds the tokenizer.json that was saved with it.",
            ) from error
        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library raises nothing more specific
            raise ModelError(
                f"The tokenizer {path} is damaged: {error}.",
                hint="Copy tokenizer.json again from the run that trained the model.",
            ) from error
        if strange := _strangeness(tokenizer):
            raise ModelError(
                f"The tokenizer {path} is not one of showtell's: {strange}.",
                hint="Use the tokenizer.json that was saved with this model.",
            )
        return cls(tokenizer)

    def to_json(self) -> str:
        """Return the tokenizer as the text of its one file."""
        return str(self._tokenizer.to_str(pretty=True)) + "\n"

    def save(self, path: Path) -> None:
        """Write the tokenizer to one JSON file, whole or not at all.

        Args:
            path: Where to; its folder exists.
        """
        write_atomic(path, self.to_json(), durable=True)

    def encode(self, caption: str) -> list[int]:
        """Return the token ids of a caption, without ``bos_id`` and ``eos_id``.

        Args:
            caption: Text in any Unicode form. Text that looks like a special token stays text.

        Returns:
            Its ids; empty where the caption has no words.
        """
        ids: list[int] = self._tokenizer.encode(caption, add_special_tokens=False).ids
        return ids

    def encode_batch(self, captions: Iterable[str]) -> list[list[int]]:
        """Return the token ids of many captions, in order."""
        # One by one: the library's own threads make every later fork, such as a data loader's, warn.
        return [self.encode(caption) for caption in captions]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of token ids up to the first ``eos_id``, special tokens left out.

        Args:
            ids: Token ids, each in [0, vocab_size).

        Returns:
            Text as a person would write it: one blank between words where the language has one.
        """
        kept = [token_id for _, token_id in self._visible(ids)]
        if self.kind == "word":
            return join_words([self.tokens[token_id] for token_id in kept])
        return self._piece_text(kept).strip()

    def word_spans(self, ids: Iterable[int]) -> list[tuple[str, int, int]]:
        """Return the words that a reader sees, each with the tokens it was made of.

        Args:
            ids: Token ids, each in [0, vocab_size).

        Returns:
            (word, first, last + 1) with positions in ``ids``, in order and without overlap. ``dog's`` is one
            word, a sign stays with the word that it touches, and a language without spaces gives its
            characters or its learned pieces.
        """
        spans: list[tuple[str, int, int]] = []
        for text, first, end in self._chunks(ids):
            if spans and self._continues(spans[-1][0], text):
                word, first, _ = spans.pop()
                spans.append((word + text, first, end))
            else:
                spans.append((text.strip(), first, end))
        return [span for span in spans if span[0]]

    def grown(self, more: Iterable[str]) -> "CaptionTokenizer":
        """Return it with more words behind its own, which keep their ids; BPE, which lacks none, as it is."""
        new = sorted({word for text in more for word in words(text)}.difference(self.tokens))
        return self if self.kind == "bpe" or not new else CaptionTokenizer(_word_level([*self.tokens, *new]))

    def coverage(self, captions: Iterable[str]) -> float:
        """Return the share of the captions' tokens that are known, in [0, 1]; 1 where there are none."""
        known = Counter(token_id != self.unk_id for caption in captions for token_id in self.encode(caption))
        return known[True] / known.total() if known else 1.0

    def _visible(self, ids: Iterable[int]) -> list[tuple[int, int]]:
        """Return (position, id) of each token that shows, up to the end of the sentence."""
        visible = []
        for position, token_id in enumerate(map(int, ids)):
            if token_id == self.eos_id:
                break
            if token_id not in self._special_ids:
                visible.append((position, token_id))
        return visible

    def _chunks(self, ids: Iterable[int]) -> list[tuple[str, int, int]]:
        """Return the shortest stretches of tokens that are whole characters, as (text, first, last + 1)."""
        visible = self._visible(ids)
        if self.kind == "word":
            return [(self.tokens[token_id], at, at + 1) for at, token_id in visible]
        chunks = []
        pending: list[int] = []
        first = 0
        for index, (position, token_id) in enumerate(visible):
            first = first if pending else position
            pending.append(token_id)
            text = self._piece_text(pending)
            # Bytes that do not make up a character yet decode to the replacement character.
            if not text.endswith("\ufffd") or index == len(visible) - 1:
                chunks.append((text, first, position + 1))
                pending = []
        return chunks

    def _continues(self, word: str, chunk: str) -> bool:
        """Say whether a chunk goes on with the word before it."""
        if self.kind == "word":
            return attaches(chunk)
        if not word or chunk[0].isspace():
            return not word
        return not (chunk[0].isalnum() and (unspaced(chunk[0]) or unspaced(word[-1])))

    def _piece_text(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text


def _train_words(captions: Iterable[str], vocab_size: int, min_count: int) -> Tokenizer:
    counts = Counter(word for caption in captions for word in words(caption))
    frequent = [word for word, count in counts.items() if count >= min_count]
    if not frequent:
        largest = max(counts.values(), default=0)
        raise DataError(
            f"No word occurs {min_count} times in the captions: of {len(counts)} words, the most frequent "
            f"occurs {largest} times.",
            hint=f"Train on more captions, or set min_count to at most {largest}."
            if largest
            else "Train on captions that have words.",
        )
    # The word itself breaks ties, so that the order of the captions does not show.
    frequent.sort(key=lambda word: (-counts[word], word))
    return _word_level([*SPECIAL_TOKENS, *frequent[: vocab_size - len(SPECIAL_TOKENS)]])


def _word_level(kept: Sequence[str]) -> Tokenizer:
    model = WordLevel({token: token_id for token_id, token in enumerate(kept)}, unk_token=UNK)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = word_normalizer()
    tokenizer.pre_tokenizer = word_splitter()
    tokenizer.add_special_tokens(_special_tokens())
    return tokenizer


def _train_bpe(captions: Iterable[str], vocab_size: int, min_count: int) -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    # Every word starts with its blank, the first one too, so that a word has one spelling wherever it is.
    tokenizer.normalizer = NormalizerSequence([spacing_normalizer(), Prepend(" ")])
    tokenizer.pre_tokenizer = PreTokenizerSequence(
        [Split(Regex(_BPE_PIECES), behavior="isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_count,
        special_tokens=_special_tokens(),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    return tokenizer


def _strangeness(tokenizer: Tokenizer) -> str:
    """Return in what a loaded tokenizer differs from every one that ``save`` writes; empty for ours."""
    vocabulary = tokenizer.get_vocab()
    if missing := [token for token in SPECIAL_TOKENS if token not in vocabulary]:
        return f"it lacks {' '.join(missing)}"
    if not isinstance(tokenizer.model, WordLevel | BPE):
        return f"its model is a {type(tokenizer.model).__name__}"
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        return "its ids have gaps"
    return ""


def _special_tokens() -> list[AddedToken]:
    return [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS]
