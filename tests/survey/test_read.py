"""Reading: any format, language, unit and CRS becomes the same survey, or one plain message."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from pyproj import CRS, Transformer
from shapely import LineString, Point, box

from geomfaf.errors import DataError, UsageError
from geomfaf.survey.cleaning.check import check_survey, clean_samples
from geomfaf.survey.cleaning.findings import require_accepted
from geomfaf.survey.read import (
    class_column,
    layer_names,
    metric_layer,
    parse_crs,
    read_layer,
    read_survey,
)
from geomfaf.survey.recognise import list_layers, recognise_layers
from geomfaf.survey.survey import Source, Survey

UTM = 32633
XY = [(500_000.25, 5_500_000.5), (500_100.0, 5_500_100.0), (500_200.0, 5_500_050.0)]
EASTING, NORTHING = np.transpose(XY)


def sample_points(crs=UTM):
    columns = {"sample_id": ["a", "b", "c"], "Au_ppb": [0.5, 1.5, 2.5], "Cu": [10, 20, 30]}
    return gpd.GeoDataFrame(columns, geometry=[Point(*xy) for xy in XY], crs=UTM).to_crs(crs)


def deposit_points(crs=UTM):
    return gpd.GeoDataFrame(
        {"name": ["A", "B"]}, geometry=[Point(XY[0]), Point(XY[1])], crs=UTM
    ).to_crs(crs)


def geology_polygons(crs=UTM):
    shapes = [
        box(499_900, 5_499_900, 500_100, 5_500_200),
        box(500_100, 5_499_900, 500_300, 5_500_200),
    ]
    frame = gpd.GeoDataFrame(
        {"id": [1, 2], "Lithology": ["granite", "schist"]}, geometry=shapes, crs=UTM
    )
    return frame.to_crs(crs)


def fault_lines(crs=UTM):
    line = LineString([(499_900, 5_499_900), (500_300, 5_500_200)])
    return gpd.GeoDataFrame({"kind": ["NE"]}, geometry=[line], crs=UTM).to_crs(crs)


def write_gpkg(path, **layers):
    for name, frame in layers.items():
        frame.to_file(path, layer=name, driver="GPKG")
    return path


@pytest.fixture
def survey_file(tmp_path):
    return write_gpkg(tmp_path / "survey.gpkg", samples=sample_points(), deposits=deposit_points())


def sources(path, **layers):
    return {role: Source(path, layer) for role, layer in layers.items()}


def text_file(tmp_path, text, encoding="utf-8", name="samples.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def coordinates(frame):
    return frame.get_coordinates().to_numpy()


# --- formats
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["s.gpkg", "s.shp", "s.geojson", "s.fgb"])
def test_every_vector_format_gives_the_same_points_and_values(tmp_path, name):
    crs = 4326 if name.endswith("geojson") else UTM
    written = sample_points(crs)
    written.to_file(tmp_path / name)
    frame = read_layer(tmp_path / name).sort_values("sample_id")
    assert CRS(frame.crs) == CRS(crs)
    np.testing.assert_allclose(coordinates(frame), coordinates(written), rtol=0, atol=1e-7)
    assert frame["Au_ppb"].tolist() == [0.5, 1.5, 2.5]
    assert frame["Cu"].tolist() == [10, 20, 30]


TABLES = {
    "comma": ("id,X,Y,Au_ppb\na,500000.25,5500000.5,0.5\nb,500100,5500100,1.5\n", "utf-8"),
    "semicolon, decimal comma": ("id;X;Y;Au_ppb\na;500000,25;5500000,5;0,5\nb;500100;5500100;1,5\n", "utf-8"),
    "tab": ("id\tX\tY\tAu_ppb\na\t500000.25\t5500000.5\t0.5\nb\t500100\t5500100\t1.5\n", "utf-8"),
    "pipe": ("id|X|Y|Au_ppb\na|500000.25|5500000.5|0.5\nb|500100|5500100|1.5\n", "utf-8"),
    "byte order mark": ("X,Y,id,Au_ppb\n500000.25,5500000.5,a,0.5\n500100,5500100,b,1.5\n", "utf-8-sig"),
    "cp1252": ("id,X,Y,Au_ppb,Gestein\nä,500000.25,5500000.5,0.5,Körnung\nb,500100,5500100,1.5,x\n", "cp1252"),
    "windows line ends": ("id;X;Y;Au_ppb\r\na;500000.25;5500000.5;0.5\r\nb;500100;5500100;1.5\r\n", "utf-8"),
    "comma in a name": ("id;X;Y;Au_ppb;remark, if any\na;500000.25;5500000.5;0.5;-\nb;500100;5500100;1.5;-\n", "utf-8"),
    "quoted semicolon": ('id,X,Y,Au_ppb,"a;b;c;d;e"\na,500000.25,5500000.5,0.5,-\nb,500100,5500100,1.5,-\n', "utf-8"),
    "names of their own": ("Easting,NORTHING,Au_ppb\n500000.25,5500000.5,0.5\n500100,5500100,1.5\n", "utf-8"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
def test_every_kind_of_table_gives_the_same_points_and_values(tmp_path, kind):
    frame = read_layer(Source(text_file(tmp_path, *TABLES[kind]), crs="EPSG:32633"))
    assert coordinates(frame).tolist() == [[500_000.25, 5_500_000.5], [500_100, 5_500_100]]
    assert clean_samples(frame, {"Au_ppb": "ppb"})[0]["Au_ppb"].tolist() == [0.5, 1.5]
    assert not {"X", "Y"} & set(frame.columns)


def test_old_windows_text_keeps_its_letters(tmp_path):
    frame = read_layer(Source(text_file(tmp_path, *TABLES["cp1252"]), crs="EPSG:32633"))
    assert frame["id"].tolist() == ["ä", "b"]
    assert frame["Gestein"].tolist() == ["Körnung", "x"]


def test_kilometres_as_in_the_papers_table_become_metres(tmp_path):
    path = text_file(tmp_path, "X,Y,Ag,Au\n421.63,2416.85,0.078,0.54\n420.93,2416.80,0.06,0.81\n")
    frame = read_layer(Source(path, crs="EPSG:2383", xy_unit="km"))
    np.testing.assert_allclose(
        coordinates(frame), [[421_630, 2_416_850], [420_930, 2_416_800]], rtol=1e-12
    )


def test_degrees_are_wgs84_unless_another_crs_is_said(tmp_path):
    path = text_file(tmp_path, "lon,lat,Au\n15.0,50.0,1\n15.1,50.1,2\n")
    assert CRS(read_layer(Source(path, xy_unit="deg")).crs) == CRS(4326)
    assert CRS(read_layer(Source(path, xy_unit="deg", crs="EPSG:4269")).crs) == CRS(4269)
    assert coordinates(read_layer(Source(path, xy_unit="deg"))).tolist() == [
        [15.0, 50.0],
        [15.1, 50.1],
    ]


def test_columns_of_coordinates_may_be_named_in_any_case(tmp_path):
    path = text_file(tmp_path, "Rechts,Hoch,X,Au\n500000,5500000,9,1\n")
    frame = read_layer(Source(path, x="rechts", y="HOCH", crs="32633"))
    assert coordinates(frame).tolist() == [[500_000, 5_500_000]]
    assert "X" in frame.columns


def test_rows_without_coordinates_stay_and_have_no_place(tmp_path):
    frame = read_layer(Source(text_file(tmp_path, "x,y,Au\n1,2,3\n,5,6\n7,,9\n"), crs="EPSG:32633"))
    assert frame.geometry.isna().tolist() == [False, True, True]
    assert frame["Au"].tolist() == [3, 6, 9]


def test_a_filter_keeps_what_it_says(tmp_path):
    path = write_gpkg(tmp_path / "d.gpkg", deposits=deposit_points())
    assert read_layer(Source(path, where="name = 'B'"))["name"].tolist() == ["B"]


@pytest.mark.parametrize("name", ["d.gpkg", "d.shp", "d.geojson"])
def test_filtered_rows_keep_the_numbers_that_they_have_in_the_file(tmp_path, name):
    deposit_points().to_file(tmp_path / name)
    assert read_layer(Source(tmp_path / name, where="name = 'B'")).index.tolist() == [1]
    assert read_layer(tmp_path / name).index.tolist() == [0, 1]


def test_findings_name_the_rows_of_the_file_when_it_was_filtered(tmp_path):
    samples = pd.concat([sample_points()] * 4, ignore_index=True).assign(kind=list("ab") * 6)
    samples.geometry = [
        None if row == 7 else Point(500_000 + 90 * row, 5_500_000 + row % 5) for row in range(12)
    ]
    path = write_gpkg(tmp_path / "s.gpkg", samples=samples, deposits=deposit_points())
    read = {
        "samples": Source(path, "samples", where="kind = 'b'"),
        "deposits": Source(path, "deposits"),
    }
    checked, findings = check_survey(read_survey(read))
    assert findings.set_index("rule").loc["no geometry", "rows"] == "7"
    assert checked.samples.index.tolist() == list(range(5))


@pytest.mark.parametrize(
    ("path", "settings", "message"),
    [
        (
            "d.gpkg",
            {"query": "SELECT 1"},
            "query = 'SELECT 1' needs a database, and d.gpkg is a vector file: use where =",
        ),
        (
            "d.gpkg",
            {"x": "east"},
            "x = 'east' needs a table, and d.gpkg is a vector file: leave it out",
        ),
        (
            "d.parquet",
            {"query": "SELECT 1"},
            "needs a database, and d.parquet is a GeoParquet file: use where =",
        ),
        (
            "d.gpkg",
            {"header": 3},
            "header = 3 needs a table, and d.gpkg is a vector file: leave it out",
        ),
        (
            "d.csv",
            {"layer": "e"},
            "layer = 'e' needs a file of several layers, and d.csv is a text table: leave it out",
        ),
        (
            "postgresql://ann:secret@host/base",
            {"layer": "d", "where": "a = 1"},
            "put the condition into query =",
        ),
    ],
)
def test_settings_that_mean_nothing_for_a_source_are_refused_not_ignored(
    tmp_path, path, settings, message
):
    place = path if "://" in path else tmp_path / path
    if place != path:
        place.touch()
    found, code = refusal(Source(place, **settings))
    assert message in found
    assert "secret" not in found
    assert code == 2


def test_the_only_layer_of_a_geoparquet_file_may_be_named_as_init_names_it(tmp_path):
    pytest.importorskip("pyarrow", reason="GeoParquet needs the extra parquet")
    sample_points().to_parquet(tmp_path / "s.parquet")
    (layer,) = list_layers(tmp_path / "s.parquet")
    assert len(read_layer(Source(layer.path, layer.name))) == 3
    assert "leave it out" in refusal(Source(layer.path, "other"))[0]


def test_a_missing_file_is_missing_whatever_its_settings(tmp_path):
    assert "does not exist" in refusal(Source(tmp_path / "nope.csv", where="a = 1"))[0]


def test_a_filter_that_nothing_meets_is_named(tmp_path, survey_file):
    read = sources(survey_file, samples="samples", deposits="deposits")
    read["deposits"] = Source(survey_file, "deposits", where="name = 'XX'")
    with pytest.raises(
        DataError,
        match=r"no feature of the deposits layer of survey.gpkg meets where = \"name = 'XX'\"",
    ):
        read_survey(read)


def test_layers_are_found_in_any_case_and_the_only_one_needs_no_name(tmp_path, survey_file):
    assert len(read_layer(Source(survey_file, "SAMPLES"))) == 3
    only = write_gpkg(tmp_path / "only.gpkg", Proben=sample_points())
    assert len(read_layer(only)) == 3


def test_style_tables_of_qgis_are_no_layers(survey_file):
    pd.DataFrame({"styleName": ["x"]}).pipe(
        pyogrio.write_dataframe, survey_file, layer="layer_styles", append=False
    )
    assert [name for name, _ in layer_names(survey_file)] == ["samples", "deposits"]


# --- one metric CRS
# --------------------------------------------------------------------------------------------------


def test_layers_in_five_coordinate_systems_meet_at_the_same_place(tmp_path):
    path = write_gpkg(
        tmp_path / "mixed.gpkg", samples=sample_points(), deposits=deposit_points(4326), geology=geology_polygons(3857),
        faults=fault_lines(2056), area=geology_polygons(32632),
    )  # fmt: skip
    survey = read_survey(
        sources(
            path,
            samples="samples",
            deposits="deposits",
            geology="geology",
            faults="faults",
            study_area="area",
        )
    )
    assert set(survey.layers()) == {"samples", "deposits", "geology", "faults", "study_area"}
    assert {CRS(frame.crs) for frame in survey.layers().values()} == {CRS(UTM)} == {survey.crs}
    np.testing.assert_allclose(coordinates(survey.samples), XY, rtol=0, atol=1e-6)
    np.testing.assert_allclose(coordinates(survey.deposits), XY[:2], rtol=0, atol=0.01)
    assert shapely.hausdorff_distance(survey.faults.geometry[0], fault_lines().geometry[0]) < 2
    assert {finding.layer for finding in survey.findings} == {
        "deposits",
        "geology",
        "faults",
        "study_area",
    }
    assert sum("reprojected" in finding.done for finding in survey.findings) == 4
    # Swiss coordinates far east of Switzerland are allowed, and said.
    assert [
        finding.layer for finding in survey.findings if finding.rule == "outside the area of use"
    ] == ["faults"]


def test_a_survey_in_degrees_goes_to_its_utm_zone_and_that_is_said(tmp_path):
    path = write_gpkg(
        tmp_path / "deg.gpkg", samples=sample_points(4326), deposits=deposit_points(4326)
    )
    survey = read_survey(sources(path, samples="samples", deposits="deposits"))
    assert survey.crs == CRS(UTM)
    np.testing.assert_allclose(coordinates(survey.samples), XY, rtol=0, atol=1e-3)
    said = survey.findings[0]
    assert (said.severity, said.layer, said.count) == ("fixed", "samples", 3)
    assert "degrees" in said.done
    assert "UTM zone 33N (EPSG:32633)" in said.done


def test_southern_surveys_get_southern_zones(tmp_path):
    path = text_file(tmp_path, "lon,lat,Cu\n139.5,-30.0,1\n139.6,-30.1,2\n")
    deg = Source(path, xy_unit="deg")
    survey = read_survey({"samples": deg, "deposits": deg})
    assert survey.crs == CRS(32754)
    expected = Transformer.from_crs(4326, 32754, always_xy=True).transform(
        [139.5, 139.6], [-30.0, -30.1]
    )
    np.testing.assert_allclose(
        coordinates(survey.samples), np.transpose(expected), rtol=0, atol=1e-3
    )


def test_a_survey_in_feet_goes_to_metres_and_that_is_said(tmp_path):
    points = gpd.GeoDataFrame(
        {"Cu": [1, 2]}, geometry=[Point(-74, 40.7), Point(-73.9, 40.8)], crs=4326
    ).to_crs(2263)
    path = write_gpkg(tmp_path / "feet.gpkg", samples=points, deposits=points)
    survey = read_survey(sources(path, samples="samples", deposits="deposits"))
    assert [axis.unit_name for axis in survey.crs.axis_info] == ["metre", "metre"]
    assert "US survey foot" in survey.findings[0].done
    assert points.to_crs(survey.crs).distance(survey.samples).max() < 0.01


def test_the_crs_asked_for_is_used_and_said(survey_file):
    survey = read_survey(
        sources(survey_file, samples="samples", deposits="deposits"), crs="EPSG:3035"
    )
    assert survey.crs == CRS(3035)
    assert "as asked" in survey.findings[0].done
    np.testing.assert_allclose(
        coordinates(survey.samples), coordinates(sample_points(3035)), atol=1e-6
    )


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:2263"])
def test_a_target_without_metres_is_refused(survey_file, crs):
    with pytest.raises(
        DataError, match=f"crs = {crs} is not a projected CRS in metres: name one, such as the UTM"
    ):
        read_survey(sources(survey_file, samples="samples", deposits="deposits"), crs=crs)


def test_metres_that_are_called_degrees_are_refused(tmp_path):
    wrong = Source(text_file(tmp_path, TABLES["comma"][0]), crs="EPSG:4326")
    survey = read_survey({"samples": wrong, "deposits": wrong})
    with pytest.raises(
        DataError,
        match=r"do not lie on the Earth in WGS 84: they are no degrees\. Name the right CRS",
    ):
        require_accepted(check_survey(survey)[1])


def test_a_layer_read_alone_is_metric_too(tmp_path):
    path = write_gpkg(tmp_path / "deg.gpkg", faults=fault_lines(4326))
    assert CRS(metric_layer(path).crs) == CRS(UTM)
    assert CRS(metric_layer(path, CRS(3857)).crs) == CRS(3857)


# --- elements and classes
# --------------------------------------------------------------------------------------------


def test_elements_and_units_are_found_by_name(survey_file):
    survey = read_survey(
        sources(survey_file, samples="samples", deposits="deposits"), units={"Cu": "ppm"}
    )
    assert survey.elements == {"Au_ppb": "ppb", "Cu": "ppm"}


def test_elements_may_be_named_in_any_case_and_need_not_look_like_one(tmp_path):
    samples = sample_points().assign(assay7=1.5)
    path = write_gpkg(tmp_path / "s.gpkg", samples=samples, deposits=deposit_points())
    wanted = ["au_PPB", "ASSAY7"]
    survey = read_survey(sources(path, samples="samples", deposits="deposits"), elements=wanted)
    assert survey.elements == {"Au_ppb": "ppb", "assay7": ""}


def test_yes_and_no_are_no_element(tmp_path):
    samples = sample_points().assign(As=[True, False, True])
    path = write_gpkg(tmp_path / "s.gpkg", samples=samples, deposits=deposit_points())
    assert list(read_survey(sources(path, samples="samples", deposits="deposits")).elements) == [
        "Au_ppb",
        "Cu",
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"elements": ["Au_pbb"]},
            UsageError,
            'no element column "Au_pbb". Did you mean "Au_ppb"?',
        ),
        (
            {"units": {"cuu": "ppm"}},
            UsageError,
            'a column "cuu" that the samples lack. Did you mean "Cu"?',
        ),
        (
            {"crs": "EPSG:999999"},
            UsageError,
            '"EPSG:999999" is not a coordinate reference system: give an EPSG code',
        ),
    ],
)
def test_options_that_name_nothing_are_refused_with_the_nearest_name(
    survey_file, options, error, message
):
    with pytest.raises(error) as caught:
        read_survey(sources(survey_file, samples="samples", deposits="deposits"), **options)
    assert message in str(caught.value)


def test_samples_without_elements_are_refused_with_their_columns(survey_file):
    message = r"named like a chemical element.*elements = \[\.\.\.\].*columns are: name"
    with pytest.raises(DataError, match=message) as caught:
        read_survey(sources(survey_file, samples="deposits", deposits="deposits"))
    assert caught.value.exit_code == 3


def test_the_class_column_is_found_or_named_in_any_case(tmp_path):
    geology = geology_polygons().assign(AGE="old")
    assert class_column(geology) == "Lithology"
    assert class_column(geology, "age") == "AGE"
    assert class_column(geology[["id", "geometry"]].assign(Ort="x")) == "Ort"
    assert class_column(geology.rename(columns={"Lithology": "地层", "AGE": "x"})) == "地层"
    with pytest.raises(
        UsageError, match=r'the geology has no column "Litology"\. Did you mean "Lithology"\?'
    ):
        class_column(geology, "Litology")
    with pytest.raises(
        DataError, match="no column that can hold class names: name one of id, depth"
    ):
        class_column(geology[["id", "geometry"]].assign(depth=1.0))
    path = write_gpkg(
        tmp_path / "g.gpkg", samples=sample_points(), deposits=deposit_points(), geology=geology
    )
    survey = read_survey(sources(path, samples="samples", deposits="deposits", geology="geology"))
    assert survey.geology_column == "Lithology"


# --- what is refused
# -------------------------------------------------------------------------------------------------


def refusal(source, error=UsageError):
    with pytest.raises(error) as caught:
        read_layer(source)
    return str(caught.value), caught.value.exit_code


def test_a_missing_file_is_refused_with_the_nearest_name(survey_file):
    message, code = refusal(Source(survey_file.with_name("surwey.gpkg")))
    assert 'surwey.gpkg does not exist. Did you mean "survey.gpkg"?' in message
    assert code == 2


def test_a_missing_layer_is_refused_with_the_nearest_name(survey_file):
    message, code = refusal(Source(survey_file, "sample"))
    assert (
        message
        == 'survey.gpkg has no layer "sample". Did you mean "samples"? It has: samples, deposits.'
    )
    assert code == 2


def test_a_file_of_several_layers_needs_a_name(survey_file):
    assert (
        refusal(Source(survey_file))[0]
        == "survey.gpkg has 2 layers, name one of them: samples, deposits."
    )


def test_a_file_that_is_no_map_is_refused(tmp_path):
    path = text_file(tmp_path, "hello", name="notes.gpkg")
    assert "notes.gpkg does not begin as a .gpkg file does" in refusal(Source(path))[0]
    path = text_file(tmp_path, "hello", name="notes.kml")
    assert (
        "notes.kml is no vector file that can be read. GeoPackage, shapefile"
        in refusal(Source(path))[0]
    )


@pytest.mark.parametrize("name", ["s.gpkg", "s.geojson", "s.shp", "s.gml", "s.vrt", "s.fgb"])
def test_a_virtual_file_is_refused_under_any_name(tmp_path, name):
    """It could point at other files, and at addresses on the network."""
    secret = tmp_path / "secret.csv"
    secret.write_text("X,Y,Au\n1,2,3\n")
    text = (
        f"<OGRVRTDataSource><OGRVRTLayer name='secret'><SrcDataSource>{secret}</SrcDataSource>"
        "<GeometryType>wkbPoint</GeometryType><LayerSRS>EPSG:32633</LayerSRS>"
        "<GeometryField encoding='PointFromColumns' x='X' y='Y'/></OGRVRTLayer></OGRVRTDataSource>"
    )
    path = text_file(tmp_path, text, name=name)
    assert len(gpd.read_file(path)) == 1  # GDAL would open it
    said = refusal(Source(path))[0]
    assert "does not begin as" in said or "points elsewhere" in said


def test_a_table_without_geometry_is_refused(tmp_path):
    pyogrio.write_dataframe(pd.DataFrame({"Au": [1.0]}), tmp_path / "t.gpkg", layer="assays")
    message, code = refusal(Source(tmp_path / "t.gpkg"), DataError)
    assert 'layer "assays" of t.gpkg is a table without geometry' in message
    assert code == 3


def test_a_wrong_filter_is_refused_with_its_text(survey_file):
    assert (
        'where = "nonsense = 1"' in refusal(Source(survey_file, "samples", where="nonsense = 1"))[0]
    )


@pytest.mark.parametrize("name", ["s.gpkg", "s.shp"])
def test_files_without_a_crs_are_refused_until_it_is_said(tmp_path, name):
    nowhere = sample_points().set_crs(None, allow_override=True)
    nowhere.to_file(tmp_path / name)
    message, code = refusal(Source(tmp_path / name), DataError)
    assert "has no coordinate reference system" in message
    assert "--crs EPSG:32650" in message
    assert code == 3
    assert CRS(read_layer(Source(tmp_path / name, crs="EPSG:32633")).crs) == CRS(UTM)


def test_a_table_without_a_crs_is_refused(tmp_path):
    message, code = refusal(Source(text_file(tmp_path, TABLES["comma"][0])), DataError)
    assert message.startswith("samples.csv has no coordinate reference system")
    assert code == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": "Xkoord"}, 'samples.csv has no column "Xkoord".'),
        ({"y": "YY"}, 'no column "YY". Did you mean "Y"? Name it with --y'),
        ({"xy_unit": "mile"}, 'xy_unit "mile" is unknown: use one of m, km, deg'),
        ({"crs": "nowhere"}, '"nowhere" is not a coordinate reference system'),
        ({"where": "Gold > 1"}, 'cannot be read with where = "Gold > 1": no such column: Gold'),
        ({"query": "SELECT 1"}, "needs a database, and samples.csv is a text table"),
    ],
)
def test_table_options_that_cannot_be_are_refused(tmp_path, options, message):
    path = text_file(tmp_path, TABLES["comma"][0])
    assert message in refusal(Source(path, **{"crs": "EPSG:32633", **options}))[0]


def test_a_table_without_coordinates_is_refused_with_its_columns(tmp_path):
    path = text_file(tmp_path, "id,Au\na,1\n")
    message = refusal(Source(path, crs="EPSG:32633"))[0]
    assert "no pair of columns that look like coordinates (no x column among id, Au)" in message
    assert "Name them with --x and --y" in message


def test_text_in_a_coordinate_is_refused_with_row_and_value(tmp_path):
    path = text_file(tmp_path, "x,y,Au\n1,2,3\n1,unknown,4\n")
    message = refusal(Source(path, crs="EPSG:32633"), DataError)[0]
    start = (
        'samples.csv, row 3: coordinate "unknown" in column y is not a number (1 such rows of 2)'
    )
    assert message.startswith(start)


def test_an_empty_table_is_refused(tmp_path):
    assert (
        "samples.csv is not a table"
        in refusal(Source(text_file(tmp_path, ""), crs="EPSG:32633"), DataError)[0]
    )


@pytest.mark.parametrize("role", ["samples", "deposits"])
def test_samples_and_deposits_are_required(survey_file, role):
    given = sources(survey_file, samples="samples", deposits="deposits")
    del given[role]
    with pytest.raises(
        DataError, match=f"the survey has no {role}: samples and deposits are required"
    ):
        read_survey(given)


def test_an_empty_layer_is_refused_by_its_role_and_file(tmp_path):
    path = write_gpkg(
        tmp_path / "e.gpkg", samples=sample_points(), deposits=deposit_points().iloc[:0]
    )
    with pytest.raises(DataError, match=r"the deposits layer of e\.gpkg is empty") as caught:
        read_survey(sources(path, samples="samples", deposits="deposits"))
    assert caught.value.exit_code == 3


def test_crs_codes_may_be_bare_numbers():
    assert parse_crs("32633") == parse_crs(32633) == parse_crs("EPSG:32633") == CRS(UTM)


# --- which layer is what
# ---------------------------------------------------------------------------------------------


LANGUAGES = {
    "English": ("Stream_Sediments", "Mineral_Occurrences", "Bedrock", "FAULTS", "AOI"),
    "German": ("Bodenproben", "Lagerstaetten", "Gestein", "Störungen", "Untersuchungsgebiet"),
    "Spanish": ("Muestras", "Yacimientos", "Geologia", "Fallas", "Zona"),
    "French": ("Echantillons", "Gisements", "Lithologie", "Failles", "Perimetre"),
    "Finnish": ("näytteet", "esiintymät", "kallioperä", "siirrokset", "study"),
    "Chinese": ("化探样品", "矿点", "地层", "断裂", "研究区"),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("backwards", [False, True])
def test_roles_are_recognised_in_other_languages(tmp_path, language, backwards):
    names = LANGUAGES[language]
    one_shape = gpd.GeoDataFrame(
        {"text": ["x"]}, geometry=[geology_polygons().union_all()], crs=UTM
    )
    frames = [sample_points(), deposit_points(), geology_polygons(), fault_lines(), one_shape]
    pairs = list(zip(names, frames, strict=True))[:: -1 if backwards else 1]
    roads = pd.concat([fault_lines()] * 5)
    path = write_gpkg(tmp_path / "survey.gpkg", roads=roads, **dict(pairs))
    roles = recognise_layers(list_layers(path))
    assert {role: info.name for role, info in roles.items()} == dict(
        zip(("samples", "deposits", "geology", "faults", "study_area"), names, strict=True)
    )


def test_layers_without_telling_names_are_told_by_what_they_hold(tmp_path):
    outline = geology_polygons().dissolve()[["geometry"]]
    path = write_gpkg(
        tmp_path / "x.gpkg", layer1=outline, layer2=geology_polygons(), layer3=fault_lines(), layer4=deposit_points(),
        layer5=sample_points(),
    )  # fmt: skip
    roles = {role: info.name for role, info in recognise_layers(list_layers(path)).items()}
    assert roles == {
        "samples": "layer5", "deposits": "layer4", "geology": "layer2", "faults": "layer3", "study_area": "layer1",
    }  # fmt: skip


def test_deposits_may_be_polygons_and_the_point_layer_with_elements_is_the_samples(tmp_path):
    mines = gpd.GeoDataFrame({"name": ["pit"]}, geometry=[Point(XY[0]).buffer(50)], crs=UTM)
    path = write_gpkg(tmp_path / "x.gpkg", mines=mines, points=sample_points())
    roles = recognise_layers(list_layers(path))
    assert {role: info.name for role, info in roles.items()} == {
        "samples": "points",
        "deposits": "mines",
    }


def test_points_without_elements_are_never_samples(tmp_path):
    path = write_gpkg(tmp_path / "x.gpkg", samples=deposit_points())
    assert "samples" not in recognise_layers(list_layers(path))


def test_empty_layers_play_no_role(tmp_path):
    path = write_gpkg(tmp_path / "x.gpkg", faults=fault_lines().iloc[:0], lines=fault_lines())
    assert recognise_layers(list_layers(path))["faults"].name == "lines"


def test_layers_of_mixed_geometry_are_judged_by_what_is_most_of_them(tmp_path):
    mixed = pd.concat([geology_polygons(), geology_polygons(), deposit_points()])
    path = write_gpkg(tmp_path / "x.gpkg", geology=gpd.GeoDataFrame(mixed, crs=UTM))
    assert [info.geometry for info in list_layers(path)] == ["polygon"]


def test_a_table_and_a_map_together_are_a_survey(tmp_path):
    table = text_file(tmp_path, TABLES["semicolon, decimal comma"][0], name="geochemistry.csv")
    mines = write_gpkg(tmp_path / "mines.gpkg", mines=deposit_points())
    found = recognise_layers([*list_layers(table), *list_layers(mines)])
    assert (found["samples"].path, found["deposits"].path) == (table, mines)
    info = found["samples"]
    assert (info.geometry, info.count, info.crs, info.elements) == (
        "point",
        2,
        None,
        {"Au_ppb": "ppb"},
    )


def test_a_look_at_a_layer_tells_size_crs_and_columns(survey_file):
    info = list_layers(survey_file)[0]
    assert (info.name, info.geometry, info.count, info.crs) == ("samples", "point", 3, "EPSG:32633")
    assert info.columns == ("sample_id", "Au_ppb", "Cu")
    assert info.text_columns == ("sample_id",)


def test_a_survey_lists_the_layers_it_has():
    survey = Survey(sample_points(), deposit_points(), faults=fault_lines())
    assert list(survey.layers()) == ["samples", "deposits", "faults"]
    assert survey.crs == CRS(UTM)


# --- real areas
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "epsg", "samples", "deposits", "elements"),
    [
        ("clb_finland", 3067, 1112, 26, 22),
        ("mtpainter_sa", 28354, 1333, 277, 41),
        ("murchison_wa", 28350, 92, 255, None),
    ],
)
def test_real_areas_are_recognised_and_read(real_area, name, epsg, samples, deposits, elements):
    path = real_area(name)
    roles = recognise_layers(list_layers(path))
    assert {role: info.name for role, info in roles.items()} == {
        role: role for role in ("samples", "deposits", "geology", "faults", "study_area")
    }
    survey = read_survey({role: Source(info.path, info.name) for role, info in roles.items()})
    assert (survey.crs, len(survey.samples), len(survey.deposits)) == (CRS(epsg), samples, deposits)
    assert survey.geology_column == "lithology"
    assert {finding.rule for finding in survey.findings} <= {"column of the classes"}
    assert {"Cu", "Zn"} <= set(survey.elements)
    assert not {"year", "sample_id", "LATITUDE", "lat_gda94", "depth"} & set(survey.elements)
    if elements:
        assert len(survey.elements) == elements
