"""Checking: each flaw of real tables becomes one counted finding, and the caller's frames stay as
they were.
"""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import CRS
from shapely import GeometryCollection, LineString, MultiLineString, MultiPoint, Point, Polygon, box

from geomfaf.errors import DataError
from geomfaf.survey.cleaning.below_detection import SENTINELS
from geomfaf.survey.cleaning.check import check_survey, clean_layer, clean_samples
from geomfaf.survey.cleaning.findings import Finding, as_table, require_accepted
from geomfaf.survey.cleaning.geometry import median_spacing
from geomfaf.survey.read import read_survey
from geomfaf.survey.recognise import list_layers, recognise_layers
from geomfaf.survey.survey import Source, Survey, study_area_of_samples

UTM = 32633
SIDE = 7
STEP = 1000.0
SITES = SIDE * SIDE
EXTENT = box(-500, -500, SIDE * STEP - 500, SIDE * STEP - 500)


def frame(shapes, **columns):
    return gpd.GeoDataFrame(geometry=list(shapes), crs=UTM).assign(**columns)


def lattice():
    """49 sampled places, a kilometre apart, with two elements that nothing is wrong with."""
    points = [Point(col * STEP, row * STEP) for row in range(SIDE) for col in range(SIDE)]
    return frame(points, Au=np.arange(1.0, SITES + 1), Cu=np.linspace(5, 9, SITES))


def clean_survey(**changes):
    west, east = box(-500, -500, 3000, 6500), box(3000, -500, 6500, 6500)
    survey = Survey(
        samples=lattice(),
        deposits=frame([Point(250 * i, 300 * i) for i in range(1, 21)]),
        geology=frame([west, east], rock=["granite", "schist"]),
        faults=frame([LineString([(0, 0), (6000, 6000)])]),
        study_area=frame([EXTENT]),
        elements={"Au": "ppb", "Cu": "ppm"},
        geology_column="rock",
    )
    return replace(survey, **changes)


def with_gold(values):
    """Return the lattice with some of its gold values, from row 0 on, replaced."""
    samples = lattice()
    text = any(isinstance(value, str) or value is None for value in values)
    gold = samples["Au"].astype(object) if text else samples["Au"].copy()
    gold.iloc[: len(values)] = values
    return samples.assign(Au=gold)


def finding(findings, rule, layer=None, column=None):
    """Return the one finding of a rule (and layer, and column)."""
    here = findings[findings["rule"] == rule]
    here = here[here["layer"] == layer] if layer else here
    here = here[here["column"] == column] if column else here
    assert len(here) == 1, f"{len(here)} findings of {rule!r} among {findings['rule'].tolist()}"
    return here.iloc[0]


def summary(row):
    return row["severity"], row["layer"], row["column"], row["count"]


# --- nothing wrong, nothing touched
# ----------------------------------------------------------------------------------


def test_a_clean_survey_has_no_findings_and_stays_as_it_is():
    checked, findings = check_survey(clean_survey())
    assert len(findings) == 0
    assert list(findings.columns) == [
        "severity",
        "layer",
        "column",
        "rule",
        "count",
        "done",
        "advice",
        "rows",
        "names",
    ]
    assert len(checked.samples) == SITES
    assert checked.elements == {"Au": "ppb", "Cu": "ppm"}
    assert sorted(checked.samples["Au"]) == sorted(lattice()["Au"])
    assert len(checked.deposits) == 20
    require_accepted(findings)


