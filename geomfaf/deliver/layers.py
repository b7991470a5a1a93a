"""Layers and findings go in; GeoPackages and tables that a GIS opens come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio
import shapely

from ..errors import UsageError
from ..files import finished_file, write_json, write_table
from ..survey.cleaning.findings import CHANGES, Finding, findings_layer
from ..survey.label_columns import label_column, labels_of
from ..survey.survey import Survey
from .qgis.single_files import store_styles

RESERVED = ("fid", "geom")
"""Columns that a GeoPackage keeps for itself."""

FINDING_LAYERS = ("findings", "findings_lines", "findings_areas")
"""Layers of ``check.gpkg``: flagged points, lines and polygons."""

LABELLED = {"samples": "sample", "deposits": "deposit", "faults": "fault"}
"""Role -> what its rows are called, see :func:`geomfaf.survey.label_columns.label_column`."""


def write_layers(
    layers: Mapping[str, gpd.GeoDataFrame | pd.DataFrame],
    path: str | Path,
    *,
    geology_column: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write vector layers and tables into one GeoPackage (version 1.2, which every QGIS since 3.0
    reads), each with the style in which QGIS shows it.

    Columns whose names differ by case alone, or that the format keeps for itself (``fid``,
    ``geom``), get ``_`` behind them. A frame without geometry becomes a table.

    Parameters
    ----------
    layers : mapping
        Name -> GeoDataFrame or DataFrame.
    path : path
        Ending in ``.gpkg``.
    geology_column : str, optional
        Column of the geology that holds the classes, for its style.
    overwrite : bool
        Replace what is there; without it nothing is overwritten.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UsageError
        Without a layer.
    OutputExistsError
        When there is a file already, without ``overwrite``.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> path = gm.write_layers({"deposits": survey.deposits}, f"{tempfile.mkdtemp()}/layers.gpkg")
    >>> [layer.name for layer in gm.list_layers(path)]
    ['deposits']
    """
    path = Path(path)
    if not layers:
        raise UsageError(f"there is no layer to write into {path.name}: give at least one.")
    with finished_file(path, overwrite=overwrite) as final:
        for name, frame in layers.items():
            # The version is that of the file: said once, when its first layer is written.
            options: dict[str, Any] = {} if final.exists() else {"VERSION": "1.2"}
            ready = with_safe_names(frame)
            if isinstance(ready, gpd.GeoDataFrame):
                ready.to_file(
                    final,
                    layer=name,
                    driver="GPKG",
                    dataset_options=options,
                    layer_options={"GEOMETRY_NAME": "geom"},
                )
            else:
                pyogrio.write_dataframe(
                    ready, final, layer=name, driver="GPKG", dataset_options=options
                )
        store_styles(final, geology_column or "")
    return path


def with_safe_names(frame: pd.DataFrame | gpd.GeoDataFrame) -> pd.DataFrame | gpd.GeoDataFrame:
    """Return the frame with column names that a GeoPackage can hold; SQL does not tell ``Au`` from
    ``AU``.

    >>> with_safe_names(pd.DataFrame(columns=["fid", "Au", "AU", "au_"])).columns.tolist()
    ['fid_', 'Au', 'AU__', 'au_']
    """
    geometry = frame.geometry.name if isinstance(frame, gpd.GeoDataFrame) else None
    spelt = [str(column).casefold() for column in frame.columns if column != geometry]
    taken: set[str] = set()
    names: list[Any] = []
    for column in frame.columns:
        name = str(column)
        if column != geometry:
            # A new name may be neither one that stands already nor one that is still to come.
            while name.casefold() in {*RESERVED, *taken} or (
                name != str(column) and name.casefold() in spelt
            ):
                name += "_"
            taken.add(name.casefold())
        names.append(column if column == geometry else name)
    if names == list(frame.columns):
        return frame
    renamed = frame.copy()
    renamed.columns = pd.Index(names)
    return renamed


