"""A model: what its folds may see, how it is kept, what it refuses to be used on."""

import json
from dataclasses import replace

import numpy as np
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
    small_model,
    smooth_noise,
    weights,
)

import geomfaf.models.fold_models
from geomfaf.errors import (
    DataError,
    InternalError,
    ModelMismatchError,
    OutputExistsError,
    UsageError,
)
from geomfaf.evaluation.evaluate import evaluate_model
from geomfaf.evaluation.held_out import Draw
from geomfaf.models.fold_models import train_model, training_data
from geomfaf.models.model_files import load_model, save_model
from geomfaf.models.network.encode import fit_encoder
from geomfaf.models.network.options import training_options
from geomfaf.models.predict import predict_scores
from geomfaf.rasters.bands import Band, as_dataarray, bands_of, grid_of
from geomfaf.rasters.geotiff import read_raster, write_raster
from geomfaf.windows.folds import Folds


def changed_stack(number: int, **changes):
    """The small case's stack with one band described otherwise."""
    stack, bands = small_case().stack, bands_of(small_case().stack)
    band = bands[number]
    fields = {
        "name": band.name,
        "kind": band.kind,
        "unit": band.unit,
        "legend": band.legend,
        **changes,
    }
    bands[number] = Band(
        fields["name"], fields["kind"], fields["unit"], band.description, fields["legend"]
    )
    return as_dataarray(stack.values, grid_of(stack), bands)


@pytest.mark.parametrize(
    "changes", [{}, {"balance": "smote"}, {"patience": 1}], ids=["sampler", "smote", "patience"]
)
@pytest.mark.parametrize("fold", [0, 2])
def test_noise_on_test_ground_changes_no_bit_of_the_fold_model(fold, changes):
    """THE NOISE TEST: nothing of a fold's ground, neither bands nor labels, reaches its model."""
    case, options = Case(count=16), replace(QUICK, **changes)
    honest = case.train(options=options)
    hidden, rng = ground_to_test(case, fold), np.random.default_rng(99)
    case.stack.values[:, hidden] = rng.uniform(0.1, 1e5, (4, hidden.sum()))
    case.stack.values[2, hidden] = rng.integers(1, 3, hidden.sum())
    tested = case.folds.of_windows(case.windows) == fold
    case.windows.loc[tested, "label"] = 1 - case.windows.loc[tested, "label"]
    blind = case.train(options=options)
    assert same_weights(honest, blind, fold)
    assert honest.fold_models[fold].encoder == blind.fold_models[fold].encoder
    others = [number for number in range(case.folds.count) if number != fold]
    assert not any(same_weights(honest, blind, number) for number in others)


def test_a_fold_whose_windows_overlap_is_refused(monkeypatch):
    case = small_case()
    monkeypatch.setattr(Folds, "training", lambda self, windows, fold: np.ones(len(windows), bool))
    with pytest.raises(InternalError, match="share cells"):
        case.train()


def test_training_data_are_encoded_windows_and_the_encoder_of_these_windows():
    case = small_case()
    part = case.windows.iloc[:20]
    x, labels, encoder = training_data(case.stack, part, ["Cu", "geology"])
    raw = []
    for row, col in part[["row", "col"]].to_numpy():
        padded = np.pad(
            case.stack.sel(band=["Cu", "geology"]).values,
            ((0, 0), (9, 9), (9, 9)),
            constant_values=np.nan,
        )
        raw.append(padded[:, row + 9 : row + 17, col + 9 : col + 17])
    raw = np.stack(raw, axis=1)
    expected = fit_encoder(raw.reshape(2, -1), bands_of(case.stack)[1:3])
    assert encoder == expected
    np.testing.assert_array_equal(x, expected.transform(raw, ["Cu", "geology"]).swapaxes(0, 1))
    assert labels.tolist() == part["label"].tolist()


def test_each_fold_uses_its_own_bands():
    model = small_case().train(bands=[["Au"], ["Cu", "geology"], ["Au", "fault_distance"]])
    used = [
        sorted({channel.band for channel in member.encoder.channels})
        for member in model.fold_models
    ]
    assert used == [["Au"], ["Cu", "geology"], ["Au", "fault_distance"]]
    heldout = predict_scores(model, small_case().stack).sel(band="heldout_score")
    assert np.isfinite(heldout.values).all()


