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
# # 2. Cross-correlation by hand
#
# What a two-dimensional convolutional layer computes, in numbers that fit on a hand.

# %%
import inspect
import time

import torch

from faltung import functional as F
from faltung import nn, pictures
from faltung.recognition.model import Reader
from tour import GREY, china, digits, grey, images, parameters, planes, show

_ = torch.manual_seed(0)

# %% [markdown]
# ## The window
#
# > **2.1** A two-dimensional input and a two-dimensional kernel, also called a filter, give a
# > two-dimensional output, by cross-correlation.
# >
# > **2.2** The window starts at the top left and slides from left to right and from top to bottom.
# > At each place what lies under it is multiplied by the kernel, element by element, and summed:
# > one number of the output.
#
# This function is how one of the texts writes it. It is the whole operation.


# %% 2.1 2.2
def corr2d(X: torch.Tensor, K: torch.Tensor) -> torch.Tensor:
    """Compute the two-dimensional cross-correlation."""
    h, w = K.shape
    Y = torch.zeros((X.shape[0] - h + 1, X.shape[1] - w + 1))
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + h, j : j + w] * K).sum()
    return Y


image, kernel = torch.arange(9.0).view(3, 3), torch.arange(4.0).view(2, 2)
assert image.dim() == kernel.dim() == corr2d(image, kernel).dim() == 2
assert torch.equal(corr2d(image, kernel), F.correlate2d(image, kernel))
patch, large = grey()[200:230, 300:340], torch.randn(5, 7)
assert torch.allclose(corr2d(patch, large), F.correlate2d(patch, large), atol=1e-5)

# %% [markdown]
# > **2.3** 0×0 + 1×1 + 3×2 + 4×3 = 19, 1×0 + 2×1 + 4×2 + 5×3 = 25, 3×0 + 4×1 + 6×2 + 7×3 = 37, 4×0
# > + 5×1 + 7×2 + 8×3 = 43.

# %% 2.3
assert 0 * 0 + 1 * 1 + 3 * 2 + 4 * 3 == 19
assert 1 * 0 + 2 * 1 + 4 * 2 + 5 * 3 == 25
assert 3 * 0 + 4 * 1 + 6 * 2 + 7 * 3 == 37
assert 4 * 0 + 5 * 1 + 7 * 2 + 8 * 3 == 43
assert F.correlate2d(image, kernel).tolist() == [[19, 25], [37, 43]]
show(pictures.sliding_step(image, kernel, 0, 0), "first_step")
show(pictures.sliding_step(image, kernel, 1, 1), "last_step")

# %% [markdown]
# > **2.4** The output is a little smaller than the input, since the kernel only visits places where
# > it fits wholly: $(n_h - k_h + 1) \times (n_w - k_w + 1)$.
#
# (A kernel of 1 x 1 takes nothing away. One of the texts prints k with a wrong index here; this is
# the formula.)

# %% 2.4
for n_h, n_w, k_h, k_w in [(3, 3, 2, 2), (6, 8, 1, 2), (28, 28, 5, 5), (9, 4, 9, 1), (7, 5, 1, 1)]:
    y = F.correlate2d(torch.randn(n_h, n_w), torch.randn(k_h, k_w))
    assert y.shape == (n_h - k_h + 1, n_w - k_w + 1)
    print(f"{n_h} x {n_w}, kernel {k_h} x {k_w}: {y.shape[0]} x {y.shape[1]}")

# %% [markdown]
# > **2.5** What a system puts out is what several inputs do together: each is multiplied by its
# > weight, and they are added up (superposition).
#
# In one word, the operation is linear.

# %% 2.5
one, two = torch.randint(-9, 9, (2, 6, 8)).float()
assert torch.equal(
    F.correlate2d(3 * one - 2 * two, kernel),
    3 * F.correlate2d(one, kernel) - 2 * F.correlate2d(two, kernel),
)

# %% [markdown]
# ## The layer
#
# > **2.6** A convolutional layer cross-correlates its input with its kernel and adds one number,
# > the bias. Kernel and bias are its parameters.
#
# The layer as one of the texts builds it, beside this library's and torch's.


