"""Windows with folds are made by one function, which gives what its parts give one by one."""

import geopandas as gpd
import numpy as np
import pytest
from builders import Case

from geomfaf.errors import UsageError
from geomfaf.windows.assembly import cut_windows, label_windows, make_windows
from geomfaf.windows.folds import fold_index, fold_number, spatial_folds
from geomfaf.windows.leak_proof import prove_leak_free
from geomfaf.windows.negatives import draw_windows
from geomfaf.windows.variogram import autocorrelation_range
from geomfaf.windows.windows import centred_windows, tiled_windows


@pytest.fixture(scope="module")
def case():
    return Case((120, 110), count=16)


def test_windows_made_at_once_are_those_made_step_by_step(case):
    ore = centred_windows(case.grid, 8, case.deposits, case.valid, negatives=0)
    reach = autocorrelation_range(case.stack, seed=3)
    folds = spatial_folds(ore, case.grid, case.valid, count=3, autocorrelation=reach, seed=3)
    table = draw_windows(ore, folds, case.stack, rule="geology", negatives=2, seed=3)
    made, cut = make_windows(
        case.stack, case.deposits, size=8, fold_count=3, rule="geology", negatives=2, seed=3
    )
    assert cut.same_split(folds)
    columns = ["row", "col", "label", "trains"]
    assert made[columns].equals(table[columns])
    assert (fold_index(made["fold"]) == folds.of_windows(table)).all()
    prove_leak_free(made, cut)


def test_deposits_in_degrees_give_the_windows_of_the_same_deposits_in_metres(case):
    metres = make_windows(case.stack, case.deposits, size=8, fold_count=3)[0]
    degrees = make_windows(case.stack, case.deposits.to_crs(4326), size=8, fold_count=3)[0]
    assert metres.drop(columns="geometry").equals(degrees.drop(columns="geometry"))


def test_tiles_are_the_same_in_every_draw_and_draws_of_barren_windows_differ(case):
    tiles, folds = cut_windows(case.deposits, case.grid, case.valid, kind="tiled", size=8)
    first, second = label_windows(tiles, folds, case.stack, draws=2)
    assert first.equals(second)
    assert len(first) == len(tiled_windows(case.grid, 8))
    ore, folds = cut_windows(case.deposits, case.grid, case.valid, size=8, fold_count=3)
    first, second = label_windows(ore, folds, case.stack, draws=2)
    barren = first["label"] == 0
    assert not first[barren][["row", "col"]].equals(second[second["label"] == 0][["row", "col"]])


def test_a_deposit_without_data_in_the_stack_has_no_window(case):
    ore, folds = cut_windows(case.deposits, case.grid, case.valid, size=8, fold_count=3)
    bare = case.stack.copy()
    row = int(ore["row"].iloc[0]) + 4
    col = int(ore["col"].iloc[0]) + 4
    bare[:, row, col] = np.nan
    (table,) = label_windows(ore, folds, bare)
    assert (table["label"] == 1).sum() == len(ore) - 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"kind": "round"}, "centred or tiled"), ({"strides": [4]}, "no meaning for centred")],
)
def test_what_windows_do_not_know_is_said(case, wrong, message):
    with pytest.raises(UsageError, match=message):
        cut_windows(case.deposits, case.grid, case.valid, size=8, **wrong)


def test_folds_count_from_one_for_people_alone(case):
    blocks: gpd.GeoDataFrame = case.folds.blocks()
    assert blocks["fold"].min() == fold_number(0) == 1
    assert blocks["fold"].max() == fold_number(case.folds.count - 1) == case.folds.count
