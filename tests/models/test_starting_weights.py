"""Starting weights: what fits is taken over by name, band and shape; what would leak or run code is
refused.
"""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from builders import QUICK, Case, make_grid, make_stack, small_case, small_model
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import nn

from geomfaf.cli.main import main
from geomfaf.deliver.layers import write_layers
from geomfaf.errors import DataError, ModelMismatchError, UsageError
from geomfaf.models.model_files import load_model, save_model
from geomfaf.models.network.classifier import MFAFClassifier, make_network
from geomfaf.models.network.encode import Channel, Encoder
from geomfaf.models.network.options import Training
from geomfaf.models.network.pretrain import pretrain_network, save_pretrained
from geomfaf.models.network.starting_weights import (
    FORMAT,
    SAFE_TORCH,
    pinned,
    read_starting_weights,
)
from geomfaf.rasters.bands import as_dataarray, bands_of
from geomfaf.rasters.geotiff import write_raster
from geomfaf.rasters.grid import Grid
from geomfaf.run.project import load_project
from geomfaf.windows.folds import Folds

CPU = torch.device("cpu")
SMALL = Training(dilations=(1, 2))
PUBLISHED = {
    "resnet18": (torchvision.models.resnet18, "fc"),
    "shufflenet_v2": (torchvision.models.shufflenet_v2_x1_0, "fc"),
    "googlenet": (
        lambda **k: torchvision.models.googlenet(**k, aux_logits=True, init_weights=False),
        "fc",
    ),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, "classifier"),
    "mnasnet": (torchvision.models.mnasnet1_0, "classifier"),
}
OLD_TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2]) < SAFE_TORCH
reads_pickles = pytest.mark.skipif(OLD_TORCH, reason="this PyTorch does not read .pth files safely")


def channels(*names: str) -> Encoder:
    """An encoder; "map=shale" is a class, all else an element."""
    parts = [name.partition("=") for name in names]
    return Encoder(
        tuple(Channel(band, "class" if eq else "element", label=label) for band, eq, label in parts)
    )


def network(encoder: Encoder, options: Training = SMALL, size: int = 8, seed: int = 5):
    return make_network(options, len(encoder.channels), size, seed=seed, device=CPU).eval()


def pretrained_on(encoder_names, tmp_path, seed=1):
    """A folder whose network has channels of these names."""
    found = pretrain_network(
        make_stack(make_grid(30, 30)), size=8, options=SMALL, steps=1, device="cpu"
    )
    encoder = channels(*encoder_names)
    found = replace(found, encoder=encoder, net=network(encoder, seed=seed))
    return found, str(save_pretrained(found, tmp_path / "old"))


