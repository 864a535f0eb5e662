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
# # 1. From fully connected to convolution
#
# Why does a convolutional layer exist? This chapter starts with a layer that connects everything
# with everything, and takes away what pictures do not need, one step at a time, until a convolution
# is left. Every quoted sentence is a statement of the texts behind this library, and the cell below
# it checks it.

# %%
import itertools
from collections.abc import Callable

import torch

from faltung import functional as F
from faltung import nn, pictures
from tour import accuracy, chart, china, digits, fit, grey, images, parameters, planes, show

Change = Callable[[torch.Tensor], torch.Tensor]

_ = torch.manual_seed(0)

# %% [markdown]
# ## What a fully connected layer costs
#
# > **1.1** A picture of 10⁶ pixels, fully connected to 10³ hidden units, takes 10⁶ × 10³ = 10⁹
# > parameters. Such a model cannot be trained.
#
# The count is right. That it *cannot* be trained is no longer so: 10⁹ numbers are 4 GB, and Adam
# keeps four such copies while it trains, which one large machine holds. It is a waste all the same,
# as the rest of this chapter measures.

# %% 1.1
with torch.device("meta"):  # sizes without memory
    connected = torch.nn.Linear(10**6, 10**3, bias=False)
assert parameters(connected) == 10**6 * 10**3 == 10**9

_, height, width = china().shape
print(f"a photograph of {height} x {width} has {height * width:,} pixels;")
print(f"1000 units on each of its colours: {3 * height * width * 1000:,} parameters")
print(
    f"10^9 parameters in training: {4 * 10**9 * 4 / 2**30:.1f} GiB (weight, gradient, two moments)"
)
assert 3 * height * width * 1000 == 819_840_000

# %% [markdown]
# > **1.2** A picture can be turned into a vector and read by layers of neurons with 10 outputs, one
# > for each digit. That is what the exclusive or (xor) was learned with.
#
# Both work: xor with four neurons, the digits with a hidden layer of 64.

# %% 1.2 tags=["varies"]
inputs = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
xor = torch.tensor([0, 1, 1, 0])
small = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
fit(small, inputs, xor, epochs=100, rate=0.1)
assert accuracy(small, inputs, xor) == 1.0
line = torch.nn.Linear(2, 1)  # one layer cannot: whatever its weights, both classes have one sum
assert torch.isclose(line(inputs)[xor == 0].sum(), line(inputs)[xor == 1].sum())

data = digits()
x, labels = images(data.train.images), data.train.labels
x_held, held = images(data.test.images), data.test.labels


def dense() -> torch.nn.Module:
    """Return a network that sees a picture as one vector."""
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    )


flat = dense()
fit(flat, x, labels, epochs=10, rate=5e-3)
assert flat(x_held).shape[1] == 10
print(f"held-out digits read right: {accuracy(flat, x_held, held):.1%}")
assert accuracy(flat, x_held, held) > 0.9

# %% [markdown]
# > **1.3** Turning a picture into a vector destroys its spatial structure, and training gets worse.
# >
# > **1.4** Pictures have structure that people and models can use, and a convolutional network is a
# > way to use it.
#
# A test of both: shuffle the 64 pixels, every picture in the same way. For a person the digits are
# gone. A fully connected network does not even notice: its pixels have no neighbours, so that a
# shuffled picture is as good as a whole one. A convolutional network does notice. On whole digits
# it is as good with fewer parameters; on held-out digits that are moved by a single pixel it is
# ahead.

# %% 1.3 1.4 tags=["varies"]
order = torch.randperm(64, generator=torch.Generator().manual_seed(1))


def shuffled(pictures_n1hw: torch.Tensor) -> torch.Tensor:
    """Return pictures whose pixels have all been moved, in each picture the same way."""
    return pictures_n1hw.flatten(1)[:, order].view_as(pictures_n1hw)


def convolutional() -> torch.nn.Module:
    """Return a network of convolutions with fewer parameters than `dense`."""
    return torch.nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        torch.nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1),
        torch.nn.ReLU(),
        nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 10),
    )


def moved(pictures_n1hw: torch.Tensor) -> torch.Tensor:
    """Return pictures moved to the right by one pixel."""
    return torch.nn.functional.pad(pictures_n1hw, (1, -1, 0, 0))


