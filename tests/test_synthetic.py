"""The synthetic survey: is the map a map, does the chemistry tell what the truth says, does nothing
leak.
"""

from functools import cache

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from geomfaf.errors import OutputExistsError, UsageError
from geomfaf.rasters.grid import Grid
from geomfaf.survey.survey import Survey
from geomfaf.synthetic import Truth, make_survey, write_survey

SIGNAL = ["Ag", "Au", "Sn", "Cu", "Ba", "Sb", "Hg", "Mo"]
NO_SIGNAL = ["B", "Mn", "Pb", "Zn", "As", "W", "Bi", "F"]
SEEDS = range(5)


def made(size: str = "small", seed: int = 0, random_deposits: bool = False) -> tuple[Survey, Truth]:
    return _made(
        size, seed, random_deposits
    )  # the cache takes made() and made("small") for two calls


@cache
def _made(size: str, seed: int, random_deposits: bool) -> tuple[Survey, Truth]:
    return make_survey(size, seed=seed, random_deposits=random_deposits)


def auc_and_z(score: np.ndarray, ore: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve by rank, and its distance from 0.5 in Hanley-McNeil
    standard errors.
    """
    n1, n0 = ore.sum(), (~ore).sum()
    auc = (rankdata(score)[ore].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    error = np.sqrt(
        (auc * (1 - auc) + (n1 - 1) * (q1 - auc**2) + (n0 - 1) * (q2 - auc**2)) / (n1 * n0)
    )
    return auc, (auc - 0.5) / error


def screened(survey: Survey) -> pd.DataFrame:
    """AUC and z of each element against 'a known deposit within 500 m', about the mean sample
    spacing.
    """
    known = cKDTree(survey.deposits.get_coordinates().to_numpy())
    ore = known.query(survey.samples.get_coordinates().to_numpy())[0] < 500
    rows = {}
    for column in survey.elements:
        value = survey.samples[column].to_numpy()
        rows[column.split("_")[0]] = auc_and_z(value[~np.isnan(value)], ore[~np.isnan(value)])
    return pd.DataFrame(rows, index=["auc", "z"]).T


def truth_auc(truth: Truth, deposits: gpd.GeoDataFrame) -> float:
    """How well the truth's probability ranks the cells of deposits among all cells."""
    grid = Grid.from_bounds(made()[0].study_area.total_bounds, 200, "EPSG:32650")
    cells = truth.probability.to_numpy()
    at_deposits = cells[grid.rowcol(deposits.geometry.x, deposits.geometry.y)]
    return auc_and_z(
        np.append(at_deposits, cells), np.arange(at_deposits.size + cells.size) < at_deposits.size
    )[0]


@pytest.mark.parametrize(
    ("size", "side", "counts"),
    [("small", 20_000, (1_900, 36, 18)), ("paper", 40_000, (7_512, 64, 32))],
)
def test_counts_and_extent(size, side, counts):
    survey, truth = made(size)
    assert (len(survey.samples), len(survey.deposits), len(truth.undiscovered)) == counts
    assert survey.study_area.total_bounds.tolist() == [
        400_000,
        2_400_000,
        400_000 + side,
        2_400_000 + side,
    ]
    assert len(survey.elements) == 16
    for frame in (
        survey.samples,
        survey.deposits,
        survey.geology,
        survey.faults,
        survey.study_area,
        truth.undiscovered,
    ):
        assert frame.crs.to_epsg() == 32650
        assert frame.within(survey.study_area.geometry[0].buffer(1e-6)).all()
    assert survey.samples["sample_id"].is_unique
    assert pd.concat([survey.deposits, truth.undiscovered])["name"].is_unique
    assert truth.probability.shape == (side // 200, side // 200)
    assert float(truth.probability.sum()) == pytest.approx(counts[1] + counts[2])
    grid = Grid.from_bounds(survey.study_area.total_bounds, 200, survey.samples.crs)
    assert (truth.probability.x == grid.x).all()
    assert (truth.probability.y == grid.y).all()


def test_same_seed_same_survey():
    survey, truth = made()
    again, truth_again = make_survey("small", seed=0)
    for layer in ("samples", "deposits", "geology", "faults", "study_area"):
        assert_geodataframe_equal(getattr(survey, layer), getattr(again, layer))
    assert_geodataframe_equal(truth.undiscovered, truth_again.undiscovered)
    assert truth.probability.identical(truth_again.probability)
    other = made(seed=1)[0]
    assert not survey.samples["Ag_ppb"].equals(other.samples["Ag_ppb"])
    assert survey.geology.area.max() != other.geology.area.max()


@pytest.mark.parametrize(("size", "seed"), [("paper", 0), *(("small", seed) for seed in SEEDS)])
def test_geology_tiles_the_study_area(size, seed):
    survey, _ = made(size, seed)
    polygons = survey.geology.geometry.to_numpy()
    assert survey.geology.is_valid.all()
    assert (survey.geology.geom_type == "Polygon").all()
    if hasattr(shapely, "coverage_is_valid"):  # shapely 2.1
        assert shapely.coverage_is_valid(polygons)
    assert shapely.union_all(polygons).equals(survey.study_area.geometry[0])
    assert shapely.area(polygons).sum() == pytest.approx(survey.study_area.area.sum(), abs=1e-3)
    assert shapely.area(polygons).min() > 6e4  # no slivers
    share = (
        survey.geology.area.groupby(survey.geology["stratum"]).sum() / survey.study_area.area.sum()
    )
    assert set(share.index) == {"Triassic", "Permian", "Carboniferous", "Devonian", "Quaternary"}
    assert share.idxmax() == "Triassic"
    assert share["Quaternary"] < 0.05
    assert survey.geology_column == "stratum"


def test_contacts_are_smooth_and_not_pixel_edges():
    survey, _ = made()
    inner = shapely.union_all(survey.geology.boundary.to_numpy()).difference(
        survey.study_area.boundary[0]
    )
    xy, line = shapely.get_coordinates(
        shapely.get_parts(shapely.line_merge(inner)), return_index=True
    )
    step = np.diff(xy, axis=0)[np.diff(line) == 0]
    length, parallel = np.hypot(*step.T), (step == 0).any(axis=1)
    assert length[parallel].sum() / length.sum() < 0.05
    assert np.median(length) < 150


def test_faults_point_where_their_type_says():
    faults = made("paper")[0].faults
    assert faults["fault_id"].is_unique
    assert (faults.length > 1_200).all()
    ends = shapely.get_coordinates(faults.boundary.to_numpy()).reshape(-1, 2, 2)
    east, north = (ends[:, 1] - ends[:, 0]).T
    azimuth = pd.Series(np.degrees(np.arctan2(east, north)) % 180)
    for kind, expected in {"regional": 52, "NE": 42, "NW": 138, "N-S": 2}.items():
        off = (azimuth[faults["fault_type"] == kind] - expected + 90) % 180 - 90
        assert len(off) >= 3
        assert off.abs().max() < 40
        assert abs(off.median()) < 12


def test_samples_follow_streams_and_not_a_uniform_scatter():
    places = made("paper")[0].samples.get_coordinates().drop_duplicates().to_numpy()
    nearest = cKDTree(places).query(places, k=2)[0][:, 1]
    expected = 0.5 / np.sqrt(len(places) / 40_000**2)
    assert (
        nearest.mean() / expected < 0.9
    )  # Clark and Evans: 1 for a uniform scatter, less for clusters
    ground = np.random.default_rng(0).uniform(
        (400_000, 2_400_000), (440_000, 2_440_000), (20_000, 2)
    )
    void = (cKDTree(places).query(ground)[0] > 500).mean()
    assert void > 2 * np.exp(-np.pi * 500**2 * len(places) / 40_000**2)  # ridges stay empty


@pytest.mark.parametrize("seed", SEEDS)
def test_deposits_follow_the_truth(seed):
    survey, truth = made(seed=seed)
    assert truth_auc(truth, survey.deposits) > 0.7
    assert truth_auc(truth, truth.undiscovered) > 0.65
    both = pd.concat([survey.deposits, truth.undiscovered]).get_coordinates().to_numpy()
    assert cKDTree(both).query(both, k=2)[0][:, 1].min() >= 600


def test_random_deposits_follow_nothing():
    ranks, kept = [], 0
    for seed in SEEDS:
        survey, truth = made(seed=seed)
        leak_test, truth_there = made(seed=seed, random_deposits=True)
        assert_geodataframe_equal(leak_test.samples, survey.samples)
        assert truth_there.probability.identical(truth.probability)
        assert len(leak_test.deposits) == len(survey.deposits)
        assert leak_test.deposits.within(survey.study_area.geometry[0]).all()
        everything = pd.concat([leak_test.deposits, truth_there.undiscovered])
        ranks.append(truth_auc(truth_there, everything))
        kept += (screened(leak_test).loc[SIGNAL, "z"] > 2.58).sum()
    assert np.mean(ranks) == pytest.approx(0.5, abs=0.06)
    assert kept <= 8  # of 40


@pytest.mark.parametrize(("size", "seed"), [("paper", 0), *(("small", seed) for seed in SEEDS)])
def test_screening_keeps_the_elements_with_a_signal(size, seed):
    table = screened(made(size, seed)[0])
    assert (table.loc[SIGNAL, "z"] > 2.58).sum() >= 7
    assert (table.loc[NO_SIGNAL, "z"] > 2.58).sum() <= 1
    assert table["auc"].idxmax() in SIGNAL
    assert 0.65 < table["auc"].max() < 0.82
    if seed == 0:
        assert set(table.index[table["z"] > 2.58]) == set(SIGNAL)


def test_elements_units_and_crustal_medians():
    survey, truth = made()
    assert (
        truth.elements["element"].tolist() == "Ag Au B Sn Cu Ba Mn Pb Zn As Sb Hg Mo W Bi F".split()
    )
    assert truth.elements.loc[truth.elements["signal"], "element"].tolist() == [
        "Ag",
        "Au",
        "Sn",
        "Cu",
        "Ba",
        "Sb",
        "Hg",
        "Mo",
    ]
    assert survey.elements == dict(
        zip(truth.elements["column"], truth.elements["unit"], strict=True)
    )
    assert {column for column, unit in survey.elements.items() if unit == "ppb"} == {
        "Ag_ppb",
        "Au_ppb",
        "Hg_ppb",
    }
    median = survey.samples[list(survey.elements)].median()
    expected = {
        "Ag_ppb": 75,
        "Au_ppb": 1.1,
        "Cu_ppm": 20,
        "Ba_ppm": 420,
        "Mn_ppm": 480,
        "Zn_ppm": 65,
        "F_ppm": 450,
    }
    for column, value in expected.items():
        assert value / 1.5 < median[column] < value * 1.5


def test_censored_missing_and_repeated_samples():
    survey, truth = made("paper")
    limits = truth.elements.set_index("column")["detection_limit"]
    values = survey.samples[limits.index]
    censored = values < 0
    assert (
        values.where(censored) + limits
    ).abs().max().max() == 0  # a censored value is minus its limit
    assert ((values >= limits) | censored | values.isna()).all(axis=None)
    assert (censored.mean() > 0.003).sum() >= 4
    assert censored.mean().max() < 0.05
    assert set(values.columns[values.isna().any()]) == {"W_ppm", "Bi_ppm", "F_ppm"}
    assert values.isna().mean().max() < 0.01

    where = survey.samples.get_coordinates()
    again = where.duplicated().to_numpy()
    assert again.sum() == 75
    first = where[~again].reset_index().merge(where[again].reset_index(), on=["x", "y"])
    silver = survey.samples["Ag_ppb"].abs()
    ratio = silver[first["index_y"]].to_numpy() / silver[first["index_x"]].to_numpy()
    assert (ratio != 1).mean() > 0.8
    assert np.abs(np.log10(ratio)).max() < 0.15


def test_write_survey_round_trip(tmp_path):
    survey, _ = made()
    path = tmp_path / "survey.gpkg"
    path.write_text("an old file")
    with pytest.raises(OutputExistsError, match="choose another name"):
        write_survey(survey, path)
    assert path.read_text() == "an old file"
    assert write_survey(survey, path, overwrite=True) == path
    assert [entry.name for entry in tmp_path.iterdir()] == ["survey.gpkg"]
    layers = ["samples", "deposits", "geology", "faults", "study_area"]
    assert set(pyogrio.list_layers(path)[:, 0]) == set(layers)
    for layer in layers:
        read = gpd.read_file(path, layer=layer)
        assert_geodataframe_equal(read, getattr(survey, layer), check_dtype=False, check_like=True)


def test_write_survey_leaves_nothing_behind_when_it_fails(tmp_path):
    survey, _ = made()
    (tmp_path / "survey.gpkg").mkdir()
    with pytest.raises(OSError, match=r"survey\.gpkg"):
        write_survey(survey, tmp_path / "survey.gpkg", overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["survey.gpkg"]


def test_unknown_size_names_the_known_ones():
    with pytest.raises(
        UsageError, match=r'"papre" is no size .* "small" or "paper".* Did you mean "paper"'
    ):
        make_survey("papre")
