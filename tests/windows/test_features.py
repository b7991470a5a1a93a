"""The feature table: each number equals a plain loop over the window, and no other ground reaches
its bits.
"""

import numpy as np
import pytest
from builders import LEGEND, make_grid, make_stack
from hypothesis import given, settings
from hypothesis import strategies as st

from geomfaf.errors import DataError, UsageError
from geomfaf.rasters.bands import Band, as_dataarray
from geomfaf.windows.features import window_features


def gappy_stack(seed=0, shape=(14, 11), gaps=0.3):
    stack = make_stack(make_grid(*shape), seed)
    stack.values[np.random.default_rng(seed).random(stack.shape) < gaps] = np.nan
    return stack


def scaled(value, kind):
    """The fixed scales, in words: log10 above a millionth for elements, log10(d + 100 m) for
    distances.
    """
    if kind == "element":
        return np.log10(value) + 6
    return np.log10(value + 100)


@given(
    seed=st.integers(0, 999), size=st.integers(1, 9), row=st.integers(0, 13), col=st.integers(0, 10)
)
@settings(max_examples=40)
def test_features_equal_a_loop_over_the_window(seed, size, row, col):
    stack = gappy_stack(seed)
    found = window_features(stack, [row], [col], size).frame().iloc[0]
    top, left = row - size // 2, col - size // 2
    cells = [
        (r, c)
        for r in range(top, top + size)
        for c in range(left, left + size)
        if 0 <= r < 14 and 0 <= c < 11
    ]
    for name, kind in (("Au", "element"), ("fault_distance", "distance")):
        layer = stack.sel(band=name).values
        values = [scaled(layer[cell], kind) for cell in cells if np.isfinite(layer[cell])]
        expected = [scaled(layer[row, col], kind)]
        expected += [np.mean(values), np.std(values), np.max(values)] if values else [np.nan] * 3
        got = [found[name], found[f"{name} mean"], found[f"{name} sd"], found[f"{name} max"]]
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)
    geology = stack.sel(band="geology").values
    classes = [geology[cell] for cell in cells if np.isfinite(geology[cell])]
    for number, label in LEGEND.items():
        centre = geology[row, col]
        assert found[f"geology={label}"] == (centre == number) or (
            np.isnan(centre) and np.isnan(found["geology=shale"])
        )
        there = [float(value == number) for value in classes]
        expected = [np.mean(there), np.std(there), np.max(there)] if classes else [np.nan] * 3
        got = [found[f"geology={label} {statistic}"] for statistic in ("mean", "sd", "max")]
        np.testing.assert_allclose(got, expected, atol=1e-7)


def test_the_centre_is_the_cell_itself_and_places_have_their_coordinates():
    stack = make_stack(make_grid(20, 30))
    table = window_features(stack, [3, 19], [29, 0], 8)
    assert (table.x.tolist(), table.y.tolist()) == ([502_950, 500_050], [5_999_650, 5_998_050])
    pixel = window_features(stack, [3, 19], [29, 0])
    assert pixel.names == ["Au", "Cu", "geology=granite", "geology=shale", "fault_distance"]
    for name in pixel.names:
        assert table.frame()[name].equals(pixel.frame()[name])


def test_noise_elsewhere_changes_no_bit_of_a_row():
    """Running sums would: they carry the rounding of all ground before a window."""
    stack, noisy = make_stack(make_grid(60, 60)), make_stack(make_grid(60, 60))
    noisy.values[:, 30:, :] = np.random.default_rng(0).normal(0, 1e6, noisy.values[:, 30:, :].shape)
    rows, cols = np.meshgrid(np.arange(26), np.arange(60), indexing="ij")
    before, after = (
        window_features(s, rows.ravel(), cols.ravel(), 8).values for s in (stack, noisy)
    )
    assert before.tobytes() == after.tobytes()


def test_blocks_change_no_bit(monkeypatch):
    stack = gappy_stack(3)
    rows, cols = np.divmod(np.arange(14 * 11), 11)
    whole = window_features(stack, rows, cols, 5).values
    monkeypatch.setattr("geomfaf.windows.features.BLOCK", 100)
    assert window_features(stack, rows, cols, 5).values.tobytes() == whole.tobytes()


def test_the_scale_of_an_element_rises_through_zero():
    """A raster whose kind nobody stated reads as an element; a magnetic anomaly keeps its order."""
    values = np.array([[-500.0, -1.0, -1e-9, 0.0, 1e-9, 1e-3, 2.0, 1e5]])
    stack = as_dataarray(values[None], make_grid(1, 8), [Band("magnetics")])
    found = window_features(stack, np.zeros(8, int), np.arange(8)).values[:, 0]
    assert (np.diff(found) >= 0).all()
    assert found[5:].tolist() == pytest.approx([3, 6 + np.log10(2), 11])


def test_a_class_band_without_a_legend_gets_its_own_values():
    stack = as_dataarray(np.array([[[3.0, 7.0, np.nan]]]), make_grid(1, 3), [Band("unit", "class")])
    table = window_features(stack, [0, 0, 0], [0, 1, 2])
    assert table.names == ["unit=3", "unit=7"]
    np.testing.assert_array_equal(table.values, [[1, 0], [0, 1], [np.nan, np.nan]])


def test_select_and_rows_take_what_they_are_told():
    table = window_features(make_stack(make_grid(20, 20)), np.arange(20), np.arange(20), 4)
    some = table[np.arange(20) > 16].select(bands=["geology", "Cu"], statistics=["centre"])
    assert (len(some), some.names, some.bands) == (
        3,
        ["Cu", "geology=granite", "geology=shale"],
        ["Cu", "geology"],
    )
    assert (some.x == table.x[17:]).all()
    with pytest.raises(UsageError, match=r'no band "Cuu"\. Did you mean "Cu"'):
        table.select(bands=["Cuu"])


def test_what_cannot_be_taken_is_refused():
    with pytest.raises(UsageError, match="window of 0"):
        window_features(make_stack(make_grid(5, 5)), [0], [0], 0)
    nothing = as_dataarray(np.full((1, 2, 2), np.nan), make_grid(2, 2), [Band("unit", "class")])
    with pytest.raises(DataError, match="no band with a value or a class"):
        window_features(nothing, [0], [0])