def file_of(state: dict[str, torch.Tensor], path) -> str:
    save = torch.save if path.suffix == ".pth" else save_file
    save({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return str(path)


def another_survey(shift: float = 50_000.0) -> Case:
    """The small case so many metres further east, where another survey lies."""
    case = Case()
    grid = Grid(
        case.grid.crs,
        case.grid.transform.translation(shift, 0) @ case.grid.transform,
        case.grid.shape,
    )
    case.stack = as_dataarray(case.stack.values, grid, bands_of(case.stack))
    case.folds = Folds(grid, case.folds.block, case.folds.table, case.folds.margin)
    case.grid = grid
    return case


# What is taken over


def test_the_same_bands_in_another_order_and_unit_give_the_same_features(tmp_path):
    old, path = pretrained_on(["Au_ppb", "Cu", "map=shale", "map=granite", "Zn"], tmp_path)
    now = channels("map=granite", "zn_ppm", "Au_ppm", "map=shale", "Cu")
    net = network(now)
    line = read_starting_weights(replace(SMALL, weights=path), make_grid(30, 30)).give(net, now)
    assert "starting weights old (pretrained)" in line
    assert "bands in common: map, zn_ppm, Au_ppm, Cu; fresh: classifier" in line
    x = torch.randn(6, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    before = old.net.maps([branch(x) for branch in old.net.branches])
    moved = x[:, [3, 4, 0, 2, 1]]
    after = net.eval().maps([branch(moved) for branch in net.branches])
    torch.testing.assert_close(after, before)


def test_bands_that_only_one_survey_has_start_fresh(tmp_path):
    names = [f"e{number}" for number in range(10)]
    old, path = pretrained_on([*names, "Au", "Cu"], tmp_path)
    now = channels("Cu", "Hg", "Au")
    net, fresh = network(now), network(now).state_dict()
    line = read_starting_weights(replace(SMALL, weights=path), make_grid(30, 30)).give(net, now)
    assert line.endswith("bands in common: Cu, Au; fresh: classifier, Hg")
    was, state = old.net.state_dict(), net.state_dict()
    for name, axis in (
        ("branches.1.conv.weight", 0),
        ("branches.1.conv.bias", 0),
        ("branches.0.attention.mlp.0.weight", 1),
        ("branches.0.attention.mlp.2.weight", 0),
        ("branches.0.attention.mlp.2.bias", 0),
        ("backbones.0.net.1.weight", 1),
    ):
        new, one, start = (s[name].movedim(axis, 0) for s in (state, was, fresh))
        rest = tuple(
            slice(length) for length in new.shape[1:]
        )  # the attention of 3 bands has fewer hidden units
        assert torch.equal(new[0], one[11][rest]), name
        assert torch.equal(new[2], one[10][rest]), name
        assert torch.equal(new[1], start[1]), name
    assert torch.equal(state["classifier.weight"], fresh["classifier.weight"])
    assert torch.equal(state["spatial.conv.weight"], was["spatial.conv.weight"])
    assert torch.equal(state["backbones.0.net.4.weight"], was["backbones.0.net.4.weight"])


def test_more_branches_and_backbones_than_the_source_has(tmp_path):
    old, path = pretrained_on(["Au", "Cu"], tmp_path)
    now, options = channels("Au", "Cu"), replace(SMALL, dilations=(1, 2, 3), shared=False)
    net, fresh = network(now, options), network(now, options).state_dict()
    read_starting_weights(replace(options, weights=path), make_grid(30, 30)).give(net, now)
    state, was = net.state_dict(), old.net.state_dict()
    assert torch.equal(state["branches.2.conv.weight"], fresh["branches.2.conv.weight"])
    assert torch.equal(state["backbones.2.net.4.weight"], was["backbones.0.net.4.weight"])


@pytest.mark.parametrize("backbone", PUBLISHED)
def test_files_of_torchvision_see_a_grey_picture_as_the_published_network_does(tmp_path, backbone):
    """With one picture in all colours, and in all bands, the features must be the same."""
    build, last = PUBLISHED[backbone]
    published = build(weights=None)
    rng = torch.Generator().manual_seed(0)
    state = published.state_dict()
    for name in state:  # means and variances that are not those of a new network
        if "running" in name:
            state[name] = torch.rand(state[name].shape, generator=rng) * 0.2 + 0.9 * ("var" in name)
    published.load_state_dict(state)
    suffix = ".safetensors" if OLD_TORCH or backbone == "mnasnet" else ".pth"
    path = file_of(state, tmp_path / f"{backbone}{suffix}")
    options = Training(backbone=backbone, network="plain", weights=path)
    now = channels("Au", "Cu", "Zn", "map=shale", "map=granite")
    net = network(now, options, size=64)
    line = read_starting_weights(options, make_grid(70, 70)).give(net, now)
    counted = [name for name in net.state_dict() if not name.endswith("num_batches_tracked")]
    assert f"{len(counted) - 2} of {len(counted)} tensors taken over" in line
    assert "averaged over 5 channels; fresh: classifier" in line
    setattr(published, last, nn.Identity())
    grey = torch.randn(3, 1, 64, 64, generator=rng)
    with torch.no_grad():
        features = net.eval().maps([grey.expand(-1, 5, -1, -1)]).mean(dim=(2, 3))
        expected = published.eval()(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)


# Whole trainings


@pytest.mark.parametrize(
    "options", [QUICK, replace(QUICK, pretrain=2)], ids=["weights", "weights and pretraining"]
)
def test_a_model_of_another_survey_gives_each_fold_its_own_beginning(
    tmp_path, monkeypatch, options
):
    source, starts = small_model(), []
    path = str(save_model(source, tmp_path / "there"))
    fit = MFAFClassifier.fit
    monkeypatch.setattr(
        MFAFClassifier,
        "fit",
        lambda self, *a, start, **k: starts.append(start) or fit(self, *a, start=start, **k),
    )
    case = another_survey()
    model = case.train(options=replace(options, weights=path))
    for fold, start in enumerate(starts):
        was = source.fold_models[fold].classifier.net_.state_dict()
        same = {name for name in was if torch.equal(start[name], was[name])}
        assert {"classifier.weight", "classifier.bias"} <= same
        assert ("branches.0.conv.weight" in same) == (options.pretrain == 0)
    assert (model.start["name"], model.start["kind"]) == ("there", "model")
    back = load_model(save_model(model, tmp_path / "here"), device="cpu")
    assert back.start == model.start
    assert back.options.weights_sha256 == model.start["sha256"]
    recorded = json.loads((tmp_path / "here" / "model.json").read_text())
    assert recorded["start"]["sha256"] == pinned(Training(weights=path)).weights_sha256
    assert len(recorded["start"]["labels_seen"]) == 1


def test_a_model_of_the_same_ground_is_refused_and_pretrained_weights_are_not(tmp_path):
    case, path = small_case(), str(save_model(small_model(), tmp_path / "model"))
    with pytest.raises(
        DataError, match=r"labels on ground that overlaps this survey's.*geomfaf pretrain"
    ):
        case.train(options=replace(QUICK, weights=path))
    with pytest.raises(DataError, match="overlaps"):
        read_starting_weights(replace(QUICK, weights=path), another_survey(8_200).grid)
    read_starting_weights(replace(QUICK, weights=path), another_survey(8_300).grid)
    found = pretrain_network(case.stack, size=8, options=SMALL, steps=1, device="cpu")
    model = case.train(
        options=replace(QUICK, weights=str(save_pretrained(found, tmp_path / "pretrained")))
    )
    assert model.start["labels_seen"] == []


def test_ground_overlaps_across_coordinate_systems(tmp_path):
    path = str(save_model(small_model(), tmp_path / "model"))
    west, south, east, north = small_case().grid.bounds
    from pyproj import Transformer

    for shift, refused in ((0.0, True), (300_000.0, False)):
        moved = Transformer.from_crs(32633, 32632, always_xy=True).transform_bounds(
            west + shift, south, east + shift, north
        )
        grid, options = Grid.from_bounds(moved, 100, 32632), replace(QUICK, weights=path)
        if refused:
            with pytest.raises(DataError, match="overlaps"):
                read_starting_weights(options, grid)
        else:
            read_starting_weights(options, grid)


def test_ground_seen_by_the_weights_that_the_weights_began_with_counts_too(tmp_path):
    here = str(save_model(small_model(), tmp_path / "here"))
    there = another_survey().train(options=replace(QUICK, weights=here))
    with pytest.raises(DataError, match="overlaps"):
        small_case().train(
            options=replace(QUICK, weights=str(save_model(there, tmp_path / "there")))
        )


@pytest.mark.parametrize("text", ['{"format": ', "[]", '{"format": FORMAT}'])
def test_a_damaged_description_is_refused_in_words(tmp_path, text):
    folder = save_model(small_model(), tmp_path / "model")
    (folder / "model.json").write_text(text.replace("FORMAT", json.dumps(FORMAT)))
    for read in (
        load_model,
        lambda path: read_starting_weights(replace(QUICK, weights=str(path)), small_case().grid),
    ):
        with pytest.raises(ModelMismatchError, match=r"model\.json"):
            read(folder)


def test_a_checkpoint_of_another_beginning_is_not_continued(tmp_path, monkeypatch):
    monkeypatch.setattr("geomfaf.models.network.classifier.CHECKPOINT_SECONDS", -1.0)
    x, labels = (
        np.random.default_rng(0).normal(size=(8, 2, 8, 8)).astype(np.float32),
        np.arange(8) % 2,
    )
    options, ends = replace(QUICK, pretrain=1), []
    for seed in (1, 2):
        start = network(channels("Au", "Cu"), QUICK, seed=seed).state_dict()
        for checkpoint in (tmp_path / "fold.safetensors", None):
            fitted = MFAFClassifier(options, device="cpu").fit(
                x, labels, start=start, checkpoint=checkpoint
            )
            ends.append(fitted.net_.state_dict()["classifier.weight"])
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[2], ends[3])
    assert not torch.equal(ends[0], ends[2])


# Refusals


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@reads_pickles
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, legacy):
    path = tmp_path / "resnet18.pth"
    state = {"conv1.weight": torch.zeros(1), "more": Evil(tmp_path / "ran")}
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UsageError, match=r"no file of tensors alone.*could run code.*state_dict"):
        read_starting_weights(Training(backbone="resnet18", weights=str(path)), make_grid(9, 9))
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists(), "the file was harmless and the test proves nothing"


