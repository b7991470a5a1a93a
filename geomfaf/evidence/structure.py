"""The geological map and the faults go in; bands of what lies between their shapes come out.

Contacts, the mixture of rocks around a place, how deep inside or far outside a rock it lies; how
dense faults are at several scales, where they cross, end and turn: by name, none by default.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from ..errors import UsageError, require_known
from ..rasters.bands import Band
from ..rasters.grid import Grid
from ..survey.survey import Survey
from .faults import cells_on_grid, segments_of, sum_within
from .geology import GeologyLayer
from .layers import EvidenceLayer
from .proximity import DensityLayer, DistanceLayer, density_making, density_radius

OF_GEOLOGY = (
    "contact_distance",
    "contact_density",
    "class_count",
    "class_entropy",
    "class_distance",
)
OF_FAULTS = (
    "fault_density",
    "crossing_distance",
    "crossing_density",
    "fault_end_distance",
    "strike_distance",
    "fault_type_distance",
)
STRUCTURE = OF_GEOLOGY + OF_FAULTS
WITH_RADIUS = (
    "contact_density",
    "class_count",
    "class_entropy",
    "fault_density",
    "crossing_density",
)
"""Bands of what lies within a radius."""

MOST_CELLS = 16
"""Cells at which distances are cut, where it is not said: a window, and so the folds' margin."""

SLIVER = 1.0
"""Metres: gaps and overlaps of neighbouring polygons up to this width are no edge of the map."""

LEAST_SHARE = 0.01
"""A class with less of the mapped area gets no distance of its own."""

STRIKES = ("n", "ne", "e", "nw")
"""Strike classes of 45 degrees, centred on north, north-east, east and north-west."""


def structure_layers(
    survey: Survey,
    grid: Grid,
    names: Sequence[str],
    *,
    radii: Sequence[float] | None = None,
    most: float | None = None,
    type_column: str | None = None,
) -> list[EvidenceLayer]:
    """Return the layers of the named bands; those of a map that the survey lacks are left out.

    Parameters
    ----------
    names : sequence of str
        Of :data:`STRUCTURE`. ``class_distance`` is one band a class (negative inside it),
        ``strike_distance`` one a strike class, ``fault_type_distance`` one a type of fault.
    radii : sequence of float, optional
        Metres, of densities and mixtures, one band each; ten cells when omitted.
    most : float, optional
        Metres; ground farther from a contact, crossing, end or fault is as far. Sixteen cells when
        omitted: what lies farther away has no say, and test ground none in what trains.
    type_column : str, optional
        Column with the type of each fault.
    """
    for name in names:
        require_known(name, STRUCTURE, "structural band")
    radii = list(radii or [density_radius(None, grid)])
    most = longest_distance(most, grid)
    layers: list[EvidenceLayer] = []
    if survey.geology is not None and survey.geology_column:
        wanted = [name for name in names if name in OF_GEOLOGY]
        if wanted:
            grid.require_crs(survey.geology.crs, "geology's polygons")
            layers += _of_geology(survey.geology, survey.geology_column, grid, wanted, radii, most)
    if survey.faults is not None:
        wanted = [name for name in names if name in OF_FAULTS]
        if wanted:
            grid.require_crs(survey.faults.crs, "faults")
            layers += _of_faults(survey.faults, grid, wanted, radii, most, type_column)
    return layers


def _of_geology(
    geology: gpd.GeoDataFrame,
    column: str,
    grid: Grid,
    names: Sequence[str],
    radii: list[float],
    most: float,
) -> list[EvidenceLayer]:
    layers: list[EvidenceLayer] = []
    cut: dict[str, Any] = {"most": most, "bounded": True}
    # 1. Contacts: where the ground of one class meets that of another.
    classes = dissolved_classes(geology, column)
    contacts = class_contacts(classes)
    every = shapely.get_parts(shapely.union_all(list(contacts.values())))
    if "contact_distance" in names and len(every):
        band = Band("contact_distance", "distance", "m", "Distance to nearest contact (m)")
        layers.append(DistanceLayer(band, every, grid, **cut))
    for radius in radii:
        if "contact_density" in names and len(every):
            band = _density_band("contact_density", "contacts", radius)
            layers.append(DensityLayer(band, every, grid, radius))
        mixture = [name for name in ("class_count", "class_entropy") if name in names]
        if mixture:
            layers.append(ClassMixtureLayer(geology, column, grid, radius, mixture))
    # 2. Each class that is wide enough has a distance of its own.
    if "class_distance" in names:
        mapped = sum(polygons.area for polygons in classes.values())
        for name, lines in contacts.items():
            if lines.is_empty or classes[name].area < LEAST_SHARE * mapped:
                continue
            text = f"Distance to {name}, negative inside (m)"
            band = Band(f"distance_to_{name}", "continuous", "m", text)
            own = shapely.get_parts(classes[name])
            layers.append(DistanceLayer(band, shapely.get_parts(lines), grid, inside_of=own, **cut))
    return layers


