"""Detection limits and what replaces a censored value, against published examples and
closed forms.
"""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from geomfaf.errors import UsageError
from geomfaf.survey.cleaning.below_detection import (
    close_compositions,
    limit_for,
    looks_logarithmic,
    negatives_are_limits,
    ros,
    sentinels,
    settle_limits,
)
from geomfaf.survey.cleaning.element_columns import clean_values
from geomfaf.survey.cleaning.findings import CHANGES
from geomfaf.survey.cleaning.parse_numbers import ABOVE, BELOW, OK

POSITIVE = st.floats(1e-3, 1e4)

# Helsel and Cohn (1988), Water Resources Research 24:1997-2004, appendix B: two limits.
HELSEL_COHN = (
    [1.0] * 6 + [10.0] * 3 + [3.0, 7, 9, 12, 15, 20, 27, 33, 50],
    [True] * 9 + [False] * 9,
)
HELSEL_COHN_FILLED = [
    0.47,
    0.85,
    1.11,
    1.27,
    1.76,
    2.34,
    2.50,
    3.00,
    3.03,
    4.80,
    7,
    9,
    12,
    15,
    20,
    27,
    33,
    50,
]
# Arsenic in streams of Oahu: Helsel (2005), Nondetects and Data Analysis; three limits among
# measured values.
OAHU = (
    [
        3.2,
        2.8,
        2,
        2,
        2,
        2,
        2,
        2,
        2,
        2,
        1.7,
        1.5,
        1,
        1,
        1,
        1,
        0.9,
        0.9,
        0.7,
        0.7,
        0.6,
        0.5,
        0.5,
        0.5,
    ],
    [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0],
)
OAHU_FILLED = [
    3.20, 2.80, 1.42, 1.14, 0.95, 0.81, 0.68, 0.57, 0.46, 0.35, 1.70, 1.50, 0.98, 0.76, 0.58, 0.41, 0.90, 0.61, 0.70,
    0.70, 0.60, 0.50, 0.50, 0.50,
]  # fmt: skip


@pytest.mark.parametrize(
    ("example", "filled"),
    [(HELSEL_COHN, HELSEL_COHN_FILLED), (OAHU, OAHU_FILLED)],
    ids=["Helsel and Cohn", "Oahu"],
)
def test_ros_gives_the_published_values(example, filled):
    numbers, below = (np.array(part) for part in example)
    np.testing.assert_allclose(
        np.sort(ros(numbers, below.astype(bool))), np.sort(filled), atol=0.01
    )  # printed to two digits, cut off


def test_ros_with_one_limit_is_a_line_through_the_upper_quantiles():
    """Closed form: with one limit the positions are (1 - p) + p i / (A + 1), p the
    share measured.
    """
    measured = np.exp(np.linspace(0.5, 3, 12))
    numbers, below = np.r_[[1.5] * 8, measured], np.r_[np.ones(8, bool), np.zeros(12, bool)]
    upper = norm.ppf(8 / 20 + 12 / 20 * np.arange(1, 13) / 13)
    lower = norm.ppf(8 / 20 * np.arange(1, 9) / 9)
    slope, intercept = np.polyfit(upper, np.log(measured), 1)
    np.testing.assert_allclose(
        ros(numbers, below)[:8], np.exp(intercept + slope * lower), rtol=1e-12
    )


def test_ros_recovers_a_lognormal_population():
    rng = np.random.default_rng(3)
    true = rng.lognormal(1.0, 0.8, 4000)
    limits = rng.choice([1.0, 2.0, 3.0], 4000)
    below = true < limits
    filled = ros(np.where(below, limits, true), below)
    assert np.log(filled).mean() == pytest.approx(1.0, abs=0.05)
    assert np.log(filled).std() == pytest.approx(0.8, abs=0.05)


@given(st.lists(st.tuples(POSITIVE, st.booleans()), min_size=1, max_size=40))
def test_ros_keeps_measured_values_and_gives_positive_ones(pairs):
    numbers, below = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    try:
        filled = ros(numbers, below)
    except UsageError:
        assert len(np.unique(numbers[~below])) < 5 or below.mean() > 0.8
        return
    np.testing.assert_array_equal(filled[~below], numbers[~below])
    assert np.isfinite(filled).all()
    assert (filled > 0).all()


def test_ros_leaves_gaps_alone():
    numbers = np.r_[np.nan, 1.0, np.arange(2.0, 10)]
    filled = ros(numbers, np.r_[False, True, np.zeros(8, bool)])
    assert np.isnan(filled[0])
    assert 0 < filled[1] < 2


