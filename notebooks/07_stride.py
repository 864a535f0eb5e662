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
# # 7. Stride

# %%
import inspect

import torch

import faltung
from faltung import functional as F
from faltung import nn, pictures
from faltung.geometry import Window
from tour import accuracy, digits, fit, grey, images, planes, show

_ = torch.manual_seed(0)
image, kernel = torch.arange(9.0).view(3, 3), torch.arange(4.0).view(2, 2)


def conv(x: torch.Tensor, w: torch.Tensor, **how: object) -> torch.Tensor:
    """Compute a convolution of planes."""
    return F.conv2d(x[None, None], w[None, None], **how)[0, 0]  # type: ignore[arg-type]


# %% [markdown]
# > **7.1** The stride is how many rows and columns the window slides at a time. So far it was 1,
# > which is the default; for speed, or to sample less, it can be larger.

# %% 7.1
assert inspect.signature(nn.Conv2d).parameters["stride"].default == 1
assert torch.equal(conv(image, kernel), conv(image, kernel, stride=1))
w = torch.randn(5, 5)
patch = grey()[:100, :100].contiguous()
for stride in (2, 3, 4):
    assert torch.allclose(
        conv(patch, w, stride=stride), conv(patch, w)[::stride, ::stride], atol=1e-5
    )

# %% [markdown]
# > **7.2** Stride 3 down and 2 to the right, on the padded 3 x 3 picture: for the second element of
# > the first column the window slides three rows down, for the second of the first row two columns
# > to the right. When it slides two more, there is no output: the input does not fill the window.

# %% 7.2
output = conv(image, kernel, stride=(3, 2), padding=1)
assert output.tolist() == [[0, 8], [6, 8]]
rows = Window(2, stride=3, before=1, after=1)
columns = Window(2, stride=2, before=1, after=1)
assert (rows.start(1) - rows.start(0), columns.start(1) - columns.start(0)) == (3, 2)
assert columns.output(3) == 2
assert columns.start(2) + 2 > 3 + 1  # the third window would reach beyond the padding
show(pictures.sliding_step(image, kernel, 1, 0, stride=(3, 2), padding=1), "down")
show(pictures.sliding_step(image, kernel, 0, 1, stride=(3, 2), padding=1), "right")

# %% [markdown]
# > **7.3** With strides $s_h$ and $s_w$ the output has
# > $\lfloor (n_h - k_h + p_h + s_h) / s_h \rfloor$
# > $\times \lfloor (n_w - k_w + p_w + s_w) / s_w \rfloor$ elements.
# >
# > **7.4** output_size = 1 + (input_size + 2·padding - kernel_size) / stride.
#
# They are the same, with p = 2·padding, once the second is rounded down too, which its text does
# not say: 8 pixels, a window of 3 and stride 2 would give 3.5. And where one text prints $p_h$ in
# the formula of the width, it must be $p_w$.

# %% 7.3 7.4
for n, k, padding, s in [(8, 3, 1, 2), (8, 3, 0, 2), (28, 5, 2, 3), (7, 2, 1, 4), (9, 9, 0, 2)]:
    y = conv(torch.zeros(n, n), torch.zeros(k, k), stride=s, padding=padding)
    p = 2 * padding
    assert y.shape[0] == (n - k + p + s) // s == 1 + (n + 2 * padding - k) // s
assert 1 + (8 + 2 * 0 - 3) / 2 == 3.5
y = conv(torch.zeros(8, 8), torch.zeros(3, 3), stride=2, padding=((2, 2), (0, 0)))
p_h, p_w = 4, 0
assert y.shape == ((8 - 3 + p_h + 2) // 2, (8 - 3 + p_w + 2) // 2)
assert y.shape[1] != (8 - 3 + p_h + 2) // 2

# %% [markdown]
# > **7.5** With p = k - 1 this becomes $\lfloor (n + s - 1) / s \rfloor$; and where the stride
# > divides the size, n / s. A stride makes the output smaller, 1/n of the input for example.

# %% 7.5
for n in range(4, 30):
    for k in (1, 2, 3, 5):
        for s in (1, 2, 3, 4):
            size = Window(k, s, before=(k - 1) // 2, after=k // 2).output(n)
            assert size == (n + s - 1) // s
            if n % s == 0:
                assert size == n // s
assert conv(torch.zeros(28, 28), torch.zeros(5, 5), stride=4, padding="same").shape == (7, 7)

# %% [markdown]
# > **7.6** With stride 2, the second row and the second column of the output are left out, which
# > makes it 2 x 2; the output has half the size of the input.
#
# Half, where the input is even and padded by k - 1 (or the kernel is 2, as here). Without padding a
# larger kernel leaves less than half: 8 becomes 3 with a kernel of 3.

# %% 7.6
four = torch.arange(16.0).view(4, 4)
assert conv(four, kernel).shape == (3, 3)
assert torch.equal(conv(four, kernel, stride=2), conv(four, kernel)[[0, 2]][:, [0, 2]])
assert conv(four, kernel, stride=2).shape == (2, 2) == (4 // 2, 4 // 2)
assert conv(torch.zeros(8, 8), torch.zeros(3, 3), stride=2).shape == (3, 3)
assert conv(torch.zeros(8, 8), torch.zeros(3, 3), stride=2, padding="same").shape == (4, 4)

# %% [markdown]
# > **7.7** A stride saves computation.
#
# Stride s saves all but 1/s² of the products, in this layer and in every layer behind it.

# %% 7.7
for stride in (1, 2, 4):
    layer = nn.Conv2d(3, 16, 3, stride=stride, padding="same")
    macs = faltung.cost(layer, (1, 3, 64, 64)).totals.macs
    print(f"stride {stride}: {macs:,} products")
    assert macs == 3 * 16 * 9 * (64 // stride) ** 2
small = conv(grey(), torch.full((8, 8), 1 / 64), stride=8)
show(planes([("every pixel", grey()), ("stride 8", small)]), "sampled")

# %% [markdown]
# > **7.8** Strides are written $(s_h, s_w)$, or s where they are the same. In practice they nearly
# > always are, and so is padding.

# %% 7.8
assert torch.equal(conv(four, kernel, stride=(2, 2)), conv(four, kernel, stride=2))
assert conv(four, kernel, stride=(1, 2)).shape == (3, 2)

# %% [markdown]
# > **7.9** Today sizes are mostly reduced by max-pooling, not by strides.
#
# That depends on the network: VGG reduces by pooling alone, ResNet mostly by strides. Both learn to
# read the digits:


# %% 7.9 tags=["varies"]
def reader(reduce: torch.nn.Module) -> torch.nn.Module:
    """Return a small network that halves its maps by the given layer."""
    return torch.nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), torch.nn.ReLU(), reduce, torch.nn.ReLU(),
        torch.nn.Flatten(), torch.nn.Linear(16 * 16, 10),
    )  # fmt: skip


data = digits()
scores = {}
for name, reduce in (
    ("max-pooling", nn.MaxPool2d(2)),
    ("stride 2", nn.Conv2d(16, 16, 3, stride=2, padding="same")),
):
    torch.manual_seed(0)
    model = reader(reduce)
    fit(model, images(data.train.images), data.train.labels, epochs=5, rate=1e-2)
    scores[name] = accuracy(model, images(data.test.images), data.test.labels)
    print(f"{name}: {scores[name]:.1%} of held-out digits read right")
assert min(scores.values()) > 0.93