# %% 2.6
class Conv2D(torch.nn.Module):
    """The layer with one channel."""

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.rand(kernel_size))
        self.bias = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output for a plane."""
        return corr2d(x, self.weight) + self.bias


by_hand, ours, theirs = Conv2D((2, 2)), nn.Conv2d(1, 1, 2), torch.nn.Conv2d(1, 1, 2)
with torch.no_grad():
    by_hand.bias.fill_(0.5)
    for layer in (ours, theirs):
        layer.weight.copy_(by_hand.weight[None, None])
        layer.bias.copy_(by_hand.bias)
assert torch.allclose(by_hand(image), ours(image[None])[0])
assert torch.allclose(by_hand(image), theirs(image[None])[0])
assert {name for name, _ in ours.named_parameters()} == {"weight", "bias"}

# %% [markdown]
# > **2.7** A layer whose window is p × q is called a p × q convolutional layer.
# >
# > **2.8** Before training, the kernel is drawn at random, as the weights of fully connected layers
# > are; then kernel and bias are improved step by step.
#
# (Chapter 5 takes the steps.) torch and this library draw both from -1/√n to 1/√n, with n the
# inputs of one output.

# %% 2.7 2.8
layer = nn.Conv2d(1, 64, (3, 5))
assert layer.weight.shape[2:] == (3, 5)
bound = 1 / (3 * 5) ** 0.5
assert layer.weight.abs().max() <= bound
assert layer.bias.abs().max() <= bound
assert layer.weight.unique().numel() > 900  # of 960: random, not constant
assert not torch.equal(layer.weight, nn.Conv2d(1, 64, (3, 5)).weight)
linear = torch.nn.Linear(15, 64)
assert abs(linear.weight.std() / layer.weight.std() - 1) < 0.1

# %% [markdown]
# > **2.9** A convolutional neural network is a network with convolutional layers. A 2-D layer has
# > two spatial dimensions, height and width, and usually works on pictures.
# >
# > **2.10** The output is called a feature map: it represents the input at some level in height and
# > width, and hands it on to the next layer.
#
# The reader of digits that `faltung train` trains, and the maps that a photograph becomes in two
# layers of it (its kernels are still random here).

# %% 2.9 2.10
reader = Reader(classes=10, widths=((32, 32), (64, 64)), size=8)
assert sum(isinstance(layer, nn.Conv2d) for layer in reader.modules()) == 4
photo = torch.einsum("c,chw->hw", GREY, china())[None, None]
first = reader.body[:3].eval()(photo)
second = reader.body[:7].eval()(photo)
assert first.shape[2:] == (427, 640)
assert second.shape[2:] == (213, 320)
show(
    planes([("layer 1, map 0", first[0, 0]), ("layer 2, map 0", second[0, 0])], height=1.7), "maps"
)

# %% [markdown]
# > **2.11** By using its kernel again and again, the layer describes small regions efficiently.
#
# As many parameters for a photograph as for a stamp, and the same answer wherever the same patch
# is; a layer that is only locally connected needs new ones for every place.

# %% 2.11
with torch.device("meta"):
    for size in (8, 64, 427):
        shared, local = nn.Conv2d(1, 1, 3), nn.LocallyConnected2d(1, 1, size, 3)
        print(f"{size:3} x {size:3}: {parameters(shared)} shared, {parameters(local):,} local")
        assert parameters(shared) == 10
        assert parameters(local) == 10 * (size - 2) ** 2

# %% [markdown]
# ## In a framework
#
# > **2.12** In PyTorch the layer is `torch.nn.Conv2d(in_channels, out_channels, kernel_size,
# > stride=1, padding=0, bias=True)`: channels of the input, channels of the output, size of the
# > kernel (often 3), stride (1), padding with zeros, and whether there is a bias.
#
# `padding` counts the zeros on *each* side. This library's layer takes the same arguments, and more
# kinds of padding.

# %% 2.12
for library in (torch.nn.Conv2d, nn.Conv2d):
    defaults = {name: p.default for name, p in inspect.signature(library).parameters.items()}
    names = list(defaults)
    assert names[:5] == ["in_channels", "out_channels", "kernel_size", "stride", "padding"]
    assert (defaults["stride"], defaults["padding"], defaults["bias"]) == (1, 0, True)
assert nn.Conv2d(1, 1, 3, padding=2)(torch.zeros(1, 8, 8)).shape == (1, 8 + 2 + 2 - 3 + 1, 10)
assert nn.Conv2d(1, 1, 3, bias=False).bias is None

# %% [markdown]
# > **2.13** A framework saves writing all that: one call, an efficient library behind it, on
# > several kinds of hardware.
#
# Measured on the photograph: the loop above, and the call.

# %% 2.13 tags=["varies"]
small, w = grey()[:100, :100].contiguous(), torch.randn(3, 3)
F.correlate2d(small, w)  # the first call compiles a kernel, or loads it


def milliseconds(function: object, repeat: int) -> float:
    """Return the mean time of a call."""
    began = time.perf_counter()
    for _ in range(repeat):
        function(small, w)  # type: ignore[operator]
    return (time.perf_counter() - began) / repeat * 1000


slow, fast = milliseconds(corr2d, 1), milliseconds(F.correlate2d, 100)
print(f"loop {slow:.0f} ms, correlate2d {fast:.3f} ms: {slow / fast:,.0f} times faster")
print(f"devices of torch here: cpu{', cuda' if torch.cuda.is_available() else ''}")
assert torch.allclose(corr2d(small, w), F.correlate2d(small, w), atol=1e-5)
assert slow > 10 * fast

# %% [markdown]
# > **2.14** Frameworks support many kinds of models (convolutional, recurrent, autoencoders),
# > several languages, and have large communities. TensorFlow, PyTorch, Keras and Caffe are in
# > common use.
#
# The first part can be checked where torch is: one of each, run. Languages, communities and use are
# not something a cell can compute; Caffe has had no release since 2017, and today's Keras is an
# interface on top of TensorFlow, JAX or PyTorch.

# %% 2.14
convolutional = torch.nn.Conv2d(1, 4, 3)
recurrent = torch.nn.LSTM(8, 4, batch_first=True)
autoencoder = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 64))
digit = images(digits().test.images[:1])
assert convolutional(digit).shape == (1, 4, 6, 6)
assert recurrent(digit[0])[0].shape == (1, 8, 4)  # the eight rows of a digit, one after another
assert autoencoder(digit.flatten(1)).shape == (1, 64)
