"""Where the ground lies: lengths are true, whatever CRS a survey comes in."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pyproj import CRS
from survey_tables import AU, deposits, geology

from geomfaf.errors import DataError
from geomfaf.survey.ground import brought_to, local_crs, scale_at, survey_crs
from geomfaf.survey.read import read_survey
from geomfaf.survey.survey import Source, area_of

MOVED = {"CRS distorts lengths", "CRS is not metric", "CRS counts west"}


def square(lon, lat, half=5000.0):
    """36 points on a true square of 10 km around a place, in degrees."""
    here = CRS.from_proj4(f"+proj=aeqd +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m")
    side = np.linspace(-half, half, 6)
    x, y = (part.ravel() for part in np.meshgrid(side, side))
    return gpd.GeoDataFrame({"Au_ppb": AU}, geometry=gpd.points_from_xy(x, y), crs=here).to_crs(
        4326
    )


@pytest.mark.parametrize(
    ("lon", "lat", "crs"),
    [
        (15, 62, 3857), (15, 62, 3395), (120, 23, 6933), (105, 40, 32650), (-135, 60, 3857),
        (179.99, 66, 4326), (-179.98, -17, 4326), (10, 86, 4326), (40, -84, 4326), (116, 22, 32650),
        (29.2, -26, 2053), (15, 50, 5513), (15, 62, 4979), (29.2, -26, "EPSG:32735+5773"),
    ],
)  # fmt: skip
def test_a_square_of_ten_kilometres_has_a_hundred_square_kilometres(tmp_path, lon, lat, crs):
    places = square(lon, lat).to_crs(crs)
    places.to_file(tmp_path / "s.gpkg", layer="samples")
    places.to_file(tmp_path / "s.gpkg", layer="deposits")
    survey = read_survey(
        {role: Source(tmp_path / "s.gpkg", role) for role in ("samples", "deposits")}
    )
    area = shapely.convex_hull(survey.samples.geometry.union_all()).area / 1e6
    assert area == pytest.approx(100, rel=0.012)
    assert area_of(survey).area > area * 1e6
    moved = {one.rule for one in survey.findings} & MOVED
    assert bool(moved) == (crs not in (32650, "EPSG:32735+5773") or lon == 105)
    middle = survey.samples.to_crs(4326).geometry
    assert middle.y.mean() == pytest.approx(lat, abs=0.01)
    assert np.abs((middle.x - lon + 180) % 360 - 180).max() < 0.11 / np.cos(np.radians(lat))


def test_the_finding_gives_the_factor():
    places = square(15, 62).to_crs(3857)
    finding = survey_crs(places, None)[1]
    assert "are 2.13 times those on the ground" in finding.done
    assert scale_at(places) == pytest.approx(1 / np.cos(np.radians(62)), rel=0.01)


def test_a_crs_that_is_asked_for_is_kept():
    target, finding = survey_crs(square(15, 62).to_crs(3857), "EPSG:3857")
    assert (target, finding) == (CRS(3857), None)


def test_a_mine_grid_is_taken_as_it_is():
    local = CRS('LOCAL_CS["mine grid",UNIT["metre",1]]')
    places = deposits().set_crs(local, allow_override=True)
    target, finding = survey_crs(places, None)
    assert target == local
    assert finding.rule == "local grid"
    with pytest.raises(DataError, match="nobody can tell how a local grid lies"):
        brought_to(geology(), local, "geology", [])


def test_long_edges_of_degrees_become_curves():
    wide = gpd.GeoDataFrame(geometry=[shapely.box(10, 60, 14, 61)], crs=4326)
    target = local_crs(wide)
    plain = wide.to_crs(target).geometry.iloc[0]
    bent = brought_to(wide, target, "geology", []).geometry.iloc[0]
    truth = wide.set_geometry(shapely.segmentize(wide.geometry.to_numpy(), 0.001)).set_crs(4326)
    truth = truth.to_crs(target).geometry.iloc[0]
    assert shapely.hausdorff_distance(bent, truth) < 20
    assert shapely.hausdorff_distance(plain, truth, densify=0.1) > 500


@pytest.mark.parametrize(
    ("lon", "lat", "crs", "coarse"), [(-100, 40, 4267, True), (15, 60, 4258, False)]
)
def test_a_coarse_change_of_datum_is_said_in_metres(lon, lat, crs, coarse):
    findings = []
    places = gpd.GeoDataFrame(geometry=gpd.points_from_xy([lon], [lat]), crs=crs)
    brought_to(places, local_crs(places.to_crs(4326)), "deposits", findings)
    assert [one.rule for one in findings] == (["coarse datum"] if coarse else [])
    assert not coarse or "right to about" in findings[0].done


# --- degrees around the Earth

PLACES = {"middle": (15.0, 62.0), "east of 180": (-179.98, -17.0), "west of 180": (179.97, 66.0)}


def from_0_to_360(frame):
    shapes = shapely.transform(
        frame.geometry.to_numpy(), lambda xy: np.column_stack([xy[:, 0] % 360, xy[:, 1]])
    )
    return frame.set_geometry(shapes, crs=4326)


def read_with(folder, samples, **layers):
    path = folder / "s.gpkg"
    for role, frame in {"samples": samples, "deposits": samples.iloc[:9], **layers}.items():
        frame.to_file(path, layer=role)
    return read_survey({role: Source(path, role) for role in ("samples", "deposits", *layers)})


def around(samples, kind):
    """A polygon of 24 km around a survey, as people have it in degrees."""
    lon, lat = samples.geometry.x.iloc[0], samples.geometry.y.iloc[0]
    wide = 0.25 / np.cos(np.radians(lat))
    west, east = lon - wide, lon + wide
    if kind == "jumps":  # its vertices change from 180 to -180
        ring = [
            (x % 360 - 360 * (x % 360 > 180), y)
            for x, y in shapely.box(west, lat - 0.2, east, lat + 0.2).exterior.coords
        ]
        shapes = [shapely.Polygon(ring)]
    elif kind == "two parts":  # as GeoJSON wants it
        turn = 360 * np.sign(lon)
        whole = shapely.box(west, lat - 0.2, east, lat + 0.2)
        half = shapely.box(-180, -90, 180, 90)
        away = shapely.transform(whole, lambda xy: xy - np.array([turn, 0]))
        shapes = [
            shapely.union(shapely.intersection(whole, half), shapely.intersection(away, half))
        ]
    elif kind == "world":
        shapes = [shapely.box(-180, -90, 180, 90)]
    else:
        shapes = [shapely.box(west % 360, lat - 0.2, east % 360, lat + 0.2)]
    return gpd.GeoDataFrame({"rock": ["granite"]}, geometry=shapes, crs=4326)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["jumps", "two parts", "world", "to 360"])
@pytest.mark.parametrize("counted", ["from -180", "from 0"])
def test_polygons_lie_around_their_survey_wherever_180_degrees_are(tmp_path, place, kind, counted):
    samples = square(*PLACES[place])
    if counted == "from 0":
        samples = from_0_to_360(samples)
    survey = read_with(tmp_path, samples, geology=around(square(*PLACES[place]), kind))
    ground = survey.geology.geometry.make_valid().union_all()
    assert shapely.contains(ground, survey.samples.geometry.to_numpy()).all()
    said = {one.rule: one for one in survey.findings}
    assert ("around the Earth" in said) == (kind == "world")
    if kind != "world":
        assert ground.area / 1e6 == pytest.approx(55.6 * 44.4, rel=0.1)


def test_features_beyond_a_survey_are_left_out_and_counted(tmp_path):
    world = [
        shapely.box(lon, lat, lon + 20, lat + 20)
        for lon in range(-180, 180, 20)
        for lat in range(-80, 80, 20)
    ]
    layer = gpd.GeoDataFrame(
        {"rock": [f"r{n % 5}" for n in range(len(world))]}, geometry=world, crs=4326
    )
    survey = read_with(tmp_path, square(15, 62), geology=layer)
    said = next(one for one in survey.findings if one.rule == "around the Earth")
    # From 15 W to 45 E and from 32 N on lie 4 x 3 of the 18 x 8 shapes, 2 x 2 of them wholly.
    assert said.count == len(world) - 4
    assert said.done.endswith("8 are cut there, 132 left out")
    assert np.isfinite(survey.geology.total_bounds).all()


def test_a_mine_grid_in_feet_is_brought_to_metres(tmp_path):
    feet = CRS('LOCAL_CS["mine grid",UNIT["foot",0.3048]]')
    places = deposits().set_crs(feet, allow_override=True).assign(Au_ppb=AU[:8])
    survey = read_with(tmp_path, places)
    np.testing.assert_allclose(survey.samples.geometry.x, places.geometry.x * 0.3048)
    assert survey.crs.name == "mine grid in metres"
    done = [one.done for one in survey.findings if one.rule == "local grid"]
    assert done[0] == "mine grid is a local grid in foot: brought to metres, times 0.3048"


def test_a_crs_that_counts_to_the_west_is_no_survey_s():
    with pytest.raises(DataError, match="crs = EPSG:2053 counts to the west and south"):
        survey_crs(square(29.2, -26), "EPSG:2053")
