"""Measure what more evidence is worth on synthetic surveys, whose truth is known.

    python benchmarks/evidence.py rasters [--folder skill/evidence] [--draws 2] [--seeds 3]
    python benchmarks/evidence.py magnetics [...]
    python benchmarks/evidence.py catchments [...]
    python benchmarks/evidence.py run [...]

``rasters``: magnetics over the hidden intrusions and elevation, in another CRS and other cells than
the run's, and the distance to one rock, against the same run without them; ``magnetics``: these alone. ``catchments``: sediment
routed down the survey's streams, as bands of inverse distances and of catchments, by the error at
samples left out and by the map; a figure in docs/images. ``run``: one whole run with the rasters;
says which targets name them. Maps are judged as in choices.py, by extra trees, by the ridge
logistic regression and by both joined: no network is trained but for ``run``.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from idw import write
from surveys import GROUND, Case, case_from, figures, parser, simple_scores

import geomfaf as gm
from geomfaf.evidence.catchment_errors import cross_validate_catchments
from geomfaf.evidence.catchments import CatchmentOptions
from geomfaf.evidence.stack import survey_grid
from geomfaf.models.ensemble import join, log_odds
from geomfaf.progress import say
from geomfaf.run.template import init_project
from geomfaf.survey.cleaning.check import check_survey
from geomfaf.synthetic_rasters import route_sediment, write_rasters

MODELS = ("extra trees", "ridge logistic regression")
IMAGE = Path(__file__).parent.parent / "docs" / "images" / "catchments.png"
ROCK = "Triassic"
QUICK = 'shifts = 0\nnetwork_draws = 1\nbaselines = ["extra trees"]\noptimism = []\n'


def folder_of(seed: int, folder: Path, *, routed: bool = False) -> Path:
    """Return a folder with a synthetic survey and its rasters."""
    own = folder / f"{'routed' if routed else 'survey'}_{seed}"
    own.mkdir(parents=True, exist_ok=True)
    if not (own / "survey.gpkg").exists():
        survey, truth = gm.make_survey("small", seed=seed)
        survey = route_sediment(survey, truth, seed=seed) if routed else survey
        write_rasters(own, "small", seed=seed, overwrite=True)
        gm.write_survey(survey, own / "survey.gpkg")
    return own


def project_with(own: Path, name: str, draws: int, *tables: str, **lines: str) -> gm.Project:
    """Return a project of the survey with lines added to its tables, and with more tables."""
    toml = own / f"{name}.toml"
    init_project([own / "survey.gpkg"], toml, overwrite=True)
    text = toml.read_text(encoding="utf-8")
    for table, line in {"evaluate": f"draws = {draws}", **lines}.items():
        text = text.replace(f"[{table}]\n", f"[{table}]\n{line}\n")
    toml.write_text(text + "\n".join(["", *tables]), encoding="utf-8")
    return gm.load_project(toml)


def more_tables(own: Path) -> list[str]:
    """Return the tables of magnetics, elevation and the distance to a rock."""
    magnetics, elevation, survey = (
        json.dumps(str((own / name).resolve()))
        for name in ("magnetics.tif", "elevation.tif", "survey.gpkg")
    )
    return [
        f'[[rasters]]\npath = {magnetics}\nname = "magnetics"\nunit = "nT"\n'
        'derive = ["residual:15"]\n',
        f'[[rasters]]\npath = {elevation}\nname = "elevation"\nunit = "m"\n',
        f'[[proximity]]\npath = {survey}\nlayer = "geology"\nwhere = "stratum = \'{ROCK}\'"\n'
        f'name = "{ROCK.lower()}"\n',
    ]


def judged(case: Case, draws: int) -> dict[str, dict[str, float]]:
    """Return the figures of the simple models and of both joined, the mean over the draws."""
    found: dict[str, list[dict[str, float]]] = {}
    for draw in range(draws):
        scores = {name: simple_scores(case, draw, name) for name in MODELS}
        scores["both"] = join(scores[MODELS[0]], log_odds(scores[MODELS[1]])[None])
        for name, values in scores.items():
            found.setdefault(name, []).append(figures(case, values))
    return {name: pd.DataFrame(rows).mean().to_dict() for name, rows in found.items()}


def rasters(folder: Path, draws: int, seeds: int, *, alone: bool = False) -> None:
    """Measure runs with and without the rasters, or the magnetics alone."""
    rows = []
    for seed in range(seeds):
        own = folder_of(seed, folder)
        for name, tables in (("without", []), ("with", more_tables(own)[: 1 if alone else None])):
            case = case_from(project_with(own, f"{name}{alone:d}", draws, *tables))
            kept = sum("magnetics" in names for names in case.bands)
            for model, own_figures in judged(case, draws).items():
                rows.append({"survey": seed, "evidence": name, "model": model, **own_figures})
            say(f"survey {seed}, {name}: {len(case.stack)} bands, magnetics in {kept} folds")
    table = pd.DataFrame(rows)
    means = table.groupby(["model", "evidence"], sort=False).mean(numeric_only=True)
    means = means.drop(columns="survey").reset_index()
    gains = table.pivot_table(index=["model", "survey"], columns="evidence", values="auc")
    gain = gains["with"] - gains["without"]
    said = "; ".join(
        f"{model} {', '.join(f'{value:+.3f}' for value in gain[model])}"
        for model in means["model"].unique()
    )
    write(
        means,
        "evidence_magnetics" if alone else "evidence_rasters",
        f"Held-out map AUC and captures on {seeds} synthetic surveys of 20 x 20 km, mean of {draws}"
        f" draws, judged at the deposits and {GROUND:,} other cells. Gain in map AUC, survey by"
        f" survey: {said}.",
    )


def catchments(folder: Path, draws: int, seeds: int) -> None:
    """Measure inverse distances and catchments on routed sediment, draw the picture."""
    rows = []
    errors = []
    for seed in range(seeds):
        own = folder_of(seed, folder, routed=True)
        dem = own / "elevation.tif"
        survey, _ = check_survey(gm.load_project(_toml(own, draws)).read())
        grid = survey_grid(survey)
        options = CatchmentOptions(dem)
        error = cross_validate_catchments(survey, list(survey.elements), grid, options)
        errors.append(error.assign(survey=seed))
        choices = {"idw": [], "smallest": ["smallest"], "mass balance": ["mass-balance"]}
        for name, nested in choices.items():
            lines = {"grid": 'method = "catchment"'} if nested else {}
            tables = [
                f'[catchments]\ndem = {json.dumps(str(dem.resolve()))}\nnested = "{kind}"\n'
                for kind in nested
            ]
            case = case_from(project_with(own, name.replace(" ", "_"), draws, *tables, **lines))
            for model, own_figures in judged(case, draws).items():
                rows.append({"survey": seed, "bands": name, "model": model, **own_figures})
        if seed == 0:
            draw(survey, grid, dem)
    _write_catchments(pd.DataFrame(rows), pd.concat(errors), draws, seeds)


def _toml(own: Path, draws: int) -> Path:
    path = project_with(own, "idw", draws).path
    assert path is not None
    return path


def _write_catchments(table: pd.DataFrame, errors: pd.DataFrame, draws: int, seeds: int) -> None:
    means = table.groupby(["bands", "model"], sort=False).mean(numeric_only=True)
    means = means.drop(columns="survey").reset_index()
    error = errors.groupby("method", sort=False)[["rmse_log10", "rmse_log10_below"]].mean()
    said = "; ".join(
        f"{method} {row['rmse_log10']:.3f} (places with a sample downstream"
        f" {row['rmse_log10_below']:.3f})"
        for method, row in error.iterrows()
    )
    write(
        means,
        "evidence_catchments",
        f"Held-out map AUC and captures on {seeds} synthetic surveys whose sediment is routed down"
        f" their streams, mean of {draws} draws, judged at the deposits and {GROUND:,} other cells."
        f" Error at samples left out, root mean square in log10, mean over the elements: {said}.",
    )


def draw(survey: gm.Survey, grid: gm.Grid, dem: Path) -> None:
    """Draw one element by inverse distances and by catchments."""
    element = "Au_ppb"
    ways = {
        "inverse distances": gm.build_stack(survey, grid, elements=[element]),
        "catchments": gm.build_stack(
            survey, grid, elements=[element], catchments=CatchmentOptions(dem)
        ),
        "catchments, mass balance": gm.build_stack(
            survey,
            grid,
            elements=[element],
            catchments=CatchmentOptions(dem, nested="mass-balance"),
        ),
    }
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained", sharey=True)
    west, south, east, north = (value / 1000 for value in grid.bounds)
    first = np.log10(next(iter(ways.values())).sel(band=element).values)
    limits = np.nanquantile(first, [0.02, 0.98])
    for axis, (title, stack) in zip(axes, ways.items(), strict=True):
        values = np.log10(stack.sel(band=element).values)
        drawn = axis.imshow(
            values, extent=(west, east, south, north), vmin=limits[0], vmax=limits[1]
        )
        places = survey.deposits.get_coordinates() / 1000
        axis.plot(places["x"], places["y"], "^", color="white", mec="black", ms=5)
        axis.set(title=title, xlabel="Easting (km)")
    axes[0].set_ylabel("Northing (km)")
    figure.colorbar(drawn, ax=axes, label="log10 of Au (ppb)")
    IMAGE.parent.mkdir(exist_ok=True)
    figure.savefig(IMAGE, dpi=110)
    plt.close(figure)


def whole_run(folder: Path) -> None:
    """Run one project with the rasters and say which bands and targets name them."""
    own = folder_of(0, folder)
    project = project_with(own, "run", 2, *more_tables(own), evaluate=f"draws = 2\n{QUICK}")
    gm.run_project(project)
    targets = pd.read_csv(project.out / "targets.csv")
    text = targets.astype(str).agg(" ".join, axis=1)
    stack = gm.read_raster(project.out / "stack.tif")
    say(f"bands: {', '.join(map(str, stack['band'].values))}")
    for word in ("magnetics", "elevation", ROCK.lower()):
        say(f"{word} is named in {text.str.contains(word).sum()} of {len(targets)} targets")


def main() -> None:
    """Measure one of them."""
    options = parser(__doc__, "skill/evidence", 2)
    options.add_argument("what", choices=["rasters", "magnetics", "catchments", "run"])
    options.add_argument("--seeds", type=int, default=3)
    chosen = options.parse_args()
    if chosen.what == "run":
        whole_run(chosen.folder)
    else:
        measure = {
            "rasters": rasters,
            "magnetics": partial(rasters, alone=True),
            "catchments": catchments,
        }[chosen.what]
        measure(chosen.folder, chosen.draws, chosen.seeds)


if __name__ == "__main__":
    main()
