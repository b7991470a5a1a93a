"""Targets: as much ground as asked for, ranked, numbered, and described by what really
lies there.
"""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from builders import (
    LEGEND,
    box_of,
    make_grid,
    make_scores,
    make_stack,
    points_in,
    scattered_cells,
    smooth_noise,
)

from geomfaf.deliver.targets import TARGET_COLUMNS, make_cells, make_targets, placed_deposits
from geomfaf.errors import DataError, UsageError
from geomfaf.rasters.bands import Band, as_dataarray
from geomfaf.windows.windows import tiled_windows

GRID = make_grid(90, 110)
NO_DEPOSITS = points_in(GRID, [], [])


def smooth_scores(seed: int = 0, nodata: bool = True) -> np.ndarray:
    field = smooth_noise(GRID.shape, seed, 4.0)
    score = 1 / (1 + np.exp(-field))
    score = score.astype(np.float32)
    if nodata:
        score[:, :20] = np.nan
    return score


def two_hills() -> np.ndarray:
    """A broad hill of 0.9 around (20, 30), a smaller one of 0.8 around (60, 80), a speck
    of 0.95.
    """
    score = np.full(GRID.shape, 0.1, np.float32)
    score[15:25, 20:40] = 0.9
    score[55:63, 75:85] = 0.8
    score[80:82, 100:102] = 0.95
    return score


def cells_inside(polygon) -> np.ndarray:
    x, y = GRID.xy(*np.indices(GRID.shape))
    return shapely.contains_xy(polygon, x, y)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.3])
def test_targets_take_the_asked_share_of_the_valid_area(share):
    score = smooth_scores()
    targets = make_targets(make_scores(GRID, score), NO_DEPOSITS, area_share=share, min_cells=1)
    cells = targets["area_km2"].sum() * 1e6 / GRID.cell_area
    assert cells == pytest.approx(share * np.isfinite(score).sum(), abs=1.01)
    np.testing.assert_allclose(targets.area / 1e6, targets["area_km2"])


def test_targets_are_the_best_ground_and_nothing_else():
    score = smooth_scores(1)
    targets = make_targets(make_scores(GRID, score), NO_DEPOSITS, min_cells=1)
    inside = cells_inside(targets.union_all())
    assert score[inside].min() > np.nanmax(score[~inside])
    assert np.isfinite(score[inside]).all()


def test_polygons_do_not_overlap_and_number_themselves_by_mean_score():
    targets = make_targets(make_scores(GRID, smooth_scores(2)), NO_DEPOSITS, area_share=0.2)
    assert len(targets) > 3
    assert targets["number"].tolist() == list(range(1, len(targets) + 1))
    assert targets["mean_score"].is_monotonic_decreasing
    assert targets.area.sum() == pytest.approx(targets.union_all().area)
    assert targets.geometry.is_valid.all()


def test_figures_of_a_target_are_those_of_its_cells():
    layers = {
        "score": smooth_scores(3),
        "heldout_score": smooth_scores(4),
        "spread": smooth_scores(5),
        "vote_share": smooth_scores(6),
    }
    targets = make_targets(make_scores(GRID, **layers), NO_DEPOSITS, area_share=0.1)
    columns = {
        "mean_score": "score",
        "heldout_score": "heldout_score",
        "spread": "spread",
        "vote_share": "vote_share",
    }
    for target in targets.itertuples():
        inside = cells_inside(target.geometry)
        for column, layer in columns.items():
            assert getattr(target, column) == pytest.approx(layers[layer][inside].mean(), rel=1e-5)
        assert target.max_score == pytest.approx(layers["score"][inside].max())
        assert target.geometry.contains(shapely.Point(target.x, target.y))
    assert tuple(targets.columns) == (*TARGET_COLUMNS, "geometry")


def test_specks_are_left_out():
    scores = make_scores(GRID, two_hills())
    with_speck = make_targets(scores, NO_DEPOSITS, threshold=0.5, min_cells=4)
    without = make_targets(scores, NO_DEPOSITS, threshold=0.5)
    assert with_speck["mean_score"].tolist() == pytest.approx([0.95, 0.9, 0.8])
    assert without["mean_score"].tolist() == pytest.approx([0.9, 0.8])
    assert without["area_km2"].tolist() == pytest.approx([2.0, 0.8])
    assert without.geometry.iloc[0].equals(box_of(GRID, 15, 20, 10, 20))


def test_ground_that_touches_at_a_corner_is_two_targets():
    score = np.zeros(GRID.shape, np.float32)
    score[10:15, 10:15] = 0.9
    score[15:20, 15:20] = 0.8
    assert len(make_targets(make_scores(GRID, score), NO_DEPOSITS, threshold=0.5)) == 2


