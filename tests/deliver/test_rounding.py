"""Numbers of results carry the digits of their unit, on disk too, and nothing of the user's changes."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_folders import UTM, small_grid, smooth

from geomfaf.deliver.rounding import DECIMALS, DIGITS, rounded, significant
from geomfaf.deliver.targets import TARGET_COLUMNS, make_targets, target_layers
from geomfaf.files import write_table
from geomfaf.rasters.bands import Band, as_dataarray


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 8))
def test_significant_digits_are_those_of_numpys_printer(value, digits):
    expected = float(np.format_float_scientific(value, precision=digits - 1, unique=False))
    assert significant(value, digits) == expected


def test_what_is_no_measured_number_stays_as_it_is():
    frame = pd.DataFrame({"rank": [1], "x": [500012.345678], "Au_ppb": [1 / 3], "why": ["High."]})
    frame.attrs["known_distance"] = 707.1
    found = rounded(frame)
    assert found.iloc[0].tolist() == [1, 500012.35, 1 / 3, "High."]
    assert found.attrs == {"known_distance": 707.1}
    assert frame["x"][0] == 500012.345678


@pytest.fixture(scope="module")
def layers():
    """Every layer of targets.gpkg for a map whose numbers have all the digits of a float."""
    grid = small_grid()
    score = smooth(7) - smooth(7).min()
    names = ("score", "heldout_score", "spread", "vote_share")
    bands = [Band(name, "score", "", name) for name in names]
    scores = as_dataarray(np.stack([score / score.max()] * 4), grid, bands)
    points = gpd.points_from_xy([501_000, 503_500], [5_995_500, 5_998_000])
    deposits = gpd.GeoDataFrame({"best_percent": [1 / 3] * 2}, geometry=points, crs=UTM)
    targets = make_targets(scores, deposits, known_distance=500.0, size=5)
    return target_layers(targets, scores, deposits, size=5)


def test_stored_layers_are_rounded(layers):
    assert len(layers["targets"]) > 2
    for name in ("targets", "cells"):
        for column in layers[name].select_dtypes("float"):
            assert column in DECIMALS or column in DIGITS, f"{name}.{column} is stored unrounded"
            written = [f"{value:.12g}" for value in layers[name][column].dropna()]
            places = max((len(text.partition(".")[2]) for text in written), default=0)
            assert places <= DECIMALS.get(column, 9), f"{name}.{column}"


def test_a_column_of_the_user_keeps_its_digits(layers):
    deposits = layers["deposits"]
    assert deposits["best_percent"].tolist() == [1 / 3] * 2
    assert deposits["best_percent_"].tolist() == deposits["best_percent_"].round(2).tolist()
    assert deposits["map_score"].tolist() == deposits["map_score"].round(4).tolist()


def test_longitude_keeps_its_decimetres_in_the_table(layers, tmp_path):
    rows = layers["targets"].drop(columns="geometry")
    back = pd.read_csv(write_table(rows, tmp_path / "targets.csv", digits=10))
    assert back["lon"].tolist() == rows["lon"].tolist()
    assert back["lat"].tolist() == rows["lat"].tolist()
    assert list(back.columns) == list(TARGET_COLUMNS)
