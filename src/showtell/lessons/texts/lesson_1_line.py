# %% [markdown]
# # 1. A line: what training is
#
# A network learns by changing numbers until its mistakes are small. The smallest network has two numbers:
# `w` and `b` of a line `y = w x + b`. Everything that trains a large network is here already: a loss, its
# gradient, a step, a learning rate. You write each of them by hand, and then let PyTorch and showtell do
# it.
#
# 신경망은 실수가 작아질 때까지 숫자를 조금씩 바꾸며 배웁니다. 가장 작은 신경망은 숫자가 두 개입니다. 직선
# `y = w x + b`의 `w`와 `b`입니다. 큰 신경망을 학습시키는 데 필요한 것은 여기에 이미 다 있습니다. 손실,
# 기울기(gradient), 한 걸음, 학습률입니다. 하나씩 직접 써 보고, 그다음 PyTorch와 showtell에 맡깁니다.

# %%
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from showtell.console import Console
from showtell.lessons.figures import name, panels, show
from showtell.lessons.questions import check
from showtell.training.loop import Loop
from showtell.training.processes import ALONE
from showtell.training.schedule import LoopConfig

# %% [markdown]
# ## The data
#
# 100 points near the line `y = 2 x + 0.5`, moved up or down at random. No line can explain this *noise*.
#
# ## 데이터
#
# 직선 `y = 2 x + 0.5` 근처에 있는 점 100개입니다. 점마다 위나 아래로 무작위로 조금씩 옮겼습니다. 이
# *잡음*(noise)은 어떤 직선으로도 설명할 수 없는 부분입니다.

# %%
chance = np.random.default_rng(0)  # draws the same numbers in every run
x = chance.uniform(-1, 1, 100)  # (100,)
y = 2.0 * x + 0.5 + chance.normal(0, 0.3, 100)  # (100,)
print(f"{len(x)} points; the first: x = {x[0]:.2f}, y = {y[0]:.2f}")

# %% [markdown]
# ## The loss, and its gradient by hand
#
# The error of a point is how far the line is off: `error = w x + b - y`. The *loss* is the mean of the
# squared errors: one number that says how wrong the line is. The *gradient* says how fast the loss changes if
# `w` or `b` grows a little. The derivative of `error ** 2` is `2 * error` times the derivative of `error`
# (the chain rule), which is `x` for `w` and 1 for `b`:
#
# - with respect to `w`: the mean of `2 * error * x`
# - with respect to `b`: the mean of `2 * error`
#
# ## 손실과, 손으로 구한 기울기
#
# 점 하나의 오차는 직선이 그 점에서 벗어난 만큼, `error = w x + b - y`입니다. *손실*(loss)은 오차 제곱의
# 평균으로, 직선이 얼마나 틀렸는지를 숫자 하나로 나타냅니다. *기울기*(gradient)는 `w`나 `b`가 조금 커질 때
# 손실이 얼마나 빨리 변하는지를 나타냅니다. `error ** 2`의 미분은 `2 * error`에 `error`의 미분을 곱한
# 것입니다(연쇄 법칙). `error`의 미분은 `w`에 대해서는 `x`, `b`에 대해서는 1입니다.
#
# - `w`에 대한 기울기: `2 * error * x`의 평균
# - `b`에 대한 기울기: `2 * error`의 평균


# %%
def loss_of(w, b):
    return np.mean((w * x + b - y) ** 2)


def gradient_of(w, b):
    error = w * x + b - y  # (100,)
    return np.mean(2 * error * x), np.mean(2 * error)


print(f"At w = 0, b = 0 the loss is {loss_of(0, 0):.3f}")
print("and its gradient: {:.3f} for w, {:.3f} for b".format(*gradient_of(0, 0)))

# %% [markdown]
# Both are negative: the loss falls if `w` or `b` grows. Is the formula right? Move `w` by a tiny bit and
# measure. *Always test a gradient like this.*
#
# 둘 다 음수입니다. `w`나 `b`가 커지면 손실이 줄어든다는 뜻입니다. 공식이 맞을까요? `w`를 아주 조금 움직여
# 재어 보면 압니다. *기울기는 언제나 이렇게 확인하세요.*

