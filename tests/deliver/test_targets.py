"""Targets: two ranked lists, described by what really lies there, in any CRS; cells that agree."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from builders import (
    LEGEND,
    make_grid,
    make_scores,
    make_stack,
    points_in,
    scattered_cells,
    smooth_noise,
)
from scipy.stats import percentileofscore

from geomfaf.deliver.layers import write_layers
from geomfaf.deliver.target_reasons import ELEMENT_COLUMNS, NONE_HIGH, chord_azimuth, element_texts
from geomfaf.deliver.target_sentences import why_sentence
from geomfaf.deliver.targets import (
    TARGET_COLUMNS,
    make_cells,
    make_targets,
    placed_deposits,
    target_layers,
)
from geomfaf.errors import DataError, UsageError
from geomfaf.rasters.bands import Band, as_dataarray, as_json
from geomfaf.rasters.geotiff import write_raster
from geomfaf.windows.windows import tiled_windows

GRID = make_grid(90, 110)
NO_DEPOSITS = points_in(GRID, [], [])
HALF_WINDOW = 8 * GRID.cell


def smooth_scores(seed: int = 0, nodata: bool = True) -> np.ndarray:
    field = smooth_noise(GRID.shape, seed, 4.0)
    score = 1 / (1 + np.exp(-field))
    score = score.astype(np.float32)
    if nodata:
        score[:, :20] = np.nan
    return score


def two_hills() -> np.ndarray:
    """A broad hill of 0.9 around (20, 30), a smaller one of 0.8 around (60, 80)."""
    score = np.full(GRID.shape, 0.1, np.float32)
    score[15:25, 20:40] = 0.9
    score[55:63, 75:85] = 0.8
    return score


def targets_on_hills(deposits=NO_DEPOSITS, **options) -> gpd.GeoDataFrame:
    """Both hills, whole: together they are 280 of 9,900 cells."""
    share = 280 / GRID.size
    options = {"known_distance": 0, "area_share": share, "max_km2": 100, **options}
    return make_targets(make_scores(GRID, two_hills()), deposits, **options)


def cells_in(polygon) -> np.ndarray:
    x, y = GRID.xy(*np.indices(GRID.shape))
    return shapely.contains_xy(polygon, x, y)


def samples_at(rows, cols, **columns) -> gpd.GeoDataFrame:
    return points_in(GRID, rows, cols).assign(**columns)


@pytest.mark.parametrize("share", [0.03, 0.1, 0.3])
def test_exploration_targets_take_the_asked_share_of_the_valid_area(share):
    score = smooth_scores()
    targets = make_targets(make_scores(GRID, score), NO_DEPOSITS, area_share=share)
    wanted = share * np.isfinite(score).sum() * GRID.cell_area / 1e6
    assert 0.85 * wanted < targets["area_km2"].sum() < 1.05 * wanted
    np.testing.assert_allclose(targets.area / 1e6, targets["area_km2"])
    assert set(targets["list"]) == {"exploration"}
    # The ground is the best, but for an outline's width.
    inside = cells_in(targets.buffer(-2 * GRID.cell).union_all())
    outside = ~cells_in(targets.buffer(2 * GRID.cell).union_all())
    assert score[inside].min() >= targets.attrs["threshold"]
    assert (score[inside].mean()) > np.nanmean(score[outside])


def test_two_lists_by_the_distance_to_known_deposits():
    score = smooth_scores(8, nodata=False)
    best = np.unravel_index(np.argsort(-score, axis=None)[[0, 40, 900]], score.shape)
    rows, cols = scattered_cells(GRID, 9, 3)
    deposits = points_in(GRID, [*best[0], *rows], [*best[1], *cols])
    targets = make_targets(make_scores(GRID, score), deposits, area_share=0.1)
    assert targets.attrs["known_distance"] == HALF_WINDOW
    exploration = targets["list"] == "exploration"
    assert 0 < exploration.sum() < len(targets)
    assert exploration.is_monotonic_decreasing  # exploration targets first
    assert (targets["number"] == range(1, len(targets) + 1)).all()
    for _, part in targets.groupby("list"):
        assert part["rank"].tolist() == list(range(1, len(part) + 1))
        assert part["mean_score"].is_monotonic_decreasing
    assert targets["name"][exploration].tolist() == [
        f"T{n}" for n in range(1, exploration.sum() + 1)
    ]
    assert set(targets["name"][~exploration].str[0]) == {"K"}
    expected = [deposits.distance(polygon).min() for polygon in targets.geometry]
    np.testing.assert_allclose(targets["deposit_distance_m"], expected)
    assert (targets["deposit_distance_m"][exploration] >= HALF_WINDOW).all()
    assert (targets["status"][exploration] == "new").all()
    known = targets["deposit_distance_m"] == 0
    assert known.any()
    assert ((targets["status"] == "known") == known).all()
    assert set(targets["status"][~exploration & ~known]) <= {"extension"}


def test_ground_beside_a_deposit_is_an_extension():
    """A deposit stands four cells from the hill: the hill is no new ground."""
    beside = points_in(GRID, [20], [43])
    targets = targets_on_hills(beside, known_distance=None)
    hill = targets[targets.intersects(points_in(GRID, [20], [36]).geometry[0])]
    assert hill[["list", "status", "deposits"]].values.tolist() == [
        ["known ground", "extension", 0]
    ]
    assert hill["deposit_distance_m"].item() == pytest.approx(350, abs=GRID.cell)


def test_with_distance_0_a_deposit_inside_makes_known_ground():
    deposits = points_in(GRID, [20, 16, 50], [30, 21, 50])
    targets = targets_on_hills(deposits)
    assert targets["deposits"].tolist() == [0, 2]
    assert targets["status"].tolist() == ["new", "known"]
    assert targets["list"].tolist() == ["exploration", "known ground"]
    assert targets["mean_score"].tolist() == pytest.approx([0.8, 0.9], abs=0.02)


def test_deposits_samples_and_faults_may_be_in_degrees():
    deposits = points_in(GRID, [20], [30]).assign(name="A")
    samples = samples_at([22], [32], Au=[5.0])
    west, south, east, north = GRID.bounds
    fault = gpd.GeoDataFrame(
        {"id": ["F1"]}, geometry=[shapely.LineString([(west, south), (east, north)])], crs=GRID.crs
    )
    layers = {"samples": samples, "faults": fault}
    metric = targets_on_hills(deposits, stack=make_stack(GRID), **layers)
    degrees = {name: frame.to_crs(4326) for name, frame in layers.items()}
    again = targets_on_hills(deposits.to_crs(4326), stack=make_stack(GRID), **degrees)
    pd.testing.assert_frame_equal(
        pd.DataFrame(metric.drop(columns="geometry")), pd.DataFrame(again.drop(columns="geometry"))
    )
    scores = make_scores(GRID, two_hills())
    for other in (deposits, deposits.to_crs(4326)):
        cells = make_cells(scores, 16, other, metric)
        assert cells.loc[cells["deposits"] > 0, "status"].tolist() == ["known"]
        assert placed_deposits(scores, other, metric)["target"].tolist() == [2]
    with pytest.raises(DataError, match="the deposits have no coordinate reference system"):
        targets_on_hills(gpd.GeoDataFrame(geometry=list(deposits.geometry)))


def test_figures_of_a_target_are_those_of_its_cells():
    names = {"mean_score": "score", "heldout_score": "heldout_score", "spread": "spread"}
    layers = {name: smooth_scores(3 + at) for at, name in enumerate(names.values())}
    layers["vote_share"] = smooth_scores(6)
    targets = make_targets(make_scores(GRID, **layers), NO_DEPOSITS, area_share=0.1)
    for target in targets.itertuples():
        inside = cells_in(target.geometry) & np.isfinite(layers["score"])
        for column, layer in {**names, "vote_share": "vote_share"}.items():
            mean = layers[layer][inside].mean()
            # An outline may run through the very centre of a cell.
            assert getattr(target, column) == pytest.approx(mean, rel=0.05)
        assert target.max_score == pytest.approx(layers["score"][inside].max())
        assert target.geometry.contains(shapely.Point(target.x, target.y))
        row, col = GRID.rowcol(target.x, target.y)
        assert layers["score"][row, col] == pytest.approx(target.max_score)
    assert tuple(targets.columns) == (*TARGET_COLUMNS, "geometry")


def test_a_giant_is_split_and_a_speck_left_out():
    whole = targets_on_hills()
    split = targets_on_hills(max_km2=0.7)
    assert len(whole) == 2
    assert len(split) >= 4
    assert split["area_km2"].max() < 1.5 * 0.7
    assert split["area_km2"].sum() == pytest.approx(whole["area_km2"].sum(), rel=0.02)


def test_specks_below_one_samples_share_are_left_out():
    rows, cols = np.divmod(np.arange(300), 20)
    samples = samples_at(rows * 6, cols * 4 + 21, Au=[1.0] * 300)
    scores = make_scores(GRID, smooth_scores(3))
    sampled = make_targets(scores, NO_DEPOSITS, samples=samples, area_share=0.2)
    # 8,100 valid cells: 27 for one sample.
    assert sampled.attrs["min_km2"] == pytest.approx(0.27)
    assert sampled.attrs["known_distance"] == HALF_WINDOW
    assert sampled["area_km2"].min() > 0.8 * 0.27
    assert make_targets(scores, NO_DEPOSITS, area_share=0.2)["area_km2"].min() < 0.25


def test_the_same_scores_give_the_same_targets():
    one, other = (make_targets(make_scores(GRID, smooth_scores(2)), NO_DEPOSITS) for _ in range(2))
    assert one.geometry.geom_equals(other.geometry).all()
    pd.testing.assert_frame_equal(
        pd.DataFrame(one.drop(columns="geometry")), pd.DataFrame(other.drop(columns="geometry"))
    )


def test_elements_are_ranked_within_the_area_and_name_their_best_sample():
    stack = make_stack(GRID, 3)
    samples = samples_at(
        [20, 21, 22, 80],
        [30, 31, 32, 3],
        Au=[2.0, 7.5, np.nan, 99.0],
        Cu=[1.0] * 4,
        id=["a", "b", "c", "d"],
    )
    targets = targets_on_hills(stack=stack, samples=samples)
    layers = target_layers(
        targets, make_scores(GRID, two_hills()), NO_DEPOSITS, stack=stack, samples=samples
    )
    table = layers["target_elements"]
    assert tuple(table.columns) == (*ELEMENT_COLUMNS, "geometry")
    by_number = targets.set_index("number")
    assert all(row.geometry.x == by_number["x"][row.number] for row in table.itertuples())
    assert table.crs == targets.crs
    assert sorted(set(table["element"])) == ["Au", "Cu"]
    big = table[table["number"] == 1].set_index("element")
    gold = stack.sel(band="Au").values
    inside = cells_in(targets.geometry[0])
    expected = percentileofscore(gold.ravel(), gold[inside], kind="mean").mean()
    # Stored to a tenth.
    assert big.loc["Au", "percentile"] == pytest.approx(expected, abs=0.051)
    assert big.loc["Au", ["value", "sample_id"]].tolist() == [7.5, "b"]
    assert targets["samples"].tolist() == [3, 0]
    assert targets["sample_distance_m"].iloc[0] == 0
    distance = samples.distance(targets.geometry[1]).min()
    assert targets["sample_distance_m"].iloc[1] == pytest.approx(distance)
    small = table[table["number"] == 2].set_index("element")
    assert small["value"].isna().all()
    assert set(small["sample_id"]) == {""}


def test_a_target_without_a_sample_says_so():
    samples = samples_at([20], [30], Au=[5.0])
    targets = targets_on_hills(stack=make_stack(GRID), samples=samples)
    told = targets["why"].str.contains("no sample lies inside")
    assert told.tolist() == [False, True]
    # Where no element is mapped, samples are no matter.
    rocks = make_stack(GRID).sel(band=["geology"])
    assert not targets_on_hills(stack=rocks, samples=samples)["why"].str.contains("sample").any()


def test_texts_of_elements():
    rows = [
        (1, "Au", "ppb", 99.9, 1234.4, "S1"),
        (1, "Cu", "ppm?", 95.2, 0.00512, "it's, odd"),
        (1, "Zn", "", 91.0, np.nan, ""),
        (1, "Pb", "ppm", 89.9, 3.0, "S9"),
    ]
    table = pd.DataFrame(rows, columns=list(ELEMENT_COLUMNS))
    assert element_texts(table) == (
        "Au 99 %, Cu 95 %, Zn 91 %",
        "Au 1,234 ppb, S1; Cu 0.00512 ppm, it's, odd",
    )
    assert element_texts(table[3:]) == (NONE_HIGH, "")
    assert element_texts(table[:0]) == ("", "")


def test_geology_is_the_commonest_class_and_rocks_have_shares():
    score, stack = smooth_scores(7), make_stack(GRID, 3)
    classes = stack.sel(band="geology").values
    targets = make_targets(make_scores(GRID, score), NO_DEPOSITS, stack=stack, area_share=0.2)
    for target in targets.itertuples():
        inside = cells_in(target.geometry) & np.isfinite(score)
        shares = {LEGEND[n]: 100 * (classes[inside] == n).mean() for n in LEGEND}
        assert target.geology == max(shares, key=shares.get)
        said = dict(part.removesuffix(" %").rsplit(" ", 1) for part in target.rocks.split(", "))
        for name, percent in said.items():
            assert float(percent) == pytest.approx(shares[name], abs=1.0)
    assert set(targets["geology"]) == set(LEGEND.values())


def test_without_bands_and_layers_there_are_no_reasons_but_the_score():
    for evidence in (None, make_stack(GRID).sel(band=["fault_distance"])):
        targets = targets_on_hills(stack=evidence)
        for column in ("geology", "rocks", "elements", "best_samples", "fault", "nearest_deposit"):
            assert set(targets[column]) == {""}
        for column in ("fault_distance_m", "fault_strike", "deposit_distance_m", "extrapolated"):
            assert targets[column].isna().all()
        assert set(targets["why"]) == {"Nothing but the score is known of it."}


def test_the_nearest_fault_is_that_of_shapely_with_its_strike():
    rng = np.random.default_rng(0)
    west, south, east, north = GRID.bounds
    ends = rng.uniform([west, south], [east, north], (6, 2, 2))
    lines = [shapely.LineString(pair) for pair in ends[:5]]
    faults = gpd.GeoDataFrame({"name": list("abcde")}, geometry=lines, crs=GRID.crs)
    score = smooth_scores(8)
    targets = make_targets(make_scores(GRID, score), NO_DEPOSITS, faults=faults, area_share=0.1)
    for target in targets.itertuples():
        distance = faults.distance(shapely.Point(target.x, target.y))
        assert target.fault_distance_m == pytest.approx(distance.min())
        assert target.fault == faults["name"][distance.idxmin()]
        east_north = np.diff(ends[distance.idxmin()], axis=0)[0]
        strike = np.degrees(np.arctan2(*east_north)) % 180
        assert target.fault_strike == pytest.approx(strike)


def test_a_strike_is_that_beside_the_place():
    bent = shapely.MultiLineString([[(0, 0), (100, 0), (100, 100)], [(500, 0), (500, 9)]])
    assert chord_azimuth(bent, shapely.Point(50, 10), 40) == pytest.approx(90)
    assert chord_azimuth(bent, shapely.Point(110, 60), 40) == pytest.approx(0)
    assert chord_azimuth(bent, shapely.Point(90, 10), 2000) == pytest.approx(45)


def test_shape_place_and_deposit_of_a_target():
    deposits = points_in(GRID, [20, 60], [60, 99]).assign(
        Name=["North pit", "Far"], Commodity=["Cu, Au", None]
    )
    targets = targets_on_hills(deposits)
    first = targets.iloc[0]
    assert (first["length_m"], first["width_m"]) == pytest.approx((2000, 1000), abs=100)
    assert first["azimuth"] == pytest.approx(90, abs=3)
    assert first[["nearest_deposit", "nearest_commodity"]].tolist() == ["North pit", "Cu, Au"]
    assert targets["nearest_commodity"].tolist() == ["Cu, Au", ""]
    place = gpd.GeoSeries([shapely.Point(first["x"], first["y"])], crs=GRID.crs).to_crs(4326)
    assert (first["lon"], first["lat"]) == pytest.approx((place.x[0], place.y[0]))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"deposits": 1, "nearest_deposit": "<b>Pit</b>"}, "Known deposit inside: <b>Pit</b>."),
        ({"deposits": 3, "nearest_deposit": ""}, "3 known deposits inside."),
        (
            {"elements": NONE_HIGH, "rocks": "granite 62 %"},
            "On granite 62 %; no element is high here.",
        ),
        ({"elements": "Au 98 %"}, "High in Au."),
        (
            {"factors": "Au +0.12; fault distance +0.08; Cu -0.02"},
            "Au and fault distance raise the score most.",
        ),
        ({"factors": "Au +0.12; Cu -0.02"}, "Au raises the score most."),
        ({"fault_distance_m": 3.0, "fault": ""}, "Under 10 m from a fault."),
        ({"extrapolated": 0.51}, "ostly extrapolated: 51 %"),
        ({"extrapolated": 0.5}, "Nothing but the score"),
    ],
)
def test_sentences_are_plain_and_bear_what_is_missing(row, words):
    assert words in why_sentence(row)


def test_hostile_names_go_through_every_layer(tmp_path):
    name = "<script>alert('x')</script>; \"quoted\" %s {0}"
    stack = make_stack(GRID)
    stack.attrs["legends"] = as_json({"geology": {1: name, 2: "shale, silt; and 5 %"}})
    deposits = points_in(GRID, [20], [60]).assign(name=name, commodity=name, fid=1.5)
    samples = samples_at([20], [30], Au=[5.0], sample_id=[name])
    targets = targets_on_hills(deposits, stack=stack, samples=samples)
    layers = target_layers(
        targets, make_scores(GRID, two_hills()), deposits, stack=stack, samples=samples
    )
    path = write_layers(layers, tmp_path / "targets.gpkg")
    back = gpd.read_file(path, layer="targets")
    assert back["nearest_deposit"].tolist() == [name, name]
    assert back["why"].tolist() == targets["why"].tolist()
    assert gpd.read_file(path, layer="deposits")["fid_"].tolist() == [1.5]


def test_a_stack_on_another_grid_is_refused():
    with pytest.raises(DataError, match="the stack is on another grid"):
        targets_on_hills(stack=make_stack(make_grid(30, 40)))


def test_deposits_learn_their_score_rank_and_target():
    score = smooth_scores(8)
    deposits = points_in(GRID, *scattered_cells(GRID, 9, 3)).assign(target="mine")
    scores = make_scores(GRID, score, heldout_score=smooth_scores(5))
    targets = make_targets(scores, deposits, area_share=0.1)
    placed = placed_deposits(scores, deposits, targets)
    heldout = scores.sel(band="heldout_score").values
    rows, cols = GRID.rowcol(deposits.geometry.x, deposits.geometry.y)
    np.testing.assert_allclose(placed["map_score"], score[rows, cols], atol=5.1e-5)
    np.testing.assert_allclose(placed["map_heldout"], heldout[rows, cols], atol=5.1e-5)
    ground = heldout[np.isfinite(heldout)]
    expected = [
        100 * (ground >= v).mean() if np.isfinite(v) else np.nan for v in heldout[rows, cols]
    ]
    np.testing.assert_allclose(placed["best_percent"], expected, atol=0.0051)
    inside = [targets.loc[targets.contains(point), "number"].sum() for point in deposits.geometry]
    assert placed["target_"].tolist() == inside
    assert (placed["target"] == "mine").all()
    off = deposits.iloc[:1].translate(1e6)
    assert (
        placed_deposits(scores, gpd.GeoDataFrame(geometry=off), targets)["best_percent"]
        .isna()
        .all()
    )


def test_no_piece_large_enough_is_an_empty_table_with_all_columns(tmp_path):
    scores = make_scores(GRID, smooth_scores())
    deposits = points_in(GRID, [3], [3])
    fault = gpd.GeoDataFrame(geometry=[shapely.LineString([(0, 0), (1, 1)])], crs=GRID.crs)
    layers = {"stack": make_stack(GRID), "samples": samples_at([1], [1], Au=[1.0])}
    targets = make_targets(scores, deposits, faults=fault, area_share=0.001, **layers)
    assert len(targets) == 0
    assert tuple(targets.columns) == (*TARGET_COLUMNS, "geometry")
    written = write_layers(target_layers(targets, scores, deposits, **layers), tmp_path / "t.gpkg")
    assert len(gpd.read_file(written, layer="targets")) == 0
    assert len(gpd.read_file(written, layer="cells")) > 0


def test_without_held_out_scores_targets_and_cells_have_none():
    scores = make_scores(GRID, two_hills(), heldout_score=np.full(GRID.shape, np.nan))
    targets = make_targets(scores, NO_DEPOSITS)
    assert targets["heldout_score"].isna().all()
    cells = make_cells(scores, 16, NO_DEPOSITS, targets)
    assert cells["heldout_score"].isna().all()
    assert cells["score"].notna().all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"known_distance": -1}, "known_distance = -1"),
        ({"known_distance": np.nan}, "known_distance = nan"),
        ({"max_km2": 0}, "max_km2 = 0"),
        ({"area_share": 5}, "area_share = 5"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        targets_on_hills(**options)


@pytest.mark.parametrize("rows", [7, 16, 64])
def test_files_read_in_parts_give_the_targets_of_rasters_in_memory(tmp_path, monkeypatch, rows):
    score = smooth_scores(8)
    scores = make_scores(GRID, score, heldout_score=smooth_scores(5), spread=smooth_scores(6))
    stack = make_stack(GRID, 3)
    # Gaps in one element, and values that many cells share.
    stack[0, 30:50, 40:70] = np.nan
    stack[1] = stack[1].round(1)
    rows_of_samples, cols_of_samples = scattered_cells(GRID, 300, 1)
    layers = {
        "samples": samples_at(rows_of_samples, cols_of_samples, Au=np.arange(300.0)),
        "faults": gpd.GeoDataFrame(
            geometry=[shapely.LineString([GRID.xy(0, 0), GRID.xy(80, 90)])], crs=GRID.crs
        ),
    }
    deposits = points_in(GRID, *scattered_cells(GRID, 20, 3))

    def made(scores, stack) -> dict[str, gpd.GeoDataFrame]:
        evidence = {"stack": stack, "samples": layers["samples"], "size": 8}
        targets = make_targets(
            scores, deposits, faults=layers["faults"], area_share=0.15, **evidence
        )
        return target_layers(targets, scores, deposits, **evidence)

    whole = made(scores, stack)
    assert set(whole["targets"]["list"]) == {"exploration", "known ground"}
    scores = write_raster(scores, tmp_path / "scores.tif")
    stack = write_raster(stack, tmp_path / "stack.tif")
    for module in ("rasters.strips", "deliver.target_ground", "deliver.target_cells"):
        monkeypatch.setattr(f"geomfaf.{module}.ROWS", rows)
    for name, frame in made(scores, stack).items():
        assert (frame.geometry.to_wkb() == whole[name].geometry.to_wkb()).all()
        one, other = (pd.DataFrame(f.drop(columns="geometry")) for f in (frame, whole[name]))
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_of_equal_scores_the_first_of_the_map_is_the_best():
    targets = targets_on_hills()
    x, y = GRID.xy([15, 55], [20, 75])
    assert targets["x"].tolist() == pytest.approx(x, abs=1.5 * GRID.cell)
    assert targets["y"].tolist() == pytest.approx(y, abs=1.5 * GRID.cell)


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
    scores = make_scores(GRID, **layers)
    cells = make_cells(scores, size, deposits, make_targets(scores, deposits))
    windows = tiled_windows(GRID, size, deposits=deposits, valid=np.isfinite(layers["score"]))
    assert cells["number"].tolist() == windows["number"].tolist()
    assert len(cells) < len(tiled_windows(GRID, size))
    assert (cells.geometry.to_numpy() == windows.geometry.to_numpy()).all()
    for window, cell in zip(windows.itertuples(), cells.itertuples(), strict=True):
        for name, layer in layers.items():
            part = layer[window.row : window.row + size, window.col : window.col + size]
            assert getattr(cell, name) == pytest.approx(np.nanmean(part), rel=1e-5)
        assert cell.deposits == sum(cell.geometry.contains(point) for point in deposits.geometry)


@pytest.mark.parametrize("seed", range(3))
def test_cells_never_contradict_the_targets(seed):
    scores = make_scores(GRID, smooth_scores(seed), vote_share=smooth_scores(seed + 9))
    deposits = points_in(GRID, *scattered_cells(GRID, 15, seed))
    targets = make_targets(scores, deposits, area_share=0.15)
    cells = make_cells(scores, 8, deposits, targets)
    status = targets.set_index("number")["status"]
    on_target = cells["target"] > 0
    assert (cells["status"][on_target] == cells["target"][on_target].map(status)).all()
    assert on_target.any()
    for cell in cells[on_target].itertuples():
        shares = targets.intersection(cell.geometry).area / cell.geometry.area
        assert shares.max() == pytest.approx(shares[cell.target - 1], abs=0.1)
        assert shares[cell.target - 1] > 0.15
    placed = placed_deposits(scores, deposits, targets)
    lost = placed[placed["target"] == 0]
    missed = cells[cells["status"] == "missed"]
    assert (missed["deposits"] > 0).all()
    assert all(lost.intersects(cell).any() for cell in missed.geometry)
    assert (cells["vote"] == (cells["vote_share"] > 0.5)).all()
