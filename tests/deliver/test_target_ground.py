"""The ground of targets: as much as asked for, split at saddles, never overlapping, by rules that a
slow search confirms.
"""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from builders import make_grid, points_in, scattered_cells, smooth_noise
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import label

from geomfaf.deliver.target_ground import (
    OUTLINE,
    SLACK,
    DepositDistances,
    GroundRules,
    _number,
    _place,
    _saddles,
    best_ground,
    cells_inside,
    known_and_new_ground,
    outlines,
    pieces_of,
    sized_rules,
    split_giants,
)
from geomfaf.errors import DataError, UsageError

GRID = make_grid(90, 110)


def rules(window=4, wanted=500.0, most=60.0, least=10.0, known_distance=0.0) -> GroundRules:
    return GroundRules(window, wanted, most, least, known_distance)


def large_pieces(ground: np.ndarray, least: float) -> np.ndarray:
    """The cells of large pieces, by another library."""
    labels = label(ground, connectivity=1)
    sizes = np.bincount(labels.ravel())
    return (labels > 0) & (sizes[labels] >= least)


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 12))
@settings(max_examples=40)
def test_the_threshold_is_the_lowest_that_a_slow_search_finds(seed, wanted, least):
    score = np.round(smooth_noise((12, 13), seed, 1.0), 1)
    score[:2, :3] = np.nan
    allowed = np.ones(score.shape, bool)
    allowed[6:8, 5:9] = False
    labels, threshold = best_ground(score, allowed, wanted, least)
    levels = np.unique(score[allowed & np.isfinite(score)])
    fits = [v for v in levels if large_pieces(allowed & (score >= v), least).sum() <= wanted]
    assert threshold == (min(fits) if fits else levels[-1])
    kept = large_pieces(allowed & (score >= threshold), least)
    # Only holes too small to be shapes are added to it.
    assert (labels > 0)[kept].all()
    assert not (labels > 0)[~allowed | np.isnan(score)].any()


def test_holes_of_a_few_cells_are_filled_and_others_stay():
    score = np.zeros((40, 40))
    score[5:35, 5:35] = 1
    score[10:13, 10:13] = 0
    score[20:26, 20:26] = 0
    labels, _ = best_ground(score, np.ones(score.shape, bool), 900, 1)
    assert (labels[10:13, 10:13] == 1).all()
    assert (labels[20:26, 20:26] == 0).all()


def test_ground_that_touches_at_a_corner_is_two_pieces():
    ground = np.zeros((10, 10), bool)
    ground[2:5, 2:5] = True
    ground[5:8, 5:8] = True
    assert pieces_of(ground, 1).max() == 2
    assert pieces_of(ground, 10).max() == 0


def two_summits(saddle: float) -> np.ndarray:
    """A ridge along row 10 with summits of 1 in columns 8 and 30 and a saddle between them."""
    along = np.interp(np.arange(40), [0, 8, 19, 30, 39], [0.2, 1.0, saddle, 1.0, 0.2])
    across = np.interp(np.abs(np.arange(21) - 10), [0, 10], [1.0, 0.6])
    return across[:, None] * along[None, :]


def test_a_giant_is_split_at_the_saddle():
    score = two_summits(0.5)
    whole = np.ones(score.shape, np.int32)
    parts = split_giants(score, whole, rules(most=500))
    assert parts.max() == 2
    border = np.flatnonzero(np.diff(parts[10]))
    assert border.tolist() == pytest.approx([18.5], abs=1)


def test_a_saddle_that_is_hardly_lower_parts_nothing_and_a_small_piece_stays_whole():
    whole = np.ones((21, 40), np.int32)
    assert split_giants(two_summits(0.99), whole, rules(most=700)).max() == 1
    assert split_giants(two_summits(0.99), whole, rules(most=500)).max() == 2  # beyond the slack
    assert split_giants(two_summits(0.5), whole, rules(most=840)).max() == 1


@pytest.mark.parametrize("seed", range(4))
def test_parts_are_the_same_ground_connected_and_of_bounded_size(seed):
    score = smooth_noise(GRID.shape, seed, 4.0)
    labels = pieces_of(score > 0, 10)
    chosen = rules(most=150, least=20)
    parts = split_giants(score, labels, chosen)
    np.testing.assert_array_equal(parts > 0, labels > 0)
    sizes = np.bincount(parts.ravel())[1:]
    assert sizes.max() <= SLACK * chosen.most + chosen.least
    assert sizes[sizes < chosen.least].size == (np.bincount(labels.ravel())[1:] < 20).sum()
    for part in range(1, parts.max() + 1):
        assert ndimage.label(parts == part)[1] == 1
        assert len(np.unique(labels[parts == part])) == 1
    np.testing.assert_array_equal(parts, split_giants(score, labels, chosen))


