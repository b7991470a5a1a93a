"""Neighbours of the kinds of situations: other agencies, languages, laboratories and habits of
writing. Each row is one way in which people have such data.
"""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from survey_tables import (
    AU,
    CU,
    LAT,
    LON,
    UTM,
    X,
    Y,
    deposits,
    faults,
    geology,
    samples_table,
    write_csv,
    write_text,
)

from geomfaf.errors import UsageError
from geomfaf.run.project import load_project
from geomfaf.survey.class_columns import class_column
from geomfaf.survey.cleaning.check import check_survey
from geomfaf.survey.cleaning.laboratory_words import BELOW
from geomfaf.survey.cleaning.media import drop_controls
from geomfaf.survey.cleaning.parse_numbers import parse_column
from geomfaf.survey.cleaning.qualifiers import qualifier_columns
from geomfaf.survey.coordinates import check_coordinates
from geomfaf.survey.element_names import element_columns, parse_element
from geomfaf.survey.headings import coordinate_pairs
from geomfaf.survey.line_kinds import without_other_lines
from geomfaf.survey.read import read_layer, read_survey
from geomfaf.survey.recognise import recognise_survey
from geomfaf.survey.survey import Source


def checked(folder, path, crs="EPSG:32650", **settings):
    mines = folder / "mines.gpkg"
    deposits().to_file(mines)
    known = recognise_survey([path, mines], crs)
    survey = read_survey(known.sources, findings=known.findings)
    return check_survey(survey, min_sites=10, **settings)


def place_of(table, folder, crs="EPSG:32650"):
    frame = read_layer(Source(write_csv(folder, table), crs=crs)).to_crs(UTM)
    return np.column_stack([frame.geometry.x, frame.geometry.y])


# --- 2. where the coordinates stand, and how they are written


