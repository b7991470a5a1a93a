"""What a run tells people: two maps and a plain summary that says how far to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator

from .bands import Band, bands_of, grid_of
from .heldout import NETWORK
from .metrics import AREAS
from .read import Survey
from .stack import UNMAPPED
from .write import finished_file

OUTLINE = "#202020"
DEPOSITS_LISTED = 30
LEGEND_CLASSES = 12
"""Classes named beside a map; the rest of a long legend is counted."""


def draw_stack(stack: xr.DataArray, path: str | Path, *, overwrite: bool = False) -> Path:
    """Draw every band of a stack into one PNG."""
    bands, grid = bands_of(stack), grid_of(stack)
    columns = min(4, len(bands))
    rows = -(-len(bands) // columns)
    ratio = grid.height / grid.width
    figure = Figure(figsize=(3.9 * columns, (2.9 * ratio + 0.35) * rows), layout="constrained")
    for number, (band, layer) in enumerate(zip(bands, stack.values, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, number)
        _draw_band(figure, axes, band, layer, _extent_km(grid))
        axes.set_title(band.label, fontsize=9)
        axes.tick_params(labelsize=6)
    figure.supxlabel("Easting, northing (km)", fontsize=7)
    return _save(figure, path, overwrite)


def draw_scores(
    scores: xr.DataArray,
    targets: gpd.GeoDataFrame,
    survey: Survey,
    path: str | Path,
    *,
    supported: bool = True,
    overwrite: bool = False,
) -> Path:
    """Draw the score map with faults, deposits and numbered targets into one PNG.

    The title says so where the map is not ``supported``: no better than chance as far as the data tell.
    """
    grid = grid_of(scores)
    ratio = grid.height / grid.width
    figure = Figure(figsize=(10.5, 8.6 * ratio + 0.9), layout="constrained")
    axes = figure.add_subplot()
    layer = scores.sel(band="score").values
    low, high = np.nanquantile(layer, [0.02, 0.995])
    image = axes.imshow(
        layer, extent=_extent_km(grid), cmap="YlOrRd", norm=Normalize(low, high), interpolation="nearest"
    )
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.01, extend="both")
    bar.set_label("Prospectivity score")
    if survey.faults is not None:
        for line in survey.faults.geometry.explode(index_parts=False):
            axes.plot(*_km(line.coords), color="#5b6770", linewidth=0.5, zorder=2)
    for target in targets.itertuples():
        for polygon in getattr(target.geometry, "geoms", [target.geometry]):
            axes.plot(*_km(polygon.exterior.coords), color=OUTLINE, linewidth=0.9, zorder=3)
    axes.set(xlim=_extent_km(grid)[:2], ylim=_extent_km(grid)[2:])
    omitted = _number_targets(axes, targets)
    x, y = survey.deposits.geometry.x / 1e3, survey.deposits.geometry.y / 1e3
    axes.scatter(x, y, s=26, marker="^", c="white", edgecolors="black", linewidths=0.8, zorder=5, label="known deposit")
    axes.plot([], [], color=OUTLINE, linewidth=0.9, label=f"target (number = rank{omitted})")
    if survey.faults is not None:
        axes.plot([], [], color="#5b6770", linewidth=0.5, label="fault")
    axes.set_xlabel(f"Easting (km), {grid.crs.name}")
    axes.set_ylabel("Northing (km)")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.06), ncols=3, frameon=False, fontsize=8)
    warning = "" if supported else "\nThe data do not show that this map is better than chance"
    axes.set_title(f"Prospectivity score, known deposits and ranked targets{warning}")
    return _save(figure, path, overwrite)


def draw_curves(curves: pd.DataFrame, evaluation: pd.DataFrame, path: str | Path, *, overwrite: bool = False) -> Path:
    """Draw the prediction-rate curves of all models, the whole and the best fifth of the ground, into one PNG."""
    figures = evaluation[evaluation["map_auc"].notna()].set_index("model")
    order = list(figures["map_auc"].sort_values(ascending=False).index)
    deposits = int(figures["deposits"].iloc[0])
    figure = Figure(figsize=(11.5, 5.4), layout="constrained")
    colours = _class_colours(len(order))
    for number, (most, title) in enumerate(((100, "Whole area"), (20, "Best fifth of the area")), start=1):
        axes = figure.add_subplot(1, 2, number)
        for colour, name in zip(colours, order, strict=True):
            strong = name == NETWORK
            axes.plot(
                100 * curves.index, 100 * curves[name], color="black" if strong else colour,
                linewidth=2.4 if strong else 1.4, zorder=3 if strong else 2,
                label=f"{name}, {figures.loc[name, 'map_auc']:.3f}",
            )  # fmt: skip
        axes.plot([0, 100], [0, 100], color="#808080", linewidth=1, linestyle=":", label="chance, 0.500")
        inside = 100 * curves.loc[curves.index <= most / 100 + 1e-9, order].to_numpy()
        axes.set(xlim=(0, most), ylim=(0, min(100, 1.08 * inside.max())), title=title)
        axes.set_xlabel("Share of the valid area, best ground first (%)")
        axes.set_ylabel(f"Share of the {deposits} held-out deposits (%)")
        axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, title="model, map AUC")
    figure.suptitle(f"Prediction-rate curves: {deposits} deposits, each judged by models that never saw its ground")
    return _save(figure, path, overwrite)


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
        f"{len(survey.samples):,} sampled places, {len(survey.deposits):,} known deposits, {area:,.0f} km2 in cells of "
        f"{grid.cell:g} m ({grid.height} x {grid.width}), {grid.crs.name}. Bands: "
        f"{'; '.join(band.label for band in bands_of(stack))}.",
        "",
        "## How far to trust it",
        "",
        *[f"- **{line}**" if number == 0 else f"- {line}" for number, line in enumerate(verdict)],
        "",
        f"The score map and the targets are those of **{chosen}**.",
        "",
        "Every figure of this section is held out: each place is judged by a model that was trained on other ground. "
        "The interval counts groups of neighbouring deposits, not deposits.",
        "",
        *_evaluation_lines(evaluation),
        "",
        "## Targets",
        "",
        *([UNSUPPORTED, ""] if not is_supported(evaluation, chosen) else []),
        *_target_lines(targets, area),
        "",
        "A score ranks ground: it is P(ore) as if half of all ground were ore, not the chance of a deposit. "
        "`mean` and `max` come from the mean of all fold models, most of which have seen the deposits nearby; "
        "`held-out` comes from the one that has not. A target on known deposits is no discovery. `extrapolated` is the "
        "share of a target that is unlike all training ground: its score is a guess. `new` says that no known deposit "
        "lies inside; `to deposit` is how far the nearest one is. `to fault` and `x, y` are those of the best cell.",
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
    "**These data do not show that the map is better than chance**: the targets are ideas to check, not results."
)


def is_supported(evaluation: pd.DataFrame, model: str) -> bool:
    """Return whether a model's map is better than chance beyond its 95 % interval."""
    rows = evaluation[(evaluation["model"] == model) & evaluation["map_auc"].notna()]
    return bool((rows["map_auc_low"] > 0.5).any())