def test_ground_that_scores_alike_everywhere_is_cut_into_even_parts():
    parts = split_giants(np.ones((60, 60)), np.ones((60, 60), np.int32), rules(most=400))
    sizes = np.bincount(parts.ravel())[1:]
    assert len(sizes) >= 6
    assert sizes.max() <= SLACK * 400


def test_saddles_are_those_of_a_slow_search():
    height = smooth_noise((15, 17), 3, 2.0)
    basins = np.zeros(height.shape, np.int32)
    basins[:, :6] = 1
    basins[:7, 6:] = 2
    basins[8:, 6:] = 3
    expected: dict[tuple[int, int], float] = {}
    for row in range(15):
        for col in range(17):
            for other in ((row + 1, col), (row, col + 1)):
                if other[0] < 15 and other[1] < 17:
                    pair = tuple(sorted((basins[row, col], basins[other])))
                    if pair[0] > 0 and pair[0] != pair[1]:
                        low = min(height[row, col], height[other])
                        expected[pair] = max(low, expected.get(pair, -np.inf))
    found = _saddles(basins, height)
    assert {(one, other): value for value, one, other in found} == expected
    assert [value for value, _, _ in found] == sorted(expected.values(), reverse=True)


@pytest.mark.parametrize("seed", range(6))
def test_outlines_never_overlap_and_keep_the_area(seed):
    score = smooth_noise(GRID.shape, seed, 3.0)
    labels = split_giants(score, pieces_of(score > 0.3, 16), rules(most=120, least=16))
    numbers, polygons = outlines(labels, GRID)
    assert numbers.tolist() == list(range(1, labels.max() + 1))
    assert shapely.is_valid(polygons).all()
    assert (shapely.get_type_id(polygons) == shapely.GeometryType.POLYGON).all()
    assert shapely.union_all(polygons).area == pytest.approx(shapely.area(polygons).sum(), rel=1e-9)
    sizes = np.bincount(labels.ravel())[1:] * GRID.cell_area
    np.testing.assert_allclose(shapely.area(polygons), sizes, rtol=0.2)
    assert shapely.area(polygons).sum() == pytest.approx(sizes.sum(), rel=0.01)
    # No cell's centre farther inside or outside than the corners that may be cut changes sides.
    inside = cells_inside(polygons, GRID)
    deep = ndimage.binary_erosion(labels > 0, iterations=3) & (inside != labels)
    assert not (deep & (inside == 0)).any()
    far = ~ndimage.binary_dilation(labels > 0, iterations=3)
    assert not inside[far].any()


def test_outlines_have_fewer_corners_than_the_cells():
    labels = pieces_of(smooth_noise(GRID.shape, 1, 6.0) > 0.8, 16)
    _, polygons = outlines(labels, GRID)
    edges = np.count_nonzero(np.diff(np.pad(labels, 1), axis=0)) + np.count_nonzero(
        np.diff(np.pad(labels, 1), axis=1)
    )
    assert shapely.get_num_coordinates(polygons).sum() < edges / 4
    assert OUTLINE * GRID.cell < 2 * GRID.cell


def test_no_label_has_no_outline():
    numbers, polygons = outlines(np.zeros(GRID.shape, np.int32), GRID)
    assert len(numbers) == len(polygons) == 0
    assert not cells_inside(polygons, GRID).any()


@pytest.mark.parametrize("seed", range(5))
def test_new_ground_keeps_its_distance_and_takes_its_share(seed):
    score = smooth_noise(GRID.shape, seed, 3.0)
    deposits = points_in(GRID, *scattered_cells(GRID, 12, seed))
    away = DepositDistances(deposits, GRID)
    chosen = rules(wanted=600.0, least=16, known_distance=700.0)
    labels, explored, threshold = known_and_new_ground(score, away, GRID, chosen)
    numbers, polygons = outlines(labels, GRID)
    new = polygons[np.isin(numbers, explored)]
    assert shapely.distance(shapely.union_all(new), deposits.union_all()) >= 700
    taken = np.isin(labels, explored).sum()
    assert 0.7 * 600 < taken <= 600 * 1.1
    around = (labels > 0) & ~np.isin(labels, explored)
    assert np.median(score[around]) >= threshold
    assert around.sum() <= 600 * 1.1