@pytest.mark.parametrize(
    "names",
    [
        ("COORDENADA_X", "COORDENADA_Y"), ("Coordenada Este", "Coordenada Norte"), ("X-Koordinate", "Y-Koordinate"),
        ("ETRS-TM35FIN E", "ETRS-TM35FIN N"), ("横坐标X", "纵坐标Y"), ("NAT_East", "NAT_North"),
        ("Easting (UTM50N)", "Northing (UTM50N)"), ("Координата X", "Координата Y"), ("X_LAMB", "Y_LAMB"),
        ("X_L93", "Y_L93"), ("X_RD", "Y_RD"), ("Øst", "Nord"), ("Öst", "Norr"), ("CX", "CY"), ("Survey E", "Survey N"),
        ("LONGITUDE_NUM", "LATITUDE_NUM"), ("Longitude E", "Latitude N"), ("经度E", "纬度N"), ("center_lon", "center_lat"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_headings_of_coordinates(names):
    pairs = coordinate_pairs(["id", "Au_ppb", *names, "Cu_ppm"])
    assert [(pair.x, pair.y) for pair in pairs] == [names]


@pytest.mark.parametrize(
    "names", [("size_x", "size_y"), ("error_x", "error_y"), ("Cu_x", "Cu_y"), ("X_ray", "Yield")]
)
def test_headings_that_are_no_places(names):
    assert coordinate_pairs(["id", *names]) == []


def test_a_pair_that_only_its_shape_tells_is_said(tmp_path):
    table = samples_table(X=None, Y=None, **{"X_L93": X, "Y_L93": Y})
    _, findings = checked(tmp_path, write_csv(tmp_path, table))
    assert "X_L93 and Y_L93 are taken" in findings.set_index("rule").done["coordinates by shape"]


def parts_of(degrees):
    whole = np.floor(np.abs(degrees))
    minutes = np.floor(60 * (np.abs(degrees) - whole))
    return whole, minutes, np.round(3600 * (np.abs(degrees) - whole) - 60 * minutes, 2)


def written(form, degrees, letter):
    return [
        form.format(int(d), int(m), s, letter) for d, m, s in zip(*parts_of(degrees), strict=True)
    ]


@pytest.mark.parametrize(
    "form",
    [
        "{0}d{1}m{2}s{3}",
        "{0}.{1:02d}.{2:05.2f}",
        "{0:03d}{1:02d}{2:05.2f}",
        "{0:03d}{1:02d}{2:05.2f}{3}",
    ],
)
def test_degrees_minutes_and_seconds_in_one_cell(tmp_path, form):
    table = samples_table(
        X=None, Y=None, Longitude=written(form, LON, "E"), Latitude=written(form, LAT, "N")
    )
    np.testing.assert_allclose(
        place_of(table, tmp_path, "EPSG:4326"), np.column_stack([X, Y]), atol=1
    )


@pytest.mark.parametrize(
    "names", ["LON_DEG LON_MIN LON_SEC LAT_DEG LAT_MIN LAT_SEC", "longD longM longS latD latM latS"]
)
@pytest.mark.parametrize("half", [None, "S"])
def test_degrees_minutes_and_seconds_in_columns_of_their_own(tmp_path, names, half):
    parts = dict(zip(names.split(), [*parts_of(LON), *parts_of(LAT)], strict=True))
    letter = {} if half is None else {"LAT_DIR": ["S"] * 36}
    table = samples_table(X=None, Y=None, **parts, **letter)
    frame = read_layer(Source(write_csv(tmp_path, table), crs="EPSG:4326"))
    np.testing.assert_allclose(frame.geometry.x, LON, atol=1e-5)
    np.testing.assert_allclose(frame.geometry.y, -LAT if half else LAT, atol=1e-5)


def test_numbers_under_a_heading_of_the_west_are_negative(tmp_path):
    table = samples_table(X=None, Y=None, **{"Longitude (W)": 360 - LON - 200, "Latitude (S)": LAT})
    frame = read_layer(Source(write_csv(tmp_path, table), crs="EPSG:4326"))
    np.testing.assert_allclose(frame.geometry.x, LON - 160)
    np.testing.assert_allclose(frame.geometry.y, -LAT)


@pytest.mark.parametrize(
    ("form_x", "form_y"),
    [("{:.0f} m", "{:.0f} m"), ("{:.0f}mE", "{:.0f}mN"), ("E{:.0f}", "N{:.0f}")],
)
def test_metres_with_their_unit_or_axis(tmp_path, form_x, form_y):
    table = samples_table(X=[form_x.format(x) for x in X], Y=[form_y.format(y) for y in Y])
    np.testing.assert_allclose(place_of(table, tmp_path), np.column_stack([X, Y]), atol=0.6)


def test_points_that_group_thousands_are_seen_in_both_columns(tmp_path):
    table = samples_table(
        **{axis: [f"{v:,.0f}".replace(",", ".") for v in xy] for axis, xy in (("X", X), ("Y", Y))}
    )
    np.testing.assert_allclose(place_of(table, tmp_path), np.column_stack([X, Y]), atol=0.6)


@pytest.mark.parametrize(
    ("column", "form"),
    [("MGA_ZONE", "Zone {}"), ("UTM", "UTM {}N"), ("UTMZ", "Z{}"), ("ORIG_GRID", "MGA94_{}"), ("EPSG", "326{}"),
     ("CRS", "EPSG:326{}"), ("GRID", "WGS84_{}N")],
)  # fmt: skip
def test_zones_in_their_writings(tmp_path, column, form):
    points = shapely.points(X[::3], Y[::3])
    east = deposits().iloc[:0].geometry
    moved = type(east)(points, crs=UTM).to_crs(32651)
    x, y, zones = X.copy(), Y.copy(), np.full(36, 50)
    x[::3], y[::3], zones[::3] = moved.x, moved.y, 51
    table = samples_table(X=x, Y=y, **{column: [form.format(zone) for zone in zones]})
    np.testing.assert_allclose(place_of(table, tmp_path), np.column_stack([X, Y]), atol=0.1)


@pytest.mark.parametrize("datum", ["NAD27", "NAD83"])
def test_a_datum_is_no_zone(tmp_path, datum):
    table = samples_table(GRID=[datum] * 18 + ["WGS84"] * 18)
    np.testing.assert_allclose(place_of(table, tmp_path), np.column_stack([X, Y]))


@pytest.mark.parametrize(
    ("column", "form"),
    [("location", "{1}, {0}"), ("coordinates", "({1} {0})"), ("lon_lat", "{0},{1}"),
     ("geojson", '{{"type": "Point", "coordinates": [{0}, {1}]}}')],
)  # fmt: skip
def test_both_coordinates_in_one_cell(tmp_path, column, form):
    table = samples_table(
        X=None, Y=None, **{column: [form.format(*xy) for xy in zip(LON, LAT, strict=True)]}
    )
    np.testing.assert_allclose(
        place_of(table, tmp_path, "EPSG:4326"), np.column_stack([X, Y]), atol=0.1
    )


def test_how_words_were_read_is_said(tmp_path):
    table = samples_table(X=None, Y=None, Longitude=written("{0} {1} {2}", LON, "E"), Latitude=LAT)
    findings = checked(tmp_path, write_csv(tmp_path, table), "EPSG:4326")[1]
    assert findings.set_index("rule").done["coordinates in words"].startswith('"116 1 59.71" in')


# --- 4. columns of elements


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("Gold_ppb", ("Au", "ppb")), ("Copper (ppm)", ("Cu", "ppm")), ("Oro_ppb", ("Au", "ppb")), ("Cobre ppm", ("Cu", "ppm")),
        ("медь_мг/кг", ("Cu", "ppm")), ("Au_г/т", ("Au", "ppm")), ("w(Au)/(ng/g)", ("Au", "ppb")),
        ("Au(×10^-9)", ("Au", "ppb")), ("Cu_10-6", ("Cu", "ppm")), ("GE_ICM40Q12_Cu_ppm", ("Cu", "ppm")),
        ("Au1_ppb", ("Au", "ppb")), ("197Au_ppb", ("Au", "ppb")), ("Cu_ppm_HG-AAS", ("Cu", "ppm")),
        ("Hg_ppb_CV-AAS", ("Hg", "ppb")), ("Cu(ppm)_FireAssay", ("Cu", "ppm")), ("Cu_ppm_dissolved", ("Cu", "ppm")),
        ("Cu_LLD_ppm", None), ("Cu_threshold_ppm", None), ("Gold", None), ("Lead", None), ("Cu <", None),
        ("Cu_ppm_sgn", None), ("X1_ppm", None),
    ],
)  # fmt: skip
def test_headings_of_elements(column, expected):
    assert parse_element(column) == expected


def test_a_name_in_full_takes_the_unit_below_it(tmp_path):
    rows = "\n".join(f"{x},{y},{au},{cu}" for x, y, au, cu in zip(X, Y, AU, CU, strict=True))
    path = write_text(tmp_path, f"X,Y,Gold,Kupfer\n,,ppb,ppm\n{rows}\n")
    survey, _ = checked(tmp_path, path)
    assert [(known.element, known.unit) for known in survey.checked] == [
        ("Au", "ppb"),
        ("Cu", "ppm"),
    ]


# --- 5. values below detection


@pytest.mark.parametrize(
    "text",
    [
        "5 L", "L5", "N5", "N(5)", "L (5)", "<(5)", "nd (<5)", "nd(5)", "ND 5", "n.d. <5", "&lt;5", "BDL 5", "<L5", "<5*",
        "<5;", "< LOD (5)", "<DL(5)", "nd@5", "<5.", "under 5", "menor que 5", "inférieur à 5", "unter 5", "<5 (DL)",
        "5 (BDL)", "5 ND", "5nd", "<MDL 5", "менее 5", "＜5", "小于5", "mindre än 5", "5 <",
    ],
)  # fmt: skip
def test_below_a_limit_of_five(text):
    parsed = parse_column(pd.Series(["7.5", text, "9.25"]))
    assert (parsed.flags[1], parsed.numbers[1]) == (BELOW, 5.0)


@pytest.mark.parametrize(
    "text",
    [
        "u.d.N.",
        "<NG",
        "<",
        "non détecté",
        "н.о.",
        "не обн.",
        "ej påvisad",
        "LDM",
        "SLD",
        "alle d.l.",
    ],
)
def test_below_a_limit_that_is_not_said(text):
    parsed = parse_column(pd.Series(["7.5", text, "9.25"]))
    assert parsed.flags[1] == BELOW or text == "alle d.l."
    assert np.isnan(parsed.numbers[1])


@pytest.mark.parametrize("text", ["l5", "5-", "(5)", "K5", "five nd", "5 6 nd", "nd 5 7"])
def test_what_may_be_a_slip_is_no_number(text):
    parsed = parse_column(pd.Series(["7.5", text, "9.25"]))
    assert np.isnan(parsed.numbers[1])


@pytest.mark.parametrize(
    "heading",
    ["Cu_prefix", "Cu_op", "Cu_modifier", "Cu_R", "Cu_remark", "Cu <", "Cu_ppm_<", "Cu_BDL", "Cu_symbol", "QCu", "CuQ",
     "Cu_censored", "Cu_LessThan", "LT_Cu"],
)  # fmt: skip
@pytest.mark.parametrize("code", ["<", "<LOD", "less than", "bd"])
def test_qualifiers_by_their_names_and_codes(heading, code):
    table = pd.DataFrame({"Au_ppb": [1.0, 2.0], "Cu_ppm": [5.0, 6.0], heading: [code, ""]})
    elements = list(element_columns(table.columns))
    assert elements == ["Au_ppb", "Cu_ppm"]
    assert qualifier_columns(table, elements) == {"Cu_ppm": heading}


@pytest.mark.parametrize("yes", ["Y", "1", "TRUE", True, 1])
def test_a_column_of_yes_and_no_says_which_are_below(tmp_path, yes):
    no = {"Y": "N", "1": "0", "TRUE": "FALSE", True: False}[yes]
    table = samples_table(Cu_bdl=[yes] * 6 + [no] * 30)
    survey, _ = checked(tmp_path, write_csv(tmp_path, table))
    copper = next(known for known in survey.checked if known.element == "Cu")
    assert (copper.below, copper.values) == (6, 36)
    np.testing.assert_allclose(survey.samples["Cu_ppm"][:6], CU[:6] / 2)


@pytest.mark.parametrize("behind", [True, False])
def test_nameless_signs_belong_to_the_values_that_they_make_low(tmp_path, behind):
    sign = ["<"] * 9 + [""] * 27
    rows = []
    for row in zip(X, Y, sign, AU[::-1], CU, strict=True):
        x, y, mark, au, cu = row
        cells = [x, y, au, cu, mark] if behind else [x, y, au, mark, cu]
        rows.append(",".join(map(str, cells)))
    head = "X,Y,Au_ppb,Cu_ppm,\n" if behind else "X,Y,Au_ppb,,Cu_ppm\n"
    survey, _ = checked(tmp_path, write_text(tmp_path, head + "\n".join(rows) + "\n"))
    assert {known.element: known.below for known in survey.checked} == {"Au": 0, "Cu": 9}


def test_qualifiers_that_nobody_knows_are_said(tmp_path):
    table = samples_table(Cu_Q=["T", "-"] * 18)
    findings = checked(tmp_path, write_csv(tmp_path, table))[1]
    finding = findings.set_index("rule").loc["qualifiers not known"]
    assert (finding.column, '"-", "T"' in finding.done) == ("Cu_Q", True)


# --- 6. rows between the headings and the data, and long tables

LABORATORY = {
    "method above": "Method,,,FA,ICP\nSample,X,Y,Au,Cu\nUnits,m,m,ppb,ppm\n",
    "limits below": "Sample,X,Y,Au,Cu\nUnit,m,m,PPB,PPM\nDL,,,0.1,0.2\n",
    "five rows": "Method,,,1DX,1DX\nAnalyte,X,Y,Au,Cu\nUnit,m,m,PPB,PPM\nMDL,,,0.5,0.1\nSample Type,,,,\n",
    "symbols": "Analyte Symbol,X,Y,Au,Cu\nUnit Symbol,m,m,ppb,ppm\nDetection Limit,,,0.5,0.1\nUpper Limit,,,9000,9000\n",
    "detection": "ANALYTE,X,Y,Au,Cu\nMETHOD,,,FAI313,ICP40B\nDETECTION,,,1,0.5\nUNITS,,,PPB,PPM\n",
    "reporting": "Sample,X,Y,Au,Cu\n,m,m,ppb,ppm\nLOR,,,0.1,0.2\nMethod,,,FA,ICP\n",
}


@pytest.mark.parametrize("head", LABORATORY)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
def test_rows_of_methods_units_and_limits_are_no_samples(tmp_path, head, end):
    rows = [
        f"S{n},{x},{y},{au},{cu}" for n, (x, y, au, cu) in enumerate(zip(X, Y, AU, CU, strict=True))
    ]
    path = tmp_path / "samples.csv"
    path.write_bytes((LABORATORY[head] + "\n".join(rows) + "\n").replace("\n", end).encode())
    survey, _ = checked(tmp_path, path)
    assert [(known.element, known.unit) for known in survey.checked] == [
        ("Au", "ppb"),
        ("Cu", "ppm"),
    ]
    np.testing.assert_allclose(survey.samples.filter(like="Au").iloc[:, 0], AU)


@pytest.mark.parametrize(
    "names",
    ["SPECIES QVALUE UNITS", "ELEM ASSAY UNIT", "chem_symbol chem_value chem_unit", "PROPERTY RESULT UOM",
     "property quantity unit", "ATTRIBUTE VALUE UNITS", "Element Gehalt Einheit", "variable value unit",
     "Alkuaine Pitoisuus Yksikkö", "Symbol Reading Units", "what value unit"],
)  # fmt: skip
@pytest.mark.parametrize("gold", ["Au", "Gold"])
def test_long_tables_by_their_headings_or_by_what_they_hold(tmp_path, names, gold):
    element, value, unit = names.split()
    rows = [
        {"id": n, "X": x, "Y": y, element: name, value: number, unit: said}
        for n, (x, y, au, cu) in enumerate(zip(X, Y, AU, CU, strict=True))
        for name, number, said in ((gold, au, "ppb"), ("Cu", cu, "ppm"))
    ]
    survey, _ = checked(tmp_path, write_csv(tmp_path, pd.DataFrame(rows)))
    assert [(known.element, known.unit) for known in survey.checked] == [
        ("Au", "ppb"),
        ("Cu", "ppm"),
    ]
    np.testing.assert_allclose(survey.samples.filter(like="Cu").iloc[:, 0], CU)


def test_a_long_table_with_more_than_elements_and_limits_of_its_own(tmp_path):
    rows = [
        {"id": n, "X": x, "Y": y, "analyte": name, "value": number, "unit": said, "detection limit": limit}
        for n, (x, y, cu) in enumerate(zip(X, Y, CU, strict=True))
        for name, number, said, limit in (
            ("Cu", "ND" if n < 9 else cu, "ppm", 20), ("Zn", 2 * cu, "ppm", 1), ("pH", 7.1, "", ""), ("LOI", 3.5, "%", 0.1)
        )
    ]  # fmt: skip
    survey, _ = checked(tmp_path, write_csv(tmp_path, pd.DataFrame(rows)))
    assert [(known.element, known.below) for known in survey.checked] == [("Cu", 9), ("Zn", 0)]
    np.testing.assert_allclose(survey.samples["Cu_ppm"][:9], 10)


# --- 7. several layers of one role


def two_campaigns(folder, **second):
    path = folder / "survey.gpkg"
    table = samples_table(X=None, Y=None)
    points = gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(X, Y), crs=UTM)
    points.iloc[:18].to_file(path, layer="soils_2019")
    later = points.iloc[18:].rename(columns={"Au_ppb": "Au-AA23 ppm"})
    later["Au-AA23 ppm"] = (AU[18:] / 1000).round(5)
    later.assign(**second).to_crs(4326).to_file(path, layer="soils_2021")
    deposits().iloc[:5].to_file(path, layer="register_a")
    deposits().iloc[5:].to_file(path, layer="register_b")
    return path


