# %% [markdown]
# # 5. Words to numbers
#
# A network reads numbers, not words. You build a vocabulary by hand, meet words that are not in it, pad
# captions of different lengths into one batch, and keep the padding out of the loss. Then Korean, where
# words take endings and a vocabulary of words is not enough: byte-level BPE.
#
# 신경망은 단어가 아니라 숫자를 읽습니다. 단어장을 직접 만들고, 단어장에 없는 단어를 만나고, 길이가 다른
# 문장들을 한 묶음으로 채우고(padding), 채운 자리를 손실에서 뺍니다. 그다음은 한국어입니다. 단어에 조사와
# 어미가 붙어 단어장만으로는 모자랍니다. 그래서 바이트 단위 BPE를 씁니다.

# %%
import itertools
import random
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F

from showtell.lessons.figures import name, panels, show
from showtell.lessons.questions import check
from showtell.report.fonts import font
from showtell.text.tokenizer import CaptionTokenizer
from showtell.text.words import words

# %% [markdown]
# ## A vocabulary by hand
#
# Four special tokens come first: `<pad>` fills up, `<bos>` begins, `<eos>` ends, `<unk>` stands for every
# word that is not known. Then the words, the most frequent first.
#
# ## 직접 만드는 단어장
#
# 특수 토큰 넷이 먼저 옵니다. `<pad>`는 빈자리를 채우고, `<bos>`는 시작, `<eos>`는 끝, `<unk>`는 모르는
# 단어를 나타냅니다. 그 뒤에 단어가 자주 나온 순서로 옵니다.

# %%
captions = [
    "A dog runs on the beach.",
    "A brown dog sleeps.",
    "Two dogs play with a ball on the beach.",
]
counts = Counter(word for caption in captions for word in words(caption))
vocabulary = ["<pad>", "<bos>", "<eos>", "<unk>", *sorted(counts, key=lambda word: (-counts[word], word))]
number_of = {word: number for number, word in enumerate(vocabulary)}


def encode(caption):
    return [number_of.get(word, number_of["<unk>"]) for word in words(caption)]


for caption in (*captions, "A cat sleeps."):
    print(f"{caption:<42} {encode(caption)}")

# %% [markdown]
# `words` makes lower case and drops punctuation, by one rule for training and for every score. The last
# caption has a cat, which the vocabulary does not know: it became 3, `<unk>`, and what it was is lost.
#
# showtell's tokenizer does the same, and is saved as one file with the model:
#
# `words`는 소문자로 바꾸고 문장 부호를 뺍니다. 학습과 모든 점수에 같은 규칙을 씁니다. 마지막 문장의
# 고양이(cat)는 단어장에 없어서 3, 곧 `<unk>`가 되었고, 무엇이었는지는 사라졌습니다.
#
# showtell의 토크나이저도 똑같이 하고, 모델과 함께 파일 하나로 저장됩니다.

# %%
tokenizer = CaptionTokenizer.train(captions, min_count=1)
print(tokenizer.tokens)
assert tokenizer.tokens == vocabulary
assert all(tokenizer.encode(caption) == encode(caption) for caption in captions)
print(tokenizer.decode(tokenizer.encode("A cat sleeps.")), "<- the unknown word is gone")

# %% [markdown]
# ## Padding, and a loss that does not see it
#
# A batch is a rectangle of numbers, captions have different lengths: the shorter ones are filled up with
# `<pad>`. The network would happily learn to predict `<pad>` after `<pad>`, the easiest of all words, so
# those places must not count.
#
# ## 채우기, 그리고 채운 자리를 보지 않는 손실
#
# 묶음은 직사각형인데 문장은 길이가 다릅니다. 짧은 문장은 `<pad>`로 채웁니다. 그대로 두면 신경망은 `<pad>`
# 다음에 `<pad>`를 맞히는, 가장 쉬운 일을 배우고 맙니다. 그래서 그 자리는 세지 않아야 합니다.

# %%
rows = [[tokenizer.bos_id, *tokenizer.encode(caption), tokenizer.eos_id] for caption in captions]
longest = max(len(row) for row in rows)
batch = torch.tensor([row + [tokenizer.pad_id] * (longest - len(row)) for row in rows])  # (3, 11)
inputs, targets = batch[:, :-1], batch[:, 1:]  # read a word, predict the next: (3, 10) each
print(batch)

torch.manual_seed(0)
logits = torch.randn(*targets.shape, tokenizer.vocab_size)  # (3, 10, V), of a network that knows nothing
real = targets != tokenizer.pad_id  # (3, 10)
each = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")  # (3, 10)

masked = (each * real).sum() / real.sum()
print(
    f"mean over {real.sum()} real places: {masked:.4f}; over all {real.numel()}, a mistake: {each.mean():.4f}"
)

