"""The table of settings says what the functions do, and whatever it allows can be read back."""

import inspect
import math
import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomfaf.deliver.targets import make_targets
from geomfaf.errors import UsageError
from geomfaf.evidence.inverse_distance import IdwOptions
from geomfaf.models.baselines import BASELINES as MODELS
from geomfaf.models.network.backbones import BACKBONES as NETWORKS
from geomfaf.models.network.options import PRESETS as TRAININGS
from geomfaf.models.network.options import Training
from geomfaf.models.predict import predict_scores
from geomfaf.settings.check import require_settings
from geomfaf.settings.pages import commented_line, settings_page
from geomfaf.settings.setting import Setting, shown_value
from geomfaf.settings.tables import BACKBONES, BASELINES, GONE, LAYERS, PRESETS, TABLES
from geomfaf.survey.cleaning.check import check_survey
from geomfaf.survey.cleaning.log_ratios import use_log_ratios
from geomfaf.survey.survey import ROLES, Source
from geomfaf.windows.folds import spatial_folds
from geomfaf.windows.negatives import draw_windows
from geomfaf.windows.screen import screen_elements
from geomfaf.windows.windows import tiled_windows

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
# Function of a stage -> keywords that are no settings: what a run hands over.
STAGES = {
    "check": (check_survey, set()),
    "composition": (use_log_ratios, set()),
    "screen": (screen_elements, {"seed"}),
    "folds": (spatial_folds, {"seed", "autocorrelation", "reach"}),
    "predict": (predict_scores, set()),
    "targets": (make_targets, {"stack", "samples", "faults", "size"}),
}


def keywords(function) -> dict:
    """Return the keyword-only arguments of a function with their defaults."""
    found = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in found if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize("name", STAGES)
def test_a_table_holds_the_keywords_of_its_function_with_the_same_defaults(name):
    function, others = STAGES[name]
    real = {key: value for key, value in keywords(function).items() if key not in others}
    assert {setting.name: setting.default for setting in TABLES[name].settings} == real


def test_windows_take_the_keywords_of_both_kinds():
    real = {**keywords(tiled_windows), **keywords(draw_windows)}
    for name in ("deposits", "valid", "bands", "seed"):
        del real[name]
    table = {setting.name: setting.default for setting in TABLES["windows"].settings}
    assert {name: table[name] for name in real} == real
    assert set(table) - set(real) == {"size", "kind"}


def test_the_training_has_the_defaults_of_the_compact_preset():
    real = asdict(TRAININGS["compact"])
    del real["weights_sha256"]
    table = {setting.name: setting.default for setting in TABLES["train"].settings}
    assert table.pop("device") == "auto"
    table["ensemble"] = tuple(table["ensemble"])
    assert table == real


def test_the_interpolation_has_the_defaults_of_its_options():
    defaults = IdwOptions()
    for name in ("minimum", "max_distance", "anisotropy"):
        assert TABLES["grid"][name].default == getattr(defaults, name)


def test_lists_of_names_are_those_of_the_code():
    assert set(BASELINES) >= set(MODELS) - {"our overlay"}
    assert set(BACKBONES) == set(NETWORKS)
    assert set(PRESETS) == set(TRAININGS)
    assert tuple(table.name for table in LAYERS) == ROLES
    names = [setting.name for setting in LAYERS[1].settings]
    assert set(names) == set(Source.__dataclass_fields__)


def test_every_default_and_example_is_allowed():
    for table in TABLES.values():
        for setting in table.settings:
            for value in (setting.default, setting.example):
                if value not in (None, ""):
                    assert setting.problem(value) == "", (table.name, setting.name)


def test_every_training_that_the_table_allows_can_be_made():
    for setting in TABLES["train"].settings:
        if setting.name in Training.__dataclass_fields__ and setting.kind == "text":
            for choice in setting.choices:
                made = replace(TRAININGS["compact"], **{setting.name: choice})
                assert getattr(made, setting.name) == choice


def test_the_page_is_the_one_in_docs():
    assert PAGE.read_text(encoding="utf-8") == settings_page(), "run: geomfaf settings"


def test_a_commented_line_is_toml_once_the_sign_is_taken_away():
    for table in TABLES.values():
        for setting in table.settings:
            line = commented_line(setting).removeprefix("# ")
            assert list(tomllib.loads(line)) == [setting.name]


@settings(max_examples=25)
@given(
    st.one_of(
        st.integers(),
        st.floats(),
        st.text(),
        st.booleans(),
        st.lists(st.one_of(st.floats(), st.text(), st.integers())),
        st.dictionaries(st.text(), st.text()),
        st.none(),
    )
)
def test_any_value_is_allowed_or_refused_in_a_sentence(value):
    for table in TABLES.values():
        for setting in table.settings:
            problem = setting.problem(value)
            assert isinstance(problem, str)
            if isinstance(value, float) and not math.isfinite(value):
                assert problem
            if isinstance(value, str) and not value.isprintable() and value:
                assert problem or value in setting.choices


@given(st.text(st.characters(blacklist_categories=("Cs",))))
def test_a_text_is_shown_as_toml_reads_it(text):
    assert "\n" not in shown_value(text)
    if text.isprintable():
        assert tomllib.loads(f"value = {shown_value(text)}")["value"] == text


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        (Setting("n", "whole number", 1, "", least=1), 0, "must be 1 or more"),
        (Setting("n", "whole number", 1, ""), 2.5, "must be a whole number"),
        (Setting("n", "whole number", 1, ""), True, "must be a whole number"),
        (Setting("n", "number", 1, "", least=0, open=True), 0, "must be more than 0"),
        (Setting("n", "number", 1, "", words=("auto",)), "atuo", 'must be a number or "auto"'),
        (Setting("n", "texts", [], "", choices=["Au"]), ["au"], 'Did you mean "Au"?'),
        (Setting("n", "numbers", [], "", example=[1, 2], length=2), [1], "a list of 2"),
        (Setting("n", "flag", False, ""), "false", "must be true or false"),
        (Setting("n", "text", "", ""), "a\nb", "line break"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(setting, value, words):
    assert words in setting.problem(value)


def test_a_setting_that_is_gone_says_why(monkeypatch):
    monkeypatch.setitem(GONE, "train.colour", "networks see none.")
    with pytest.raises(UsageError, match=r"\[train\] colour is gone: networks see none"):
        require_settings("train", {"colour": 1}, source="geomfaf.toml: ")
