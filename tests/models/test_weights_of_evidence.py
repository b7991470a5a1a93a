"""Weights of evidence: published tables, closed forms, plain loops, missing bands, the independence
test.
"""

import csv
import math

import numpy as np
import pytest
from builders import make_grid, make_stack, points_in, scattered_cells
from conftest import AREAS
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from geomfaf.errors import DataError, UsageError
from geomfaf.evaluation.metrics import place_deposits
from geomfaf.models.weight_patterns import best_pattern, weights_of_counts, weights_table
from geomfaf.models.weights_of_evidence import independence_test, weigh_evidence
from geomfaf.rasters.bands import Band, as_dataarray, grid_of
from geomfaf.rasters.geotiff import read_raster
from geomfaf.survey.read import read_layer
from geomfaf.survey.survey import Source
from geomfaf.windows.screen import rank_auc
from geomfaf.windows.windows import deposit_cells

# Geoscience Australia's thresholds (their test data's README): 5 km, 2 km, fault density classes 6
# to 10
GIVEN = {
    "dist_breccia_m": 5000.0,
    "fault_density_class10": 6.0,
    "strat_no": {76890, 42515, 31441, 26091, 12754, 11361, 7245},
    "fault_2km": {1},
}
TABLES = dict(zip(GIVEN, ("Dist2Breccia", "FaultDensity", "StratNo", "Dist2Fault"), strict=True))


@pytest.fixture(scope="module")
def cloncurry():
    """Geoscience Australia's stack, its deposits, its posterior and our weights of the same four
    bands.
    """
    path = AREAS / "cloncurry_iocg_stack.tif"
    if not path.exists():
        pytest.skip(
            f"the real area cloncurry_iocg is not here: {path.parent} is missing or incomplete"
        )
    # The file says no kind of its bands; the real ones are given just below.
    raster = read_raster(path, kind="density")
    kinds = dict.fromkeys(("strat_no", "fault_2km"), "class")
    names = [*GIVEN, "posterior"]
    stack = as_dataarray(
        raster.values, grid_of(raster), [Band(name, kinds.get(name, "density")) for name in names]
    )
    deposits = read_layer(Source(AREAS / "cloncurry_iocg.gpkg", "deposits"))
    methods = {"dist_breccia_m": "ascending"}
    ours = weigh_evidence(
        stack.sel(band=list(GIVEN)), deposits, methods=methods, favourable=GIVEN, unit_area=1.0
    )
    return stack, deposits, ours


@pytest.mark.parametrize("band", GIVEN)
def test_weights_equal_the_published_tables(cloncurry, band):
    _, _, ours = cloncurry
    pattern = next(pattern for pattern in ours.patterns if pattern.band == band)
    path = AREAS / "cloncurry_weights" / f"{TABLES[band]}_CT.csv"
    inside = max(csv.DictReader(path.open()), key=lambda row: float(row["WPLUS"]))
    published = {
        "area": "AREA_UNITS", "points": "NO_POINTS", "w_plus": "WPLUS", "s_w_plus": "S_WPLUS", "w_minus": "WMINUS",
        "s_w_minus": "S_WMINUS", "contrast": "CONTRAST", "s_contrast": "S_CONTRAST", "studentised": "STUDC",
    }  # fmt: skip
    for ours_name, theirs in published.items():
        assert getattr(pattern, ours_name) == pytest.approx(float(inside[theirs]), abs=1e-6), theirs


def test_a_cumulative_table_equals_the_published_one(cloncurry):
    """FaultDensity_CD.csv of GeoscienceAustralia/MPM-WofE (Apache-2.0, (c) Commonwealth of
    Australia 2023).

    Classes 10 to 4 from the top; where a cut holds all deposits that script replaces zeros in a way
    of its own.
    """
    _, _, ours = cloncurry
    table = ours.tables["fault_density_class10"]
    assert table["class"].tolist() == list(range(10, 0, -1))
    assert table["area"].round(2).tolist()[:7] == [
        1464.66,
        3740.31,
        6211.54,
        9414.59,
        12385.13,
        16626.9,
        21547.39,
    ]
    assert table["points"].tolist() == [5, 22, 62, 135, 187, 211, 238, 258, 258, 258]
    published = {
        "w_plus": (-0.886019155369624, -0.339480346541272, 0.193503566856249, 0.560203877735014, 0.612572419636479,
                   0.436354220208396, 0.295869317113512),
        "w_minus": (0.0285754657025182, 0.0384096051004122, -0.0541588774086961, -0.385773837084196,
                    -0.791362396794525, -0.950687880880738, -1.39816681567492),
        "studentised": (-2.02162224817601, -1.69001992309642, 1.69164857973539, 7.55184586810667, 10.0365287407938,
                        8.57815590465082, 7.26637749327954),
    }  # fmt: skip
    for name, values in published.items():
        np.testing.assert_allclose(table[name][:7], values, atol=1e-9)


