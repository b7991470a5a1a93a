"""Layers for a GIS: the survey as it was used, names that a GeoPackage can hold, what was changed."""

import sqlite3

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest

import geomfaf as gm
from geomfaf.deliver.layers import (
    labelled_samples,
    with_safe_names,
    write_layers,
    write_survey_layers,
)
from geomfaf.survey.label_columns import label_column, labels_of

CRS = 32633


def samples(**columns) -> gpd.GeoDataFrame:
    count = len(next(iter(columns.values())))
    places = gpd.points_from_xy(range(count), [0.0] * count)
    return gpd.GeoDataFrame(columns, geometry=places, crs=CRS)


def demo_survey() -> gm.Survey:
    survey, _ = gm.make_survey("small", seed=0)
    return gm.check_survey(survey)[0]


def test_the_survey_is_written_as_it_was_used(tmp_path):
    survey = demo_survey()
    path = write_survey_layers(survey, tmp_path)
    assert path.name == "survey.gpkg"
    names = {name for name, _ in pyogrio.list_layers(path)}
    roles = {"samples", "deposits", "geology", "faults", "study_area"}
    assert names == {*roles, "layer_styles"}
    back = gpd.read_file(path, layer="samples")
    assert back.crs == survey.crs
    pd.testing.assert_series_equal(back["Au_ppb"], survey.samples["Au_ppb"])
    assert back["sample_id"].tolist() == survey.samples["sample_id"].tolist()
    assert back["sample_id"].is_unique


def test_flags_name_what_is_below_detection():
    raw, _ = gm.make_survey("small", seed=0)
    cleaned = labelled_samples(demo_survey().samples)
    cleaned = cleaned[cleaned["rows_at_place"] == 1]
    measured = raw.samples.set_index("sample_id").loc[cleaned["sample_id"]]
    assert len(cleaned) > 1_800
    for element in ("Au", "Hg"):
        below = measured[f"{element}_ppb"] < 0
        said = cleaned["flags"].str.extract(r"below detection: ([^;]*)")[0].fillna("")
        named = said.str.split(", ").map(lambda names, element=element: element in names)
        assert below.any()
        assert named.tolist() == below.tolist()


def test_rows_of_one_place_say_so_and_keep_the_flags_of_all():
    points = gpd.points_from_xy([0, 0, *range(1, 40)], [0.0] * 41)
    values = [1.0, -0.5, *(float(value) for value in range(2, 41))]
    frame = gpd.GeoDataFrame({"Au": values, "no": range(41)}, geometry=points, crs=CRS)
    survey = gm.Survey(frame, frame.iloc[5:15], elements={"Au": "ppb"})
    cleaned = labelled_samples(gm.check_survey(survey)[0].samples)
    assert cleaned["flags"].iloc[0] == "below detection: Au; 2 rows at this place"
    assert set(cleaned["flags"].iloc[1:]) == {""}
    assert cleaned["sample_id"].iloc[1] == "2"


def test_samples_without_a_number_get_the_number_of_their_row():
    assert labelled_samples(samples(Au=[1.0, 2.0]))["sample_id"].tolist() == ["no. 1", "no. 2"]
    partly = labelled_samples(samples(site_id=["a", None], Au=[1.0, 2.0]))
    assert partly["sample_id"].tolist() == ["a", "no. 2"]
    assert partly["site_id"].isna().tolist() == [False, True]


def test_columns_that_a_geopackage_refuses_are_renamed_and_nothing_is_lost(tmp_path):
    frame = samples(
        Au=[1.0, 2.0],
        AU=[3.0, 4.0],
        fid=[7, 7],
        geom=["a", "b"],
        flags=["x", "y"],
        Sample_ID=[5, 6],
    )
    ready = labelled_samples(frame.rename_geometry("shape"))
    path = write_layers({"samples": ready, 'it\'s "odd"': frame}, tmp_path / "hostile.gpkg")
    back = gpd.read_file(path, layer="samples")
    assert back.drop(columns="geometry").to_dict("list") == {
        "sample_id": ["5", "6"],
        "flags": ["", ""],
        "Au": [1.0, 2.0],
        "AU_": [3.0, 4.0],
        "fid_": [7, 7],
        "geom_": ["a", "b"],
        "flags_": ["x", "y"],
    }
    assert len(gpd.read_file(path, layer='it\'s "odd"')) == 2


def test_safe_names_differ_by_more_than_case():
    frame = pd.DataFrame(columns=["a", "A", "A_", "a_", "FID", "fid_"])
    names = with_safe_names(frame).columns.str.casefold()
    assert names.is_unique
    assert "fid" not in names


def test_a_frame_without_geometry_becomes_a_table(tmp_path):
    table = pd.DataFrame({"number": [1, 2], "factor": ["Au", "<b>"]})
    path = write_layers({"places": samples(Au=[1.0]), "table": table}, tmp_path / "t.gpkg")
    found = dict(pyogrio.list_layers(path))
    assert found == {"places": "Point", "table": None, "layer_styles": None}
    pd.testing.assert_frame_equal(pyogrio.read_dataframe(path, layer="table"), table)


@pytest.mark.parametrize(
    ("what", "headings", "expected"),
    [
        ("sample", ["Au", "SAMPLE_NO", "id"], "SAMPLE_NO"),
        ("sample", ["样品编号", "Au"], "样品编号"),
        ("sample", ["lon_gda94", "Näytenumero"], "Näytenumero"),
        ("deposit", ["ID", "Nombre"], "Nombre"),
        ("deposit", ["deposit_id", "status"], "deposit_id"),
        ("commodity", ["status", "main commodities", "name"], "main commodities"),
        ("commodity", ["矿种", "名称"], "矿种"),
        ("fault", ["type", "seg_id"], "seg_id"),
        ("fault", ["type", "basis"], None),
        ("commodity", ["in_study_area", "deposit_type"], None),
    ],
)
def test_labels_are_found_by_their_usual_headings(what, headings, expected):
    table = pd.DataFrame({heading: ["x"] for heading in headings})
    assert label_column(table, what) == expected


def test_a_column_that_says_nothing_names_nothing():
    table = pd.DataFrame({"name": [None, None], "deposit_id": [1.0, None]})
    assert label_column(table, "deposit") == "deposit_id"
    assert labels_of(table, "deposit").tolist() == ["1", ""]
    assert labels_of(table, "fault").tolist() == ["", ""]


def test_every_geopackage_is_one_that_an_older_qgis_reads_without_a_warning(tmp_path):
    survey, _ = gm.make_survey("small", seed=0)
    demo = gm.write_survey(survey, tmp_path / "demo.gpkg")
    ours = write_layers({"samples": samples(Au=[1.0])}, tmp_path / "ours.gpkg")
    for path in (demo, ours):
        with sqlite3.connect(path) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
        assert version == 10200, path.name
