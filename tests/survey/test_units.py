"""Units: conversion, oxides, crustal abundance, guesses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomfaf.errors import UsageError
from geomfaf.survey.element_names import OXIDES, SYMBOLS, parse_element
from geomfaf.survey.units import (
    ATOMIC_MASS,
    PPM_IN,
    best_unit,
    convert,
    crustal_abundance,
    element_of,
    element_share,
    guess_unit,
    parse_unit,
)

# Oxide factors as geochemists' tables print them: element x factor = oxide.
PUBLISHED_FACTORS = {
    "SiO2": 2.1392, "TiO2": 1.6681, "Al2O3": 1.8895, "Fe2O3": 1.4297, "FeO": 1.2865, "MnO": 1.2912, "MgO": 1.6582,
    "CaO": 1.3992, "Na2O": 1.3480, "K2O": 1.2046, "P2O5": 2.2916, "Cr2O3": 1.4616, "ZnO": 1.2448, "BaO": 1.1165,
    "WO3": 1.2611, "ZrO2": 1.3508, "U3O8": 1.1792, "CuO": 1.2518,
}  # fmt: skip


@pytest.mark.parametrize("oxide", PUBLISHED_FACTORS)
def test_oxide_factors_are_those_of_the_tables(oxide):
    assert 1 / element_share(oxide) == pytest.approx(
        PUBLISHED_FACTORS[oxide], abs=5e-4
    )  # older atomic masses


def test_every_element_and_oxide_has_a_mass():
    for name in (*SYMBOLS, *OXIDES):
        assert element_of(name) in ATOMIC_MASS
        assert 0 < element_share(name) <= 1


@given(
    st.floats(1e-6, 1e6),
    st.sampled_from(sorted(PPM_IN)),
    st.sampled_from(sorted(PPM_IN)),
    st.sampled_from(["Fe", "FeO", "Fe2O3"]),
    st.sampled_from(["Fe", "FeO", "Fe2O3"]),
)
def test_conversion_there_and_back(value, unit, other, name, name2):
    there = convert(value, f"{name} {unit}", f"{name2} {other}")
    assert convert(there, f"{name2} {other}", f"{name} {unit}") == pytest.approx(value, rel=1e-12)


def test_conversions_a_reader_can_check():
    assert convert(1.0, "Au g/t", "Au ppb") == pytest.approx(1000)
    assert convert(100.0, "SiO2 %", "Si %") == pytest.approx(46.74, abs=0.01)
    np.testing.assert_allclose(convert(np.array([1.0, 2.0]), "Cu %", "Cu mg/kg"), [1e4, 2e4])


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("Cu", "Cu ppm", "does not say"),
        ("Cu ppm", "Zn ppm", "different elements"),
        ("No ppm", "Cu ppm", "does not say"),
    ],
)
def test_conversions_that_make_no_sense_are_refused(source, target, message):
    with pytest.raises(UsageError, match=message):
        convert(1.0, source, target)
    with pytest.raises(UsageError, match="neither an element nor an oxide"):
        element_share("Xx2O3")


@pytest.mark.parametrize(
    "unit", [*PPM_IN, "mg/kg", "ug/g", "µg/g", "ng/g", "g/t", "wt%", "wt.%", "mg kg-1", "g t^-1"]
)
def test_units_are_read_alone_and_in_headers(unit):
    meaning = parse_unit(unit)
    assert meaning in PPM_IN
    assert parse_element(f"Cu ({unit})") == ("Cu", meaning)


def test_the_crust_adds_up():
    """The majors as oxides make all of the crust, and each trace less than a per mille."""
    majors = "SiO2 TiO2 Al2O3 FeO MnO MgO CaO Na2O K2O P2O5".split()
    assert sum(crustal_abundance(oxide) for oxide in majors) / 1e4 == pytest.approx(100.07, abs=0.1)
    traces = [
        s
        for s in SYMBOLS
        if s not in {element_of(oxide) for oxide in majors} and crustal_abundance(s)
    ]
    assert len(traces) > 50
    assert max(crustal_abundance(symbol) for symbol in traces) < 1000


@given(
    st.sampled_from([s for s in SYMBOLS if crustal_abundance(s)]),
    st.sampled_from(sorted(PPM_IN)),
    st.floats(0.2, 5),
)
def test_a_median_near_the_crust_gets_its_unit_back(symbol, unit, enrichment):
    median = crustal_abundance(symbol) * enrichment / PPM_IN[unit]
    assert best_unit(median, symbol) == unit
    assert guess_unit(median, symbol) == unit
