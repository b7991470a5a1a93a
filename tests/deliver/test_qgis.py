"""The QGIS project and the styles of single files: what they say, escaped; and real QGIS opens them."""

import json
import shutil
import sqlite3
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from run_folders import HOSTILE, RECORD, full_run, poor_run, run_of_many_rocks

from geomfaf.cli.main import main
from geomfaf.deliver.layers import write_layers
from geomfaf.deliver.qgis.contents import read_contents
from geomfaf.deliver.qgis.layout_items import Box
from geomfaf.deliver.qgis.layout_maps import fit_map, next_scale
from geomfaf.deliver.qgis.markup import node, to_text
from geomfaf.deliver.qgis.page import A3, A3_UPRIGHT, fit_page, place_aside
from geomfaf.deliver.qgis.project import write_project
from geomfaf.deliver.qgis.raster_styles import linear_breaks, log_breaks, share_classes
from geomfaf.deliver.qgis.run_layers import geology_column
from geomfaf.deliver.qgis.sheets import table_columns
from geomfaf.deliver.targets import TARGET_COLUMNS
from geomfaf.errors import UsageError
from geomfaf.rasters.bands import bands_of
from geomfaf.rasters.geotiff import read_raster

SYSTEM_PYTHON = Path("/usr/bin/python3")
CHECK = Path(__file__).with_name("qgis_check.py")
LAYOUTS = {
    "Target map A3",
    "Target sheets A4",
    "Evidence A3",
    "Geology and samples A3",
    "Numbered cells A3",
}


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    out = full_run(tmp_path_factory.mktemp("full") / "out")
    write_project(out, RECORD)
    return out


def xml_of(project: Path):
    with zipfile.ZipFile(project) as archive:
        return ElementTree.fromstring(archive.read("project.qgs"))


# --- numbers -------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.integers(120, 3_000))
def test_the_best_ground_is_as_much_as_it_says(seed, size):
    values = np.random.default_rng(seed).normal(size=size)
    classes = share_classes(values)
    inside = np.searchsorted([item.upper for item in classes], values, side="left")
    counts = np.bincount(inside, minlength=len(classes))
    # From the best class outwards: 1, 2, 5, 10 and 20 % of the cells, to one cell.
    assert np.allclose(
        np.cumsum(counts[::-1])[:5], size * np.array([1, 2, 5, 10, 20]) / 100, atol=1
    )


def test_ground_of_one_score_is_not_cut():
    assert [item.label for item in share_classes(np.full(50, 0.3))] == [
        "the other 80 %",
        "best 1 %",
    ]
    assert [item.label for item in share_classes(np.full(5, np.nan))] == ["no score"]


@given(st.floats(1e-6, 1e6), st.floats(1.01, 1e6))
def test_breaks_lie_inside_and_grow(low, ratio):
    high = low * ratio
    for breaks in (log_breaks(low, high), linear_breaks(low, high)):
        assert all(low < one < high for one in breaks)
        assert breaks == sorted(set(breaks))


@given(st.floats(1, 9e6))
def test_a_scale_is_the_next_round_one(needed):
    scale = next_scale(needed)
    assert needed <= scale <= 1.26 * needed
    digits = f"{scale:.0f}".rstrip("0")
    assert len(digits) <= 3


@given(st.floats(100, 1e6), st.floats(100, 1e6), st.booleans())
def test_a_map_fits_its_room_and_shows_the_ground(width, height, round_scale):
    room = Box(10, 20, 200, 100)
    frame = fit_map((0, 0, width, height), room, round_scale=round_scale)
    assert frame.box.width <= 200 * (1 + 1e-9)
    assert frame.box.height <= 100 * (1 + 1e-9)
    west, south, east, north = frame.extent
    assert west < 0 < width < east
    assert south < 0 < height < north
    # A millimetre of paper is as much ground in both directions.
    assert np.isclose(1000 * (east - west) / frame.box.width, frame.scale)
    assert np.isclose(1000 * (north - south) / frame.box.height, frame.scale)