def rights(build: Callable[[], torch.nn.Module], learn: Change, reads: list[Change]) -> list[float]:
    """Return mean accuracies of three networks that learn 600 pictures, changed by `learn`."""
    found = torch.zeros(len(reads), dtype=torch.float64)
    for seed in range(3):
        torch.manual_seed(seed)
        model = build()
        fit(model, learn(x[:600]), labels[:600], epochs=10, rate=1e-2, seed=seed)
        found += torch.tensor([accuracy(model, read(x_held), held) for read in reads])
    return (found / 3).tolist()


found = {}
for name, build in (("fully connected", dense), ("convolutional", convolutional)):
    whole, away = rights(build, torch.clone, [torch.clone, moved])
    (torn,) = rights(build, shuffled, [shuffled])
    found[name] = whole, torn, away
    print(f"{name:16} {parameters(build()):5} parameters: {whole:.1%} right, ", end="")
    print(f"{torn:.1%} if all is shuffled, {away:.1%} if only the test is moved by 1")
titled = [("a digit", x[0, 0]), ("shuffled", shuffled(x)[0, 0]), ("moved", moved(x)[0, 0])]
show(planes(titled, height=1.6), "shuffled")
(whole, torn, away), (dense_whole, dense_torn, dense_away) = (
    found["convolutional"],
    found["fully connected"],
)
assert abs(dense_whole - dense_torn) < 0.02 < whole - torn
assert abs(whole - dense_whole) < 0.03
assert away > dense_away + 0.1
assert parameters(convolutional()) < parameters(dense())

# %% [markdown]
# > **1.5** Translation invariance: wherever an object is, the first layers answer the same patch in
# > the same way.
#
# Moved pictures give moved answers. The exact word for that is *equivariance*; invariant would be
# an answer that does not move at all. It holds to the last bit away from the border.

# %% 1.5
kernel = torch.randn(5, 5)
answer = F.correlate2d(grey(), kernel)
answer_moved = F.correlate2d(grey().roll((20, 30), (0, 1)), kernel)
assert torch.equal(answer_moved[20:, 30:], answer[:-20, :-30])
assert not torch.equal(answer_moved, answer)

# %% [markdown]
# > **1.6** Locality: the first layers need only look at a small region. What they find there can be
# > put together later, to say something about the whole picture.
#
# In a photograph a pixel says much about its neighbours and little about pixels far away: here is
# how much pixels resemble each other (correlation) over their distance. (1.3 has shown the second
# sentence: its last layer puts 3 x 3 patches together to name the digit.)

# %% 1.6
distances = [1, 2, 4, 8, 16, 32, 64, 128]
alike = [
    float(torch.corrcoef(torch.stack([grey()[:, d:].flatten(), grey()[:, :-d].flatten()]))[0, 1])
    for d in distances
]
show(chart(distances, {"pixels in a row": alike}, "distance in pixels", "correlation"), "locality")
print({d: round(a, 2) for d, a in zip(distances, alike, strict=True)})
assert alike[0] > 0.9
assert alike[-1] < 0.6

# %% [markdown]
# ## Four steps from one to the other
#
# > **1.7** Fully connected, with the hidden layer H written as a picture of the shape of X:
# > $H_{i,j} = U_{i,j} + \sum_k \sum_l W_{i,j,k,l} X_{k,l}$
# > $= U_{i,j} + \sum_a \sum_b V_{i,j,a,b} X_{i+a,j+b}$, with $V_{i,j,a,b} = W_{i,j,i+a,j+b}$. Every
# > place has its own weights, for what lies around it.
#
# Both sums, on a digit of 8 x 8. a and b run wherever i+a and j+b lie in the picture, so that this
# is still the whole picture, only counted from (i, j).

# %% 1.7
n = 8
X = x[0, 0].double()
W, U = torch.randn(n, n, n, n, dtype=torch.float64), torch.randn(n, n, dtype=torch.float64)
H = U + torch.einsum("ijkl,kl->ij", W, X)

linear = torch.nn.Linear(n * n, n * n, dtype=torch.float64)
with torch.no_grad():
    linear.weight.copy_(W.reshape(n * n, n * n))
    linear.bias.copy_(U.flatten())