def test_the_callers_frames_are_not_changed():
    bow_tie = Polygon([(0, 0), (2000, 2000), (2000, 0), (0, 2000)])
    samples = with_gold(["<0.05", "n.a.", -9999, -0.2, 0, None])
    samples.loc[SITES] = {"geometry": Point(0, 0, 5), "Au": 3.0, "Cu": 0.0}
    samples = samples.rename_geometry("geom")
    survey = clean_survey(
        samples=samples,
        deposits=frame(
            [Point(1e6, 0), None, MultiPoint([(1, 2), (3, 4)]), bow_tie], name=list("abcd")
        ),
        geology=frame([bow_tie, None, Point(0, 0)], rock=["a", "b", "c"]),
        study_area=None,
    )
    before = {role: layer.copy(deep=True) for role, layer in survey.layers().items()}
    check_survey(survey)
    for role, layer in survey.layers().items():
        # As bytes: what equality of an invalid polygon means differs between versions of geopandas.
        pd.testing.assert_frame_equal(layer.to_wkb(), before[role].to_wkb())
        assert layer.crs == before[role].crs
        assert layer.attrs == before[role].attrs == {}


# --- values
# ----------------------------------------------------------------------------------------------------------


VALUE_RULES = {
    "text": (["five", "5-7", "1.5"], "not a number", "fixed", 2, [np.nan, np.nan, 1.5]),
    "words": (["n.a.", "-", "1.5"], "missing", "noticed", 2, [np.nan, np.nan, 1.5]),
    "below a limit, as text": (
        ["<0.05", "< 5", "<0,5"],
        "below detection",
        "fixed",
        3,
        [0.025, 2.5, 0.25],
    ),
    "above the range": ([">10000", "> 20000", "7"], "above range", "fixed", 2, [10000, 20000, 7]),
    "decimal commas": (
        ["0,5", "1,25e1", "-0,02"],
        "negative = below detection",
        "fixed",
        1,
        [0.5, 12.5, 0.01],
    ),
    "negative": ([-0.02, -0.001, 7.0], "negative = below detection", "fixed", 2, [0.01, 0.0005, 7]),
    "zero": ([0.0, 0.0, 0.5], "zero = below detection", "fixed", 2, [0.25, 0.25, 0.5]),
    "infinite": ([np.inf, -np.inf, 3.0], "sentinel", "fixed", 2, [np.nan, np.nan, 3]),
    "missing": ([np.nan, 2.0, np.nan], "missing", "noticed", 2, [np.nan, 2, np.nan]),
    "blank text": (["", None, "2"], "missing", "noticed", 2, [np.nan, np.nan, 2]),
}


@pytest.mark.parametrize("case", VALUE_RULES)
def test_values_that_are_no_measurements(case):
    values, rule, severity, count, expected = VALUE_RULES[case]
    cleaned, findings = clean_samples(with_gold(values), {"Au": "ppb", "Cu": "ppm"})
    assert summary(finding(findings, rule)) == (severity, "samples", "Au", count)
    assert cleaned["Au"].dtype == float
    np.testing.assert_allclose(cleaned["Au"][: len(values)], expected)
    np.testing.assert_allclose(cleaned["Au"][len(values) :], lattice()["Au"][len(values) :])
    assert cleaned["Cu"].equals(lattice()["Cu"])


@pytest.mark.parametrize("sentinel", SENTINELS)
def test_sentinels_mean_not_measured(sentinel):
    cleaned, findings = clean_samples(with_gold([sentinel, 4.0, sentinel]), {"Au": "ppb"})
    assert summary(finding(findings, "sentinel")) == ("fixed", "samples", "Au", 2)
    assert f"{sentinel:g} means not measured" in finding(findings, "sentinel")["done"]
    assert cleaned["Au"].isna().tolist()[:4] == [True, False, True, False]


def test_whole_number_columns_are_cleaned_too():
    samples = lattice().assign(Pb=np.r_[-9999, 0, np.arange(2, SITES)])
    cleaned, findings = clean_samples(samples, {"Pb": "ppm"})
    assert np.isnan(cleaned["Pb"][0])
    assert cleaned["Pb"][1] == 1
    assert findings["count"].tolist() == [1, 1, 1]


def test_the_first_rows_with_a_flaw_are_named():
    values = [1.0, "x", 2.0, "x", "x", "x", "x", "x"]
    row = finding(clean_samples(with_gold(values), {"Au": ""})[1], "not a number")
    assert (row["count"], row["rows"]) == (6, "1 3 4 5 6")


