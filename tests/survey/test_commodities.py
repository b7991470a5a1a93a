"""What the deposits are of: counted, in the title, and first among the findings when they are mixed."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

import geomfaf as gm
from geomfaf.survey.commodities import (
    commodity_sentence,
    main_commodities,
    map_title,
    mixture,
    symbol_of,
)


def deposits(commodities, heading="commodity") -> gpd.GeoDataFrame:
    places = gpd.points_from_xy(range(len(commodities)), [0] * len(commodities))
    return gpd.GeoDataFrame({heading: commodities}, geometry=places, crs=32633)


def test_deposits_count_for_what_is_named_first():
    found = main_commodities(deposits(["Cu", "cu ", "Cu, Au", "U/Cu", None, "", "zinc and lead"]))
    assert found == {"Cu": 3, "U": 1, "zinc": 1}
    assert main_commodities(deposits(["金、铜", "金"], "矿种")) == {"金": 2}
    assert main_commodities(deposits(["open", "closed"], "status")) == {}
    assert main_commodities(deposits([]).astype({"commodity": object})) == {}


def test_a_mixture_is_the_first_finding_and_stands_before_what_was_fixed():
    survey, _ = gm.make_survey("small", seed=0)
    _, table = gm.check_survey(survey)
    kinds = survey.deposits["commodity"].value_counts()
    first = table.iloc[0]
    assert first[["severity", "layer", "rule"]].tolist() == [
        "noticed",
        "deposits",
        "several commodities",
    ]
    assert first["count"] == len(kinds)
    assert f"{kinds.index[0]} {kinds.iloc[0]}" in first["done"]
    assert (table["severity"] == "fixed").any()
    gold = survey.deposits["commodity"] == "Au"
    one = gm.Survey(**{**vars(survey), "deposits": survey.deposits[gold]})
    assert "several commodities" not in gm.check_survey(one)[1]["rule"].tolist()


@pytest.mark.parametrize(
    ("kinds", "title"),
    [
        ({"Au": 1, "Cu": 1}, "Prospectivity for Au and Cu, all together"),
        ({"a": 4, "b": 3, "c": 2}, "Prospectivity for a, b and c, all together"),
        (
            {"a": 4, "b": 3, "c": 2, "d": 1, "e": 1},
            "Prospectivity for a, b, c and 2 more, all together",
        ),
        ({"<b>": 1}, "Prospectivity for <b>"),
    ],
)
def test_the_title_names_every_kind(kinds, title):
    assert map_title(kinds) == title
    assert bool(mixture(kinds)) == (len(kinds) > 1)


def test_commodities_are_known_in_several_languages():
    words = ["oro", "Kupfer", "RAUTA", "étain", "铀", "Zn", "gold (placer)", "kaolin", ""]
    assert [symbol_of(word) for word in words] == ["Au", "Cu", "Fe", "Sn", "U", "Zn", "Au", "", ""]


def test_only_what_is_measured_and_not_kept_is_said():
    table = pd.DataFrame(
        {"element": ["Au_ppb", "Cu", "Fe2O3"], "auc": [0.5, 0.8, 0.6], "kept": [False, True, False]}
    )
    assert commodity_sentence({"Au": 4, "copper": 2, "tin": 1}, table) == (
        "Au itself is not enriched near the deposits (AUC 0.50): the map leans on other signs."
    )
    both = commodity_sentence({"Au": 4, "silver": 3}, table.replace("Cu", "Ag").assign(kept=False))
    assert both.startswith("Au (AUC 0.50), silver (Ag, AUC 0.80) themselves are not enriched")
    assert commodity_sentence({"copper": 2, "uranium": 1}, table) == ""
    assert commodity_sentence({"Au": 4}, pd.DataFrame()) == ""
    assert commodity_sentence({"Au": np.int64(4)}, table.assign(kept=[True] * 3)) == ""
