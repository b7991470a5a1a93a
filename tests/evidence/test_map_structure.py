"""Bands of contacts, rock mixture and fault network against shapes whose answer is known."""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely import LineString, box

from geomfaf.errors import DataError, UsageError
from geomfaf.evidence.stack import build_stack
from geomfaf.evidence.structure import (
    STRUCTURE,
    ClassMixtureLayer,
    class_contacts,
    dissolved_classes,
    free_ends,
    line_crossings,
    pieces_by_strike,
    structure_layers,
)
from geomfaf.rasters.bands import making_of_bands, reach_of
from geomfaf.rasters.grid import Grid
from geomfaf.run.project import Project
from geomfaf.run.steps import evidence_reach
from geomfaf.survey.survey import Survey
from geomfaf.windows.assembly import make_windows
from geomfaf.windows.features import window_features
from geomfaf.windows.folds import spatial_folds
from geomfaf.windows.windows import centred_windows

GRID = Grid.from_bounds((0, 0, 3000, 3000), 50, 32633)


def frame(shapes, **columns):
    return gpd.GeoDataFrame(geometry=list(shapes), crs=32633).assign(**columns)


def make_survey():
    """Granite in the west, shale in two polygons in the east, a basalt square; a cross of faults."""
    basalt = box(2000, 1000, 2500, 1500)
    shale = box(1000, 0, 3000, 3000).difference(basalt)
    north = shale.intersection(box(0, 1600, 3000, 3000))
    geology = frame(
        [box(0, 0, 1000, 3000), shale.difference(north), north, basalt],
        rock=["granite", "shale", "shale", "basalt"],
    )
    faults = frame(
        [
            LineString([(500, 0), (500, 2000)]),
            LineString([(0, 1000), (1500, 1000)]),
            LineString([(1500, 1000), (2500, 1000)]),
        ],
        kind=["normal", "thrust", "thrust"],
    )
    area = frame([box(0, 0, 3000, 3000)])
    return Survey(
        samples=frame([shapely.Point(5, 5)]),
        deposits=None,
        geology=geology,
        faults=faults,
        study_area=area,
        elements={},
        geology_column="rock",
    )


def bands(names, most=1e5, **options):
    found = {}
    for layer in structure_layers(make_survey(), GRID, names, most=most, **options):
        values = layer.block(0, 0, *GRID.shape)
        for band, one in zip(layer.bands, values, strict=True):
            found[band.name] = one
    return found


def centres():
    return shapely.points(*np.meshgrid(GRID.x, GRID.y))


def test_contacts_lie_between_classes_and_not_inside_one_nor_at_the_edge_of_the_map():
    survey = make_survey()
    contacts = class_contacts(dissolved_classes(survey.geology, "rock"))
    lengths = {name: round(lines.length) for name, lines in contacts.items()}
    # The last two metres towards the edge of the map are not counted.
    assert lengths == {"basalt": 2000, "granite": 2998, "shale": 4998}
    true = shapely.union_all(
        [LineString([(1000, 0), (1000, 3000)]), box(2000, 1000, 2500, 1500).exterior]
    )
    found = bands(["contact_distance"])["contact_distance"]
    np.testing.assert_allclose(found, shapely.distance(centres(), true), atol=1.5)


def test_the_distance_to_a_class_is_negative_inside_it():
    found = bands(["class_distance"])
    assert set(found) == {"distance_to_granite", "distance_to_shale", "distance_to_basalt"}
    expected = GRID.x[None, :] - 1000 + np.zeros(GRID.shape)
    np.testing.assert_allclose(found["distance_to_granite"], expected, atol=1.5)
    basalt = box(2000, 1000, 2500, 1500)
    away = shapely.distance(centres(), basalt.exterior)
    inside = shapely.contains(basalt, centres())
    np.testing.assert_allclose(found["distance_to_basalt"], np.where(inside, -away, away), atol=1.5)


