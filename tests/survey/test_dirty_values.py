"""Dirty values, units and headers of real tables, a row a case: what is found, what is counted,
what is left.
"""

from dataclasses import dataclass, field

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from geomfaf.cli.main import main
from geomfaf.errors import UsageError
from geomfaf.run.project import load_project
from geomfaf.run.template import init_project
from geomfaf.survey.cleaning.check import check_survey
from geomfaf.survey.cleaning.element_columns import censoring_flags, clean_values, detection_limits
from geomfaf.survey.cleaning.findings import as_table
from geomfaf.survey.element_names import element_columns, parse_element
from geomfaf.survey.read import read_survey
from geomfaf.survey.recognise import list_layers, recognise_layers
from geomfaf.survey.survey import Source, Survey

NAN = np.nan
ORDINARY = np.round(np.geomspace(11, 97, 20), 1).tolist()
"""Twenty values that nothing is wrong with; a case's values stand before them."""


@dataclass(frozen=True)
class Dirty:
    """One column: its header and first values, the numbers they become, the findings (rule ->
    count).
    """

    name: str
    values: list
    numbers: list
    found: dict = field(default_factory=dict)
    header: str = "Cu_ppm"
    unit: str = "ppm"
    rest: tuple = tuple(ORDINARY)


NAMED_LIMIT, UNNAMED_LIMIT = "below detection", "below an unknown limit"
HALF_LOWEST = 5.5  # half of 11, the smallest of the ordinary values
LARGE = tuple(np.round(np.geomspace(1000, 9000, 20)).tolist())