def test_the_posterior_equals_the_published_map(cloncurry):
    stack, _, ours = cloncurry
    theirs = stack.sel(band="posterior").values
    np.testing.assert_allclose(ours.posterior.sel(band="posterior").values, theirs, rtol=2e-6)
    assert len(np.unique(theirs[np.isfinite(theirs)])) == 16  # 2 to the 4th conditions, all there


def test_the_auc_equals_geoscience_australias(cloncurry):
    """0.714467740807205 is of deposits against cells without one; ours counts all valid cells."""
    stack, deposits, ours = cloncurry
    score = ours.posterior.sel(band="posterior").values
    valid = np.isfinite(score)
    rows, cols = deposit_cells(deposits, grid_of(stack))
    barren = valid.copy()
    barren[rows, cols] = False
    scores = np.append(score[rows, cols], score[barren])
    auc = rank_auc(scores, np.arange(len(scores)) < len(rows))
    assert auc == pytest.approx(0.714467740807205, abs=1e-9)
    assert place_deposits(score, valid, rows, cols).auc.mean() == pytest.approx(0.71447, abs=3e-5)


def test_the_published_bands_depend_on_each_other(cloncurry):
    """Faults, fault density and breccia say the same thing: the map expects more deposits than
    there are.
    """
    _, _, ours = cloncurry
    assert ours.independence["deposits"] == 258
    assert ours.independence["expected"] > 258
    assert ours.independence["ratio"] == pytest.approx(258 / ours.independence["expected"])


@given(
    hit=st.integers(1, 30),
    missed=st.integers(1, 30),
    size=st.integers(1, 500),
    rest=st.integers(1, 500),
)
def test_weights_are_log_odds(hit, missed, size, rest):
    """The contrast is the log odds ratio of the 2 x 2 table, its variance the sum of the
    reciprocals (Woolf).
    """
    row = weights_of_counts([hit], hit + missed, [hit + size], hit + missed + size + rest).iloc[0]
    assert row["contrast"] == pytest.approx(math.log(hit * rest / (missed * size)))
    assert row["s_contrast"] == pytest.approx(math.sqrt(1 / hit + 1 / missed + 1 / size + 1 / rest))
    prior = (hit + missed) / (hit + missed + size + rest)
    assert expit(logit(prior) + row["w_plus"]) == pytest.approx(hit / (hit + size))  # Bayes, inside
    assert expit(logit(prior) + row["w_minus"]) == pytest.approx(
        missed / (missed + rest)
    )  # and outside
    assert not row["corrected"]


def test_patterns_without_deposits_are_corrected_and_said_so():
    table = weights_of_counts([0, 5, 5, 0], 5, [10, 60, 100, 0], 100)
    assert table["corrected"].tolist() == [True, True, False, False]
    assert table.loc[0, "w_plus"] == pytest.approx(math.log(0.5 / 6) - math.log(10.5 / 96))
    assert np.isfinite(table.drop(columns="corrected").to_numpy()).all()
    for row in (2, 3):  # all of the area or none of it: nothing is told apart
        assert (table.loc[row, ["w_plus", "w_minus", "contrast", "studentised"]] == 0).all()


@pytest.mark.parametrize(("hit", "area_in"), [(5, 4), (1, 98)])
def test_more_deposits_than_units_are_refused(hit, area_in):
    with pytest.raises(DataError, match="smaller unit of area"):
        weights_of_counts([hit], 5, [area_in], 100)


@given(seed=st.integers(0, 999), levels=st.sampled_from([3, 10, 1000]))
@settings(max_examples=25)
def test_tables_equal_a_loop_over_the_cells(seed, levels):
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, levels, 400).astype(float)
    cells[rng.random(400) < 0.2] = np.nan
    points = rng.choice(cells, 12, replace=False)
    if np.isfinite(points).sum() < 2:
        return
    for method in ("categorical", "ascending", "descending"):
        if method == "categorical" and levels > 10:
            continue
        for _, row in weights_table(cells, points, method, unit=2.0).iterrows():
            inside = {
                "categorical": lambda v, at=row["class"]: v == at,
                "ascending": lambda v, at=row["class"]: v <= at,
                "descending": lambda v, at=row["class"]: v >= at,
            }[method]
            assert row["area"] == 2 * sum(inside(value) for value in cells if value == value)
            assert row["points"] == sum(inside(value) for value in points if value == value)


