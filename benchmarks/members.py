"""Measure what the default ensemble may be made of: its simple models, its network, its evidence.

    python benchmarks/members.py [--areas ../shared/areas] [--folder skill/members] [--draws 2]
    [--network-draws 1] [--only AREA] [--simple]

Three synthetic surveys and the real areas, with a run's settings. The stack of an area is built
once, with every element and every structural band, and so are the features of all its windows; each
fold screens without its own ground. A map is judged at its deposits and at 1,500 other cells, each
scored by the window centred on it by the model of its fold. The scores of every model at these
places are kept in the folder, so that the measurement goes on where it stopped, and every mean of
log odds is computed from them without training anything again. The tables go to docs/benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from idw import write
from pooled import Pooled, areas_needed, chosen_without, pool
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from surveys import GROUND, parser, placed, placed_at, project_of, surveys_there

import geomfaf as gm
from geomfaf.models.baselines import ExtraTreesWindow, make_baseline
from geomfaf.models.ensemble import join, log_odds
from geomfaf.models.network.options import training_options
from geomfaf.progress import quiet, say, track
from geomfaf.rasters.bands import Band, as_dataarray, bands_of, grid_of, valid_cells
from geomfaf.run.steps import (
    bands_in_folds,
    coarse_stack,
    cut_windows,
    draw_tables,
    run_grid,
    screen_in_folds,
    screened_bands,
    stack_choices,
)
from geomfaf.survey.cleaning.check import check_survey
from geomfaf.windows.features import Features, window_features
from geomfaf.windows.folds import Folds
from geomfaf.windows.negatives import draw_seed
from geomfaf.windows.windows import window_centres

STACK = "cloncurry_iocg"
REAL = ("clb_finland", "mtpainter_sa", "murchison_wa", STACK)
STRUCTURE = (
    "contact_distance",
    "contact_density",
    "class_count",
    "class_entropy",
    "class_distance",
    "fault_density",
    "crossing_distance",
    "crossing_density",
    "fault_end_distance",
    "strike_distance",
)
EVIDENCE = ("plain", "structure", "structure, cut")
"""The bands of a run; with the structural ones; with their distances cut at the folds' margin."""


@dataclass(frozen=True)
class Area:
    """One area, cut and drawn as a run does it; every band that any evidence uses in one table."""

    name: str
    stack: xr.DataArray
    folds: Folds
    tables: list[gpd.GeoDataFrame]
    bands: dict[str, list[list[str]]]
    everything: list[str]
    rows: list[Features]
    places: gpd.GeoDataFrame
    at_places: Features
    deposit: np.ndarray

    @property
    def clusters(self) -> np.ndarray:
        """Return the cluster of every deposit."""
        return self.folds.clusters(*window_centres(self.places[self.deposit], self.folds.grid))


def area_of(name: str, areas: Path, folder: Path, draws: int) -> Area:
    """Build an area: stack, folds, windows, features."""
    parts = _given(areas, draws) if name == STACK else _surveyed(name, areas, folder, draws)
    stack, folds, tables, bands, deposits = parts
    grid = grid_of(stack)
    valid = valid_cells(stack)
    size = int(tables[0]["size"].iloc[0])
    places, deposit = placed_at(deposits, grid, valid, size)
    plain = sorted({band for own in bands["everything"] for band in own})
    features = partial(_features, stack)
    return Area(
        name,
        stack,
        folds,
        tables,
        {evidence: bands[evidence] for evidence in EVIDENCE},
        plain,
        [features(table) for table in tables],
        places,
        features(places),
        deposit,
    )


