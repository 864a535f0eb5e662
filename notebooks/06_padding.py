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
# # 6. Padding

# %%
import inspect
import warnings

import torch

from faltung import functional as F
from faltung import nn, pictures
from faltung.geometry import Window, pads
from faltung.recognition.model import Reader
from tour import chart, china, grey, planes, show

_ = torch.manual_seed(0)
image, kernel = torch.arange(9.0).view(3, 3), torch.arange(4.0).view(2, 2)

# %% [markdown]
# > **6.1** The size of the output follows from the sizes of input and kernel. Each convolution
# > loses pixels at the border: few, since kernels are small, but over many layers they add up.

# %% 6.1
layers = list(range(11))
sides = [28]
for _ in layers[1:]:
    sides.append(F.correlate2d(torch.zeros(sides[-1], sides[-1]), torch.zeros(3, 3)).shape[0])
assert sides == [28 - 2 * n for n in layers]
share = [side**2 / 28**2 for side in sides]
show(chart(layers, {"3 x 3, no padding": share}, "layers", "pixels left of 28 x 28"), "lost")
print(f"after ten layers {sides[-1]} x {sides[-1]} are left: {share[-1]:.0%} of the pixels")
assert share[-1] < 0.09

# %% [markdown]
# > **6.2** Padding adds elements, usually zeros, on both sides of height and width. An input of 3 x
# > 3 becomes 5 x 5, and the output 4 x 4 instead of 2 x 2. Its first element is 0×0 + 0×1 + 0×2 +
# > 0×3 = 0.

# %% 6.2
padded = torch.nn.functional.pad(image, (1, 1, 1, 1))
output = F.conv2d(image[None, None], kernel[None, None], padding=1)[0, 0]
assert padded.shape == (5, 5)
assert torch.equal(output, F.correlate2d(padded, kernel))
assert F.correlate2d(image, kernel).shape == (2, 2)
assert output.shape == (4, 4)
assert output[0, 0] == 0 * 0 + 0 * 1 + 0 * 2 + 0 * 3 == 0
assert torch.equal(output[1:3, 1:3], F.correlate2d(image, kernel))
show(pictures.sliding_step(image, kernel, 0, 0, padding=1), "padding")

# %% [markdown]
# > **6.3** With $p_h$ rows of padding in all and $p_w$ columns, about half of them on each side,
# > height and width of the output grow by just that:
# > $(n_h - k_h + p_h + 1) \times (n_w - k_w + p_w + 1)$.
# >
# > **6.4** Padding makes the output larger, and so it steers how much the size shrinks. It is a
# > hyperparameter, written $(p_h, p_w)$, or p where the two are the same; by default it is 0.

# %% 6.3 6.4
for n, k in [(3, 2), (8, 3), (9, 5), (7, 4)]:
    for total in range(5):
        start, end = total // 2, total - total // 2
        y = F.conv2d(
            torch.zeros(1, 1, n, n), torch.zeros(1, 1, k, 1), padding=((start, end), (0, 0))
        )
        assert y.shape[2:] == (n - k + total + 1, n)
        assert Window(k, before=start, after=end).output(n) == n - k + total + 1
one_number, two = (F.conv2d(image[None, None], kernel[None, None], padding=p) for p in (2, (2, 2)))
assert torch.equal(one_number, two)
assert inspect.signature(nn.Conv2d).parameters["padding"].default == 0

# %% [markdown]
# > **6.5** `padding` is the number of zeros that are added.
#
# On which side? In the formulas above, p counts the rows on *both* sides together. In PyTorch and
# in this library `padding=p` is p on *each* side, so 2p in all. The texts use both ways; one of
# them says `(input_size + 2*padding - kernel_size)`, which is the second.

# %% 6.5
n, k, padding = 8, 3, 2
side = F.conv2d(torch.zeros(1, 1, n, n), torch.zeros(1, 1, k, k), padding=padding).shape[2]
assert side == n - k + 2 * padding + 1 == 10
assert side != n - k + padding + 1

# %% [markdown]
# > **6.6** With $p_h = k_h - 1$ and $p_w = k_w - 1$ the output has the size of the input, which
# > makes it easy to tell the size of every layer of a network.
#
# The reader of digits only changes its size where it pools:

# %% 6.6
for k in range(1, 8):
    for rule in ("same", "same_lower"):
        assert sum(pads(rule, 28, k)) == k - 1
        assert F.conv2d(torch.zeros(1, 1, 28, 20), torch.zeros(1, 1, k, k), padding=rule).shape[
            2:
        ] == (28, 20)
size = torch.zeros(1, 1, 28, 28)
sizes = []
for layer in Reader(
    classes=10, widths=((16,), (32, 48), (64, 96)), size=28, first_kernel=5
).body.eval():
    size = layer(size)
    sizes.append((type(layer).__name__, size.shape[2]))
print([s for s in sizes if s[0] in ("Conv2d", "MaxPool2d")])
assert [s for n, s in sizes if n == "Conv2d"] == [28, 14, 14, 7, 7]

# %% [markdown]
# > **6.7** If k is odd, p/2 rows go on each side. If it is even, one way is ⌈p/2⌉ on top and ⌊p/2⌋
# > below; and so for the width.
# >
# > **6.8** Kernels usually have odd sizes, 1, 3, 5 or 7: then both sides get the same.
#
# *One* way indeed: ONNX calls it SAME_LOWER; PyTorch and TensorFlow put the odd row at the end.
# Here it is a word, `"same_lower"` or `"same_upper"`, and the outputs are not the same.

