"""Column names: which are elements, in which unit, and which only look like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomfaf.survey.element_names import OXIDES, SYMBOLS, element_columns, label, parse_element

PAPER = "Ag Au B Sn Cu Ba Mn Pb Zn As Sb Hg Mo W Bi F".split()
NO_ELEMENTS = (
    "No NO At Es He sample_no Sample_id In_area In_Study_Area ID Year lat lon name Easting Northing"
    " depth grain Cu_rank Cu_Zn Au_ppm_ppb fraction lon_gda94 material co_ordinate as_received"
).split()
SPELLINGS = {
    "ppm": ["ppm", "PPM", "mg/kg", "ug/g", "µg/g", "g/t"],
    "ppb": ["ppb", "ng/g", "ug/kg", "mg/t"],
    "%": ["%", "pct", "wt%"],
}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("Au", ("Au", "")),
        ("AU_PPB", ("Au", "ppb")),
        ("au ppb", ("Au", "ppb")),
        ("Cu (ug/g)", ("Cu", "ppm")),
        ("Cu_mg_kg", ("Cu", "ppm")),
        ("Au g/t", ("Au", "ppm")),
        ("ppm_Cu", ("Cu", "ppm")),
        ("Cuppm", ("Cu", "ppm")),
        ("Fe2O3 %", ("Fe2O3", "%")),
        ("Fe_pct", ("Fe", "%")),
        ("Hg [ng/g]", ("Hg", "ppb")),
        ("Au_ppb_FA", ("Au", "ppb")),
        ("cu_icp_ms_ppm", ("Cu", "ppm")),
        ("W", ("W", "")),
        (" zn ", ("Zn", "")),
    ],
)
def test_names_of_elements(column, expected):
    assert parse_element(column) == expected


@pytest.mark.parametrize(
    "column",
    [*NO_ELEMENTS, "", "  ", "%", "ppm", "Pb status"],
)
def test_names_that_only_look_like_elements(column):
    assert parse_element(column) is None


@given(
    st.sampled_from([*SYMBOLS, *OXIDES]),
    st.sampled_from([(unit, text) for unit, texts in SPELLINGS.items() for text in texts]),
    st.sampled_from(["{e}_{u}", "{e} ({u})", "{e} [{u}]", "{e}, {u}"]),
    st.sampled_from([str.upper, str.lower, str]),
)
def test_every_element_is_known_with_every_unit_in_every_case(element, unit, pattern, case):
    meaning, text = unit
    assert parse_element(case(pattern.format(e=element, u=text))) == (element, meaning)


def test_the_sixteen_elements_of_the_paper_are_found_beside_its_coordinates():
    assert element_columns(["X", "Y", *PAPER]) == dict.fromkeys(PAPER, "")


def test_y_is_yttrium_only_without_an_x():
    assert element_columns(["easting", "northing", "Y"]) == {"Y": ""}
    assert element_columns(["x", "y", "Cu"]) == {"Cu": ""}
    assert element_columns(["X", "Y_ppm"]) == {"Y_ppm": "ppm"}


def test_columns_keep_their_spelling_and_order():
    assert list(element_columns(["ZN_ppm", "id", "au_PPB", "Cu"])) == ["ZN_ppm", "au_PPB", "Cu"]


@pytest.mark.parametrize(
    ("column", "unit", "text"),
    [("AU_PPB", "ppb", "Au (ppb)"), ("cu", "", "Cu"), ("assay 7", "ppm", "assay 7 (ppm)")],
)
def test_labels_are_what_a_person_writes(column, unit, text):
    assert label(column, unit) == text