def test_the_mixture_of_classes_is_that_of_the_cells_around():
    survey = make_survey()
    radius = 400.0
    names = ("class_count", "class_entropy")
    layer = ClassMixtureLayer(survey.geology, "rock", GRID, radius, names)
    count, entropy = layer.block(0, 0, *GRID.shape)
    classes = layer.classes.block(0, 0, *GRID.shape)
    x, y = np.meshgrid(GRID.x, GRID.y)
    for row, column in ((0, 0), (30, 19), (35, 45), (59, 59)):
        near = np.hypot(x - x[row, column], y - y[row, column]) <= radius
        numbers, cells = np.unique(classes[near & (classes > 0)], return_counts=True)
        shares = cells / cells.sum()
        assert count[row, column] == len(numbers)
        assert entropy[row, column] == pytest.approx(-(shares * np.log(shares)).sum(), abs=1e-6)
    part = layer.block(17, 23, 11, 30)
    np.testing.assert_array_equal(part[1], entropy[17:28, 23:53])


def test_crossings_ends_and_strikes_of_a_cross_of_faults():
    survey = make_survey()
    lines = survey.faults.geometry.to_numpy()
    assert shapely.get_coordinates(line_crossings(lines)).tolist() == [[500, 1000]]
    ends = shapely.get_coordinates(free_ends(lines))
    assert sorted(map(tuple, ends)) == [(0, 1000), (500, 0), (500, 2000), (2500, 1000)]
    assert {strike: len(part) for strike, part in pieces_by_strike(survey.faults).items()} == {
        "n": 1,
        "e": 2,
    }
    found = bands(["crossing_distance", "fault_end_distance", "strike_distance"])
    np.testing.assert_allclose(
        found["crossing_distance"], shapely.distance(centres(), shapely.Point(500, 1000)), rtol=1e-5
    )
    np.testing.assert_allclose(
        found["fault_distance_n"], shapely.distance(centres(), lines[0]), atol=1e-3
    )
    ends = shapely.MultiPoint([(0, 1000), (500, 0), (500, 2000), (2500, 1000)])
    np.testing.assert_allclose(
        found["fault_end_distance"], shapely.distance(centres(), ends), rtol=1e-5
    )


def test_a_fault_that_abuts_on_another_crosses_it():
    lines = np.array([LineString([(0, 0), (10, 0)]), LineString([(5, 0), (5, 9)])])
    assert shapely.get_coordinates(line_crossings(lines)).tolist() == [[5, 0]]
    assert len(free_ends(lines)) == 3


def test_types_of_faults_and_several_radii():
    found = bands(
        ["fault_type_distance", "fault_density"], radii=[200.0, 900.0], type_column="kind"
    )
    assert set(found) == {
        "fault_distance_normal",
        "fault_distance_thrust",
        "fault_density_200",
        "fault_density_900",
    }
    thrust = LineString([(0, 1000), (2500, 1000)])
    np.testing.assert_allclose(
        found["fault_distance_thrust"], shapely.distance(centres(), thrust), atol=1e-3
    )
    with pytest.raises(UsageError, match="type_column"):
        bands(["fault_type_distance"])
    with pytest.raises(UsageError, match="is unknown"):
        bands(["contacts"])


def test_all_of_them_are_bands_of_a_stack_with_names_of_their_own():
    survey = make_survey()
    stack = build_stack(survey, GRID, structure=STRUCTURE, fault_type="kind")
    names = [str(name) for name in stack.band.values]
    assert len(set(names)) == len(names) == 2 + 4 + 3 + 4 + 2 + 2
    assert np.isfinite(stack.values).all()


def test_distances_are_cut_where_the_margin_ends():
    names = ["contact_distance", "class_distance", "fault_end_distance", "strike_distance"]
    far = bands(names)
    near = bands(names, most=None)
    assert set(far) == set(near)
    for name, metres in far.items():
        assert abs(metres).max() > 800
        np.testing.assert_array_equal(near[name], metres.clip(-800, 800))