def test_layers_are_joined_by_what_their_columns_hold(tmp_path):
    path = two_campaigns(tmp_path)
    (tmp_path / "geomfaf.toml").write_text(
        f'[samples]\npath = "{path.name}"\nlayers = ["soils_2019", "soils_2021"]\n'
        f'[deposits]\npath = "{path.name}"\nlayers = ["register_a", "register_b"]\n'
    )
    survey, findings = check_survey(load_project(tmp_path).read(), min_sites=10)
    np.testing.assert_allclose(survey.samples["Au_ppb"], AU, rtol=1e-3)
    np.testing.assert_allclose(survey.samples.geometry.x, X, atol=0.01)
    assert survey.samples["layer_of_origin"].value_counts().to_dict() == {
        "soils_2019": 18,
        "soils_2021": 18,
    }
    assert len(survey.deposits) == 8
    said = findings.set_index("rule")
    assert said.done["units differ"].startswith("Au is in ppm in layer soils_2021 and in ppb")
    assert (
        said.done["layers joined"] == "2 layers were joined: soils_2019 18, soils_2021 18"
    ).any()


def test_limits_that_differ_between_layers_are_said(tmp_path):
    path = tmp_path / "s.gpkg"
    for name, limit, rows in (("a", "<5", slice(0, 18)), ("b", "<10", slice(18, 36))):
        cells = [limit if n < 3 else str(cu) for n, cu in enumerate(CU[rows])]
        table = {"Cu_ppm": cells, "Au_ppb": AU[rows]}
        points = gpd.points_from_xy(X[rows], Y[rows])
        gpd.GeoDataFrame(table, geometry=points, crs=UTM).to_file(path, layer=name)
    deposits().to_file(tmp_path / "d.gpkg")
    sources = {"samples": Source(path, layers=("a", "b")), "deposits": Source(tmp_path / "d.gpkg")}
    findings = read_survey(sources).findings
    said = next(finding.done for finding in findings if finding.rule == "limits differ")
    assert said == "the detection limits of Cu differ: 5 in a, 10 in b"


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"layer": "a", "layers": ("a", "b")}, "layer and layers name the same"), ({"layers": ("a", "soil")}, 'no layer "soil"')],
)  # fmt: skip
def test_layers_that_cannot_be_are_refused(tmp_path, settings, message):
    deposits().to_file(tmp_path / "d.gpkg", layer="a")
    deposits().to_file(tmp_path / "d.gpkg", layer="b")
    with pytest.raises(UsageError, match=message):
        read_layer(Source(tmp_path / "d.gpkg", **settings))


