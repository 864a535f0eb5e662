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
# # 10. The receptive field

# %%
import torch

import faltung
from faltung import functional as F
from faltung import nn, pictures
from faltung.analysis import effective_field, measured_field, verify
from faltung.geometry import ReceptiveField, Window, receptive_field
from faltung.recognition.model import Reader
from tour import chart, grey, show

_ = torch.manual_seed(0)
image, kernel = torch.arange(9.0).view(1, 1, 3, 3), torch.arange(1.0, 5.0).view(1, 1, 2, 2)

# %% [markdown]
# > **10.1** The receptive field of an element x is everything, in all layers before it, that can
# > affect x in the forward pass.
# >
# > **10.2** In the example of chapter 2, that of the output 19 is the four shaded elements: it has
# > the size of the kernel.
#
# What can affect x has a derivative. So a receptive field can be *measured*: by the gradient. (With
# the kernel 1 to 4 here, since a weight of 0 would hide an element.)


# %% 10.1 10.2
def seen(output: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Return which elements of `source` affect one output."""
    return torch.autograd.grad(output, source, retain_graph=True)[0][0, 0] != 0


x = image.clone().requires_grad_()
y = F.conv2d(x, kernel)
assert seen(y[0, 0, 0, 0], x).tolist() == [[True, True, False], [True, True, False], [False] * 3]
assert seen(y[0, 0, 0, 0], x).sum() == kernel.numel()

# %% [markdown]
# > **10.3** Put a second layer of 2 x 2 behind it. The receptive field of its only output z is all
# > four elements of Y, and all nine of the input.

# %% 10.3
z = F.conv2d(y, kernel)
assert z.numel() == 1
assert seen(z.sum(), y).sum() == 4
assert seen(z.sum(), x).sum() == 9
assert receptive_field([Window(2), Window(2)]) == ReceptiveField(size=3, jump=1, start=0)

# %% [markdown]
# > **10.4** Even with small kernels, an element of a deep network has a large receptive field. To
# > find features of a larger region, build a deeper network.
#
# By how much? With stride 1, each layer of 3 x 3 adds 2; where every layer halves the size, the
# field doubles. Measured by gradients for each number of layers.

# %% 10.4
depths = range(1, 7)
straight = [1 + 2 * n for n in depths]
halving = [2 ** (n + 1) - 1 for n in depths]
for n in depths:
    for stride, expected in ((1, straight[n - 1]), (2, halving[n - 1])):
        layers = [nn.Conv2d(1, 1, 3, stride=stride, padding=1) for _ in range(n)]
        assert receptive_field([Window(3, stride, before=1, after=1)] * n).size == expected
        if n <= 5:
            rows, columns = measured_field(
                torch.nn.Sequential(*layers), (1, 1, 192, 192), str(n - 1)
            )
            assert len(rows) == len(columns) == expected
lines = {"stride 1": straight, "stride 2": halving}
show(chart(list(depths), lines, "layers of 3 x 3", "pixels seen, along one axis"), "depth")

# %% [markdown]
# > **10.5** The receptive field can be larger than the input.
#
# Then it reaches into the padding. Four layers of 3 x 3 with padding see 9 x 9 of a picture of 3 x
# 3.

# %% 10.5
four = torch.nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(4)])
field = faltung.receptive_field(four, (1, 1, 3, 3))[-1]
print(f"computed: {field.rows}; of it inside the picture: {field.clipped(1, 1)}")
assert field.rows.size == 9
assert (
    field.clipped(1, 1) == measured_field(four, (1, 1, 3, 3), "3", (1, 1)) == (range(3), range(3))
)

# %% [markdown]
# ## In a whole network
#
# What every layer of the reader of MNIST sees, computed, and compared with what gradients say.

# %% 10.6
reader = Reader(classes=10, widths=((16,), (32, 48), (64, 96)), size=28, first_kernel=5).eval()
for row in faltung.summary(reader, (1, 1, 28, 28)).rows:
    if row.rows is not None and row.kernel is not None:
        side = row.output[2]
        print(f"{row.path:8} {row.name:10} {side:3} x {side:<3} sees {row.rows.size}")
checked = list(verify(reader, (1, 1, 28, 28)))
assert all(check.right for check in checked)
assert sum(check.measured is not None for check in checked) >= 15

# %% [markdown]
# How much of its receptive field an element *uses* is another question. Its effective field (Luo et
# al., 2016) is how strongly each pixel affects it: most in the middle, hardly at the border. Here
# for seven layers of 3 x 3 that have learned nothing yet, on a part of the photograph; beside it,
# what they can depend on.

# %% 10.7
deep = torch.nn.Sequential(*[nn.Conv2d(1 if n == 0 else 8, 8, 3, padding=1) for n in range(7)])
roof = grey()[None, 100:140, 140:200].contiguous()
theory = faltung.receptive_field(deep, (1, *roof.shape))[-1]
energy = torch.from_numpy(effective_field(deep, roof[None], "6"))
rows, columns = theory.clipped(20, 30)
inside = energy[rows.start : rows.stop, columns.start : columns.stop]
middle = energy[17:24, 27:34]
share = float(middle.sum() / energy.sum())
print(
    f"theoretical {len(rows)} x {len(columns)}; 7 x 7 in the middle hold {share:.0%} of the energy"
)
show(pictures.receptive_field(deep, roof, "6"), "effective")
assert len(rows) == len(columns) == 15
assert torch.isclose(inside.sum(), energy.sum())
assert share > 0.6
assert share > 2 * 7 * 7 / (15 * 15)
