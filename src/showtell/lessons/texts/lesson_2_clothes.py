# %% [markdown]
# # 2. Clothes: three networks, and a borrowed one
#
# Fashion-MNIST: grey images of clothes, 28x28 pixels, ten classes. You train a linear model, a network with a
# hidden layer and a small convolutional network, and see which classes they mix up. Then a network that
# somebody else trained turns each image into *features*, numbers that say what is in it, and a linear model
# learns from those.
#
# The lesson brings 2,500 of the images. To use all 70,000 (they are in Debian's package
# `dataset-fashion-mnist`), run `python lesson_2_clothes.py --full FOLDER`, which takes much longer.
#
# Fashion-MNIST는 28x28 픽셀의 흑백 옷 사진이고, 클래스는 열 개입니다. 선형 모델, 은닉층이 하나 있는 신경망,
# 작은 합성곱 신경망을 학습시키고, 어떤 클래스를 서로 헷갈리는지 봅니다. 그다음에는 다른 사람이 학습시킨
# 신경망으로 사진을 *특징*(feature), 곧 무엇이 있는지 나타내는 숫자로 바꾸고, 선형 모델이 그 특징에서
# 배웁니다.
#
# 이 강의에는 그중 2,500장이 들어 있습니다. 70,000장 전부(Debian의 `dataset-fashion-mnist` 패키지에
# 있습니다)를 쓰려면 `python lesson_2_clothes.py --full 폴더`로 실행하세요. 훨씬 오래 걸립니다.

# %%
import gzip
import sys
import tempfile
from importlib import resources
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import showtell
from showtell.backbones.sources import weights_at_hand
from showtell.evaluation.class_scores import class_scores
from showtell.lessons.figures import name, panels, show
from showtell.lessons.questions import check

CLASSES = "T-shirt trouser pullover dress coat sandal shirt sneaker bag boot".split()
FULL = sys.argv[sys.argv.index("--full") + 1] if "--full" in sys.argv else None

# %% [markdown]
# ## The data
#
# The 2,500 images are one PNG, a sheet of 50 rows of 50 images. The first 40 rows are for training, the last
# 10 for testing: what counts is how well a network does on images that it has not learnt from. The files of
# the full data set (format IDX) begin with a few bytes that say what follows; then come the pixels.
#
# ## 데이터
#
# 2,500장은 PNG 한 장에 50줄, 한 줄에 50장씩 있습니다. 앞의 40줄로 학습하고 뒤의 10줄로 시험합니다. 중요한
# 것은 배우지 않은 사진을 얼마나 잘 맞히는가입니다. 전체 데이터의 파일(IDX 형식)은 무엇이 들어 있는지 말하는
# 몇 바이트로 시작하고, 그 뒤에 픽셀이 그대로 이어집니다.


# %%
def read_sheet():
    folder = resources.files("showtell") / "lessons" / "fashion"
    with (folder / "sheet.png").open("rb") as file:
        sheet = np.asarray(Image.open(file))  # (1400, 1400)
    tiles = sheet.reshape(50, 28, 50, 28).swapaxes(1, 2)  # (50, 50, 28, 28): row, column, then the image
    images = tiles.reshape(-1, 28, 28)  # (2500, 28, 28)
    digits = (folder / "labels.txt").read_text(encoding="utf-8").replace("\n", "")
    return images, np.array([int(digit) for digit in digits]), 2000


def read_idx(folder):
    def read(file, header):
        return np.frombuffer(gzip.decompress((Path(folder) / file).read_bytes()), np.uint8, offset=header)

    parts = ("train", "t10k")
    images = [read(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28) for part in parts]
    labels = [read(f"{part}-labels-idx1-ubyte.gz", 8).astype(int) for part in parts]
    return np.concatenate(images), np.concatenate(labels), len(images[0])


images, labels, train_count = read_idx(FULL) if FULL else read_sheet()
pixels = torch.tensor(images / 255, dtype=torch.float32).unsqueeze(1)  # (N, 1, 28, 28), in [0, 1]
targets = torch.from_numpy(labels)  # (N,)
print(f"{train_count:,} images to learn from, {len(labels) - train_count:,} to test")

# %% [markdown]
# ## One way to train them all
#
# Each network takes a batch of inputs and returns ten numbers for each, the *logits*; the class with the
# largest is its answer. *Softmax* turns logits into probabilities: shares between 0 and 1 that sum to 1. The
# loss is the *cross-entropy*, minus the logarithm of the share of the right class: near 0 when that share is
# near 1, and large when it is small. The same function trains every network.
#
# ## 모두 같은 방법으로 학습
#
# 어느 신경망이든 입력 한 배치를 받아 하나마다 숫자 열 개, *로짓*(logits)을 돌려줍니다. 가장 큰 것의
# 클래스가 그 신경망의 답입니다. *소프트맥스*(softmax)는 로짓을 확률, 곧 0과 1 사이이고 합이 1인 몫으로
# 바꿉니다. 손실은 *교차 엔트로피*(cross-entropy), 곧 옳은 클래스의 몫의 로그에 음의 부호를 붙인 값입니다.
# 그 몫이 1에 가까우면 0에 가깝고, 몫이 작으면 커집니다. 같은 함수로 모든 신경망을 학습시킵니다.


