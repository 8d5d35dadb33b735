# %% [markdown]
# # 4. What the network is shown
#
# Between the file on the disk and the network lies a chain of steps: decode, turn upright, resize,
# normalise. If it differs between training and use, nothing crashes; the answers are just wrong. The study
# notes of lesson 3 had this mistake: trained on pixels in [0, 1], used on pixels in [-1, 1]. Here you
# follow the chain, make the mistake on purpose, and find it.
#
# 디스크의 파일과 신경망 사이에는 사슬이 있습니다. 디코딩하고, 똑바로 세우고, 크기를 바꾸고, 정규화합니다.
# 학습할 때와 쓸 때 이 사슬이 다르면, 프로그램은 멈추지 않고 답만 틀립니다. 3강의 공부 노트에 이 실수가
# 있었습니다. [0, 1] 픽셀로 학습하고 [-1, 1] 픽셀로 예측했습니다. 여기서는 사슬을 따라가 보고, 일부러 실수를
# 한 다음 찾아냅니다.

# %%
import io
from importlib import resources

import numpy as np
import torch
from PIL import Image
from torch import nn

from showtell.backbones.weights import load_backbone
from showtell.data.images import Preprocessing, load_pixels, open_image
from showtell.lessons.figures import name, panels, picture, show
from showtell.lessons.questions import check

# %% [markdown]
# ## Decoding, and which way is up
#
# *Decoding* turns the bytes of a JPEG into pixels: three numbers from 0 to 255 (uint8) for red, green and
# blue. A phone stores the pixels as its sensor lies. How to turn them is noted in the EXIF data, a block
# of facts about the photo in the same file. A program that ignores it trains on cats that lie on their sides.
#
# ## 디코딩, 그리고 위아래
#
# *디코딩*은 JPEG의 바이트를 픽셀로 바꿉니다. 픽셀 하나는 빨강, 초록, 파랑을 나타내는 0에서 255까지의 숫자
# 셋(uint8)입니다. 휴대전화는 센서가 놓인 방향대로 픽셀을 저장하고, 어떻게 돌려야 하는지는 같은 파일의 사진
# 정보, EXIF에 적어 둡니다. 이것을 무시하면 옆으로 누운 고양이로 학습하게 됩니다.

# %%
with (resources.files("showtell") / "samples" / "photographs" / "cat.jpg").open("rb") as opened:
    cat = Image.open(opened).convert("RGB")
phone = io.BytesIO()  # a file in memory, as a phone would write it
exif = Image.Exif()
exif[0x0112] = 6  # Orientation: turn by 90 degrees to show
cat.transpose(Image.Transpose.ROTATE_90).save(phone, "JPEG", exif=exif, quality=95)

ignored = Image.open(io.BytesIO(phone.getvalue()))
upright = open_image(phone.getvalue())  # showtell's way, which follows EXIF
print(f"as stored: {ignored.width}x{ignored.height}; upright: {upright.width}x{upright.height}")
assert upright.size == cat.size != ignored.size

# %% [markdown]
# ## Resizing
#
# A network wants a square. *Crop* cuts the margins off, *stretch* distorts the shapes. showtell stretches by
# default, since a caption may also speak of what is at the margins.
#
# Shrinking must average, too. If it only picks every sixth pixel, a fine pattern becomes a coarse one that
# was never there (*aliasing*). Here, rings that grow ever finer towards the margin are shrunk to a sixth in
# both ways. At a sixth, the fine ones can only be an even grey.
#
# ## 크기 바꾸기
#
# 신경망은 정사각형을 원합니다. *crop*은 가장자리를 잘라 내고, *stretch*는 모양을 늘입니다. 캡션은
# 가장자리에 있는 것도 말하므로 showtell은 기본으로 늘입니다.
#
# 줄일 때는 평균도 내야 합니다. 여섯 픽셀마다 하나씩 뽑기만 하면 고운 무늬가 원래 없던 굵은 무늬로 바뀝니다
# (*앨리어싱*, aliasing). 가장자리로 갈수록 가늘어지는 고리 무늬를 두 가지 방법으로 6분의 1로 줄여 봅니다.
# 6분의 1 크기에서 가는 고리는 고른 회색일 수밖에 없습니다.


# %%
def resized(fit):
    half = (0.5, 0.5, 0.5)  # mean and std are used inside the network, not here
    how = Preprocessing(224, 224, fit, crop_pct=1.0, interpolation="bilinear", mean=half, std=half)
    return load_pixels(cat, how)  # (3, 224, 224), uint8