def test_a_mirrored_band_has_the_mirrored_table():
    rng = np.random.default_rng(0)
    cells = rng.normal(size=3000)
    points = rng.choice(cells, 30)
    up, down = (
        weights_table(cells, points, "ascending"),
        weights_table(-cells, -points, "descending"),
    )
    # Quantiles of the mirrored values are not exactly the mirrored quantiles: the best cut is all
    # but the same.
    assert up["studentised"].max() == pytest.approx(down["studentised"].max(), rel=0.05)
    assert len(up) == 101


def test_weights_of_rows_count_like_copies():
    rng = np.random.default_rng(1)
    cells, times = rng.integers(0, 5, 200).astype(float), rng.integers(1, 4, 200)
    points = cells[:20]
    weighted = weights_table(
        cells, points, "ascending", cell_weights=times, point_weights=np.full(20, 2.0)
    )
    copied = weights_table(np.repeat(cells, times), np.repeat(points, 2), "ascending")
    np.testing.assert_allclose(weighted.to_numpy(float), copied.to_numpy(float))


def test_the_best_cut_is_found_and_chance_is_not():
    rng = np.random.default_rng(0)
    cells = rng.random(5000)
    points = np.append(
        rng.random(60) * 0.2, rng.random(30)
    )  # a halo, and deposits that do not care
    pattern = best_pattern("near", "ascending", weights_table(cells, points, "ascending"))
    assert pattern.favourable == pytest.approx(0.2, abs=0.02)
    assert pattern.words.startswith("<= 0.")
    nothing = best_pattern("near", "ascending", weights_table(cells, 1 - points, "ascending"))
    assert (nothing.w_plus, nothing.w_minus, nothing.words) == (0.0, 0.0, "none")
    classes = np.repeat([1.0, 2.0, 3.0], [2000, 2000, 1000])
    hosts = best_pattern(
        "geology",
        "categorical",
        weights_table(classes, np.repeat([1.0, 3.0], [5, 30]), "categorical"),
    )
    assert hosts.words == "3"


def independent_case(seed=0, share=(0.3, 0.5), deposits=4000):
    """Two bands that are independent given the deposits, by construction: each cell is drawn on its
    own.
    """
    rng = np.random.default_rng(seed)
    ore = np.zeros(40_000, bool)
    ore[:deposits] = True
    first = rng.random(ore.size) < np.where(ore, 0.6, share[0])
    second = rng.random(ore.size) < np.where(ore, 0.7, share[1])
    return ore.reshape(200, 200), first.reshape(200, 200), second.reshape(200, 200)


def weigh(ore, *layers, **options):
    grid = make_grid(*ore.shape)
    bands = [Band(f"band{number}", "presence") for number in range(len(layers))]
    stack = as_dataarray(np.stack([np.asarray(layer, float) for layer in layers]), grid, bands)
    deposits = points_in(grid, *np.nonzero(ore))
    favourable = {band.name: 1.0 for band in bands}
    return weigh_evidence(stack, deposits, favourable=favourable, **options)


@pytest.mark.parametrize("method", ["ascending", "descending", "categorical"])
def test_ground_without_a_deposit_is_never_favourable(method):
    """One cell of a million without a deposit: corrected by half a deposit, it has the largest
    contrast of all.
    """
    rng = np.random.default_rng(0)
    cells = rng.integers(2, 20, 1_000_000).astype(float)
    points = np.repeat([9.0, 10.0, 11.0], 8)
    cells[0] = {"ascending": 0, "descending": 50}.get(method, 50)
    table = weights_table(cells, points, method)
    rarest = table.loc[table["area"].idxmin()]
    assert rarest["points"] == 0
    assert rarest["studentised"] > 4
    chosen = best_pattern("band", method, table).favourable
    inside = {
        "ascending": lambda v: v <= chosen, "descending": lambda v: v >= chosen, "categorical": lambda v: v in chosen,
    }[method]  # fmt: skip
    assert not (method == "categorical" and inside(cells[0]))
    assert sum(inside(value) for value in points) >= 16


def test_the_posterior_of_independent_bands_is_the_share_of_deposits():
    ore, first, second = independent_case()
    found = weigh(ore, first, second)
    posterior = found.posterior.sel(band="posterior").values
    for a in (False, True):
        for b in (False, True):
            ground = (first == a) & (second == b)
            assert posterior[ground][0] == pytest.approx(ore[ground].mean(), abs=4 * 0.005)
    assert found.independence["ratio"] == pytest.approx(1, abs=0.02)
    assert found.independence["p"] > 0.05


