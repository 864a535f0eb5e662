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
# # 12. Reading digits
#
# > **12.1** You know these digits at once. How does a computer get from bytes to a number?
#
# With everything from the chapters before.

# %%
import torch

import faltung
from faltung import nn, pictures
from tour import accuracy, chart, digits, fit, images, mnist, parameters, planes, show

_ = torch.manual_seed(0)

# %% 12.1
data = digits()
x, labels = images(data.train.images), data.train.labels
x_held, held = images(data.test.images), data.test.labels
titled = [(data.classes[held[n]], x_held[n, 0]) for n in range(8)]
show(planes(titled, 8, height=1.2), "digits")
assert x.shape == (1437, 1, 8, 8)
assert sorted(set(labels.tolist())) == list(range(10))

# %% [markdown]
# > **12.2** A convolutional network reads them: layers that keep the size, pools that halve it, and
# > at the end ten outputs, one for each digit.

# %% 12.2 tags=["varies"]


def network(side: int) -> torch.nn.Sequential:
    """Return a network that reads pictures of `side` x `side`."""
    return torch.nn.Sequential(
        nn.Conv2d(1, 16, 3, padding="same"), torch.nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding="same"), torch.nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding="same"), torch.nn.ReLU(), nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(32 * (side // 4) ** 2, 10),
    )  # fmt: skip


model = network(8)
before = model[0].weight.detach().clone()
losses = fit(model, x, labels, epochs=10, rate=5e-3)
share = accuracy(model, x_held, held)
print(
    f"{parameters(model):,} parameters; {share:.1%} of {len(held)} digits it never saw read right"
)
show(chart(range(1, 11), {"loss": losses}, "epoch", "loss", log=True), "loss")
assert share > 0.95
assert losses[-1] < losses[0] / 20

# %%
print(faltung.summary(model, (1, 1, 8, 8)))

# %% [markdown]
# > **12.3** Its kernels were random, and have been learned.
#
# Red is positive, blue negative.

# %% 12.3 tags=["varies"]
learned = model[0].weight.detach()
assert (learned - before).norm() > 0.2 * before.norm()
show(pictures.kernels(model, "0"), "kernels")

# %% [markdown]
# > **12.4** An output plane is a feature map: what one kernel found in the picture.

# %% 12.4 tags=["varies"]
with torch.no_grad():
    maps = model[:2](x_held[:1])[0]
assert maps.shape == (16, 8, 8)
show(pictures.feature_maps(model, x_held[:1], "1"), "maps")

# %% [markdown]
# What it read wrong, and what it took it for:

# %% tags=["varies"]
with torch.no_grad():
    chances = model(x_held).softmax(1)
wrong = torch.nonzero(chances.argmax(1) != held).flatten()[:6].tolist()
if wrong:
    titled = [(f"{held[n]} read as {chances[n].argmax()}", x_held[n, 0]) for n in wrong]
    show(planes(titled, 6, height=1.3), "wrong")
print(f"{len(wrong)} shown")

# %% [markdown]
# ## The same for MNIST
#
# Pictures of 28 x 28, and 60,000 of them; here a network learns from 6,000, once through. `faltung
# train mnist` does it in full, and reads 99.6 % of the test part right.

# %% 12.5 tags=["varies"]
large = mnist()
if large is not None:
    torch.manual_seed(0)
    reader = network(28)
    fit(reader, images(large.train_images[:6000]), large.train_labels[:6000], epochs=1, rate=3e-3)
    share = accuracy(reader, images(large.test_images[:2000]), large.test_labels[:2000])
    print(f"{parameters(reader):,} parameters; {share:.1%} of 2,000 test pictures read right")
    assert share > 0.9