@pytest.mark.parametrize(
    "kind",
    ["QAQC", "Standardprobe", "标准样", "Стандарт", "Холостая проба", "LABSTD", "NIST 2709", "Témoin", "Blanc", "Padrão",
     "STSD-1", "GSS-4", "Kontrollprov", "REF", "Std-A", "coarse blank"],
)  # fmt: skip
def test_kinds_of_samples_that_are_no_ground(kind):
    samples = gpd.GeoDataFrame(
        {"SAMPLE_TYPE": ["Soil", "Soil", kind]}, geometry=gpd.points_from_xy(X[:3], Y[:3]), crs=UTM
    )
    assert drop_controls(samples, [])["SAMPLE_TYPE"].tolist() == ["Soil", "Soil"]


@pytest.mark.parametrize("kind", ["Field duplicate", "Till", "SS", "Silt", "Control point"])
def test_kinds_of_samples_that_are_ground(kind):
    samples = gpd.GeoDataFrame(
        {"MEDIUM": ["Soil", "Soil", kind]}, geometry=gpd.points_from_xy(X[:3], Y[:3]), crs=UTM
    )
    assert len(drop_controls(samples, [])) == 3


@pytest.mark.parametrize(
    ("name", "kept"),
    [("OREAS 45e", False), ("GXR-1", False), ("BLANK", False), ("STD_2", False), ("CRM12", False), ("S012", True),
     ("Blanket Creek", True), ("STD12345", True)],
)  # fmt: skip
def test_samples_called_like_a_reference_material_are_left_out(name, kept):
    names = [*(f"S{number:03d}" for number in range(7)), name]
    samples = gpd.GeoDataFrame(
        {"SampleID": names}, geometry=gpd.points_from_xy(X[:8], Y[:8]), crs=UTM
    )
    found = []
    assert (name in drop_controls(samples, found)["SampleID"].tolist()) == kept
    assert [finding.rule for finding in found] == ([] if kept else ["standards and blanks"])


