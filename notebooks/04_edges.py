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
# # 4. Edges
#
# The simplest use of a kernel: to find the places where a picture changes.

# %%
import torch

from faltung import functional as F
from faltung import pictures
from faltung.recognition.edges import KERNELS, response
from tour import grey, planes, show

_ = torch.manual_seed(0)

# %% [markdown]
# > **4.1** A picture of 6 x 8, the four columns in the middle black (0), the others white (1), and
# > a kernel of height 1 and width 2, [1, -1]: where two neighbours in a row are the same, the
# > output is 0, else it is not.
# >
# > **4.2** 1 is an edge from white to black, -1 one from black to white, everything else is 0.

# %% 4.1 4.2
X = torch.ones(6, 8)
X[:, 2:6] = 0
K = torch.tensor([[1.0, -1.0]])
Y = F.correlate2d(X, K)
assert torch.equal(Y == 0, X[:, :-1] == X[:, 1:])
assert torch.equal(Y == 1, (X[:, :-1] == 1) & (X[:, 1:] == 0))
assert torch.equal(Y == -1, (X[:, :-1] == 0) & (X[:, 1:] == 1))
assert Y.tolist() == [[0, 1, 0, 0, 0, -1, 0]] * 6
show(pictures.sliding_step(X, K, 2, 1), "white_to_black")

# %% [markdown]
# > **4.3** Transpose the picture, and the edges are gone: this kernel finds vertical edges only,
# > and no horizontal ones.
#
# So it is, though one of the texts prints the wrong tensor for it (that of 4.2). The right output
# has 8 rows and 5 columns, all zero. The transposed kernel finds them. A slanted edge is seen by
# both.

# %% 4.3
assert F.correlate2d(X.T, K).shape == (8, 5)
assert torch.count_nonzero(F.correlate2d(X.T, K)) == 0
assert torch.equal(F.correlate2d(X.T, K.T), Y.T)
slanted = torch.ones(6, 8).triu()
assert torch.count_nonzero(F.correlate2d(slanted, K)) > 0
assert torch.count_nonzero(F.correlate2d(slanted, K.T)) > 0

# %% [markdown]
# > **4.4** To find edges of different colours in a picture is a simple use of a convolutional
# > layer: it finds the places where pixels change. A kernel can be designed for it, and for black
# > and white [1, -1] is enough.
#
# On the photograph. Blue and red are the two signs.

# %% 4.4
photo = grey()[::2, ::2].contiguous()
vertical, horizontal = F.correlate2d(photo, K), F.correlate2d(photo, K.T)
assert torch.equal(vertical, photo[:, :-1] - photo[:, 1:])
edges = [("[1, -1]", vertical), ("the same, transposed", horizontal)]
show(planes(edges, signed=True), "photograph")

# %% [markdown]
# > **4.5** By a bit of arithmetic with a kernel, chosen features are drawn out of a picture.
# > Different kernels draw out different features.
# >
# > **4.6** The same feature, drawn out with another kernel, comes out differently.
#
# Different features: how little the answers of two kernels resemble each other. The same feature:
# Sobel's kernel also answers to vertical edges, but it averages over three rows, so that noise
# disturbs it less.

# %% 4.5 4.6
answers = {name: response(photo, name) for name in KERNELS}


def alike(one: torch.Tensor, two: torch.Tensor) -> float:
    """Return the correlation of two answers over the places they share."""
    h, w = min(one.shape[0], two.shape[0]), min(one.shape[1], two.shape[1])
    return float(torch.corrcoef(torch.stack([one[:h, :w].flatten(), two[:h, :w].flatten()]))[0, 1])


shown = [(name, answers[name]) for name in ("sobel-x", "sobel-y", "laplacian")]
show(planes(shown, 3, signed=True, height=1.7), "features")
different = alike(answers["sobel-x"], answers["sobel-y"])
same = -alike(answers["sobel-x"], response(photo[1:], "vertical"))
print(f"sobel-x and sobel-y: {different:.2f}; sobel-x and [1, -1]: {same:.2f}")
assert abs(different) < 0.1
assert 0.3 < same < 0.9

noise = 0.1 * torch.randn_like(photo)
kept = {n: alike(answers[n], response(photo + noise, n)) for n in ("vertical", "sobel-x")}
print("with noise, still like the answer without:", {n: round(v, 2) for n, v in kept.items()})
assert kept["sobel-x"] > kept["vertical"] + 0.03

# %% [markdown]
# > **4.7** An output that is not 0 says that the two inputs differ: the edge of a thing may pass
# > between them.

# %% 4.7
row, column = divmod(int(vertical.abs().argmax()), vertical.shape[1])
left, right = photo[row, column].item(), photo[row, column + 1].item()
print(
    f"strongest edge: row {row}, between columns {column} and {column + 1}: {left:.2f}, {right:.2f}"
)
assert abs(left - right) == vertical.abs().max() > 0.5

# %% [markdown]
# > **4.8** The larger the output, the closer a place is to the feature that the filter stands for.
#
# Not quite: the output also grows with the brightness and contrast of the place. A kernel made from
# a patch of the photograph answers more strongly to the bright sky than to the patch itself. What
# measures likeness is the output divided by the length of the window and of the kernel, the cosine
# of the angle between them: at most 1, and 1 only where the window is the kernel times a number.

# %% 4.8
top, left = 120, 150
template = photo[top : top + 9, left : left + 9].clone()
plain = F.correlate2d(photo, template)
lengths = F.correlate2d(photo.square(), torch.ones(9, 9)).sqrt()
cosine = plain / (lengths * template.norm())
assert plain[top, left] < plain.max()
strongest, closest = (divmod(int(p.argmax()), p.shape[1]) for p in (plain, cosine))
print(
    f"the patch lies at {(top, left)}; largest output at {strongest}, largest cosine at {closest}"
)
assert strongest != (top, left)
assert closest == (top, left)
assert abs(cosine[top, left] - 1) < 1e-4
