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
# # 3. Strict convolution
#
# A convolutional layer is not what mathematicians call a convolution. This chapter says what the
# difference is, and why it does not matter for learning.

# %%
import itertools

import torch

from faltung import functional as F
from faltung import nn, pictures
from tour import chart, grey, planes, show

_ = torch.manual_seed(0)
image, kernel = torch.arange(9.0).view(3, 3), torch.arange(4.0).view(2, 2)

# %% [markdown]
# > **3.1** Strictly speaking, convolutional layer is the wrong name: what it computes is a
# > cross-correlation.

# %% 3.1
layer = F.conv2d(image[None, None], kernel[None, None])[0, 0]
assert torch.equal(layer, F.correlate2d(image, kernel))
assert not torch.equal(layer, F.convolve2d(image, kernel))
assert torch.equal(layer, torch.nn.functional.conv2d(image[None, None], kernel[None, None])[0, 0])

# %% [markdown]
# > **3.2** Convolution: turn the kernel left to right and top to bottom, then cross-correlate.
#
# The definition of mathematics is $(f * g)_{i,j} = \sum_a \sum_b f_{i-a,j-b} \, g_{a,b}$: the
# picture is read backwards. Written out in loops, it is what turning the kernel gives.

# %% 3.2
f, g = image, kernel
defined = torch.zeros(4, 4)  # all places where the two overlap
for i, j, a, b in itertools.product(range(4), range(4), range(2), range(2)):
    if 0 <= i - a < 3 and 0 <= j - b < 3:
        defined[i, j] += f[i - a, j - b] * g[a, b]
turned = kernel.flip(1).flip(0)
assert torch.equal(F.convolve2d(image, kernel, "full"), defined)
assert torch.equal(F.correlate2d(image, turned, "full"), defined)
print(F.convolve2d(image, kernel).tolist())
assert F.convolve2d(image, kernel).tolist() == [[5, 11], [23, 29]]
show(pictures.sliding_step(image, kernel, 0, 0, flip=True), "turned")

# %% [markdown]
# > **3.3** With the same kernel, the two often give different outputs.
#
# *Often*: they agree where the kernel is the same after half a turn, and for every picture only
# then. A blur is such a kernel; an edge kernel changes its sign.

# %% 3.3
photo = grey()[::2, ::2]
blur = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
random = torch.randn(3, 3)
for name, k, same in [("blur", blur, True), ("sobel", sobel, False), ("random", random, False)]:
    assert torch.equal(k, k.flip(0, 1)) == same
    assert torch.allclose(F.correlate2d(photo, k), F.convolve2d(photo, k), atol=1e-5) == same
    print(f"{name}: {'the same' if same else 'different'}")
assert torch.allclose(F.correlate2d(photo, sobel), -F.convolve2d(photo, sobel), atol=1e-5)
answers = [
    ("cross-correlation", F.correlate2d(photo, sobel)),
    ("convolution", F.convolve2d(photo, sobel)),
]
show(planes(answers, signed=True), "sobel")

# %% [markdown]
# > **3.4** Kernels are learned, so that it does not matter for what a network predicts whether its
# > layers cross-correlate or convolve.
#
# Two networks of two layers learn the same edges from the same photograph, one in each way. Where
# one starts with the other's kernels turned, they remain each other's turned copies through all of
# the training, and predict the same.

# %% 3.4 tags=["varies"]


def network(flip: bool) -> torch.nn.Sequential:
    """Return two layers that cross-correlate, or convolve."""
    return torch.nn.Sequential(
        nn.Conv2d(1, 4, 3, flip=flip), torch.nn.ReLU(), nn.Conv2d(4, 1, 3, flip=flip)
    )


plain, strict = network(flip=False), network(flip=True)
with torch.no_grad():
    for i in (0, 2):
        strict[i].weight.copy_(plain[i].weight.flip(2, 3))
        strict[i].bias.copy_(plain[i].bias)

x = photo[None, None, 60:120, 100:180]
wanted = F.conv2d(x, sobel[None, None])[:, :, 1:-1, 1:-1]
losses: dict[str, list[float]] = {"cross-correlation": [], "convolution": []}
for name, model in (("cross-correlation", plain), ("convolution", strict)):
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(150):
        loss = torch.nn.functional.mse_loss(model(x), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses[name].append(loss.item())
show(chart(range(150), losses, "step", "loss", log=True), "losses")
print(f"after 150 steps: {losses['cross-correlation'][-1]:.4f}, {losses['convolution'][-1]:.4f}")
print(f"largest difference of their predictions: {(plain(x) - strict(x)).abs().max():.0e}")
assert losses["convolution"][-1] < losses["convolution"][0] / 20
assert torch.allclose(plain(x), strict(x), atol=1e-2)
assert torch.allclose(plain[0].weight, strict[0].weight.flip(2, 3), atol=1e-2)

# %% [markdown]
# ## What the strict one is good for
#
# Convolution commutes and associates, as multiplication does; cross-correlation does neither. Two
# layers without anything between them are one layer, whose kernel is the *convolution* of the two.

# %% 3.5
a, b = torch.randint(-5, 5, (3, 3)).double(), torch.randint(-5, 5, (4, 2)).double()
p = torch.randint(-5, 5, (6, 7)).double()
assert torch.equal(F.convolve2d(a, b, "full"), F.convolve2d(b, a, "full"))
assert not torch.equal(
    F.correlate2d(a, torch.ones(2, 1).double() + a[:2, :1], "full"),
    F.correlate2d(torch.ones(2, 1).double() + a[:2, :1], a, "full"),
)
twice = F.convolve2d(F.convolve2d(p, a, "full"), b, "full")
assert torch.equal(twice, F.convolve2d(p, F.convolve2d(a, b, "full"), "full"))
chain = F.correlate2d(F.correlate2d(p, a, "full"), b, "full")
assert torch.equal(chain, F.correlate2d(p, F.convolve2d(a, b, "full"), "full"))
assert not torch.equal(chain, F.correlate2d(p, F.correlate2d(a, b, "full"), "full"))