def test_zeros_do_not_take_half_of_another_samples_limit():
    cleaned, _ = clean_samples(with_gold([0.0, -0.004, 0.5]), {"Au": ""})
    assert cleaned["Au"][:3].tolist() == [0.25, 0.002, 0.5]


def test_the_samples_have_only_positive_numbers_or_gaps_after_all_flaws_at_once():
    flaws = ["<1", -9999, -3, 0, None, "trace", np.inf, "7,5"]
    cleaned, _ = clean_samples(with_gold(flaws), {"Au": "", "Cu": ""})
    known = cleaned["Au"].dropna()
    assert (known > 0).all()
    assert np.isfinite(known).all()
    assert len(known) == SITES - 3  # -9999, None, inf


# --- which elements are left
# -----------------------------------------------------------------------------------------


def below_detection(share):
    return np.where(np.arange(SITES) < share * SITES, -0.5, np.arange(SITES) + 1.0)


def measured_at(count):
    return np.where(np.arange(SITES) < count, np.arange(SITES) + 1.0, np.nan)


@pytest.mark.parametrize(
    ("values", "rule", "count", "reason"),
    [
        (np.full(SITES, 3.0), "constant", 0, "all its values are the same"),
        (np.zeros(SITES), "mostly below detection", 49, "100 % of its values are below detection"),
        (measured_at(10), "too few values", 39, "measured at 10 of 49 places"),
        (
            below_detection(0.6),
            "mostly below detection",
            0,
            "61 % of its values are below detection",
        ),
    ],
)
def test_elements_that_cannot_carry_a_map_are_set_aside(values, rule, count, reason):
    survey = clean_survey(samples=lattice().assign(Hg=values), elements={"Au": "ppb", "Hg": "ppb"})
    checked, findings = check_survey(survey)
    row = finding(findings, rule)
    assert summary(row) == ("fixed", "samples", "Hg", count)
    assert row["done"] == f"Hg is set aside: {reason}"
    assert list(checked.elements) == ["Au"]
    assert "Hg" in checked.samples.columns
    require_accepted(findings)


def test_the_limits_for_setting_aside_can_be_chosen():
    survey = clean_survey(
        samples=lattice().assign(Hg=below_detection(0.6), Ag=measured_at(40)),
        elements={"Hg": "", "Ag": "", "Au": ""},
    )
    assert list(check_survey(survey)[0].elements) == ["Ag", "Au"]
    assert list(check_survey(survey, max_censored=0.7)[0].elements) == ["Hg", "Ag", "Au"]
    assert list(check_survey(survey, max_missing=0.1)[0].elements) == ["Au"]
    assert list(check_survey(survey, min_sites=45)[0].elements) == ["Au"]


def test_without_a_usable_element_the_survey_is_refused():
    survey = clean_survey(samples=lattice().assign(Au=1.0, Cu=2.0))
    findings = check_survey(survey)[1]
    assert summary(finding(findings, "no usable element")) == ("refused", "samples", "", 2)
    with pytest.raises(
        DataError, match="samples: no element column has enough usable values"
    ) as caught:
        require_accepted(findings)
    assert caught.value.exit_code == 3


def test_too_few_places_leave_geology_and_faults_as_evidence():
    checked, findings = check_survey(clean_survey(samples=lattice().iloc[:29]))
    row = finding(findings, "too few samples")
    assert summary(row) == ("fixed", "samples", "", 29)
    assert "29 sampled places for 49 km2 (one for 2 km2) do not carry a map" in row["done"]
    assert checked.elements == {}
    require_accepted(findings)


def test_too_few_places_and_no_other_evidence_are_refused():
    survey = clean_survey(samples=lattice().iloc[:29], geology=None, faults=None)
    with pytest.raises(
        DataError, match="neither elements nor geology nor faults are left as evidence"
    ):
        require_accepted(check_survey(survey)[1])


