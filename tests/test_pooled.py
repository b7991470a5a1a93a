"""Figures of several areas taken together, against scipy and by counting."""

import doctest
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import pooled


def some_areas(seed=0):
    rng = np.random.default_rng(seed)
    clusters = [rng.integers(0, 3, count) for count in (8, 20, 5)]
    differences = [rng.normal(0.02, 0.05, len(group)) for group in clusters]
    return differences, clusters


def test_every_area_counts_the_same_and_the_interval_is_students():
    differences, clusters = some_areas()
    found = pooled.pool(differences, clusters)
    means = [own.mean() for own in differences]
    interval = ttest_1samp(means, 0).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(means))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.clusters == sum(len(np.unique(group)) for group in clusters)


def test_the_signs_of_whole_clusters_are_flipped():
    """Every flip counted in a loop over the deposits."""
    differences, clusters = some_areas()
    keys = [(a, g) for a, group in enumerate(clusters) for g in np.unique(group)]
    as_far = 0
    for signs in product((1, -1), repeat=len(keys)):
        sign = dict(zip(keys, signs, strict=True))
        means = []
        for area, (own, group) in enumerate(zip(differences, clusters, strict=True)):
            means.append(np.mean([sign[area, g] * d for g, d in zip(group, own, strict=True)]))
        truth = np.mean([own.mean() for own in differences])
        as_far += abs(np.mean(means)) >= abs(truth) - 1e-12
    assert pooled.pool(differences, clusters).p == pytest.approx(as_far / 2 ** len(keys))


def test_many_clusters_are_flipped_at_random_and_never_give_a_p_of_zero():
    assert pooled.flipped(np.ones(40)) == pytest.approx(1 / (pooled.FLIPS + 1))
    assert pooled.flipped(np.tile([1.0, -1.0], 20)) == 1.0


def test_so_many_areas_do_tell_the_difference_four_times_in_five():
    """By drawing studies: those of one area fewer tell it less often than wanted."""
    rng = np.random.default_rng(0)
    count = pooled.areas_needed(0.02, 0.015)
    told = []
    for areas in (count - 1, count):
        studies = rng.normal(0.015, 0.02, (40_000, areas))
        told.append((ttest_1samp(studies, 0, axis=1).pvalue < 0.05).mean())
    assert told[0] < pooled.POWER + 0.005
    assert told[1] > pooled.POWER - 0.005


def test_a_choice_has_no_say_from_the_area_that_judges_it():
    gains = pd.DataFrame({"a": [9.0, 0.0], "b": [0.0, 1.0], "c": [0.0, 2.0]}, index=["x", "y"])
    # Without a, y is best; with a alone x would be.
    assert pooled.chosen_without(gains).to_dict() == {"a": 0.0, "b": 0.0, "c": 0.0}


def test_the_examples_hold():
    assert doctest.testmod(pooled).failed == 0
