"""A run's folder made in a moment: what `geomfaf run` leaves, without its training."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from builders import make_grid, make_scores, make_stack, points_in, scattered_cells, smooth_noise

from geomfaf.deliver.layers import write_layers
from geomfaf.rasters.bands import Band, as_dataarray, bands_of
from geomfaf.rasters.geotiff import write_raster

GRID = make_grid(60, 80)
NASTY = "<script>alert('x')</script> \"quoted\" & 'single' $a_b$"
VERDICT = [
    "MFAF's map ranks unseen deposits better than chance (7 of 9).",
    "Extra trees beats MFAF here: prefer it.",
]
EXPLORED = (10, 12, 20, 26)
KNOWN = (40, 50, 48, 62)
"""First row, first column, last row, last column of the two targets."""


def make_run(
    folder: Path,
    *,
    layers: tuple[str, ...] = ("samples", "geology", "faults", "study_area"),
    stack=None,
    deposit_names: list[str] | None = None,
    **record,
) -> Path:
    """Fill a folder as a run does and return it; ``record`` goes into run.json."""
    out = folder / "out"
    out.mkdir(parents=True)
    score = 1 / (1 + np.exp(-smooth_noise(GRID.shape, 3, 4.0)))
    applicable = np.ones(GRID.shape)
    applicable[:, :6] = 0
    write_raster(with_applicable(make_scores(GRID, score), applicable), out / "scores.tif")
    write_raster(make_stack(GRID) if stack is None else stack, out / "stack.tif")
    write_layers(target_layers(deposit_names), out / "targets.gpkg")
    found = survey_layers()
    kept = {name: found[name] for name in layers}
    if kept:
        write_layers(kept, out / "survey.gpkg")
    write_tables(out)
    content = {
        "title": "Prospectivity of the test area",
        "area": "Test area",
        "elements": {"Au": "ppb", "Cu": "ppm"},
        "chosen_model": "MFAF",
        "finished": "2030-01-02T03:04:05+0000",
        "versions": {"geomfaf": "9.9"},
        "inputs": {"samples": {"path": "/home/me/secret/survey.gpkg", "sha256": "abc" * 20}},
        "settings": {"seed": 0, "grid": {"cell": 100}},
        **record,
    }
    (out / "run.json").write_text(json.dumps(content), encoding="utf-8")
    return out


def with_applicable(scores, applicable: np.ndarray):
    """Scores with the band that says where they are extrapolated (0)."""
    bands = [*bands_of(scores), Band("applicable", "score")]
    return as_dataarray(np.concatenate([scores.values, applicable[None]]), GRID, bands)


def target_layers(names: list[str] | None = None) -> dict[str, gpd.GeoDataFrame]:
    """An exploration target and known ground, cells, six deposits of which one lies in a target."""
    deposits = points_in(GRID, [44, 5, 5, 30, 55, 31], [56, 6, 70, 40, 20, 41])
    deposits["name"] = names or [f"mine {number}" for number in range(6)]
    deposits["commodity"] = ["Au", "Au", "Cu", "Au", "Cu", "Au"]
    deposits = deposits.assign(
        map_score=0.5, map_heldout=np.linspace(0.9, 0.4, 6), best_percent=np.linspace(1, 60, 6)
    )
    deposits["target"] = [2, 0, 0, 0, 0, 0]
    boxes = [shapely.box(*cells_bounds(*place)) for place in (EXPLORED, KNOWN)]
    x, y = GRID.xy([15, 44], [20, 56])
    targets = gpd.GeoDataFrame(
        {
            "number": [1, 2],
            "name": ["T1", "K1"],
            "list": ["exploration", "known ground"],
            "status": ["new", "known"],
            "rank": [1, 1],
            "area_km2": [1.54, 1.08],
            "mean_score": [0.8, 0.9],
            "max_score": [0.9, 0.95],
            "heldout_score": [0.7, 0.85],
            "spread": [0.05, 0.04],
            "extrapolated": [0.25, 0.0],
            "deposits": [0, 1],
            "deposit_distance_m": [1234.0, 0.0],
            "samples": [0, 7],
            "sample_distance_m": [321.0, 0.0],
            "elements": ["Au 98 %, Cu 95 %", ""],
            "best_samples": ["Au 12.5 ppb, S00348", ""],
            "geology": ["granite", "shale"],
            "rocks": ["granite 62 %, shale 30 %", "shale 100 %"],
            "why": ["Gold and copper are high beside a fault.", ""],
            "x": x,
            "y": y,
        },
        geometry=boxes,
        crs=GRID.crs,
    )
    squares = [shapely.box(*cells_bounds(r, c, r + 16, c + 16)) for r in (0, 16) for c in (0, 16)]
    cells = gpd.GeoDataFrame(
        {"number": range(1, 5), "status": ["new", "known", "", ""], "score": 0.5},
        geometry=squares,
        crs=GRID.crs,
    )
    return {"targets": targets, "cells": cells, "deposits": deposits}


def cells_bounds(row: int, col: int, last_row: int, last_col: int) -> tuple:
    return GRID.window_bounds(row, col, last_row - row, last_col - col)


def survey_layers() -> dict[str, gpd.GeoDataFrame]:
    west, south, east, north = GRID.bounds
    lines = [shapely.LineString([(west, south), (east, north)])]
    samples = points_in(GRID, *scattered_cells(GRID, 120, 5))
    samples["sample_id"] = [f"S{number:03d}" for number in range(120)]
    samples["Au"] = np.random.default_rng(0).lognormal(size=120)
    area = gpd.GeoDataFrame(geometry=[shapely.box(*GRID.bounds)], crs=GRID.crs)
    geology = area.assign(rock="granite")
    faults = gpd.GeoDataFrame({"name": ["F"]}, geometry=lines, crs=GRID.crs)
    return {"samples": samples, "geology": geology, "faults": faults, "study_area": area}


def write_tables(out: Path) -> None:
    """Write the CSV tables and evaluation.json."""
    evaluation().to_csv(out / "evaluation.csv", index=False)
    curve = pd.DataFrame({"area": np.linspace(0, 1, 101)})
    curve.assign(MFAF=curve["area"] ** 0.3).to_csv(out / "curves.csv", index=False)
    (out / "evaluation.json").write_text(json.dumps({"verdict": VERDICT, "recommended": "MFAF"}))
    pd.DataFrame(
        {
            "element": ["Au", "Na"],
            "auc": [0.8, 0.3],
            "auc_low": [0.7, 0.2],
            "auc_high": [0.9, 0.4],
            "zauc": [5.0, -4.0],
            "p": [1e-6, 1e-4],
            "n_ore": 10,
            "n_barren": 90,
            "kept": [True, False],
        }
    ).to_csv(out / "screen.csv", index=False)
    pd.DataFrame(
        [["fixed", "samples", "Au|Ag", "zero values", 12, "read as half the limit <0.05"]],
        columns=["severity", "layer", "column", "rule", "count", "done"],
    ).to_csv(out / "check.csv", index=False)
    pd.DataFrame(
        {
            "factor": ["Cu", "Au", "geology"],
            "permutation": [0.01, 0.2, np.nan],
            "permutation_sd": [0.01, 0.05, np.nan],
        }
    ).to_csv(out / "factors.csv", index=False)


def evaluation(*, leaking: bool = True, low: float = 0.512) -> pd.DataFrame:
    """One model's figures, and those of the paper's leaking protocol."""
    figures = {"accuracy": 0.8, "auc": 0.71, "recall": 0.6, "f1": 0.65, "windows": 30}
    figures |= {"ore_windows": 6, "average_precision": 0.5, "brier": 0.15}
    figures |= {"calibration_error": 0.1}
    found = {"map_auc": (0.734, low, 0.911), "nd": (3.04, 1, 5), "pa_area": (0.25, 0.2, 0.3)}
    found |= {f"capture_{share}": (share / 40, 0, 0.5) for share in (1, 2, 5, 10, 20)}
    map_figures = {"deposits": 6, "clusters": 4, "draws": 2, "boyce": 0.5}
    map_figures |= {"map_auc_sd_draws": 0.011, "map_auc_sd_folds": np.nan}
    for name, triple in found.items():
        map_figures |= dict(zip((name, f"{name}_low", f"{name}_high"), triple, strict=True))
    rows = [{"model": "MFAF", "protocol": "spatial folds", **figures, **map_figures}]
    if leaking:
        rows.append({"model": "MFAF", "protocol": "paper (leaks)", **figures})
    return pd.DataFrame(rows)


def class_stack(legend: dict[int, str]):
    """A stack of one class band with a long legend."""
    classes = np.random.default_rng(0).integers(1, len(legend) + 1, GRID.shape).astype(float)
    classes[:10] = np.nan
    band = Band("geology", "class", "", "Geology (rock)", legend)
    return as_dataarray(classes[None], GRID, [band])


def element_stack():
    """A stack of one element."""
    band = Band("Au", "element", "ppb", "Gold (ppb)")
    return as_dataarray(10 ** smooth_noise(GRID.shape, 1)[None], GRID, [band])