# --- several rows at one place
# ---------------------------------------------------------------------------------------


def test_rows_of_one_place_are_averaged_on_the_log_scale():
    extra = frame(
        [Point(0, 0), Point(0, 0.0004), Point(2000, 1000)],
        Au=[100.0, np.nan, np.nan],
        Cu=[4.0, 2.0, 7.0],
    )
    first = lattice().assign(Cu=lambda t: t["Cu"].where(t.index > 0, 1.0))
    survey = clean_survey(samples=pd.concat([first, extra], ignore_index=True))
    checked, findings = check_survey(survey)
    row = finding(findings, "several rows at one place")
    assert summary(row) == ("fixed", "samples", "", 5)
    assert row["done"].startswith("52 rows at 49 places; 2 with several rows")
    merged = checked.samples
    assert len(merged) == SITES
    origin = merged[merged.distance(Point(0, 0)) < 1].iloc[0]
    assert origin["Au"] == pytest.approx(10.0)  # of 1 and 100, the gap left out
    assert origin["Cu"] == pytest.approx(2.0)  # of 1, 4 and 2
    assert origin["rows_at_place"] == 3
    other = merged[merged.distance(Point(2000, 1000)) < 1].iloc[0]
    assert other["Au"] == pytest.approx(10.0)  # its own value, the extra row has none
    assert merged["rows_at_place"].sum() == 52


def test_deposits_listed_twice_count_once():
    points = [Point(1, 1), Point(500, 500), Point(1, 1), Point(1, 1)]
    checked, findings = check_survey(clean_survey(deposits=frame(points, name=list("abcd"))))
    assert summary(finding(findings, "listed twice")) == ("fixed", "deposits", "", 2)
    assert checked.deposits["name"].tolist() == ["a", "b"]


# --- places
# ----------------------------------------------------------------------------------------------------------


def test_deposits_outside_the_study_area_are_left_out():
    points = [Point(0, 0), Point(7000, 0), Point(100, 100), Point(0, -501), Point(6500, 6500)]
    checked, findings = check_survey(clean_survey(deposits=frame(points, name=list("abcde"))))
    row = finding(findings, "outside the study area")
    assert summary(row) == ("fixed", "deposits", "", 2)
    assert row["rows"] == "1 3"
    assert checked.deposits["name"].tolist() == ["a", "c", "e"]  # e lies on its edge


def test_samples_outside_the_study_area_are_kept_and_said():
    checked, findings = check_survey(clean_survey(study_area=frame([box(-500, -500, 5500, 6500)])))
    assert summary(finding(findings, "outside the study area", "samples")) == (
        "noticed",
        "samples",
        "",
        SIDE,
    )
    assert len(checked.samples) == SITES


def test_samples_in_another_world_are_refused():
    survey = clean_survey(samples=lattice().set_geometry(lattice().translate(5e6, 0)))
    with pytest.raises(
        DataError, match=r"all samples lie outside the study area\. Check the CRS and the units"
    ):
        require_accepted(check_survey(survey)[1])


def test_without_a_study_area_it_is_the_hull_of_the_samples_and_twice_their_spacing_around():
    checked, findings = check_survey(clean_survey(study_area=None))
    expected = box(0, 0, 6000, 6000).buffer(2 * STEP)
    assert checked.study_area.geometry[0].symmetric_difference(expected).area < 1
    assert CRS(checked.study_area.crs) == CRS(UTM)
    row = finding(findings, "no study area")
    assert summary(row) == ("noticed", "study_area", "", 0)
    assert f"({expected.area / 1e6:,.0f} km2)" in row["done"]


def test_one_place_has_no_spacing_and_gets_a_kilometre_around():
    one = frame([Point(0, 0), Point(0, 0)])
    assert median_spacing(one) == 0
    assert study_area_of_samples(one).geometry[0].area == pytest.approx(np.pi * 1000**2, rel=0.01)