def test_a_hole_stays_a_hole():
    score = np.zeros(GRID.shape, np.float32)
    score[10:20, 10:20] = 0.9
    score[14:16, 14:16] = 0.1
    targets = make_targets(make_scores(GRID, score), NO_DEPOSITS, threshold=0.5)
    assert targets["area_km2"].tolist() == pytest.approx([0.96])
    assert len(targets.geometry.iloc[0].interiors) == 1


def test_known_targets_hold_deposits_and_new_ones_hold_none():
    deposits = points_in(GRID, [20, 16, 50, 81], [30, 21, 50, 101])
    targets = make_targets(make_scores(GRID, two_hills()), deposits, threshold=0.5)
    assert targets["deposits"].tolist() == [2, 0]
    assert targets["status"].tolist() == ["known", "new"]


def test_geology_is_the_commonest_class_on_the_target():
    score, stack = smooth_scores(7), make_stack(GRID, 3)
    classes = stack.sel(band="geology").values
    targets = make_targets(make_scores(GRID, score), NO_DEPOSITS, stack=stack, area_share=0.2)
    for target in targets.itertuples():
        counts = [(classes[cells_inside(target.geometry)] == number).sum() for number in LEGEND]
        assert target.geology == LEGEND[1 + int(np.argmax(counts))]
    assert set(targets["geology"]) == set(LEGEND.values())


def test_without_a_class_band_there_is_no_geology():
    scores, stack = make_scores(GRID, two_hills()), make_stack(GRID).sel(band=["Au", "Cu"])
    for evidence in (None, stack):
        assert set(make_targets(scores, NO_DEPOSITS, stack=evidence, threshold=0.5)["geology"]) == {
            ""
        }


def test_fault_distance_is_that_of_shapely():
    rng = np.random.default_rng(0)
    west, south, east, north = GRID.bounds
    ends = rng.uniform([west, south], [east, north], (6, 2, 2))
    lines = [shapely.LineString(pair) for pair in ends[:4]] + [
        shapely.MultiLineString(list(ends[4:]))
    ]
    faults = gpd.GeoDataFrame(geometry=lines, crs=GRID.crs)
    score = smooth_scores(8)
    targets = make_targets(make_scores(GRID, score), NO_DEPOSITS, faults=faults, area_share=0.1)
    best = shapely.points(targets["x"], targets["y"])
    np.testing.assert_allclose(
        targets["fault_distance_m"], [faults.distance(point).min() for point in best]
    )
    assert targets.geometry.contains(gpd.GeoSeries(best, crs=GRID.crs)).all()
    rows, cols = GRID.rowcol(targets["x"], targets["y"])
    np.testing.assert_allclose(score[rows, cols], targets["max_score"], rtol=1e-6)
    assert targets["fault_distance_m"].max() > 0
    none = make_targets(make_scores(GRID, two_hills()), NO_DEPOSITS, threshold=0.5)
    assert none["fault_distance_m"].isna().all()


def test_a_target_knows_how_far_the_nearest_deposit_is():
    deposits = points_in(GRID, *scattered_cells(GRID, 9, 3))
    targets = make_targets(make_scores(GRID, smooth_scores(8)), deposits, area_share=0.1)
    expected = [deposits.distance(polygon).min() for polygon in targets.geometry]
    np.testing.assert_allclose(targets["deposit_distance_m"], expected)
    assert ((targets["deposit_distance_m"] == 0) == (targets["status"] == "known")).all()
    alone = make_targets(make_scores(GRID, smooth_scores(8)), NO_DEPOSITS, area_share=0.1)
    assert alone["deposit_distance_m"].isna().all()


def test_a_stack_on_another_grid_is_refused():
    with pytest.raises(DataError, match="the stack is on another grid"):
        make_targets(
            make_scores(GRID, two_hills()),
            NO_DEPOSITS,
            stack=make_stack(make_grid(30, 40)),
            threshold=0.5,
        )


def test_deposits_learn_their_score_rank_and_target():
    score = smooth_scores(8)
    deposits = points_in(GRID, *scattered_cells(GRID, 9, 3)).assign(target="mine")
    scores = make_scores(GRID, score, heldout_score=smooth_scores(5))
    targets = make_targets(scores, deposits, area_share=0.1)
    placed = placed_deposits(scores, deposits, targets)
    heldout = scores.sel(band="heldout_score").values
    rows, cols = GRID.rowcol(deposits.geometry.x, deposits.geometry.y)
    np.testing.assert_allclose(placed["map_score"], score[rows, cols], rtol=1e-6)
    np.testing.assert_allclose(placed["map_heldout"], heldout[rows, cols])
    ground = heldout[np.isfinite(heldout)]
    expected = [
        100 * (ground >= v).mean() if np.isfinite(v) else np.nan for v in heldout[rows, cols]
    ]
    np.testing.assert_allclose(placed["best_percent"], expected)
    inside = [targets.loc[targets.contains(point), "number"].sum() for point in deposits.geometry]
    assert placed["target_"].tolist() == inside
    assert (placed["target"] == "mine").all()
    off = deposits.iloc[:1].translate(1e6)
    assert (
        placed_deposits(scores, gpd.GeoDataFrame(geometry=off), targets)["best_percent"]
        .isna()
        .all()
    )


