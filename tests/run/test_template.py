"""Whatever a survey's layers, columns and values are called, they write no settings of their own."""

import tomllib

import geopandas as gpd
import numpy as np
import pytest
from builders import make_grid, points_in, scattered_cells
from hypothesis import given
from hypothesis import strategies as st

from geomfaf.deliver.layers import write_layers
from geomfaf.errors import UsageError
from geomfaf.files import write_json
from geomfaf.run.folder import note_files
from geomfaf.run.project import load_project
from geomfaf.run.template import init_project, write_project
from geomfaf.settings.tables import TABLES
from geomfaf.survey.filters import condition_on
from geomfaf.survey.read import read_layer
from geomfaf.survey.recognise import recognise_survey
from geomfaf.survey.survey import Source

HOSTILE = [
    'gold"\nswap_xy = true\npath = "/etc/passwd',
    "gold\rseed = 3",
    "gold\x7f\x01",
    "'; DROP TABLE samples; --",
    '"""',
    "'''",
    "\\u0000 \\",
    "<script>alert(1)</script>",
    "gold # seed = 3",
    "[grid]\ncell = 1",
    "金\u2028seed = 3",
    "{{ 7 * 7 }} [% now() %]",
]


def survey_file(folder, layer="deposits", column="commodity", value="gold", rock="rock"):
    """Write a survey whose deposits are called what they like."""
    grid = make_grid(60, 60)
    samples = points_in(grid, *scattered_cells(grid, 40, 0))
    samples["Au_ppb"] = np.random.default_rng(0).lognormal(size=40)
    deposits = points_in(grid, *scattered_cells(grid, 8, 1))
    deposits[column] = [value] * 5 + ["silver"] * 3
    geology = gpd.GeoDataFrame({rock: ["a"]}, geometry=[samples.union_all().convex_hull])
    layers = {"samples": samples, layer: deposits, "geology": geology.set_crs(grid.crs)}
    return write_layers(layers, folder / "survey.gpkg", overwrite=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The content of the project file of a survey with plain names."""
    folder = tmp_path_factory.mktemp("plain")
    init_project([survey_file(folder)], folder / "geomfaf.toml")
    return tomllib.loads((folder / "geomfaf.toml").read_text(encoding="utf-8"))


def shape_of(content):
    """Tables and their keys: what a name must not change."""
    return {key: set(value) if isinstance(value, dict) else key for key, value in content.items()}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_write_no_settings(tmp_path, plain, name):
    source = survey_file(tmp_path, f"deposits {name}", f"kind {name}", name, f"rock {name}")
    init_project([source], tmp_path / "geomfaf.toml")
    content = tomllib.loads((tmp_path / "geomfaf.toml").read_text(encoding="utf-8"))
    assert shape_of(content) == shape_of(plain)
    assert content["samples"] == plain["samples"]
    assert content["seed"] == 0
    assert content["deposits"]["layer"] in gpd.list_layers(source)["name"].tolist()


@pytest.mark.parametrize("name", [text for text in HOSTILE if text.isprintable()])
def test_the_filter_that_is_offered_finds_the_deposits_it_names(tmp_path, name):
    source = survey_file(tmp_path, column=f"kind {name}"[:40], value=name)
    column = next(c for c in gpd.read_file(source, layer="deposits").columns if c != "geometry")
    found = read_layer(Source(source, "deposits", where=condition_on(column, name)))
    assert len(found) == 5


def test_every_setting_is_shown(tmp_path):
    init_project([survey_file(tmp_path)], tmp_path / "geomfaf.toml")
    text = (tmp_path / "geomfaf.toml").read_text(encoding="utf-8")
    for name, table in TABLES.items():
        if name in ("faults", "study_area"):  # the survey has none
            continue
        assert not name or f"[{name}]" in text
        for setting in table.settings:
            assert f"\n{setting.name} = " in text or f"\n# {setting.name} = " in text, setting.name
    assert load_project(tmp_path).stages.keys() <= set(TABLES)


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_a_condition_is_one_comparison_of_one_column_and_one_text(column, value):
    """SQL's own reader says so: the condition has one text, and it is the value."""
    condition = condition_on(column.replace("\0", ""), value.replace("\0", ""))
    text = condition[condition.rindex(" = '") + 3 :] if "'" not in value else condition
    if "'" not in value and "'" not in column:
        assert text == f"'{value.replace(chr(0), '')}'"
    assert condition.count("'") % 2 == column.count("'") % 2


def test_settings_are_written_into_the_file_and_its_comments_stay(tmp_path):
    source = survey_file(tmp_path)
    where = "commodity = 'O''Brien \"x\" $(touch gone) 金'"
    changes = {
        "preset": "mfaf",
        "author": "Ö",
        "samples.elements": ["Au_ppb"],
        "deposits.where": where,
        "grid.cell": 50.0,
        "composition.kind": "clr",
    }
    known = recognise_survey([source])
    write_project(known, tmp_path / "geomfaf.toml", changes=changes)
    text = (tmp_path / "geomfaf.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)
    assert content["preset"] == "mfaf"
    assert content["author"] == "Ö"
    assert content["deposits"]["where"] == where
    assert content["grid"]["cell"] == 50
    assert content["composition"]["kind"] == "clr"
    plain = tmp_path / "plain.toml"
    write_project(known, plain)
    comments = [line for line in plain.read_text().splitlines() if line.startswith("# ")]
    missing = [line for line in comments if line not in text]
    assert missing == ["# [composition]"]


def test_a_setting_that_is_none_is_refused_and_no_file_is_left(tmp_path):
    known = recognise_survey([survey_file(tmp_path)])
    for name, value, word in (
        ("grid.cel", 50, "cell"),
        ("gird.cell", 50, "grid"),
        ("grid.cell", -50, "between 0.01"),
        ("rasters.path", "x", "stands several times"),
        ("faults.path", "x", "no layer faults"),
    ):
        with pytest.raises(UsageError, match=word):
            write_project(known, tmp_path / "geomfaf.toml", changes={name: value})
        assert not (tmp_path / "geomfaf.toml").exists()


def test_a_run_folder_says_with_which_settings_it_was_made(tmp_path):
    """A folder that was moved with its project file, whose run is being changed."""
    init_project([survey_file(tmp_path)], tmp_path / "geomfaf.toml")
    content = tomllib.loads((tmp_path / "geomfaf.toml").read_text(encoding="utf-8"))
    content["grid"] = {"cell": 70}
    out = tmp_path / "out"
    out.mkdir()
    note_files(out, [])
    record = {"project": {"file": "elsewhere/geomfaf.toml", "content": content}}
    with pytest.raises(UsageError, match="holds no finished run"):
        load_project(out)
    (out / "kept").mkdir()
    write_json(record, out / "kept" / "run.json")
    project = load_project(out, {"targets.area_share": 0.02})
    assert project.stage("grid") == {"cell": 70}
    assert project.stage("targets") == {"area_share": 0.02}
    assert project.out == out.resolve()
    assert project.path == tmp_path / "geomfaf.toml"
    assert project.sources["samples"].path == tmp_path / "survey.gpkg"
