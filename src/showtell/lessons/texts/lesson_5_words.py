# %% [markdown]
# # 5. Words to numbers
#
# A network reads numbers, not words. You build a vocabulary by hand, meet words that are not in it, fill up
# captions of different lengths to make a batch (*padding*), and keep the padding out of the loss. Then comes
# Korean, where words take endings and a vocabulary of words is not enough. The answer is to cut words into
# pieces, by byte-pair encoding (BPE).
#
# 신경망은 단어가 아니라 숫자를 읽습니다. 단어장을 직접 만들고, 단어장에 없는 단어를 만나고, 길이가 다른
# 문장들을 채워(padding) 한 배치로 만들고, 채운 자리를 손실에서 뺍니다. 그다음은 한국어입니다. 단어에 조사와
# 어미가 붙어 단어장만으로는 모자랍니다. 그래서 BPE(byte-pair encoding)로 단어를 조각으로 나눕니다.

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
# What the network reads and writes one at a time is a *token*: a word here, a piece of a word later. Its
# number is its *id*. Four special tokens come first: `<pad>` fills up, `<bos>` begins a sentence, `<eos>`
# ends it, `<unk>` stands for every unknown word. Then come the words, the most frequent first.
#
# ## 직접 만드는 단어장
#
# 신경망이 한 번에 하나씩 읽고 쓰는 것이 *토큰*(token)입니다. 여기서는 단어, 나중에는 단어의 조각입니다.
# 토큰의 번호를 *id*라고 합니다. 특수 토큰 넷이 먼저 옵니다. `<pad>`는 빈자리를 채우고, `<bos>`는 문장의
# 시작, `<eos>`는 끝, `<unk>`는 모르는 단어를 나타냅니다. 그 뒤에 단어가 자주 나온 순서로 옵니다.

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
# `words` makes the text lower case, drops punctuation and splits it into words, by the same rule for training
# and for every score. The last caption has a cat, which is not in the vocabulary: it became 3, `<unk>`, and
# what it was is lost.
#
# showtell's *tokenizer* does the same for words that occur at least `min_count` times; a model keeps its own.
#
# `words`는 소문자로 바꾸고 문장 부호를 빼고 단어로 나눕니다. 학습과 모든 점수에 같은 규칙을 씁니다. 마지막
# 문장의 고양이(cat)는 단어장에 없어서 3, 곧 `<unk>`가 되었고, 무엇이었는지는 사라졌습니다.
#
# showtell의 *토크나이저*(tokenizer)도 `min_count`번 이상 나온 단어로 똑같이 하고, 모델과 함께 저장됩니다.

# %%
tokenizer = CaptionTokenizer.train(captions, min_count=1)
print(tokenizer.tokens)
assert tokenizer.tokens == vocabulary
assert all(tokenizer.encode(caption) == encode(caption) for caption in captions)
print(tokenizer.decode(tokenizer.encode("A cat sleeps.")), "<- the unknown word is gone")

# %% [markdown]
# ## Padding, and a loss that does not see it
#
# A batch is a rectangle, but captions have different lengths, so the shorter ones are filled up with `<pad>`.
# The network reads each word and learns to predict the next: the *inputs* are a caption without its last
# token, the *targets* the same without its first. To predict `<pad>` is no use, so those places do not count.
#
# ## 채우기, 그리고 채운 자리를 보지 않는 손실
#
# 배치는 직사각형인데 문장은 길이가 다릅니다. 그래서 짧은 문장은 `<pad>`로 채웁니다. 신경망은 단어를 읽고 다음
# 단어를 예측하도록 배웁니다. *입력*(inputs)은 마지막 토큰을 뺀 문장, *목표*(targets)는 첫 토큰을 뺀 같은
# 문장입니다. `<pad>` 다음에 `<pad>`를 맞히는 일은 쉽고 쓸모없으므로 그 자리는 세지 않아야 합니다.

# %%
rows = [[tokenizer.bos_id, *tokenizer.encode(caption), tokenizer.eos_id] for caption in captions]
longest = max(len(row) for row in rows)
batch = torch.tensor([row + [tokenizer.pad_id] * (longest - len(row)) for row in rows])  # (3, 11)
inputs, targets = batch[:, :-1], batch[:, 1:]  # (3, 10) each
print(batch)
print(*(f"{tokenizer.tokens[a]}->{tokenizer.tokens[b]}" for a, b in zip(inputs[0], targets[0])))

torch.manual_seed(0)
# What a network that knows nothing might say: at each place, a logit for each of the V tokens.
logits = torch.randn(*targets.shape, tokenizer.vocab_size)  # (3, 10, V)
real = targets != tokenizer.pad_id  # (3, 10), true where there is no padding: the mask
each = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")  # (3, 10); it wants (3, V, 10)

masked = (each * real).sum() / real.sum()
print(f"mean over {real.sum()} real places: {masked:.4f}; over all {real.numel()} (wrong): {each.mean():.4f}")

# %% [markdown]
# There are three ways to the same number: multiply by the mask as above, let PyTorch ignore the id of
# `<pad>`, or keep the real places only. showtell does the last (*packing*), which is the fastest.
#
# 같은 숫자에 이르는 길은 셋입니다. 위처럼 마스크를 곱하거나, PyTorch가 `<pad>`의 id를 무시하게 하거나, 실제
# 자리만 남깁니다. showtell은 마지막 방법(*packing*)을 씁니다. 가장 빠른 방법이기도 합니다.

# %%
ignored = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=tokenizer.pad_id)
packed = F.cross_entropy(logits[real], targets[real])  # (N, V) and (N,), N real places
print(f"ignore_index: {ignored:.4f}; packed: {packed:.4f}")
assert torch.allclose(masked, ignored) and torch.allclose(masked, packed)

