"""Tables that are no plain tables: titles, units, several headings, packed, long; and two whole
files with every quirk of an agency and of a laboratory, read without an edit.
"""

import gzip
import sqlite3
import struct
import zipfile
from contextlib import closing

import numpy as np
import openpyxl
import pandas as pd
import pytest
from survey_tables import AU, CU, LAT, LON, UTM, X, Y, deposits, samples_table, write_text

from geomfaf.errors import DataError, UsageError
from geomfaf.survey.cleaning.check import check_survey
from geomfaf.survey.long_tables import from_long
from geomfaf.survey.read import read_layer, read_survey
from geomfaf.survey.recognise import list_layers, recognise_survey
from geomfaf.survey.survey import Source
from geomfaf.survey.tables import find_delimiter

ROWS = [
    f"S{n},{x:.0f},{y:.0f},{au},{cu}"
    for n, (x, y, au, cu) in enumerate(zip(X, Y, AU, CU, strict=True))
]
BODY = "\n".join(ROWS) + "\n"

HEADS = {
    "plain": "Sample,X,Y,Au_ppb,Cu_ppm\n",
    "units below": "Sample,X,Y,Au,Cu\n,m,m,ppb,ppm\n",
    "blank units of places": "Sample,X,Y,Au,Cu\n,,,ppb,ppm\n",
    "titles": "Survey of sheet 12\nLaboratory: invented, 2020\n\nSample,X,Y,Au_ppb,Cu_ppm\n",
    "remarks": "# exported 2020\n# datum WGS84\nSample,X,Y,Au_ppb,Cu_ppm\n",
    "method, element, unit": "Lab,Place,,Au-TL43,ME-ICP41\n,X,Y,Au,Cu\n,m,m,ppb,ppm\n",
    "units in brackets": "Sample,X,Y,Au,Cu\n,[m],[m],(ppb),(mg/kg)\n",
    "quoted commas": 'Sample,X,Y,"Au, ppb","Cu, ppm"\n',
    "unquoted commas": "Sample,X,Y,Au,ppb,Cu,ppm\n",
    "delimiters at the end": "Sample,X,Y,Au_ppb,Cu_ppm,,,\n",
}


@pytest.mark.parametrize("head", HEADS)
def test_headings_and_units_are_found(tmp_path, head):
    path = write_text(tmp_path, HEADS[head] + BODY)
    frame = read_layer(Source(path, crs="EPSG:32650"))
    assert len(frame) == 36
    np.testing.assert_allclose(frame.geometry.x, X, atol=0.5)
    survey = survey_with_deposits(tmp_path, path)
    assert sorted(survey.elements.values()) == ["ppb", "ppm"]
    np.testing.assert_allclose(survey.samples[list(survey.elements)], np.column_stack([AU, CU]))


@pytest.mark.parametrize("name", ["Fe2O3 %", "Fe2O3 (%)", "Fe2O3_%"])
def test_a_percent_sign_in_a_heading_is_a_unit_and_no_remark(tmp_path, name):
    path = write_text(tmp_path, f"# Sample,X,Y,Au_ppb,{name}\n" + BODY)
    survey = survey_with_deposits(tmp_path, path)
    assert survey.elements == {"Au_ppb": "ppb", name: "%"}
    assert survey.samples.columns[0] == "Sample"


def survey_with_deposits(folder, path, **settings):
    mines = folder / "mines.gpkg"
    deposits().to_file(mines)
    return read_survey(
        {"samples": Source(path, crs="EPSG:32650", **settings), "deposits": Source(mines)}
    )


@pytest.mark.parametrize(
    "settings", [{"header": 2, "units_row": 4}, {"header": 2}, {"skip": 1, "header": 2}], ids=str
)
def test_rows_can_be_named(tmp_path, settings):
    head = "numbers 1 2 3\nSample,X,Y,Au,Cu\n" + (
        "one,more,row,of,words\n" if "units_row" in settings else ""
    )
    path = write_text(tmp_path, head + ",m,m,ppb,ppm\n" + BODY)
    survey = survey_with_deposits(tmp_path, path, **settings)
    assert survey.elements == {"Au_ppb": "ppb", "Cu_ppm": "ppm"}
    assert len(survey.samples) == 36