# %%
def train_and_test(network, inputs, epochs, rate, batch=50):
    """Train on the first images; return the scores of the others."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    steps = epochs * (train_count // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)  # up, then down
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(train_count, generator=order).split(batch):  # in a new order each epoch
            optimizer.zero_grad()
            F.cross_entropy(network(inputs[rows]), targets[rows]).backward()
            optimizer.step()
            schedule.step()
    network.eval()  # no dropout from here on
    with torch.inference_mode():  # record nothing for gradients
        shares = network(inputs[train_count:]).softmax(1).numpy()  # (tested, 10)
    return class_scores(shares, labels[train_count:])


def say(what, network, scores):
    weights = sum(p.numel() for p in network.parameters())
    low, high = scores.intervals["accuracy"]
    print(f"{what:<12} {weights:>8,} weights: {scores.accuracy:.1%} right (95%: {low:.1%} to {high:.1%})")


torch.manual_seed(0)
EPOCHS = 3 if FULL else 12
results = {}

# %% [markdown]
# **Linear**: each class has one weight for each pixel, and its logit is the weighted sum of the pixels.
#
# **MLP** (multilayer perceptron): between pixels and logits lies a *hidden layer* of 128 such sums, its
# units. *ReLU* replaces what is negative by 0; without it, two layers could do no more than one. *Dropout*
# switches a fifth of the units off at each step, so that the network relies on no single one.
#
# Neither knows which pixels are neighbours: shuffle the pixels of all images in the same way, and they learn
# just as well.
#
# **Convolutions**: a layer looks for small patterns, 3x3 places large. It looks for each everywhere in the
# image with the same weights, so it needs few. *Max pooling* keeps the largest of each 2x2 values, which
# halves both sides.
#
# **선형**: 클래스마다 픽셀 하나에 가중치 하나가 있고, 로짓은 픽셀에 가중치를 곱해 더한 값입니다.
#
# **MLP**(다층 퍼셉트론): 픽셀과 로짓 사이에 그런 합 128개로 된 *은닉층*이 있습니다. 합 하나를 유닛이라고
# 합니다. *ReLU*는 음수를 0으로 바꿉니다. 이것이 없으면 층이 둘이어도 하나보다 나을 것이 없습니다.
# *드롭아웃*(dropout)은 걸음마다 유닛의 5분의 1을 꺼서 어느 하나에만 기대지 않게 합니다.
#
# 둘 다 어느 픽셀이 이웃인지 모릅니다. 모든 사진의 픽셀을 똑같이 뒤섞어도 그만큼 배웁니다.
#
# **합성곱**: 한 층이 3x3 크기의 작은 무늬를 찾습니다. 무늬마다 사진 어디서나 같은 가중치를 쓰므로 가중치가
# 적게 듭니다. *맥스 풀링*(max pooling)은 2x2마다 가장 큰 값만 남겨 가로와 세로를 반으로 줄입니다.

# %%
linear = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
results["linear"] = train_and_test(linear, pixels, EPOCHS, 3e-3)
say("linear", linear, results["linear"])

mlp = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))
results["MLP"] = train_and_test(mlp, pixels, EPOCHS, 3e-3)
say("MLP", mlp, results["MLP"])

convolutional = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),  # (B, 16, 28, 28)
    nn.ReLU(),
    nn.MaxPool2d(2),  # (B, 16, 14, 14)
    nn.Conv2d(16, 32, 3, padding=1),  # (B, 32, 14, 14)
    nn.ReLU(),
    nn.MaxPool2d(2),  # (B, 32, 7, 7)
    nn.Flatten(),  # (B, 1568)
    nn.Dropout(0.3),
    nn.Linear(32 * 7 * 7, 10),
)
results["convolutions"] = train_and_test(convolutional, pixels, EPOCHS, 5e-3)
say("convolutions", convolutional, results["convolutions"])

# %% [markdown]
# ## A borrowed network
#
# A network that was trained on other images, the *backbone*, already knows edges, textures and shapes. It
# stays as it is (*frozen*). showtell runs it **once** over each image and keeps the features that it
# computes. What is trained on them, here a linear model, is the *head*, and that takes a second. The
# backbone here is one that was trained on the photographs of ImageNet, if this machine has it (extra
# `weights`), and otherwise the small one in the package, which has seen nothing but drawn shapes.
#
# ## 빌린 신경망
#
# 다른 사진으로 학습한 신경망, *백본*(backbone)은 윤곽과 무늬와 모양을 이미 압니다. 백본은 그대로 둡니다
# (*고정*, frozen). showtell은 백본을 사진마다 **한 번만** 실행하고, 계산한 특징을 저장합니다. 그 위에서
# 학습하는 것, 여기서는 선형 모델을 *헤드*(head)라고 하며, 학습은 1초면 됩니다. 백본은 이 컴퓨터에 ImageNet
# 사진으로 학습한 것이 있으면(`weights` 추가 설치) 그것을, 없으면 패키지에 든 작은 것을 씁니다. 작은 것은
# 그려진 도형밖에 본 적이 없습니다.

# %%
if found := weights_at_hand():
    network = {"backbone": found.architecture, "image_size": 96}
else:
    network = {"weights": str(resources.files("showtell") / "backbones" / "small_backbone"), "image_size": 64}
with tempfile.TemporaryDirectory() as folder:
    for number, image in enumerate(images):
        Image.fromarray(image).save(Path(folder) / f"{number:05d}.png", compress_level=1)
    features = showtell.features(folder, **network, store=Path(folder) / "store")
    pooled = features.pooled([f"{number:05d}.png" for number in range(len(images))])  # (N, D)
print(f"{features.architecture}: {features.computed:,} images encoded in {features.seconds:.0f} s")

# Each feature gets mean 0 and standard deviation 1, so that none outweighs the others. Both are computed from
# the training images alone: nothing of the test images may shape the model.
known = torch.from_numpy(pooled.astype(np.float32))
known = (known - known[:train_count].mean(0)) / (known[:train_count].std(0) + 1e-6)
head = nn.Linear(known.shape[1], 10)
results["features"] = train_and_test(head, known, EPOCHS, 2e-3)
say("features", head, results["features"])

# %% [markdown]
# ## The picture
#
# Left, the share of test images that each model gets right, with its 95% interval: how far that share may be
# from the one over all images of this kind, since 500 of them are a sample. 500 images cannot tell 84% from
# 85%, and where intervals overlap widely, do not call one model better. Borrowed features do not always win:
# photographs and drawn shapes are far from tiny grey clothes. On a few hundred photos of your own they
# usually do.
#
# Right, the *confusion matrix* of the convolutional network: a row for each true class, a column for each
# answer. Right answers lie on the diagonal.
#
# ## 그림
#
# 왼쪽은 모델마다 시험 사진을 맞힌 비율과 95% 구간입니다. 500장은 표본이므로, 이런 사진 전체에서의 비율은
# 이만큼 다를 수 있습니다. 500장으로는 84%와 85%를 구별할 수 없고, 구간이 많이 겹치면 어느 쪽이 낫다고 말할
# 수 없습니다. 빌린 특징이 언제나 이기는 것은 아닙니다. 사진이나 그려진 도형은 작은 흑백 옷 사진과 많이
# 다릅니다. 여러분의 사진 몇백 장에서는 대개 이깁니다.
#
# 오른쪽은 합성곱 신경망의 *혼동 행렬*(confusion matrix)입니다. 가로줄은 옳은 클래스, 세로줄은 신경망의
# 답이고, 맞힌 것은 대각선에 있습니다.

# %%
figure, (left, right) = panels(2, width=4.8, height=4.2)
for row, (what, scores) in enumerate(results.items()):
    low, high = scores.intervals["accuracy"]
    left.barh(row, scores.accuracy, color="#e9b48f" if what == "features" else "#d8d0c3", height=0.6)
    left.plot([low, high], [row, row], color="#1d1b18", linewidth=2)
    left.text(0.02, row, f"{what}  {scores.accuracy:.1%}", va="center", fontsize=10)
left.set(yticks=[], xlim=(0, 1))
left.invert_yaxis()
name(left, "Right on images never seen", "share, with its 95% interval")
confusion = results["convolutions"].confusion
right.imshow(np.sqrt(confusion), cmap="Oranges")  # the root makes small counts visible
right.grid(False)
for row in range(10):
    for column in range(10):
        if count := confusion[row, column]:
            strong = count > confusion.max() / 2
            right.text(
                column, row, count, ha="center", va="center", fontsize=8, color="white" if strong else "black"
            )
right.set_xticks(range(10), CLASSES, rotation=45, ha="right")
right.set_yticks(range(10), CLASSES)
name(right, "Convolutions: what is taken for what", "answer", "true class")
show(figure)

# %% [markdown]
# ## A question
#
# Look at the row of `shirt` in the confusion matrix. **When the network gets a shirt wrong, which class does
# it answer most often?** Write the name of the class.
#
# ## 질문
#
# 혼동 행렬에서 `shirt` 가로줄을 보세요. **셔츠를 틀릴 때 어느 클래스라고 가장 자주 답합니까?** 클래스 이름을
# 쓰세요.

# %%
answer = None  # such as "bag"

mistakes = confusion[CLASSES.index("shirt")].copy()
mistakes[CLASSES.index("shirt")] = 0
mistaken = [CLASSES[place] for place in np.flatnonzero(mistakes == mistakes.max())]  # may be two alike
print(
    check(
        answer,
        answer if answer in mistaken else mistaken[0],
        why=f"{mistakes.max()} of {confusion[CLASSES.index('shirt')].sum()} shirts. At 28x28 pixels, what "
        "tells them apart is the collar, a few pixels. "
        "28x28 픽셀에서는 옷깃이 픽셀 몇 개뿐이고, 다른 점은 그것뿐입니다.",
        hints={"shirt": "That is the diagonal: those are right. 그것은 대각선이고, 맞힌 것입니다."},
    )
)
assert results["linear"].accuracy > 0.7 and results["convolutions"].accuracy > results["linear"].accuracy
