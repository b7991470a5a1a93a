"""Measure every model on the synthetic survey and the real areas, and write docs/skill.md; run by
`make skill`.

Each area is a run of its own in skill/AREA. A finished one is not run again: the measurement can be
interrupted.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import geomfaf as gm
from geomfaf.evaluation.evaluate import evaluate_baselines
from geomfaf.evaluation.held_out import Draw
from geomfaf.evaluation.null_tests import null_test
from geomfaf.evaluation.optimism import measure_optimism
from geomfaf.evaluation.run_evaluation import Assessment, assessment_record
from geomfaf.evaluation.verdict import optimism_lines, with_null_tests
from geomfaf.files import write_json, write_table
from geomfaf.models.baselines import ENSEMBLE
from geomfaf.progress import say, show_progress
from geomfaf.rasters.bands import Band, as_dataarray, bands_of, grid_of, valid_cells
from geomfaf.run.template import init_project
from geomfaf.windows.negatives import draw_seed

VECTORS = ("clb_finland", "mtpainter_sa", "murchison_wa")
STACK = "cloncurry_iocg"
TILES = {
    "windows": 'kind = "tiled"\nsize = 64',
    "folds": "count = 3",
    "train": "learning_rate = 0.001",
    "evaluate": 'draws = 1\nshifts = 0\nbaselines = ["extra trees"]',
}
"""Settings of the run on which the paper's tables are repeated: tiles, as in the paper, and folds
that can be paid.
"""
TITLES = {
    "synthetic": "Synthetic survey, 20 x 20 km",
    "clb_finland": "Central Lapland, Finland (till, IOCG)",
    "mtpainter_sa": "Mount Painter, South Australia (rock, all commodities)",
    "murchison_wa": "Murchison, Western Australia (gold; geology and faults only)",
    "cloncurry_iocg": "Cloncurry, Queensland (IOCG; a stack; simple models only)",
}


BENCHMARKS = Path("docs/benchmarks")
IMAGES = Path("docs/images")
MEMBERS = (
    (
        "Pooled figures are unweighted means over areas: no weights by variance, with which one easy"
        " area would decide. A row is a choice of what makes the ensemble (mean of log odds) and,"
        " behind a semicolon, of the evidence: *structure* adds contacts, rock mixture, class"
        " distances and the fault network, *cut* cuts their distances at the folds' margin, *twice"
        " the margin* keeps twice as much ground free around test ground. *Usual* is the usual"
        " pipeline: library defaults on the values of the cell, all bands, nothing screened"
        " (`python benchmarks/members.py`)."
    ),
    ("members_pooled_1", "Against extra trees on all rows, the best simple model before:"),
    ("members_pooled_2", "Against the default before:"),
    ("members", "Each area:"),
)
OTHERS = (
    (
        "More evidence on synthetic surveys: own rasters",
        "evidence_rasters",
        (
            "Magnetics over the hidden intrusions and elevation, in another CRS and other cells than"
            " the run's, and the distance to one rock, against the same without them (`python"
            " benchmarks/evidence.py rasters`)."
        ),
    ),
    (
        "More evidence on synthetic surveys: magnetics alone",
        "evidence_magnetics",
        "The same with the magnetics alone (`python benchmarks/evidence.py magnetics`).",
    ),
    (
        "More evidence on synthetic surveys: catchments",
        "evidence_catchments",
        (
            "Sediment routed down the survey's streams, as bands of inverse distances and of"
            " catchments (`python benchmarks/evidence.py catchments`)."
        ),
    ),
    (
        "Networks beside each other",
        "networks",
        (
            "The default (MFAF ensemble), its network MFAF alone, other networks"
            " and the simple models, on the same folds and windows (`python"
            " benchmarks/networks.py`). Measured with the default before: extra trees on all rows"
            " and fuzzy overlay."
        ),
    ),
    (
        "Choices of the network",
        "choices",
        (
            "What was tried, on six surveys (`python benchmarks/choices.py`). The means over"
            " surveys decide; the column of a single survey has the spread of its few deposits. The"
            ' row *chosen without it* is the nested one: what the rule "take the choice that did'
            ' best on the other surveys" earns on a survey that had no say. Measured with the extra'
            " trees before, on all rows."
        ),
    ),
    (
        "Ideas that were tried",
        "tries",
        (
            "Ideas for the network, its inputs and its simple models that the package does not have,"
            " each a change of the same short training on the same six surveys (`python"
            " benchmarks/tries.py`)."
        ),
    ),
    (
        "Calibration of the scores, tried and taken out",
        "calibration",
        (
            "Corrections of the scores that were learned inside each fold, by one number "
            "(temperature, Guo et al. 2017) or a rising curve (isotonic, Zadrozny and Elkan "
            "2002), fitted to scores of its training ground by networks of inner folds. *Even "
            "odds* weighs ore and barren windows the same, which is what the scores mean; *in "
            "the folds* ranks each deposit among the ground of its own fold. At even odds no "
            "correction made the calibration error smaller on any area, and on three of four "
            "the map AUC fell, because folds are corrected apart and pooled: so it was taken "
            "out of the package, and with it Monte-Carlo dropout, whose spread followed "
            "single features and not how far the ground is from what was learned. The command "
            "that measured this went with them; the table stays."
        ),
    ),
    (
        "The paper's full schedule at the paper's size",
        "paper",
        (
            "The synthetic survey with the paper's 7,512 samples and 1,560 x 1,560 cells, windows"
            " of 128 cells, SMOTE, SGD, 220 epochs (`python benchmarks/paper.py`). Extra trees and"
            " the random forest see statistics of the same windows."
        ),
    ),
)
PAPER_TEXT = (
    "Made by `geomfaf experiment table3` to `table6` (`make tables`): tiles of 64 cells, three"
    " spatial folds, eight epochs, networks alone. The survey is made up and the"
    " training much shorter than the paper's 220 epochs: read the order of the rows, not the"
    " figures, and no order where rows are closer than their spread."
)


def run_vectors(area: str, source: Path, folder: Path, draws: int) -> None:
    """Run one survey with the evaluation's settings; nothing else is changed."""
    toml = folder / "geomfaf.toml"
    if not toml.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if area == "synthetic":
            source = folder / "survey.gpkg"
            gm.write_survey(gm.make_survey("small", seed=0)[0], source, overwrite=True)
        init_project([source], toml, overwrite=True)
        settings = (
            f'[evaluate]\nnetwork_draws = {draws}\noptimism = ["extra trees",'
            f' "{ENSEMBLE}"]\npaper_protocol = true\n'
        )
        toml.write_text(
            toml.read_text(encoding="utf-8").replace("[evaluate]\n", settings), encoding="utf-8"
        )
    if not (folder / "out" / "run.json").exists():
        gm.run_project(gm.load_project(toml))