# %% [markdown]
# ## Korean: one word, many forms
#
# 고양이가, 고양이를, 고양이는 are one word, cat, with three particles, but a vocabulary holds them as three
# words. Here are captions made of 12 animals, 4 particles and 6 verbs. Two thirds of the forms (an animal
# with its particle) are for training; the others are met later for the first time, as in life.
#
# ## 한국어: 한 단어, 여러 꼴
#
# '고양이가', '고양이를', '고양이는'은 고양이 하나에 조사 셋이지만, 단어장에는 세 단어입니다. 동물 열둘,
# 조사 넷, 동사 여섯으로 문장을 만듭니다. 동물에 조사가 붙은 꼴의 3분의 2로 배우고, 나머지는 나중에 처음
# 만납니다. 실제로도 그렇습니다.

# %%
ANIMALS = "고양이 강아지 토끼 거북이 오리 다람쥐 코끼리 너구리 펭귄 기린 호랑이 돌고래".split()
PARTICLES = (("가", "이"), ("를", "을"), ("는", "은"), ("와", "과"))  # after a vowel, after a consonant
VERBS = "본다 좋아한다 기다린다 따라간다 그린다 찾는다".split()


def with_particle(noun, forms):
    # In Unicode, each vowel of Hangul is followed by its 28 endings, of which the first is none.
    ends_in_consonant = (ord(noun[-1]) - ord("가")) % 28 != 0
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
unknown = 1 - by_words.coverage(unseen)  # coverage: the share of words that are known
print(f"words: {by_words.vocab_size} tokens; {unknown:.0%} of the words in unseen sentences are unknown")
print(f"  {unseen[0]} -> {by_words.decode(by_words.encode(unseen[0]))}")

# %% [markdown]
# One word in four is unknown, and it is the one that matters. The way out works for every script.
#
# 네 단어에 하나를 모르는데, 하필 가장 중요한 단어입니다. 어느 문자에나 통하는 해결책이 있습니다.
#
# ## Byte-pair encoding by hand
#
# Begin with small pieces, here syllables. Merge the pair of neighbours that occurs most often into one piece,
# and repeat. What is frequent grows together; what is rare stays in pieces, but is not unknown. All that is
# learnt is the list of merges in their order; `split` applies it to any word.
#
# ## 직접 해 보는 BPE
#
# 작은 조각, 여기서는 음절에서 시작합니다. 이웃한 두 조각 가운데 가장 자주 나오는 쌍을 한 조각으로 합치고,
# 되풀이합니다. 자주 나오는 것은 합쳐져 자라고, 드문 것은 조각으로 남지만 모르는 것은 되지 않습니다. 배우는
# 것은 합친 쌍의 목록과 순서뿐입니다. `split`이 이것을 어떤 단어에든 적용합니다.


# %%
def learn_merges(texts, most):
    pieces = Counter(tuple(word) for text in texts for word in text.split())  # each word, how often it occurs
    learnt = []
    for _ in range(most):
        pairs = Counter()
        for word, count in pieces.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += count
        if not pairs:  # every word is one piece
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
# Many nouns have grown together and many particles stand alone, though nobody taught it grammar. showtell's
# BPE starts from *bytes* (a Hangul syllable is three), so that no text is ever unknown, emoji included.
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
# The more merges, the larger the vocabulary and the shorter a sentence in tokens. The least is 260, the 256
# bytes and the 4 special tokens; each further token is a merge. How many can there be? Ask for up to 500.
#
# ## 값은 얼마나
#
# 많이 합칠수록 단어장은 커지고 문장의 토큰은 줄어듭니다. 가장 작은 것은 바이트 256개와 특수 토큰 4개, 곧
# 260이고, 하나가 늘 때마다 한 번 더 합칩니다. 얼마나 커질 수 있을까요? 500까지 시도해 봅니다.

# %%
sizes, lengths = [], []
for most in (262, 280, 300, 330, 360, 400, 500):
    pieces = CaptionTokenizer.train(train, kind="bpe", vocab_size=most, min_count=2)
    sizes.append(pieces.vocab_size)
    lengths.append(np.mean([len(ids) for ids in pieces.encode_batch(unseen)]))
    print(f"{pieces.vocab_size:>4} tokens in the vocabulary: {lengths[-1]:.1f} tokens a sentence")

# %% [markdown]
# ## The picture
#
# Left, the batch. In the middle, the share of unknown words: 고양이가 may be known, 고양이는 not. Right, the
# tokens of a sentence. The line ends at 416, where each word of the training is one piece.
#
# ## 그림
#
# 왼쪽은 배치입니다. 가운데는 모르는 단어의 비율입니다. '고양이가'는 알아도 '고양이는'은 모를 수 있습니다.
# 오른쪽은 문장의 토큰 수입니다. 선은 416에서 끝납니다. 거기서는 학습한 단어가 모두 한 조각입니다.

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
box = {"facecolor": "white", "edgecolor": "none"}
middle.text(0.5, 0.335, example, ha="center", fontproperties=font(example, 11), color="#7a746b", bbox=box)
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
# Three captions of 4, 7 and 12 words become one batch. The targets of each are its words and `<eos>`. **How
# many places of the rectangle of targets are padding, and must not count?**
#
# ## 질문
#
# 단어가 4개, 7개, 12개인 세 문장이 한 배치가 됩니다. 저마다의 목표는 단어들과 `<eos>`입니다. **목표의
# 직사각형에서 세지 않아야 할 채운 자리는 몇 개입니까?**

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
assert padding == 13 and unknown > 0.2 and sizes[-1] == 416
