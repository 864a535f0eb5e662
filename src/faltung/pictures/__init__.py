"""Pictures of the layer: every function computes with this library and returns a figure.

`save` writes a figure as .svg, .pdf or .png; an `Animation` saves itself as .gif or .html.
"""

from faltung.pictures.animation import Animation
from faltung.pictures.saving import save
from faltung.pictures.sliding import sliding_animation, sliding_step

__all__ = [
    "Animation",
    "save",
    "sliding_animation",
    "sliding_step",
]