CASES = [
    # text that is a number
    Dirty("numbers as text", ["12", " 13.5 ", "1.2e1", "+14", ".5e2", "15."], [12, 13.5, 12, 14, 50, 15]),
    Dirty("decimal commas", ["12,5", "0,75", "1,25e1"], [12.5, 0.75, 12.5], {"decimal commas": 3}, rest=(20, 30)),
    Dirty("decimal commas with three digits", ["12,5", "1,234"], [12.5, 1.234], {"decimal commas": 2}, rest=(20, 30)),
    Dirty("a decimal comma that begins with zero", ["0,123"], [0.123], {"decimal commas": 1}),
    Dirty("thousands beside decimal points", ["1,234", "12.5"], [1234, 12.5], {"thousands separators": 1}),
    Dirty("thousands with decimals", ["1,234.5", "12,345.75"], [1234.5, 12345.75], {"thousands separators": 2}),
    Dirty("thousands twice", ["1,234,567"], [1234567], {"thousands separators": 1}),
    Dirty("German thousands", ["1.234,5", "1.234", "7,5"], [1234.5, 1234, 7.5],
          {"thousands separators": 2, "decimal commas": 1}, rest=(20, 30)),
    Dirty("blanks as thousands", ["1 234", "12\u202f345,5", "1\u00a0234"], [1234, 12345.5, 1234],
          {"thousands separators": 3}),
    Dirty("Swiss thousands", ["1'234.5", "2\u2019345"], [1234.5, 2345], {"thousands separators": 2}),
    Dirty("1,234 where nothing tells", ["1,234", "7,891"], [NAN, NAN], {"ambiguous separator": 2}, rest=(20, 30)),
    Dirty("both signs as decimal signs", ["0,5", "0.5", "1,234"], [0.5, 0.5, NAN],
          {"decimal commas": 1, "ambiguous separator": 1}, rest=()),
    Dirty("Unicode minus", ["\u22120.02", "\u20130.02"], [0.01, 0.01], {"negative = below detection": 2}),
    Dirty("full-width digits", ["１２．５"], [12.5]),
    Dirty("blanks that do not break", ["\u00a012.5\u00a0", "13\u200b"], [12.5, 13]),
    # text that is no measurement
    Dirty("words for missing", ["n.a.", "-", "N/A", "null", "#N/A", "..", "not analysed"], [NAN] * 7, {"missing": 7}),
    Dirty("blanks", ["", "   ", None, NAN], [NAN] * 4, {"missing": 4}),
    Dirty("insufficient sample", ["I.S.", "no sample", "NSS"], [NAN] * 3, {"missing": 3}),
    Dirty("what cannot be read", ["five", "5-7", "~5", "5?", "(5)", "5 +- 1", "1/2"], [NAN] * 7, {"not a number": 7}),
    Dirty("a squared sign is no digit", ["5\u00b2"], [NAN], {"not a number": 1}),
    Dirty("digits of another script", ["\u0661\u0662"], [NAN], {"not a number": 1}),
    Dirty("two numbers in a cell", ["1 2", "5; 6", "1,2,3"], [NAN] * 3, {"not a number": 3}),
    Dirty("Indian grouping", ["12,34,567"], [NAN], {"not a number": 1}),
    Dirty("out of the range of numbers", ["1e400", "1e-400"], [NAN] * 2, {"not a number": 2}),
    Dirty("true is no number", [True, 12], [NAN, 12], {"not a number": 1}),
    Dirty("a date in a spreadsheet", [pd.Timestamp("2020-05-01"), 12], [NAN, 12], {"not a number": 1}),
    Dirty("hexadecimal and underscores", ["0x10", "1_000"], [NAN] * 2, {"not a number": 2}),
    # below and above
    Dirty("below a written limit", ["<0.05", "< 0,05", "<  5"], [0.025, 0.025, 2.5],
          {NAMED_LIMIT: 3, "decimal commas": 1}),
    Dirty("the sign behind", ["0.05<", "5 <"], [0.025, 2.5], {NAMED_LIMIT: 2}),
    Dirty("other signs of less", ["\u22645", "<=5", "less than 5", "\uff1c5"], [2.5] * 4, {NAMED_LIMIT: 4}),
    Dirty("several limits", ["<1", "<2", "<1", "<4"], [0.5, 1, 0.5, 2], {NAMED_LIMIT: 4}),
    Dirty("words for below", ["bdl", "B.D.L.", "tr", "nd", "N.D.", "<LOD", "< dl", "trace"], [HALF_LOWEST] * 8,
          {UNNAMED_LIMIT: 8}),
    Dirty("below zero is below an unknown limit", ["<0"], [HALF_LOWEST], {UNNAMED_LIMIT: 1}),
    Dirty("a negative limit in words is nonsense", ["<-5", ">-5"], [NAN] * 2, {"not a number": 2}),
    Dirty("above the range", [">10000", "> 10,000.0", "10000>", "\u226510000"], [10000] * 4,
          {"above range": 4, "thousands separators": 1}),
    Dirty("over range in words", ["over range"], [97], {"above range": 1}),
    Dirty("minus a detection limit", [-0.02, -0.001, -0.02], [0.01, 0.0005, 0.01], {"negative = below detection": 3}),
    Dirty("noise below zero", [-0.01 * i for i in range(1, 20)], [0.095] * 19, {"negative noise": 19}),
    Dirty("zeros", [0, 0.0, "0.00"], [HALF_LOWEST] * 3, {"zero = below detection": 3}),
    Dirty("only zeros", [0] * 5, [NAN] * 5, {"zero = below detection": 5}, rest=()),
    Dirty("only negatives", [-0.5] * 5, [0.25] * 5, {"negative = below detection": 5}, rest=()),
    Dirty("zeros and negatives only", [-0.5, 0], [0.25, 0.25],
          {"negative = below detection": 1, "zero = below detection": 1}, rest=()),
    Dirty("logarithms", [-0.3, 0.2, -1.1, 0.8, -0.7, 1.4, -2.2, 0.1], [NAN] * 8,
          {"no concentrations": 4, "missing": 8}, rest=()),
    # codes
    Dirty("negative nines", [-9999, -999, "-99", "-9999.99"], [NAN] * 4, {"sentinel": 4, "missing": 4}),
    Dirty("huge numbers", [1e30, 1.70141e38, np.inf, "inf"], [NAN] * 4, {"sentinel": 4}),
    Dirty("9999 thrice, far above the rest", [9999, 9999, 9999], [NAN] * 3, {"sentinel": 3}),
    Dirty("9999 once, a hundred times the rest", [9999], [NAN], {"sentinel": 1}),
    Dirty("9999 ppm of manganese is real", [9999, 9999, 9999], [9999] * 3, {"suspected sentinel": 3}, header="Mn_ppm",
          rest=LARGE),
    Dirty("999 once among its like is a value", [999], [999], rest=(800, 900, 1000, 1100)),
    # units
    Dirty("the column's own unit in the cells", ["12 ppm", "13ppm", "14 mg/kg"], [12, 13, 14]),
    Dirty("another unit in the cells", ["5000 ppb", "0.0012 %", "12"], [5, 12, 12], {"another unit in the cells": 2}),
    Dirty("a limit with a unit", ["<50 ppb", ">1%"], [0.025, 10000],
          {NAMED_LIMIT: 1, "above range": 1, "another unit in the cells": 2}),
    Dirty("the unit in the cells alone", ["12 ppm", "13 ppm", 14], [12, 13, 14], {"unit in the cells": 2}, "Cu"),
    Dirty("an unknown unit", ["5 oz/t", "5 g", "5 apples"], [NAN] * 3, {"not a number": 3}),
    Dirty("no unit said, ppm fits", [20, 30], [20, 30], {"unit guessed": 1}, "Cu", "ppm?"),
    Dirty("no unit said, ppb fits", [2, 3], [2, 3], {"unit guessed": 1}, "Au", "ppb?", (1, 2, 4)),
    Dirty("no unit said, % fits", [4.1, 5.2], [4.1, 5.2], {"unit guessed": 1}, "Fe2O3", "%?", (3, 6)),
    Dirty("no unit said, none fits", [2e7], [2e7], {"unit unknown": 1}, "Te", "", (1e7, 3e7)),
    Dirty("silver in ng/g that is in ug/g", [0.078, 0.06, 0.086, 0.043, 0.046, 0.033],
          [0.078, 0.06, 0.086, 0.043, 0.046, 0.033], {"implausible unit": 6}, "Ag ng/g", "ppb", ()),
    Dirty("gold in ppm that is in ppb", [1, 2, 3], [1, 2, 3], {"implausible unit": 3}, "Au_ppm", rest=()),
    Dirty("iron in ppm that is in %", [3, 4, 5], [3, 4, 5], {"implausible unit": 3}, "Fe_ppm", rest=()),
    Dirty("above range, then too rich to be below", ["<5"] * 5, [2.5] * 5, {NAMED_LIMIT: 5}, "Au_ppm", rest=(1,)),
    Dirty("a limit put in before", [0.5] * 12, [0.5] * 12, {"smallest value repeated": 12}),
]  # fmt: skip


