"""Variograms: a known range is found again, noise has none, the cloud equals brute force."""

import itertools

import numpy as np
import pytest
from builders import make_grid, make_stack
from scipy.spatial.distance import cdist

from geomfaf.windows.variogram import (
    autocorrelation_range,
    band_ranges,
    empirical_variogram,
    spherical,
    variogram_range,
)


def simulated(reach, seed, nugget=0.0, count=800):
    """A Gaussian field with a spherical variogram of a known range, exact at its
    places (Cholesky).
    """
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 10_000, (count, 2))
    covariance = (1 - nugget) * (1 - spherical(cdist(xy, xy), 0, 1, reach)) + (
        nugget + 1e-6
    ) * np.eye(count)
    return xy, np.linalg.cholesky(covariance) @ rng.normal(size=count)


@pytest.mark.parametrize("reach", [600, 1500, 3000])
def test_the_range_of_a_simulated_field_is_found_again(reach):
    found = [variogram_range(*simulated(reach, seed)) for seed in range(7)]
    assert np.median(found) == pytest.approx(reach, rel=0.25)


def test_the_range_does_not_depend_on_units_or_skewness():
    xy, values = simulated(1500, 0)
    assert variogram_range(xy, np.exp(3 * values)) == pytest.approx(variogram_range(xy, values))


def test_noise_has_no_range_and_a_trend_has_the_longest():
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 10_000, (1000, 2))
    ranges = [variogram_range(xy, rng.normal(size=1000)) for _ in range(5)]
    assert np.median(ranges) < 500
    assert variogram_range(xy, xy[:, 0]) > 4500


def test_too_few_values_or_a_constant_have_no_range():
    xy = np.random.default_rng(0).uniform(0, 100, (50, 2))
    assert np.isnan(variogram_range(xy, np.ones(50)))
    assert np.isnan(variogram_range(xy[:29], np.arange(29.0)))


def test_the_variogram_cloud_equals_brute_force():
    rng = np.random.default_rng(1)
    xy, values = rng.uniform(0, 100, (40, 2)), rng.normal(size=40)
    lags, gamma, pairs = empirical_variogram(xy, values, 60.0)
    classes = {}
    for a, b in itertools.combinations(range(40), 2):
        distance = np.hypot(*(xy[a] - xy[b]))
        if distance <= 60:
            classes.setdefault(min(int(distance / 3), 19), []).append(
                (distance, (values[a] - values[b]) ** 2 / 2)
            )
    assert pairs.tolist() == [len(classes[key]) for key in sorted(classes)]
    expected = np.array([np.mean(classes[key], axis=0) for key in sorted(classes)])
    np.testing.assert_allclose(np.column_stack([lags, gamma]), expected)


def test_class_bands_have_no_range_and_the_median_decides():
    stack = make_stack(make_grid(97, 83))
    ranges = band_ranges(stack)
    assert set(ranges) == {"Au", "Cu", "fault_distance"}
    assert autocorrelation_range(stack) == np.median(list(ranges.values()))
    assert 500 < ranges["Au"] < 2500  # smoothed over 3 cells of 100 m