# %%
tiny = 1e-6
measured = (loss_of(tiny, 0) - loss_of(-tiny, 0)) / (2 * tiny)
print(f"measured {measured:.6f}, by the formula {gradient_of(0, 0)[0]:.6f}")
assert abs(measured - gradient_of(0, 0)[0]) < 1e-6

# %% [markdown]
# ## The same by autograd
#
# PyTorch records what is computed from numbers with `requires_grad=True`. `backward()` then applies the chain
# rule and leaves each gradient in `.grad`. Nobody writes gradients by hand for a network with a million
# numbers, but it is the same calculation.
#
# ## autograd로 똑같이
#
# PyTorch는 `requires_grad=True`인 숫자로 계산한 것을 기록해 둡니다. `backward()`를 부르면 연쇄 법칙을
# 적용하고, 기울기를 저마다의 `.grad`에 넣어 둡니다. 숫자가 백만 개인 신경망의 기울기를 손으로 쓰는 사람은
# 없지만, 하는 계산은 똑같습니다.

# %%
xs, ys = torch.from_numpy(x), torch.from_numpy(y)
w = torch.zeros((), dtype=torch.float64, requires_grad=True)
b = torch.zeros((), dtype=torch.float64, requires_grad=True)
loss = ((w * xs + b - ys) ** 2).mean()
loss.backward()
print(f"autograd: {w.grad:.6f} for w, {b.grad:.6f} for b")
assert np.allclose((w.grad, b.grad), gradient_of(0, 0))

# %% [markdown]
# ## Steps: gradient descent
#
# Think of the loss as a valley: each `w` and `b` is a place, the loss its height. The gradient points uphill,
# so go a step *against* it, and again. A step is the gradient times the **learning rate**.
#
# ## 걸음: 경사 하강법
#
# 손실을 골짜기라고 생각해 보세요. `w`와 `b`가 자리이고, 손실이 그 자리의 높이입니다. 기울기는 오르막을
# 가리키므로 그 *반대*로 한 걸음 가고, 또 갑니다. 한 걸음은 기울기 곱하기 **학습률**(learning rate)입니다.


# %%
def descend(rate, steps):
    """Return the losses on the way, and where it ends."""
    w = b = 0.0
    losses = []
    for _ in range(steps):
        losses.append(loss_of(w, b))
        slope_w, slope_b = gradient_of(w, b)
        w, b = w - rate * slope_w, b - rate * slope_b
    return losses, w, b


RATES = {"too small": 0.01, "good": 0.3, "too large": 1.05}
curves = {}
for what, rate in RATES.items():
    curves[what], end_w, end_b = descend(rate, 60)
    print(
        f"rate {rate} ({what}): loss {curves[what][-1]:.3f} after 60 steps, w = {end_w:.2f}, b = {end_b:.2f}"
    )

# %% [markdown]
# With too small a rate, progress is slow. With too large a rate, each step jumps over the bottom of the
# valley and lands higher on the other side. In between is a wide range of rates that work. The loss does
# not fall to 0, since the noise is left.
#
# 학습률이 너무 작으면 느립니다. 너무 크면 골짜기 바닥을 뛰어넘어 반대쪽 더 높은 곳에 떨어지고, 갈수록 더
# 높아집니다. 그 사이에 잘되는 넓은 범위가 있습니다. 잡음이 남으므로 손실은 0이 되지 않습니다.
#
# ## AdamW
#
# Large networks use AdamW. It keeps a moving average of the gradient (`m`) and of its square (`v`), and
# divides the first by the root of the second. So each number moves by about the learning rate, whether its
# gradient is large or small. `BETA1` and `BETA2` say how much of each average is kept at a step, and
# `EPSILON` prevents a division by zero. (The W stands for weight decay, which also pulls each number a little
# towards zero; here it is off.) Here it is in five lines, beside PyTorch's own.
#
# 큰 신경망에는 AdamW를 씁니다. 기울기의 이동 평균(`m`)과 기울기 제곱의 이동 평균(`v`)을 기억하고, 앞의 것을
# 뒤의 것의 제곱근으로 나눕니다. 그래서 기울기가 크든 작든 모든 숫자가 학습률만큼씩 움직입니다. `BETA1`과
# `BETA2`는 한 걸음마다 평균을 얼마나 남길지 정하고, `EPSILON`은 0으로 나누는 일을 막습니다. (W는 weight
# decay로, 숫자를 0 쪽으로 조금씩 당기는 것입니다. 여기서는 쓰지 않습니다.) 다섯 줄로 쓴 것과 PyTorch의 것을
# 나란히 놓아 봅니다.