assert torch.allclose(linear(X.flatten()).view(n, n), H)

H_around = U.clone()
for i, j in itertools.product(range(n), repeat=2):
    for a, b in itertools.product(range(-n + 1, n), repeat=2):
        if 0 <= i + a < n and 0 <= j + b < n:
            V_ijab = W[i, j, i + a, j + b]
            H_around[i, j] += V_ijab * X[i + a, j + b]
assert torch.allclose(H_around, H)
print(f"{W.numel() + U.numel():,} parameters for a picture of 64 pixels")

# %% [markdown]
# > **1.8** Translation invariance: V and U do not depend on (i, j). What is left is
# > $H_{i,j} = u + \sum_a \sum_b V_{a,b} X_{i+a,j+b}$. This is a convolution, and it has far fewer
# > numbers.
#
# One V for all places, as large as the picture reaches in both directions: 15 x 15. (Strictly it is
# a *cross-correlation*; chapter 3 is about the difference.)

# %% 1.8
V, u = torch.randn(2 * n - 1, 2 * n - 1, dtype=torch.float64), torch.randn(1, dtype=torch.float64)
H_same = torch.empty(n, n, dtype=torch.float64)
for i, j in itertools.product(range(n), repeat=2):
    around = V[
        n - 1 - i : 2 * n - 1 - i, n - 1 - j : 2 * n - 1 - j
    ]  # V(a, b) at a = k - i, b = l - j
    H_same[i, j] = u + (around * X).sum()
layer = F.conv2d(X[None, None], V[None, None], u, padding=n - 1)[0, 0]
assert torch.allclose(layer, H_same)
print(f"{V.numel() + 1} parameters instead of {W.numel() + U.numel():,}")
assert V.numel() + 1 == 226

# %% [markdown]
# > **1.9** Locality: $V_{a,b} = 0$ where $\lvert a \rvert > \Delta$ or $\lvert b \rvert > \Delta$.
# > The sums run from $-\Delta$ to $\Delta$.

# %% 1.9
Δ = 1  # noqa: PLC2401 (the letter of the formula)
V_near = V.clone()
far = torch.arange(-n + 1, n).abs() > Δ
V_near[far] = 0
V_near[:, far] = 0
H_near = F.conv2d(X[None, None], V_near[None, None], u, padding=n - 1)
small_kernel = V[n - 1 - Δ : n + Δ, n - 1 - Δ : n + Δ]
assert torch.allclose(F.conv2d(X[None, None], small_kernel[None, None], u, padding=Δ), H_near)
assert small_kernel.shape == (2 * Δ + 1, 2 * Δ + 1)
print(f"{small_kernel.numel() + 1} parameters")

# %% [markdown]
# > **1.10** With channels, c for those of the input and d for those of the output:
# > $H_{i,j,d} = \sum_a \sum_b \sum_c [U_{c,d} + V_{a,b,c,d} X_{i+a,j+b,c}]$.
#
# The formula puts the bias *inside* the sums, and gives it an input channel. Taken literally, U is
# added $(2\Delta+1)^2$ times for each c. That computes nothing new: it is one number for each
# output channel, $(2\Delta+1)^2 \sum_c U_{c,d}$, and one for each output channel is what the layer
# has.

# %% 1.10
C, D = 3, 2
photo = china()[:, 100:112, 100:112].double()
V4, Ucd = torch.randn(3, 3, C, D, dtype=torch.float64), torch.randn(C, D, dtype=torch.float64)
framed = torch.nn.functional.pad(photo, (Δ, Δ, Δ, Δ))
literal = torch.zeros(D, 12, 12, dtype=torch.float64)
for a, b, c, d in itertools.product(range(3), range(3), range(C), range(D)):
    literal[d] += Ucd[c, d] + V4[a, b, c, d] * framed[c, a : a + 12, b : b + 12]
one_each = (2 * Δ + 1) ** 2 * Ucd.sum(0)
weight = V4.permute(3, 2, 0, 1)  # (D, C, 3, 3), as torch and this library store it
assert torch.allclose(F.conv2d(photo, weight, one_each, padding=1), literal)
assert nn.Conv2d(C, D, 3).bias.shape == (D,)

