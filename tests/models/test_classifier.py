"""Training: the same bits for the same seed, also after an interruption; it learns."""

from functools import partial

import numpy as np
import pytest
import torch
from builders import QUICK
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import geomfaf.models.network.classifier
from geomfaf.errors import DataError, UsageError
from geomfaf.models.network.checkpoint import TrainingState
from geomfaf.models.network.classifier import MFAFClassifier, learning_rate, seen_part, seen_size
from geomfaf.models.network.devices import choose_device, computing_type
from geomfaf.models.network.mfaf import PAPER_DILATIONS
from geomfaf.models.network.options import PRESETS, Training, training_options

SIZE = 8


def blobs(count: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise windows; those of ore have a bump in the middle of channel 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (count, 3, SIZE, SIZE)).astype(np.float32)
    labels = (np.arange(count) % 3 == 0).astype(int)
    x[labels == 1, 1, 2:6, 2:6] += 1.5
    return x, labels


def options(**changes) -> Training:
    return training_options(
        "mfaf", **{"dilations": (1, 2), "epochs": 4, "least_steps": 4, "batch": 16, **changes}
    )


def fitted(chosen: Training, *, seed: int = 0, data_seed: int = 0, **arguments) -> MFAFClassifier:
    return MFAFClassifier(chosen, seed=seed, device="cpu").fit(*blobs(seed=data_seed), **arguments)


def same_bits(one: MFAFClassifier, other: MFAFClassifier) -> bool:
    a, b = one.net_.state_dict(), other.net_.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class StoppedError(Exception):
    """Stands for Ctrl-C."""


@pytest.fixture
def interrupt(monkeypatch):
    """Make the training write a checkpoint after each epoch and break off before epoch number
    ``at``.
    """

    def arm(at: int | None) -> None:
        def track(epochs, label, *, unit=""):
            for epoch in epochs:
                if epoch == at:
                    raise StoppedError
                yield epoch

        monkeypatch.setattr(geomfaf.models.network.classifier, "CHECKPOINT_SECONDS", -1.0)
        monkeypatch.setattr(geomfaf.models.network.classifier, "track", track)

    return arm


@pytest.mark.parametrize("balance", ["sampler", "smote", "none"])
def test_the_same_seed_gives_the_same_bits(balance):
    chosen = options(balance=balance)
    assert same_bits(fitted(chosen), fitted(chosen))
    assert not same_bits(fitted(chosen), fitted(chosen, seed=1))


VARIANTS = [
    {},
    {"optimiser": "sgd", "schedule": "step", "momentum": 0.5, "balance": "smote"},
    {"patience": 2, "learning_rate": 0.01},
    {"backbone": "resnet18", "epochs": 4},
]


@pytest.mark.slow
@pytest.mark.parametrize("changes", VARIANTS, ids=["adamw", "sgd", "early stopping", "resnet18"])
@pytest.mark.parametrize("at", [1, 3])
def test_an_interrupted_training_ends_with_the_same_bits(tmp_path, interrupt, changes, at):
    chosen, path = options(**changes), tmp_path / "fold.safetensors"
    whole = fitted(chosen)
    interrupt(at)
    with pytest.raises(StoppedError):
        fitted(chosen, checkpoint=path)
    assert path.exists()
    interrupt(None)
    resumed = fitted(chosen, checkpoint=path)
    assert same_bits(whole, resumed)
    assert resumed.history_ == whole.history_


def test_a_resumed_training_does_not_start_again(tmp_path, interrupt, monkeypatch):
    path = tmp_path / "fold.safetensors"
    interrupt(2)
    with pytest.raises(StoppedError):
        fitted(options(), checkpoint=path)
    interrupt(None)
    done, one_epoch = [], geomfaf.models.network.classifier._one_epoch
    monkeypatch.setattr(
        geomfaf.models.network.classifier,
        "_one_epoch",
        lambda *a: done.append(a[5]) or one_epoch(*a),
    )
    fitted(options(), checkpoint=path)
    assert done == [2, 3]


OTHERS = [{"data_seed": 9}, {"seed": 9}, {"chosen": options(learning_rate=0.1)}]


@pytest.mark.parametrize("other", OTHERS, ids=["windows", "seed", "options"])
def test_a_checkpoint_of_another_training_is_not_taken_over(tmp_path, interrupt, other):
    """Weights learned on other windows (perhaps on this fold's test ground) must not slip in."""
    path = tmp_path / "fold.safetensors"
    interrupt(None)
    fitted(options(), checkpoint=path)
    arguments = {"chosen": options(), **other}
    assert same_bits(fitted(**arguments, checkpoint=path), fitted(**arguments))


