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
# # 8. Channels

# %%
import torch

import faltung
from faltung import functional as F
from faltung import nn, pictures
from faltung.errors import ShapeError
from faltung.recognition.model import Reader
from tour import accuracy, china, digits, fit, images, parameters, planes, show

_ = torch.manual_seed(0)

# %% [markdown]
# > **8.1** Real data have more than two dimensions. A colour picture has height, width, and three
# > colours, red, green and blue: an array of 3 × h × w, whose first dimension is called the
# > channels.
# >
# > **8.2** Pictures such as MNIST's are black and white, and have one channel only.
#
# (The digits are not black and white, but in levels of grey.)

# %% 8.1 8.2
photo = china()
assert photo.shape == (3, 427, 640)
show(
    planes([(name, plane) for name, plane in zip(("red", "green", "blue"), photo, strict=True)], 3),
    "rgb",
)
data = digits()
x, labels = images(data.train.images), data.train.labels
x_held, held = images(data.test.images), data.test.labels
assert x.shape[1] == 1
print(f"grey levels of a pixel of the digits: {data.train.images.unique().numel()}")
assert data.train.images.unique().numel() == 17

# %% [markdown]
# ## Many channels in
#
# > **8.3** A kernel needs as many channels as its input. Each channel is cross-correlated with its
# > own part of the kernel, and the results are added, place by place: (1×1 + 2×2 + 4×3 + 5×4) +
# > (0×0 + 1×1 + 3×2 + 4×3) = 56.

# %% 8.3
image, kernel = torch.arange(9.0).view(3, 3), torch.arange(4.0).view(2, 2)
two, two_kernels = torch.stack([image, image + 1]), torch.stack([kernel, kernel + 1])
assert (1 * 1 + 2 * 2 + 4 * 3 + 5 * 4) + (0 * 0 + 1 * 1 + 3 * 2 + 4 * 3) == 56
summed = sum(F.correlate2d(p, k) for p, k in zip(two, two_kernels, strict=True))
output = F.conv2d(two, two_kernels[None])
assert torch.equal(output[0], summed)
assert output.tolist() == [[[56, 72], [104, 120]]]
show(pictures.channel_sums(two, two_kernels[None]), "two_channels")

# %% [markdown]
# > **8.4** Kernel and picture must have the same number of channels.

# %% 8.4
said = ""
try:
    nn.Conv2d(1, 8, 3)(photo)
except ShapeError as error:
    said = str(error)
print(said)
assert said.startswith("weight has 1 input channel but input has 3")

# %% [markdown]
# ## Many channels out
#
# > **8.5** Since the channels are added up, there is one output channel, however many come in.
# >
# > **8.6** For more, repeat it: a kernel of $c_i \times k_h \times k_w$ for each output channel,
# > stacked to $c_o \times c_i \times k_h \times k_w$. Each output channel is computed on its own,
# > from the whole input; their results are stacked to one tensor.

# %% 8.5 8.6
for c in (1, 2, 3, 7):
    assert F.conv2d(torch.rand(c, 6, 6), torch.rand(1, c, 3, 3)).shape[0] == 1
weight = nn.Conv2d(3, 5, (2, 4)).weight
assert weight.shape == (5, 3, 2, 4)
alone = [F.conv2d(photo, weight[k : k + 1]) for k in range(5)]
assert torch.allclose(F.conv2d(photo, weight), torch.cat(alone), atol=1e-6)

# %% [markdown]
# > **8.7** One kernel draws out one local feature. An input is rich in features, so that several
# > kernels are needed: each channel can be seen as the answer to a feature.
#
# Three kernels over the colours of the photograph: how much redder than blue, vertical edges in all
# colours, and bright on the left of dark.

# %% 8.7
reddish = torch.zeros(3, 3, 3)
reddish[0], reddish[2] = 1 / 9, -1 / 9
edge = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).expand(3, 3, 3) / 8
lap = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).expand(3, 3, 3) / 4
features = F.conv2d(photo, torch.stack([reddish, edge, lap]))
names = ("red, not blue", "vertical edges", "spots")
show(
    planes(list(zip(names, features[:, ::2, ::2], strict=True)), 3, signed=True, height=1.8),
    "features",
)
alike = torch.corrcoef(features.flatten(1)) - torch.eye(3)
assert alike.abs().max() < 0.3

# %% [markdown]
# > **8.8** It may be more complicated: the channels are not learned one by one, but to be used
# > together, and so they are not just many detectors of one thing each.
#
# A measurement: train a reader of digits, then let a linear layer read from one of its channels
# alone, and from all of them.

# %% 8.8 tags=["varies"]
model = torch.nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1), torch.nn.ReLU(), nn.MaxPool2d(2),
    torch.nn.Flatten(), torch.nn.Linear(8 * 16, 10),
)  # fmt: skip
fit(model, x, labels, epochs=10, rate=1e-2)
with torch.no_grad():
    maps, maps_held = model[:3](x), model[:3](x_held)
single = []
for channel in range(8):
    probe = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 10))
    fit(probe, maps[:, channel], labels, epochs=10, rate=2e-2)
    single.append(accuracy(probe, maps_held[:, channel], held))
together = accuracy(model, x_held, held)
print(f"all channels {together:.1%}; each alone: {', '.join(f'{s:.0%}' for s in single)}")
show(
    planes(
        [(f"channel {k}: {s:.0%}", maps_held[0, k]) for k, s in enumerate(single)], 8, height=1.2
    ),
    "alone",
)
assert together > max(single) + 0.05

# %% [markdown]
# > **8.9** Deeper layers usually have more channels, and less resolution in exchange.

# %% 8.9
reader = Reader(classes=10, widths=((16,), (32, 48), (64, 96)), size=28, first_kernel=5)
summary = faltung.summary(reader.eval(), (1, 1, 28, 28))
shapes = [row.output[1:] for row in summary.rows if row.name == "Conv2d"]
print(shapes)
assert [s[0] for s in shapes] == sorted(s[0] for s in shapes)
assert [s[1] for s in shapes] == sorted((s[1] for s in shapes), reverse=True)

# %% [markdown]
# > **8.10** What is chosen (hyperparameters): size of the kernel (most important, usually odd),
# > padding, stride, output channels. What is learned: weights and biases.
# >
# > **8.11** With channels, a layer has more parameters.
#
# $c_o (c_i k_h k_w + 1)$ of them: padding and stride change the size of the output, not the number
# of parameters. Whether the size of the kernel is the most important choice is an opinion; here is
# what it does to the count.

# %% 8.10 8.11
for c_i, c_o, k in [(1, 1, 3), (1, 1, 5), (3, 1, 3), (3, 16, 3), (64, 64, 3), (64, 64, 7)]:
    layer = nn.Conv2d(c_i, c_o, k)
    print(f"{c_i:2} to {c_o:2} channels, {k} x {k}: {parameters(layer):,}")
    assert parameters(layer) == c_o * (c_i * k * k + 1)
    assert parameters(nn.Conv2d(c_i, c_o, k, stride=2, padding=1)) == parameters(layer)