def _features(stack: xr.DataArray, windows: gpd.GeoDataFrame) -> Features:
    size = int(windows["size"].iloc[0])
    return window_features(stack, windows["row"] + size // 2, windows["col"] + size // 2, size)


def _surveyed(name: str, areas: Path, folder: Path, draws: int) -> tuple:
    """Return stack, folds, windows, bands by evidence and deposits of a survey."""
    plain = project_of(name, areas, folder, draws)
    project = project_of(name, areas, folder, draws, structure=STRUCTURE)
    survey, _ = check_survey(project.read(), **project.stage("check"))
    grid = run_grid(project, survey)
    # 1. The folds are those of the run without structural bands.
    evidence = coarse_stack(project, survey, grid)
    own = set(screened_bands(evidence))
    others = [str(band) for band in evidence["band"].values if str(band) not in own]
    reach = gm.autocorrelation_range(evidence.sel(band=others), seed=project.seed)
    ore, folds = cut_windows(plain, survey, grid, reach)
    _, chosen = screen_in_folds(project, survey, folds, evidence)
    # 2. Every band, and those that each fold may use.
    stack = gm.build_stack(survey, grid, **stack_choices(project, survey))
    tables = draw_tables(project, ore, folds, stack, chosen)
    stack, bands = _with_cut(stack, folds, bands_in_folds(stack, chosen))
    return stack, folds, tables, bands, survey.deposits


def _with_cut(stack: xr.DataArray, folds: Folds, used: list[list[str]]) -> tuple:
    """Return the stack with the structural distances cut at the margin too, and the bands of every
    evidence.
    """
    structural = screened_bands(stack)
    named = bands_of(stack)
    most = folds.margin * folds.grid.cell
    metric = [band for band in named if band.name in structural and band.unit == "m"]
    layers = [np.clip(stack.sel(band=band.name).values, -most, most) for band in metric]
    cut = {band.name: f"{band.name}, cut" for band in metric}
    bands = [Band(cut[b.name], b.kind, b.unit, b.description) for b in metric]
    values = np.concatenate([stack.values, layers]) if layers else stack.values
    both = as_dataarray(values, grid_of(stack), [*named, *bands])
    # The elements and all that is no structure; with structure; with it cut; unscreened.
    plain = [[name for name in own if name not in structural] for own in used]
    everything = [band.name for band in named if band.name not in structural]
    return both, {
        "plain": plain,
        "structure": used,
        "structure, cut": [[cut.get(name, name) for name in own] for own in used],
        "everything": [everything] * folds.count,
    }


def _given(areas: Path, draws: int) -> tuple:
    """Return the same of the area that is a stack."""
    from skill import _cloncurry

    stack = _cloncurry(areas / f"{STACK}_stack.tif")
    grid = grid_of(stack)
    deposits = gm.read_layer(gm.Source(areas / f"{STACK}.gpkg", "deposits")).to_crs(grid.crs)
    ore = gm.centred_windows(grid, 16, deposits, valid_cells(stack), negatives=0)
    folds = gm.spatial_folds(
        ore, grid, valid_cells(stack), autocorrelation=gm.autocorrelation_range(stack)
    )
    tables = [gm.draw_windows(ore, folds, stack, seed=draw_seed(0, n)) for n in range(draws)]
    # Without a map of polygons or lines there is no structure: every evidence is the same.
    names = [str(name) for name in stack["band"].values]
    bands = {evidence: [names] * folds.count for evidence in (*EVIDENCE, "everything")}
    return stack, folds, tables, bands, deposits


class CellValues:
    """A library's model at its defaults on the values of the cell: gaps by the median, standardised."""

    def __init__(self, model: object) -> None:
        self.model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), model)

    def fit(self, features: Features, labels: np.ndarray) -> CellValues:
        """Learn from rows with labels 1 (ore) and 0 (barren)."""
        self.model.fit(features.select(statistics=["centre"]).values, labels)
        return self

    def predict_proba(self, features: Features) -> np.ndarray:
        """Return (rows, 2) probabilities."""
        return self.model.predict_proba(features.select(statistics=["centre"]).values)


SIMPLE: dict[str, Callable[[int], object]] = {
    "extra trees, all rows": lambda seed: ExtraTreesWindow(seed=seed, share=None),
    "extra trees": lambda seed: make_baseline("extra trees", seed=seed),
    "ridge logistic regression": lambda seed: make_baseline("ridge logistic regression", seed=seed),
    "fuzzy overlay": lambda seed: make_baseline("fuzzy overlay", seed=seed),
}
USUAL: dict[str, Callable[[int], object]] = {
    "usual: random forest": lambda seed: CellValues(RandomForestClassifier(random_state=seed)),
    "usual: logistic regression": lambda seed: CellValues(LogisticRegression(max_iter=1000)),
    "usual: weights of evidence": lambda seed: make_baseline("weights of evidence", seed=seed),
}
NETWORK = "network"
WIDE = "; twice the margin"
"""Folds that keep twice as much ground free around their test ground."""

MEASURED = {
    "plain": (*SIMPLE, NETWORK),
    "structure": ("extra trees", "ridge logistic regression", NETWORK),
    "structure, cut": ("extra trees", "ridge logistic regression"),
    "everything": tuple(USUAL),
    f"plain{WIDE}": ("extra trees",),
    f"structure{WIDE}": ("extra trees",),
}
"""Models by the evidence that they are measured on."""


