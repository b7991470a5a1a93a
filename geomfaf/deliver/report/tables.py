"""The tables of a run go in; the same as people read them come out, with intervals and units."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd

from ...evaluation.metrics import AREAS
from ..run_folder import name_column
from ..target_reasons import factor_label

DEPOSITS_LISTED = 30
MINOR_COLUMNS = ("status", "score", "spread", "samples", "rocks", "to fault (m)", "extrapolated")
"""Columns of the targets that a phone leaves to the sheets."""


def map_rows(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Return the map figures with their intervals and their spread over draws and folds."""
    rows = []
    # A leaking protocol has no map.
    judged = evaluation[evaluation["map_auc"].notna()]
    for row in judged.sort_values("map_auc", ascending=False).to_dict("records"):
        shown = {"model": row["model"]}
        shown["map AUC [95 %]"] = with_interval(row, "map_auc", "{:.3f}")
        for of in ("draws", "folds"):
            shown[f"sd {of}"] = figure(row[f"map_auc_sd_{of}"], "{:.3f}")
        for area in AREAS:
            share = f"{100 * area:g}"
            # Deposits, not shares: 20 of 36 says how few there are.
            counted = with_interval(row, f"capture_{share}", "{:.1f}", row["deposits"])
            shown[f"in best {share} %"] = counted
        shown["Nd"] = with_interval(row, "nd", "{:.1f}")
        shown["Boyce"] = figure(row["boyce"], "{:.2f}")
        shown["draws"] = f"{row['draws']:.0f}"
        rows.append(shown)
    return pd.DataFrame(rows)


def window_rows(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of windows, out of fold."""
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
        for name, title in names.items():
            shown[title] = figure(row[name], "{:.3f}")
        shown["windows (ore)"] = f"{row['windows']:.0f} ({row['ore_windows']:.0f})"
        rows.append(shown)
    return pd.DataFrame(rows)


def target_rows(targets: gpd.GeoDataFrame) -> pd.DataFrame:
    """Return targets in one line each; a column that nothing is known of is left out."""
    shown = {
        "target": targets["name"],
        "status": targets["status"],
        "km2": targets["area_km2"].map("{:.2f}".format),
        "held-out": targets["heldout_score"].map(_hundredths),
        "score": targets["mean_score"].map(_hundredths),
        "spread": targets["spread"].map(_hundredths),
        "anomalous": targets["elements"],
        "samples": targets["samples"].map(_whole),
        "rocks": targets["rocks"].where(targets["rocks"] != "", targets["geology"]),
        "to fault (m)": targets["fault_distance_m"].map(_whole),
        "to deposit (m)": targets["deposit_distance_m"].map(_whole),
        "extrapolated": targets["extrapolated"].map(percent),
    }
    table = pd.DataFrame(shown)
    # An older run knows less of its targets.
    told = [name for name in table if (table[name] != "").any()]
    return table[told]


def deposit_rows(deposits: gpd.GeoDataFrame, targets: gpd.GeoDataFrame) -> pd.DataFrame:
    """Return what the map says of the known deposits, best first, at most thirty."""
    if "best_percent" not in deposits:
        return pd.DataFrame()
    # 1. The deposits' own names, else their numbers.
    column = name_column(deposits)
    names = dict(zip(targets["number"], targets["name"], strict=True))
    best = deposits.sort_values("best_percent", na_position="last").head(DEPOSITS_LISTED)
    called = best.index.to_series() + 1
    if column is not None:
        called = best[column].fillna("")
    # 2. Held out first: it is the honest one.
    return pd.DataFrame(
        {
            "deposit": called.astype(str),
            "held-out": best["map_heldout"].map(lambda value: figure(value, "{:.3f}")),
            "in best": best["best_percent"].map(lambda value: figure(value, "{:.1f} %")),
            "score": best["map_score"].map(lambda value: figure(value, "{:.3f}")),
            "target": best["target"].map(lambda number: str(names.get(number, ""))),
        }
    )


def screening_rows(screening: pd.DataFrame) -> pd.DataFrame:
    """Return the screening of the elements, with intervals."""
    if not len(screening):
        return screening
    shown = screening.copy()
    rows = screening.to_dict("records")
    shown["AUC [95 %]"] = [with_interval(row, "auc", "{:.3f}") for row in rows]
    shown["ZAUC"] = screening["zauc"].map(lambda value: figure(value, "{:.2f}"))
    shown["kept"] = np.where(screening["kept"].astype(str) == "True", "yes", "")
    columns = ["element", "AUC [95 %]", "ZAUC", "n_ore", "n_barren", "kept"]
    if "kept_in_folds" in shown:
        columns.append("kept_in_folds")
    return shown[columns]


def factor_rows(factors: pd.DataFrame) -> pd.DataFrame:
    """Return the influence of the factors on the whole map, each way of measuring it."""
    if not len(factors):
        return factors
    # Each way of measuring with its spread over the folds, those that the run has.
    shown = pd.DataFrame({"factor": factors["factor"].astype(str).map(factor_label)})
    for name in ("permutation", "occlusion", "attention"):
        if name not in factors:
            continue
        values = pd.to_numeric(factors[name]).map(lambda value: figure(value, "{:.3f}"))
        if f"{name}_sd" in factors:
            spread = pd.to_numeric(factors[f"{name}_sd"])
            values += spread.map(lambda value: f" ± {value:.3f}" if np.isfinite(value) else "")
        shown[name] = values
    return shown


def finding_rows(findings: pd.DataFrame) -> pd.DataFrame:
    """Return what was found in the data and what was done, without the rows."""
    columns = ["severity", "layer", "column", "rule", "count", "done"]
    return findings[[name for name in columns if name in findings]]


def low_elements(screening: pd.DataFrame) -> list[str]:
    """Return elements that are lower near deposits than elsewhere (p below 0.01)."""
    if not len(screening):
        return []
    lower = screening["zauc"] < 0
    beyond_chance = screening["p"] < 0.01
    return list(screening.loc[lower & beyond_chance, "element"])


def figure(value: float, form: str) -> str:
    """Return a figure in a form, a dash for none.

    >>> figure(0.5, "{:.2f}"), figure(float("nan"), "{:.2f}")
    ('0.50', '-')
    """
    return form.format(value) if np.isfinite(value) else "-"


def with_interval(
    row: dict,
    name: str,
    form: str,
    times: float = 1.0,
) -> str:
    """Return a figure with its 95 % interval.

    >>> with_interval({"nd": 3.0, "nd_low": 1.0, "nd_high": 5.0}, "nd", "{:.1f}")
    '3.0 [1.0, 5.0]'
    """
    if not np.isfinite(row[name]):
        return "-"
    # "times" turns shares into numbers of deposits.
    value = form.format(times * row[name])
    low = form.format(times * row[f"{name}_low"])
    high = form.format(times * row[f"{name}_high"])
    return f"{value} [{low}, {high}]"


def percent(share: float) -> str:
    """Return a share in whole percent; nothing for none.

    >>> percent(0.0007), percent(0.0), percent(0.25)
    ('<1 %', '', '25 %')
    """
    if not share > 0:
        return ""
    return "<1 %" if share < 0.005 else f"{100 * share:.0f} %"


def _hundredths(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else ""


def _whole(value: float) -> str:
    return f"{value:,.0f}" if np.isfinite(value) else ""