def test_one_band_expects_exactly_its_deposits_and_a_copy_too_many():
    ore, first, _ = independent_case(deposits=400)
    alone = weigh(ore, first).independence
    assert alone["expected"] == pytest.approx(400)
    assert (alone["z"], alone["p"]) == pytest.approx((0, 0.5), abs=1e-6)
    twice = weigh(ore, first, first).independence
    assert twice["ratio"] < 0.85
    assert twice["p"] < alone["p"]


def test_the_independence_test_is_the_sum_over_conditions():
    found = independence_test(np.array([0.1, 0.4]), np.array([0.02, 0.1]), np.array([50, 10]), 8)
    assert found["expected"] == pytest.approx(9)
    assert found["z"] == pytest.approx(1 / math.hypot(50 * 0.02, 10 * 0.1))


def test_a_missing_band_leaves_the_odds_and_widens_the_error():
    ore, first, second = independent_case()
    gaps = second.astype(float)
    gaps[:, 150:] = np.nan
    found = weigh(ore, first, gaps)
    posterior, _, missing = found.posterior.values
    rows, cols = np.nonzero(first[:, 150:])
    inside = posterior[rows[0], 150 + cols[0]]
    one, two = found.patterns
    assert inside == pytest.approx(expit(logit(found.prior) + one.w_plus), rel=1e-5)
    share = two.area / ore.size
    branches = [
        expit(logit(found.prior) + one.w_plus + weight) for weight in (two.w_plus, two.w_minus)
    ]
    expected = math.sqrt(
        share * (branches[0] - inside) ** 2 + (1 - share) * (branches[1] - inside) ** 2
    )
    assert missing[rows[0], 150 + cols[0]] == pytest.approx(expected, rel=1e-4)
    assert (missing[:, :150] == 0).all()
    known = np.isfinite(gaps)
    assert two.area == (gaps[known] == 1).sum()
    assert two.points == (ore & (gaps == 1)).sum()


def test_nodata_around_the_map_changes_nothing():
    ore, first, _ = independent_case()
    wide = np.full((200, 400), np.nan)
    wide[:, :200] = first
    around = np.zeros((200, 400), bool)
    around[:, :200] = ore
    alone, beside = weigh(ore, first), weigh(around, wide)
    assert alone.prior == beside.prior
    np.testing.assert_array_equal(beside.posterior.values[:, :, :200], alone.posterior.values)
    assert np.isnan(beside.posterior.values[:, :, 200:]).all()


def test_on_a_stack_the_bands_get_their_methods_and_the_halo_is_found():
    grid = make_grid(60, 60)
    ore = scattered_cells(grid, 30, 0)
    found = weigh_evidence(make_stack(grid, 0, ore=ore), points_in(grid, *ore))
    summary = found.summary().set_index("band")
    assert summary["method"].to_dict() == {
        "Au": "descending", "Cu": "descending", "geology": "categorical", "fault_distance": "ascending",
    }  # fmt: skip
    assert summary["contrast"].idxmax() == "Au"
    assert summary.loc["Au", "favourable"].startswith(">= ")
    assert list(found.tables) == list(summary.index)


def test_what_makes_no_sense_is_refused():
    grid = make_grid(20, 20)
    stack, deposits = make_stack(grid), points_in(grid, [1, 5], [1, 5])
    with pytest.raises(
        UsageError,
        match=r'methods: the stack has no band "fault_dist"\. Did you mean "fault_distance"',
    ):
        weigh_evidence(stack, deposits, methods={"fault_dist": "ascending"})
    with pytest.raises(UsageError, match='method "up" is unknown'):
        weigh_evidence(stack, deposits, methods={"Au": "up"})
    with pytest.raises(UsageError, match="needs a threshold"):
        weigh_evidence(stack, deposits, favourable={"Au": "high"})
    with pytest.raises(UsageError, match="unit_area = 0"):
        weigh_evidence(stack, deposits, unit_area=0)
    with pytest.raises(DataError, match="smaller unit of area"):
        weigh_evidence(stack, deposits, unit_area=10)
    with pytest.raises(DataError, match="no deposit lies on valid ground"):
        weigh_evidence(stack, points_in(grid, [100], [100]))
    with pytest.raises(DataError, match="no CRS"):
        weigh_evidence(stack, deposits.set_crs(None, allow_override=True))
