"""Read a survey: files, layers and columns of any name become one projected, metric `Survey`."""

from __future__ import annotations

from dataclasses import dataclass, field

import geopandas as gpd


@dataclass(frozen=True)
class Survey:
    """Everything geomfaf knows about an area, in one projected CRS with metres.

    Attributes
    ----------
    samples : GeoDataFrame
        Points with one numeric column an element.
    deposits : GeoDataFrame
        Known deposits, points. They are labels and never a band.
    geology, faults : GeoDataFrame or None
        Polygons of the geological map; fault lines.
    study_area : GeoDataFrame or None
        Polygon(s) outside which nothing is computed or counted.
    elements : dict
        Column of ``samples`` -> unit ("ppm", "ppb", "%", "" when unknown).
    geology_column : str or None
        Column of ``geology`` with the class names.
    """

    samples: gpd.GeoDataFrame
    deposits: gpd.GeoDataFrame
    geology: gpd.GeoDataFrame | None = None
    faults: gpd.GeoDataFrame | None = None
    study_area: gpd.GeoDataFrame | None = None
    elements: dict[str, str] = field(default_factory=dict)
    geology_column: str | None = None