def test_the_median_spacing_counts_each_place_once():
    assert (
        median_spacing(frame([Point(0, 0), Point(0, 0), Point(30, 0), Point(70, 0), Point(140, 0)]))
        == 35
    )


def test_no_deposit_and_one_deposit_are_refused():
    for points, words in (
        ([Point(9e6, 0)] * 3, "no deposit"),
        ([Point(0, 0), Point(9e6, 0)], "only one deposit"),
    ):
        findings = check_survey(clean_survey(deposits=frame(points)))[1]
        assert finding(findings, "too few deposits")["severity"] == "refused"
        with pytest.raises(
            DataError, match=rf"deposits: {words} lies inside the study area\. At least two"
        ) as caught:
            require_accepted(findings)
        assert caught.value.exit_code == 3


def test_few_deposits_are_said():
    row = finding(
        check_survey(clean_survey(deposits=frame([Point(i, i) for i in range(19)])))[1],
        "few deposits",
    )
    assert summary(row) == ("noticed", "deposits", "", 19)


# --- geometry
# --------------------------------------------------------------------------------------------------------


def test_self_crossing_polygons_are_repaired():
    bow_tie = Polygon([(0, 0), (2000, 2000), (2000, 0), (0, 2000)])
    assert not bow_tie.is_valid
    cleaned, findings = clean_layer(
        "geology", frame([bow_tie, box(3000, 0, 4000, 1000)], rock=["a", "b"])
    )
    assert summary(finding(findings, "invalid geometry")) == ("fixed", "geology", "", 1)
    assert cleaned.is_valid.all()
    assert cleaned.area.tolist() == [2e6, 1e6]
    assert cleaned["rock"].tolist() == ["a", "b"]


@pytest.mark.parametrize("role", ["samples", "deposits", "geology", "faults", "study_area"])
def test_rows_without_a_place_are_left_out(role):
    shape = {
        "geology": box(0, 0, 1, 1),
        "study_area": box(0, 0, 1, 1),
        "faults": LineString([(0, 0), (1, 1)]),
    }.get(role, Point(0, 0))
    cleaned, findings = clean_layer(role, frame([None, shape, type(shape)()], name=["a", "b", "c"]))
    assert summary(finding(findings, "no geometry")) == ("fixed", role, "", 2)
    assert finding(findings, "no geometry")["rows"] == "0 2"
    assert cleaned["name"].tolist() == ["b"]


def test_points_without_finite_coordinates_have_no_place():
    cleaned, findings = clean_layer(
        "samples", frame([Point(np.inf, 0), Point(0, np.nan), Point(1, 1)])
    )
    assert finding(findings, "no geometry")["count"] == 2
    assert len(cleaned) == 1


@pytest.mark.parametrize(
    ("role", "shape"),
    [
        ("samples", Point(1, 2, 300)),
        ("faults", LineString([(0, 0, 5), (1, 1, 6)])),
        ("geology", Polygon([(0, 0, 1), (1, 0, 2), (1, 1, 3)])),
    ],
)
def test_heights_are_dropped_and_said(role, shape):
    cleaned, findings = clean_layer(role, frame([shape, shapely.force_2d(shape)]))
    assert summary(finding(findings, "3-D geometry")) == ("noticed", role, "", 1)
    assert not cleaned.has_z.any()
    assert cleaned.geometry[0].equals(shapely.force_2d(shape))


def test_each_part_of_a_multipoint_is_a_deposit():
    shapes = [MultiPoint([(0, 0), (5, 5), (9, 9)]), Point(1, 1)]
    cleaned, findings = clean_layer("deposits", frame(shapes, name=["a", "b"]))
    assert summary(finding(findings, "multi-part points")) == ("noticed", "deposits", "", 1)
    assert cleaned["name"].tolist() == ["a", "a", "a", "b"]
    assert cleaned.geometry.tolist() == [Point(0, 0), Point(5, 5), Point(9, 9), Point(1, 1)]
    assert cleaned.index.tolist() == [0, 1, 2, 3]


