"""Screening against scikit-learn, against the paper's Table 2 and against answers that
are obvious.
"""

import geopandas as gpd
import numpy as np
import pytest
from builders import Case
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from geomfaf.errors import DataError, UsageError
from geomfaf.rasters.bands import Band, as_dataarray
from geomfaf.windows.screen import (
    CRITICAL_ZAUC,
    auc_standard_error,
    default_radius,
    near_deposits,
    rank_auc,
    screen_bands,
    screen_elements,
    zauc,
)

UTM = 32633
TABLE_2 = {
    "Au": (0.6024, 2.8395), "B": (0.5901, 2.4839), "Sn": (0.6065, 2.9595), "Cu": (0.6311, 3.6977),
    "Ag": (0.6762, 5.1563), "Ba": (0.6147, 3.2020), "Mn": (0.5573, 1.5617), "Pb": (0.5778, 2.1341),
    "Zn": (0.5450, 1.2232), "As": (0.5655, 1.7893), "Sb": (0.5942, 2.6017), "Bi": (0.5901, 2.4839),
    "Hg": (0.6393, 3.9516), "Mo": (0.5983, 2.7203), "W": (0.5778, 2.1341), "F": (0.5696, 1.9037),
}  # fmt: skip
N_ORE, N_BARREN = 121, 124


def points(x, y, **columns):
    return gpd.GeoDataFrame(geometry=gpd.points_from_xy(x, y), crs=UTM).assign(**columns)


def survey_of_two_groups(count=200, seed=0, **columns):
    """Half of the samples within 100 m of the one deposit, half of them 10 km away; columns of
    (samples,) values.
    """
    rng = np.random.default_rng(seed)
    x = np.where(np.arange(count) % 2 == 0, 0, 10_000) + rng.uniform(-50, 50, count)
    return points(x, rng.uniform(-50, 50, count), **columns), points([0], [0])


def is_ore(count=200):
    return np.arange(count) % 2 == 0


# --- the statistics
# --------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.integers(-5, 5) | st.floats(-1e6, 1e6), st.booleans()), min_size=2, max_size=60
    )
)
def test_the_auc_by_ranks_is_that_of_scikit_learn(pairs):
    scores, ore = (np.array(values) for values in zip(*pairs, strict=True))
    if ore.all() or not ore.any():
        assert np.isnan(rank_auc(scores, ore))
    else:
        assert rank_auc(scores, ore) == pytest.approx(roc_auc_score(ore, scores), abs=1e-12)


@pytest.mark.parametrize("element", TABLE_2)
def test_zauc_is_that_of_the_papers_table_2(element):
    auc, published = TABLE_2[element]
    assert zauc(auc, N_ORE, N_BARREN) == pytest.approx(published, abs=0.002)


def test_the_papers_threshold_keeps_the_papers_eight_elements():
    kept = {
        element
        for element, (auc, _) in TABLE_2.items()
        if zauc(auc, N_ORE, N_BARREN) > CRITICAL_ZAUC
    }
    assert kept == {"Ag", "Au", "Sn", "Cu", "Ba", "Sb", "Hg", "Mo"}
    assert pytest.approx(norm.ppf(1 - 0.01 / 2), abs=0.005) == CRITICAL_ZAUC


def test_the_standard_error_is_the_spread_of_repeated_surveys():
    # Exponential scores, for which the formula of Hanley and McNeil is exact.
    rng = np.random.default_rng(0)
    ore, rate = np.arange(80) < 30, 2.0
    aucs = [rank_auc(rng.exponential(np.where(ore, rate, 1.0)), ore) for _ in range(3000)]
    true_auc = rate / (1 + rate)
    assert np.mean(aucs) == pytest.approx(true_auc, abs=0.005)
    assert np.std(aucs) == pytest.approx(auc_standard_error(true_auc, 30, 50), rel=0.05)


def test_perfect_separation_is_infinitely_sure():
    assert zauc(1.0, 10, 10) == np.inf
    assert zauc(0.5, 10, 10) == 0
    assert zauc(0.4, 50, 50) < 0


# --- the table
# -------------------------------------------------------------------------------------------------------