def map_rows(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Return the map figures as people read them: with their intervals and their spread over draws and folds."""
    rows = []
    for row in evaluation[evaluation["map_auc"].notna()].sort_values("map_auc", ascending=False).to_dict("records"):
        shown = {"model": row["model"], "map AUC [95 %]": _with_interval(row, "map_auc", "{:.3f}")}
        shown["sd draws"], shown["sd folds"] = (_figure(row[f"map_auc_sd_{of}"], "{:.3f}") for of in ("draws", "folds"))
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
        "auc": "AUC", "average_precision": "average precision", "accuracy": "accuracy", "recall": "recall", "f1": "F1",
        "brier": "Brier", "calibration_error": "calibration error",
    }  # fmt: skip
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
        f"**{held['deposits']:.0f} held-out deposits in {held['clusters']:.0f} clusters.** Deposits in the best 1 to "
        "20 % of the valid area, with 95 % intervals, as numbers of deposits (means over the draws):",
        "",
        *_table(map_rows(evaluation)),
        "",
        "`Nd` is the normalised density at the intersection of the prediction-area plot, 1 without skill. `sd draws` "
        "is the standard deviation over draws of barren windows and seeds, `sd folds` over folds.",
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
        f"{len(targets)} targets on {targets['area_km2'].sum():,.1f} km2 ({share:.1f} % of the area): "
        f"{known} with known deposits, {len(targets) - known} new. The first twenty, best first:",
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
            "to deposit (m)": shown["deposit_distance_m"].map(lambda v: "" if np.isnan(v) else f"{v:,.0f}"),
            "extrapolated": shown["extrapolated"].map(_percent),
            "geology": shown["geology"],
            "to fault (m)": shown["fault_distance_m"].map(lambda v: "" if np.isnan(v) else f"{v:,.0f}"),
            "x, y (m)": [f"{x:.0f}, {y:.0f}" for x, y in zip(shown["x"], shown["y"], strict=True)],
        }
    )
    lines += _table(table)
    first = targets.iloc[0]
    if first["extrapolated"] > 0.5:
        lines += ["", f"**Target {first['number']} lies on extrapolated ground**: nothing like it was learned from."]
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
        f"{len(placed) - missed} of {len(placed)} lie in a target.{listed} `in best`: how much of the ground scores as "
        "high or higher, by models that never saw the place."
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
    shown["AUC [95 %]"] = [f"{a:.3f} [{b:.3f}, {c:.3f}]" if np.isfinite(a) else "-" for a, b, c in figures]
    shown["ZAUC"] = shown["zauc"].map(lambda v: f"{v:.2f}" if np.isfinite(v) else "-")
    shown["kept"] = np.where(shown["kept"], "yes", "")
    columns = ["element", "AUC [95 %]", "ZAUC", "n_ore", "n_barren", "kept"]
    columns += ["kept_in_folds"] if "kept_in_folds" in shown else []
    note = (
        "Samples near a deposit against all others; ZAUC takes the samples as independent, which neighbours are not. "
        "`kept` uses all deposits; the fold models use what was kept without theirs (`kept_in_folds`)."
    )
    low = list(screening.loc[(screening["zauc"] < 0) & (screening["p"] < 0.01), "element"])
    if low:
        note += (
            f" Lower near deposits than elsewhere (p below 0.01), and not kept because the screening looks for "
            f"enrichment: {', '.join(low)}."
        )
    return [note, "", *_table(shown[columns])]


def _table(table: pd.DataFrame) -> list[str]:
    """Return a table as Markdown lines."""
    head = [str(column).replace("_", " ") for column in table.columns]
    cells = [
        [str(value).replace("|", "/").replace("\n", " ") for value in row] for row in table.itertuples(index=False)
    ]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)]


def _draw_band(figure: Figure, axes: Axes, band: Band, layer: np.ndarray, extent: tuple) -> None:
    if band.kind == "class":
        numbers = sorted(band.legend)
        colours = [
            (0.88, 0.88, 0.88) if band.legend[number] == UNMAPPED else colour
            for number, colour in zip(numbers, _class_colours(len(numbers)), strict=True)
        ]
        index = np.full(int(max(numbers)) + 1, np.nan)
        index[numbers] = np.arange(len(numbers))
        shown = index[np.nan_to_num(layer).astype(int)]
        axes.imshow(shown, extent=extent, cmap=ListedColormap(colours), vmin=-0.5, vmax=len(numbers) - 0.5,
                    interpolation="nearest")  # fmt: skip
        area = [int((layer == number).sum()) for number in numbers]
        widest = np.argsort(area)[::-1][:LEGEND_CLASSES]
        handles = [Patch(color=colours[i], label=band.legend[numbers[i]][:26]) for i in widest]
        if len(numbers) > LEGEND_CLASSES:
            handles.append(Patch(color="none", label=f"and {len(numbers) - LEGEND_CLASSES} smaller classes"))
        # Below, where it does not push the colour bars of the row above away from their maps.
        axes.legend(handles=handles, fontsize=5, loc="upper left", bbox_to_anchor=(0, -0.08), ncols=2, frameon=False)
        return
    low, high = np.nanquantile(layer, [0.02, 0.98])
    logarithmic = band.kind == "element" and low > 0 and high > low
    norm = LogNorm(low, high) if logarithmic else Normalize(low, high if high > low else low + 1)
    ramp = {"element": "viridis", "distance": "cividis_r"}.get(band.kind, "magma")
    image = axes.imshow(layer, extent=extent, cmap=ramp, norm=norm, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, shrink=0.75, pad=0.01)
    bar.ax.tick_params(labelsize=6, which="both")
    if band.unit:
        bar.set_label(band.unit, fontsize=6)
    if logarithmic:
        bar.set_ticks(LogLocator(subs=(1, 2, 3, 5)), minor=False)
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.minorticks_off()


def _class_colours(count: int) -> list:
    """Return ``count`` soft colours in the manner of a geological map; neighbours in the legend differ."""
    from colorsys import hls_to_rgb

    return [hls_to_rgb((0.11 + number * 0.618034) % 1, 0.62 + 0.14 * (number % 3 - 1), 0.5) for number in range(count)]


def _number_targets(axes: Axes, targets: gpd.GeoDataFrame) -> str:
    """Write the numbers beside the targets, best first; return which would cover others and are left out, for a legend.

    A number stands at the outline's own north-east corner (that of its bounding box may lie far away from it), or at
    another one where that is taken.
    """
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    near = 0.022 * max(abs(right - left), abs(top - bottom))
    placed: list[tuple[float, float]] = []
    omitted = []
    for target in targets.itertuples():
        outline = shapely.get_coordinates(target.geometry) / 1e3
        for to_east, to_north in ((1, 1), (-1, -1), (1, -1), (-1, 1)):
            east, north = outline[(outline * (to_east, to_north)).sum(axis=1).argmax()].tolist()
            x, y = east + to_east * near / 2, north + to_north * near / 2
            inside = left < x < right and bottom < y < top
            if inside and not any(abs(x - a) < near and abs(y - b) < near for a, b in placed):
                break
        else:
            omitted.append(str(target.number))
            continue
        placed.append((x, y))
        axes.annotate(
            str(target.number), (east, north), xytext=(to_east, to_north), textcoords="offset points", fontsize=7,
            weight="bold", ha="left" if to_east > 0 else "right", va="bottom" if to_north > 0 else "top",
            color="#0b3d91", zorder=6, path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip
    if len(omitted) > 6:
        return f"; no room for {len(omitted)} of them"
    return f"; no room for {', '.join(omitted)}" if omitted else ""


def _extent_km(grid) -> tuple[float, float, float, float]:
    west, south, east, north = grid.bounds
    return west / 1e3, east / 1e3, south / 1e3, north / 1e3


def _km(coordinates) -> tuple[np.ndarray, np.ndarray]:
    xy = np.asarray(coordinates)[:, :2] / 1e3
    return xy[:, 0], xy[:, 1]


def _save(figure: Figure, path: str | Path, overwrite: bool) -> Path:
    path = Path(path)
    with finished_file(path, overwrite=overwrite) as final:
        figure.savefig(final, dpi=150, bbox_inches="tight")
    return path