def test_deposit_polygons_become_points_inside_them():
    ring_shaped = Point(0, 0).buffer(100) - Point(0, 0).buffer(90)
    cleaned, findings = clean_layer(
        "deposits", frame([ring_shaped, Point(1, 1), LineString([(0, 0), (4, 0)])])
    )
    assert summary(finding(findings, "not points")) == ("fixed", "deposits", "", 2)
    assert cleaned.geom_type.tolist() == ["Point"] * 3
    assert cleaned.geometry[0].within(ring_shaped)
    assert cleaned.geometry[2].distance(LineString([(0, 0), (4, 0)])) == 0


def test_shapes_of_the_wrong_kind_are_left_out():
    line, polygon = LineString([(0, 0), (1, 1)]), box(0, 0, 1, 1)
    cleaned, findings = clean_layer(
        "faults", frame([line, polygon, Point(0, 0), MultiLineString([line])])
    )
    assert summary(finding(findings, "not lines")) == ("fixed", "faults", "", 1)
    assert summary(finding(findings, "fault zones as polygons")) == ("fixed", "faults", "", 1)
    assert cleaned.geom_type.tolist() == ["LineString", "LineString", "MultiLineString"]
    assert cleaned.geometry[1].equals(polygon.exterior)
    cleaned, findings = clean_layer(
        "geology", frame([line, polygon, Point(0, 0)], rock=list("abc"))
    )
    assert summary(finding(findings, "not polygons")) == ("fixed", "geology", "", 2)
    assert cleaned["rock"].tolist() == ["b"]


def test_collections_keep_the_parts_of_the_right_kind():
    mixed = GeometryCollection([box(0, 0, 2, 2), LineString([(0, 0), (9, 9)]), Point(5, 5)])
    only_points = GeometryCollection([Point(0, 0), Point(1, 1)])
    geology, findings = clean_layer("geology", frame([mixed, only_points], rock=["a", "b"]))
    assert geology["rock"].tolist() == ["a"]
    assert geology.geometry[0].equals(box(0, 0, 2, 2))
    assert finding(findings, "not polygons")["count"] == 1
    faults, _ = clean_layer("faults", frame([mixed]))
    assert faults.geometry[0].equals(LineString([(0, 0), (9, 9)]))
    deposits, _ = clean_layer("deposits", frame([only_points]))
    assert deposits.geometry.tolist() == [Point(0, 0), Point(1, 1)]


def test_samples_without_any_place_are_refused():
    survey = clean_survey(samples=frame([None] * 3, Au=1.0, Cu=2.0))
    with pytest.raises(DataError, match="samples: the samples have no usable geometry"):
        require_accepted(check_survey(survey)[1])


# --- cover
# -----------------------------------------------------------------------------------------------------------


def test_the_share_that_geology_covers_is_said():
    west, twice, far = (
        box(-500, -500, 3000, 6500),
        box(2000, -500, 3000, 6500),
        box(-9000, 0, -600, 9),
    )
    geology = frame([west, twice, far], rock=list("abc"))
    row = finding(check_survey(clean_survey(geology=geology))[1], "gaps")
    assert (row["severity"], row["layer"]) == ("noticed", "geology")
    assert 'covers 50.0 % of the study area; the rest becomes the class "unmapped"' in row["done"]


@pytest.mark.parametrize("role", ["geology", "faults"])
def test_layers_that_lie_elsewhere_are_refused(role):
    layer = getattr(clean_survey(), role)
    survey = clean_survey(**{role: layer.set_geometry(layer.translate(5e6, 0))})
    with pytest.raises(
        DataError, match=f"{role}: the {role} do not touch the study area. Check the CRS"
    ):
        require_accepted(check_survey(survey)[1])


@pytest.mark.parametrize("role", ["geology", "faults"])
def test_layers_that_are_not_there_are_said_and_not_refused(role):
    findings = check_survey(clean_survey(**{role: None}))[1]
    row = finding(findings, "no layer")
    assert summary(row) == ("noticed", role, "", 0)
    assert row["done"] == f"no {role} layer: the stack has no {role} band"
    require_accepted(findings)


