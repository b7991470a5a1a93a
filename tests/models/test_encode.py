"""The input layer: learned from training windows alone, robust, and never NaN."""

import numpy as np
import pytest

from geomfaf.errors import DataError
from geomfaf.models.network.encode import CLIP, Encoder, fit_encoder
from geomfaf.rasters.bands import Band

GOLD = Band("Au", "element", "ppb")
GEOLOGY = Band("geology", "class", legend={1: "granite", 2: "shale", 3: "dyke"})
FAULT = Band("fault_distance", "distance", "m")


def lognormal(count: int, seed: int = 0) -> np.ndarray:
    return 10 ** np.random.default_rng(seed).normal(1.0, 0.4, count)


def encoded(values, bands, train=None) -> np.ndarray:
    values = np.atleast_2d(np.asarray(values, float))
    encoder = fit_encoder(values if train is None else np.atleast_2d(train), bands)
    return encoder.transform(values, [band.name for band in bands])


def test_an_element_becomes_a_standard_normal_of_its_logarithm():
    values = lognormal(20_000)
    x = encoded(values, [GOLD])[0]
    logs = np.log10(values)
    low, centre, high = np.quantile(logs, [0.25, 0.5, 0.75])
    above = values > np.quantile(values, 0.01)
    np.testing.assert_allclose(
        x[above], ((logs - centre) / ((high - low) / 1.349))[above].clip(-5, 5), atol=1e-5
    )
    assert abs(np.median(x)) < 1e-6
    assert x.std() == pytest.approx(1, abs=0.03)


def test_what_is_learned_comes_from_training_values_only():
    train, test = lognormal(500), lognormal(500, 1)
    encoder = fit_encoder(train[None], [GOLD])
    one, other = (
        encoder.transform(np.concatenate([test, rest])[None], ["Au"])[0, :500]
        for rest in (test, test * 1e6)
    )
    assert (one == other).all()
    assert encoder == fit_encoder(train[None].copy(), [GOLD])


def test_nodata_reads_as_the_median_and_as_no_class():
    values = np.array([[1.0, 10.0, np.nan, 100.0], [1, np.nan, 2, 2]])
    x = encoded(values, [GOLD, GEOLOGY])
    assert np.isfinite(x).all()
    assert x[0, 2] == 0
    assert x[:, 1][1:].tolist() == [0, 0]


def test_classes_become_one_channel_each():
    classes = np.array([1, 2, 2, 1, 3] * 20, float)
    encoder = fit_encoder(classes[None], [GEOLOGY])
    x = encoder.transform(classes[None], ["geology"])
    assert encoder.names == ["geology=granite", "geology=shale", "geology=dyke"]
    assert (x.sum(axis=0) == 1).all()
    assert (x.argmax(axis=0) + 1 == classes).all()


def test_a_rare_or_absent_class_gets_no_channel():
    train = np.array([1.0] * 995 + [3.0] * 5)
    encoder = fit_encoder(train[None], [GEOLOGY])
    assert encoder.names == ["geology=granite"]
    assert encoder.transform(np.array([[2.0, 1.0]]), ["geology"]).tolist() == [[0, 1]]


def test_one_freak_sample_does_not_own_the_band():
    values = lognormal(1000)
    freak = values.copy()
    freak[0] = 1e12
    plain, with_freak = encoded(values, [GOLD])[0], encoded(freak, [GOLD])[0]
    assert with_freak[0] == CLIP
    np.testing.assert_allclose(plain[1:], with_freak[1:], atol=0.02)


def test_zero_meets_the_floor_and_negative_values_are_refused():
    x = encoded([0, 1, 10, 100, 1000], [GOLD])[0]
    assert np.isfinite(x).all()
    assert x[0] <= x[1]
    assert (np.diff(x[1:]) > 0).all()
    with pytest.raises(DataError, match="2 negative cells, and an element's scale is logarithmic"):
        encoded([-400, -5, 1, 10, 300], [GOLD])


def test_distances_saturate_and_keep_their_order():
    x = encoded(np.linspace(0, 20_000, 200), [FAULT])[0]
    steps = np.diff(x)
    assert (steps > 0).all()
    assert steps[0] / steps[-1] == pytest.approx(
        3, rel=0.02
    )  # (20 km + the median of 10 km) / 10 km


def test_a_constant_or_empty_band_gives_zeros():
    assert (encoded([7.1] * 9, [GOLD]) == 0).all()
    assert (encoded([np.nan] * 9, [GOLD]) == 0).all()


@pytest.mark.parametrize("value", [0.5, 7.1, 0.013])
def test_rounding_noise_of_a_censored_element_is_not_blown_up(value):
    """Most samples at the detection limit: interpolation gives that value up to the last bits of a
    float32.
    """
    rng = np.random.default_rng(0)
    values = np.float32(value) * (1 + rng.normal(0, 1e-7, 4000)).astype(np.float32)
    values[:400] *= np.float32(10) ** rng.random(400).astype(np.float32)
    x = encoded(values, [GOLD], train=values)[0]
    assert np.abs(x[400:]).max() < 0.5
    assert np.abs(x[:400]).max() > 1


def test_constant_training_values_do_not_depend_on_their_last_bits():
    train = np.full((1, 999), np.float32(0.1))
    x = fit_encoder(train, [GOLD]).transform(train, ["Au"])
    assert np.abs(x).max() < 1e-3


def test_presence_of_faults_survives_mostly_empty_ground():
    x = encoded([0] * 90 + [1] * 10, [Band("fault", "presence")])[0]
    assert x[-1] - x[0] > 1


def test_channels_follow_the_band_names_and_not_their_order():
    values = np.stack([lognormal(50), np.tile([1.0, 2.0], 25)])
    encoder = fit_encoder(values, [GOLD, GEOLOGY])
    straight = encoder.transform(values, ["Au", "geology"])
    assert (straight == encoder.transform(values[::-1], ["geology", "Au"])).all()


def test_a_missing_band_is_named():
    encoder = fit_encoder(lognormal(20)[None], [GOLD])
    with pytest.raises(DataError, match='no band "Au"'):
        encoder.transform(np.ones((1, 3)), ["Cu"])


def test_no_channel_at_all_is_refused():
    with pytest.raises(DataError, match="no band is left"):
        fit_encoder(np.full((1, 9), np.nan), [GEOLOGY])


def test_an_encoder_is_a_value():
    encoder = fit_encoder(lognormal(20)[None], [GOLD])
    assert Encoder(encoder.channels) == encoder
