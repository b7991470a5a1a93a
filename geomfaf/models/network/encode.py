"""The input layer of every model: bands in their own units become comparable channels.

What it needs is learned from training windows alone and travels with the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import DataError
from ...rasters.bands import Band

CLIP = 5.0
"""Standardised values are cut at +-5: one freak sample must not own a band."""

RARE = 0.01
"""Classes on less than this share of the training cells get no channel of their own."""

ROUNDING = 1e-6
"""A spread below this, against the largest value or 1, is the rounding of float32 bands and no
signal.
"""


@dataclass(frozen=True)
class Channel:
    """One channel: a standardised band, or one class of a class band (``value``)."""

    band: str
    kind: str
    centre: float = 0.0
    spread: float = 1.0
    floor: float = 0.0
    value: int = 0
    label: str = ""


@dataclass(frozen=True)
class Encoder:
    """Channels learned from training windows, see :func:`fit_encoder`."""

    channels: tuple[Channel, ...]

    @property
    def names(self) -> list[str]:
        """Name of each channel: the band, or ``band=class``."""
        return [f"{c.band}={c.label}" if c.kind == "class" else c.band for c in self.channels]

    def transform(self, values: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Encode (band, ...) values to (channel, ...) float32; nodata becomes 0, the median of a
        band.
        """
        # Named by band, so that the order of a stack does not matter.
        index = {name: number for number, name in enumerate(names)}
        encoded = np.empty((len(self.channels), *values.shape[1:]), np.float32)
        for number, channel in enumerate(self.channels):
            if channel.band not in index:
                raise DataError(
                    f'the stack has no band "{channel.band}", which the model was trained on.'
                )
            band = values[index[channel.band]]
            if channel.kind == "class":
                encoded[number] = band == channel.value
            else:
                scaled = (
                    _straighten(band, channel.kind, channel.floor) - channel.centre
                ) / channel.spread
                encoded[number] = np.nan_to_num(np.clip(scaled, -CLIP, CLIP), nan=0.0)
        return encoded


def fit_encoder(values: np.ndarray, bands: Sequence[Band]) -> Encoder:
    """Learn the channels from (band, ...) training values.

    Other than the features of :mod:`geomfaf.windows.features`, whose scale is fixed so that one
    table serves every fold, this scaling is learned, from a fold's own windows.

    Elements and distances go through the logarithm, then every band is centred on its median and
    divided by its interquartile range as if normal (IQR / 1.349); a class band becomes one channel
    a class.
    """
    channels = []
    for band, layer in zip(bands, values, strict=True):
        # 1. a class that is there often enough gets a channel
        known = np.asarray(layer, np.float64)[np.isfinite(layer)]
        if band.kind == "class":
            share = {
                number: float((known == number).mean()) if len(known) else 0.0
                for number in band.legend
            }
            for number, name in band.legend.items():
                if share[number] >= RARE:
                    channels.append(Channel(band.name, "class", value=int(number), label=name))
            continue
        if band.kind == "element" and (known < 0).any():
            raise DataError(
                f"{band.name} has {int((known < 0).sum()):,} negative cells, and an element's scale"
                ' is logarithmic: declare what the band is, such as kind = "continuous" in its tags'
                " or under [[rasters]]."
            )
        # 2. where the logarithm begins
        positive = known[known > 0]
        # Elements: keeps the logarithm from running away; distances: the scale beyond which they
        # saturate.
        floor = (
            float(np.quantile(positive, 0.01 if band.kind == "element" else 0.5))
            if len(positive)
            else 1.0
        )
        # 3. centre and spread of what is left
        straight = _straighten(known, band.kind, floor)
        centre, spread = _centre_and_spread(straight) if len(straight) else (0.0, 1.0)
        channels.append(Channel(band.name, band.kind, centre, spread, floor))
    if not channels:
        raise DataError(
            "no band is left to learn from: every class covers less than 1 % of the training"
            " windows."
        )
    return Encoder(tuple(channels))


def _centre_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Return median and IQR / 1.349; the standard deviation or 1 where the one before is no more
    than rounding.

    Where most samples are at the detection limit, the gridded values differ there in their last
    bits alone.
    """
    low, centre, high = np.quantile(values, [0.25, 0.5, 0.75])
    rounding = ROUNDING * max(1.0, float(np.abs(values).max()))
    spreads = ((high - low) / 1.349, float(values.std()), 1.0)
    return float(centre), float(next(spread for spread in spreads if spread > rounding))


def _straighten(values: np.ndarray, kind: str, floor: float) -> np.ndarray:
    if kind == "element":
        return np.log10(np.maximum(values, floor))
    if kind == "distance":
        return np.log10(np.maximum(values, 0) + floor)
    return values
