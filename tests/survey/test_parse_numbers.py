"""Reading numbers as laboratories write them: nothing crashes, no number is silently wrong."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geomfaf.survey.cleaning.parse_numbers import (
    ABOVE,
    BELOW,
    MISSING,
    OK,
    UNREADABLE,
    decimal_sign,
    parse_column,
)
from geomfaf.survey.element_names import OXIDES, SYMBOLS, element_columns, parse_element

CONCENTRATIONS = st.floats(1e-9, 1e9)
SIGNS = {
    "": OK,
    "<": BELOW,
    "< ": BELOW,
    "<=": BELOW,
    "\u2264": BELOW,
    ">": ABOVE,
    "> ": ABOVE,
    "\u2265": ABOVE,
}
UNITS = ["", "ppm", " ppm", "%", " mg/kg", " ng/g"]
# Style -> how a number is written, and the plain format with the same digits.
STYLES = {
    "repr": (repr, "r"),
    "fixed": (lambda x: f"{x:.4f}", ".4f"),
    "exponent": (lambda x: f"{x:.8e}", ".8e"),
    "capital exponent": (lambda x: f"{x:.3E}", ".3e"),
    "decimal comma": (lambda x: f"{x:.3f}".replace(".", ","), ".3f"),
    "comma and exponent": (lambda x: f"{x:.5e}".replace(".", ","), ".5e"),
    "English thousands": (lambda x: f"{x:,.2f}", ".2f"),
    "German thousands": (lambda x: f"{x:,.2f}".translate(str.maketrans(",.", ".,")), ".2f"),
    "blanks": (lambda x: f"{x:,.2f}".replace(",", " "), ".2f"),
    "narrow blanks": (lambda x: f"{x:,.1f}".replace(",", "\u202f").replace(".", ","), ".1f"),
    "Swiss": (lambda x: f"{x:,.2f}".replace(",", "\u2019"), ".2f"),
    "whole thousands": (lambda x: f"{x:,.0f}", ".0f"),
    "whole": (lambda x: f"{x:.0f}", ".0f"),
}


def read(*texts, **options):
    return parse_column(pd.Series(list(texts), dtype=object), **options)


@pytest.mark.parametrize("style", STYLES)
@given(number=CONCENTRATIONS, sign=st.sampled_from(list(SIGNS)), unit=st.sampled_from(UNITS))
def test_a_number_in_any_style_is_read_back_or_reported(style, number, sign, unit):
    write, plain = STYLES[style]
    text, meant = write(number), number if plain == "r" else float(format(number, plain))
    parsed = read(sign + text + unit)
    flag, value = parsed.flags[0], parsed.numbers[0]
    if flag == UNREADABLE:  # only where both readings are possible
        assert re.fullmatch(r"[1-9]\d{0,2},\d{3}", text)
        assert math.isnan(value)
    elif SIGNS[sign] == BELOW and meant == 0:
        assert flag == BELOW
        assert math.isnan(value)
    else:
        assert flag == SIGNS[sign]
        assert value == pytest.approx(meant, rel=1e-12)


@given(st.lists(CONCENTRATIONS, min_size=3, max_size=30), st.booleans())
def test_a_column_of_one_style_is_read_as_one(numbers, comma):
    """With one value that tells (two decimals) the whole column is read rightly, ambiguous ones
    included.
    """
    sign, group = (",", ".") if comma else (".", ",")
    texts = [f"{x:,.0f}".replace(",", group) for x in numbers] + [f"7{sign}25"]
    parsed = read(*texts)
    assert (parsed.flags == OK).all()
    np.testing.assert_allclose(
        parsed.numbers, [*(float(f"{x:.0f}") for x in numbers), 7.25], rtol=1e-12
    )


CELLS = st.text(max_size=12) | st.none() | st.floats() | st.integers() | st.booleans() | st.dates()


@given(st.lists(CELLS, max_size=8))
@example(
    [
        "5\u00b2",
        "1e5\x00",
        "\u0663",
        "1_0",
        "0x1p3",
        "5,",
        ",5",
        "''1",
        "1..2",
        "<>5",
        "+-5",
        "5 %%",
        "infinit",
    ]
)
@example([-99_999_999_999_999_992])
def test_anything_may_stand_in_a_cell(cells):
    """No crash; what is flagged as measured is a number that Python reads from the
    same characters.
    """
    column = pd.Series(cells, dtype=object)
    before = column.copy()
    parsed = parse_column(column)
    pd.testing.assert_series_equal(column, before)
    assert len(parsed.numbers) == len(parsed.flags) == len(cells)
    for cell, number, flag in zip(cells, parsed.numbers, parsed.flags, strict=True):
        assert (flag in (MISSING, UNREADABLE)) <= math.isnan(number)
        if flag == OK:
            digits = re.sub(r"[^0-9]", "", re.split("[eE]", unified(str(cell)))[0])
            assert digits or math.isinf(number)
            assert not isinstance(cell, bool)
            if (
                digits and abs(number) > 1e-300
            ):  # the same digits in the same order, wherever the point may stand
                exact = f"{abs(number):.17e}".split("e")[0].replace(".", "")
                assert same_digits(digits, exact, number)


def unified(text):
    """Full-width characters as plain ones."""
    return "".join(
        chr(ord(sign) - 0xFEE0) if 0xFF01 <= ord(sign) <= 0xFF5E else sign for sign in text
    )


def same_digits(written, exact, number):
    """Whether a number's significant digits are those that were written (leading zeros do not
    count).
    """
    written, exact = written.lstrip("0"), exact.lstrip("0")
    one, other = float(f"0.{written}"), float(f"0.{exact}")
    # 99999999999999992 is 1e17 in floating point: rounded up, the digits begin one place earlier.
    return number == float(written) or any(
        math.isclose(one, other * times, rel_tol=1e-12) for times in (1, 10)
    )


@given(st.text(alphabet="0123456789.,'<>=+-eE %pmb\u00a0\u2212", max_size=10))
@example("1e-400")
@example("0,000")
@example("5 ppm <")
@example("<5>")
@example("1.2.3")
def test_texts_made_of_the_signs_of_numbers(text):
    """Against an independent, strict reading: digits with one decimal sign, exponent, mark and
    unit.
    """
    parsed = read(text)
    number, flag = parsed.numbers[0], parsed.flags[0]
    strict = re.fullmatch(
        r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", text.strip().replace("\u2212", "-").lower()
    )
    if strict:
        meant = float(strict.group())
        lost = math.isinf(meant) or (meant == 0 and re.search("[1-9]", strict.group(1)))
        assert flag == (UNREADABLE if lost else OK)
        assert lost or number == pytest.approx(meant, rel=1e-14)
    elif flag == OK:
        assert re.search(r"[,'%pb]|\d[ \u00a0]+\d|\d[ \u00a0]*ppm", text.lower())
    if text.count("<") + text.count(">") > 1:
        assert flag in (UNREADABLE, MISSING)


@given(st.text(max_size=20))
def test_any_text_may_be_a_header(text):
    parsed = parse_element(text)
    assert parsed is None or parsed[0] in (*SYMBOLS, *OXIDES)
    assert set(element_columns([text])) <= {text}


@given(st.text(alphabet="aAcCuUgGsSoOnNpPbBmM_ 0123456789%/().-", max_size=14))
def test_a_header_is_an_element_only_when_its_symbol_stands_alone(text):
    """The symbol must be a word of its own, or stand before a unit or before the number of its
    isotope.
    """
    parsed = parse_element(text)
    if parsed:
        name = parsed[0].lower()
        alone = re.search(rf"(?<![a-z0-9]){name}(?=$|[^a-z0-9]|ppm|ppb|ppt|pct|\d)", text.lower())
        assert alone or name in ("fe2o3", "feo")


def test_only_distinct_texts_are_looked_at(monkeypatch):
    import geomfaf.survey.cleaning.parse_numbers as values

    seen = []
    form = values._form
    monkeypatch.setattr(values, "_form", lambda text: seen.append(text) or form(text))
    parse_column(pd.Series(["<0.05", "12.5", "n.a."] * 1000))
    assert sorted(seen) == ["<0.05", "n.a."]


def test_columns_of_every_kind_are_read_alike():
    texts = ["1.5", "<2", None, "n.a."]
    for column in (
        pd.Series(texts),
        pd.Series(texts, dtype=object),
        pd.Series(texts, dtype="string"),
        pd.Series(texts, dtype="category"),
    ):
        parsed = parse_column(column)
        np.testing.assert_array_equal(parsed.numbers, [1.5, 2, np.nan, np.nan])
        assert parsed.flags.tolist() == [OK, BELOW, MISSING, MISSING]
    for column in (
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1.0, np.nan]),
        pd.Series([1.0, None], dtype="Float64"),
    ):
        assert parse_column(column).flags.tolist() == [OK, MISSING]
    assert parse_column(pd.Series([True, False])).flags.tolist() == [UNREADABLE] * 2
    assert len(parse_column(pd.Series([], dtype=object)).numbers) == 0


@pytest.mark.parametrize(
    ("columns", "sign"),
    [
        ([["0,5", "1"], ["3"]], ","),
        ([["0.5", "1"], ["1,234"]], "."),
        ([["0.5", "0,5"]], None),
        ([["1,234"], ["5"]], None),
        ([["0,5"] * 30, ["0.5"]], ","),
    ],
)
def test_the_decimal_sign_of_a_table(columns, sign):
    assert decimal_sign(pd.Series(column) for column in columns) == sign
