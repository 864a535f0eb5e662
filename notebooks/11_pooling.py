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
# # 11. Pooling, and why it forgives small shifts

# %%
import inspect

import torch

import faltung
from faltung import functional as F
from faltung import nn, pictures
from tour import accuracy, chart, digits, fit, grey, images, parameters, planes, show

_ = torch.manual_seed(0)
image = torch.arange(9.0).view(1, 3, 3)

# %% [markdown]
# > **11.1** Pooling divides a map into regions and takes one number of each: the maximum
# > (max-pooling) or the mean (average pooling). The window slides as in a convolution, from left to
# > right and from top to bottom.
# >
# > **11.2** Its hyperparameters are the size of the window (p × q), padding and stride.
#
# It has nothing to learn, and it treats every channel on its own.

# %% 11.1 11.2
assert F.max_pool2d(image, 2, 1).tolist() == [[[4, 5], [7, 8]]]
assert F.avg_pool2d(image, 2, 1).tolist() == [[[2, 3], [5, 6]]]
assert F.min_pool2d(image, 2, 1).tolist() == [[[0, 1], [3, 4]]]
for i, j in [(0, 0), (0, 1), (1, 0), (1, 1)]:
    region = image[0, i : i + 2, j : j + 2]
    assert F.max_pool2d(image, 2, 1)[0, i, j] == region.max()
    assert F.avg_pool2d(image, 2, 1)[0, i, j] == region.mean()
for pool in (nn.MaxPool2d, nn.AvgPool2d, nn.MinPool2d):
    assert {"kernel_size", "stride", "padding"} <= set(inspect.signature(pool).parameters)
    assert parameters(pool(2)) == 0
assert F.max_pool2d(torch.zeros(5, 9, 8), (3, 2), (2, 3), (1, 0)).shape == (5, 5, 3)
show(pictures.pooling_step(image[0], 2, stride=1), "maximum")

# %% [markdown]
# > **11.3** Pools were first used to make tensors smaller, and computation faster.

# %% 11.3
after = nn.Conv2d(16, 32, 3, padding=1)
without = faltung.cost(after, (1, 16, 28, 28)).totals.macs
pooled = torch.nn.Sequential(nn.MaxPool2d(2), after)
with_pool = faltung.cost(pooled, (1, 16, 28, 28)).rows[-1].macs
print(f"products of the layer behind: {without:,} without, {with_pool:,} with a 2 x 2 pool")
assert without == 4 * with_pool

# %% [markdown]
# ## Position
#
# > **11.4** An edge detector finds exactly where pixels change. But things are never in the same
# > place: in two photographs of the same thing, one after the other, its pixels have moved. The
# > same edge then comes out at another place.
# >
# > **11.5** Pooling eases a layer's oversensitivity to position.
#
# The edges of chapter 4, with a picture moved by one pixel: the outputs differ, the pooled ones do
# not.

# %% 11.4 11.5
X = torch.ones(6, 8)
X[:, 2:6] = 0
K = torch.tensor([[1.0, -1.0]])
Y = F.correlate2d(X, K)
Y_moved = F.correlate2d(torch.cat([X[:, 1:], X[:, -1:]], 1), K)
assert not torch.equal(Y, Y_moved)
assert torch.equal(Y[:, 1:], Y_moved[:, :-1])
ends = ((0, 0), (0, 1))
pooled, pooled_moved = (F.max_pool2d(y[None], 2, padding=ends)[0] for y in (Y, Y_moved))
assert torch.equal(pooled, pooled_moved)
print(Y[0].tolist(), "moved", Y_moved[0].tolist())
print(pooled[0].tolist(), "moved", pooled_moved[0].tolist())

# %% [markdown]
# This was a lucky place: an edge that crosses from one region to the next moves in the pooled
# output too. So how much does pooling forgive *on average*? Measured on all held-out digits: edge
# maps, moved by 0 to 3 pixels; how far (relative to its length) is a map from the map of the
# unmoved digit?

# %% 11.5
data = digits()
x_held, held = images(data.test.images), data.test.labels
roomy = torch.nn.functional.pad(x_held, (8, 8, 8, 8))
shifts = [0, 1, 2, 3]
pools = {
    "edges": torch.nn.Identity(),
    "max-pooled 2 x 2": nn.MaxPool2d(2),
    "max-pooled 4 x 4": nn.MaxPool2d(4),
    "mean-pooled 4 x 4": nn.AvgPool2d(4),
}


def answer(pool: torch.nn.Module, shift: int) -> torch.Tensor:
    """Return the pooled edge maps of all digits, moved to the right, one row each."""
    edges = F.conv2d(roomy.roll(shift, 3), K[None, None]).abs()[..., :20, :20]
    return pool(edges).flatten(1)


distance = {
    name: [
        ((answer(pool, s) - answer(pool, 0)).norm(dim=1) / answer(pool, 0).norm(dim=1))
        .mean()
        .item()
        for s in shifts
    ]
    for name, pool in pools.items()
}
show(chart(shifts, distance, "moved by pixels", "relative change"), "forgiving")
for name, values in distance.items():
    print(f"{name:18}", "  ".join(f"{v:.2f}" for v in values))
assert distance["edges"][1] > distance["max-pooled 2 x 2"][1] > distance["max-pooled 4 x 4"][1]
assert distance["max-pooled 2 x 2"][1] > 0.1  # it forgives; it does not ignore

