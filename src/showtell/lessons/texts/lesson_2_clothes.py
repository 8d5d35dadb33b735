# %% [markdown]
# # 2. Clothes: three networks, and a borrowed one
#
# Fashion-MNIST: grey images of clothes, 28x28 pixels, ten classes. You train a linear model, a network with
# a hidden layer and a small convolutional network, see which classes they mix up, and then let a network
# that somebody else trained turn each image into features first.
#
# The lesson has a sheet of 2,500 of the images with it. With all 70,000 (Debian's package
# `dataset-fashion-mnist` holds them) run `python lesson_2_clothes.py --full FOLDER`; that takes much
# longer.
#
# Fashion-MNIST는 28x28 픽셀의 흑백 옷 사진이고, 클래스는 열 개입니다. 선형 모델, 은닉층이 하나 있는 신경망,
# 작은 합성곱 신경망을 학습시키고, 어떤 클래스를 서로 헷갈리는지 봅니다. 그다음에는 다른 사람이 학습시킨
# 신경망으로 사진을 먼저 특징(feature)으로 바꿔 봅니다.
#
# 이 강의에는 그중 2,500장이 들어 있습니다. 70,000장 전부를 쓰려면 `--full 폴더`를 붙여 실행하세요(훨씬 오래
# 걸립니다).

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
# The sheet is one PNG of 50 rows of 50 images; the first 40 rows are for training, the last 10 for testing.
# The files of the full data set begin with a few bytes that say what follows (the format IDX), then come
# the pixels as they are.
#
# ## 데이터
#
# PNG 한 장에 사진이 50줄, 한 줄에 50장씩 있습니다. 앞의 40줄로 학습하고 뒤의 10줄로 시험합니다. 전체
# 데이터의 파일(IDX 형식)은 무엇이 들어 있는지 말하는 몇 바이트로 시작하고, 그 뒤에 픽셀이 그대로
# 이어집니다.


# %%
def read_sheet():
    folder = resources.files("showtell") / "lessons" / "fashion"
    with (folder / "sheet.png").open("rb") as file:
        sheet = np.asarray(Image.open(file))  # (1400, 1400)
    images = sheet.reshape(50, 28, 50, 28).swapaxes(1, 2).reshape(-1, 28, 28)  # (2500, 28, 28)
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
# Each network takes a batch of inputs and returns ten numbers, the *logits*: the largest is its answer.
# Cross-entropy is small where the right class has a large share. The same function trains every network.
#
# ## 모두 같은 방법으로 학습
#
# 어느 신경망이든 입력 한 묶음을 받아 숫자 열 개, *로짓*(logits)을 돌려줍니다. 가장 큰 것이 그 신경망의
# 답입니다. 교차 엔트로피는 옳은 클래스의 몫이 클 때 작아집니다. 같은 함수로 모든 신경망을 학습시킵니다.


# %%
def train_and_test(network, inputs, epochs, rate, batch=50):
    """Train on the first images; return the scores of the others."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    steps = epochs * (train_count // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)  # up, then down
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(train_count, generator=order).split(batch):
            optimizer.zero_grad()
            F.cross_entropy(network(inputs[rows]), targets[rows]).backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.inference_mode():
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
# **Linear**: each class has one weight for each pixel. **MLP**: a hidden layer of 128 units lies between,
# and *dropout* switches a fifth of them off at each step, so that none is relied on alone. Neither knows
# that pixels have neighbours: shuffle the pixels of all images alike, and they learn as well. A
# **convolution** looks for the same small pattern everywhere, so it needs fewer weights for that.
#
# **선형**: 클래스마다 픽셀 하나에 가중치 하나가 있습니다. **MLP**: 사이에 유닛 128개의 은닉층이 있습니다.
# *드롭아웃*은 걸음마다 그 5분의 1을 꺼서 어느 하나에만 기대지 않게 합니다. 둘 다 어느 픽셀이 이웃인지
# 모릅니다. 모든 사진의 픽셀을 똑같이 뒤섞어도 그만큼 배웁니다. **합성곱**은 같은 작은 무늬를 어디서나
# 찾으므로 더 적은 가중치로 그 일을 합니다.

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
# A network that was trained on other images already knows edges, textures and shapes. showtell runs it
# **once** over each image and keeps what it found, the *features*; on them a linear model is enough, and it
# trains in a second. The network is one that knows ImageNet's photographs if this machine has it (extra
# `weights`), and otherwise the small one in the package, which has seen nothing but drawn shapes.
#
# ## 빌린 신경망
#
# 다른 사진으로 학습한 신경망은 윤곽과 무늬와 모양을 이미 압니다. showtell은 그 신경망을 사진마다 **한
# 번만** 실행하고 찾아낸 것, 곧 *특징*을 저장합니다. 그 위에는 선형 모델이면 충분하고, 학습은 1초면 됩니다.
# 이 컴퓨터에 ImageNet 사진을 아는 신경망이 있으면(`weights` 추가 설치) 그것을, 없으면 패키지에 든 작은
# 신경망을 씁니다. 작은 신경망은 그려진 도형밖에 본 적이 없습니다.

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

# Each feature gets mean 0 and standard deviation 1, by the training images alone.
known = torch.from_numpy(pooled.astype(np.float32))
known = (known - known[:train_count].mean(0)) / (known[:train_count].std(0) + 1e-6)
head = nn.Linear(known.shape[1], 10)
results["features"] = train_and_test(head, known, EPOCHS, 2e-3)
say("features", head, results["features"])

# %% [markdown]
# ## The picture
#
# Left, what each kind reaches, with its 95% interval: of 500 images nobody can tell 84% from 85%. Right,
# the *confusion matrix* of the convolutional network: a row for each true class, a column for each answer.
# What is right lies on the diagonal.
#
# ## 그림
#
# 왼쪽은 저마다의 정확도와 95% 구간입니다. 사진 500장으로는 84%와 85%를 구별할 수 없습니다. 오른쪽은 합성곱
# 신경망의 *혼동 행렬*(confusion matrix)입니다. 줄은 옳은 클래스, 칸은 신경망의 답이고, 맞힌 것은 대각선에
# 있습니다.

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
right.imshow(np.sqrt(confusion), cmap="Oranges")
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
# Look at the row of `shirt` in the confusion matrix. **What is a shirt most often taken for, if not for a
# shirt?** Write the name of the class.
#
# ## 질문
#
# 혼동 행렬에서 `shirt` 줄을 보세요. **셔츠를 잘못 볼 때 무엇으로 가장 자주 봅니까?** 클래스 이름을 쓰세요.

# %%
answer = None  # such as "bag"

mistakes = confusion[CLASSES.index("shirt")].copy()
mistakes[CLASSES.index("shirt")] = 0
mistaken = [CLASSES[place] for place in np.flatnonzero(mistakes == mistakes.max())]  # may be two alike
print(
    check(
        answer,
        answer if answer in mistaken else mistaken[0],
        why=f"{mistakes.max()} of {confusion[CLASSES.index('shirt')].sum()} shirts. At 28x28 pixels the "
        "collar is a few pixels, and that is all that tells them apart. "
        "28x28 픽셀에서는 옷깃이 픽셀 몇 개뿐이고, 다른 점은 그것뿐입니다.",
        hints={"shirt": "That is the diagonal: those are right. 그것은 대각선이고, 맞힌 것입니다."},
    )
)
assert results["linear"].accuracy > 0.7 and results["convolutions"].accuracy > results["linear"].accuracy
