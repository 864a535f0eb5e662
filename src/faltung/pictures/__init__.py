"""Pictures of the layer: every function computes with this library and returns a figure.

`save` writes a figure as .svg, .pdf, .png or .webp; an `Animation` saves itself as .gif or .html.
"""

from faltung.pictures.animation import Animation
from faltung.pictures.channels import channel_sums
from faltung.pictures.learned import feature_maps, kernels
from faltung.pictures.matrix import convolution_matrix, toeplitz
from faltung.pictures.pooling import pooling_animation, pooling_step
from faltung.pictures.receptive import receptive_field
from faltung.pictures.saving import save
from faltung.pictures.sharing import connections, weight_counts
from faltung.pictures.sizes import geometry
from faltung.pictures.sliding import sliding_animation, sliding_step

__all__ = [
    "Animation",
    "channel_sums",
    "connections",
    "convolution_matrix",
    "feature_maps",
    "geometry",
    "kernels",
    "pooling_animation",
    "pooling_step",
    "receptive_field",
    "save",
    "sliding_animation",
    "sliding_step",
    "toeplitz",
    "weight_counts",
]