def frame_of(columns):
    length = {len(values) for values in columns.values()}.pop()
    points = gpd.points_from_xy(np.arange(length) * 1000.0, np.zeros(length), crs=32633)
    return gpd.GeoDataFrame(
        {name: pd.Series(values) for name, values in columns.items()}, geometry=points
    )


def cleaned_and_found(frame, **options):
    found = []
    cleaned, learned = clean_values(frame, element_columns(frame.columns), found, **options)
    return cleaned, {known.column: known for known in learned}, as_table(found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_dirty_values(case):
    values = [*case.values, *case.rest]
    text = any(not isinstance(value, int | float) or isinstance(value, bool) for value in values)
    frame = frame_of({case.header: pd.Series(values, dtype=object if text else float)})
    before = frame.copy(deep=True)
    cleaned, learned, findings = cleaned_and_found(frame)
    pd.testing.assert_frame_equal(pd.DataFrame(frame), pd.DataFrame(before))
    np.testing.assert_allclose(cleaned[case.header][: len(case.values)], case.numbers, rtol=1e-12)
    np.testing.assert_allclose(cleaned[case.header][len(case.values) :], case.rest)
    assert {name: known.unit for name, known in learned.items()} == {case.header: case.unit}
    found = dict(zip(findings["rule"], findings["count"], strict=True))
    if "missing" not in case.found:
        found.pop("missing", None)
    assert found == case.found


def test_there_are_cases_enough():
    assert len(CASES) >= 45
    assert len({case.name for case in CASES}) == len(CASES)


HEADERS = {
    "AS_": ("As", ""),
    "IN_": ("In", ""),
    "AU_PPB_FA": ("Au", "ppb"),
    "Au-AA23 ppm": ("Au", "ppm"),
    "ME-MS61 Cu": ("Cu", ""),
    "CU (ug/g)": ("Cu", "ppm"),
    "mg/kg Cu": ("Cu", "ppm"),
    "Cu [mg kg^-1]": ("Cu", "ppm"),
    "Pb mg.kg-1": ("Pb", "ppm"),
    "wt.% Fe": ("Fe", "%"),
    "Fe2O3 %": ("Fe2O3", "%"),
    "Fe2O3(T)_%": ("Fe2O3", "%"),
    "TFe2O3": ("Fe2O3", ""),
    "Au\nppb": ("Au", "ppb"),
    "Au in ppb": ("Au", "ppb"),
    "As75_ppm": ("As", "ppm"),
    "Pb208": ("Pb", ""),
    " zn ": ("Zn", ""),
    "Ag_gpt": ("Ag", "ppm"),
    "Pd pg/g": ("Pd", "ppt"),
    "Zn Conc. (ppm)": ("Zn", "ppm"),
    "K_AR_ppm": ("K", "ppm"),
}
NO_HEADERS = (
    "NO|No|Sample_No|In_area|Year|ID|K_Ar|Sr87_86|U_Pb|P31|V1|S_1|Cu_Zn|Ag oz/t|conc_in_ppm|depth"
    " in m|Pb206|Er_no|Os_grid|as_received|total|Cu_rank|AU_ICP_PP"
).split("|")


@pytest.mark.parametrize("header", HEADERS)
def test_dirty_headers_that_name_an_element(header):
    element, unit = HEADERS[header]
    assert parse_element(header) == (element, unit)
    assert element_columns([header]) == {header: unit}


@pytest.mark.parametrize("header", NO_HEADERS)
def test_headers_that_only_look_like_an_element(header):
    assert element_columns([header, "remarks"]) == {}


# --- what several columns tell
# ---------------------------------------------------------------------------------------


def test_another_column_tells_what_a_comma_means():
    frame = frame_of({"Cu_ppm": ["1,234", "2,345", "20"], "Au_ppb": ["0,5", "1,5", "2,25"]})
    assert cleaned_and_found(frame)[0]["Cu_ppm"].tolist() == [1.234, 2.345, 20]
    frame = frame_of({"Cu_ppm": ["1,234", "2,345", "20"], "Au_ppb": ["0.5", "1.5", "<2.25"]})
    assert cleaned_and_found(frame)[0]["Cu_ppm"].tolist() == [1234, 2345, 20]


def test_the_user_tells_what_a_comma_means():
    frame = frame_of({"Cu_ppm": ["1,234", "2,345", "20"]})
    for decimal, expected in ((",", 1.234), (".", 1234)):
        assert cleaned_and_found(frame, decimal=decimal)[0]["Cu_ppm"][0] == expected
    with pytest.raises(UsageError, match='decimal ";" must be'):
        cleaned_and_found(frame, decimal=";")


def test_points_beside_decimal_commas_are_noticed_where_they_may_be_thousands():
    gold = ["0,5", "1,25", "2,75"]
    findings = cleaned_and_found(frame_of({"Au_ppb": gold, "Zn_ppm": [1.234, 2.5, 30.0]}))[
        2
    ].set_index("rule")
    assert findings.loc["points beside decimal commas", ["column", "count"]].tolist() == [
        "Zn_ppm",
        2,
    ]
    assert "1.234 may be 1234" in findings.loc["points beside decimal commas", "done"]
    for sure in ([0.5, 2.5, 30], [1.2345, 2.5, 30], [20, 30, 40], [1.2, 2.5, 30]):
        findings = cleaned_and_found(frame_of({"Au_ppb": gold, "Zn_ppm": sure}))[2]
        assert "points beside decimal commas" not in set(findings["rule"])


def test_a_decimal_comma_that_the_user_states_makes_points_thousands():
    frame = frame_of({"Zn_ppm": ["1.234", "50", "<5"], "Cu_ppm": ["1.234", "0.5", "<5"]})
    cleaned = cleaned_and_found(frame, decimal=",")[0]
    assert cleaned["Zn_ppm"][0] == 1234
    assert cleaned["Cu_ppm"][0] == 1.234  # 0.5 beside it is a decimal
    assert cleaned_and_found(frame)[0]["Zn_ppm"][0] == 1.234


def test_rows_are_those_of_the_source_after_others_were_dropped():
    frame = frame_of({"Cu_ppm": ["1", "x1", "3", "x2", *map(str, ORDINARY)]}).iloc[2:]
    assert cleaned_and_found(frame)[2].set_index("rule").loc["not a number", "rows"] == "3"


@pytest.mark.parametrize(
    ("columns", "aside", "times"),
    [
        ({"Zn_ppm": [50.0, 60, 70], "ZnO_%": [0.00622, 0.00747, 0.00871]}, "ZnO_%", "1 times"),
        ({"ZnO_%": [0.00622, 0.00747, 0.00871], "Zn_ppm": [50.0, 60, 70]}, "ZnO_%", "1 times"),
        ({"Cu_AAS_ppm": [10.0, 20, NAN], "Cu_ICP_ppm": [20.0, 40, 60]}, "Cu_AAS_ppm", "0.5 times"),
        ({"Cu_AAS_ppm": [10.0, 20, 30], "Cu_ICP_ppm": ["<5", "40", "60"]}, "Cu_ICP_ppm", "2 times"),
        ({"FeO_%": [3.0, 4, 5], "Fe2O3_%": [5.0, 6, 7]}, None, ""),
        ({"FeO_%": [3.0, 4, 5], "Cu_ppm": [5.0, 6, 7]}, None, ""),
    ],
)
def test_one_column_an_element_is_kept(columns, aside, times):
    _, learned, _ = cleaned_and_found(frame_of(columns))
    assert {name for name, known in learned.items() if known.aside} == ({aside} if aside else set())
    if aside:
        rule, reason = learned[aside].aside
        assert rule == "same element twice"
        assert times in reason


def test_the_paper_s_silver_is_caught_with_the_unit_that_fits():
    """Six rows of Table 1: "Au and Ag in ng/g, others in ug/g"."""
    names = "Ag Au B Sn Cu Ba Mn Pb Zn As Sb Hg Mo W Bi F".split()
    rows = """0.078 0.54 4 2.56 7 88 209 12 23 0.9 0.29 0.04 0.82 1.16 0.42 204
        0.06 0.81 3 3.74 5 885 305 33 22 0.58 0.36 0.04 0.82 1.11 1.41 222
        0.086 0.94 4 2.41 5 797 267 53 35 1.15 0.34 0.09 0.51 1.16 0.42 212
        0.043 0.81 3 1.52 5 1111 423 42 14 0.51 0.35 0.07 0.59 0.38 0.23 222
        0.046 0.37 2 1.65 6 941 498 38 17 0.53 0.31 0.02 0.57 0.33 0.61 222
        0.033 1.09 4 1.53 8 427 338 37 29 0.74 0.28 0.07 1.68 0.73 0.47 204"""
    table = np.array([line.split() for line in rows.splitlines()], float)
    frame, found = frame_of(dict(zip(names, table.T, strict=True))), []
    clean_values(frame, {name: "ppb" if name in ("Au", "Ag") else "ppm" for name in names}, found)
    assert [(one.rule, one.column, one.count) for one in found] == [("implausible unit", "Ag", 6)]
    assert "1,000 times below the upper crust's 53 ppb; ppm would fit" in found[0].done
    assert found[0].advice == 'if so: units = { "Ag" = "ppm" }'
    _, learned = clean_values(frame, dict.fromkeys(names, ""), [])
    units = {known.column: known.unit for known in learned}
    assert units == {name: "ppb?" if name == "Au" else "ppm?" for name in names}


# --- detection limits and replacement
# --------------------------------------------------------------------------------


def test_the_table_of_detection_limits():
    values = ["<1", "<2", "<1", "bdl", ">500", "10", "20", "n.a.", "0", "30"]
    frame = frame_of({"Au_ppb": values, "Cu_ppm": range(1, 11)})
    cleaned, learned, _ = cleaned_and_found(frame)
    table = detection_limits(Survey(cleaned, frame, checked=tuple(learned.values())))
    gold, copper = table.to_dict("records")
    assert gold == {
        "column": "Au_ppb", "element": "Au", "unit": "ppb", "values": 9, "below": 5, "share_below": 0.5556,
        "limits": "1 (2), 2 (1), 10 (2)", "unknown_limit": 2, "above": 1, "share_above": 0.1111,
        "upper_limits": "500 (1)",
    }  # fmt: skip
    assert (copper["below"], copper["limits"]) == (0, "")


def test_limits_can_be_given_by_element_column_or_file(tmp_path):
    frame = frame_of({"Au_ppb": ["bdl", "0", "<2", "10", "20"], "Cu_ppm": [0.0, 5, 6, 7, 8]})
    for limits in ({"Au": 3.0}, {"Au_ppb": 3.0}, {"Au ppm": 0.003}):
        cleaned = cleaned_and_found(frame, limits=limits)[0]
        np.testing.assert_allclose(cleaned["Au_ppb"], [1.5, 1.5, 1, 10, 20])
        assert cleaned["Cu_ppm"][0] == 2.5
    path = tmp_path / "limits.csv"
    path.write_text("Element;Limit;Unit\nAu;0.003;ppm\nCu;2;mg/kg\n", encoding="utf-8")
    cleaned = cleaned_and_found(frame, limits=path)[0]
    np.testing.assert_allclose(cleaned.iloc[0][["Au_ppb", "Cu_ppm"]].astype(float), [1.5, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metal,limit\nAu,1\n", "needs the columns element, limit"),
        ("element,limit\nAu,low\n", 'the limit "low" of Au is not a positive number'),
        ("element,limit,unit\nAu,1,oz\n", 'the unit "oz" of Au is unknown'),
    ],
)
def test_a_limit_file_that_cannot_be_used_is_refused(tmp_path, text, message):
    path = tmp_path / "limits.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        cleaned_and_found(frame_of({"Au_ppb": [1.0, 2]}), limits=path)
    with pytest.raises(UsageError, match=r"no\.csv does not exist"):
        cleaned_and_found(frame_of({"Au_ppb": [1.0, 2]}), limits=tmp_path / "no.csv")


@pytest.mark.parametrize(
    ("method", "expected"),
    [("half", 1.0), ("sqrt2", np.sqrt(2)), ("zero", 0.0), ("drop", NAN), ("multiplicative", 1.3)],
)
def test_what_stands_for_a_value_below_detection_is_chosen_by_name(method, expected):
    frame = frame_of({"Cu_ppm": ["<2", *map(str, ORDINARY)]})
    cleaned = cleaned_and_found(frame, replacement=method)[0]
    assert cleaned["Cu_ppm"][0] == pytest.approx(expected, nan_ok=True)
    np.testing.assert_allclose(cleaned["Cu_ppm"][1:], ORDINARY, rtol=2e-6)


def test_an_unknown_replacement_is_refused():
    with pytest.raises(UsageError, match='replacement "third" is unknown: use one of half, sqrt2'):
        cleaned_and_found(frame_of({"Cu_ppm": [1.0]}), replacement="third")


def test_ros_falls_back_where_too_little_was_measured():
    frame = frame_of({"Cu_ppm": ["<2", "<2", "3", "4"], "Zn_ppm": ["<2", "3", "4", "5"]})
    cleaned, _, findings = cleaned_and_found(frame, replacement="ros")
    assert cleaned["Cu_ppm"].tolist() == [1, 1, 3, 4]
    assert (findings["rule"] == "no regression").sum() == 2


def test_flags_say_what_each_value_stands_for():
    flags = censoring_flags(
        frame_of({"Cu_ppm": ["1", "<1", ">9", "", "-9999", "0", "-0.5", "x1"]}), ["Cu_ppm"]
    )
    words = [
        "measured",
        "below detection",
        "above range",
        "missing",
        "missing",
        "below detection",
        "below detection",
    ]
    assert flags["Cu_ppm"].tolist() == [*words, "unreadable"]


def test_limits_of_the_project_file_lie_beside_it_and_are_printed(tmp_path):
    samples = frame_of({"Au_ppb": ["bdl", "<3", *map(str, ORDINARY), *map(str, ORDINARY)]})
    samples.to_file(tmp_path / "survey.gpkg", layer="samples")
    samples.iloc[[3, 8, 12]][["geometry"]].to_file(tmp_path / "survey.gpkg", layer="deposits")
    init_project([tmp_path / "survey.gpkg"], tmp_path / "geomfaf.toml")
    toml = tmp_path / "geomfaf.toml"
    toml.write_text(
        toml.read_text().replace(
            "[check]", '[check]\ndetection_limits = "limits.csv"\nreplacement = "sqrt2"'
        )
    )
    (tmp_path / "limits.csv").write_text("element,limit\nAu,2\n")
    project = load_project(toml)
    checked, _ = check_survey(project.read(), **project.stage("check"))
    assert checked.samples["Au_ppb"][:2].tolist() == pytest.approx([2 / np.sqrt(2), 3 / np.sqrt(2)])
    result = CliRunner().invoke(main, ["check", str(toml)])
    assert result.exit_code == 0, result.output
    assert "2 (1), 3 (1)" in result.stdout


# --- real areas
# ------------------------------------------------------------------------------------------------------


def checked_area(path):
    roles = recognise_layers(list_layers(path))
    raw = read_survey({role: Source(info.path, info.name) for role, info in roles.items()})
    checked, findings = check_survey(raw)
    return raw, checked, findings[findings["layer"] == "samples"]


def counts(findings, rule):
    here = findings[findings["rule"] == rule]
    return dict(zip(here["column"], here["count"], strict=True))


@pytest.mark.parametrize("area", ["clb_finland", "mtpainter_sa", "murchison_wa"])
def test_every_zero_negative_and_gap_of_the_areas_is_counted(real_area, area):
    raw, checked, findings = checked_area(real_area(area))
    values = raw.samples[list(raw.elements)]
    for rule, mask in (
        ("zero = below detection", values == 0),
        ("negative = below detection", values < 0),
        ("missing", values.isna()),
    ):
        expected = mask.sum()
        assert counts(findings, rule) == expected[expected > 0].to_dict()
    table = detection_limits(checked).set_index("column")
    assert table["below"].to_dict() == ((values == 0) | (values < 0)).sum().to_dict()


def test_the_units_of_the_areas_are_guessed_as_their_sources_say_them(real_area):
    for area, gold in (
        ("clb_finland", {}),
        ("mtpainter_sa", {"Au": "ppb?", "Te": ""}),
        ("murchison_wa", {}),
    ):
        raw, checked, findings = checked_area(real_area(area))
        units = {known.column: known.unit for known in checked.checked}
        assert units == {column: gold.get(column, "ppm?") for column in raw.elements}
        assert "implausible unit" not in set(findings["rule"])


def test_murchison_has_its_limits_in_the_table(real_area):
    table = detection_limits(checked_area(real_area("murchison_wa"))[1]).set_index("column")
    assert table.loc["Ag", "limits"] == "0.03 (92)"
    assert table.loc["Pt", "limits"] == "0.0005 (12)"
    assert table.loc["Ag", "share_below"] == 1