# %% [markdown]
# Three ways to the same number: multiply by the mask, let PyTorch ignore the index, or do not compute the
# padding at all. showtell *packs*: it keeps the real places only, which is also the fastest.
#
# 같은 숫자에 이르는 길은 셋입니다. 마스크를 곱하거나, PyTorch가 그 번호를 무시하게 하거나, 채운 자리를 아예
# 계산하지 않습니다. showtell은 실제 자리만 남깁니다(*packing*). 가장 빠른 방법이기도 합니다.

# %%
ignored = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=tokenizer.pad_id)
packed = F.cross_entropy(logits[real], targets[real])  # (N, V) and (N,), N real places
print(f"ignore_index: {ignored:.4f}; packed: {packed:.4f}")
assert torch.allclose(masked, ignored) and torch.allclose(masked, packed)

# %% [markdown]
# ## Korean: one word, many forms
#
# 고양이가, 고양이를, 고양이는 are one cat with three particles, and three words for a vocabulary of words.
# Here are captions made of 12 animals, 4 particles and 6 verbs. Two in three combinations are for training;
# the others come later, as in life.
#
# ## 한국어: 한 단어, 여러 꼴
#
# 고양이가, 고양이를, 고양이는은 고양이 하나에 조사 셋이지만, 단어장에는 세 단어입니다. 동물 열둘, 조사 넷,
# 동사 여섯으로 문장을 만듭니다. 조합의 3분의 2로 배우고, 나머지는 나중에 처음 만납니다. 실제로도
# 그렇습니다.

# %%
ANIMALS = "고양이 강아지 토끼 거북이 오리 다람쥐 코끼리 너구리 펭귄 기린 호랑이 돌고래".split()
PARTICLES = (("가", "이"), ("를", "을"), ("는", "은"), ("와", "과"))  # after a vowel, after a consonant
VERBS = "본다 좋아한다 기다린다 따라간다 그린다 찾는다".split()


def with_particle(noun, forms):
    ends_in_consonant = (ord(noun[-1]) - ord("가")) % 28 != 0  # Hangul syllables lie in a regular table
    return noun + forms[ends_in_consonant]


chance = random.Random(0)
forms = [with_particle(*pair) for pair in itertools.product(ANIMALS, PARTICLES)]
chance.shuffle(forms)
known_forms, new_forms = forms[:32], forms[32:]


def sentences(pool, count):
    return [f"아이가 {chance.choice(pool)} 오래 {chance.choice(VERBS)}" for _ in range(count)]


train, unseen = sentences(known_forms, 300), sentences(new_forms, 100)
print(*unseen[:3], sep="\n")
by_words = CaptionTokenizer.train(train, min_count=1)
unknown = 1 - by_words.coverage(unseen)
print(f"words: {by_words.vocab_size} tokens; {unknown:.0%} of the words in unseen sentences are unknown")
print(f"  {unseen[0]} -> {by_words.decode(by_words.encode(unseen[0]))}")

# %% [markdown]
# One word in four is unknown, and it is the one that matters. Hangul has a remedy inside, since syllables
# are made of letters; but there is one that works for every script.
#
# 네 단어에 하나를 모르는데, 하필 가장 중요한 단어입니다. 한글은 음절을 자모로 나눌 수도 있지만, 어느
# 문자에나 통하는 방법이 있습니다.
#
# ## Byte-pair encoding by hand
#
# Begin with small pieces. Find the pair of neighbours that occurs most often, make it one piece, and again.
# What is frequent grows together; what is rare stays in pieces, but is never unknown.
#
# ## 직접 해 보는 BPE
#
# 작은 조각에서 시작합니다. 이웃한 두 조각 가운데 가장 자주 나오는 쌍을 한 조각으로 붙이고, 또 붙입니다.
# 자주 나오는 것은 합쳐져 자라고, 드문 것은 조각으로 남지만 모르는 것은 되지 않습니다.


# %%
def learn_merges(texts, merges):
    pieces = Counter(tuple(word) for text in texts for word in text.split())
    learnt = []
    for _ in range(merges):
        pairs = Counter()
        for word, count in pieces.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += count
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        learnt.append(best)
        pieces = Counter({merge(word, best): count for word, count in pieces.items()})
    return learnt


def merge(word, pair):
    done, rest = [], list(word)
    while rest:
        if tuple(rest[:2]) == pair:
            done.append("".join(pair))
            del rest[:2]
        else:
            done.append(rest.pop(0))
    return tuple(done)


def split(word, merges):
    pieces = tuple(word)
    for pair in merges:
        pieces = merge(pieces, pair)
    return pieces


merges = learn_merges(train, 40)
print("first merges:", *("+".join(pair) for pair in merges[:6]))
for form in new_forms[:4]:
    print(f"  {form} -> {' · '.join(split(form, merges))}")