def test_targets_by_vote_are_where_the_majority_votes_ore():
    votes = smooth_scores(9)
    targets = make_targets(
        make_scores(GRID, two_hills(), vote_share=votes), NO_DEPOSITS, by="vote", min_cells=1
    )
    np.testing.assert_array_equal(cells_inside(targets.union_all()), np.nan_to_num(votes) > 0.5)


def test_targets_by_threshold_are_above_it():
    score = smooth_scores(10)
    targets = make_targets(make_scores(GRID, score), NO_DEPOSITS, threshold=0.7, min_cells=1)
    np.testing.assert_array_equal(cells_inside(targets.union_all()), np.nan_to_num(score) > 0.7)


def test_nothing_above_the_threshold_is_an_empty_table_with_all_columns():
    deposits = points_in(GRID, [3], [3])
    faults = gpd.GeoDataFrame(geometry=[shapely.LineString([(0, 0), (1, 1)])], crs=GRID.crs)
    targets = make_targets(
        make_scores(GRID, two_hills()),
        deposits,
        threshold=0.99,
        stack=make_stack(GRID),
        faults=faults,
    )
    assert len(targets) == 0
    assert tuple(targets.columns) == (*TARGET_COLUMNS, "geometry")


def test_without_held_out_scores_targets_and_cells_have_none():
    scores = make_scores(GRID, two_hills(), heldout_score=np.full(GRID.shape, np.nan))
    assert make_targets(scores, NO_DEPOSITS, threshold=0.5)["heldout_score"].isna().all()
    cells = make_cells(scores, 16, NO_DEPOSITS)
    assert cells["heldout_score"].isna().all()
    assert cells["score"].notna().all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "rank"}, 'by "rank" are unknown'),
        ({"area_share": 5}, "area_share = 5"),
        ({"area_share": 0}, "between 0"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        make_targets(make_scores(GRID, two_hills()), NO_DEPOSITS, **options)


def test_a_map_without_scores_is_refused():
    with pytest.raises(DataError, match="no cell of the raster has a score"):
        make_targets(make_scores(GRID, np.full(GRID.shape, np.nan)), NO_DEPOSITS)
    with pytest.raises(UsageError, match='no band "score"'):
        make_targets(as_dataarray(np.ones((1, *GRID.shape)), GRID, [Band("Au")]), NO_DEPOSITS)


@pytest.mark.parametrize("size", [8, 16])
def test_cells_are_the_tiled_windows_with_the_means_of_their_ground(size):
    layers = {
        "score": smooth_scores(3),
        "heldout_score": smooth_scores(4),
        "spread": smooth_scores(5),
        "vote_share": smooth_scores(6),
    }
    deposits = points_in(GRID, *scattered_cells(GRID, 20, 1))
    cells = make_cells(make_scores(GRID, **layers), size, deposits)
    windows = tiled_windows(GRID, size, deposits=deposits, valid=np.isfinite(layers["score"]))
    assert cells["number"].tolist() == windows["number"].tolist()
    assert len(cells) < len(tiled_windows(GRID, size))
    assert (cells.geometry.to_numpy() == windows.geometry.to_numpy()).all()
    for window, cell in zip(windows.itertuples(), cells.itertuples(), strict=True):
        for name, layer in layers.items():
            part = layer[window.row : window.row + size, window.col : window.col + size]
            assert getattr(cell, name) == pytest.approx(np.nanmean(part), rel=1e-5)
        assert cell.deposits == sum(cell.geometry.contains(point) for point in deposits.geometry)


def test_a_cell_is_known_missed_new_or_nothing():
    votes = np.zeros(GRID.shape)
    votes[:32, :] = 0.6
    votes[0:16, 0:16] = 0.5
    cells = make_cells(
        make_scores(GRID, two_hills(), vote_share=votes), 16, points_in(GRID, [20, 60], [5, 5])
    )
    status = cells.set_index("number")["status"]
    assert (status[2], status[8], status[22], status[1]) == ("new", "known", "missed", "")
    assert cells.loc[cells["number"] == 1, "vote"].item() == 0  # a tie is no majority
    assert cells["vote"].sum() == 13