@pytest.mark.parametrize(
    ("tables", "reach"),
    [
        ({}, 0),
        ({"structure": {"bands": ["contact_distance"]}}, 800),
        ({"structure": {"bands": ["contact_distance"], "max": 2000}}, 2000),
        ({"structure": {"bands": ["fault_density"], "radii": [500, 900]}}, 950),
        ({"proximity": [{"path": "a", "name": "dykes", "kind": "density"}]}, 550),
        ({"rasters": [{"path": "a", "name": "dem", "derive": ["slope", "residual:30"]}]}, 1500),
    ],
)
def test_a_project_knows_how_far_its_bands_look(tmp_path, tables, reach):
    project = Project(tmp_path, {}, tmp_path / "out", stages=tables)
    assert evidence_reach(project, GRID) == reach


def squares_of_rock(changed=None):
    """Squares of 250 m, each of one of three rocks by chance; others where ``changed`` says so."""
    rng = np.random.default_rng(3)
    rocks = rng.integers(0, 3, (2, 24, 24))
    rows, columns = np.indices((24, 24))
    shapes = [
        box(250 * x, 5750 - 250 * y, 250 * x + 250, 6000 - 250 * y)
        for y, x in zip(rows.ravel(), columns.ravel(), strict=True)
    ]
    own = rocks[0] if changed is None else np.where(changed, rocks[1], rocks[0])
    return frame(shapes, rock=np.array(["basalt", "granite", "shale"])[own.ravel()])


def test_noise_in_the_map_of_test_ground_changes_no_bit_of_what_trains():
    """THE NOISE TEST of what looks around itself: the margin is as wide as the widest radius, and
    one of a window alone would leak.
    """
    grid = Grid.from_bounds((0, 0, 6000, 6000), 50, 32633)
    spots = np.random.default_rng(1).integers(5, 115, (2, 30))
    deposits = gpd.GeoDataFrame(geometry=gpd.points_from_xy(*grid.xy(*spots)), crs=32633)
    windows = centred_windows(grid, 8, deposits, np.ones(grid.shape, bool), negatives=8, seed=2)
    strips = frame([box(0, 0, 2000, 6000), box(2000, 0, 4000, 6000), box(4000, 0, 6000, 6000)])
    names = ["contact_density", "class_count", "class_entropy"]
    names += ["contact_distance", "class_distance"]

    def stacked(geology):
        survey = replace(make_survey(), geology=geology, study_area=frame([box(0, 0, 6000, 6000)]))
        return build_stack(survey, grid, elements=[], structure=names, radii=[300, 1000])

    stack = stacked(squares_of_rock())
    reach = reach_of(making_of_bands(stack))
    assert reach == 1050
    found = {}
    for wide in (0.0, reach):
        folds = spatial_folds(windows, grid, np.ones(grid.shape, bool), zones=strips, reach=wide)
        assert folds.margin == (21 if wide else 8)
        tested = folds.raster()[2::5, 2::5] == 0
        other = stacked(squares_of_rock(tested))
        train = folds.training(windows, 0)
        at = (windows.loc[train, "row"] + 4, windows.loc[train, "col"] + 4)
        tables = [window_features(bands, *at, 8).values for bands in (stack, other)]
        assert not np.array_equal(stack.values, other.values)
        found[wide] = np.array_equal(*tables, equal_nan=True)
    assert found == {0.0: False, reach: True}
    # The same in one call.
    assert make_windows(stack, deposits, size=8, zones=strips)[1].margin == 21


@pytest.mark.parametrize(
    ("role", "name"), [("faults", "fault_density"), ("geology", "contact_distance")]
)
def test_layers_in_another_crs_are_refused(role, name):
    """Degrees read as metres lie on no cell: every density would be 0, unsaid."""
    survey = make_survey()
    elsewhere = replace(survey, **{role: getattr(survey, role).to_crs(4326)})
    with pytest.raises(DataError, match="are in WGS 84, the grid in WGS 84 / UTM zone 33N"):
        structure_layers(elsewhere, GRID, [name])