# %% 6.7 6.8
for k in (1, 3, 5, 7):
    assert pads("same_lower", 28, k) == pads("same_upper", 28, k) == ((k - 1) // 2, (k - 1) // 2)
for k in (2, 4, 6):
    p = k - 1
    assert pads("same_lower", 28, k) == (-(-p // 2), p // 2)
    assert pads("same_upper", 28, k) == pads("same", 28, k) == (p // 2, -(-p // 2))
lower = F.conv2d(image[None, None], kernel[None, None], padding="same_lower")[0, 0]
upper = F.conv2d(image[None, None], kernel[None, None], padding="same_upper")[0, 0]
with warnings.catch_warnings():  # torch warns of a copy here
    warnings.simplefilter("ignore", UserWarning)
    theirs = torch.nn.functional.conv2d(image[None, None], kernel[None, None], padding="same")[0, 0]
print("same_lower", lower.tolist(), "\nsame_upper", upper.tolist())
assert torch.equal(upper, theirs)
assert not torch.equal(lower, upper)

# %% [markdown]
# > **6.9** If the kernel's size is odd, all sides get the same padding, and output and input have
# > the same size, then Y[i, j] is what the kernel computes with X[i, j] in its middle.
#
# One text also asks for $k_h = k_w$, which is not needed: 3 x 5 will do. A kernel with its only 1
# in the middle gives the picture back.

# %% 6.9
for rows, columns in [(1, 1), (3, 3), (5, 5), (3, 5), (7, 1)]:
    middle = torch.zeros(rows, columns)
    middle[rows // 2, columns // 2] = 1
    same = F.conv2d(grey()[None, None], middle[None, None], padding=(rows // 2, columns // 2))
    assert torch.equal(same[0, 0], grey())
even = torch.zeros(2, 2)
even[1, 1] = 1
assert not torch.equal(F.correlate2d(image, even, "same"), image)

# %% [markdown]
# > **6.10** A 3 x 3 layer with 1 pixel of padding on each side turns 8 x 8 into 8 x 8.


# %% 6.10
def comp_conv2d(conv2d: torch.nn.Module, X: torch.Tensor) -> torch.Tensor:
    """Compute a layer for a plane: with examples and channels (1, 1) before, without them after."""
    Y = conv2d(X.reshape((1, 1, *X.shape)))
    return Y.reshape(Y.shape[2:])


assert comp_conv2d(nn.Conv2d(1, 1, kernel_size=3, padding=1), torch.rand(size=(8, 8))).shape == (
    8,
    8,
)

# %% [markdown]
# > **6.11** A 3 x 3 kernel makes 4 x 4 of 6 x 6, so pictures shrink. Fill the border, to 8 x 8, and
# > the feature map has 6 x 6: the size of the input. The padding p must satisfy n + 2p - f + 1 = n,
# > so p = (f - 1) / 2, with f the size of the kernel (usually odd).

# %% 6.11
x, w = torch.rand(6, 6), torch.rand(3, 3)
assert F.correlate2d(x, w).shape == (4, 4)
framed = torch.nn.functional.pad(x, (1, 1, 1, 1))
assert framed.shape == (8, 8)
assert F.correlate2d(framed, w).shape == (6, 6)
assert torch.allclose(F.correlate2d(framed, w), F.correlate2d(x, w, "same"))
for f in (1, 3, 5, 7, 9):
    p = (f - 1) // 2
    assert F.conv2d(x[None, None], torch.rand(1, 1, f, f), padding=p).shape[2:] == (6, 6)

# %% [markdown]
# > **6.12** Zeros around the picture do not affect the training, since only zeros are added.
#
# A zero adds nothing to a sum, and no gradient to the weight it meets: that much is right. But sums
# with fewer terms are smaller. A blur darkens the border of a white picture, and so a network can
# tell where the border is. Other fillings (`reflect`, `replicate`) do not darken it.

# %% 6.12
w = torch.full((1, 1, 5, 5), 1 / 25, requires_grad=True)
white = torch.ones(1, 1, 9, 9)
dimmed = F.conv2d(white, w, padding=2)[0, 0]
(gradient,) = torch.autograd.grad(dimmed[0, 0], w)
assert torch.count_nonzero(gradient) == 9  # of 25 weights: 16 meet zeros, and get no gradient
assert abs(dimmed[4, 4].item() - 1) < 1e-6
assert abs(dimmed[0, 0].item() - 9 / 25) < 1e-6
blur = nn.Conv2d(3, 3, 25, padding=12, groups=3, bias=False, padding_mode="zeros")
reflecting = nn.Conv2d(3, 3, 25, padding=12, groups=3, bias=False, padding_mode="reflect")
for layer in (blur, reflecting):
    torch.nn.init.constant_(layer.weight, 1 / 625)
photo = china()[:, ::2, ::2]
shown = [("zeros", blur(photo)[0]), ("reflect", reflecting(photo)[0])]
show(planes(shown), "border")
assert blur(photo)[:, 0].mean() < 0.6 * reflecting(photo)[:, 0].mean()