def test_an_unsafe_pytorch_does_not_read_pickles(tmp_path, monkeypatch):
    path = file_of({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet18.pth")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(UsageError, match=r"install torch 2.6 or newer, or convert"):
        read_starting_weights(Training(backbone="resnet18", weights=path), make_grid(9, 9))


@reads_pickles
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.zeros(1)], "no table of named tensors"),
        ({"epoch": 3}, "no table of named tensors"),
        ({"conv1.weight": torch.tensor([np.nan])}, "not finite, first in conv1.weight"),
        (b"\x80\x04 is no file of weights", "no file of tensors alone"),
        (b"", "no file of tensors alone"),
    ],
)
def test_files_that_are_no_tensors_are_refused(tmp_path, content, words):
    path = tmp_path / "resnet18.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(UsageError, match=words):
        read_starting_weights(Training(backbone="resnet18", weights=str(path)), make_grid(9, 9))


@reads_pickles
def test_a_checkpoint_of_a_training_script_gives_its_state_dict(tmp_path):
    state = torchvision.models.resnet18(weights=None).state_dict()
    torch.save({"model": state, "epoch": 90}, tmp_path / "checkpoint.pth")
    source = read_starting_weights(
        Training(backbone="resnet18", weights=str(tmp_path / "checkpoint.pth")), make_grid(9, 9)
    )
    assert torch.equal(source.networks[0]["backbones.0.net.0.weight"], state["conv1.weight"])


