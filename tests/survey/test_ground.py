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
    moved = {one.rule for one in survey.findings} & {"CRS distorts lengths", "CRS is not metric"}
    assert bool(moved) == (crs != 32650 or lon == 105)


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