@pytest.mark.parametrize("count", [1, 2, 30, 900])
def test_distances_to_the_nearest_deposit_are_those_of_geopandas(monkeypatch, count):
    monkeypatch.setattr("geomfaf.deliver.target_ground.TILES_AT_ONCE", 3)
    deposits = points_in(GRID, *scattered_cells(GRID, count, count))
    x, y = GRID.xy(*np.indices(GRID.shape))
    cells = gpd.GeoSeries(gpd.points_from_xy(x.ravel(), y.ravel(), crs=GRID.crs))
    expected = cells.distance(deposits.union_all()).to_numpy().reshape(GRID.shape)
    away = DepositDistances(deposits, GRID)
    valid = smooth_noise(GRID.shape, count) > 0
    median = np.median(expected[valid])
    for metres in (0.0, 100.0, 1234.5, median, expected.max()):
        np.testing.assert_array_equal(away.beyond(metres), expected >= metres - 1e-6)
        assert away.halfway(valid, metres) == pytest.approx(min(metres, median))
    assert away.halfway(valid, np.inf) == pytest.approx(median)


def test_without_a_deposit_all_ground_is_far_away():
    away = DepositDistances(points_in(GRID, [], []), GRID)
    assert away.beyond(1e9).all()
    assert away.halfway(np.ones(GRID.shape, bool), 700.0) == 700.0


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_order_of_numbers_goes_over_zero_and_back(kind):
    numbers = np.array([-np.inf, -3.5, -1e-30, -0.0, 0.0, 1e-30, 0.7, 2.0, np.inf], kind)
    places = [_place(number) for number in numbers]
    assert places == sorted(places)
    assert [_number(place, kind) for place in places] == numbers.tolist()


def test_ground_is_the_same_however_few_rows_are_worked_on_at_once(monkeypatch):
    score = smooth_noise(GRID.shape, 4, 1.5)
    score[:, 60:64] = np.nan
    away = DepositDistances(points_in(GRID, *scattered_cells(GRID, 12, 4)), GRID)
    chosen = rules(wanted=2500.0, least=16, known_distance=400.0)
    whole = known_and_new_ground(score, away, GRID, chosen)
    # Holes of a few cells lie across the borders of strips.
    monkeypatch.setattr("geomfaf.deliver.target_ground.ROWS", 3)
    parts = known_and_new_ground(score, away, GRID, chosen)
    np.testing.assert_array_equal(parts[0], whole[0])
    assert parts[2] == whole[2]


def test_rules_come_from_the_samples_and_the_window():
    score = np.zeros(GRID.shape)
    score[:, :10] = np.nan
    far = DepositDistances(points_in(GRID, [10_000], [10_000]), GRID)
    options = {"window": 16, "area_share": 0.2}
    bare = sized_rules(score, far, None, GRID, **options)
    assert (bare.known_distance, bare.least) == (800.0, 16.0)
    assert bare.wanted == pytest.approx(0.2 * 9000)
    assert bare.most == pytest.approx(180)
    # 100 samples on 90 km2, and ten more where there is no score: one sample has 0.9 km2.
    rows, cols = np.divmod(np.arange(100), 10)
    samples = points_in(GRID, [*(rows * 9), *range(10)], [*(cols * 10 + 10), *([3] * 10)])
    sampled = sized_rules(score, far, samples, GRID, **options)
    assert sampled.known_distance == pytest.approx(np.sqrt(0.9e6))
    assert sampled.least == pytest.approx(min(90, 180 / 4))
    everywhere = points_in(GRID, *np.divmod(np.arange(0, GRID.size, 7), GRID.width))
    near = sized_rules(score, DepositDistances(everywhere, GRID), samples, GRID, **options)
    # Half of the valid ground lies nearer to a deposit.
    centres = np.column_stack(GRID.xy(*np.nonzero(np.isfinite(score))))
    distances, _ = cKDTree(shapely.get_coordinates(everywhere.geometry)).query(centres)
    assert near.known_distance == pytest.approx(np.median(distances))
    assert 0 < near.known_distance < 300


@pytest.mark.parametrize("share", [0, 1, 5, -0.1])
def test_an_impossible_share_is_refused(share):
    away = DepositDistances(points_in(GRID, [], []), GRID)
    with pytest.raises(UsageError, match=f"area_share = {share}"):
        sized_rules(np.ones(GRID.shape), away, None, GRID, window=4, area_share=share)


def test_ground_without_a_score_is_refused():
    with pytest.raises(DataError, match="no cell of the raster has a score"):
        best_ground(np.full((3, 3), np.nan), np.ones((3, 3), bool), 4, 1)