# %% [markdown]
# ## What is left
#
# > **1.11** Not all neurons of two layers are connected: input 1 reaches output A only.
# >
# > **1.12** Some connections share the same weight. Both make the parameters fewer.
#
# The 3 x 3 picture and 2 x 2 kernel of all five texts, as the matrix a fully connected layer would
# have: 4 outputs x 9 inputs. Most of it is zero, and what is not is four numbers again and again.

# %% 1.11 1.12
image, kernel = torch.arange(9.0).view(3, 3), torch.arange(1.0, 5.0).view(2, 2)
matrix = torch.stack([F.correlate2d(cell.view(3, 3), kernel).flatten() for cell in torch.eye(9)], 1)
assert torch.equal(matrix @ image.flatten(), F.correlate2d(image, kernel).flatten())
reached = [
    [output for output, w in zip("ABCD", column, strict=True) if w != 0] for column in matrix.T
]
print(dict(enumerate(reached, 1)))
assert reached[0] == ["A"]
assert torch.count_nonzero(matrix) == 16
assert matrix.numel() == 36
assert set(matrix.unique().tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}
show(pictures.convolution_matrix(image, kernel), "matrix")

# %% [markdown]
# > **1.13** Every number of the kernel reaches every element of the feature map, which matters when
# > gradients flow back.
#
# Without padding this is so, and it is why the gradient of one weight is a sum over *all* places:
# it is itself a cross-correlation, of the picture with the gradients of the outputs. With padding
# it is not quite so: at the border some weights meet only padding, and do not reach that output.

# %% 1.13
w = kernel.clone().requires_grad_()
for cell in F.correlate2d(image + 1, w).flatten():
    (gradient,) = torch.autograd.grad(cell, w, retain_graph=True)
    assert torch.count_nonzero(gradient) == 4

upstream = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
(gradient,) = torch.autograd.grad(F.correlate2d(image, w), w, upstream)
assert torch.equal(gradient, F.correlate2d(image, upstream))

corner = F.conv2d((image + 1)[None, None], w[None, None], padding=1)[0, 0, 0, 0]
(gradient,) = torch.autograd.grad(corner, w)
print(gradient)
assert torch.count_nonzero(gradient) == 1

# %% [markdown]
# > **1.14** A hidden neuron is joined to a small region of the picture only: its *local receptive
# > field*, which has the size of the kernel.
# >
# > **1.15** All neurons use the same kernel (*shared weights*) and the same bias (*shared bias*):
# > this is a neuron's W·x + B.
#
# So it is: one fully connected neuron with four inputs, applied to every window, is the layer. One
# of the texts says that each small box of the kernel is a neuron: it is a *weight*. The neurons are
# the boxes of the output.

# %% 1.14 1.15
layer = nn.Conv2d(1, 1, 2)
neuron = torch.nn.Linear(4, 1)
with torch.no_grad():
    neuron.weight.copy_(layer.weight.flatten(1))
    neuron.bias.copy_(layer.bias)
fields = torch.nn.functional.unfold(image[None, None], 2)[0].T  # one row a window
assert fields.shape == (4, 2 * 2)
assert torch.allclose(neuron(fields).view(2, 2), layer(image[None])[0], atol=1e-6)
assert parameters(layer) == parameters(neuron) == 4 + 1

# %% [markdown]
# > **1.16** Fully connected networks are weak on pictures because of the number of parameters.
#
# The same step (one channel to one, the same size, 3 x 3 windows) in its three forms, on the
# photograph: everything connected, locally connected, and with shared weights.

# %% 1.16
pixels = height * width
dense_count, local_count, shared_count = pixels**2 + pixels, 9 * pixels + pixels, 9 + 1
for name, count in (
    ("fully connected", dense_count),
    ("locally connected", local_count),
    ("convolution", shared_count),
):
    print(f"{name:18} {count:>18,}")
with torch.device("meta"):
    assert (
        parameters(nn.LocallyConnected2d(1, 1, (height, width), 3, padding=1, bias=True))
        == local_count
    )
    assert parameters(torch.nn.Linear(pixels, pixels)) == dense_count
assert parameters(nn.Conv2d(1, 1, 3, padding=1)) == shared_count
show(pictures.connections(), "connections")
