"""Monte-Carlo dropout: thinned networks around the trained one, the same for the same seed, by name
only.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from builders import QUICK, small_case, small_model, small_scores
from click.testing import CliRunner

from geomfaf.cli.main import main
from geomfaf.deliver.layers import write_layers
from geomfaf.errors import UsageError
from geomfaf.models.model_files import load_model, save_model
from geomfaf.models.network.backbones import BACKBONES
from geomfaf.models.network.classifier import MFAFClassifier
from geomfaf.models.network.mfaf import MFAF
from geomfaf.models.network.options import Training, training_options
from geomfaf.models.network.uncertainty import dropout_probabilities, require_uncertainty
from geomfaf.models.predict import Lattice, default_stride, lattice_scores, predict_scores
from geomfaf.rasters.bands import bands_of
from geomfaf.rasters.geotiff import read_raster, write_raster


def windows(count: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    labels = (np.arange(count) % 3 == 0).astype(int)
    x = np.random.default_rng(seed).normal(0, 1, (count, 3, 8, 8)).astype(np.float32)
    x[labels == 1, 1] += 1
    return x, labels


@cache
def classifier(dropout: float = 0.3, **changes) -> MFAFClassifier:
    options = training_options(
        dilations=[1, 2], epochs=6, least_steps=24, batch=16, dropout=dropout, **changes
    )
    return MFAFClassifier(options, device="cpu").fit(*windows())


@cache
def dropout_model():
    return small_case().train(options=replace(QUICK, dropout=0.3))


def with_share(trained: MFAFClassifier, share: float) -> MFAFClassifier:
    """The same weights, thinned by another share."""
    again = MFAFClassifier(trained.options, device="cpu")
    again.net_ = trained.net_
    again.net_.dropout = torch.nn.Dropout(share)
    return again


def test_dropout_stands_before_the_compact_classifier_and_is_off_in_prediction():
    x = windows()[0]
    assert classifier().net_.dropout.p == 0.3
    np.testing.assert_array_equal(
        classifier().predict_branches(x), classifier().predict_branches(x)
    )
    assert isinstance(classifier(0.0).net_.dropout, torch.nn.Identity)
    assert MFAF(3, 8, backbone="mobilenet_v2", dropout=0.3).dropout.p == 0.2  # the published one
    assert classifier(0.3, network="plain").net_.dropout.p == 0.3


def test_dropout_of_zero_changes_no_bit_of_the_training():
    a, b = (
        MFAFClassifier(o, device="cpu").fit(*windows())
        for o in (QUICK, replace(QUICK, dropout=0.0))
    )
    assert all(torch.equal(v, b.net_.state_dict()[k]) for k, v in a.net_.state_dict().items())


def test_the_same_seed_gives_the_same_bytes_and_batches_do_not_matter():
    x = windows(50, seed=1)[0]
    first = dropout_probabilities(classifier(), x, passes=5, seed=3)
    assert first.shape == (5, 2, 50)
    assert first.dtype == np.float32
    torch.manual_seed(77)  # the state of the process has no say
    assert first.tobytes() == dropout_probabilities(classifier(), x, passes=5, seed=3).tobytes()
    np.testing.assert_allclose(
        first, dropout_probabilities(classifier(), x, passes=5, seed=3, batch=7), atol=1e-6
    )
    assert np.abs(first - dropout_probabilities(classifier(), x, passes=5, seed=4)).max() > 1e-3
    assert dropout_probabilities(classifier(), x[:0], passes=5).shape == (5, 2, 0)


def test_a_pass_is_what_the_network_says_in_training_with_the_same_features_dropped():
    """Its own dropout layer, given the masks: normalisation as in prediction, dropout as in
    training.
    """
    x, net = windows(9, seed=2)[0], classifier().net_
    generator = torch.Generator().manual_seed(5)
    masks = (torch.rand(3, 2, 1, 48, generator=generator) >= 0.3).float() / 0.7
    found = dropout_probabilities(classifier(), x, passes=3, seed=5)
    for number in range(3):
        full = masks[number].expand(2, 9, 48).reshape(18, 48)
        hook = net.dropout.register_forward_hook(lambda _, given, out, full=full: given[0] * full)
        np.testing.assert_allclose(found[number], classifier().predict_branches(x), atol=1e-5)
        hook.remove()


def test_passes_leave_the_network_as_it_was():
    x, before = windows()[0], {k: v.clone() for k, v in classifier().net_.state_dict().items()}
    dropout_probabilities(classifier(), x, passes=3)
    assert not classifier().net_.training
    assert all(torch.equal(v, before[k]) for k, v in classifier().net_.state_dict().items())


def test_the_mean_of_many_passes_is_near_the_score_and_the_spread_grows_with_dropout():
    x, trained = windows(60, seed=3)[0], classifier()
    score, spreads = trained.predict_branches(x), []
    for share in (0.05, 0.2, 0.5):
        passes = dropout_probabilities(with_share(trained, share), x, passes=400)
        assert np.abs(passes.mean(axis=0) - score).max() < 0.1
        spreads.append(passes.std(axis=0).mean())
    with_share(trained, 0.3)
    assert spreads[0] < spreads[1] < spreads[2]
    near = dropout_probabilities(with_share(trained, 0.05), x, passes=400).mean(axis=0)
    with_share(trained, 0.3)
    assert np.abs(near - score).max() < 0.02


def test_the_spread_of_a_map_is_over_branches_fold_models_and_passes():
    case, model = small_case(), dropout_model()
    scores = predict_scores(model, case.stack, uncertainty="mc-dropout", passes=20)
    lattice = Lattice(case.valid, default_stride(case.size))
    every = np.concatenate(
        [
            lattice_scores(
                case.stack, lattice, lattice.wanted, m.encoder,
                lambda x, m=m: dropout_probabilities(m.classifier, x, passes=20, seed=m.fold).reshape(40, -1),
                case.size,
            )
            for m in model.members
        ]
    )  # fmt: skip
    assert len(every) == 3 * 20 * 2
    np.testing.assert_allclose(
        scores.sel(band="spread"), lattice.blend(every.std(axis=0)), atol=1e-5
    )
    plain = predict_scores(model, case.stack)
    for name in ("score", "heldout_score", "vote_share"):
        np.testing.assert_array_equal(scores.sel(band=name), plain.sel(band=name))
    assert float(scores.sel(band="spread").mean()) > float(plain.sel(band="spread").mean())
    assert "20 passes with dropout" in bands_of(scores)[2].description
    again = predict_scores(model, case.stack, uncertainty="mc-dropout", passes=20)
    assert scores.values.tobytes() == again.values.tobytes()


def test_the_default_is_the_ensemble():
    named = predict_scores(small_model(), small_case().stack, uncertainty="ensemble")
    assert named.values.tobytes() == small_scores().values.tobytes()


def test_dropout_that_is_not_there_is_refused_with_what_to_do():
    case = small_case()
    with pytest.raises(
        UsageError, match=r'compact\) is without: train it with dropout = 0.2 .*"ensemble"'
    ):
        predict_scores(small_model(), case.stack, uncertainty="mc-dropout")
    with pytest.raises(
        UsageError, match='uncertainty = "dropout" is unknown: use ensemble or mc-dropout'
    ):
        predict_scores(small_model(), case.stack, uncertainty="dropout")
    for wrong in (1, 0, 2.5):
        with pytest.raises(UsageError, match=f"passes = {wrong} must be a whole number from 2"):
            predict_scores(dropout_model(), case.stack, uncertainty="mc-dropout", passes=wrong)
    with pytest.raises(
        UsageError, match=r"dropout = 1.0 must be a share from 0 \(none\) to less than 1"
    ):
        Training(dropout=1.0)
    with pytest.raises(
        UsageError, match=r"dropout = 0.3 is for the compact network: resnet18 keeps what it has"
    ):
        training_options("paper", dropout=0.3)


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_what_options_say_of_dropout_is_what_the_network_has(backbone):
    share = 0.3 if backbone == "compact" else 0.0
    options = training_options("mfaf", backbone=backbone, dropout=share)
    before = torch.get_rng_state()
    if isinstance(MFAF(3, 16, backbone=backbone, dropout=share).dropout, torch.nn.Dropout):
        torch.set_rng_state(before)
        require_uncertainty("mc-dropout", 2, options)
        torch.testing.assert_close(torch.get_rng_state(), before)
    else:
        with pytest.raises(UsageError, match=f"{backbone} has none as published"):
            require_uncertainty("mc-dropout", 2, options)


def test_the_commands_train_calibrated_with_dropout_and_predict_by_name(tmp_path):
    case = small_case()
    write_raster(case.stack, tmp_path / "stack.tif")
    write_layers({"windows": case.windows, "folds": case.folds.blocks()}, tmp_path / "windows.gpkg")
    files = [str(tmp_path / name) for name in ("stack.tif", "windows.gpkg", "model")]
    chosen = [
        "--epochs",
        "1",
        "--dropout",
        "0.3",
        "--calibration",
        "temperature",
        "--device",
        "cpu",
    ]
    assert CliRunner().invoke(main, ["train", *files, *chosen]).exit_code == 0
    model = load_model(tmp_path / "model", device="cpu")
    assert (model.options.dropout, model.options.calibration) == (0.3, "temperature")
    assert {member.calibration.kind for member in model.members} == {"temperature"}
    save_model(small_model(), tmp_path / "without")
    named = ["--uncertainty", "mc-dropout", "--passes", "3", "--device", "cpu"]

    def predict(model: str):
        arguments = [
            "predict",
            str(tmp_path / "stack.tif"),
            str(tmp_path / model),
            str(tmp_path / f"{model}.tif"),
        ]
        return CliRunner().invoke(main, [*arguments, *named])

    assert predict("model").exit_code == 0
    expected = predict_scores(model, case.stack, uncertainty="mc-dropout", passes=3)
    np.testing.assert_allclose(
        read_raster(tmp_path / "model.tif").values, expected.values, atol=1e-6
    )
    refused = predict("without")
    assert refused.exit_code == 2
    assert "--dropout 0.2" in refused.output
