"""Random affine changes of a batch of images, in tensors: shift, rotation, scale, shear.

The work is two steps, so that several processes can share one batch: `draw` makes the parameters
of the whole batch from the generator, `apply` uses them on any slice of it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as torch_functional

from faltung.errors import ArgumentError, ShapeError

# Exclusive upper limits. A scale of 1 would shrink to a point, a shear of 90 degrees to a line.
_LIMITS = {"shift": 1.0, "rotation": 360.0, "scale": 1.0, "shear": 90.0}


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; every parameter is drawn uniformly from [-range, +range].

    Args:
        shift: Fraction of the image side, for each axis.
        rotation: Degrees, counter-clockwise where positive.
        scale: Relative change of size: 0.1 draws factors from 0.9 to 1.1.
        shear: Degrees of slant, as of italics.

    Raises:
        ArgumentError: A range is negative, not a number, or at or above its limit.
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0

    def __post_init__(self) -> None:
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if not 0 <= value < limit:
                raise ArgumentError(
                    f"{name} is {value}: the range of an augmentation is at least 0 and "
                    f"below {limit:g}; use 0 to switch it off"
                )


def draw(count: int, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Draw the affine maps of `count` images.

    Args:
        count: Number of images N of the whole batch.
        augmentation: Ranges to draw from.
        generator: The only source of randomness; five numbers an image are taken from it,
            whatever the ranges are.

    Returns:
        Tensor (N, 2, 3) on the generator's device: maps from output to input positions in the
        coordinates of `torch.nn.functional.affine_grid` (-1 to 1 over the image).
    """
    uniform = torch.rand(count, 5, generator=generator, device=generator.device) * 2 - 1
    angle = uniform[:, 0] * math.radians(augmentation.rotation)
    factor = 1 + uniform[:, 1] * augmentation.scale
    slant = torch.tan(uniform[:, 2] * math.radians(augmentation.shear))
    shift = uniform[:, 3:] * 2 * augmentation.shift
    cos, sin = torch.cos(angle) / factor, torch.sin(angle) / factor
    # Content is scaled, slanted, rotated, shifted; the map below is the inverse of that chain.
    # Rows grow downwards, so that a counter-clockwise turn looks up at the clockwise place.
    inverse = torch.stack([cos + slant * sin, slant * cos - sin, sin, cos], dim=1).view(-1, 2, 2)
    offset = -(inverse @ shift.unsqueeze(2))
    return torch.cat([inverse, offset], dim=2)


def apply(x_n1hw: Tensor, theta: Tensor) -> Tensor:
    """Move the images by the maps from `draw`: bilinear, zeros outside.

    Args:
        x_n1hw: Floating-point images (N, C, H, W) with H = W.
        theta: Maps (N, 2, 3), one an image, or the slice that belongs to these images.

    Returns:
        Tensor of the same shape, type and device; the very same values where all maps are the
        identity.

    Raises:
        ShapeError: The images are not square, or their number differs from that of the maps.
    """
    if x_n1hw.dim() != 4 or x_n1hw.shape[2] != x_n1hw.shape[3]:
        raise ShapeError(
            f"images have shape {tuple(x_n1hw.shape)}: they must be (N, C, H, W) and square, "
            f"since a rotation turns about both axes alike; pad them to a square"
        )
    if theta.shape != (len(x_n1hw), 2, 3):
        raise ShapeError(
            f"theta has shape {tuple(theta.shape)} but there are {len(x_n1hw)} images: give one "
            f"map an image, shape ({len(x_n1hw)}, 2, 3); slice both alike"
        )
    identity = torch.eye(2, 3, device=theta.device, dtype=theta.dtype)
    if bool((theta == identity).all()):
        return x_n1hw
    maps = theta.to(device=x_n1hw.device, dtype=x_n1hw.dtype)
    grid = torch_functional.affine_grid(maps, list(x_n1hw.shape), align_corners=False)
    return torch_functional.grid_sample(x_n1hw, grid, mode="bilinear", align_corners=False)


def augment(x_n1hw: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Change every image of a batch at random, each in its own way.

    Args:
        x_n1hw: Floating-point images (N, C, H, W) with H = W.
        augmentation: Ranges of the changes.
        generator: The only source of randomness.

    Returns:
        Tensor of the same shape, type and device.

    Raises:
        ShapeError: The images are not square.
    """
    return apply(x_n1hw, draw(len(x_n1hw), augmentation, generator))