def _of_faults(
    faults: gpd.GeoDataFrame,
    grid: Grid,
    names: Sequence[str],
    radii: list[float],
    most: float,
    type_column: str | None,
) -> list[EvidenceLayer]:
    lines = shapely.get_parts(faults.geometry.to_numpy())
    cut: dict[str, Any] = {"most": most, "bounded": True}
    layers: list[EvidenceLayer] = []
    # Once for all bands: the network is cut at every crossing.
    crossings = line_crossings(lines)
    ends = free_ends(lines)
    # 1. Distances to points of the network.
    if "crossing_distance" in names and len(crossings):
        band = Band(
            "crossing_distance", "distance", "m", "Distance to nearest crossing of faults (m)"
        )
        layers.append(DistanceLayer(band, crossings, grid, **cut))
    if "fault_end_distance" in names and len(ends):
        band = Band("fault_end_distance", "distance", "m", "Distance to nearest end of a fault (m)")
        layers.append(DistanceLayer(band, ends, grid, **cut))
    # 2. Densities at every scale.
    for radius in radii:
        if "fault_density" in names:
            band = _density_band("fault_density", "faults", radius)
            layers.append(DensityLayer(band, lines, grid, radius))
        if "crossing_density" in names and len(crossings):
            band = _density_band("crossing_density", "crossings of faults", radius, "1/km2")
            layers.append(DensityLayer(band, crossings, grid, radius))
    # 3. Distances by strike and by type.
    if "strike_distance" in names:
        for strike, pieces in pieces_by_strike(faults).items():
            text = f"Distance to nearest fault striking {strike.upper()} (m)"
            band = Band(f"fault_distance_{strike}", "distance", "m", text)
            layers.append(DistanceLayer(band, pieces, grid, **cut))
    if "fault_type_distance" in names:
        layers += _by_type(faults, type_column, grid, cut)
    return layers


def _by_type(
    faults: gpd.GeoDataFrame, column: str | None, grid: Grid, cut: dict[str, Any]
) -> list[EvidenceLayer]:
    if column is None or column not in faults:
        raise UsageError(
            f"fault_type_distance needs type_column, a column of the faults: {column!r} is none of"
            f" {', '.join(str(name) for name in faults.columns.drop('geometry'))}."
        )
    layers: list[EvidenceLayer] = []
    for name, part in faults[faults[column].notna()].groupby(column):
        text = f"Distance to nearest fault, {name} (m)"
        band = Band(f"fault_distance_{name}", "distance", "m", text)
        layers.append(DistanceLayer(band, shapely.get_parts(part.geometry.to_numpy()), grid, **cut))
    return layers


def longest_distance(most: float | None, grid: Grid) -> float:
    """Return the metres at which structural distances are cut: sixteen cells where it is not said."""
    return MOST_CELLS * grid.cell if most is None else most


def _density_band(
    name: str,
    text: str,
    radius: float,
    unit: str = "km/km2",
) -> Band:
    label = f"Density of {text} within {radius:g} m ({unit})"
    return Band(f"{name}_{radius:g}", "density", unit, label)