# --- the table
# -------------------------------------------------------------------------------------------------------


def test_the_table_shows_the_gravest_first_and_keeps_the_order_within():
    severities = ["noticed", "fixed", "refused", "fixed", "noticed", "refused"]
    table = as_table([Finding(s, "samples", "", str(i), i, "") for i, s in enumerate(severities)])
    assert table["rule"].tolist() == ["2", "5", "1", "3", "0", "4"]


def test_what_reading_changed_stands_in_the_table():
    note = Finding("fixed", "samples", "", "CRS is not metric", 49, "reprojected")
    assert (
        finding(check_survey(clean_survey(findings=(note,)))[1], "CRS is not metric")["count"] == 49
    )


def test_every_reason_to_refuse_is_one_line_of_the_message():
    survey = clean_survey(deposits=frame([Point(0, 0)]), samples=lattice().assign(Au=1.0, Cu=1.0))
    with pytest.raises(DataError) as caught:
        require_accepted(check_survey(survey)[1])
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "samples",
        "deposits",
    ]


# --- real areas
# ------------------------------------------------------------------------------------------------------


def checked_area(path):
    roles = recognise_layers(list_layers(path))
    raw = read_survey({role: Source(info.path, info.name) for role, info in roles.items()})
    return raw, *check_survey(raw)


def counts(findings, rule):
    here = findings[findings["rule"] == rule]
    return dict(zip(here["column"], here["count"], strict=True))


def test_central_lapland_loses_nine_deposits_and_its_zeros(real_area):
    raw, checked, findings = checked_area(real_area("clb_finland"))
    assert summary(finding(findings, "outside the study area")) == ("fixed", "deposits", "", 9)
    assert len(checked.deposits) == 17
    assert checked.deposits["in_study_area"].all()
    assert counts(findings, "zero = below detection") == {
        "Co": 1,
        "Cr": 1,
        "K": 2,
        "Ni": 1,
        "Th": 26,
        "Zr": 182,
    }
    smallest = raw.samples["Zr"][raw.samples["Zr"] > 0].min()
    assert checked.samples["Zr"].min() == pytest.approx(smallest / 2)
    assert "covers 92.2 %" in finding(findings, "gaps")["done"]
    assert finding(findings, "few deposits")["count"] == 17
    assert len(checked.elements) == 22
    require_accepted(findings)


def test_mount_painter_says_what_was_never_measured(real_area):
    raw, checked, findings = checked_area(real_area("mtpainter_sa"))
    missing = counts(findings, "missing")
    assert len(missing) == len(raw.elements) == 41
    assert (missing["Cu"], missing["Au"], missing["Ag"]) == (1333 - 929, 1333 - 575, 1333 - 588)
    assert finding(findings, "several rows at one place")["done"].startswith(
        "1,333 rows at 1,128 places"
    )
    assert set(raw.elements) - set(checked.elements) == {"Ga", "Li", "Se"}
    assert summary(finding(findings, "listed twice")) == ("fixed", "deposits", "", 1)
    require_accepted(findings)


def test_murchison_has_23_places_which_do_not_carry_a_map(real_area):
    raw, checked, findings = checked_area(real_area("murchison_wa"))
    assert "92 rows at 23 places" in finding(findings, "several rows at one place")["done"]
    assert (len(raw.samples), len(checked.samples)) == (92, 23)
    assert set(checked.samples["rows_at_place"]) == {4}
    negative = counts(findings, "negative = below detection")
    assert (negative["Au"], negative["Ag"], negative["Sb"], negative["Cd"]) == (12, 92, 64, 56)
    assert counts(findings, "missing") == {"Au": 2, "Pd": 2, "Pt": 2}
    assert finding(findings, "too few samples")["count"] == 23
    assert checked.elements == {}
    assert len(checked.deposits) == 255
    require_accepted(findings)