def test_a_row_that_is_not_there_is_refused(tmp_path):
    path = write_text(tmp_path, HEADS["plain"] + BODY)
    with pytest.raises(DataError, match=r"samples\.csv: header = 900, and it has 37 rows"):
        read_layer(Source(path, crs="EPSG:32650", header=900))


@pytest.mark.parametrize("end", [",", ",,"])
def test_delimiters_at_the_end_of_every_row_do_not_shift_the_columns(tmp_path, end):
    path = write_text(tmp_path, HEADS["plain"] + BODY.replace("\n", f"{end}\n"))
    survey = survey_with_deposits(tmp_path, path)
    np.testing.assert_allclose(survey.samples["Au_ppb"], AU)


def test_row_numbers_without_a_heading_are_no_first_column(tmp_path):
    numbered = "\n".join(f'"{n}",{row}' for n, row in enumerate(ROWS, start=1)) + "\n"
    survey = survey_with_deposits(tmp_path, write_text(tmp_path, HEADS["plain"] + numbered))
    np.testing.assert_allclose(survey.samples["Cu_ppm"], CU)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEADS["plain"] + "a,b,".join(["", BODY.replace("\n", ",z\n")]),
            r"it has 6 cells, and the headings",
        ),
        (HEADS["plain"] + BODY + "S99,1,2,3,4,5\n", r"line 38: it has 6 cells"),
        ("", "is empty"),
    ],
)
def test_rows_that_disagree_with_the_headings_are_refused_with_both_counts(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_layer(Source(write_text(tmp_path, text), crs="EPSG:32650"))


@pytest.mark.parametrize(
    ("rows", "line"),
    [((0,), 2), ((30,), 32), (range(0, 36, 3), 2), (range(2, 36), 4), (range(36), 2), ((8000,), 8002)],
    ids=["first", "late", "a third", "most", "all", "far down"],
)  # fmt: skip
@pytest.mark.parametrize("cell", ["quartz, vein", "a, b, c"])
def test_a_comma_inside_a_cell_is_refused_with_its_line_and_the_way_out(tmp_path, rows, line, cell):
    count = max(36, max(rows) + 1)
    lines = ["Sample,Note,X,Y,Au_ppb,Cu_ppm"]
    for number in range(count):
        note = cell if number in rows else "ok"
        lines.append(ROWS[number % 36].replace(",", f",{note},", 1))
    path = write_text(tmp_path, "\n".join(lines) + "\n")
    found = (
        rf"samples\.csv, line {line}: it has {6 + cell.count(',')} cells, and the headings have 6"
    )
    with pytest.raises(DataError, match=found + r"\. A comma stands inside a cell .* in quotes"):
        read_layer(Source(path, crs="EPSG:32650"))


def test_decimal_commas_between_commas_are_refused_with_the_way_out(tmp_path):
    body = "\n".join(row.replace(".", ",") for row in ROWS) + "\n"
    path = write_text(tmp_path, HEADS["plain"] + body)
    with pytest.raises(DataError, match=r"cells, and the headings have 5\. .*a decimal comma"):
        read_layer(Source(path, crs="EPSG:32650"))


@pytest.mark.parametrize("row", [0, 7, 35])
def test_delimiters_at_the_end_of_one_row_are_nothing(tmp_path, row):
    lines = list(ROWS)
    lines[row] += ",,"
    path = write_text(tmp_path, HEADS["plain"] + "\n".join(lines) + "\n")
    frame = read_layer(Source(path, crs="EPSG:32650"))
    np.testing.assert_allclose(frame["Cu_ppm"], CU)
    assert list(frame.columns) == ["Sample", "Au_ppb", "Cu_ppm", "geometry"]


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize(("rows", "said"), [((20,), "1 row has"), ((20, 30), "2 rows have")])
def test_rows_that_end_early_are_said_with_their_line(tmp_path, rows, said, quoted):
    lines = list(ROWS)
    for row in rows:
        lines[row] = lines[row].rsplit(",", 1)[0]
    if quoted:
        lines = [line.replace(",", '","').join('""') for line in lines]
    path = write_text(tmp_path, HEADS["plain"] + "\n".join(lines) + "\n")
    survey = survey_with_deposits(tmp_path, path)
    done = " ".join(one.done for one in survey.findings)
    assert f"{said} fewer cells than there are headings (line 22: 4 of 5)" in done
    assert survey.samples["Cu_ppm"].isna().sum() == len(rows)


def test_rows_with_an_empty_last_cell_end_where_they_should(tmp_path):
    lines = list(ROWS)
    lines[20] = lines[20].rsplit(",", 1)[0] + ","
    path = write_text(tmp_path, HEADS["plain"] + "\n".join(lines) + "\n\n")
    survey = survey_with_deposits(tmp_path, path)
    assert not [one for one in survey.findings if "fewer cells" in one.done]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|", "  "])
def test_delimiters(tmp_path, sign):
    text = (HEADS["plain"] + BODY).replace(",", sign)
    assert find_delimiter(text) == (r"\s+" if sign == "  " else sign)
    frame = read_layer(Source(write_text(tmp_path, text, "t.txt"), crs="EPSG:32650"))
    np.testing.assert_allclose(frame["Cu_ppm"], CU)


@pytest.mark.parametrize("kind", ["csv.gz", "zip"])
def test_packed_tables(tmp_path, kind):
    content = (HEADS["units below"] + BODY).encode()
    path = tmp_path / f"samples.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("samples.csv", content)
    else:
        path.write_bytes(gzip.compress(content))
    assert [info.name for info in list_layers(path)] == ["samples"]
    assert len(read_layer(Source(path, crs="EPSG:32650"))) == 36


# --- numbers that a file says of itself


@pytest.mark.parametrize("flaw", ["no index", "half an index", "few rows said", "many rows said"])
def test_a_shapefile_whose_parts_disagree_is_read_and_left_as_it_is(tmp_path, flaw):
    deposits().to_file(tmp_path / "d.shp")
    part = tmp_path / ("d.shx" if "index" in flaw else "d.dbf")
    raw = part.read_bytes()
    said = {"few rows said": 3, "many rows said": 900}.get(flaw, 0)
    if flaw == "no index":
        part.unlink()
    else:
        part.write_bytes(
            raw[:-32] if "index" in flaw else raw[:4] + struct.pack("<I", said) + raw[8:]
        )
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert [info.count for info in list_layers(tmp_path / "d.shp")] == [8]
    frame = read_layer(Source(tmp_path / "d.shp"))
    assert frame["name"].tolist() == [f"D{n}" for n in range(8)]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("said", [3, 900])
@pytest.mark.parametrize("where", [None, "name <> 'D1'"])
def test_features_of_a_geopackage_are_counted_not_believed(tmp_path, said, where):
    path = tmp_path / "d.gpkg"
    deposits().to_file(path, layer="mines")
    with closing(sqlite3.connect(path)) as base:
        base.execute(f"UPDATE gpkg_ogr_contents SET feature_count = {said}")
        base.execute("UPDATE gpkg_contents SET min_x = 0, min_y = 0, max_x = 1, max_y = 1")
        base.commit()
    assert [info.count for info in list_layers(path)] == [8]
    frame = read_layer(Source(path, where=where))
    assert len(frame) == (8 if where is None else 7)
    assert frame.index.tolist() == [0, *range(1 if where is None else 2, 8)]


def workbook(path, sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def test_the_sheet_with_samples_is_found_under_its_merged_title(tmp_path):
    rows = [
        ["Survey of an area", None, None],
        [None],
        ["Sample", "X", "Y", "Au", "Cu"],
        [None, "m", "m", "ppb", "ppm"],
    ]
    rows += [
        [f"S{n}", x, y, au, cu] for n, (x, y, au, cu) in enumerate(zip(X, Y, AU, CU, strict=True))
    ]
    sheets = {
        "Read me": [["text"], ["more"]],
        "Data": rows,
        "Legend": [["code", "meaning"], ["Au", "gold"]],
    }
    path = workbook(tmp_path / "s.xlsx", sheets)
    deposits().to_file(tmp_path / "mines.gpkg")
    known = recognise_survey([path, tmp_path / "mines.gpkg"], "EPSG:32650")
    assert known.sources["samples"].layer == "Data"
    survey = read_survey(known.sources)
    assert survey.elements == {"Au_ppb": "ppb", "Cu_ppm": "ppm"}
    np.testing.assert_allclose(survey.samples["Au_ppb"].astype(float), AU)
    with pytest.raises(UsageError, match="3 sheets, name one of them with --sheet"):
        read_layer(Source(path, crs="EPSG:32650"))


# --- a row an analysis


def long_table(**changes):
    wide = samples_table()
    parts = []
    for column, element, unit in (("Au_ppb", "Au", "ppb"), ("Cu_ppm", "Cu", "ppm")):
        part = wide[["Sample", "X", "Y"]].assign(
            ANALYTE=element, VALUE=wide[column], UNITS=unit, METHOD="ICP"
        )
        parts.append(part)
    return pd.concat(parts, ignore_index=True).assign(**changes)


def test_a_long_table_becomes_a_row_a_sample(tmp_path):
    path = tmp_path / "long.csv"
    long_table().to_csv(path, index=False)
    survey = survey_with_deposits(tmp_path, path)
    assert survey.elements == {"Au_ppb": "ppb", "Cu_ppm": "ppm"}
    np.testing.assert_allclose(survey.samples["Au_ppb"].astype(float), AU)
    np.testing.assert_allclose(survey.samples["Cu_ppm"].astype(float), CU)
    assert "turned into 36 samples with 2 elements" in " ".join(one.done for one in survey.findings)


def test_a_long_table_keeps_units_qualifiers_and_the_method_with_the_lower_limit(tmp_path):
    long = long_table()
    long["VALUE"] = long["VALUE"].astype(object)
    long.loc[3, ["VALUE", "UNITS"]] = [AU[3] / 1000, "ppm"]
    long["QUALIFIER"] = ["<"] * 2 + [""] * 70
    coarse = long[long["ANALYTE"] == "Au"].assign(METHOD="AAS", VALUE="<50")
    path = tmp_path / "long.csv"
    pd.concat([coarse, long]).to_csv(path, index=False)
    checked, findings = check_survey(survey_with_deposits(tmp_path, path), min_sites=10)
    np.testing.assert_allclose(checked.samples["Au_ppb"][3], AU[3])
    np.testing.assert_allclose(checked.samples["Au_ppb"][:2], AU[:2] / 2)
    assert "Au by ICP is kept" in findings.set_index("rule").loc["several methods", "done"]


def test_a_plain_table_is_no_long_one():
    table = samples_table(element="granite", value=1.0)
    assert from_long(table, "samples", []) is table


# --- whole files that nobody prepared


def usgs_file():
    """Degrees west with hemispheres in the headings, qualifiers, negative limits, two media, codes."""
    rng = np.random.default_rng(8)
    zinc = np.round(np.geomspace(40, 200, 36))
    zinc[:9] = -np.round(rng.uniform(20, 60, 9))
    cells = {
        "LAB_ID": [f"C{n}" for n in range(36)],
        "LATITUDE": LAT,
        "LONGITUDE": LON,
        "PRIMARY_CLASS": ["sediment"] * 34 + ["standard", "blank"],
        "AU_PPB_FA_Q": ["N"] * 6 + [""] * 30,
        "AU_PPB_FA": np.where(np.arange(36) < 6, 2.0, AU + 3),
        "CU_PPM_ICP40_Q": ["L", "<"] + [""] * 33 + ["G"],
        "CU_PPM_ICP40": CU,
        "ZN_PPM_NAA": zinc,
        "Y_PPM": np.geomspace(10, 60, 36).round(1),
        "DATE_COLLECT": ["1978-07-02"] * 36,
    }
    lines = ["# National survey, release 3.1", "# all values as reported", ",".join(cells)]
    for row in zip(*cells.values(), strict=True):
        lines.append(",".join(str(cell) for cell in row) + ",")
    return "\n".join(lines) + "\n"


def laboratory_rows():
    """A certificate: title, client, methods, elements, units, limits; decimal commas; duplicates."""
    head = [
        ["CERTIFICATE XX20001234", None],
        ["Client: nobody", None],
        [None],
        ["SAMPLE", "Easting", "Northing", "Au-AA24", "ME-MS61L", "ME-MS61L", "QC TYPE"],
        ["DESCRIPTION", None, None, "Au", "Cu", "As", None],
        [None, "m", "m", "ppm", "ppm", "ppm", None],
    ]
    rows = []
    for n, (x, y, au, cu) in enumerate(zip(X, Y, AU, CU, strict=True)):
        gold = "<0,005" if au < 3 else f"{au / 1000:.4f}".replace(".", ",")
        copper = ">80" if cu > 80 else f"{cu:.1f}".replace(".", ",")
        rows.append(
            [
                f"S{n}",
                f"{x:,.0f}",
                f"{y:,.0f}",
                gold,
                copper,
                "n.a." if n == 4 else 5 + n % 7,
                "Sample",
            ]
        )
    rows.append(["OREAS 45", None, None, "0,015", "310", "8", "Standard"])
    rows.append(["BLK", None, None, "<0,005", "<1", "<1", "Blank"])
    return [*head, *rows]


def test_a_file_in_the_style_of_the_usgs(tmp_path):
    path = write_text(tmp_path, usgs_file(), "ngdb.txt")
    deposits().to_file(tmp_path / "mines.gpkg")
    known = recognise_survey([path, tmp_path / "mines.gpkg"], "EPSG:4326")
    survey, _ = check_survey(read_survey(known.sources, findings=known.findings), min_sites=10)
    assert len(survey.samples) == 34
    learned = {known.element: known for known in survey.checked}
    assert set(learned) == {"Au", "Cu", "Zn", "Y"}
    assert (learned["Au"].below, learned["Au"].limits, learned["Au"].unit) == (6, "2 (6)", "ppb")
    assert (learned["Cu"].below, learned["Zn"].below) == (2, 9)
    area = survey.samples.total_bounds
    np.testing.assert_allclose(area, [X.min(), Y.min(), X.max(), Y.max()], atol=1)


def test_a_laboratory_s_certificate(tmp_path):
    path = workbook(
        tmp_path / "certificate.xlsx", {"Results": laboratory_rows(), "Notes": [["a"], ["b"]]}
    )
    deposits().to_file(tmp_path / "mines.gpkg")
    known = recognise_survey([path, tmp_path / "mines.gpkg"], f"EPSG:{UTM}")
    survey, findings = check_survey(
        read_survey(known.sources, findings=known.findings), min_sites=10
    )
    assert len(survey.samples) == 36
    learned = {known.element: known for known in survey.checked}
    assert {name: known.unit for name, known in learned.items()} == dict.fromkeys(
        ("Au", "Cu", "As"), "ppm"
    )
    assert learned["Au"].below == (AU < 3).sum()
    assert learned["Cu"].above == (CU > 80).sum()
    gold = survey.samples[next(column for column in survey.elements if column.startswith("Au"))]
    np.testing.assert_allclose(gold, np.where(AU < 3, 0.0025, np.round(AU / 1000, 4)))
    assert survey.samples.geometry.x.tolist() == X.tolist()
    assert {"rows of the table", "no geometry"} <= set(findings["rule"])