class Scores:
    """Held-out scores of the places of an area, kept in a file each."""

    def __init__(self, folder: Path, area: str) -> None:
        self.folder = folder / "scores" / area.replace(" ", "_")
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, draw: int, evidence: str, model: str) -> Path:
        """Return the file of one model's scores."""
        words = f"{draw} {evidence} {model}".translate(str.maketrans(" ", "_", ",:;"))
        return self.folder / f"{words}.npy"

    def get(self, draw: int, evidence: str, model: str) -> np.ndarray | None:
        """Return the scores that are there."""
        path = self.path(draw, evidence, model)
        return np.load(path) if path.exists() else None

    def put(self, draw: int, evidence: str, model: str, scores: np.ndarray) -> None:
        """Keep scores."""
        beside = self.path(draw, evidence, model).with_suffix(".part.npy")
        np.save(beside, scores)
        beside.replace(self.path(draw, evidence, model))


def judge_simple(area: Area, draw: int, bands: list[list[str]], factory: Callable) -> np.ndarray:
    """Return the held-out score of every place by a simple model."""
    table = area.tables[draw]
    labels = table["label"].to_numpy()
    fold_of = area.folds.of_windows(area.places)
    scores = np.full(len(area.places), np.nan)
    for fold in np.unique(fold_of):
        train = area.folds.training(table, fold)
        rows = area.rows[draw][train].select(bands=bands[fold])
        model = factory(draw_seed(0, draw)).fit(rows, labels[train])
        own = fold_of == fold
        places = area.at_places[own].select(bands=bands[fold])
        scores[own] = model.predict_proba(places)[:, 1]
    return scores


def judge_network(area: Area, draw: int, bands: list[list[str]]) -> np.ndarray:
    """Return the held-out score of every place by the network alone."""
    with quiet():
        model = gm.train_model(
            area.stack,
            area.tables[draw],
            area.folds,
            options=training_options(ensemble=()),
            bands=bands,
            seed=draw_seed(0, draw),
            device="cpu",
        )
        fold_of = area.folds.of_windows(area.places)
        scores = np.full(len(area.places), np.nan)
        for fold in np.unique(fold_of):
            own = fold_of == fold
            scores[own] = model.fold_models[fold].judge_windows(area.stack, area.places[own]).score
    return scores


def measure(name: str, chosen: object, scores: Scores) -> None:
    """Compute the scores of an area that are not there yet."""
    wanted = []
    for draw, evidence in product(range(chosen.draws), MEASURED):
        for model in MEASURED[evidence]:
            trained = model == NETWORK and (chosen.simple or draw >= chosen.network_draws)
            if not trained:
                wanted.append((draw, evidence, model))
    missing = [key for key in wanted if not scores.path(*key).exists()]
    if not missing and (scores.folder / "places.npz").exists():
        return
    area = area_of(name, chosen.areas, chosen.folder, chosen.draws)
    np.savez(scores.folder / "places.npz", deposit=area.deposit, clusters=area.clusters)
    for draw, evidence, model in track(missing, name, unit="models"):
        unscreened = [area.everything] * area.folds.count
        own = evidence.removesuffix(WIDE)
        bands = unscreened if own == "everything" else area.bands[own]
        if model == NETWORK:
            found = judge_network(area, draw, bands)
        else:
            folds = area.folds
            if own != evidence:
                folds = replace(folds, margin=2 * folds.margin)
            judged = replace(area, folds=folds)
            found = judge_simple(judged, draw, bands, (SIMPLE | USUAL)[model])
        scores.put(draw, evidence, model, found)


TREES = "extra trees on all rows"
RIDGE = "ridge logistic regression"
BEFORE = "network, extra trees on all rows, fuzzy overlay"
DEFAULT = "network, extra trees, ridge"
# Name -> the models whose log odds are averaged.
CHOICES: dict[str, tuple[str, ...]] = {
    TREES: ("extra trees, all rows",),
    "extra trees": ("extra trees",),
    RIDGE: (RIDGE,),
    "extra trees on all rows, ridge": ("extra trees, all rows", RIDGE),
    "extra trees, ridge": ("extra trees", RIDGE),
    NETWORK: (NETWORK,),
    BEFORE: (NETWORK, "extra trees, all rows", "fuzzy overlay"),
    "network, extra trees": (NETWORK, "extra trees"),
    "network, extra trees, fuzzy overlay": (NETWORK, "extra trees", "fuzzy overlay"),
    "network, extra trees, ridge": (NETWORK, "extra trees", RIDGE),
    "network, extra trees, ridge, fuzzy overlay": (NETWORK, "extra trees", RIDGE, "fuzzy overlay"),
}
"""What a default could be, on any of the kinds of evidence."""

