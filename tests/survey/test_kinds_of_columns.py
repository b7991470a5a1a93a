"""Columns and layers of people: what is taken, what is left out, and that it is said."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from survey_tables import AU, CU, UTM, X, Y, deposits, faults, geology, write_csv

from geomfaf.errors import UsageError
from geomfaf.run.template import init_project
from geomfaf.survey.class_columns import class_candidates, class_column
from geomfaf.survey.cleaning.below_detection import negatives_are_own_limits
from geomfaf.survey.cleaning.check import check_survey
from geomfaf.survey.cleaning.parse_numbers import FLAG_NAMES, parse_column
from geomfaf.survey.commodities import main_commodities
from geomfaf.survey.element_names import element_columns, parse_element
from geomfaf.survey.filters import condition_on, offered_filters
from geomfaf.survey.line_kinds import without_other_lines
from geomfaf.survey.read import read_layer, read_survey
from geomfaf.survey.recognise import LayerInfo, recognise_survey
from geomfaf.survey.storable import storable, storable_names
from geomfaf.survey.survey import Source

RNG = np.random.default_rng(5)


def points(**columns):
    return gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(X, Y), crs=UTM)


def survey_file(folder, **layers):
    path = folder / "survey.gpkg"
    plain = {
        "samples": points(Au_ppb=AU, Cu_ppm=CU),
        "deposits": deposits(),
        "geology": geology(rock=["a", "b"] * 6),
    }
    for name, frame in {**plain, **layers}.items():
        frame.to_file(path, layer=name, driver="GPKG")
    return path


def checked(path, **settings):
    known = recognise_survey([path])
    return check_survey(
        read_survey(known.sources, findings=known.findings), min_sites=10, **settings
    )


def found(findings, rule):
    rows = findings[findings["rule"] == rule].to_dict("records")
    assert rows, f"{rule} is not among {sorted(set(findings['rule']))}"
    return rows[0]


# --- 1. column names and values that results cannot hold


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["name", "Name", "NAME"], ["name", "Name_2", "NAME_3"]),
        (["fid", "FID"], ["fid_old", "FID_old_2"]),
        (["geom", "geom_old"], ["geom_old_2", "geom_old"]),
        (["ogc_fid", "class", "index"], ["ogc_fid_old", "class", "index"]),
        (["a", "A_2", "A"], ["a", "A_2", "A_3"]),
    ],
)
def test_names_that_a_geopackage_cannot_hold_side_by_side(names, expected):
    assert storable_names(pd.Index([*names, "geometry"]), "geometry") == [*expected, "geometry"]


def test_deposits_with_impossible_columns_are_read_and_can_be_written(tmp_path):
    table = pd.DataFrame(
        {"name": ["a", "b"], "Name": ["c", "d"], "X": X[:2], "Y": Y[:2], "fid": [1, 1]}
    )
    read = read_layer(Source(write_csv(tmp_path, table), crs="EPSG:32650"))
    assert read.columns.tolist() == ["name", "Name_2", "fid_old", "geometry"]
    read.to_file(tmp_path / "out.gpkg", layer="deposits")
    assert gpd.read_file(tmp_path / "out.gpkg")["Name_2"].tolist() == ["c", "d"]


def test_lists_and_values_of_several_kinds_become_text():
    findings = []
    frame = deposits(3).assign(ores=[["Au", "Cu"], None, ["Ag"]], grade=[1, "high", 2.5])
    read = storable(frame, "deposits", findings)
    assert read["ores"].dropna().tolist() == ['["Au", "Cu"]', '["Ag"]']
    assert read["grade"].tolist() == ["1", "high", "2.5"]
    assert findings[0].rule == "values of several kinds"


# --- 4. columns and layers are not taken or dropped in silence


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("Au_TL43_ppb", ("Au", "ppb")), ("Cu_ppm_ME-MS61L", ("Cu", "ppm")), ("F_ION_PPM", ("F", "ppm")),
        ("U_NADNC_PPM", ("U", "ppm")), ("Sb_AASHY_PPM", ("Sb", "ppm")), ("Cu_1DX", ("Cu", "")),
        ("w(Au)/10-9", ("Au", "ppb")), ("w(Cu)/10^-6", ("Cu", "ppm")), ("Mg24", ("Mg", "")),
        ("P31_ppm", ("P", "ppm")), ("ppb_Au_FA50", ("Au", "ppb")), ("Cu_HF_ppm", ("Cu", "ppm")),
        ("P31", None), ("Pb206_204", None), ("Au_rank", None), ("Au_DL_ppb", None), ("As_of_2020", None),
        ("Cu_Zn", None), ("Au_std_ppb", None), ("Y_coord", None),
    ],
)  # fmt: skip
def test_methods_are_known_by_their_shape(column, expected):
    assert parse_element(column) == expected


def test_isotopes_of_one_letter_are_known_beside_others():
    assert list(element_columns(["Mg24", "Al27", "Cu65", "P31", "U238", "X9"])) == [
        "Mg24",
        "Al27",
        "Cu65",
        "P31",
        "U238",
    ]
    assert list(element_columns(["Cu65", "P31"])) == ["Cu65"]


def test_columns_that_begin_with_a_symbol_and_are_not_used_are_named(tmp_path):
    frame = points(Au_ppb=AU, Cu_ozt=CU, **{"Ag_oz/t": CU})
    findings = checked(survey_file(tmp_path, samples=frame))[1]
    assert found(findings, "columns not used")["done"].endswith(": Cu_ozt, Ag_oz/t")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"KARTBLAD": ["3921", "3922"], "BERGART": ["granit", "skiffer"]}, "BERGART"),
        ({"BLATT": ["1", "2"], "GESTEIN": ["Granit", "Schiefer"]}, "GESTEIN"),
        ({"GlobalID": ["{1}", "{2}"], "LITOLOGIA": ["granito", "basalto"]}, "LITOLOGIA"),
        ({"SOURCE": ["Sheet 1", "Sheet 2"], "LITHCODE": [10, 20]}, "LITHCODE"),
        ({"MAPSHEET_CODE": ["12", "13"], "ROCK": [1, 2]}, "ROCK"),
        ({"last_edit": pd.to_datetime(["2020-01-01", "2020-02-01"]), "LITHCODE": [10.0, 20.0]}, "LITHCODE"),
        ({"edited_on": ["2020-01-01", "2020-02-01"], "text": ["a", "b"]}, "text"),
        ({"STATE": ["NV", "NV"], "UNIT_LINK": ["a;0", "b;0"], "UNIT_NAME": ["Granite", "Basalt"]}, "UNIT_NAME"),
        ({"kivilajin_nimi": ["graniitti", "gneissi"], "nro": ["1", "2"]}, "kivilajin_nimi"),
        ({"порода": ["гранит", "сланец"], "x": ["1", "2"]}, "порода"),
        ({"Rock_Type": ["a", "b"], "Strat": ["c", "d"]}, "Rock_Type"),
    ],
)  # fmt: skip
def test_the_column_of_the_classes(columns, expected):
    frame = geology(**{name: list(values) * 6 for name, values in columns.items()})
    assert class_column(frame) == expected
    assert class_candidates(frame)[0][0] == expected


def test_a_choice_of_classes_that_no_name_tells_is_said(tmp_path):
    findings = checked(survey_file(tmp_path, geology=geology(A=["x", "y"] * 6, B=["u", "v"] * 6)))[
        1
    ]
    finding = found(findings, "column of the classes")
    assert "its name does not tell; others that could be: B" in finding["done"]


def test_whole_number_codes_are_classes_without_a_decimal(tmp_path):
    codes = geology(LITHCODE=[10.0, np.nan, 20.0] * 4)
    survey, _ = checked(survey_file(tmp_path, geology=codes))
    assert set(survey.geology["LITHCODE"].dropna()) == {"10", "20"}


def test_several_layers_that_could_be_the_samples_are_named(tmp_path):
    path = survey_file(tmp_path, soil_assays=points(Au_ppb=AU))
    finding = found(checked(path)[1], "several layers")
    assert finding["layer"] == "samples"
    assert "others that could be: soil_assays" in finding["done"]


@pytest.mark.parametrize("name", ["default", "Strategy", "clipart", "provinces", "restructure"])
def test_a_part_of_a_word_is_no_role(name):
    from geomfaf.survey.recognise import _ROLE_NAMES, _is_named

    info = LayerInfo("x", name, "line", 5, None, (), ())
    assert not any(_is_named(info, role) for role in _ROLE_NAMES)


def test_lines_that_a_column_says_to_be_no_faults_are_left_out():
    findings = []
    lines = faults(
        KIND=["Normal fault", "Contact", "faulted contact", "Map boundary"], n=[1, 2, 3, 4]
    )
    assert without_other_lines(lines, findings)["n"].tolist() == [1, 3]
    assert (findings[0].column, findings[0].count) == ("KIND", 2)
    assert len(without_other_lines(faults(KIND=["a", "b", "Contact", "d"]), [])) == 4


# --- 5. censored values


@pytest.mark.parametrize(
    ("text", "flag", "number"),
    [
        ("5.000N", "below detection", 5.0), ("1.000L", "below detection", 1.0), ("700G", "above range", 700.0),
        (".0000B", "missing", None), ("12H", "missing", None), ("N", "below detection", None),
        ("ND<0.5", "below detection", 0.5), ("<LOR", "below detection", None), ("n.n.", "below detection", None),
        ("u.N.", "below detection", None), ("n.b.", "missing", None), ("k.A.", "missing", None),
    ],
)  # fmt: skip
def test_letters_and_words_of_agencies(text, flag, number):
    parsed = parse_column(pd.Series(["7.5", text, "9.25"]))
    assert FLAG_NAMES[parsed.flags[1]] == flag
    if number is not None:
        assert parsed.numbers[1] == number


@pytest.mark.parametrize("heading", ["Cu_Q", "Q_Cu", "Cu_ppm_qual", "CU_QUALIFIER"])
def test_a_qualifier_column_makes_values_limits(tmp_path, heading):
    codes = ["<", "N", "L"] * 4 + [""] * 20 + ["G", "B", "E", " "]
    frame = points(Au_ppb=AU, Cu_ppm=np.full(36, 40.0) + np.arange(36), **{heading: codes})
    survey, findings = checked(survey_file(tmp_path, samples=frame), max_censored=0.9)
    copper = next(known for known in survey.checked if known.element == "Cu")
    assert (copper.below, copper.above, copper.values) == (12, 1, 35)
    assert survey.samples["Cu_ppm"].tolist()[:3] == [20.0, 20.5, 21.0]
    assert found(findings, "qualifier")["done"].startswith(f"column {heading} says")


@pytest.mark.parametrize("values", [["<", "x"], ["a", "b"], [1.0, 2.0]])
def test_a_column_that_holds_something_else_qualifies_nothing(tmp_path, values):
    frame = points(Au_ppb=AU, Cu_ppm=CU, Cu_Q=values * 18)
    survey, _ = checked(survey_file(tmp_path, samples=frame))
    assert next(known for known in survey.checked if known.element == "Cu").below == 0


def test_negative_values_that_are_each_their_own_limit(tmp_path):
    limits = -np.round(RNG.uniform(10, 60, 12))
    zinc = np.append(limits, np.round(RNG.lognormal(4.2, 0.5, 24)).clip(30))
    survey, findings = checked(survey_file(tmp_path, samples=points(Au_ppb=AU, Zn_ppm=zinc)))
    np.testing.assert_allclose(survey.samples["Zn_ppm"][:12], -limits / 2)
    assert "its own sample" in found(findings, "negative = below detection")["done"]


@pytest.mark.parametrize(("count", "rows"), [(5, 36), (8, 36), (17, 36), (40, 90)])
def test_limits_that_lie_all_below_the_values_are_limits(count, rows):
    values = np.round(np.geomspace(19, 90, rows), 1)
    values[:count] = -np.round(RNG.uniform(2, 9, count), 2)
    assert negatives_are_own_limits(values)


@pytest.mark.parametrize("kind", ["logarithms", "noise", "ratios"])
def test_what_runs_through_zero_is_no_limit(kind):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = {
            "logarithms": rng.normal(0.2, 1, 150),
            "noise": np.append(rng.normal(0, 0.3, 60), rng.lognormal(2, 0.5, 100)),
            "ratios": rng.normal(-2.5, 0.6, 150),
        }[kind]
        assert not negatives_are_own_limits(values)


def test_negatives_are_limits_where_the_settings_say_so(tmp_path):
    values = RNG.normal(0.2, 1, 36).round(2)
    path = survey_file(tmp_path, samples=points(Au_ppb=AU, Cu_ppm=values))
    survey, _ = checked(path, negatives="limits", max_censored=1)
    np.testing.assert_allclose(survey.samples["Cu_ppm"][values < 0], -values[values < 0] / 2)
    with pytest.raises(UsageError, match='negatives "limit" is unknown'):
        checked(path, negatives="limit")


# --- 7. media and controls


def test_standards_and_blanks_are_left_out_and_media_counted(tmp_path):
    medium = (
        ["Stream sediment"] * 24
        + ["ROCK"] * 6
        + ["STD_OREAS", "Blank", "CRM", "Field_Dup", "Standard", "BLK"]
    )
    survey, findings = checked(
        survey_file(tmp_path, samples=points(Au_ppb=AU, Cu_ppm=CU, SAMPLE_TYPE=medium))
    )
    assert len(survey.samples) == 31
    assert found(findings, "standards and blanks")["count"] == 5
    assert found(findings, "several media")["done"].startswith("2 kinds of samples")


def test_init_offers_to_keep_one_medium(tmp_path):
    frame = points(Au_ppb=AU, Cu_ppm=CU, MEDIUM=["Soil", "Rock", "Soil"] * 12)
    init_project([survey_file(tmp_path, samples=frame)], tmp_path / "p.toml")
    assert "# where = \"MEDIUM = 'Soil'\"   # Soil 24, Rock 12" in (tmp_path / "p.toml").read_text()


# --- 8. filters

COMMODITY = ["Au", "Au, Ag", "Cu", "U", "Cu;Au", "Ag", "Cu", "King's"]


@pytest.mark.parametrize(
    "column",
    ["commodity", "Main Commodity", "group", 'a "b"', "çü", "rowid", "100% metal", "type; or", "[kind]"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["gpkg", "csv", "shp"])
def test_the_filter_that_is_offered_works(tmp_path, column, kind):
    if kind == "shp" and column != "commodity":
        pytest.skip("a shapefile shortens the name: init reads the short one")
    frame = deposits().assign(**{column: COMMODITY})
    path = tmp_path / f"d.{kind}"
    if kind == "csv":
        table = frame.drop(columns="geometry").assign(X=frame.geometry.x, Y=frame.geometry.y)
        table.to_csv(path, index=False)
    else:
        frame.to_file(path)
    source = Source(path, crs="EPSG:32650" if kind == "csv" else None)
    offered = dict.fromkeys(
        condition for condition, _ in offered_filters(read_layer(source), "deposits")
    )
    condition = next(one for one in offered if "Au" in one)
    kept = read_layer(Source(path, crs=source.crs, where=condition))
    assert kept[column].tolist() == ["Au", "Au, Ag", "Cu;Au"]
    assert kept.index.tolist() == [0, 1, 4]


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        (["AU", "au", "Au", "cu"], 3), (["Gold and silver", "gold", "Copper", "Silver & gold"], 3),
        (["Cu-Zn", "Cu", "Ni", "Pb-Zn-Ag"], 2), (["Au (Ag)", "Au", "Cu"], 2), (["Au + Cu", "Au+Ag", "Ni"], 2),
        (["Au ", " Au", "Cu", None, ""], 2), (["oro y plata", "oro", "cobre"], 2), (["金、铜", "铜", "铜，锌", "金"], 3),
        (["Au", "gold", "GOLD", "iron oxide", "iron"], 3), (["King's", "King's", "Cu"], 2), (["Au\nAg", "Au", "Cu"], 2),
    ],
    ids=str,
)  # fmt: skip
def test_every_cell_that_names_the_commonest_kind_is_kept(tmp_path, cells, kept):
    frame = deposits().iloc[: len(cells)].drop(columns="name").assign(commodity=cells)
    condition, _ = offered_filters(frame, "deposits")[0]
    frame.to_file(tmp_path / "d.gpkg")
    found = read_layer(Source(tmp_path / "d.gpkg", where=condition))
    assert len(found) == kept
    # What is kept is of one kind: the check has nothing to say of a mixture.
    assert len(main_commodities(found)) == 1


def test_the_condition_that_the_check_advises_keeps_one_kind(tmp_path):
    frame = deposits().assign(**{"Main Commodity": COMMODITY}).drop(columns="name")
    path = survey_file(tmp_path, deposits=frame)
    advice = found(checked(path)[1], "several commodities")["advice"]
    condition = advice.split("such as ")[1]
    kept = read_layer(Source(path, "deposits", where=condition))
    assert len(main_commodities(kept)) == 1


@pytest.mark.parametrize("column", ["name", "Name", "FID", "geom"])
def test_names_that_results_cannot_hold_side_by_side_can_be_asked_for(tmp_path, column):
    table = (
        deposits()
        .drop(columns="geometry")
        .assign(Name="b", FID=range(8), geom="text", X=X[:8], Y=Y[:8])
    )
    table["name"] = ["D0", *["b"] * 7]
    path = write_csv(tmp_path, table)
    value = {"name": "'D0'", "Name": "'D0'", "FID": "0", "geom": "'text'"}[column]
    kept = read_layer(Source(path, crs="EPSG:32650", where=f"{column} = {value}"))
    assert len(kept) == (8 if column == "geom" else 1)


def test_uranium_is_no_part_of_gold():
    counts = offered_filters(
        deposits().drop(columns="name").assign(ore=["U", "U", "Au", "Cu", "U", "Au", "U", "Cu"]),
        "deposits",
    )
    assert counts == [(condition_on("ore", "U"), "U 4, Au 2, Cu 2")]


def test_findings_name_rows_as_a_gis_and_the_survey_do(tmp_path):
    frame = points(
        sample_no=[f"S{n:03d}" for n in range(36)], Au_ppb=["bad", *AU[1:35].astype(str), "worse"]
    )
    findings = checked(survey_file(tmp_path, samples=frame))[1]
    finding = found(findings, "not a number")
    assert (finding["rows"], finding["names"]) == ("0 35", "S000 (fid 1), S035 (fid 36)")
    read = gpd.read_file(tmp_path / "survey.gpkg", layer="samples", fid_as_index=True)
    assert read.loc[[1, 36], "sample_no"].tolist() == ["S000", "S035"]