# %% [markdown]
# Many nouns have grown together and many particles stand alone: nobody told it any grammar. showtell's BPE
# starts from *bytes* (a Hangul syllable is three), so that no text at all is ever unknown, emoji included.
#
# 많은 명사가 합쳐졌고 많은 조사가 따로 남았습니다. 문법을 가르쳐 준 사람은 없습니다. showtell의 BPE는
# *바이트*에서 시작하므로 (한글 한 음절은 3바이트) 이모지까지 어떤 글도 모르는 것이 되지 않습니다.

# %%
by_pieces = CaptionTokenizer.train(train, kind="bpe", vocab_size=420, min_count=2)
for text in (unseen[0], "아이가 🐈를 본다"):
    ids = by_pieces.encode(text)
    print(f"{text}: {len(ids)} tokens, back: {by_pieces.decode(ids)}")
    assert by_pieces.decode(ids) == text
assert by_pieces.coverage(unseen) == 1.0

# %% [markdown]
# ## What it costs
#
# The more merges, the shorter a sentence in tokens and the larger the vocabulary. How large? Below,
# measured.
#
# ## 값은 얼마나
#
# 많이 합칠수록 문장은 짧아지고 단어장은 커집니다. 얼마나 크게 할까요? 아래에 재어 봅니다.

# %%
sizes = [262, 280, 300, 330, 360, 400, 450, 500]
lengths = []
for size in sizes:
    pieces = CaptionTokenizer.train(train, kind="bpe", vocab_size=size, min_count=2)
    lengths.append(np.mean([len(ids) for ids in pieces.encode_batch(unseen)]))
    print(f"{pieces.vocab_size:>4} tokens in the vocabulary: {lengths[-1]:.1f} tokens a sentence")

# %% [markdown]
# ## The picture
#
# ## 그림

# %%
figure, (left, middle, right) = panels(3, width=4.6, height=3.2)
left.imshow(batch.numpy() != tokenizer.pad_id, cmap="Oranges", vmin=0, vmax=4, aspect="auto")
left.grid(False)
for row, column in np.ndindex(*batch.shape):
    word = tokenizer.tokens[batch[row, column]]
    left.text(column, row - 0.12, word, ha="center", va="center", fontsize=6)
    left.text(column, row + 0.18, int(batch[row, column]), ha="center", va="center", fontsize=8.5)
left.set(xticks=[], yticks=[])
name(left, "A batch: words, ids, padding (white)", "11 places")
middle.bar([0, 1], [unknown, 1 - by_pieces.coverage(unseen)], color=["#c2540a", "#1d7a45"], width=0.55)
for place, share in enumerate((unknown, 0.0)):
    middle.text(place, share + 0.01, f"{share:.0%}", ha="center", fontsize=11)
middle.set_xticks([0, 1], ["words", "BPE"])
middle.set_ylim(0, 0.4)
example = "고양이가 · 고양이를 · 고양이는"
middle.text(
    0.5,
    0.335,
    example,
    ha="center",
    fontproperties=font(example, 11),
    color="#7a746b",
    bbox={"facecolor": "white", "edgecolor": "none"},
)
name(middle, "Unknown in unseen sentences", up="share of words")
right.plot(sizes, lengths, color="#c2540a", marker="o", linewidth=2)
right.axhline(4, color="#7a746b", linestyle=(0, (4, 3)), linewidth=1)
right.text(sizes[0], 4.5, "4 words", fontsize=8.5, color="#7a746b")
right.set_ylim(0, max(lengths) * 1.1)
name(right, "BPE: tokens a sentence", "vocabulary")
show(figure)

# %% [markdown]
# ## A question
#
# Three captions of 4, 7 and 12 words become one batch. Each gets `<eos>` at its end, and the loss looks at
# the words to predict, `<eos>` included. **How many places of the rectangle are padding, and must not
# count?**
#
# ## 질문
#
# 단어가 4개, 7개, 12개인 세 문장이 한 묶음이 됩니다. 저마다 끝에 `<eos>`가 붙고, 손실은 `<eos>`를 포함해
# 예측할 단어를 봅니다. **직사각형에서 세지 않아야 할 채운 자리는 몇 개입니까?**

# %%
answer = None  # a whole number

lengths_with_end = [4 + 1, 7 + 1, 12 + 1]
padding = 3 * max(lengths_with_end) - sum(lengths_with_end)
print(
    check(
        answer,
        padding,
        why="3 x 13 places, of which 5 + 8 + 13 = 26 are real: a third is padding. "
        "39자리 가운데 26자리가 진짜이고, 3분의 1은 채운 자리입니다.",
        hints={
            26: "Those are the real ones. 그것은 진짜 자리의 수입니다.",
            39: "That is the whole rectangle. 그것은 직사각형 전체입니다.",
        },
    )
)
assert padding == 13 and unknown > 0.2