@given(st.text())
def test_any_text_survives_the_markup(text):
    found = ElementTree.fromstring(to_text(node("a", {"name": text}, text=text)))
    kept = "".join(c for c in text if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))
    kept = "".join(c for c in kept if not 0xD800 <= ord(c) <= 0xDFFF)
    assert found.get("name") == kept
    # A line may end in any way.
    assert (found.text or "") == kept.replace("\r\n", "\n").replace("\r", "\n")


# --- the project ---------------------------------------------------------------------------------


def test_names_reach_the_project_as_they_are(full):
    root = xml_of(full / "project.qgz")
    assert root.find("title").text == RECORD["title"]
    categories = {item.get("value") for item in root.iter("category")}
    assert set(HOSTILE) <= categories
    entries = {item.get("label") for item in root.iter("paletteEntry")}
    assert set(HOSTILE) <= entries


def test_every_source_is_relative_and_there(full):
    root = xml_of(full / "project.qgz")
    sources = [item.text for item in root.iter("datasource")]
    assert len(sources) > 15
    for source in sources:
        assert source.startswith("./")
        assert (full / source.split("|")[0]).exists()


def test_groups_themes_and_bookmarks(full):
    root = xml_of(full / "project.qgz")
    groups = [
        item.get("name") for item in root.find("layer-tree-group").findall("layer-tree-group")
    ]
    first = ["Targets", "Structures and survey", "Trust", "Prospectivity"]
    assert groups == [*first, "Isolines", "Evidence"]
    assert {item.get("name") for item in root.iter("Layout")} == LAYOUTS
    marks = [item.get("name") for item in root.iter("Bookmark")]
    assert marks == ["Target T1", "Target T2", "Target K1"]
    # A theme names layers that the project has.
    known = {item.text for item in root.iter("id")}
    assert {item.get("id") for item in root.find("visibility-presets").iter("layer")} <= known


def test_equal_runs_give_equal_projects(full, tmp_path):
    before = (full / "project.qgz").read_bytes()
    write_project(full, RECORD)
    assert (full / "project.qgz").read_bytes() == before


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"holds no scores\.tif"):
        write_project(tmp_path, {})


def test_the_geology_column_is_found_by_the_names_of_its_classes(full):
    contents = read_contents(full)
    assert geology_column(contents, {}) == RECORD["geology_column"]
    assert geology_column(contents, {"geology_column": "id"}) == "id"


