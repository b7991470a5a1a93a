"""Augmentation: eight symmetries, noise of the right size, synthetic windows between
their parents.
"""

import numpy as np
import pytest
import torch

from geomfaf.errors import DataError
from geomfaf.models.network.augment import NOISE_VARIANCE, add_noise, smote, turn_and_flip


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def symmetries(window: np.ndarray) -> list[np.ndarray]:
    turned = [np.rot90(window, k, axes=(1, 2)) for k in range(4)]
    return turned + [np.flip(t, 2) for t in turned]


def imbalanced(ore: int = 6, barren: int = 20) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(ore + barren, 2, 3, 3)).astype(np.float32)
    return x, np.array([1] * ore + [0] * barren)


def test_turns_and_flips_are_the_eight_symmetries_of_the_square():
    window = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    turned = turn_and_flip(torch.from_numpy(window).repeat(800, 1, 1, 1), seeded()).numpy()
    known = [s.tobytes() for s in map(np.ascontiguousarray, symmetries(window))]
    found = [known.index(t.tobytes()) for t in turned]
    assert len(set(known)) == 8
    assert np.bincount(found, minlength=8).min() > 60


def test_each_window_turns_by_itself():
    x = torch.arange(18 * 16, dtype=torch.float32).reshape(16, 2, 3, 3)
    turned = turn_and_flip(x, seeded(3))
    for before, after in zip(x.numpy(), turned.numpy(), strict=True):
        assert sorted(before.ravel()) == sorted(after.ravel())
        assert any((after == s).all() for s in symmetries(before))
    assert (turned != x).any()


def test_noise_has_mean_zero_and_the_papers_variance():
    noise = add_noise(torch.zeros(50, 4, 16, 16), seeded())
    assert NOISE_VARIANCE == 0.01
    assert float(noise.var()) == pytest.approx(0.01, rel=0.03)
    assert abs(float(noise.mean())) < 0.002
    assert float(
        add_noise(torch.zeros(50, 4, 16, 16), seeded(), variance=0.25).std()
    ) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("change", [turn_and_flip, add_noise])
def test_augmentation_follows_its_generator_and_leaves_the_input_alone(change):
    x = torch.randn(20, 2, 5, 5, generator=seeded(9))
    before = x.clone()
    assert torch.equal(change(x, seeded(1)), change(x, seeded(1)))
    assert not torch.equal(change(x, seeded(1)), change(x, seeded(2)))
    assert torch.equal(x, before)


def test_smote_balances_and_keeps_the_given_windows_first():
    x, labels = imbalanced()
    more, balanced = smote(x, labels)
    assert np.bincount(balanced).tolist() == [20, 20]
    assert more.dtype == np.float32
    np.testing.assert_array_equal(more[:26], x)
    assert (balanced[:26] == labels).all()
    assert (balanced[26:] == 1).all()


def test_a_synthetic_window_lies_on_the_line_between_two_of_its_class():
    x, labels = imbalanced()
    more, _ = smote(x, labels)
    parents = x[labels == 1].reshape(6, -1).astype(float)
    for window in more[26:].reshape(14, -1).astype(float):
        gaps = [
            np.linalg.norm(window - a) + np.linalg.norm(window - b) - np.linalg.norm(a - b)
            for i, a in enumerate(parents)
            for b in parents[i + 1 :]
        ]
        assert min(gaps) < 1e-5


def test_smote_follows_its_seed():
    x, labels = imbalanced()
    assert (smote(x, labels, seed=1)[0] == smote(x, labels, seed=1)[0]).all()
    assert (smote(x, labels, seed=1)[0] != smote(x, labels, seed=2)[0]).any()


def test_smote_works_with_two_windows_and_refuses_one():
    assert np.bincount(smote(*imbalanced(2, 9))[1]).tolist() == [9, 9]
    with pytest.raises(DataError, match="one class has 1"):
        smote(*imbalanced(1, 9))