def test_weights_of_another_network_are_refused(tmp_path):
    path = file_of(
        torchvision.models.mobilenet_v2(weights=None).state_dict(), tmp_path / "mobile.safetensors"
    )
    now, options = channels("Au"), Training(backbone="resnet18", weights=path)
    with pytest.raises(UsageError, match=r"no weight in common with this network \(resnet18\)"):
        read_starting_weights(options, make_grid(9, 9)).give(network(now, options, 16), now)
    with pytest.raises(UsageError, match="choose a published backbone such as resnet18"):
        read_starting_weights(Training(weights=path), make_grid(9, 9))
    _, folder = pretrained_on(["Au"], tmp_path)
    with pytest.raises(UsageError, match='backbone "compact", this training is of "resnet18"'):
        read_starting_weights(Training(backbone="resnet18", weights=folder), make_grid(9, 9))


def test_folders_that_are_not_whole_are_refused(tmp_path):
    for path, words in (
        (tmp_path / "none", "does not exist"),
        (tmp_path, "neither a model nor pretrained weights"),
    ):
        with pytest.raises(UsageError, match=words):
            pinned(Training(weights=str(path)))
    _, folder = pretrained_on(["Au"], tmp_path)
    _spoil(tmp_path / "old" / "weights.safetensors")
    with pytest.raises(ModelMismatchError, match=r"not the file that pretrained.json describes"):
        read_starting_weights(Training(weights=folder), make_grid(9, 9))
    with pytest.raises(UsageError, match=r"holds no model: model.json is missing"):
        load_model(folder)
    content = json.loads((tmp_path / "old" / "pretrained.json").read_text())
    (tmp_path / "old" / "pretrained.json").write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(ModelMismatchError, match="has format 99"):
        read_starting_weights(Training(weights=folder), make_grid(9, 9))


def _spoil(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


# As a user types it


def test_pretrain_and_train_as_commands(tmp_path):
    case = small_case()
    write_raster(case.stack, tmp_path / "stack.tif")
    table = case.windows.assign(fold=case.folds.of_windows(case.windows) + 1)
    write_layers({"windows": table, "folds": case.folds.blocks()}, tmp_path / "windows.gpkg")

    def call(*words):
        return CliRunner().invoke(main, ["--progress", "plain", *map(str, words)])

    words = [
        "pretrain",
        tmp_path / "stack.tif",
        tmp_path / "start",
        "--size",
        8,
        "--steps",
        3,
        "--device",
        "cpu",
    ]
    result = call(*words)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "start")
    assert "pretrained for 3 steps: squared error at hidden cells" in result.stderr
    assert sorted(p.name for p in (tmp_path / "start").iterdir()) == [
        "pretrained.json",
        "weights.safetensors",
    ]
    assert "--overwrite" in call(*words).stderr
    assert call(*words, "--overwrite").exit_code == 0
    train = [
        "train",
        tmp_path / "stack.tif",
        tmp_path / "windows.gpkg",
        tmp_path / "model",
        "--epochs",
        1,
    ]
    result = call(*train, "--weights", tmp_path / "start", "--pretrain", 1, "--device", "cpu")
    assert result.exit_code == 0, result.output
    line = next(
        line
        for line in result.stderr.splitlines()
        if line.startswith("starting weights start (pretrained)")
    )
    assert "bands in common: Au, Cu, geology, fault_distance; fresh: classifier" in line
    again = call(*train, "--weights", tmp_path / "model", "--overwrite", "--device", "cpu")
    assert again.exit_code == 2
    assert "is one of the inputs" in again.stderr
    assert "Traceback" not in again.output


def test_the_project_file_names_weights_beside_itself(tmp_path):
    (tmp_path / "geomfaf.toml").write_text('[train]\nweights = "start"\npretrain = 7\n')
    settings = load_project(tmp_path / "geomfaf.toml").stage("train")
    assert settings == {"weights": str(tmp_path / "start"), "pretrain": 7}