# %%
RATE, BETA1, BETA2, EPSILON, DECAY = 0.1, 0.9, 0.999, 1e-8, 0.0
place, m, v = np.zeros(2), np.zeros(2), np.zeros(2)  # place: w and b
for step in range(1, 61):
    gradient = np.array(gradient_of(*place))
    m = BETA1 * m + (1 - BETA1) * gradient
    v = BETA2 * v + (1 - BETA2) * gradient**2
    m_fair, v_fair = m / (1 - BETA1**step), v / (1 - BETA2**step)  # m and v began at 0, too small
    place = place - RATE * (m_fair / (np.sqrt(v_fair) + EPSILON) + DECAY * place)

optimizer = torch.optim.AdamW([w, b], lr=RATE, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=DECAY)
for _ in range(60):
    optimizer.zero_grad()  # backward() adds to .grad, so it is cleared before each step
    ((w * xs + b - ys) ** 2).mean().backward()
    optimizer.step()
print(f"by hand: w = {place[0]:.6f}, b = {place[1]:.6f}")
print(f"PyTorch: w = {w.item():.6f}, b = {b.item():.6f}")
assert np.allclose(place, (w.item(), b.item()))

# %% [markdown]
# ## The same in showtell's training loop
#
# With much data, each step uses a part of it, a *batch*; one pass over all of it is an *epoch*. Some points
# are set aside for *validation*: the network never learns from them, and they show which epoch was the best.
# The numbers that a network learns, `w` and `b` here, are its *weights*.
#
# showtell trains captioners (models that write sentences about images) and classifiers (models that name what
# an image shows) with one loop. You give it a *task*: above all a network, the loss of a batch, and a
# validation score. The loop does the rest: AdamW, a learning rate that rises and then falls, a moving average
# of the weights (`ema`), and *checkpoints*, files from which a training that was stopped goes on.
#
# ## showtell의 학습 루프로 똑같이
#
# 데이터가 많으면 한 걸음에 그 일부, *배치*(batch)만 씁니다. 전체를 한 번 보는 것이 *에포크*(epoch)입니다.
# 점 몇 개는 *검증*(validation)용으로 남겨 둡니다. 학습에는 쓰지 않고, 어느 에포크가 가장 좋았는지 알려
# 줍니다. 신경망이 배우는 숫자, 여기서는 `w`와 `b`를 *가중치*(weights)라고 합니다.
#
# showtell은 캡션 모델(이미지를 문장으로 설명하는 모델)과 분류 모델(이미지에 무엇이 있는지 이름을 맞히는
# 모델)을 같은 루프로 학습시킵니다. 루프에는 *과제*(task)를 줍니다. 무엇보다 신경망, 한 배치의 손실, 검증
# 점수입니다. 나머지는 루프가 합니다. AdamW, 올라갔다 내려가는 학습률, 가중치의 이동 평균(`ema`), 그리고
# 멈춘 학습을 이어 갈 수 있는 파일, *체크포인트*(checkpoint)입니다.


# %%
class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.w, self.b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.w * x + self.b


class FitLine:
    """Learn from the first 80 points, validate on the last 20."""

    steps_per_epoch = 4  # four batches of 20 points
    unit = "points"  # for the progress bar, which shows points per second
    processes = ALONE  # this process trains alone

    def __init__(self):
        self.network = Line()
        self.x, self.y = xs.float(), ys.float()

    def loss(self, epoch, index):
        batch = slice(20 * index, 20 * index + 20)  # known from epoch and index, so training can resume
        error = self.network(self.x[batch]) - self.y[batch]
        return (error**2).mean(), len(error)  # the loss, and of how many points

    def validate(self):
        with torch.no_grad():
            loss = ((self.network(self.x[80:]) - self.y[80:]) ** 2).mean().item()
        return {"score": 1 / (1 + loss), "loss": loss}  # the loop keeps the epoch with the highest score

    def why_stop(self, progress):
        return ""  # no reason to end early


