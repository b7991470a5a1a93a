"""The summary of a run: how far to trust the map, what it shows, what was done to the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from ..evaluation.metrics import AREAS
from ..files import finished_file
from ..models.baselines import NETWORK
from ..rasters.bands import bands_of, grid_of
from ..survey.survey import Survey

DEPOSITS_LISTED = 30


def write_summary(
    path: str | Path,
    *,
    survey: Survey,
    findings: pd.DataFrame,
    screening: pd.DataFrame,
    evaluation: pd.DataFrame,
    verdict: Sequence[str],
    targets: gpd.GeoDataFrame,
    placed: gpd.GeoDataFrame,
    stack: xr.DataArray,
    chosen: str = NETWORK,
) -> Path:
    """Write ``summary.md``: how good the map is, what it shows, what was done to the data."""
    grid = grid_of(stack)
    area = np.isfinite(stack.values).any(axis=0).sum() * grid.cell_area / 1e6
    lines = [
        "# Prospectivity of the survey area",
        "",
        (
            f"{len(survey.samples):,} sampled places, {len(survey.deposits):,} known deposits,"
            f" {area:,.0f} km2 in cells of {grid.cell:g} m ({grid.height} x {grid.width}),"
            f" {grid.crs.name}. Bands: {'; '.join(band.label for band in bands_of(stack))}."
        ),
        "",
        "## How far to trust it",
        "",
        *[f"- **{line}**" if number == 0 else f"- {line}" for number, line in enumerate(verdict)],
        "",
        f"The score map and the targets are those of **{chosen}**.",
        "",
        (
            "Every figure of this section is held out: each place is judged by a model that was"
            " trained on other ground. The interval counts groups of neighbouring deposits, not"
            " deposits."
        ),
        "",
        *_evaluation_lines(evaluation),
        "",
        "## Targets",
        "",
        *([UNSUPPORTED, ""] if not is_supported(evaluation, chosen) else []),
        *_target_lines(targets, area),
        "",
        (
            "A score ranks ground: it is P(ore) as if half of all ground were ore, not the chance"
            " of a deposit. `mean` and `max` come from the mean of all fold models, most of which"
            " have seen the deposits nearby; `held-out` comes from the one that has not. A target"
            " on known deposits is no discovery. `extrapolated` is the share of a target that is"
            " unlike all training ground: its score is a guess. `new` says that no known deposit"
            " lies inside; `to deposit` is how far the nearest one is. `to fault` and `x, y` are"
            " those of the best cell."
        ),
        "",
        "![score map](scores.png)",
        "",
        "## Known deposits on the map",
        "",
        *_deposit_lines(placed),
        "",
        "## Elements",
        "",
        *_screening_lines(screening),
        "",
        "![bands](stack.png)",
        "",
        "## What was found in the data, and what was done",
        "",
        *_table(findings[["severity", "layer", "column", "rule", "count", "done"]]),
        "",
    ]
    path = Path(path)
    with finished_file(path, overwrite=True) as final:
        final.write_text("\n".join(lines), encoding="utf-8")
    return path


UNSUPPORTED = (
    "**These data do not show that the map is better than chance**: the targets are ideas to check,"
    " not results."
)


def is_supported(evaluation: pd.DataFrame, model: str) -> bool:
    """Return whether a model's map is better than chance beyond its 95 % interval."""
    rows = evaluation[(evaluation["model"] == model) & evaluation["map_auc"].notna()]
    return bool((rows["map_auc_low"] > 0.5).any())