# %% [markdown]
# > **11.6** Without it, training would swing wildly and not converge.
#
# That is too strong. Two networks learn from digits that lie at random places, one with pooling and
# one without (it has strides instead, so that both are equally large). Both converge. But what the
# one without pooling has learned carries over less well to digits that it never saw.


# %% 11.6 tags=["varies"]
def network(pooling: bool) -> torch.nn.Module:
    """Return a small network that halves its maps by pooling, or by strides."""
    s = 1 if pooling else 2
    pool = nn.MaxPool2d(2) if pooling else torch.nn.Identity()
    return torch.nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=s, padding=1), torch.nn.ReLU(), pool,
        nn.Conv2d(16, 32, 3, stride=s, padding=1), torch.nn.ReLU(), pool,
        torch.nn.Flatten(), torch.nn.Linear(32 * 9, 10),
    )  # fmt: skip


def scattered(pictures_n1hw: torch.Tensor, seed: int) -> torch.Tensor:
    """Return 8 x 8 pictures at random places of 12 x 12."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.randint(0, 5, (len(pictures_n1hw), 2), generator=generator)
    framed = torch.zeros(len(pictures_n1hw), 1, 12, 12)
    for n, (i, j) in enumerate(places.tolist()):
        framed[n, :, i : i + 8, j : j + 8] = pictures_n1hw[n]
    return framed


x = scattered(images(data.train.images), 1)
x_test = scattered(x_held, 2)
losses, scores = {}, {}
for name, pooling in (("max-pooling", True), ("strides", False)):
    torch.manual_seed(0)
    model = network(pooling)
    losses[name] = fit(model, x, data.train.labels, epochs=12, rate=1e-2)
    scores[name] = accuracy(model, x_test, held)
    print(f"{name}: loss {losses[name][0]:.2f} to {losses[name][-1]:.2f}, {scores[name]:.1%} right")
show(chart(range(1, 13), losses, "epoch", "loss", log=True), "converge")
assert all(values[-1] < values[0] / 4 for values in losses.values())
assert scores["max-pooling"] > scores["strides"] + 0.05

# %% [markdown]
# > **11.7** A convolution draws the smallest features of a picture; max-pooling makes their
# > position less exact. What it says is that the feature is somewhere in this region.
#
# To the letter: a pooled value is above a level where, and only where, some value of its region is.

# %% 11.7
edges = F.correlate2d(grey(), K).abs()[None]
some = F.max_pool2d((edges > 0.2).float(), 8)
assert torch.equal(F.max_pool2d(edges, 8) > 0.2, some > 0)
show(
    planes([("edges", edges[0]), ("an edge in this region", F.max_pool2d(edges, 8)[0])]), "regions"
)

# %% [markdown]
# > **11.8** Pooling makes a representation less sensitive to being sampled down.
#
# Take every fourth value of the edges, and of the edges moved by one pixel: hardly the same
# picture. Take the maximum of every 4 x 4, and it is much more so.

# %% 11.8
moved = edges.roll(1, 2)


def change(one: torch.Tensor, two: torch.Tensor) -> float:
    """Return how far two maps are from each other, relative to their length."""
    return float((one - two).norm() / one.norm())


sampled = change(edges[:, ::4, ::4], moved[:, ::4, ::4])
maxima = change(F.max_pool2d(edges, 4), F.max_pool2d(moved, 4))
means = change(F.avg_pool2d(edges, 4), F.avg_pool2d(moved, 4))
print(f"every fourth {sampled:.2f}, maxima {maxima:.2f}, means {means:.2f}")
assert sampled > 1.5 * maxima
assert sampled > 1.5 * means

# %% [markdown]
# > **11.9** As signals: max-pooling puts out the useful information, min-pooling the noise in it,
# > and average pooling blurs.
#
# The last is right: it is a convolution with equal weights, and removes fine detail. The first two
# depend on what is bright. Bright strokes on black with *dark* noise: the maximum keeps the
# strokes. With *bright* noise it spreads the noise, and the minimum removes it. And one is the
# other upside down: min(x) = -max(-x).

# %% 11.9
photo = grey()[None, ::2, ::2]
assert torch.allclose(
    F.avg_pool2d(photo, 4), F.conv2d(photo, torch.full((1, 1, 4, 4), 1 / 16), stride=4)
)
assert torch.equal(F.min_pool2d(photo, 3), -F.max_pool2d(-photo, 3))
speckled = torch.rand(photo.shape) < 0.03
for noise, level in (("dark", 0.0), ("bright", 1.0)):
    noisy = torch.where(speckled, level, photo)
    error = {
        name: (pool(noisy, 2) - pool(photo, 2)).abs().mean().item()
        for name, pool in (("max", F.max_pool2d), ("min", F.min_pool2d), ("mean", F.avg_pool2d))
    }
    print(f"{noise} noise: " + ", ".join(f"{name} {e:.3f}" for name, e in error.items()))
    better, worse = ("max", "min") if noise == "dark" else ("min", "max")
    assert error[better] < error["mean"] < error[worse]
noisy = torch.where(speckled, 1.0, photo)[0]
shown = [(n, p(noisy[None], 2)[0]) for n, p in (("maxima", F.max_pool2d), ("minima", F.min_pool2d))]
show(
    planes([("bright noise", noisy), *shown, ("means", F.avg_pool2d(noisy[None], 2)[0])], 2),
    "noise",
)
assert F.avg_pool2d(photo, 4).var() < photo.var()
