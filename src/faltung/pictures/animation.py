"""Animations: frames drawn one by one, saved as GIF or as one page that needs no network."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from faltung.errors import ArgumentError
from faltung.pictures.saving import checked_target, rendered, write

ENDINGS = (".gif", ".html")
MOST_FRAMES = 150
SHORTEST = 0.02  # seconds; browsers show shorter frames of a GIF for longer
GIF_DPI = 96
COLOURS = 64  # of a GIF
LAST = 2  # times as long as the others the last frame of a GIF is shown

Frame = Callable[[], Figure]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Animation:
    """Frames that follow each other.

    Attributes:
        frames: Each draws its figure when called.
        seconds: How long a frame is shown.
    """

    frames: tuple[Frame, ...]
    seconds: float

    def save(self, path: Path | str) -> Path:
        """Save the animation, atomically.

        Args:
            path: Where; .gif for an image, .html for a page with buttons, sharp at any size.

        Returns:
            The path.

        Raises:
            ArgumentError: The ending is another one, there is no such folder, or nothing can be
                written there.
        """
        target = checked_target(path, ENDINGS, "an animation")
        gif = target.suffix.lower() == ".gif"
        write(target, self.gif() if gif else self.html().encode("utf-8"))
        return target

    def gif(self) -> bytes:
        """Return the animation as a GIF that repeats; the last frame stays twice as long."""
        drawn = [_pixels(frame()) for frame in self.frames]
        shared = _commonest(drawn[-1])  # the last frame shows most, so all colours
        images = [_in_colours(image, shared) for image in drawn]
        still = round(self.seconds * 1000)
        content = io.BytesIO()
        images[0].save(
            content,
            "GIF",
            save_all=True,
            append_images=images[1:],
            duration=[*[still] * (len(images) - 1), LAST * still],
            loop=0,
            optimize=False,
        )
        return content.getvalue()

    def html(self) -> str:
        """Return the animation as one page: frames as SVG, buttons, keys, no network."""
        figures = [frame() for frame in self.frames]
        frames = [
            {
                "source": base64.b64encode(rendered(figure, ".svg")).decode("ascii"),
                "text": str(figure.get_label()),
            }
            for figure in figures
        ]
        template = resources.files("faltung.pictures").joinpath("templates/animation.html")
        page = jinja2.Template(template.read_text(encoding="utf-8"), autoescape=True)
        text: str = page.render(frames=frames, milliseconds=round(self.seconds * 1000))
        return text


def animated(frames: Sequence[Frame], seconds: float) -> Animation:
    """Return an animation.

    Raises:
        ArgumentError: There are too many frames, or they follow each other too quickly.
    """
    if len(frames) > MOST_FRAMES:
        raise ArgumentError(
            f"the output has {len(frames)} cells, a frame each: at most {MOST_FRAMES} make an "
            f"animation; use a smaller image or a larger stride"
        )
    if not SHORTEST <= seconds <= 60:
        raise ArgumentError(f"seconds is {seconds}: a frame is shown for {SHORTEST} to 60 seconds")
    return Animation(tuple(frames), seconds)


def _commonest(image: Image.Image) -> Bytes:
    """Return the commonest colours (COLOURS, 3) of an image, as they are."""
    counted = image.getcolors(image.width * image.height) or []
    colours = [colour for _, colour in sorted(counted, reverse=True)[:COLOURS]]
    return np.array(colours, np.uint8)


def _in_colours(image: Image.Image, palette: Bytes) -> Image.Image:
    """Return an image in the nearest colours of a palette; its own stay exactly as they are."""
    packed = np.asarray(image).astype(np.int64) @ (65536, 256, 1)
    found, which = np.unique(packed, return_inverse=True)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], 1)
    apart = colours[:, None] - palette[None].astype(np.int64)
    nearest = np.square(apart).sum(2).argmin(1).astype(np.uint8)
    drawn = Image.fromarray(nearest[which.reshape(image.height, image.width)], "P")
    drawn.putpalette(palette.tobytes())
    return drawn


def _pixels(figure: Figure) -> Image.Image:
    return Image.open(io.BytesIO(rendered(figure, ".png", GIF_DPI))).convert("RGB")
