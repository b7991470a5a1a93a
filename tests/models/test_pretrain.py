"""Pretraining: it fills in what is hidden, alike for the same seed, and inside a fold it never sees
test ground.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from builders import (
    QUICK,
    Case,
    ground_to_test,
    make_grid,
    make_stack,
    same_weights,
    small_case,
    smooth_noise,
)

from geomfaf.errors import DataError, OutputExistsError, UsageError
from geomfaf.files import file_hash
from geomfaf.models.network.classifier import MFAFClassifier, make_network
from geomfaf.models.network.options import Training
from geomfaf.models.network.pretrain import (
    FillIn,
    fill_in,
    hidden_cells,
    pretrain_network,
    save_pretrained,
    unlabelled_windows,
)
from geomfaf.rasters.bands import Band, as_dataarray

SMALL = Training(dilations=(1, 2))


def one_band(values: np.ndarray):
    return as_dataarray(values[None], make_grid(*values.shape), [Band("gravity", "ratio")])


def ends(history):
    """Mean losses of the first and the last ten steps."""
    table = pd.DataFrame(history)
    return table.head(10).mean(), table.tail(10).mean()


def test_hidden_cells_of_a_smooth_field_are_filled_in_better_than_by_any_constant():
    smooth = one_band(smooth_noise((80, 80), 3, sigma=5.0))
    found = pretrain_network(smooth, size=16, options=SMALL, steps=120, device="cpu")
    first, last = ends(found.history)
    assert first["loss"] > 0.8 * first["constant_loss"]
    assert last["loss"] < 0.3 * last["constant_loss"]
    assert last["loss"] < 0.3 * first["loss"]


def test_of_noise_nothing_can_be_filled_in():
    noise = one_band(np.random.default_rng(0).normal(size=(120, 120)))
    _, last = ends(pretrain_network(noise, size=16, options=SMALL, steps=60, device="cpu").history)
    assert last["loss"] > 0.97 * last["constant_loss"]


def test_a_hidden_band_is_read_from_the_others():
    """White noise twice: a hidden patch is lost in both bands, a hidden band is not."""
    noise = np.random.default_rng(0).normal(size=(2, 90, 90)).repeat([2, 1], axis=0)
    stack = as_dataarray(
        noise, make_grid(90, 90), [Band(name, "ratio") for name in ("one", "same", "other")]
    )
    _, last = ends(pretrain_network(stack, size=8, options=SMALL, steps=150, device="cpu").history)
    assert last["loss"] < 0.97 * last["constant_loss"]


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    hashes = []
    for number, seed in enumerate((0, 0, 1)):
        found = pretrain_network(
            small_case().stack, size=8, options=SMALL, steps=3, seed=seed, device="cpu"
        )
        hashes.append(
            file_hash(save_pretrained(found, tmp_path / str(number)) / "weights.safetensors")
        )
    assert hashes[0] == hashes[1] != hashes[2]
    assert file_hash(tmp_path / "0" / "pretrained.json") == file_hash(
        tmp_path / "1" / "pretrained.json"
    )
    with pytest.raises(OutputExistsError):
        save_pretrained(found, tmp_path / "0")
    save_pretrained(found, tmp_path / "0", overwrite=True)


@pytest.mark.parametrize(
    "changes", [{}, {"shared": False}, {"network": "plain"}, {"backbone": "shufflenet_v2"}]
)
def test_every_network_can_be_pretrained(changes):
    options = replace(SMALL, **changes)
    found = pretrain_network(small_case().stack, size=9, options=options, steps=2, device="cpu")
    fresh = make_network(
        options, len(found.encoder.channels), 9, seed=0, device=torch.device("cpu")
    ).state_dict()
    trained = found.net.state_dict()
    moved = {name for name in fresh if not torch.equal(fresh[name], trained[name])}
    assert not [name for name in moved if name.startswith("classifier")]
    parts = {name.split(".")[0] for name in fresh if fresh[name].is_floating_point()}
    assert {name.split(".")[0] for name in moved} == parts - {"classifier"}


@pytest.mark.parametrize("fold", [0, 2])
def test_noise_on_test_ground_changes_no_bit_of_a_pretrained_fold_model(fold):
    """THE NOISE TEST, with pretraining: nothing of a fold's ground, neither bands nor labels,
    reaches its model.
    """
    case, options = Case(count=16), replace(QUICK, epochs=1, pretrain=3)
    honest, fresh = case.train(options=options), case.train(options=options.fresh())
    assert not same_weights(honest, fresh, fold)
    hidden, rng = ground_to_test(case, fold), np.random.default_rng(99)
    case.stack.values[:, hidden] = rng.uniform(0.1, 1e5, (4, hidden.sum()))
    case.stack.values[2, hidden] = rng.integers(1, 3, hidden.sum())
    case.stack.values[0, hidden & (rng.random(hidden.shape) < 0.3)] = np.nan
    tested = case.folds.of_windows(case.windows) == fold
    case.windows.loc[tested, "label"] = 1 - case.windows.loc[tested, "label"]
    blind = case.train(options=options)
    assert same_weights(honest, blind, fold)
    assert not any(
        same_weights(honest, blind, number) for number in range(case.folds.count) if number != fold
    )


def test_without_the_folds_pretraining_would_see_test_ground():
    """The noise test can fail: pretraining of the whole survey does change with the test ground's
    bands.
    """
    case = Case(count=16)
    before = pretrain_network(
        case.stack, size=8, options=SMALL, steps=2, device="cpu"
    ).net.state_dict()
    case.stack.values[0, ground_to_test(case, 0)] = 1e5
    after = pretrain_network(
        case.stack, size=8, options=SMALL, steps=2, device="cpu"
    ).net.state_dict()
    assert not all(torch.equal(before[name], after[name]) for name in before)


def test_labels_and_deposits_play_no_part_in_pretraining(monkeypatch):
    """Two trainings with other labels begin at the same weights."""
    starts, case = [], Case()
    monkeypatch.setattr(
        MFAFClassifier, "fit", lambda self, *_, start, **__: starts.append(start) or self
    )
    monkeypatch.setattr(
        "geomfaf.models.fold_models._gather_fold_models", lambda trained, device: trained
    )
    for _ in range(2):
        case.train(options=replace(QUICK, pretrain=2))
        case.windows["label"] = 1 - case.windows["label"]
    count = case.folds.count
    for one, other in zip(starts[:count], starts[count:], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_windows_are_valid_ground_clear_of_the_folds_blocks():
    case = small_case()
    valid = np.random.default_rng(0).random(case.grid.shape) < 0.5
    valid[:, :30] = False
    for fold in range(case.folds.count):
        found, near = (
            unlabelled_windows(valid, 8, folds=case.folds, fold=fold),
            ground_to_test(case, fold),
        )
        inside = {(row, col) for row, col in found[["row", "col"]].to_numpy()}
        for row in range(0, case.grid.height - 7, 5):
            for col in range(0, case.grid.width - 7, 3):
                part = np.s_[row : row + 8, col : col + 8]
                assert ((row, col) in inside) == (
                    not near[part].any() and valid[part].mean() >= 0.5
                )


def test_large_maps_are_sampled_and_ground_without_windows_is_refused(monkeypatch):
    monkeypatch.setattr("geomfaf.models.network.pretrain.MOST_PLACES", 1000)
    assert len(unlabelled_windows(np.ones((200, 300), bool), 16)) == pytest.approx(1000, rel=0.2)
    with pytest.raises(DataError, match="no window of 16 cells lies on ground that is valid"):
        unlabelled_windows(np.zeros((30, 30), bool), 16)
    case = small_case()
    with pytest.raises(DataError, match=r"clear of fold 2's ground by 8 cells.*pretrain = 0"):
        unlabelled_windows(case.folds.raster() == 1, 8, folds=case.folds, fold=1)


def test_patches_are_hidden_in_all_bands_and_bands_with_all_their_channels():
    hidden = hidden_cells(4000, [0, 1, 1, 2], 10, torch.Generator().manual_seed(0))
    assert hidden.shape == (4000, 4, 10, 10)
    assert torch.equal(hidden[:, 1], hidden[:, 2])
    whole = hidden.flatten(2).all(dim=2)
    assert not whole.all(dim=1).any()
    assert whole[:, 0].float().mean() == pytest.approx(0.25, abs=0.04)
    seen = hidden[~whole[:, 0], 0]
    assert seen.float().mean() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(seen[:, 0:2, 0:2], seen[:, :1, :1].expand(-1, 2, 2))
    one = hidden_cells(50, [0, 0], 8, torch.Generator().manual_seed(0))
    assert not one.flatten(1).all(dim=1).any()


def test_the_network_sees_nothing_of_hidden_cells(monkeypatch):
    """Were every cell hidden, the input would be nothing but medians."""
    shown = []
    monkeypatch.setattr(
        "geomfaf.models.network.pretrain.hidden_cells",
        lambda n, g, s, _: torch.ones(n, len(g), s, s, dtype=bool),
    )
    stack, options = make_stack(make_grid(40, 40)), replace(SMALL, network="plain")
    encoder = pretrain_network(stack, size=8, options=options, steps=1, device="cpu").encoder
    net = make_network(options, len(encoder.channels), 8, seed=0, device=torch.device("cpu"))
    net.branches[0].register_forward_pre_hook(
        lambda _, inputs: shown.append(inputs[0].abs().max().item())
    )
    places = unlabelled_windows(np.ones((40, 40), bool), 8)
    fill_in(net, stack, encoder, places, options=options, steps=2, seed=0, label="")
    assert shown == [0.0] * 3  # one of them measures the feature map


def test_the_layer_that_fills_in_draws_windows_of_any_size():
    for size, places in ((16, 4), (15, 4), (9, 9), (128, 4)):
        assert FillIn(6, 3, size, places)(torch.zeros(2, 6, places, places)).shape == (
            2,
            3,
            size,
            size,
        )


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="steps = 0"):
        pretrain_network(small_case().stack, size=8, steps=0)
    with pytest.raises(UsageError, match="begins at random"):
        pretrain_network(small_case().stack, size=8, options=Training(pretrain=5))
    with pytest.raises(UsageError, match="pretrain = -1"):
        Training(pretrain=-1)
    with pytest.raises(UsageError, match="use train_model"):
        MFAFClassifier(Training(pretrain=5)).fit(
            np.zeros((4, 1, 8, 8), np.float32), np.array([0, 1, 0, 1])
        )