crop, stretch = resized("crop"), resized("stretch")
rows, columns = np.mgrid[0:384, 0:384]
rings = (127.5 + 127.5 * np.sin(np.hypot(rows - 192, columns - 192) ** 2 / 90)).astype(np.uint8)
picked = rings[::6, ::6]  # every sixth pixel, (64, 64)
averaged = np.asarray(Image.fromarray(rings).resize((64, 64), Image.Resampling.BILINEAR))
print(f"contrast: {picked.std():.0f} of every sixth pixel (false rings), {averaged.std():.0f} of averages")

# %% [markdown]
# ## Five normalisations
#
# A network does not get 0 to 255: training goes better with numbers around 0 of about the size 1. There are
# several ways to get there. Here `x` is the pixel divided by 255. Which way is right? *The one that the
# network was trained with.* No other reason counts.
#
# ## 다섯 가지 정규화
#
# 신경망에는 0에서 255를 그대로 넣지 않습니다. 0 근처에 있고 크기가 1쯤인 숫자일 때 학습이 더 잘됩니다. 그렇게
# 바꾸는 방법은 여럿입니다. 여기서 `x`는 픽셀을 255로 나눈 값입니다. 어느 것이 옳을까요? *그 신경망이 학습할
# 때 쓴 것*입니다. 다른 이유는 없습니다.

# %%
x = stretch.double() / 255  # (3, 224, 224), in [0, 1]
per_channel = {"dim": (1, 2), "keepdim": True}  # for red, green and blue by themselves
normalised = {
    "x": x,
    "(x - min) / (max - min)": (x - x.min()) / (x.max() - x.min()),
    "(x - its mean) / its std": (x - x.mean(**per_channel)) / x.std(**per_channel),
    "ImageNet's mean and std": (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
    / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1),
    "(x - 0.5) / 0.5": (x - 0.5) / 0.5,
}
for what, values in normalised.items():
    print(f"{what:<26} from {values.min():6.2f} to {values.max():5.2f}, mean {values.mean():5.2f}")

# %% [markdown]
# ## The mistake, made on purpose
#
# The clothes of lesson 2, and a small network of your own. It learns from pixels in [0, 1]. Months later,
# somebody writes the program that uses it, in another file, and scales to [-1, 1]. You also try it the other
# way round.
#
# ## 일부러 하는 실수
#
# 2강의 옷 사진과, 직접 만든 작은 신경망입니다. [0, 1] 픽셀로 배웁니다. 몇 달 뒤에 누군가 이 신경망을 쓰는
# 프로그램을 다른 파일에 만들면서 픽셀을 [-1, 1]로 바꿉니다. 거꾸로도 해 봅니다.

# %%
fashion = resources.files("showtell") / "lessons" / "fashion"
with (fashion / "sheet.png").open("rb") as file:
    sheet = np.asarray(Image.open(file)).reshape(50, 28, 50, 28)
clothes = torch.from_numpy(sheet.swapaxes(1, 2).reshape(-1, 1, 28, 28).copy())  # (2500, 1, 28, 28), uint8
digits = (fashion / "labels.txt").read_text(encoding="utf-8").replace("\n", "")
labels = torch.tensor([int(digit) for digit in digits])  # (2500,)
RANGES = {"[0, 1]": lambda pixels: pixels / 255, "[-1, 1]": lambda pixels: pixels / 127.5 - 1}


def learn(scale):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2),  # (B, 16, 13, 13)
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2),  # (B, 32, 6, 6)
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 6 * 6, 10),
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(6):
        for rows in torch.randperm(2000).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(scale(clothes[rows])), labels[rows]).backward()
            optimizer.step()
    return network.eval()


accuracy = {}
for learnt in RANGES:
    network = learn(RANGES[learnt])
    for used in RANGES:
        with torch.inference_mode():
            answers = network(RANGES[used](clothes[2000:])).argmax(1)
        accuracy[learnt, used] = (answers == labels[2000:]).float().mean().item()
        mark = "" if learnt == used else "   <- the mistake"
        print(f"trained on {learnt:<7}, used on {used:<7}: {accuracy[learnt, used]:.0%} right{mark}")

# %% [markdown]
# ## And found
#
# Nothing crashed, and the answers are still right far more often than by chance (10%), so nobody notices. How
# do you find such a mistake? *Look at the numbers, not at the code*: put the same image through both programs
# and compare what reaches the network.
#
# ## 찾아내기
#
# 프로그램은 멈추지 않았고, 찍을 때의 10%보다는 훨씬 자주 맞아서 아무도 눈치채지 못합니다. 이런 실수는 어떻게
# 찾을까요? *코드를 보지 말고 숫자를 보세요.* 같은 사진을 두 프로그램에 넣고, 신경망에 들어가는 값을
# 비교합니다.

# %%
for what, scale in RANGES.items():
    seen = scale(clothes[2000:2001])
    print(f"the same image as the network gets it, {what:<7}: mean {seen.mean():.2f}, std {seen.std():.2f}")

