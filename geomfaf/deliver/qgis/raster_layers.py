"""The bands of a run go in; the project's prospectivity, trust and evidence layers come out."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from .contents import RunContents, StoredBand
from .raster_styles import (
    RasterClass,
    discrete,
    legend_classes,
    paletted,
    share_classes,
    value_classes,
)
from .tree import Layer

NOTES = {
    "score": (
        "Mean of all fold models, most of which learned from the deposits nearby: a map to explore"
        " with, not to judge by. It ranks ground; it is not the chance of a deposit."
    ),
    "heldout_score": (
        "Each place is scored by the model that never saw it. Straight seams are the edges of the"
        " folds."
    ),
    "spread": "Standard deviation over branches and fold models: how far they disagree.",
    "vote_share": "Share of the network's branches that vote ore.",
    "dissimilarity": "Distance of the evidence to the nearest training place; 0 is like one.",
    "applicable": "Unlike all training ground: the score is a guess here.",
    "return": "Mean held-out score over repeated draws of barren windows.",
    "risk": "Standard deviation of the held-out score over repeated draws of barren windows.",
}
COLOURS = {
    "spread": "magma_r",
    "risk": "magma_r",
    "dissimilarity": "magma_r",
}
RANKED = ("score", "heldout_score", "return")
"""Bands whose values mean nothing by themselves, only which ground has more."""

EXTRAPOLATED = RasterClass(0, "#7a7a7a", "extrapolated: do not trust the score", 190)


def band_style(contents: RunContents, stored: StoredBand) -> list[Element]:
    """Return the style that fits a band: shares of the area, classes by name, or by value."""
    band = stored.band
    # 1. Masks and classes are numbers with names.
    if band.name == "applicable":
        return [paletted(stored.index, [EXTRAPOLATED])]
    if band.kind == "class":
        return [paletted(stored.index, legend_classes(band.legend))]
    # 2. Scores are cut by shares of the area, all else by value.
    values = contents.values(stored)
    if band.name in RANKED:
        return [discrete(stored.index, share_classes(values))]
    colours = COLOURS.get(band.name, "viridis")
    if band.kind in ("distance", "density"):
        # What is near a fault is bright, whichever way the numbers run.
        colours = "cividis_r" if band.kind == "distance" else "cividis"
    return [discrete(stored.index, value_classes(values, band.kind, band.unit, colours))]


def prospectivity_layers(contents: RunContents) -> tuple[Layer, list[Layer], Layer | None]:
    """Return the score map, the layers that tell how far to trust it, and the mask of extrapolated
    ground.

    Every band of ``scores.tif`` is also a named style of the score map, in its Styles menu.
    """
    # 1. The score, with every other band as a style of its own.
    stored = {item.band.name: item for item in contents.bands("scores.tif")}
    drawn = {name: band_style(contents, item) for name, item in stored.items()}
    score = Layer(
        "Prospectivity: best ground, by share of the area",
        "./scores.tif",
        drawn["score"],
        note=NOTES["score"],
        styles=_named_styles(contents, stored, drawn),
    )
    # 2. The same bands as layers, hidden until they are asked for.
    trust = []
    for name, title in (
        ("heldout_score", "Held-out map: best ground, by share of the area"),
        ("spread", "Spread of the score"),
        ("vote_share", "Share of votes for ore"),
        ("dissimilarity", "Unlikeness to the training ground"),
    ):
        if name in stored:
            trust.append(Layer(title, "./scores.tif", drawn[name], visible=False, note=NOTES[name]))
    for item in contents.bands("risk_return.tif"):
        style = band_style(contents, item)
        note = NOTES.get(item.band.name, "")
        trust.append(Layer(item.title, "./risk_return.tif", style, visible=False, note=note))
    # 3. Ground that no training place is like.
    mask = None
    if "applicable" in stored:
        name = "Extrapolated ground"
        mask = Layer(name, "./scores.tif", drawn["applicable"], note=NOTES["applicable"])
    return score, trust, mask


def _named_styles(
    contents: RunContents, stored: dict[str, StoredBand], drawn: dict[str, list[Element]]
) -> dict[str, Sequence[Element]]:
    """Return the other faces of the score map, by the name that the Styles menu shows."""
    score = stored["score"]
    by_value = value_classes(contents.values(score), "score", "", "YlOrRd")
    styles: dict[str, Sequence[Element]] = {
        "Score, by value": [discrete(score.index, by_value)],
    }
    for name, title in (
        ("heldout_score", "Held-out map"),
        ("spread", "Spread"),
        ("vote_share", "Share of votes for ore"),
        ("dissimilarity", "Unlikeness to the training ground"),
    ):
        if name in drawn:
            styles[title] = drawn[name]
    return styles


def evidence_layers(contents: RunContents) -> list[Layer]:
    """Return a layer for each band of evidence, in the order of the stack."""
    found: list[Layer] = []
    for stored in contents.bands("stack.tif"):
        title = stored.title
        # Two columns of one element (say of two laboratories) need their own names.
        if any(layer.name == title for layer in found):
            title = f"{title} [{stored.band.name}]"
        note = f"{stored.band.label}. Evidence only: high values are not targets."
        style = band_style(contents, stored)
        found.append(Layer(title, "./stack.tif", style, visible=False, note=note))
    return found