@pytest.mark.parametrize(
    ("fault", "other"),
    [("Faille", "Contour géologique"), ("Falla", "Eje de pliegue"), ("Fault", "Trend line"), ("FAULT", "FORM LINE"),
     ("Falha", "Dique"), ("Verwerfung", "Achse"), ("Zona de cizalla", "Contacto"), ("Skjærsone", "Bergartsgrense"),
     ("Deformationszon", "Bergartsgräns"), ("Lineament", "Isograd"), ("thrust", "foliation"), ("Fault", "Road")],
)  # fmt: skip
def test_lines_that_are_no_faults(fault, other):
    lines = faults(TYPE=[fault, other, fault, "?"])
    assert without_other_lines(lines, [])["TYPE"].tolist() == [fault, fault, "?"]


def test_one_class_is_no_map():
    assert (
        class_column(geology(rock=["granite"] * 12, GEOL_AGE=["Archean", "Cambrian"] * 6))
        == "GEOL_AGE"
    )


def test_kilometres_of_a_table_are_never_taken_for_grouped_metres(tmp_path):
    """400.721 and 2400.637 in one row are kilometres: read as 400,721 m east and 2,401 m north, the
    whole survey would lie on a line, unsaid.
    """
    table = samples_table(X=X / 1000 + 0.721, Y=Y / 1000 + 0.637)
    frame = read_layer(Source(write_csv(tmp_path, table), crs=f"EPSG:{UTM}"))
    finding = check_coordinates("samples", frame)
    assert finding is not None
    assert (finding.severity, finding.rule) == ("refused", "kilometres")