def test_every_epoch_draws_and_turns_anew(monkeypatch):
    drawn, turned = [], []
    batches, turn = (
        geomfaf.models.network.classifier._batches,
        geomfaf.models.network.classifier.turn_and_flip,
    )
    monkeypatch.setattr(
        geomfaf.models.network.classifier,
        "_batches",
        lambda *a: drawn.append(list(batches(*a))) or drawn[-1],
    )
    monkeypatch.setattr(
        geomfaf.models.network.classifier,
        "turn_and_flip",
        lambda *a: turned.append(turn(*a)) or turned[-1],
    )
    fitted(options(epochs=3))
    orders = {tuple(torch.cat(epoch).tolist()) for epoch in drawn}
    assert len(orders) == 3
    assert len({batch.numpy().tobytes() for batch in turned}) == len(turned)


def test_early_stopping_keeps_the_best_weights():
    chosen = options(epochs=40, patience=3, learning_rate=0.02, noise=0.0)
    classifier = fitted(chosen)
    losses = [epoch["validation_loss"] for epoch in classifier.history_]
    assert len(losses) < 40
    assert len(losses) == int(np.argmin(losses)) + 1 + 3
    x, labels = blobs()
    held = geomfaf.models.network.classifier._validation_part(labels, None, chosen, 0)
    assert geomfaf.models.network.classifier._loss_of(
        classifier.net_, x[held], labels[held], chosen
    ) == pytest.approx(min(losses), rel=1e-4)


def test_validation_windows_lie_on_one_side_of_the_map_and_are_never_trained_on():
    x, labels = blobs()
    places = np.random.default_rng(1).uniform(0, 1000, (len(x), 2))
    chosen = options(patience=2)
    held = geomfaf.models.network.classifier._validation_part(labels, places, chosen, 0)
    assert [held[labels == value].mean() for value in (0, 1)] == [0.2, 0.2]
    for value in (0, 1):
        part, rest = places[held & (labels == value)], places[~held & (labels == value)]
        svm = LogisticRegression(C=1e6, max_iter=10_000).fit(
            np.concatenate([part, rest]) / 1000, [1] * len(part) + [0] * len(rest)
        )
        assert (
            svm.score(np.concatenate([part, rest]) / 1000, [1] * len(part) + [0] * len(rest)) == 1
        )
    changed = x.copy()
    changed[held] = 0
    first, second = (
        MFAFClassifier(options(patience=99), device="cpu").fit(values, labels, places=places)
        for values in (x, changed)
    )
    assert [e["loss"] for e in first.history_] == [e["loss"] for e in second.history_]


def test_too_few_windows_for_early_stopping_are_refused():
    x, labels = blobs(6)
    with pytest.raises(UsageError, match="set patience = 0"):
        MFAFClassifier(options(patience=2), device="cpu").fit(x, labels)


def test_it_learns_an_obvious_pattern():
    classifier = fitted(Training(epochs=10, least_steps=60))
    x, labels = blobs(300, seed=1)
    assert roc_auc_score(labels, classifier.predict_proba(x)[:, 1]) > 0.95
    assert classifier.history_[-1]["loss"] < classifier.history_[0]["loss"]


