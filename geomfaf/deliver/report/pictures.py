"""Arrays and figures go in; images that stand inside a page come out, as data addresses."""

from __future__ import annotations

import base64
from importlib.resources import files
from io import BytesIO

import numpy as np

Colour = tuple[int, int, int, int]
"""Red, green, blue and opacity, 0 to 255 each."""

MOST_CELLS = 1000
"""Cells along an image's longer side: more than a screen shows, and a report stays small."""


def data_address(content: bytes, kind: str = "image/png") -> str:
    """Return the address that holds a file's content.

    >>> data_address(b"abc", "text/plain")
    'data:text/plain;base64,YWJj'
    """
    text = base64.b64encode(content).decode()
    return f"data:{kind};base64,{text}"


def index_image(index: np.ndarray, colours: list[Colour]) -> str:
    """Return an array of colour numbers as an image of one pixel a cell.

    Parameters
    ----------
    index : array, (y, x)
        Place of each cell's colour; NaN is transparent. Of more than 255 colours the last are one.
    colours : list of (red, green, blue, alpha)
        0 to 255 each.
    """
    from PIL import Image

    # 1. As many cells as a screen shows.
    step = -(-max(index.shape) // MOST_CELLS)
    thinned = index[::step, ::step]
    # 2. A byte a cell; colour 0 is the transparent one.
    table = np.array([(0, 0, 0, 0), *colours[:255]], np.uint8)
    last = len(table) - 2
    numbers = np.minimum(np.nan_to_num(thinned), last) + 1
    numbers[~np.isfinite(thinned)] = 0
    # 3. The colours, and how opaque each of them is.
    picture = Image.fromarray(numbers.astype(np.uint8), mode="P")
    picture.putpalette(table[:, :3].tobytes())
    opacity = table[:, 3].tobytes()
    target = BytesIO()
    picture.save(target, "png", transparency=opacity, optimize=True)
    return data_address(target.getvalue())


def ramp_image(
    values: np.ndarray,
    ramp: str,
    low: float,
    high: float,
) -> str:
    """Return an array in 64 colours of one of matplotlib's ramps, from a low to a high value."""
    from matplotlib import colormaps

    steps = 64
    # Values beyond the ends take the colours of the ends.
    length = high - low if high > low else 1.0
    share = np.clip((values - low) / length, 0, 0.999999)
    index = np.floor(share * steps)
    places = np.linspace(0, 1, steps)
    shades = colormaps[ramp](places, bytes=True)
    colours = [tuple(shade) for shade in shades.tolist()]
    return index_image(index, colours)


def hatch_image(mask: np.ndarray) -> str:
    """Return the cells of a mask as oblique lines, which leave the map below in sight."""
    rows, cols = np.indices(mask.shape)
    # Lines keep their distance on the screen, however many cells the map has.
    distance = max(6, round(max(mask.shape) / 130))
    thickness = max(1, distance // 5)
    oblique = (rows + cols) % distance < thickness
    lines = np.where(mask & oblique, 0.0, np.nan)
    return index_image(lines, [(60, 60, 60, 255)])


def leaflet_sources() -> tuple[str, str]:
    """Return Leaflet's style and script, with its pictures inside and no address that leads out."""
    folder = files(__package__) / "leaflet"
    style = (folder / "leaflet.css").read_text(encoding="utf-8")
    for name in ("layers.png", "layers-2x.png"):
        content = (folder / "images" / name).read_bytes()
        picture = data_address(content)
        style = style.replace(f"images/{name}", picture)
    # Markers of the default kind and the lines for an old Internet Explorer are not used.
    style = style.replace("url(images/marker-icon.png)", "none")
    style = style.replace("behavior: url(#default#VML);", "")
    script = (folder / "leaflet.js").read_text(encoding="utf-8")
    script, _, _ = script.rpartition("//# sourceMappingURL")
    return style, script