def test_the_command_makes_the_project_again(full, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(full, out)
    refused = CliRunner().invoke(main, ["project", str(out)])
    assert refused.exit_code == 2
    assert "holds no run.json: give the folder of a finished run" in refused.output
    (out / "run.json").write_text(json.dumps(RECORD), encoding="utf-8")
    (out / "project.qgz").unlink()
    done = CliRunner().invoke(main, ["project", str(out)])
    assert done.exit_code == 0, done.output
    assert (out / "project.qgz").read_bytes() == (full / "project.qgz").read_bytes()
    assert (out / "targets.gpx").exists()
    assert (out / "targets.kmz").exists()


# --- single files --------------------------------------------------------------------------------


def test_every_layer_has_one_default_style_and_keeps_its_rows(full):
    before = pyogrio.read_dataframe(full / "targets.gpkg", layer="targets")
    write_project(full, RECORD)  # a second time: nothing is doubled
    for path in full.glob("*.gpkg"):
        with sqlite3.connect(path) as database:
            query = "SELECT f_table_name, f_table_schema, f_geometry_column, useAsDefault FROM layer_styles"
            rows = database.execute(query).fetchall()
        layers = [name for name, _ in pyogrio.list_layers(path) if name != "layer_styles"]
        assert sorted(row[0] for row in rows) == sorted(layers)
        assert {row[1] for row in rows} == {""}
        assert {row[2] for row in rows} <= {"geom", ""}
        assert {row[3] for row in rows} == {1}
    after = pyogrio.read_dataframe(full / "targets.gpkg", layer="targets")
    assert after.equals(before)


def test_layers_say_what_they_are(full):
    with sqlite3.connect(full / "targets.gpkg") as database:
        query = "SELECT description FROM gpkg_contents WHERE table_name = 'targets'"
        (text,) = database.execute(query).fetchone()
    assert "no work on the ground has tested it" in text


def test_every_raster_has_a_style_beside_it(full):
    for path in full.glob("*.tif"):
        root = ElementTree.parse(path.with_suffix(".qml")).getroot()
        assert root.find("pipe/rasterrenderer").get("band") == "1"


# --- real QGIS -----------------------------------------------------------------------------------


def has_qgis() -> bool:
    if not SYSTEM_PYTHON.exists():
        return False
    found = subprocess.run([SYSTEM_PYTHON, "-c", "import qgis.core"], capture_output=True)
    return found.returncode == 0


@pytest.fixture(scope="module")
def qgis():
    """Return what opens a project in real QGIS and gives its report."""
    if not has_qgis():
        pytest.skip("QGIS is not here: apt-get install python3-qgis, for /usr/bin/python3")

    def opened(out: Path, *arguments: str) -> dict:
        command = [SYSTEM_PYTHON, CHECK, out / "project.qgz", out / "pictures", *arguments]
        found = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout.splitlines()[-1])

    return opened


def require_sound(report: dict) -> None:
    """Every layer is valid, drawn and in the project's CRS, every layout too, and QGIS said nothing."""
    assert report["read"]
    assert report["log"] == []
    for name, layer in report["layers"].items():
        assert layer["valid"], name
        assert layer["crs"] in ("EPSG:32633", ""), name
        if layer.get("features", 1) and "colours" in layer:
            assert layer["colours"] > 1, f"{name} is blank"
    for name, layout in report["layouts"].items():
        assert layout["files"], name
        assert min(layout["colours"]) > 20, f"{name} is blank"


def test_qgis_opens_the_folder_wherever_it_is_moved(full, tmp_path, qgis):
    moved = tmp_path / "quarters of O'Brien, 金"
    shutil.copytree(full, moved)
    files = sorted([*moved.glob("*.gpkg"), *moved.glob("*.tif")])
    report = qgis(moved, *[part for path in files for part in ("--file", str(path))])
    require_sound(report)
    assert set(report["layouts"]) == LAYOUTS
    assert report["title"] == RECORD["title"]
    assert report["layouts"]["Target sheets A4"]["atlas"] == 3
    targets = report["layers"]["Targets"]
    assert targets["styles"] == ["default", "without names"]
    assert "Area (km²)" in targets["aliases"]
    assert targets["note"]
    score = report["layers"]["Prospectivity: best ground, by share of the area"]
    assert {"Held-out map", "Spread"} <= set(score["styles"])
    for kind in ("points", "areas"):
        found = report["layers"][f"Data findings, {kind}"]
        assert found["features"] == 1
        assert found["renderer"] == "categorizedSymbol"
    # Scales are round, to the tenth of a per cent that QGIS loses on the way.
    (scale,) = report["layouts"]["Target map A3"]["scales"]
    assert abs(scale / next_scale(scale * 0.999) - 1) < 1e-3
    # Single files, as dragged in.
    for file, layers in report["files"].items():
        for name, layer in layers.items():
            assert layer["styled"], f"{file} {name}"
            assert layer.get("colours", 2) > 1, f"{file} {name} is blank"
    # Of three elements in one file the first is drawn, the others wait in the legend for a tick.
    alone = report["files"][str(moved / "isolines.gpkg")]
    lines = alone["isolines"]
    kinds = [label for label in lines["legend"] if ":" not in label]
    shown = [label for label in lines["ticked"] if ":" not in label]
    assert len(kinds) == 3
    assert shown == kinds[:1]
    assert all(label.split()[-1] == "ppm" for label in lines["legend"] if ":" in label)
    ground = alone["anomalies"]
    kinds = [label for label in ground["legend"] if not label.startswith("above")]
    assert len(kinds) == len(set(kinds)) == 9
    assert [label for label in ground["ticked"] if label in kinds] == kinds[:1]
    table = report["tables"][str(moved / "stack.tif")]["4"]
    assert [row[1] for row in table] == [*HOSTILE, "rock 4"]