def test_a_stack_on_another_grid_than_the_folds_is_refused():
    case = small_case()
    with pytest.raises(DataError, match="another grid"):
        train_model(make_stack(make_grid(97, 84)), case.windows, case.folds, options=QUICK)


def test_a_model_survives_its_files(tmp_path):
    model, case = small_model(), small_case()
    back = load_model(save_model(model, tmp_path / "model"), device="cpu")
    assert (back.size, back.seed, back.options) == (model.size, model.seed, model.options)
    assert [m.encoder for m in back.fold_models] == [m.encoder for m in model.fold_models]
    assert [m.classifier.history_ for m in back.fold_models] == [
        m.classifier.history_ for m in model.fold_models
    ]
    assert back.bands == model.bands
    assert (back.folds.table == model.folds.table).all()
    assert back.folds.grid == model.folds.grid
    before, after = predict_scores(model, case.stack), predict_scores(back, case.stack)
    np.testing.assert_array_equal(before.values, after.values)
    assert np.isfinite(after.values).all()


def test_held_out_scores_survive_files_of_stack_and_model(tmp_path):
    """Cells of a third of a metre more than 33 m: the grid must come back to the bit or nothing is
    held out.
    """
    case = Case()
    grid = make_grid(97, 83, cell=100 / 3)
    stack = as_dataarray(case.stack.values, grid, bands_of(case.stack))
    folds = Folds(grid, case.folds.block, case.folds.table, case.folds.margin)
    model = train_model(stack, case.windows, folds, options=QUICK, device="cpu")
    write_raster(stack, tmp_path / "stack.tif")
    back = load_model(save_model(model, tmp_path / "model"), device="cpu")
    scores = predict_scores(back, read_raster(tmp_path / "stack.tif"))
    np.testing.assert_array_equal(scores.values, predict_scores(model, stack).values)
    assert np.isfinite(scores.sel(band="heldout_score").values).all()


def test_options_with_dilations_survive(tmp_path):
    options = training_options("compact", epochs=1, least_steps=1, dilations=[1, 2], shared=False)
    model = small_case().train(options=options)
    assert load_model(save_model(model, tmp_path)).options == options


def test_no_file_holds_a_pickle(tmp_path):
    folder = save_model(small_model(), tmp_path / "model")
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]
    header = (folder / "weights.safetensors").read_bytes()
    length = int.from_bytes(header[:8], "little")
    described = json.loads(header[8 : 8 + length])
    expected = (
        8 + length + max(t["data_offsets"][1] for n, t in described.items() if n != "__metadata__")
    )
    assert len(header) == expected
    json.loads((folder / "model.json").read_text())


