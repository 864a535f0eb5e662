# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. Learning a kernel
#
# The edge kernel was designed. Here kernels are learned, from examples of what they should answer.

# %%
import torch

from faltung import functional as F
from faltung import nn
from tour import chart, grey, planes, show

_ = torch.manual_seed(0)
X = torch.ones(6, 8)
X[:, 2:6] = 0
Y = F.correlate2d(X, torch.tensor([[1.0, -1.0]]))

# %% [markdown]
# > **5.1** Kernels can be learned from data. Start from random numbers, compare the output with Y
# > by the squared error, and change the kernel along the gradient, in each of 10 steps at rate
# > 0.03.
# >
# > **5.2** The layer takes and gives four dimensions: examples, channels, height, width; here one
# > example and one channel.
#
# This is the loop of the text.

# %% 5.1 5.2
conv2d = nn.Conv2d(1, 1, kernel_size=(1, 2), bias=False)
x, y = X.reshape(1, 1, 6, 8), Y.reshape(1, 1, 6, 7)
rate = 3e-2
start = conv2d.weight.detach().clone()
losses = []
for i in range(10):
    error = (conv2d(x) - y) ** 2
    conv2d.zero_grad()
    error.sum().backward()
    conv2d.weight.data[:] -= rate * conv2d.weight.grad
    losses.append(error.sum().item())
    if (i + 1) % 2 == 0:
        print(f"epoch {i + 1}, loss {error.sum():.3f}")
learned = conv2d.weight.detach()[0, 0]
print(f"learned: {[round(v, 3) for v in learned[0].tolist()]}")
show(chart(range(1, 11), {"squared error": losses}, "step", "loss", log=True), "losses")
assert conv2d(x).shape == (1, 1, 6, 7)
assert losses == sorted(losses, reverse=True)
assert torch.allclose(learned, torch.tensor([[1.0, -1.0]]), atol=0.12)

# %% [markdown]
# ## The gradient, by hand
#
# The error is Σ (X ⋆ K - Y)². Its gradient is again a cross-correlation: of X with twice the
# difference. And since the error is a parabola in the two numbers of K, everything about the loop
# above can be said in advance: the distance from [1, -1] shrinks in each step by 1 - 0.03 λ, with λ
# = 60 along [1, 1] and 12 along [1, -1]. Above a rate of 2/60 = 0.033 it would grow: the text's
# 0.03 is just small enough.

# %% 5.3
conv2d.zero_grad()
((conv2d(x) - y) ** 2).sum().backward()
by_hand = F.correlate2d(X, 2 * (F.correlate2d(X, learned) - Y))
assert torch.allclose(by_hand, conv2d.weight.grad[0, 0], atol=1e-5)

windows = torch.nn.functional.unfold(x, (1, 2))[0]
curvature = torch.linalg.eigvalsh(2 * windows @ windows.T)
print(f"curvatures: {curvature.tolist()}")
assert torch.allclose(curvature, torch.tensor([12.0, 60.0]))
directions = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
before = directions @ (start[0, 0, 0] - torch.tensor([1.0, -1.0]))
after = directions @ (learned[0] - torch.tensor([1.0, -1.0]))
assert torch.allclose(after, before * torch.tensor([1 - rate * 60, 1 - rate * 12]) ** 10, atol=1e-5)

too_fast = start[0, 0].clone()
for _ in range(60):
    too_fast -= 0.04 * F.correlate2d(X, 2 * (F.correlate2d(X, too_fast) - Y))
assert too_fast.abs().max() > 100

# %% [markdown]
# > **5.4** Where kernels are more complicated, or several layers follow each other, nobody can
# > design them by hand.
#
# But they can be learned in the same way. From a photograph and the length of its gradient,
# √(sobel-x² + sobel-y²), which no single kernel computes, two layers learn to answer nearly the
# same. Shown for a part of the photograph that they have not learned from.

# %% 5.4 tags=["varies"]
photo = grey()[::2, ::2]
sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])


def length(part: torch.Tensor) -> torch.Tensor:
    """Return the length of the gradient at every place."""
    return torch.hypot(F.correlate2d(part, sobel), F.correlate2d(part, sobel.T.contiguous()))


def learn(model: torch.nn.Module, part: torch.Tensor, steps: int) -> None:
    """Let a model learn to answer the length of the gradient."""
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(steps):
        loss = torch.nn.functional.mse_loss(model(part[None, None])[0, 0], length(part))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def unexplained(model: torch.nn.Module, part: torch.Tensor) -> float:
    """Return the share of the variance that a model misses."""
    with torch.no_grad():
        wanted = length(part)
        return float((model(part[None, None])[0, 0] - wanted).var() / wanted.var())


single = nn.Conv2d(1, 1, 3)
double = torch.nn.Sequential(nn.Conv2d(1, 8, 3), torch.nn.ReLU(), nn.Conv2d(8, 1, 1))
seen, unseen = photo[40:140, 20:160].contiguous(), photo[40:140, 180:320].contiguous()
for model in (single, double):
    learn(model, seen, 300)
missed = unexplained(single, unseen), unexplained(double, unseen)
print(f"variance missed on the unseen part: one layer {missed[0]:.1%}, two layers {missed[1]:.1%}")
answer = double(unseen[None, None])[0, 0]
show(planes([("wanted", length(unseen)), ("learned, two layers", answer)]), "length")
assert missed[0] > 0.5
assert missed[1] < 0.15

# %% [markdown]
# > **5.5** Kernel and bias are improved step by step.
#
# A layer with a bias learns both, here that the picture was inverted: 1 - X.

# %% 5.5
inverse = nn.Conv2d(1, 1, 1)
optimizer = torch.optim.SGD(inverse.parameters(), 0.3)
for _ in range(200):
    loss = torch.nn.functional.mse_loss(inverse(x), 1 - x)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"weight {inverse.weight.item():.3f}, bias {inverse.bias.item():.3f}")
assert abs(inverse.weight.item() + 1) < 0.01
assert abs(inverse.bias.item() - 1) < 0.01

# %% [markdown]
# > **5.6** Whether the layer cross-correlates or convolves while it learns makes little difference
# > to its output.
#
# To its output. The kernel it learns is the turned one. (3.4 says when the outputs are the same.)

# %% 5.6
strict = nn.Conv2d(1, 1, (1, 2), bias=False, flip=True)
for _ in range(10):
    strict.zero_grad()
    ((strict(x) - y) ** 2).sum().backward()
    strict.weight.data[:] -= rate * strict.weight.grad
print(f"strict: {[round(v, 3) for v in strict.weight.flatten().tolist()]}")
assert torch.allclose(strict.weight[0, 0], torch.tensor([[-1.0, 1.0]]), atol=0.12)
assert torch.allclose(strict(x), conv2d(x), atol=0.25)