def test_the_score_is_the_mean_of_the_branches():
    classifier, (x, _) = fitted(QUICK), blobs(33, seed=2)
    branches, scores = classifier.predict_branches(x), classifier.predict_proba(x)
    assert branches.shape == (2, 33)
    np.testing.assert_allclose(scores[:, 1], branches.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert np.ptp(branches, axis=0).max() > 0


def test_batches_of_prediction_do_not_matter():
    classifier, (x, _) = fitted(QUICK), blobs(33, seed=2)
    np.testing.assert_allclose(
        classifier.predict_branches(x, batch=7), classifier.predict_branches(x), atol=1e-6
    )
    assert classifier.predict_branches(x[:0]).shape == (2, 0)


def test_threads_that_take_a_batch_each_change_no_bit():
    model, (x, _) = fitted(QUICK), blobs(50, seed=2)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = model.predict_branches(x, batch=8)
        torch.set_num_threads(3)
        np.testing.assert_array_equal(model.predict_branches(x, batch=8), alone)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_training_needs_both_kinds():
    x, labels = blobs()
    with pytest.raises(DataError, match="with and without deposits"):
        MFAFClassifier(options(), device="cpu").fit(x, labels * 0)


def test_the_sampler_makes_half_of_every_batch_ore():
    labels = np.array([1] * 5 + [0] * 60)
    generator = torch.Generator().manual_seed(0)
    batches = list(geomfaf.models.network.classifier._batches(labels, options(), generator))
    assert [labels[b].mean() for b in batches] == [0.5] * len(batches)
    drawn = np.bincount(np.concatenate(batches), minlength=65)
    assert drawn.sum() == 5 * 16  # as many as there are windows, in whole batches
    assert drawn[:5].tolist() == [8] * 5  # each ore window equally often
    assert drawn[5:].max() == 1


def test_without_balance_every_window_is_used_and_no_batch_is_short():
    labels = np.array([1] * 5 + [0] * 60)
    batches = list(
        geomfaf.models.network.classifier._batches(
            labels, options(balance="none"), torch.Generator().manual_seed(0)
        )
    )
    assert [len(b) for b in batches] == [16] * 5
    assert set(np.concatenate(batches)) == set(range(65))


def test_few_windows_still_get_the_least_number_of_steps():
    labels = np.array([1] * 4 + [0] * 4)
    steps = list(
        geomfaf.models.network.classifier._batches(
            labels, options(least_steps=90), torch.Generator().manual_seed(0)
        )
    )
    assert len(steps) == 23  # 90 in four epochs


def test_the_papers_schedule_falls_by_two_fifths_every_thirty_epochs():
    paper = PRESETS["paper"]
    rates = [learning_rate(0, 1, epoch, paper) for epoch in range(220)]
    np.testing.assert_allclose(rates, [0.02 * 0.6 ** (epoch // 30) for epoch in range(220)])


def test_one_cycle_rises_and_falls_along_a_cosine():
    chosen = Training()
    rates = np.array([learning_rate(step, 100, 0, chosen) for step in range(100)])
    rise = chosen.learning_rate * (0.04 + 0.96 * np.arange(30) / 30)
    fall = chosen.learning_rate * (1 + np.cos(np.pi * np.arange(70) / 70)) / 2
    np.testing.assert_allclose(rates, np.concatenate([rise, fall]))
    assert rates.argmax() == 30
    assert rates[-1] < 1e-6


def test_the_paper_preset_is_the_papers_network():
    paper = PRESETS["paper"]
    assert paper.dilations == PAPER_DILATIONS
    assert (paper.optimiser, paper.learning_rate, paper.momentum, paper.weight_decay) == (
        "sgd",
        0.02,
        0.2,
        1e-4,
    )
    assert (paper.epochs, paper.batch, paper.beta, paper.backbone) == (220, 32, 0.4, "resnet18")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epoch": 3}, 'no setting "epoch". Did you mean "epochs"'),
        ({"preset": "papr"}, 'Did you mean "paper"'),
        ({"optimiser": "adam"}, "Known: adamw, sgd"),
        ({"schedule": "cosine"}, "Known: onecycle, step"),
        ({"balance": "no"}, "Known: sampler, smote, none"),
        ({"beta": 1.5}, "beta = 1.5"),
        ({"epochs": 0}, "epochs = 0"),
        ({"batch": 1}, "batch = 1"),
        ({"temperature": 0.0}, "temperature = 0 must lie between"),
        ({"momentum": 1.0}, "momentum = 1 must lie between 0"),
        ({"patience": -1}, "patience = -1 must be 0 or more"),
        ({"learning_rate": float("nan")}, "must be a finite number"),
        ({"noise": float("inf")}, "must be a finite number"),
        ({"dilations": [1.5, 2]}, "whole number"),
        ({"dilations": [0, 2]}, "whole numbers from 1, or"),
        ({"device": "cpu"}, "no choice of the network"),
        ({"dilations": 4}, "dilations = 4 must be a list"),
        ({"backbone": "resnet81"}, 'Did you mean "resnet18"'),
    ],
)
def test_options_that_do_not_exist_are_refused(changes, words):
    with pytest.raises(UsageError, match=words):
        training_options(**changes)


def test_a_training_that_diverges_is_refused():
    x, labels = blobs()
    with pytest.raises(DataError, match="the training diverged in epoch 1: its loss is nan"):
        MFAFClassifier(options(), device="cpu").fit(x * np.float32(1e37), labels)


def test_an_unknown_device_is_refused():
    with pytest.raises(UsageError, match='device "gpu" is unknown: use auto, cpu, cuda or mps'):
        choose_device("gpu")
    with pytest.raises(UsageError, match="Use auto or cpu"):
        choose_device("cuda:99")
    assert choose_device("cpu").type == "cpu"


@pytest.mark.parametrize("name", ["_is_amx_tile_supported", "_is_avx512_bf16_supported"])
def test_bfloat16_is_chosen_where_the_processor_multiplies_it(monkeypatch, name):
    cpu = torch.device("cpu")
    for known in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, known, lambda: False, raising=False)
    for there in (False, True):
        monkeypatch.setattr(torch.cpu, name, lambda there=there: there)
        assert computing_type("auto", "resnet18", cpu) == (torch.bfloat16 if there else None)
        assert computing_type("auto", "compact", cpu) is None
        assert computing_type("float32", "resnet18", cpu) is None
        assert computing_type("bfloat16", "compact", cpu) is torch.bfloat16


def test_bfloat16_computes_the_backbone_and_keeps_branches_weights_and_losses_in_float32():
    """The branches' grouped dilated convolutions must never be bfloat16: PyTorch's gradient reads
    out of bounds.
    """
    kinds, given = [], []
    classifier = fitted(options(precision="bfloat16"))
    for branch in classifier.net_.branches:
        branch.register_forward_hook(lambda m, i, o: given.append(o.dtype))
    for part in (
        classifier.net_.backbones[0],
        *(branch.conv for branch in classifier.net_.branches),
    ):
        first = next(m for m in part.modules() if isinstance(m, torch.nn.Conv2d))
        first.register_forward_hook(lambda m, i, o: kinds.append(o.dtype))
    branches = classifier.predict_branches(blobs()[0])
    assert kinds == [torch.float32] * len(classifier.net_.branches) + [torch.bfloat16]
    assert given == [torch.bfloat16] * len(classifier.net_.branches)  # at half the memory traffic
    assert branches.dtype == np.float32
    assert {p.dtype for p in classifier.net_.parameters()} == {torch.float32}


@pytest.mark.slow
def test_bfloat16_and_float32_score_alike():
    x, labels = blobs(300, seed=1)
    aucs = []
    for precision in ("float32", "bfloat16"):
        classifier = fitted(Training(epochs=6, least_steps=40, precision=precision))
        aucs.append(roc_auc_score(labels, classifier.predict_proba(x)[:, 1]))
    assert aucs[0] > 0.9
    assert aucs[1] == pytest.approx(aucs[0], abs=0.03)


def test_a_network_with_a_view_sees_nothing_outside_of_it():
    """The window's centre cell, size // 2, is the centre of what is seen; other cells may be
    anything.
    """
    x, labels = blobs()
    chosen = options(view=0.5)
    classifier = MFAFClassifier(chosen, device="cpu").fit(x, labels)
    changed = np.random.default_rng(9).normal(size=x.shape).astype(np.float32)
    half, quarter = x.shape[-1] // 2, x.shape[-1] // 4
    inner = slice(half - quarter, half + quarter)
    changed[..., inner, inner] = x[..., inner, inner]
    np.testing.assert_array_equal(
        classifier.predict_branches(changed), classifier.predict_branches(x)
    )
    cut = MFAFClassifier(options(), device="cpu").fit(
        np.ascontiguousarray(x[..., inner, inner]), labels
    )
    assert same_bits(cut, classifier)
    for size, view, seen in ((16, 0.5, 8), (9, 0.5, 4), (8, 1.0, 8), (3, 0.1, 2), (1, 1.0, 1)):
        assert seen_size(options(view=view), size) == seen
        cells = seen_part(np.arange(size * size).reshape(1, 1, size, size), options(view=view))
        assert cells.shape[-2:] == (seen, seen)
        assert cells[0, 0, seen // 2, seen // 2] == (size // 2) * size + size // 2
    with pytest.raises(UsageError, match="view = 0 must lie between"):
        options(view=0.0)


@pytest.mark.parametrize("place", ["words", "weights", "cut"])
def test_a_damaged_checkpoint_counts_for_nothing(tmp_path, place):
    """A flipped bit of the weights would go on in every later epoch."""
    net = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    path = tmp_path / "fold_1.safetensors"
    TrainingState(2, [{"epoch": 1}], {}).save(path, "key", net, optimiser)
    load = partial(TrainingState.load, path, "key", net, optimiser, torch.device("cpu"))
    assert load().epoch == 2
    content = bytearray(path.read_bytes())
    content[{"words": 20, "weights": -3, "cut": -1}[place]] ^= 0xFF
    path.write_bytes(bytes(content[: len(content) // 2] if place == "cut" else content))
    assert load().epoch == 0