def test_signal_noise_and_depletion_are_told_apart_best_first():
    rng = np.random.default_rng(1)
    noise, ore = rng.lognormal(0, 1, (3, 200)), is_ore()
    samples, deposits = survey_of_two_groups(
        noise=noise[0], halo=noise[1] * np.where(ore, 4, 1), depleted=noise[2] / np.where(ore, 4, 1)
    )
    table = screen_elements(samples, deposits, ["noise", "depleted", "halo"], radius=500)
    assert table["element"].tolist() == ["halo", "noise", "depleted"]
    assert table["kept"].tolist() == [True, False, False]
    assert table["n_ore"].tolist() == table["n_barren"].tolist() == [100] * 3
    for row in table.itertuples():
        assert row.auc == pytest.approx(roc_auc_score(ore, samples[row.element]))
        assert row.zauc == pytest.approx((row.auc - 0.5) / auc_standard_error(row.auc, 100, 100))
        assert row.p == pytest.approx(2 * (1 - norm.cdf(abs(row.zauc))))
        assert row.auc_low < row.auc < row.auc_high
        assert row.auc_high - row.auc == pytest.approx(
            1.96 * auc_standard_error(row.auc, 100, 100), rel=1e-3
        )
    assert table.attrs["radius"] == 500


def test_the_interval_stays_between_zero_and_one():
    samples, deposits = survey_of_two_groups(
        20, high=np.where(is_ore(20), 2.0, 1.0) + np.arange(20) % 3 * 0.4
    )
    row = screen_elements(samples, deposits, ["high"], radius=500).iloc[0]
    assert 0 <= row["auc_low"] <= row["auc"] <= row["auc_high"] == 1


def test_missing_values_leave_both_groups_by_their_own_number():
    values = np.arange(200.0)
    values[:30] = np.nan  # 15 of each group
    values[31:51:2] = np.nan  # 10 more of the barren ones
    samples, deposits = survey_of_two_groups(Cu=values)
    row = screen_elements(samples, deposits, ["Cu"], radius=500).iloc[0]
    assert (row["n_ore"], row["n_barren"]) == (85, 75)
    known = np.isfinite(values)
    assert row["auc"] == pytest.approx(roc_auc_score(is_ore()[known], values[known]))


def test_groups_of_less_than_five_say_nothing():
    samples, deposits = survey_of_two_groups(
        40, rare=np.where(np.arange(40) < 8, 5.0, np.nan), Cu=np.arange(40.0)
    )
    table = screen_elements(samples, deposits, ["rare", "Cu"], radius=500)
    assert table["element"].tolist() == ["Cu", "rare"]
    rare = table.iloc[1]
    assert (rare["n_ore"], rare["n_barren"], rare["kept"]) == (4, 4, False)
    assert np.isnan(rare[["auc", "zauc", "p", "auc_low", "auc_high"]].astype(float)).all()


def test_a_lower_threshold_keeps_more():
    values = np.random.default_rng(5).normal(0, 1, 200) + np.where(is_ore(), 0.25, 0)
    samples, deposits = survey_of_two_groups(Cu=values)
    z = screen_elements(samples, deposits, ["Cu"], radius=500)["zauc"][0]
    assert screen_elements(samples, deposits, ["Cu"], radius=500, critical=z - 0.01)["kept"][0]
    assert not screen_elements(samples, deposits, ["Cu"], radius=500, critical=z + 0.01)["kept"][0]


# --- the paper's support-vector AUC
# ----------------------------------------------------------------------------------


def test_the_svm_finds_an_element_that_is_high_in_both_directions():
    rng = np.random.default_rng(2)
    logs = np.where(
        is_ore(), rng.normal(0, 0.2, 200), rng.choice([-2, 2], 200) + rng.normal(0, 0.2, 200)
    )
    samples, deposits = survey_of_two_groups(Cu=10**logs)
    by_rank = screen_elements(samples, deposits, ["Cu"], radius=500).iloc[0]
    by_svm = screen_elements(samples, deposits, ["Cu"], radius=500, method="svm").iloc[0]
    assert abs(by_rank["auc"] - 0.5) < 0.15
    assert by_svm["auc"] > 0.95
    assert by_svm["kept"]
    assert (by_svm["n_ore"], by_svm["n_barren"]) == (100, 100)


def test_the_svm_is_scored_out_of_fold_so_that_noise_stays_near_one_half():
    rng = np.random.default_rng(3)
    names = [f"noise{i}" for i in range(40)]
    samples, deposits = survey_of_two_groups(
        100, **{name: rng.lognormal(0, 1, 100) for name in names}
    )
    table = screen_elements(samples, deposits, names, radius=500, method="svm")
    assert abs(table["auc"].mean() - 0.5) < 0.04
    assert table["kept"].sum() <= 2