class ClassMixtureLayer:
    """Number and entropy of the rock classes within a radius of cell centres.

    With p the share of a class among the mapped cells within the radius, the entropy is
    ``-sum(p ln p)`` (Shannon 1948): 0 in one rock, ln n where n rocks have equal shares.
    """

    def __init__(
        self,
        geology: gpd.GeoDataFrame,
        column: str,
        grid: Grid,
        radius: float,
        names: Sequence[str],
    ):
        self.grid = grid
        self.radius = radius
        self.names = tuple(names)
        self.classes = GeologyLayer(geology, column, grid, rule="centre")
        texts = {
            "class_count": f"Number of rock classes within {radius:g} m",
            "class_entropy": f"Entropy of rock classes within {radius:g} m",
        }
        self.bands = []
        for name in names:
            self.bands.append(Band(f"{name}_{radius:g}", "continuous", "", texts[name]))
        self.making = [density_making(radius, grid) for _ in names]

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (bands, height, width); NaN where no mapped cell is near."""
        # 1. The classes of the window and a margin of the radius.
        sides = self.grid.sides
        reach = (int(self.radius // sides[0]), int(self.radius // sides[1]))
        down, across = reach
        wide = (row - down, column - across, height + 2 * down, width + 2 * across)
        numbers = self.classes.block(*wide) * cells_on_grid(self.grid, wide)
        mapped = sum_within((numbers > 0).astype(np.int64), reach, self.radius, sides)
        # 2. The share of each class that is there, in the order of their numbers.
        count = np.zeros((height, width), np.int64)
        entropy = np.zeros((height, width))
        for number in np.unique(numbers[numbers > 0]):
            own = sum_within((numbers == number).astype(np.int64), reach, self.radius, sides)
            count += own > 0
            share = own / np.maximum(mapped, 1)
            entropy -= share * np.log(np.where(share > 0, share, 1.0))
        # 3. The bands asked for.
        found = {"class_count": count.astype(float), "class_entropy": entropy}
        values = np.stack([found[name] for name in self.names])
        return np.where(mapped > 0, values, np.nan).astype(np.float32)

    def fingerprint(self) -> str:
        """Return a hash of the map and the radius."""
        text = f"{self.names}{self.radius!r}{self.classes.fingerprint()}"
        return hashlib.sha256(text.encode()).hexdigest()


def dissolved_classes(geology: gpd.GeoDataFrame, column: str) -> dict[str, shapely.Geometry]:
    """Return the ground of each class, in alphabetical order; rows without a name are left out."""
    # Polygons of one class become one: a boundary inside it is no contact.
    names = geology[column].astype("string").str.strip()
    named = (names.notna() & (names != "")).to_numpy(bool)
    shapes = geology.geometry.to_numpy()[named]
    names = names[named].to_numpy()
    return {str(name): shapely.union_all(shapes[names == name]) for name in sorted(set(names))}


def class_contacts(classes: dict[str, shapely.Geometry]) -> dict[str, shapely.Geometry]:
    """Return the lines along which each class meets another; the edge of the map is none.

    >>> left, right = shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10)
    >>> class_contacts({"a": left, "b": right})["a"].length
    8.0
    """
    # The mapped ground without its slivers; what lies within a sliver of its edge is no contact.
    mapped = shapely.union_all(shapely.buffer(list(classes.values()), SLIVER))
    edge = shapely.buffer(shapely.boundary(shapely.buffer(mapped, -SLIVER)), SLIVER)
    return {
        name: shapely.difference(shapely.boundary(ground), edge) for name, ground in classes.items()
    }


def line_crossings(lines: np.ndarray) -> np.ndarray:
    """Return the points where two lines cross or one abuts on another.

    Where two lines only continue each other, end to end, there is none.
    """
    # 1. Each pair of lines that meet, once.
    tree = shapely.STRtree(lines)
    first, second = tree.query(lines, predicate="intersects")
    pair = first < second
    first = first[pair]
    second = second[pair]
    meeting = shapely.intersection(lines[first], lines[second])
    parts, of_pair = shapely.get_parts(meeting, return_index=True)
    # Lines that run along each other share pieces, which are no crossing.
    point = shapely.get_dimensions(parts) == 0
    parts = parts[point]
    of_pair = of_pair[point]
    # 2. A crossing is no end of both lines: there one only continues the other.
    ends = shapely.boundary(lines)
    of_first = shapely.dwithin(parts, ends[first[of_pair]], 1e-6)
    of_second = shapely.dwithin(parts, ends[second[of_pair]], 1e-6)
    crossings = parts[~(of_first & of_second)]
    xy = np.unique(np.round(shapely.get_coordinates(crossings), 3), axis=0)
    return shapely.points(xy)


def free_ends(lines: np.ndarray) -> np.ndarray:
    """Return the ends of lines that no other line touches (to :data:`SLIVER`)."""
    tree = shapely.STRtree(lines)
    # An end is free when every line within reach of it is its own.
    ends, owner = shapely.get_parts(shapely.boundary(lines), return_index=True)
    point, line = tree.query(ends, predicate="dwithin", distance=SLIVER)
    touched = np.zeros(len(ends), bool)
    touched[point[line != owner[point]]] = True
    return ends[~touched]


def pieces_by_strike(faults: gpd.GeoDataFrame) -> dict[str, np.ndarray]:
    """Return the straight pieces of faults by strike class; classes without any are left out.

    >>> line = gpd.GeoDataFrame(geometry=[shapely.LineString([(0, 0), (0, 9), (9, 9)])])
    >>> {strike: len(pieces) for strike, pieces in pieces_by_strike(line).items()}
    {'n': 1, 'e': 1}
    """
    pieces = segments_of(faults)
    dx = pieces[:, 2] - pieces[:, 0]
    dy = pieces[:, 3] - pieces[:, 1]
    # From north, clockwise; half a turn is the same strike.
    azimuth = np.rad2deg(np.arctan2(dx, dy)) % 180
    number = np.floor((azimuth + 22.5) / 45).astype(int) % 4
    found = {}
    for index, strike in enumerate(STRIKES):
        own = pieces[number == index]
        if len(own):
            found[strike] = shapely.linestrings(own.reshape(-1, 2, 2))
    return found