USUAL_PIPELINE = {name: (name,) for name in USUAL}
SHOWN = (TREES, BEFORE)
"""Every choice is compared with these."""

DELTAS = (0.01, 0.02, 0.03)
"""Differences for which the number of areas is given that would tell them."""


@dataclass(frozen=True)
class Row:
    """One choice on every area: what each deposit outranks, (draws, deposits) an area."""

    name: str
    ranks: dict[str, np.ndarray]

    def auc(self, area: str) -> float:
        """Return the map AUC, the mean over the draws."""
        return float(self.ranks[area].mean())

    def capture(self, area: str, share: float) -> float:
        """Return the share of the deposits in the best ground, the mean over the draws."""
        return float((self.ranks[area] > 1 - share).mean())


def rows_of(folder: Path, areas: list[str], draws: int) -> dict[str, Row]:
    """Return every choice on every kind of evidence that was measured on all areas."""
    wanted = {}
    for evidence in EVIDENCE:
        suffix = "" if evidence == "plain" else f"; {evidence}"
        wanted |= {f"{name}{suffix}": (evidence, models) for name, models in CHOICES.items()}
    wanted |= {name: ("everything", models) for name, models in USUAL_PIPELINE.items()}
    rows = {}
    for name, (evidence, models) in wanted.items():
        ranks = {area: ranks_of(Scores(folder, area), draws, evidence, models) for area in areas}
        if all(found is not None for found in ranks.values()):
            rows[name] = Row(name, ranks)
    return rows


def ranks_of(
    scores: Scores, draws: int, evidence: str, models: tuple[str, ...]
) -> np.ndarray | None:
    """Return what each deposit outranks on the map of the mean of log odds, over the draws that all
    the models have.
    """
    deposit = np.load(scores.folder / "places.npz")["deposit"]
    found = []
    for draw in range(draws):
        parts = [scores.get(draw, evidence, model) for model in models]
        if any(part is None for part in parts):
            continue
        odds = np.stack([log_odds(part) for part in parts])
        joined = parts[0] if len(parts) == 1 else join(parts[0], odds[1:])
        found.append(placed(deposit, joined))
    return np.stack(found) if found else None


def pooled(rows: dict[str, Row], one: str, other: str, areas: list[str], folder: Path) -> Pooled:
    """Return the pooled difference of two choices, on the draws that both have."""
    differences = []
    clusters = []
    for area in areas:
        pair = [rows[name].ranks[area] for name in (one, other)]
        count = min(len(pair[0]), len(pair[1]))
        differences.append((pair[0][:count] - pair[1][:count]).mean(axis=0))
        clusters.append(np.load(Scores(folder, area).folder / "places.npz")["clusters"])
    return pool(differences, clusters)


def area_table(rows: dict[str, Row], areas: list[str]) -> pd.DataFrame:
    """Return map AUC and captures of every choice on every area."""
    lines = []
    for name, row in rows.items():
        line = {"choice": name}
        for area in areas:
            captures = "/".join(f"{row.capture(area, share):.2f}" for share in (0.05, 0.1))
            line[area] = f"{row.auc(area):.3f} ({captures})"
        lines.append(line)
    return pd.DataFrame(lines)


def pooled_table(
    rows: dict[str, Row], sets: dict[str, list[str]], folder: Path, against: str
) -> pd.DataFrame:
    """Return the pooled difference of every choice to one of them."""
    lines = []
    for name in rows:
        if name == against:
            continue
        line = {"choice": name}
        for title, areas in sets.items():
            found = pooled(rows, name, against, areas, folder)
            line |= {title: str(found), f"p, {title}": f"{found.p:.3f}"}
        captures = [
            rows[name].capture(a, 0.1) - rows[against].capture(a, 0.1) for a in rows[name].ranks
        ]
        line["in best 10 %"] = f"{np.mean(captures):+.3f}"
        lines.append(line)
    return pd.DataFrame(lines)


def nested_gain(rows: dict[str, Row], areas: list[str], against: str) -> pd.Series:
    """Return for each area the gain of the choice that did best on the other areas."""
    gains = {
        name: {area: row.auc(area) - rows[against].auc(area) for area in areas}
        for name, row in rows.items()
        if name not in USUAL
    }
    return chosen_without(pd.DataFrame(gains).T[areas])