def test_the_svm_does_not_depend_on_the_unit_and_repeats_with_its_seed():
    rng = np.random.default_rng(4)
    values = rng.lognormal(0, 1, 200) * np.where(is_ore(), 2, 1)
    samples, deposits = survey_of_two_groups(ppm=values, ppb=1000 * values)
    options = {"radius": 500, "method": "svm", "seed": 7}
    table = screen_elements(samples, deposits, ["ppm", "ppb"], **options)
    assert table["auc"][0] == pytest.approx(table["auc"][1], abs=1e-6)
    assert table["auc"][0] > 0.6
    assert table.equals(screen_elements(samples, deposits, ["ppm", "ppb"], **options))


# --- who is "ore"
# ----------------------------------------------------------------------------------------------------


def test_the_radius_counts_its_own_edge_and_the_nearest_of_all_deposits():
    samples = points([0, 100, 101, 950, 5000], [0] * 5)
    deposits = points([0, 1000], [0, 0])
    assert near_deposits(samples, deposits, 100).tolist() == [True, True, False, True, False]


def test_the_default_radius_is_the_mean_spacing_of_the_samples():
    x, y = np.meshgrid(np.arange(21) * 1000.0, np.arange(21) * 1000.0)
    samples = points(x.ravel(), y.ravel(), Cu=np.arange(441.0))
    assert default_radius(samples) == pytest.approx(1000, rel=0.06)
    deposits = points([10_000], [10_000])
    assert screen_elements(samples, deposits, ["Cu"]).attrs["radius"] == default_radius(samples)


def test_samples_on_one_line_still_have_a_radius():
    assert default_radius(points([0, 10, 20], [0, 0, 0])) == 1000


# --- what is refused
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "forest"}, 'screening method "forest" is unknown: use one of rank, svm'),
        ({"radius": 0}, "radius 0 must be a positive number of metres"),
        ({"radius": np.nan}, "radius nan must be"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    samples, deposits = survey_of_two_groups(Cu=1.0)
    with pytest.raises(UsageError, match=message):
        screen_elements(samples, deposits, ["Cu"], **options)


def test_a_missing_column_is_refused_with_the_nearest_name():
    samples, deposits = survey_of_two_groups(Cu_ppm=1.0)
    with pytest.raises(UsageError, match=r'no element column "Cu_pm"\. Did you mean "Cu_ppm"\?'):
        screen_elements(samples, deposits, ["Cu_pm"])


def test_screening_needs_deposits_and_one_metric_crs():
    samples, deposits = survey_of_two_groups(Cu=1.0)
    with pytest.raises(DataError, match="screening needs deposits: none lie inside"):
        screen_elements(samples, deposits.iloc[:0], ["Cu"])
    with pytest.raises(
        DataError, match=r"samples \(CRS EPSG:32633\) and deposits \(CRS EPSG:4326\) need one CRS"
    ):
        screen_elements(samples, deposits.to_crs(4326), ["Cu"])
    with pytest.raises(DataError, match="WGS 84 is geographic"):
        screen_elements(samples.to_crs(4326), deposits.to_crs(4326), ["Cu"])


# --- bands that nobody sampled


def band_case(sign=1.0):
    """A band that is high (or low) at the deposits, one that knows nothing, and one that is empty."""
    case = Case((120, 110), count=30)
    ore = case.stack.sel(band="Au").values
    noise = np.random.default_rng(0).normal(size=case.grid.shape)
    bands = [Band(name, "continuous") for name in ("field", "noise", "empty")]
    values = np.stack([sign * np.log(ore), noise, np.full(case.grid.shape, np.nan)])
    return case, as_dataarray(values, case.grid, bands)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_band_is_kept_for_high_and_for_low_values_at_deposits(sign):
    case, stack = band_case(sign)
    table = screen_bands(stack, case.deposits, ["field", "noise", "empty"], radius=300.0)
    kept = table.set_index("element")["kept"]
    assert kept["field"]
    assert not kept["noise"]
    assert not kept["empty"]
    auc = table.set_index("element").loc["field", "auc"]
    assert (auc > 0.5) == (sign > 0)


def test_ground_that_may_not_be_looked_at_has_no_say_in_the_screening():
    case, stack = band_case()
    where = np.zeros(case.grid.shape, bool)
    where[:, :70] = True
    before = screen_bands(stack, case.deposits, ["field"], radius=300.0, where=where)
    changed = stack.copy()
    changed.values[:, ~where] = 99.0
    after = screen_bands(changed, case.deposits, ["field"], radius=300.0, where=where)
    assert before.equals(after)
    whole = screen_bands(stack, case.deposits, ["field"], radius=300.0)
    assert whole["n_barren"].iloc[0] > before["n_barren"].iloc[0]
