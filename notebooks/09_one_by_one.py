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
# # 9. The 1 x 1 layer

# %%
import torch

import faltung
from faltung import functional as F
from faltung import nn
from tour import GREY, china, grey, parameters, planes, show

_ = torch.manual_seed(0)

# %% [markdown]
# > **9.1** A layer whose window is 1 x 1 is called a 1 x 1 layer. It cannot see patterns of
# > neighbours: its work is done between the channels.
# >
# > **9.2** Input and output have the same height and width. Each element of the output is a
# > weighted sum of the elements at the same place, in all channels of the input.
#
# One of the texts says that input and output have the same *shape*: height and width, yes; the
# channels may differ. Here with three channels in and two out, as in the texts' picture.

# %% 9.1 9.2
x = torch.randint(-9, 9, (3, 3, 3)).double()
w = torch.randint(-9, 9, (2, 3, 1, 1)).double()
y = F.conv2d(x, w)
assert y.shape == (2, 3, 3)
for i in range(3):
    for j in range(3):
        for d in range(2):
            assert y[d, i, j] == sum(w[d, c, 0, 0] * x[c, i, j] for c in range(3))

order = torch.randperm(9)
mixed = x.flatten(1)[:, order].view(3, 3, 3)  # neighbours are torn apart
assert torch.equal(F.conv2d(mixed, w), y.flatten(1)[:, order].view(2, 3, 3))
w3 = torch.randint(-9, 9, (2, 3, 3, 3)).double()
y3 = F.conv2d(x, w3, padding=1)
assert not torch.equal(F.conv2d(mixed, w3, padding=1), y3.flatten(1)[:, order].view(2, 3, 3))

# %% [markdown]
# On the photograph: levels of grey are a 1 x 1 layer with the weights 0.299, 0.587 and 0.114.

# %% 9.2
two = torch.stack([GREY, torch.tensor([0.5, 0.0, -0.5])])[:, :, None, None]
mixture = F.conv2d(china(), two)
assert torch.allclose(mixture[0], grey(), atol=1e-6)
show(planes([("grey", mixture[0]), ("red minus blue", mixture[1])]), "mixed")

# %% [markdown]
# > **9.3** Take channels as features, and places as examples: then a 1 x 1 layer is the same as a
# > fully connected layer, applied to every pixel.
# >
# > **9.4** Its weight has the size $c_o \times c_i$, and it has a bias besides.
#
# One number of bias for each of the $c_o$ outputs.

# %% 9.3 9.4
layer = nn.Conv2d(3, 2, 1)
connected = torch.nn.Linear(3, 2)
connected.load_state_dict({"weight": layer.weight.flatten(1), "bias": layer.bias})
pixels = china().flatten(1).T  # 273,280 examples of 3 features
assert torch.allclose(connected(pixels).T.view(2, 427, 640), layer(china()), atol=1e-6)
assert layer.weight.flatten(1).shape == (2, 3)
assert parameters(layer) == parameters(connected) == 2 * 3 + 2

# %% [markdown]
# > **9.5** So it is used as a fully connected layer that keeps height and width, to change the
# > number of channels between layers, and with it how complex the model is.
#
# A 3 x 3 layer of 256 channels, and one between two 1 x 1 layers that go down to 64 channels and up
# again, as ResNet-50 does it: same input, same output, a fraction of the parameters and products.

# %% 9.5
full = nn.Conv2d(256, 256, 3, padding=1)
narrow = torch.nn.Sequential(
    nn.Conv2d(256, 64, 1), torch.nn.ReLU(),
    nn.Conv2d(64, 64, 3, padding=1), torch.nn.ReLU(),
    nn.Conv2d(64, 256, 1),
)  # fmt: skip
costs = [faltung.cost(model, (1, 256, 14, 14)).totals for model in (full, narrow)]
for name, total in zip(("3 x 3", "1 x 1, 3 x 3, 1 x 1"), costs, strict=True):
    print(f"{name:20} {total.parameters:>9,} parameters {total.macs:>13,} products")
maps = torch.rand(1, 256, 14, 14)
assert full(maps).shape == narrow(maps).shape
assert costs[0].parameters > 8 * costs[1].parameters
assert costs[0].macs > 8 * costs[1].macs