@given(
    st.lists(st.lists(POSITIVE, min_size=4, max_size=4), min_size=1, max_size=6),
    st.lists(st.booleans(), min_size=4),
)
def test_multiplicative_replacement_keeps_ratios_and_the_whole(rows, below):
    values = np.array(rows)
    mask = np.tile(np.array(below[:4]), (len(values), 1))
    measured = np.where(mask, 0, values)
    total = measured.sum(axis=1, keepdims=True) + 1.0
    replaced = np.where(mask, 1e-4, values)
    closed = close_compositions(replaced, mask, total)
    np.testing.assert_array_equal(closed[mask], 1e-4)
    # What was a whole with zeros is a whole with small values: measured parts and the rest give up
    # the same share.
    room = 1 - mask.sum(axis=1, keepdims=True) * 1e-4 / total
    np.testing.assert_allclose(np.where(mask, 0, closed), measured * room, rtol=1e-12)


def test_sentinels_by_rule_and_by_size():
    for values, codes, kept in (
        ([5, -999.25, 7], [0, 1, 0], [0, 0, 0]),
        ([5, np.inf, -np.inf, 1e31], [0, 1, 1, 1], [0, 0, 0, 0]),
        ([300, 9999, 9999], [0, 1, 1], [0, 0, 0]),  # 33 times the largest
        ([1000, 9999, 9999, 9999], [0, 1, 1, 1], [0] * 4),  # repeated and alone
        ([1000, 9999], [0, 0], [0, 1]),  # alone, once, ten times the largest: perhaps
        ([9000, 9999], [0, 0], [0, 0]),
        ([np.nan, 9999], [0, 0], [0, 0]),  # nothing to compare with
        ([-5, -9], [0, 0], [0, 0]),
    ):
        found = sentinels(np.array(values, float))
        assert [part.astype(int).tolist() for part in found] == [codes, kept]


def test_few_negatives_are_limits_and_many_are_not():
    rng = np.random.default_rng(0)
    assert negatives_are_limits(np.r_[rng.choice([-0.1, -0.5, -1, -2], 50), 5])
    assert not negatives_are_limits(np.r_[rng.normal(0, 1, 100)])
    assert looks_logarithmic(np.log10(rng.lognormal(0, 1, 100)))
    assert not looks_logarithmic(np.r_[rng.lognormal(3, 1, 100), -rng.random(20) * 0.01])
    assert not looks_logarithmic(rng.lognormal(3, 1, 100))


def test_unknown_limits_are_settled_by_what_is_known():
    nan = np.nan
    flags = np.array([BELOW, BELOW, OK, OK, ABOVE])
    np.testing.assert_array_equal(
        settle_limits(np.array([nan, 2.0, 5, 7, nan]), flags), [5, 2, 5, 7, 7]
    )
    np.testing.assert_array_equal(
        settle_limits(np.array([nan, 2.0, 5, 7, nan]), flags, 0.5), [0.5, 2, 5, 7, 7]
    )
    np.testing.assert_array_equal(settle_limits(np.array([nan, 2.0]), flags[:2]), [2, 2])
    np.testing.assert_array_equal(settle_limits(np.array([nan, nan]), flags[:2]), [nan, nan])


def test_a_limit_is_found_by_column_then_element_in_the_column_s_unit():
    limits = {"Au": (2.0, "ppb"), "Fe2O3": (0.1, "%"), "Cu_ppm": (5.0, "")}
    assert limit_for("Au_ppm", "ppm", limits) == pytest.approx(0.002)
    assert limit_for("Au", "ppb?", limits) == 2
    assert limit_for("Fe_pct", "%", limits) == pytest.approx(0.06994, rel=1e-4)
    assert limit_for("Cu_ppm", "ppm", limits) == 5
    assert limit_for("Zn_ppm", "ppm", limits) is None


@pytest.mark.parametrize("count", [1, 59, 60, 61, 130])
def test_each_row_says_what_was_changed_in_it_however_many_elements_there_are(count):
    rng = np.random.default_rng(count)
    names = [f"c{number}" for number in range(count)]
    cells = rng.choice(["12.5", "13", "<5", ">90", "x7"], (40, count), p=[0.5, 0.2, 0.1, 0.1, 0.1])
    cells[0] = "12.5"
    table = pd.DataFrame(cells, columns=names)
    places = gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(range(40), range(40)))
    changes = clean_values(places, dict.fromkeys(names, "ppm"), [])[0][CHANGES]
    # The same said row by row, as a person would.
    kinds = {"<": "below detection", ">": "above range", "x": "unreadable"}
    for row in range(40):
        parts = []
        for sign, kind in kinds.items():
            here = [name for name in names if table[name][row].startswith(sign)]
            parts += [f"{kind}: {', '.join(here)}"] if here else []
        assert changes[row] == "; ".join(parts)