def test_qgis_opens_a_run_of_one_element_and_nothing_else(tmp_path, qgis):
    out = poor_run(tmp_path / "out")
    write_project(out, {})
    report = qgis(out)
    require_sound(report)
    assert set(report["layouts"]) == {"Target map A3", "Evidence A3"}


def test_qgis_opens_a_run_of_three_hundred_rocks(tmp_path, qgis):
    out = run_of_many_rocks(tmp_path / "out")
    write_project(out, {})
    report = qgis(out, "--pages", "1")
    require_sound(report)
    assert len(report["layers"]["Geology"]["legend"]) == 300


def test_the_class_numbers_of_the_stack_keep_their_names(full):
    bands = bands_of(read_raster(full / "stack.tif"))
    legend = next(band.legend for band in bands if band.name == "geology")
    root = ElementTree.parse(full / "stack.tif.aux.xml").getroot()
    rows = [[cell.text for cell in row.findall("F")] for row in root.iter("Row")]
    assert {int(row[0]): row[1] for row in rows} == legend


def test_a_column_that_says_nothing_has_no_room_in_the_table_of_a_map(tmp_path):
    out = run_of_many_rocks(tmp_path / "out")
    targets = gpd.read_file(out / "targets.gpkg", layer="targets")
    for elements, shown in (("Au 98 %", True), ("", False)):
        frame = targets.assign(elements=elements, number=[1, 2, 3])
        write_layers({"targets": frame}, out / "targets.gpkg", overwrite=True)
        write_project(out, {})
        texts = [item.get("heading") for item in xml_of(out / "project.qgz").iter("column")]
        assert ("elements (percentile)" in texts) == shown
        assert "host" in texts


# --- what a page has room for --------------------------------------------------------------------


@given(st.floats(100, 1e6), st.floats(0.2, 5))
def test_map_and_legend_have_a_place_each_on_the_page(width, ratio):
    extent = (0, 0, width, width / ratio)
    size, frame = fit_page(extent)
    legend, columns = place_aside(frame, size)
    for box in (frame.box, legend):
        assert box.x >= 10
        assert box.y >= 20
        assert box.x + box.width <= size[0] - 10 + 1e-6
        assert box.y + box.height <= size[1] - 10
    right = frame.box.x + frame.box.width
    bottom = frame.box.y + frame.box.height
    assert legend.x >= right or legend.y >= bottom
    # A legend needs some room, whatever the map's shape.
    assert legend.width / columns >= 60
    assert legend.height >= 40


def test_the_page_of_a_tall_area_stands():
    assert fit_page((0, 0, 20_000, 30_000))[0] == A3_UPRIGHT
    assert fit_page((0, 0, 20_000, 20_000))[0] == A3
    assert fit_page((0, 0, 30_000, 20_000))[0] == A3
    assert fit_page((0, 0, 20_000, 30_000), may_stand=False)[0] == A3


@pytest.mark.parametrize("width", [60.0, 126.0, 201.0, 270.0])
def test_the_table_of_targets_fills_its_place(width):
    columns = table_columns(TARGET_COLUMNS, width)
    assert sum(column.width for column in columns) == pytest.approx(width)
    assert [column.heading for column in columns][:3] == ["target", "status", "km²"]
    assert min(column.width for column in columns) >= 11