def map_rows(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Return the map figures as people read them: with their intervals and their spread over draws
    and folds.
    """
    rows = []
    for row in (
        evaluation[evaluation["map_auc"].notna()]
        .sort_values("map_auc", ascending=False)
        .to_dict("records")
    ):
        shown = {"model": row["model"], "map AUC [95 %]": _with_interval(row, "map_auc", "{:.3f}")}
        shown["sd draws"], shown["sd folds"] = (
            _figure(row[f"map_auc_sd_{of}"], "{:.3f}") for of in ("draws", "folds")
        )
        for area in AREAS:
            shown[f"in best {100 * area:g} %"] = _with_interval(
                row, f"capture_{100 * area:g}", "{:.1f}", row["deposits"]
            )
        shown["Nd"] = _with_interval(row, "nd", "{:.1f}")
        shown["Boyce"] = _figure(row["boyce"], "{:.2f}")
        shown["draws"] = str(row["draws"])
        rows.append(shown)
    return pd.DataFrame(rows)


def window_rows(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Return the window figures as people read them."""
    names = {
        "auc": "AUC",
        "average_precision": "average precision",
        "accuracy": "accuracy",
        "recall": "recall",
        "f1": "F1",
        "brier": "Brier",
        "calibration_error": "calibration error",
    }
    rows = []
    for row in evaluation.to_dict("records"):
        shown = {"model": row["model"], "protocol": row["protocol"]}
        shown |= {title: _figure(row[name], "{:.3f}") for name, title in names.items()}
        shown["windows (ore)"] = f"{row['windows']:.0f} ({row['ore_windows']:.0f})"
        rows.append(shown)
    return pd.DataFrame(rows)


def _figure(value: float, form: str) -> str:
    return form.format(value) if np.isfinite(value) else "-"


def _with_interval(row: dict, name: str, form: str, times: float = 1.0) -> str:
    value, low, high = (form.format(times * row[name + end]) for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]"


def _evaluation_lines(evaluation: pd.DataFrame) -> list[str]:
    held = evaluation[evaluation["map_auc"].notna()].iloc[0]
    lines = [
        (
            f"**{held['deposits']:.0f} held-out deposits in {held['clusters']:.0f} clusters.**"
            " Deposits in the best 1 to 20 % of the valid area, with 95 % intervals, as numbers of"
            " deposits (means over the draws):"
        ),
        "",
        *_table(map_rows(evaluation)),
        "",
        (
            "`Nd` is the normalised density at the intersection of the prediction-area plot, 1"
            " without skill. `sd draws` is the standard deviation over draws of barren windows and"
            " seeds, `sd folds` over folds."
        ),
        "",
        "![prediction-rate curves](curves.png)",
        "",
        "Windows, out of fold:",
        "",
        *_table(window_rows(evaluation)),
    ]
    if (evaluation["protocol"] != "spatial folds").any():
        lines += ["", "The row marked *leaks* balances before it splits, as the paper does."]
    return lines


def _target_lines(targets: gpd.GeoDataFrame, area: float) -> list[str]:
    if not len(targets):
        return ["No ground is above the threshold."]
    share = 100 * targets["area_km2"].sum() / area
    known = int((targets["status"] == "known").sum())
    lines = [
        (
            f"{len(targets)} targets on {targets['area_km2'].sum():,.1f} km2 ({share:.1f} % of the"
            f" area): {known} with known deposits, {len(targets) - known} new. The first twenty,"
            " best first:"
        ),
        "",
    ]
    shown = targets.head(20)
    table = pd.DataFrame(
        {
            "number": shown["number"],
            "status": shown["status"],
            "km2": shown["area_km2"].map("{:.2f}".format),
            "mean": shown["mean_score"].map("{:.3f}".format),
            "max": shown["max_score"].map("{:.3f}".format),
            "held-out": shown["heldout_score"].map("{:.3f}".format),
            "spread": shown["spread"].map("{:.3f}".format),
            "deposits": shown["deposits"],
            "to deposit (m)": (
                shown["deposit_distance_m"].map(lambda v: "" if np.isnan(v) else f"{v:,.0f}")
            ),
            "extrapolated": shown["extrapolated"].map(_percent),
            "geology": shown["geology"],
            "to fault (m)": (
                shown["fault_distance_m"].map(lambda v: "" if np.isnan(v) else f"{v:,.0f}")
            ),
            "x, y (m)": [f"{x:.0f}, {y:.0f}" for x, y in zip(shown["x"], shown["y"], strict=True)],
        }
    )
    lines += _table(table)
    first = targets.iloc[0]
    if first["extrapolated"] > 0.5:
        lines += [
            "",
            (
                f"**Target {first['number']} lies on extrapolated ground**: nothing like it was"
                " learned from."
            ),
        ]
    return lines


def _deposit_lines(placed: gpd.GeoDataFrame) -> list[str]:
    named = next((column for column in placed.columns if str(column).lower() == "name"), None)
    shown = placed.sort_values("best_percent", na_position="last").head(DEPOSITS_LISTED)
    table = pd.DataFrame(
        {
            "deposit": shown.index + 1 if named is None else shown[named].fillna(""),
            "held-out": shown["map_heldout"].map(lambda v: _figure(v, "{:.3f}")),
            "in best": shown["best_percent"].map(lambda v: _figure(v, "{:.1f} %")),
            "score": shown["map_score"].map(lambda v: _figure(v, "{:.3f}")),
            "target": shown["target"].map(lambda number: str(number) if number else ""),
        }
    )
    missed = int((placed["target"] == 0).sum())
    listed = f" The best {DEPOSITS_LISTED} are listed." if len(placed) > DEPOSITS_LISTED else ""
    note = (
        f"{len(placed) - missed} of {len(placed)} lie in a target.{listed} `in best`: how much of"
        " the ground scores as high or higher, by models that never saw the place."
    )
    return [note, "", *_table(table)]


def _percent(share: float) -> str:
    """Return a share in whole percent; nothing for none.

    >>> _percent(0.0007), _percent(0.0), _percent(0.25)
    ('<1 %', '', '25 %')
    """
    if not share > 0:
        return ""
    return "<1 %" if share < 0.005 else f"{100 * share:.0f} %"


def _screening_lines(screening: pd.DataFrame) -> list[str]:
    if not len(screening):
        return ["No element could be screened: see the findings below."]
    shown = screening.copy()
    figures = screening[["auc", "auc_low", "auc_high"]].to_numpy(float)
    shown["AUC [95 %]"] = [
        f"{a:.3f} [{b:.3f}, {c:.3f}]" if np.isfinite(a) else "-" for a, b, c in figures
    ]
    shown["ZAUC"] = shown["zauc"].map(lambda v: f"{v:.2f}" if np.isfinite(v) else "-")
    shown["kept"] = np.where(shown["kept"], "yes", "")
    columns = ["element", "AUC [95 %]", "ZAUC", "n_ore", "n_barren", "kept"]
    columns += ["kept_in_folds"] if "kept_in_folds" in shown else []
    note = (
        "Samples near a deposit against all others; ZAUC takes the samples as independent, which"
        " neighbours are not. `kept` uses all deposits; the fold models use what was kept without"
        " theirs (`kept_in_folds`)."
    )
    low = list(screening.loc[(screening["zauc"] < 0) & (screening["p"] < 0.01), "element"])
    if low:
        note += (
            " Lower near deposits than elsewhere (p below 0.01), and not kept because the"
            f" screening looks for enrichment: {', '.join(low)}."
        )
    return [note, "", *_table(shown[columns])]


def _table(table: pd.DataFrame) -> list[str]:
    """Return a table as Markdown lines."""
    head = [str(column).replace("_", " ") for column in table.columns]
    cells = [
        [str(value).replace("|", "/").replace("\n", " ") for value in row]
        for row in table.itertuples(index=False)
    ]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)]
