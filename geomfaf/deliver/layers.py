"""Write vector layers and findings, for a GIS to open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from ..errors import UsageError
from ..files import finished_file, write_json, write_table
from ..survey.cleaning.findings import Finding, findings_layer


def write_layers(
    layers: Mapping[str, gpd.GeoDataFrame], path: str | Path, *, overwrite: bool = False
) -> Path:
    """Write vector layers into one GeoPackage (version 1.2, which every QGIS since 3.0 reads)."""
    path = Path(path)
    if not layers:
        raise UsageError(f"there is no layer to write into {path.name}: give at least one.")
    with finished_file(path, overwrite=overwrite) as final:
        for name, frame in layers.items():
            options: dict[str, Any] = {} if final.exists() else {"VERSION": "1.2"}
            frame.to_file(
                final,
                layer=name,
                driver="GPKG",
                dataset_options=options,
                layer_options={"GEOMETRY_NAME": "geom"},
            )
    return path


def write_findings(
    table: pd.DataFrame,
    findings: Sequence[Finding],
    layers: dict[str, gpd.GeoDataFrame],
    folder: str | Path,
    *,
    overwrite: bool = False,
) -> None:
    """Write findings as ``check.csv``, ``check.json`` and, for the map, layer ``findings`` of
    ``check.gpkg``.

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
    content = [
        {**line, "rows": [int(row) for row in line["rows"].split()]}
        for line in table.to_dict("records")
    ]
    write_json({"findings": content}, folder / "check.json", overwrite=overwrite)
    shown = findings_layer(
        findings, {role: frame.reset_index(drop=True) for role, frame in layers.items()}
    )
    if len(shown):
        write_layers({"findings": shown}, folder / "check.gpkg", overwrite=overwrite)