def test_loading_never_unpickles(tmp_path, monkeypatch):
    folder = save_model(small_model(), tmp_path)

    def refuse(*_, **__):
        raise AssertionError("a pickle was read")

    monkeypatch.setattr("pickle.load", refuse)
    monkeypatch.setattr("pickle.loads", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    assert len(load_model(folder).fold_models) == small_model().folds.count


def test_tampered_weights_are_refused(tmp_path):
    folder = save_model(small_model(), tmp_path)
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(content)
    with pytest.raises(ModelMismatchError, match="not the file that"):
        load_model(folder)


def test_a_future_format_is_refused(tmp_path):
    folder = save_model(small_model(), tmp_path)
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(ModelMismatchError, match="format 99"):
        load_model(folder)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_a_folder_without_a_model_is_refused(tmp_path, name):
    folder = save_model(small_model(), tmp_path)
    (folder / name).unlink()
    with pytest.raises(UsageError, match=f"{name} is missing"):
        load_model(folder)


def test_a_model_is_not_overwritten_by_accident(tmp_path):
    save_model(small_model(), tmp_path)
    with pytest.raises(OutputExistsError):
        save_model(small_model(), tmp_path)
    save_model(small_model(), tmp_path, overwrite=True)


@pytest.mark.parametrize(
    ("number", "changes", "words"),
    [
        (0, {"name": "Ag"}, 'needs band "Au"; the stack has Ag, Cu, geology'),
        (1, {"unit": "ppb"}, "unit of band \"Cu\" is 'ppb' in the stack, 'ppm' in the model"),
        (2, {"legend": {1: "shale", 2: "granite"}}, 'legend of band "geology"'),
        (3, {"kind": "density"}, 'kind of band "fault_distance"'),
    ],
)
def test_a_stack_of_other_bands_is_refused_saying_which(number, changes, words):
    with pytest.raises(ModelMismatchError, match=words):
        predict_scores(small_model(), changed_stack(number, **changes))


def test_a_stack_of_other_cells_is_refused():
    with pytest.raises(ModelMismatchError, match=r"cells of 50 m.*trained on 100 m"):
        predict_scores(small_model(), make_stack(make_grid(97, 83, cell=50)))


def test_the_order_of_bands_and_bands_more_do_not_matter():
    case = small_case()
    bands = [Band("Zn", "element", "ppm"), *bands_of(case.stack)[::-1]]
    values = np.concatenate([case.stack.values[:1] * 3, case.stack.values[::-1]])
    mixed = predict_scores(small_model(), as_dataarray(values, case.grid, bands))
    np.testing.assert_array_equal(mixed.values, predict_scores(small_model(), case.stack).values)


def test_a_band_that_no_fold_uses_may_be_missing():
    model = small_case().train(bands=[["Au", "geology"]] * small_case().folds.count)
    predict_scores(model, small_case().stack.sel(band=["Au", "geology"]))
    with pytest.raises(ModelMismatchError, match='needs band "Au"'):
        predict_scores(model, small_case().stack.sel(band=["Cu", "geology"]))


def test_two_trainings_with_one_seed_are_the_same_and_folds_differ():
    again, other = small_case().train(), small_case().train(seed=5)
    assert all(same_weights(small_model(), again, fold) for fold in range(3))
    assert not same_weights(small_model(), other, 0)
    assert not torch.equal(
        next(iter(weights(again, 0).values())), next(iter(weights(again, 1).values()))
    )


def test_checkpoints_are_named_by_fold(tmp_path, monkeypatch):
    monkeypatch.setattr("geomfaf.models.network.classifier.CHECKPOINT_SECONDS", -1.0)
    case = small_case()
    first = case.train(checkpoints=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"fold_{n}.safetensors" for n in (1, 2, 3)
    ]
    assert all(same_weights(first, case.train(checkpoints=tmp_path), fold) for fold in range(3))


def test_checkpoints_of_other_folds_do_not_leak_in(tmp_path, monkeypatch):
    monkeypatch.setattr("geomfaf.models.network.classifier.CHECKPOINT_SECONDS", -1.0)
    case = small_case()
    case.train(checkpoints=tmp_path)
    turned = Folds(case.grid, case.folds.block, (case.folds.table + 1) % 3, case.folds.margin)
    clean = train_model(case.stack, case.windows, turned, options=QUICK, device="cpu")
    reused = train_model(
        case.stack, case.windows, turned, options=QUICK, device="cpu", checkpoints=tmp_path
    )
    assert all(same_weights(clean, reused, fold) for fold in range(3))


def test_versions_of_the_libraries_are_told():
    versions = geomfaf.files.library_versions()
    assert (
        versions["torch"] == torch.__version__.split("+")[0]
        or versions["torch"] == torch.__version__
    )
    assert {"python", "geomfaf", "numpy", "rasterio"} <= set(versions)


@pytest.mark.slow
def test_five_hundred_bands_train_predict_and_are_judged(tmp_path):
    """Satellite scenes and their ratios come by the hundred: more bands than windows."""
    case = small_case()
    rng = np.random.default_rng(0)
    names = [f"scene {number}" for number in range(496)]
    layers = [smooth_noise(case.grid.shape, seed) for seed in rng.integers(0, 9, len(names))]
    bands = [*bands_of(case.stack), *(Band(name, "continuous") for name in names)]
    values = np.concatenate([case.stack.values, np.stack(layers)])
    stack = as_dataarray(values.astype(np.float32), case.grid, bands)
    options = replace(QUICK, ensemble=("ridge logistic regression",))
    model = train_model(stack, case.windows, case.folds, options=options, device="cpu")
    save_model(model, tmp_path / "model")
    scores = predict_scores(tmp_path / "model", write_raster(stack, tmp_path / "stack.tif"))
    assert np.isfinite(scores.sel(band="score").values).all()
    draws = [Draw(case.windows, model.seed)]
    found = evaluate_model(
        model, stack, draws, case.deposits, scores, baselines=["logistic regression"]
    )
    assert found.table["map_auc"].between(0, 1).all()
