"""What captions are like as a whole, beside being right: how varied, how long, how much by rote."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from showtell.text.words import words


@dataclass(frozen=True)
class CaptionDiversity:
    """What one caption an image says together."""

    captions: int  # how many there are
    distinct_captions: int  # how many of them are different
    words: int  # in all
    distinct_words: int  # how many of them are different
    lengths: dict[int, int]  # how many captions have as many words
    # share of the words that others use of the same image, in [0, 1]; None where nobody else describes it
    word_precision: float | None
    # share of the captions that occur word for word in training, in [0, 1]; None where the captions of
    # training are not known
    memorized: float | None


def caption_diversity(
    captions: Mapping[str, str], others: Mapping[str, Sequence[str]], training: Collection[str] = ()
) -> CaptionDiversity:
    """Count words and captions; case, punctuation and blanks make no difference.

    Args:
        captions: One caption an image, as written, by the image's name.
        others: What others say of the same images, as written.
        training: The captions of training, as written; empty where they are not known.
    """
    tokens = {name: tuple(words(caption)) for name, caption in captions.items()}
    other_words = {name: {word for caption in others[name] for word in words(caption)} for name in captions}
    distinct = set(tokens.values())
    # Only those that were said are kept: of half a million captions, the words of all take 350 MB.
    known = {spoken for caption in training if (spoken := tuple(words(caption))) in distinct}
    both = [
        word in other_words[name] for name, caption in tokens.items() if other_words[name] for word in caption
    ]
    return CaptionDiversity(
        captions=len(tokens),
        distinct_captions=len(distinct),
        words=sum(map(len, tokens.values())),
        distinct_words=len({word for caption in tokens.values() for word in caption}),
        lengths=dict(sorted(Counter(map(len, tokens.values())).items())),
        word_precision=sum(both) / len(both) if both else None,
        memorized=sum(caption in known for caption in tokens.values()) / len(tokens)
        if training and tokens
        else None,
    )


def compared_diversity(
    captions: Mapping[str, str], references: Mapping[str, Sequence[str]], training: Collection[str] = ()
) -> tuple[CaptionDiversity, CaptionDiversity]:
    """Return the diversity of a captioner and of people, on an equal footing.

    Args:
        captions: The captioner's, by the image's name.
        references: What people wrote of the same images. The first of each image is counted as people's;
            both are held against the others.
        training: The captions of training; empty where they are not known.
    """
    first = {name: references[name][0] for name in captions}
    others = {name: references[name][1:] for name in captions}
    return caption_diversity(captions, others, training), caption_diversity(first, others, training)