def write_survey_layers(
    survey: Survey,
    folder: str | Path,
    *,
    overwrite: bool = False,
) -> Path:
    """Write ``survey.gpkg``: the layers of a checked survey, as every later step saw them.

    Parameters
    ----------
    survey : Survey
        From :func:`geomfaf.check_survey`.
    folder : path
        The run folder.

    Returns
    -------
    Path
        Its layers are ``samples`` (cleaned values, own columns, ``sample_id`` as text, and
        ``flags``: what was changed in the row), ``deposits``, ``geology``, ``faults`` and
        ``study_area``, those that the survey has.
    """
    layers: dict[str, gpd.GeoDataFrame] = {}
    for role, frame in survey.layers().items():
        layers[role] = labelled_samples(frame) if role == "samples" else frame
    path = Path(folder) / "survey.gpkg"
    return write_layers(layers, path, geology_column=survey.geology_column, overwrite=overwrite)


def labelled_samples(samples: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the samples with ``sample_id`` and ``flags`` first, both text.

    A table without a column of numbers gets its rows', from 1: "no. 17".
    """
    # 1. What a sample is called: its own label, else its row.
    numbers = [f"no. {row}" for row in range(1, len(samples) + 1)]
    ids = labels_of(samples, "sample")
    ids = ids.where(ids != "", pd.Series(numbers, index=samples.index))
    # 2. What was changed in its row, and how many rows it stands for.
    said = pd.Series("", index=samples.index)
    if CHANGES in samples:
        said = samples[CHANGES]
    flags = said.astype("string").fillna("")
    if "rows_at_place" in samples:
        count = samples["rows_at_place"].astype(int)
        joined = count.astype(str) + " rows at this place"
        both = joined.where(flags == "", flags + "; " + joined)
        flags = flags.mask(count > 1, both)
    # 3. Both come first, in the place of a column of the same name.
    kept = samples.drop(columns=CHANGES, errors="ignore")
    own = label_column(kept, "sample")
    if own is not None and str(own).casefold() == "sample_id":
        kept = kept.drop(columns=own)
    # What is left of the same name is the user's other column: the writer renames it.
    kept = kept.rename(columns={"sample_id": "sample_id_", "flags": "flags_"})
    kept.insert(0, "sample_id", ids.astype(object))
    kept.insert(1, "flags", flags.astype(object))
    return kept


def write_findings(
    table: pd.DataFrame,
    findings: Sequence[Finding],
    layers: dict[str, gpd.GeoDataFrame],
    folder: str | Path,
    *,
    overwrite: bool = False,
) -> None:
    """Write findings as ``check.csv``, ``check.json`` and, for the map, ``check.gpkg``.

    Its layers are ``findings`` (points), ``findings_lines`` and ``findings_areas``, those that
    something was found in: one style cannot draw points and polygons.

    Parameters
    ----------
    table, findings
        From :func:`geomfaf.check_survey`: its table, and the ``findings`` of the survey it returns.
    layers : dict
        Role -> layer as read.
    folder : path
        Made when it is not there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_table(table, folder / "check.csv", overwrite=overwrite)
    # A CSV has row numbers as text, JSON as numbers.
    content = table.to_dict("records")
    for line in content:
        line["rows"] = [int(row) for row in line["rows"].split()]
    write_json({"findings": content}, folder / "check.json", overwrite=overwrite)
    frames = {role: frame.reset_index(drop=True) for role, frame in layers.items()}
    labels = {}
    for role, what in LABELLED.items():
        if role in frames:
            labels[role] = labels_of(frames[role], what)
    shown = by_geometry(findings_layer(findings, frames, labels))
    if shown:
        write_layers(shown, folder / "check.gpkg", overwrite=overwrite)
    elif overwrite:
        # What was found before is not what is found now.
        (folder / "check.gpkg").unlink(missing_ok=True)


def by_geometry(shown: gpd.GeoDataFrame) -> dict[str, gpd.GeoDataFrame]:
    """Return findings as a layer for each kind of shape; those without a shape are on no map.

    >>> from shapely import Point, box
    >>> shapes = [Point(0, 0), box(0, 0, 1, 1), None]
    >>> found = by_geometry(gpd.GeoDataFrame({"row": [4, 7, 9]}, geometry=shapes, crs=32633))
    >>> {name: frame["row"].tolist() for name, frame in found.items()}
    {'findings': [4], 'findings_areas': [7]}
    """
    dimension = shapely.get_dimensions(shown.geometry.to_numpy())
    # A collection of several kinds counts as its largest.
    layers = {}
    for number, name in enumerate(FINDING_LAYERS):
        of_kind = shown[dimension == number]
        if len(of_kind):
            layers[name] = of_kind.reset_index(drop=True)
    return layers
