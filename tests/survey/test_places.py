"""Coordinates as people write and head them: which columns are taken, and which numbers come out."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from survey_tables import LAT, LON, UTM, X, Y, deposits, samples_table, write_csv, write_text

from geomfaf.errors import DataError, UsageError
from geomfaf.survey.coordinate_values import parse_coordinates
from geomfaf.survey.headings import coordinate_pairs
from geomfaf.survey.read import read_survey
from geomfaf.survey.recognise import recognise_survey
from geomfaf.survey.survey import Source


def read_with(folder, table, crs="EPSG:32650", **settings):
    """Read a table with deposits beside it; return the survey."""
    path = (
        write_csv(folder, table) if isinstance(table, pd.DataFrame) else write_text(folder, table)
    )
    mines = folder / "mines.gpkg"
    deposits().to_file(mines)
    sources = {"samples": Source(path, crs=crs, **settings), "deposits": Source(mines)}
    return read_survey(sources)


def offset(survey):
    """How far the samples lie from where they are, in metres."""
    points = survey.samples.to_crs(UTM).geometry
    here = points.notna().to_numpy()
    return np.hypot(points.x[here] - X[here], points.y[here] - Y[here]).max()


def rules(survey):
    return {finding.rule for finding in survey.findings}


# --- headings

METRES = [
    ("x", "y"), ("E", "N"), ("Easting (m)", "Northing (m)"), ("East (X)", "North (Y)"), ("UTME83", "UTMN83"),
    ("MGA_EAST", "MGA_NORTH"), ("EASTING_GDA94_Z50", "NORTHING_GDA94_Z50"), ("X_UTM", "Y_UTM"),
    ("Este", "Norte"), ("Rechtswert", "Hochwert"), ("ITÄ", "POHJOINEN"), ("Est", "Nord"), ("横坐标", "纵坐标"),
    ("CoordX", "CoordY"), ("centroid_x", "centroid_y"), ("X坐标", "Y坐标"), ("POINT_X", "POINT_Y"),
]  # fmt: skip
ANGLES = [
    ("LONGITUDE", "LATITUDE"), ("Longitud", "Latitud"), ("LONG_NAD83", "LAT_NAD83"), ("DecLong", "DecLat"),
    ("ORIG_X_LONGITUDE", "ORIG_Y_LATITUDE"), ("Longitude27", "Latitud27"), ("Lon (WGS84)", "Lat (WGS84)"),
    ("经度", "纬度"), ("долгота", "широта"), ("Länge", "Breite"), ("Longitude (°)", "Latitude (°)"),
]  # fmt: skip


@pytest.mark.parametrize("names", METRES, ids=" ".join)
def test_headings_of_metres_are_found(tmp_path, names):
    table = samples_table().rename(columns=dict(zip("XY", names, strict=True)))
    assert offset(read_with(tmp_path, table)) < 1e-6


@pytest.mark.parametrize("names", ANGLES, ids=" ".join)
def test_headings_of_degrees_are_found_and_yttrium_is_none_of_them(tmp_path, names):
    table = samples_table(X=LON, Y=LAT).rename(columns=dict(zip("XY", names, strict=True)))
    survey = read_with(tmp_path, table.assign(Y=21.7), crs="EPSG:4326", xy_unit="deg")
    assert offset(survey) < 0.01
    assert "Y" in survey.elements


@pytest.mark.parametrize(
    "columns",
    [["LONGITUDE", "Y", "Au"], ["E", "Au"], ["Year", "Long_name"], ["Easting", "LAT"], ["n", "Au"]],
)
def test_columns_of_two_styles_are_no_pair(columns):
    assert coordinate_pairs(columns) == []


def test_degrees_by_name_and_values_are_taken_as_such_under_a_projected_crs(tmp_path):
    survey = read_with(tmp_path, samples_table(X=None, Y=None, LONG_DD=LON, LAT_DD=LAT))
    assert offset(survey) < 0.01
    assert survey.crs.to_epsg() == UTM
    assert "degrees by name" in rules(survey)


@pytest.mark.parametrize(
    ("crs", "taken"),
    [("EPSG:32650", "Easting and Northing"), ("EPSG:4326", "LONGITUDE and LATITUDE")],
)
def test_of_two_pairs_the_one_that_suits_the_crs_is_taken(tmp_path, crs, taken):
    table = samples_table(X=None, Y=None, LONGITUDE=LON, LATITUDE=LAT, Easting=X, Northing=Y)
    survey = read_with(tmp_path, table, crs=crs)
    assert offset(survey) < 0.01
    finding = next(one for one in survey.findings if one.rule == "several coordinates")
    assert finding.done.startswith(f"{taken} are taken")


def test_values_decide_between_headings_of_one_name(tmp_path):
    table = samples_table(x=1.0, y=2.0)
    assert offset(read_with(tmp_path, table)) < 1e-6


def test_columns_may_be_named_and_half_a_pair_asks_for_the_other(tmp_path):
    table = samples_table(X=None, Y=None, right=X, up=Y)
    assert offset(read_with(tmp_path, table, x="right", y="up")) < 1e-6
    with pytest.raises(UsageError, match=r"right has no partner .* give both --x and --y"):
        read_with(tmp_path, table, x="right")
    with pytest.raises(UsageError, match=r"no pair of columns.*Name them with --x and --y"):
        read_with(tmp_path, table)


def test_a_survey_whose_coordinates_are_not_found_says_how_to_name_them(tmp_path):
    path = write_csv(tmp_path, samples_table(X=None, Y=None, right=X, up=Y))
    with pytest.raises(
        DataError, match=r"right, up.*no two of them look like coordinates.*--x and --y"
    ):
        recognise_survey([path], "EPSG:32650")
    mines = write_csv(tmp_path, samples_table().head(5)[["X", "Y"]], "mines.csv")
    known = recognise_survey([path, mines], "EPSG:32650", x="right", y="up")
    assert (known.sources["samples"].x, known.sources["deposits"].x) == ("right", None)


# --- values


def dms(values, letters):
    whole = np.floor(values).astype(int)
    minutes = (values - whole) * 60
    seconds = (minutes - np.floor(minutes)) * 60
    parts = zip(whole, np.floor(minutes).astype(int), seconds, strict=True)
    return [letters.format(d, m, s) for d, m, s in parts]


@pytest.mark.parametrize(
    ("form_x", "form_y"),
    [
        ("{}°{:02d}'{:.3f}\"E", "{}°{:02d}'{:.3f}\"N"),
        ("{} {:02d} {:.3f}", "{} {:02d} {:.3f}"),
        ("E{}d{:02d}m{:.3f}s", "N{}d{:02d}m{:.3f}s"),
        ("{}:{:02d}:{:.3f}", "{}:{:02d}:{:.3f}"),
        ("{}º {:02d}′ {:.3f}″ este", "{}º {:02d}′ {:.3f}″ norte"),
        ("东经{}度{:02d}分{:.3f}秒".removeprefix("东经"), "{}度{:02d}分{:.3f}秒"),
    ],
)
def test_degrees_minutes_and_seconds(tmp_path, form_x, form_y):
    table = samples_table(X=None, Y=None, LONGITUDE=dms(LON, form_x), LATITUDE=dms(LAT, form_y))
    assert offset(read_with(tmp_path, table, crs="EPSG:4326")) < 0.1


@pytest.mark.parametrize(
    ("write", "crs", "size"),
    [
        (lambda x: f"{x:,.0f}", "EPSG:32650", 1),
        (lambda x: f"{x:,.1f}", "EPSG:32650", 1),
        (lambda x: f"{x:,.0f}".replace(",", " "), "EPSG:32650", 1),
        (lambda x: f"{x:,.1f}".replace(",", "'"), "EPSG:32650", 1),
        (lambda x: f"{x:.1f}".replace(".", ","), "EPSG:32650", 1),
        (lambda x: f"{x / 1000:.3f}".replace(".", ","), "EPSG:32650", 1000),
    ],
)
def test_separators_are_read_as_the_ground_says(tmp_path, write, crs, size):
    table = samples_table(X=[write(x) for x in X], Y=[write(y) for y in Y])
    unit = {"xy_unit": "km"} if size == 1000 else {}
    assert offset(read_with(tmp_path, table, crs=crs, **unit)) < 0.6


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("116.5E", 116.5),
        ("70.25 W", -70.25),
        ("S 21 30", -21.5),
        ("-21 30 36", -21.51),
        ("21,5° S", -21.5),
    ],
)
def test_letters_of_the_hemispheres(text, number):
    assert parse_coordinates(pd.Series([text]), degrees=True)[0] == pytest.approx(number)


@given(
    st.floats(-180, 180, allow_nan=False),
    st.sampled_from(["{:.7f}", "{:+.7f}", " {:.7f} ", "{:.7f}°"]),
)
@example(-99.0, "{:.7f}")
def test_plain_degrees_are_themselves(value, form):
    assert parse_coordinates(pd.Series([form.format(value)]), True)[0] == pytest.approx(
        value, abs=1e-6
    )


@pytest.mark.parametrize(
    ("column", "kept"),
    [
        ([-99.0], True),
        ([-98.2, -99.0, -99.7], True),
        ([-102.5, -99.0], True),
        ([-99.0, 27.31, 27.4], False),
        ([-71.2, -99.0, -70.9], False),
        ([-9999.0, -98.2, -99.1], None),
    ],
)
def test_minus_99_is_a_longitude_where_the_others_lie_near_it(column, kept):
    for form in (pd.Series(column), pd.Series([str(value) for value in column])):
        numbers = parse_coordinates(form, degrees=True)
        expected = np.array(column)
        expected[np.isin(expected, [-9999.0] if kept in (True, None) else [-99.0])] = np.nan
        np.testing.assert_array_equal(numbers, expected)
    metres = parse_coordinates(pd.Series([400_000.0, -99.0]), degrees=False)
    assert np.isnan(metres[1])


@pytest.mark.parametrize("bad", [-9999, "unknown", "116 75 00", ""])
def test_one_bad_coordinate_costs_its_row(tmp_path, bad):
    values = X.astype(object)
    values[7] = bad
    survey = read_with(tmp_path, samples_table(X=values))
    assert survey.samples.geometry.isna().tolist() == [row == 7 for row in range(36)]
    assert ("coordinates that are no numbers" in rules(survey)) == (bad != "")
    assert offset(survey) < 1e-6


def test_a_column_of_bad_coordinates_is_refused_with_its_first_row(tmp_path):
    with pytest.raises(
        DataError, match=r'samples\.csv, row 2: coordinate "a" in column X .*--x and --y'
    ):
        read_with(tmp_path, samples_table(X=["a"] * 36))


def test_kilometres_in_the_heading_are_kilometres(tmp_path):
    survey = read_with(tmp_path, samples_table(X=None, Y=None, X_km=X / 1000, Y_km=Y / 1000))
    assert offset(survey) < 1e-6
    assert "kilometres" in rules(survey)


def test_rows_of_another_utm_zone_are_brought_over(tmp_path):
    edge = gpd.GeoSeries.from_xy(np.full(36, 117.0) + np.repeat([-0.1, 0.1], 18), LAT, crs=4326)
    here, there = edge.to_crs(32650), edge.to_crs(32651)
    zone = np.repeat([50, 51], 18)
    x, y = np.where(zone == 50, here.x, there.x), np.where(zone == 50, here.y, there.y)
    survey = read_with(tmp_path, samples_table(X=x, Y=y, UTM_Zone=[f"{z}N" for z in zone]))
    assert survey.samples.distance(here).max() < 0.01
    finding = next(one for one in survey.findings if one.rule == "another zone")
    assert (finding.severity, finding.count) == ("fixed", 18)


def test_a_column_zone_that_is_no_utm_zone_is_left_alone(tmp_path):
    survey = read_with(tmp_path, samples_table(ZONE=np.repeat([1, 2], 18)))
    assert offset(survey) < 1e-6


@pytest.mark.parametrize("srid", ["", "SRID=4326;"])
def test_shapes_written_in_a_column(tmp_path, srid):
    texts = [f"{srid}POINT ({x} {y})" for x, y in zip(LON, LAT, strict=True)]
    survey = read_with(
        tmp_path, samples_table(X=None, Y=None, geometry=texts), crs=None if srid else "EPSG:4326"
    )
    assert offset(survey) < 0.01
    hexes = list(gpd.points_from_xy(X, Y))
    table = samples_table(X=None, Y=None, the_geom=[shape.wkb_hex for shape in hexes])
    assert offset(read_with(tmp_path, table)) < 1e-6


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32630"])
@pytest.mark.parametrize("wrong", ["samples", "deposits"])
@pytest.mark.parametrize(("half", "lon", "lat"), [("west", -5.5, 40.0), ("south", 20.0, -30.0)])
def test_degrees_of_the_west_or_south_without_their_minus_are_told(
    tmp_path, crs, wrong, half, lon, lat
):
    if (half, crs) == ("south", "EPSG:32630"):
        crs = "EPSG:32734"
    sign = (-1, 1) if half == "west" else (1, -1)
    sources = {}
    for role, count in (("samples", 36), ("deposits", 8)):
        x, y = lon + (LON - LON.min())[:count], lat + (LAT - LAT.min())[:count]
        if role == wrong:
            x, y = x * sign[0], y * sign[1]
        table = samples_table(X=None, Y=None).head(count).assign(Longitude=x, Latitude=y)
        sources[role] = Source(write_csv(tmp_path, table, f"{role}.csv"), crs=crs)
    survey = read_survey(sources)
    advice = [one.advice for one in survey.findings if one.severity == "refused"]
    axis = "longitude" if half == "west" else "latitude"
    assert len(advice) == 1
    assert advice[0].startswith(f"the {axis}s of the {wrong} lack the minus of the {half}: write -")
    # What it says to do puts the layer right.
    path = sources[wrong].path
    heading = axis.capitalize()
    path.write_text(path.read_text().replace(heading, f"{heading} ({half[0].upper()})"))
    assert not [one for one in read_survey(sources).findings if one.severity == "refused"]
