"""Dirty layers: one row a case, each with the finding or the message that it must give."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import GeometryCollection, LineString, MultiPoint, MultiPolygon, Point, Polygon, box

from geomfaf.deliver.layers import write_findings, write_layers
from geomfaf.errors import DataError, UsageError
from geomfaf.rasters.grid import Grid
from geomfaf.survey.cleaning.check import check_survey, clean_layer
from geomfaf.survey.cleaning.class_names import merge_class_names
from geomfaf.survey.cleaning.findings import Finding, as_refusals, findings_layer
from geomfaf.survey.cleaning.geometry import check_coverage, drop_far_points, overlaps
from geomfaf.survey.cleaning.repeated_places import merge_rows_of_places
from geomfaf.survey.formats import find_encoding, hidden_password
from geomfaf.survey.read import read_layer, read_survey
from geomfaf.survey.recognise import list_layers, recognise_layers, taken_by_shape
from geomfaf.survey.survey import Source

UTM = 32633
WEST, SOUTH = 500_000, 5_500_000


def frame(shapes, crs=UTM, **columns):
    return gpd.GeoDataFrame(geometry=list(shapes), crs=crs).assign(**columns)


def survey_layers():
    """49 samples, 20 deposits, two rocks, one fault; nothing is wrong with them."""
    x, y = (values.ravel() for values in np.meshgrid(np.arange(7) * 1000.0, np.arange(7) * 1000.0))

    def ground(*corners):
        return box(WEST + corners[0], SOUTH + corners[1], WEST + corners[2], SOUTH + corners[3])

    return {
        "samples": frame(
            shapely.points(WEST + x, SOUTH + y), Au_ppb=np.arange(1.0, 50), Cu=np.linspace(5, 9, 49)
        ),
        "deposits": frame([Point(WEST + 250 * i, SOUTH + 280 * i) for i in range(1, 21)]),
        "geology": frame(
            [ground(-500, -500, 3000, 6500), ground(3000, -500, 6500, 6500)],
            rock=["granite", "schist"],
        ),
        "faults": frame([LineString([(WEST, SOUTH), (WEST + 6000, SOUTH + 6000)])]),
    }


def checked(folder, layers, **options):
    """Write layers, read them as a user does, and return what check finds."""
    path = folder / "survey.gpkg"
    for role, layer in layers.items():
        layer.to_file(path, layer=role, driver="GPKG")
    read = read_survey({role: Source(path, role, **options.get(role, {})) for role in layers})
    return check_survey(read)


def moved(layer, change, crs=None):
    """Return a layer with other numbers under the same (or another) CRS."""
    shapes = shapely.transform(
        layer.geometry.to_numpy(), lambda xy: np.column_stack(change(xy[:, 0], xy[:, 1]))
    )
    return layer.set_geometry(gpd.GeoSeries(shapes, crs=layer.crs)).set_crs(
        crs or layer.crs, allow_override=True
    )


def in_kilometres(layer):
    return moved(layer, lambda x, y: (x / 1000, y / 1000))


def swapped(layer):
    return moved(layer, lambda x, y: (y, x))


def labelled(layer, crs):
    """Return a layer that says another CRS than it has."""
    return layer.set_crs(crs, allow_override=True)


# --- place
# -----------------------------------------------------------------------------------------------------------

# name: (role, what is done to it, rule, what the advice must say)
PLACE = {
    "kilometres for metres": ("samples", in_kilometres, "kilometres", 'xy_unit = "km" under [samples]'),
    "deposits in kilometres": ("deposits", in_kilometres, "kilometres", 'xy_unit = "km" under [deposits]'),
    "geology in kilometres": ("geology", in_kilometres, "kilometres", 'xy_unit = "km" under [geology]'),
    "swapped axes": ("samples", swapped, "swapped", "swap_xy = true under [samples]"),
    "swapped faults": ("faults", swapped, "swapped", "swap_xy = true under [faults]"),
    "kilometres, swapped": (
        "samples", lambda f: swapped(in_kilometres(f)), "kilometres and swapped", 'xy_unit = "km" and swap_xy'),
    "degrees called metres": (
        "samples", lambda f: labelled(f.to_crs(4326), UTM), "degrees called metres", 'crs = "EPSG:4326"'),
    "degrees called metres, latitude first": (
        "deposits", lambda f: labelled(swapped(f.to_crs(4326)), UTM), "degrees called metres", "swap_xy = true"),
    "metres called degrees": (
        "samples", lambda f: labelled(f, 4326), "metres called degrees", "the projected CRS they were measured in"),
    "latitude first": (
        "deposits", lambda f: labelled(swapped(f.to_crs(4326)), 4326), "away from the other layers", "swap_xy = true"),
    "latitude first, east of 90": (
        "samples", lambda f: moved(f, lambda x, y: (y * 0 + 25, x * 0 + 110), 4326), "swapped axes", "swap_xy = true"),
    "next zone to the west": (
        "geology", lambda f: labelled(f, 32632), "away from the other layers", "UTM zone 33N"),
    "next zone to the east": ("deposits", lambda f: labelled(f, 32634), "away from the other layers", '"EPSG:32633"'),
    "other hemisphere": ("faults", lambda f: labelled(f, 32733), "away from the other layers", '"EPSG:32633"'),
    "a zone number in the easting": (
        "samples", lambda f: moved(f, lambda x, y: (x + 33e6, y)), "zone in the easting", "zone numbers"),
    "deposits 700 km away": (
        "deposits", lambda f: moved(f, lambda x, y: (x, y + 7e5)), "away from the other layers", "check the CRS"),
    "nowhere near the CRS": (
        "faults", lambda f: moved(f, lambda x, y: (x + 9e8, y)), "coordinates that cannot be", "correct the coord"),
}  # fmt: skip


@pytest.mark.parametrize("case", PLACE)
def test_layers_in_a_wrong_place_are_refused_with_the_setting_that_helps(tmp_path, case):
    role, change, rule, advice = PLACE[case]
    layers = survey_layers()
    layers[role] = change(layers[role])
    _, findings = checked(tmp_path, layers)
    refused = findings[findings["severity"] == "refused"]
    assert refused["layer"].tolist() == [role]
    assert refused["rule"].iloc[0] == rule
    assert advice in refused["advice"].iloc[0]
    assert refused["count"].iloc[0] == len(layers[role])


REMEDIES = {
    "kilometres for metres": {"xy_unit": "km"},
    "swapped axes": {"swap_xy": True},
    "kilometres, swapped": {"xy_unit": "km", "swap_xy": True},
    "degrees called metres": {"crs": "EPSG:4326"},
    "degrees called metres, latitude first": {"crs": "EPSG:4326", "swap_xy": True},
    "next zone to the west": {"crs": "EPSG:32633"},
    "latitude first": {"swap_xy": True},
}


@pytest.mark.parametrize("case", REMEDIES)
def test_the_setting_that_is_advised_puts_the_layer_right(tmp_path, case):
    role, change, _, _ = PLACE[case]
    layers = survey_layers()
    layers[role] = change(layers[role])
    survey, findings = checked(tmp_path, layers, **{role: REMEDIES[case]})
    assert not (findings["severity"] == "refused").any()
    true = survey_layers()[role]
    assert shapely.hausdorff_distance(getattr(survey, role).union_all(), true.union_all()) < 0.01


def test_the_distance_to_the_layer_that_is_away_is_right(tmp_path):
    layers = survey_layers()
    layers["deposits"] = moved(layers["deposits"], lambda x, y: (x, y + 7e5))
    _, findings = checked(tmp_path, layers)
    row = findings[findings["rule"] == "away from the other layers"].iloc[0]
    # From the northern edge of the geology, at 6.5 km, to the southernmost deposit, at 700.28 km.
    assert "694 km lie between them" in row["done"]


def test_the_first_rows_of_the_papers_table_are_kilometres(tmp_path):
    path = tmp_path / "table1.csv"
    path.write_text("X,Y,Ag,Au\n421.63,2416.85,0.078,0.54\n420.93,2416.80,0.06,0.81\n")
    source = Source(path, crs="EPSG:2383")
    findings = read_survey({"samples": source, "deposits": source}).findings
    assert [(f.severity, f.layer, f.rule) for f in findings] == [
        ("refused", "samples", "kilometres"), ("refused", "deposits", "kilometres")]  # fmt: skip
    assert "421." in findings[0].done
    source = Source(path, crs="EPSG:2383", xy_unit="km")
    assert read_survey({"samples": source, "deposits": source}).findings == ()


def test_a_survey_beyond_its_zone_is_told_the_zone_that_fits(tmp_path):
    layers = {role: layer.to_crs(32632) for role, layer in survey_layers().items()}
    _, findings = checked(tmp_path, layers)
    rows = findings[findings["rule"] == "outside the zone"]
    assert set(rows["severity"]) == {"noticed"}
    assert set(rows["advice"]) == {'set crs = "EPSG:32633", which fits better'}


def test_a_crs_that_overrules_the_file_is_said(tmp_path):
    _, findings = checked(tmp_path, survey_layers(), faults={"crs": "EPSG:25833"})
    assert findings.loc[findings["rule"] == "CRS overruled", "layer"].tolist() == ["faults"]


def test_points_in_another_country_are_left_out():
    x = np.r_[np.linspace(0, 5000, 58), -500_000, 9e6]
    layer = frame([*shapely.points(WEST + x[:58], SOUTH), Point(0, 0), Point(9e6, 0)])
    found = []
    assert len(drop_far_points("samples", layer, found)) == 58
    assert [(f.rule, f.count, f.rows) for f in found] == [
        ("coordinates 0, 0", 1, (58,)), ("far from all others", 1, (59,))]  # fmt: skip


# --- geometry
# --------------------------------------------------------------------------------------------------------

SQUARE, LINE = box(0, 0, 10, 10), LineString([(0, 0), (9, 9)])
BOW_TIE = Polygon([(0, 0), (20, 20), (20, 0), (0, 20)])
HOLED = Polygon([(0, 0), (9, 0), (9, 9), (0, 9)], [[(1, 1), (20, 1), (20, 2), (1, 2)]])

# name: (role, shapes, severity, rule, count, features left)
GEOMETRY = {
    "null point": ("samples", [None, Point(1, 1)], "fixed", "no geometry", 1, 1),
    "empty polygon": ("geology", [Polygon(), SQUARE], "fixed", "no geometry", 1, 1),
    "infinite point": ("deposits", [Point(np.inf, 0), Point(1, 1)], "fixed", "no geometry", 1, 1),
    "NaN point": ("samples", [Point(np.nan, 0), Point(1, 1)], "fixed", "no geometry", 1, 1),
    "bow tie": ("geology", [BOW_TIE, SQUARE], "fixed", "invalid geometry", 1, 2),
    "hole outside": ("geology", [HOLED], "fixed", "invalid geometry", 1, 1),
    "bow tie as area": ("study_area", [BOW_TIE], "fixed", "invalid geometry", 1, 1),
    "heights": ("faults", [LineString([(0, 0, 5), (1, 1, 6)])], "noticed", "3-D geometry", 1, 1),
    "multi-part points": ("deposits", [MultiPoint([(0, 0), (5, 5)])], "noticed", "multi-part points", 1, 2),
    "zero-length line": ("faults", [LineString([(1, 1), (1, 1)]), LINE], "fixed", "zero-length line", 1, 1),
    "polygon without area": (
        "geology", [Polygon([(0, 0), (5, 5), (9, 9)]), SQUARE], "fixed", "polygon without area", 1, 1),
    "lines in the geology": ("geology", [LINE, SQUARE], "fixed", "not polygons", 1, 1),
    "points in the faults": ("faults", [Point(0, 0), LINE], "fixed", "not lines", 1, 1),
    "fault zones": ("faults", [SQUARE, LINE], "fixed", "fault zones as polygons", 1, 2),
    "deposits as polygons": ("deposits", [SQUARE, Point(1, 1)], "fixed", "not points", 1, 2),
    "deposits as multi-polygons": (
        "deposits", [MultiPolygon([SQUARE, box(20, 0, 30, 9)])], "fixed", "not points", 1, 1),
    "samples as lines": ("samples", [LINE], "fixed", "not points", 1, 1),
    "collection": (
        "geology", [GeometryCollection([SQUARE, LINE]), SQUARE], "fixed", "geometry collection", 1, 2),
    "nested collection": (
        "geology", [GeometryCollection([GeometryCollection([SQUARE]), LINE])], "fixed", "geometry collection", 1, 1),
    "nothing usable": ("samples", [None, None], "refused", "empty layer", 2, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", GEOMETRY)
def test_shapes_that_are_not_as_they_should_be(case):
    role, shapes, severity, rule, count, left = GEOMETRY[case]
    layer = frame(shapes)
    before = layer.to_wkb()
    cleaned, findings = clean_layer(role, layer)
    here = findings[findings["rule"] == rule]
    assert here[["severity", "layer", "count"]].to_numpy().tolist() == [[severity, role, count]]
    assert len(cleaned) == left
    assert cleaned.is_valid.all()
    pd.testing.assert_frame_equal(layer.to_wkb(), before)


def test_overlaps_slivers_and_gaps_are_counted_with_their_areas(tmp_path):
    layers = survey_layers()
    west, east = layers["geology"].geometry
    thin = box(WEST + 100, SOUTH + 100, WEST + 100.5, SOUTH + 900)
    east = east.difference(box(WEST + 4000, SOUTH, WEST + 4100, SOUTH + 100))
    layers["geology"] = frame(
        [west.buffer(10, join_style="mitre"), east, thin, east], rock=["a", "b", "a", "b"]
    )
    survey, findings = checked(
        tmp_path, {**layers, "study_area": frame([box(*layers["geology"].total_bounds)])}
    )
    overlap = findings[findings["rule"] == "overlapping polygons"].iloc[0]
    assert overlap["count"] == 4  # west with both east, east with east, the sliver in the west
    assert "1 of them the same polygon twice" in overlap["done"]
    assert findings.loc[findings["rule"] == "slivers", ["count", "rows"]].to_numpy().tolist() == [
        [1, "2"]
    ]
    gap = next(finding for finding in survey.findings if finding.rule == "gaps")
    assert any(shape.area == pytest.approx(10_000) for shape in gap.shapes)


@given(
    st.lists(
        st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 9)] * 2, st.booleans()),
        min_size=2,
        max_size=7,
    )
)
def test_overlaps_are_those_of_every_pair(parts):
    shapes = np.array(
        [
            (
                Polygon([(3 * x, 3 * y), (3 * (x + w), 3 * y), (3 * x, 3 * (y + h))])
                if triangle
                else box(3 * x, 3 * y, 3 * (x + w), 3 * (y + h))
            )
            for x, y, w, h, triangle in parts
        ],
        object,
    )
    first, second, common = overlaps(shapes)
    here = {
        (int(i), int(j)): round(area, 6)
        for i, j, area in zip(first, second, shapely.area(common), strict=True)
    }
    pairs = [(i, j) for i in range(len(shapes)) for j in range(i + 1, len(shapes))]
    wanted = {pair: shapes[pair[0]].intersection(shapes[pair[1]]).area for pair in pairs}
    assert here == {pair: round(area, 6) for pair, area in wanted.items() if area >= 1}


def test_polygons_of_many_vertices_are_compared_in_pieces():
    ring, disc = (
        Point(0, 0).buffer(1000, quad_segs=5000),
        Point(1500, 0).buffer(1000, quad_segs=5000),
    )
    first, second, common = overlaps(np.array([ring, disc]))
    assert (first.tolist(), second.tolist()) == ([0], [1])
    assert common[0].area == pytest.approx(ring.intersection(disc).area, rel=1e-9)


def test_a_map_without_flaws_has_no_findings():
    found = []
    check_coverage(survey_layers()["geology"], "rock", found)
    assert found == []


# --- duplicates
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "expected"), [("mean", 100 ** (1 / 3)), ("median", 10.0), ("first", 1.0)]
)
def test_rows_of_one_place_become_one_by_name(rule, expected):
    layer = frame([Point(0, 0), Point(5, 5), Point(0, 0), Point(0, 0)], Au=[1.0, 7.0, 10.0, 10.0])
    found = []
    merged = merge_rows_of_places(layer, ["Au"], found, rule)
    assert merged["Au"].tolist() == pytest.approx([expected, 7.0])
    assert merged["rows_at_place"].tolist() == [3, 1]
    assert [(f.severity, f.rule, f.count, f.rows) for f in found] == [
        ("noticed", "rows of one place disagree", 3, (0, 2, 3)), ("fixed", "several rows at one place", 3, (0, 2, 3)),
    ]  # fmt: skip
    assert layer["Au"].tolist() == [1.0, 7.0, 10.0, 10.0]


def test_rows_of_one_place_may_be_kept():
    layer = frame([Point(0, 0), Point(0, 0)], Au=[1.0, 2.0])
    found = []
    assert merge_rows_of_places(layer, ["Au"], found, "keep")["Au"].tolist() == [1.0, 2.0]
    assert [(f.severity, f.rule) for f in found] == [("noticed", "several rows at one place")]
    with pytest.raises(
        UsageError, match=r'duplicates = "mode" is unknown: use one of mean, median, first, keep'
    ):
        merge_rows_of_places(layer, ["Au"], [], "mode")


# --- attributes
# ------------------------------------------------------------------------------------------------------

# name: (class names, rule, count, classes left)
CLASSES = {
    "case": (["Granite", "granite", "granite"], "class names differ by case or blanks", 1, ["granite"]),
    "trailing blanks": (["schist ", "schist", "schist"], "blanks in class names", 1, ["schist"]),
    "blanks inside": (["mica  schist", "mica schist", "x"], "blanks in class names", 1, ["mica schist", "x"]),
    "no name": ([None, "", "gneiss", "basalt"], "no class name", 2, ["basalt", "gneiss"]),
    "one class": (["gneiss", "gneiss"], "one class", 2, ["gneiss"]),
    "a number each": (list(map(str, range(100, 130))), "a class for each polygon", 30, list(map(str, range(100, 130)))),
}  # fmt: skip


@pytest.mark.parametrize("case", CLASSES)
def test_class_names_that_are_the_same_are_merged_and_said(case):
    names, rule, count, left = CLASSES[case]
    layer = frame([box(i, 0, i + 1, 1) for i in range(len(names))], rock=names)
    found = []
    merged = merge_class_names(layer, "rock", found)
    assert [finding.count for finding in found if finding.rule == rule] == [count]
    assert sorted(name for name in merged["rock"].dropna().unique() if name) == left
    pd.testing.assert_series_equal(layer["rock"], pd.Series(names, name="rock"))


TEXT = "x,y,Au,岩性\n500000,5500000,1,花岗岩\n500100,5500100,2,片岩\n"
GERMAN = "x,y,Au,Gestein\n500000,5500000,1,Größe\n500100,5500100,2,Körnung\n"
ENCODINGS = {
    "UTF-8": (TEXT, "utf-8", "花岗岩", None), "UTF-8 with BOM": (TEXT, "utf-8-sig", "花岗岩", None),
    "GBK": (TEXT, "gbk", "花岗岩", "gb18030"), "UTF-16": (TEXT, "utf-16", "花岗岩", "utf-16"),
    "UTF-16 without a mark": (GERMAN, "utf-16-le", "Größe", "utf-16-le"),
    "cp1252": (GERMAN, "cp1252", "Größe", "cp1252"),
}  # fmt: skip


@pytest.mark.parametrize("case", ENCODINGS)
def test_tables_keep_their_letters_in_every_encoding(tmp_path, case):
    text, encoding, rock, said = ENCODINGS[case]
    (tmp_path / "s.csv").write_bytes(text.encode(encoding))
    source = Source(tmp_path / "s.csv", crs="EPSG:32633")
    layer = read_layer(source)
    assert layer.iloc[0, 1] == rock
    findings = read_survey({"samples": source, "deposits": source}).findings
    assert [f.done for f in findings if f.rule == "encoding"] == [
        f"the text is not UTF-8: read as {said}"
    ] * 2 * bool(said)


WESTERN = (
    "Größe Körnung Grünstein Weiß Übergang grès schistosité Münster año øst åre gneiss Au_ppb"
    " 0.5 µg".split()
)


@given(st.lists(st.sampled_from(WESTERN), min_size=1), st.sampled_from([",", ";", "\n"]))
def test_western_words_are_not_taken_for_chinese(words, separator):
    text = separator.join(["Größe", *words])
    assert text.encode("cp1252").decode(find_encoding(text.encode("cp1252"))) == text


@given(st.text(alphabet="地层岩性花岗片金铜铅锌含量样品编号,;\n0123", min_size=1))
def test_chinese_letters_are_never_taken_for_western(text):
    text = f"岩性,{text}"
    assert text.encode("gbk").decode(find_encoding(text.encode("gbk"))) == text


@pytest.mark.parametrize(
    ("encoding", "rock"), [("cp1252", "Grünstein"), ("gbk", "花岗岩"), ("utf-8", "片岩")]
)
def test_shapefiles_that_do_not_say_their_encoding(tmp_path, encoding, rock):
    frame([box(0, 0, 1, 1)], rock=[rock]).to_file(tmp_path / "g.shp", encoding=encoding)
    (tmp_path / "g.cpg").unlink()
    # What a program of another country writes: nothing in the table tells its encoding.
    table = bytearray((tmp_path / "g.dbf").read_bytes())
    table[29] = 0
    (tmp_path / "g.dbf").write_bytes(table)
    assert read_layer(tmp_path / "g.shp")["rock"].tolist() == [rock]


# --- formats
# ---------------------------------------------------------------------------------------------------------


def test_dates_and_short_names_pass(tmp_path):
    layers = survey_layers()
    layers["samples"]["sampled"] = pd.Timestamp("2021-05-06")
    layers["samples"]["AS_"] = np.arange(1.0, 50)
    survey, findings = checked(tmp_path, layers)
    assert "AS_" in survey.elements
    assert not (findings["severity"] == "refused").any()


def points():
    return frame([Point(WEST, SOUTH), Point(WEST + 100, SOUTH)], Au_ppb=[1.5, 2.5])


def zipped(folder):
    points().to_file(folder / "s.shz", driver="ESRI Shapefile")
    return (folder / "s.shz").rename(folder / "s.zip")


def geodatabase(folder):
    points().to_file(folder / "s.gdb", driver="OpenFileGDB")
    return folder / "s.gdb"


def parquet(folder):
    pytest.importorskip("pyarrow", reason="GeoParquet needs the extra parquet")
    points().to_parquet(folder / "s.parquet")
    return folder / "s.parquet"


def excel(folder):
    table = pd.DataFrame(
        {"Easting": [WEST, WEST + 100], "Northing": [SOUTH, SOUTH], "Au_ppb": [1.5, 2.5]}
    )
    with pd.ExcelWriter(folder / "s.xlsx") as book:
        table.to_excel(book, sheet_name="assays", index=False)
        pd.DataFrame().to_excel(book, sheet_name="empty")
    return folder / "s.xlsx"


def plain(name):
    def write(folder):
        points().to_file(folder / name)
        return folder / name

    return write


FORMATS = [
    plain("s.gpkg"),
    plain("s.shp"),
    plain("s.fgb"),
    plain("s.gml"),
    zipped,
    geodatabase,
    parquet,
    excel,
]


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: getattr(write, "__name__", ""))
def test_every_format_gives_the_same_samples(tmp_path, write):
    path = write(tmp_path)
    layer = read_layer(Source(path, crs="EPSG:32633")).sort_values(
        "Au_ppb"
    )  # FlatGeobuf sorts by place
    assert layer.get_coordinates().to_numpy().tolist() == [[WEST, SOUTH], [WEST + 100, SOUTH]]
    assert layer["Au_ppb"].tolist() == [1.5, 2.5]
    info = list_layers(path)[0]
    assert (info.geometry, info.count, "Au_ppb" in info.columns) == ("point", 2, True)


def broken(name, content=b"nothing"):
    def write(folder):
        (folder / name).write_bytes(content)
        return Source(folder / name, crs="EPSG:32633")

    return write


# name: (source, error, message)
REFUSED = {
    "no workbook": (broken("s.xlsx"), DataError, "s.xlsx is not an Excel workbook that can be read"),
    "no parquet": (broken("s.parquet"), DataError, "s.parquet is no GeoParquet file that can be read"),
    "no vector file": (broken("s.gpkg"), UsageError, "s.gpkg does not begin as a .gpkg file does"),
    "empty table": (broken("s.csv", b""), DataError, "s.csv is not a table that can be read"),
    "no number": (broken("s.csv", b"x,y\n1,east\n"), DataError, 's.csv, row 2: coordinate "east" in column y'),
    "unknown encoding": (
        lambda folder: Source(broken("s.csv", b"x,y\n1,2\n")(folder).path, crs="32633", encoding="klingon"),
        DataError, "as klingon"),
    "degrees without a CRS": (
        lambda folder: Source(broken("s.csv", b"lon,lat,Au\n15,50,1\n")(folder).path), DataError, "--xy-unit deg"),
    "metres without a CRS": (
        lambda folder: Source(broken("s.csv", b"x,y,Au\n5e5,5e6,1\n")(folder).path), DataError, "--crs EPSG:32650"),
    "a database without a table": (
        lambda folder: Source("postgresql://ann:secret@localhost/base"), UsageError,
        "postgresql://ann:***@localhost/base: give either layer"),
    "a sheet that is not there": (
        lambda folder: Source(excel(folder), "assay", crs="32633"), UsageError, 'no sheet "assay". Did you mean "assays"'),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_cannot_be_read_give_one_message(tmp_path, case):
    make, error, message = REFUSED[case]
    with pytest.raises(error) as caught:
        read_layer(make(tmp_path))
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_grid_of_no_crs_and_a_file_of_no_layers_are_refused(tmp_path):
    with pytest.raises(UsageError, match='"hello" is not a coordinate reference system'):
        Grid.from_bounds((0, 0, 1, 1), 1, "hello")
    with pytest.raises(UsageError, match=r"no layer to write into x\.gpkg"):
        write_layers({}, tmp_path / "x.gpkg")


def test_roads_are_no_faults_and_a_nameless_line_layer_is_said(tmp_path):
    lines = survey_layers()["faults"]
    lines.to_file(tmp_path / "x.gpkg", layer="roads")
    assert "faults" not in recognise_layers(list_layers(tmp_path / "x.gpkg"))
    lines.to_file(tmp_path / "x.gpkg", layer="layer3")
    roles = recognise_layers(list_layers(tmp_path / "x.gpkg"))
    assert roles["faults"].name == "layer3"
    assert taken_by_shape(roles) == [
        "x.gpkg: layer3 is taken for the faults because of its shapes alone, its name does not tell"
    ]


# --- the report
# ------------------------------------------------------------------------------------------------------


def test_rows_of_the_source_survive_to_the_map_of_findings(tmp_path):
    layers = survey_layers()
    layers["samples"]["id"] = [f"S{number}" for number in range(49)]
    layers["samples"].loc[[3, 40], "geometry"] = None
    layers["samples"] = pd.concat(
        [layers["samples"], layers["samples"].iloc[[10]]], ignore_index=True
    )
    read = layers["samples"]
    survey, table = checked(tmp_path, layers)
    rows = {finding.rule: finding.rows for finding in survey.findings}
    assert rows["no geometry"] == (3, 40)
    assert rows["several rows at one place"] == (10, 49)
    write_findings(table, survey.findings, {"samples": read}, tmp_path / "report")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "check.csv",
        "check.gpkg",
        "check.json",
    ]
    shown = gpd.read_file(tmp_path / "report" / "check.gpkg", layer="findings")
    here = shown[shown["rule"] == "several rows at one place"]
    assert here["row"].tolist() == [10, 49]
    assert here["fid_of_row"].tolist() == [11, 50]
    assert here["name"].tolist() == ["S10", "S10"]
    assert here.geometry.tolist() == [read.geometry[10]] * 2
    names = pyogrio.list_layers(tmp_path / "report" / "check.gpkg")[:, 0].tolist()
    # One style cannot draw the points and the gap of the map.
    assert set(names) - {"layer_styles"} == {"findings", "findings_areas"}


def test_strict_refuses_every_fix_and_nothing_else():
    found = [
        Finding(severity, "samples", "", severity, 1, "done")
        for severity in ("refused", "fixed", "noticed")
    ]
    strict = as_refusals(found)
    assert [finding.severity for finding in strict] == ["refused", "refused", "noticed"]
    assert strict[1].done == "not allowed to fix (strict): done"


def test_findings_without_rows_need_no_map():
    assert (
        len(
            findings_layer(
                [Finding("noticed", "faults", "", "no layer", 0, "")], {"samples": points()}
            )
        )
        == 0
    )


def test_passwords_are_hidden():
    assert hidden_password("postgresql://ann@host/base") == "postgresql://ann@host/base"
    assert hidden_password("postgresql://ann:p@host/b") == "postgresql://ann:***@host/b"


@pytest.mark.parametrize("name", ["clb_finland", "mtpainter_sa", "murchison_wa"])
def test_the_real_areas_pass_and_their_layers_have_the_documented_flaws(real_area, name):
    roles = recognise_layers(list_layers(real_area(name)))
    _, findings = check_survey(
        read_survey({role: Source(i.path, i.name) for role, i in roles.items()})
    )
    assert not (findings["severity"] == "refused").any()
    facts = {row["rule"]: (row["count"], row["done"]) for row in findings.to_dict("records")}
    if name == "clb_finland":
        assert facts["outside the study area"][0] == 9
        assert "covers 92.2 % of the study area" in facts["gaps"][1]
    if name == "mtpainter_sa":
        assert facts["several rows at one place"][0] == 252
        assert facts["listed twice"][0] == 1
    if name == "murchison_wa":
        assert facts["several rows at one place"] == (
            92,
            "92 rows at 23 places; 23 with several rows: averaged (log scale)",
        )
        assert facts["rows of one place disagree"][0] == 88
        assert facts["one class"][0] == 115


def test_the_table_of_dirty_inputs_is_long():
    cases = [PLACE, GEOMETRY, CLASSES, ENCODINGS, FORMATS, REFUSED]
    assert sum(map(len, cases)) >= 60
