"""Progress: every item comes through in every style, loops inside loops included."""

import json

import pytest

from geomfaf import progress


@pytest.fixture(autouse=True)
def _silent_afterwards():
    yield
    progress.show_progress("none")


@pytest.mark.parametrize("style", progress.STYLES)
def test_loops_inside_loops_lose_nothing(style):
    progress.show_progress(style)
    seen = [
        (a, b)
        for a in progress.track("xy", "outer")
        for b in progress.track(range(3), "inner", unit="steps")
    ]
    assert seen == [(a, b) for a in "xy" for b in range(3)]


def break_off():
    for number in progress.track([0], "breaks"):
        1 / number


def test_an_error_inside_a_bar_leaves_the_next_bar_working(capsys):
    progress.show_progress("bar")
    with pytest.raises(ZeroDivisionError):
        break_off()
    assert list(progress.track([1, 2], "works")) == [1, 2]
    assert "works" in capsys.readouterr().err


def test_json_lines_say_how_far_it_is(capsys):
    progress.show_progress("json")
    list(progress.track([1, 2], "gridding", unit="cells", weights=[30, 10]))
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (last["stage"], last["done"], last["total"], last["unit"]) == (
        "gridding",
        40,
        40,
        "cells",
    )


def test_plain_lines_say_the_rate(capsys):
    progress.show_progress("plain")
    list(progress.track([1, 2], "gridding", unit="cells"))
    assert "gridding: 100 %" in capsys.readouterr().err