# %% [markdown]
# With showtell you cannot make this mistake. A backbone takes uint8 pixels and normalises them inside. One
# record (`Preprocessing`) says how, and it is kept with the features, the model and the export.
#
# showtell에서는 이 실수를 할 수 없습니다. 백본은 uint8 픽셀을 받아 안에서 정규화하고, 그 방법은 기록
# 하나(`Preprocessing`)에 있으며, 이 기록이 특징과 모델과 내보낸 파일을 늘 따라다닙니다.

# %%
with resources.as_file(resources.files("showtell") / "backbones" / "small_backbone") as folder:
    backbone = load_backbone(None, str(folder))
print(backbone.preprocessing)
grid, pooled = backbone(torch.stack([backbone.pixels(cat)]))  # (1, 3, height, width), uint8, goes in
print(f"grid {tuple(grid.shape)}, pooled {tuple(pooled.shape)}")

# %% [markdown]
# ## The picture
#
# Above, the cat with EXIF ignored and followed, cropped and stretched. Below, the rings: only the small one
# in the middle is real, all others are aliasing. Then how often each value occurs in the stretched cat, by
# three of the normalisations, and what the mistake costs.
#
# ## 그림
#
# 위는 EXIF를 무시한 고양이와 따른 고양이, 잘라 낸 것과 늘인 것입니다. 아래는 고리 무늬입니다. 가운데 작은
# 고리만 진짜이고 나머지는 모두 앨리어싱입니다. 그 옆은 늘인 고양이의 값이 얼마나 자주 나오는지를 세 가지
# 정규화로 나타낸 것이고, 마지막은 실수의 대가입니다.

# %%
figure, axes = panels(4, 2, width=3.0, height=2.6)
picture(axes[0], ignored, "EXIF ignored")
picture(axes[1], upright, "upright")
picture(axes[2], crop.permute(1, 2, 0), "cropped to a square")
picture(axes[3], stretch.permute(1, 2, 0), "stretched to a square")
picture(axes[4], picked, "rings: every sixth pixel")
picture(axes[5], averaged, "rings: averaged")
SCALES = {"x": "#7a746b", "(x - 0.5) / 0.5": "#c2540a", "ImageNet's mean and std": "#1d7a45"}
for what, colour in SCALES.items():
    counts, edges = np.histogram(normalised[what], bins=24, density=True)
    axes[6].plot((edges[1:] + edges[:-1]) / 2, counts, linewidth=1.8, color=colour, label=what)
axes[6].legend(frameon=False, fontsize=7.5, loc="upper left", labelcolor="linecolor")
axes[6].set(yticks=[], ylim=(0, axes[6].get_ylim()[1] * 1.5))
name(axes[6], "One cat, three scales", "what the network gets")
bars = [("right", accuracy["[0, 1]", "[0, 1]"]), ("mistake", accuracy["[0, 1]", "[-1, 1]"])]
for place, (what, share) in enumerate(bars):
    axes[7].bar(place, share, width=0.6, color="#c2540a" if what == "mistake" else "#1d7a45")
    axes[7].text(place, share + 0.03, f"{share:.0%}", ha="center", fontsize=10)
axes[7].axhline(1 / 10, color="#7a746b", linestyle=(0, (4, 3)), linewidth=1)
axes[7].text(0.5, 1 / 10 + 0.02, "chance", ha="center", fontsize=8, color="#7a746b")
axes[7].set(ylim=(0, 1.15), xlim=(-0.55, 1.5))
axes[7].set_xticks([0, 1], ["used on [0, 1]", "on [-1, 1]"])
name(axes[7], "Trained on [0, 1]")
show(figure)

# %% [markdown]
# ## A question
#
# A network expects `(x - 0.5) / 0.5`, where `x` is the pixel divided by 255. **What does it get for a pixel
# of 51?**
#
# ## 질문
#
# 어떤 신경망이 `(x - 0.5) / 0.5`를 기대합니다. `x`는 픽셀을 255로 나눈 값입니다. **픽셀 51은 얼마가
# 됩니까?**

# %%
answer = None  # a number

print(
    check(
        answer,
        (51 / 255 - 0.5) / 0.5,
        within=0.01,
        why="x = 0.2, and (0.2 - 0.5) / 0.5 = -0.6: dark pixels are negative. 어두운 픽셀은 음수가 됩니다.",
        hints={0.2: "That is x, before the normalisation. 그것은 정규화하기 전의 x입니다."},
    )
)
assert accuracy["[0, 1]", "[0, 1]"] > 0.8
assert accuracy["[0, 1]", "[-1, 1]"] < accuracy["[0, 1]", "[0, 1]"] - 0.1