def run_tables(folder: Path, seeds: int) -> None:
    """Repeat the paper's Tables 3 to 6 on the synthetic survey, in tiles of 64 cells and three
    folds.
    """
    toml = folder / "geomfaf.toml"
    if not toml.exists():
        folder.mkdir(parents=True, exist_ok=True)
        gm.write_survey(gm.make_survey("small", seed=0)[0], folder / "survey.gpkg", overwrite=True)
        init_project([folder / "survey.gpkg"], toml, overwrite=True)
        text = toml.read_text(encoding="utf-8")
        for table, keys in TILES.items():
            text = text.replace(f"[{table}]\n", f"[{table}]\n{keys}\n")
        toml.write_text(text, encoding="utf-8")
    if not (folder / "out" / "run.json").exists():
        gm.run_project(gm.load_project(toml))
    for table in ("table3", "table4", "table5", "table6", "figure7"):
        gm.run_experiment(table, folder / "out", seeds=seeds)


def run_stack(areas: Path, folder: Path, draws: int = 3) -> None:
    """Judge the simple models on a given stack; the published posterior was fitted to all deposits
    and is left out.
    """
    out = folder / "out"
    if (out / "run.json").exists():
        return
    out.mkdir(parents=True, exist_ok=True)
    stack = _cloncurry(areas / "cloncurry_iocg_stack.tif")
    deposits = gm.read_layer(gm.Source(areas / "cloncurry_iocg.gpkg", "deposits"))
    grid = grid_of(stack)
    valid = valid_cells(stack)
    ore = gm.centred_windows(grid, 16, deposits.to_crs(grid.crs), valid, negatives=0)
    folds = gm.spatial_folds(ore, grid, valid, autocorrelation=gm.autocorrelation_range(stack))
    tables = [
        Draw(gm.draw_windows(ore, folds, stack, seed=draw_seed(0, n)), draw_seed(0, n))
        for n in range(draws)
    ]
    evaluation = evaluate_baselines(
        stack, folds, tables, deposits.to_crs(grid.crs), folder=out / "kept"
    )
    meter = measure_optimism(stack, folds, deposits.to_crs(grid.crs), size=16)
    coarse = stack[:, ::4, ::4]
    coarse = as_dataarray(
        coarse.values,
        gm.Grid(grid.crs, grid.transform * grid.transform.scale(4), coarse.shape[1:]),
        bands_of(stack),
    )
    null = null_test(coarse, deposits.to_crs(grid.crs), block=max(2, folds.block // 4), margin=4)
    lines = with_null_tests([*evaluation.verdict, *optimism_lines(meter)], [null])
    found = Assessment(evaluation, meter, null, lines)
    write_table(evaluation.table, out / "evaluation.csv", overwrite=True)
    write_json(assessment_record(found), out / "evaluation.json", overwrite=True)
    cut = {"count": folds.count, "block_cells": folds.block, "margin_cells": folds.margin}
    write_json({"folds": cut, "grid": {"cell": grid.cell}}, out / "run.json", overwrite=True)
    for file in (out / "kept").glob("*"):
        file.unlink()


def _cloncurry(path: Path) -> xr.DataArray:
    """Return the evidence with the kinds that the file does not tell; the posterior is not among
    it.
    """
    stack = gm.read_raster(path, kind="continuous")
    stack = stack.sel(band=[name for name in stack["band"].values if "posterior" not in str(name)])
    bands = []
    for name, layer in zip(map(str, stack["band"].values), stack.values, strict=True):
        values = np.unique(layer[np.isfinite(layer)])
        legend = {int(value): f"{value:g}" for value in values}
        distance = name.startswith("dist_")
        bands.append(
            Band(name, "distance", "m") if distance else Band(name, "class", legend=legend)
        )
    say(f"bands: {', '.join(f'{band.name} ({band.kind})' for band in bands)}")
    return as_dataarray(stack.values, grid_of(stack), bands)


def section_of(text: str, title: str) -> list[str]:
    """Return the lines of a section of a page, its heading first; none where it is not there."""
    lines = text.splitlines()
    if f"## {title}" not in lines:
        return []
    first = lines.index(f"## {title}")
    ends = [n for n in range(first + 1, len(lines)) if lines[n].startswith("## ")]
    return lines[first : ends[0] if ends else len(lines)]


def page(folder: Path, before: str = "") -> str:
    """Return docs/skill.md from the finished runs; an area that was not run keeps what the page
    said ``before``.
    """
    lines = [
        "# Skill on a synthetic survey and on real areas",
        "",
        (
            "Written by `make skill` (`benchmarks/skill.py`): every setting is a run's default, but"
            " for the number of the network's draws, the optimism meter on the network too, and the"
            " paper's protocol. Figures are held out, see [protocol.md](protocol.md). Map AUC: a"
            " held-out deposit against all valid cells, 95 % interval over clusters of deposits."
            " `+- draws` and `+- folds` are standard deviations over draws of barren windows and"
            " seeds, and over folds. Captures are shares of the held-out deposits in the best 5 and"
            " 10 % of the area, with their intervals."
        ),
        "",
        (
            "The real areas are public data, described where they are kept; they are not part of"
            " this repository. What the default of today adds to the one before, on all areas"
            " together, is in the section on the members of the ensemble."
        ),
        "",
    ]
    for area, title in TITLES.items():
        out = folder / area / "out"
        if not (out / "run.json").exists():
            kept = section_of(before, title)
            lines += kept or [
                f"## {title}",
                "",
                "Not run: its data were not there, or the measurement was interrupted.",
                "",
            ]
            continue
        lines += [f"## {title}", "", *_area_lines(out), ""]
    lines += _members_lines()
    for title, name, text in OTHERS:
        path = BENCHMARKS / f"{name}.md"
        if path.exists():
            lines += [f"## {title}", "", text, "", path.read_text(encoding="utf-8").rstrip(), ""]
    return "\n".join([*lines, *_paper_lines(folder / "tables" / "out" / "experiments", before)])


def _members_lines() -> list[str]:
    """Return the section on what the ensemble may be made of, where it was measured."""
    about, *tables = MEMBERS
    found = ["## Members of the ensemble and kinds of evidence", "", about, ""]
    for name, text in tables:
        path = BENCHMARKS / f"{name}.md"
        if path.exists():
            found += [text, "", path.read_text(encoding="utf-8").rstrip(), ""]
    return found


def _paper_lines(folder: Path, before: str) -> list[str]:
    """Return the paper's tables as `geomfaf experiment` wrote them, one heading lower."""
    title = "The paper's Tables 3 to 6, on the synthetic survey"
    kept = section_of(before, title)
    if kept and not folder.exists():
        return [*kept, ""]
    lines = [f"## {title}", "", PAPER_TEXT, ""]
    missing = []
    for number in (3, 4, 5, 6):
        path = folder / f"table{number}.md"
        if path.exists():
            lines += [f"##{path.read_text(encoding='utf-8').rstrip()}", ""]
        else:
            missing.append(str(number))
    if (folder / "figure7.png").exists():
        shutil.copy(folder / "figure7.png", IMAGES / "paper_comparison.png")
        lines += ["![The comparison of Table 3](images/paper_comparison.png)", ""]
    return (
        [*lines, f"Not measured yet: Table {', '.join(missing)} (`make tables`).", ""]
        if missing
        else lines
    )


def _area_lines(out: Path) -> list[str]:
    table = pd.read_csv(out / "evaluation.csv")
    found = json.loads((out / "evaluation.json").read_text())
    run = json.loads((out / "run.json").read_text())
    cell = run["grid"]["cell"]
    folds = run["folds"]
    rows = table[table["map_auc"].notna()].sort_values("map_auc", ascending=False)
    optimism = {row["model"]: row["optimism"] for row in found["optimism"]}
    head = ["model", "map AUC [95 %]", "+- draws", "+- folds", "in best 5 %", "in best 10 %", "Nd", "window AUC",
            "optimism", "draws"]  # fmt: skip
    lines = [
        (
            f"**{rows['deposits'].iloc[0]:.0f} held-out deposits in {rows['clusters'].iloc[0]:.0f}"
            f" clusters**; cells of {cell:g} m, {folds['count']} folds of blocks of"
            f" {folds['block_cells'] * cell:,.0f} m, {folds['margin_cells']} cells free around"
            " each."
        ),
        "",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
    ]
    for row in rows.to_dict("records"):
        figures = [
            row["model"],
            f"{row['map_auc']:.3f} [{row['map_auc_low']:.3f}, {row['map_auc_high']:.3f}]",
            *(
                f"{row[f'map_auc_sd_{of}']:.3f}" if row[f"map_auc_sd_{of}"] >= 0 else "-"
                for of in ("draws", "folds")
            ),
            *(_share(row, f"capture_{percent}") for percent in (5, 10)),
            f"{row['nd']:.2f}",
            f"{row['auc']:.3f}",
            f"{optimism[row['model']]:+.3f}" if row["model"] in optimism else "",
            f"{row['draws']:.0f}",
        ]
        lines.append(f"| {' | '.join(figures)} |")
    leaks = table[table["protocol"] != "spatial folds"]
    for row in leaks.to_dict("records"):
        lines += [
            "",
            (
                "Under the paper's protocol (balance, then a random split), which leaks,"
                f" {row['model']} reaches a window AUC of {row['auc']:.3f} and an accuracy of"
                f" {row['accuracy']:.3f}."
            ),
        ]
    return [*lines, "", "Verdict:", "", *(f"- {line}" for line in found["verdict"])]


def _share(row: dict, name: str) -> str:
    return f"{row[name]:.2f} [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]"


def main() -> None:
    """Run what is not there yet and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--areas", type=Path, default=Path("../shared/areas"))
    parser.add_argument("--folder", type=Path, default=Path("skill"))
    parser.add_argument("--out", type=Path, default=Path("docs/skill.md"))
    parser.add_argument("--network-draws", type=int, default=3)
    parser.add_argument(
        "--tables", action="store_true", help="the paper's tables too (an hour and a half)"
    )
    parser.add_argument(
        "--page", action="store_true", help="run no area, write the page from what is finished"
    )
    parser.add_argument("--only", help="one area; the page holds all that are finished")
    chosen = parser.parse_args()
    show_progress("auto")
    for area in TITLES:
        if chosen.page or chosen.only not in (None, area):
            continue
        say(f"== {TITLES[area]}")
        source = chosen.areas / f"{area}.gpkg"
        if area != "synthetic" and not source.exists():
            say(f"{source} is not there: skipped")
        elif area == STACK:
            run_stack(chosen.areas, chosen.folder / area)
        else:
            run_vectors(area, source, chosen.folder / area, chosen.network_draws)
        write_page(chosen)
    if chosen.tables:
        run_tables(chosen.folder / "tables", seeds=3)
    write_page(chosen)


def write_page(chosen: argparse.Namespace) -> None:
    """Write the page; what is not measured here stays."""
    before = chosen.out.read_text(encoding="utf-8") if chosen.out.exists() else ""
    chosen.out.write_text(page(chosen.folder, before), encoding="utf-8")


if __name__ == "__main__":
    main()