task = FitLine()
with tempfile.TemporaryDirectory() as folder:
    config = LoopConfig(epochs=40, learning_rate=0.1, weight_decay=0.0, ema=0.9, patience=40)  # never early
    # fingerprint: only a training with the same one may resume from these checkpoints
    loop = Loop(task, config, Path(folder), fingerprint="lesson 1", console=Console(quiet=True))
    progress = loop.run(resume=False)
    print("In the folder of the run:", *sorted(p.name for p in Path(folder).rglob("*") if p.is_file()))
trained_w, trained_b = task.network.w.item(), task.network.b.item()
print(
    f"showtell: w = {trained_w:.2f}, b = {trained_b:.2f} (epoch {progress.best_epoch} was best on validation)"
)
assert abs(trained_w - 2.0) < 0.2 and abs(trained_b - 0.5) < 0.2

# %% [markdown]
# ## The picture
#
# Left, the points and the line that showtell found. It is not exactly `2 x + 0.5`: the points are noisy,
# and so are the 20 that chose the epoch. Right, the loss of each learning rate, step by step. On the log
# scale, each grid line is ten times the one below; the losses of the largest rate soon leave the picture.
#
# ## 그림
#
# 왼쪽은 점들과 showtell이 찾은 직선입니다. 정확히 `2 x + 0.5`는 아닙니다. 배운 점에도, 에포크를 고른 점
# 20개에도 잡음이 있기 때문입니다. 오른쪽은 학습률마다 걸음에 따른 손실입니다. 로그 눈금이라 가로선 하나를
# 올라갈 때마다 10배이고, 가장 큰 학습률의 손실은 곧 그림 밖으로 나갑니다.

# %%
figure, (left, right) = panels(2)
left.scatter(x, y, s=12, color="#7a746b", alpha=0.7, linewidths=0)
ends = np.array([-1.0, 1.0])
left.plot(ends, trained_w * ends + trained_b, color="#c2540a", linewidth=2.2)
name(left, f"The line: y = {trained_w:.2f} x + {trained_b:.2f}", "x", "y")
for (what, losses), colour in zip(curves.items(), ("#7a746b", "#1d7a45", "#c2540a")):
    right.plot(losses, color=colour, linewidth=2, label=f"{RATES[what]}: {what}")
right.set_yscale("log")
right.set_ylim(0.04, 2000)
right.legend(frameon=False, fontsize=9, labelcolor="linecolor", loc="center right", bbox_to_anchor=(1, 0.6))
name(right, "Loss by learning rate", "step", "loss (log scale)")
show(figure)

# %% [markdown]
# ## A question
#
# The *curvature* of the loss is how fast its slope changes (the second derivative). Where it is `h`, a step
# of gradient descent multiplies the distance to the best place by `1 - rate * h`. If that is below -1, each
# step lands farther away. The largest curvature of our loss, over all directions, is about 2. **Above which
# learning rate does the loss grow?**
#
# ## 질문
#
# *곡률*은 기울기가 얼마나 빨리 변하는지입니다(두 번 미분한 값). 곡률이 `h`이면 경사 하강법의 한 걸음이 가장
# 좋은 곳까지의 거리에 `1 - rate * h`를 곱합니다. 이 값이 -1보다 작으면 걸을 때마다 더 멀어집니다. 우리
# 손실의 곡률은 모든 방향 가운데 가장 클 때 약 2입니다. **학습률이 얼마보다 크면 손실이 커질까요?**

# %%
answer = None  # a number

# The second derivatives of the loss in w and b; the largest eigenvalue is the largest curvature.
curvature = np.linalg.eigvalsh(2 * np.array([[np.mean(x**2), np.mean(x)], [np.mean(x), 1.0]])).max()
right_answer = round(2 / curvature, 2)
print(
    check(
        answer,
        right_answer,
        within=0.05,
        why=f"1 - rate * h = -1 gives rate = 2 / h, and h is {curvature:.3f}. "
        f"곡률이 {curvature:.3f}이므로 2 / h = {right_answer}입니다.",
        hints={
            0.5: "At 1 / h a step goes exactly to the best place: 1 - rate * h = 0. "
            "1 / h에서는 한 걸음에 가장 좋은 곳에 닿습니다.",
            2.0: "2 is the curvature itself. 2는 곡률입니다.",
        },
    )
)
assert descend(0.9 * right_answer, 60)[0][-1] < loss_of(0, 0) < descend(1.1 * right_answer, 60)[0][-1]