def main() -> None:
    """Measure what is not there yet and write the tables."""
    options = parser(__doc__, "skill/members", 2)
    options.add_argument("--network-draws", type=int, default=1)
    options.add_argument("--only", help="one area")
    options.add_argument("--simple", action="store_true", help="train no network")
    options.add_argument("--table", action="store_true", help="measure nothing, write the tables")
    chosen = options.parse_args()
    areas = [*surveys_there(chosen.areas)]
    if (chosen.areas / f"{STACK}_stack.tif").exists():
        areas.append(STACK)
    for area in areas:
        if not chosen.table and chosen.only in (None, area):
            say(f"== {area}")
            measure(area, chosen, Scores(chosen.folder, area))
    done = [area for area in areas if (Scores(chosen.folder, area).folder / "places.npz").exists()]
    write_tables(done, chosen)


def write_tables(areas: list[str], chosen: object) -> None:
    """Write the table of the areas, the pooled one and what was chosen without each area."""
    rows = rows_of(chosen.folder, areas, chosen.draws)
    real = [area for area in areas if area in REAL]
    sets = {f"{len(real)} real areas": real, f"all {len(areas)}": areas}
    judged = (
        f"Mean of {chosen.draws} draws of barren windows and seeds ({chosen.network_draws} where a"
        f" network is trained), a map judged at its deposits and {GROUND:,} other cells."
    )
    write(area_table(rows, areas), "members", f"Map AUC (share in the best 5 / 10 %). {judged}")
    far = _far_distances(chosen.folder, chosen.draws, areas)
    for number, against in enumerate(SHOWN, start=1):
        nested = nested_gain(rows, areas, against)
        shown = ", ".join(f"{area} {gain:+.3f}" for area, gain in nested.items())
        note = (
            f"Map AUC minus that of *{against}*: unweighted mean over areas, 95 % interval of"
            " Student's t over areas, p by sign flips of whole clusters of deposits. Chosen without"
            f" the area that judges it: {nested.mean():+.3f} ({shown}). {_default(rows, areas, chosen.folder, against)} {_needed(rows, areas, against)} {far}"
        )
        write(pooled_table(rows, sets, chosen.folder, against), f"members_pooled_{number}", note)


def _far_distances(folder: Path, draws: int, areas: list[str]) -> str:
    """Say what uncut distances gain where twice the margin is kept free."""
    parts = []
    for area in areas:
        scores = Scores(folder, area)
        found = [
            ranks_of(scores, draws, evidence + margin, ("extra trees",))
            for margin in ("", WIDE)
            for evidence in ("structure", "plain")
        ]
        if area != STACK and all(ranks is not None for ranks in found):
            gains = [(found[n] - found[n + 1]).mean() for n in (0, 2)]
            parts.append(f"{area} {gains[0]:+.3f} and {gains[1]:+.3f}")
    return (
        "Extra trees with structure, not cut, minus without, at the folds' margin and at twice of it:"
        f" {'; '.join(parts)}."
    )


def _default(rows: dict[str, Row], areas: list[str], folder: Path, against: str) -> str:
    """Say in words what the default of today is worth, and whether that can be told."""
    if DEFAULT not in rows or against not in rows:
        return ""
    found = pooled(rows, DEFAULT, against, areas, folder)
    told = (
        "beyond its interval" if found.low > 0 or found.high < 0 else "which cannot be told apart"
    )
    return (
        f"The default of today, *{DEFAULT}*, differs by {found} over all {len(areas)} areas"
        f" (p = {found.p:.3f}), {told}; it was chosen after seeing these areas and others."
    )


def _needed(rows: dict[str, Row], areas: list[str], against: str) -> str:
    """Say how many areas it would take to tell differences apart."""
    spreads = []
    for name, row in rows.items():
        if name != against and name not in USUAL:
            spreads.append(np.std([row.auc(a) - rows[against].auc(a) for a in areas], ddof=1))
    spread = float(np.median(spreads))
    parts = [f"+{delta} takes {areas_needed(spread, delta)}" for delta in DELTAS]
    return (
        f"The differences of one choice vary by {spread:.3f} from area to area (standard deviation,"
        f" median of the choices): to tell a difference four times in five, {', '.join(parts)} areas."
    )


if __name__ == "__main__":
    main()
