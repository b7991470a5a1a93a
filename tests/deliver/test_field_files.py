"""Targets for the field: where they stand, what they are called, and how much ground the overlay paints."""

import io
import zipfile
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from matplotlib.image import imread
from pyproj import CRS, Transformer
from run_folders import HOSTILE, full_run, poor_run

from geomfaf.deliver.field_files import write_field_files
from geomfaf.deliver.qgis.colours import SHARES
from geomfaf.errors import UsageError
from geomfaf.rasters.grid import lon_lat

GPX = "{http://www.topografix.com/GPX/1/1}"
KML = "{http://www.opengis.net/kml/2.2}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = full_run(tmp_path_factory.mktemp("field") / "out")
    write_field_files(out)
    return out


def kml_of(folder):
    with zipfile.ZipFile(folder / "targets.kmz") as archive:
        root = ElementTree.fromstring(archive.read("doc.kml"))
        return root, imread(io.BytesIO(archive.read("score.png")))


def test_waypoints_stand_on_the_best_cells(folder):
    root = ElementTree.parse(folder / "targets.gpx").getroot()
    points = {p.find(f"{GPX}name").text: p for p in root.iter(f"{GPX}wpt")}
    assert {"T1", "T2", "K1", *HOSTILE} == set(points)
    to_degrees = Transformer.from_crs(32633, 4326, always_xy=True)
    lon, lat = to_degrees.transform(501_900, 5_996_500)
    assert float(points["T2"].get("lon")) == pytest.approx(lon, abs=1e-6)
    assert float(points["T2"].get("lat")) == pytest.approx(lat, abs=1e-6)
    assert HOSTILE[0] in points["T2"].find(f"{GPX}desc").text
    # Another reader finds them as well.
    assert len(pyogrio.read_dataframe(folder / "targets.gpx", layer="waypoints")) == 7


def test_outlines_are_those_of_the_targets(folder):
    root, _ = kml_of(folder)
    marks = [m for m in root.iter(f"{KML}Placemark") if m.find(f"{KML}MultiGeometry") is not None]
    targets = pyogrio.read_dataframe(folder / "targets.gpkg", layer="targets")
    to_metres = Transformer.from_crs(4326, 32633, always_xy=True)
    for mark, target in zip(marks, targets.itertuples(), strict=True):
        text = mark.find(f".//{KML}coordinates").text
        places = [to_metres.transform(*map(float, pair.split(","))) for pair in text.split()]
        shape = shapely.Polygon(places)
        assert shape.symmetric_difference(target.geometry).area < 0.01 * target.geometry.area
        assert mark.find(f"{KML}styleUrl").text == f"#{target.status}"
        # Markup from the data stays text in a globe's balloon.
        assert "<script>" not in mark.find(f"{KML}description").text


def test_the_overlay_paints_the_shares_that_its_colours_mean(folder):
    root, picture = kml_of(folder)
    pixels = (255 * picture).round().astype(int)
    valid = pixels[..., 3] > 0
    reddest = SHARES[1].lstrip("#")
    wanted = [int(reddest[k : k + 2], 16) for k in (0, 2, 4)]
    share = (pixels[..., :3] == wanted).all(axis=-1)[valid].mean()
    assert share == pytest.approx(0.01, abs=0.004)
    # The picture lies on the ground of the map.
    with rasterio.open(folder / "scores.tif") as source:
        west, south, east, north = source.bounds
    box = {
        side: float(root.find(f".//{KML}{side}").text)
        for side in ("west", "south", "east", "north")
    }
    to_degrees = Transformer.from_crs(32633, 4326, always_xy=True)
    corners = np.array([to_degrees.transform(x, y) for x in (west, east) for y in (south, north)])
    assert [box["west"], box["south"]] == pytest.approx(corners.min(axis=0), abs=0.002)
    assert [box["east"], box["north"]] == pytest.approx(corners.max(axis=0), abs=0.002)


def test_a_run_without_targets_still_gives_its_deposits(tmp_path):
    out = poor_run(tmp_path / "out")
    write_field_files(out)
    root = ElementTree.parse(out / "targets.gpx").getroot()
    assert [p.find(f"{GPX}name").text for p in root.iter(f"{GPX}wpt")] == ["Deposit"]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"holds no scores\.tif"):
        write_field_files(tmp_path)


def test_a_local_grid_has_no_degrees_and_so_no_field_files(tmp_path):
    out = poor_run(tmp_path / "out")
    with rasterio.open(out / "scores.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as scores:
        scores.crs = rasterio.CRS.from_wkt('LOCAL_CS["mine grid",UNIT["metre",1]]')
    assert write_field_files(out) == []
    assert not (out / "targets.kmz").exists()


def test_places_of_a_local_grid_have_no_longitude():
    local = CRS('LOCAL_CS["mine grid",UNIT["metre",1]]')
    assert np.isnan(lon_lat(np.zeros(2), np.ones(2), local)).all()
