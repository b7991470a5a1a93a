"""A trained model on disk: tensors and JSON, nothing that runs.

``weights.safetensors`` holds the networks, ``simple_models.safetensors`` the rows that the simple
models of an ensemble were fitted on, ``model.json`` everything else in words and numbers.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelMismatchError, UsageError
from ..files import file_hash, finished_file, library_versions, plain_values, write_json
from ..rasters.bands import band_from, grid_from, grid_record
from ..windows.folds import Folds, fold_index, fold_number
from .ensemble import restore_simple_models
from .fold_models import FoldModel, Model
from .model_schema import description_hash, require_model
from .network.classifier import restore_classifier
from .network.encode import Channel, Encoder
from .network.options import Training
from .network.starting_weights import FORMAT, read_description

SIMPLE_MODELS_FILE = "simple_models.safetensors"


def save_model(model: Model, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write ``weights.safetensors`` and ``model.json`` into a folder, and the rows of simple models
    where there are any.

    Parameters
    ----------
    model : Model
        See :func:`geomfaf.train_model`.
    folder : path
        It is made where it is not there.
    overwrite : bool
        Replace what is there; without it nothing is overwritten.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputExistsError
        When there is a file already, without ``overwrite``.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=400)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=4, fold_count=2)
    >>> options = gm.training_options("mfaf", least_steps=2)
    >>> model = gm.train_model(stack, windows, folds, options=options)
    >>> folder = gm.save_model(model, f"{tempfile.mkdtemp()}/model")
    >>> sorted(path.name for path in folder.iterdir())
    ['model.json', 'weights.safetensors']
    """
    from safetensors.numpy import save_file as save_arrays
    from safetensors.torch import save_file as save_tensors

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # 1. tensors and rows of all folds in a file each, told apart by their names
    tensors = {}
    rows = {}
    for fold_model in model.fold_models:
        prefix = f"fold_{fold_number(fold_model.fold)}."
        for name, tensor in fold_model.classifier.net_.state_dict().items():
            tensors[prefix + name] = tensor.cpu().contiguous()
        if fold_model.simple is not None:
            for name, array in fold_model.simple.as_arrays().items():
                rows[prefix + name] = np.ascontiguousarray(array)
    with finished_file(folder / "weights.safetensors", overwrite=overwrite) as path:
        save_tensors(tensors, path)
    if rows:
        with finished_file(folder / SIMPLE_MODELS_FILE, overwrite=overwrite) as path:
            save_arrays(rows, path)
    # 2. everything else in words; the hashes tie the files together
    content: dict[str, Any] = {
        "format": FORMAT,
        "bands": [asdict(band) for band in model.bands],
        "window": model.size,
        "grid": grid_record(model.folds.grid),
        "folds": _describe(model.folds),
        "training": asdict(model.options),
        "seed": model.seed,
        "start": model.start,
        "fold_models": [_in_words(fold_model) for fold_model in model.fold_models],
        "weights_sha256": file_hash(folder / "weights.safetensors"),
        "simple_models_sha256": file_hash(folder / SIMPLE_MODELS_FILE) if rows else None,
        "versions": library_versions(),
    }
    content = plain_values(content)
    content["sha256"] = description_hash(content)
    write_json(content, folder / "model.json", overwrite=overwrite)
    return folder


def load_model(folder: str | Path, *, device: str = "auto") -> Model:
    """Read a model written by :func:`save_model`; only tensors and JSON are read, nothing is
    executed.

    Parameters
    ----------
    folder : path
        That :func:`save_model` wrote.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network is computed; ``auto`` takes a graphics card where there is one.

    Returns
    -------
    Model
        Ready for :func:`geomfaf.predict_scores`.

    Raises
    ------
    UsageError
        When the folder holds no model.
    ModelMismatchError
        When its files were changed, or do not belong together.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=400)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=4, fold_count=2)
    >>> options = gm.training_options("mfaf", least_steps=2)
    >>> model = gm.train_model(stack, windows, folds, options=options)
    >>> folder = gm.save_model(model, f"{tempfile.mkdtemp()}/model")
    >>> gm.load_model(folder).name
    'MFAF'
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    # 1. the files belong together, and the description is one of a model
    content = _checked_description(folder)
    weights = load_file(folder / "weights.safetensors")
    rows = _simple_rows(folder, content)
    options = _options_from(content["training"])
    folds = _folds_from(content, folder)
    # 2. fold by fold: input layer, network, simple models
    fold_models = []
    for entry in content["fold_models"]:
        # Each tensor's name begins with its fold's.
        prefix = f"fold_{entry['fold']}."
        encoder = Encoder(tuple(Channel(**channel) for channel in entry["channels"]))
        channels = len(encoder.channels)
        own = _with_prefix(weights, prefix)
        classifier = restore_classifier(options, own, channels, content["window"], device)
        classifier.history_ = entry["history"]
        simple = None
        if entry["simple_models"]:
            simple = restore_simple_models(entry["simple_models"], _with_prefix(rows, prefix))
        fold_models.append(FoldModel(fold_index(entry["fold"]), encoder, classifier, simple))
    return Model(
        fold_models,
        [band_from(band) for band in content["bands"]],
        content["window"],
        folds,
        options,
        content["seed"],
        content["start"],
    )


def _checked_description(folder: Path) -> dict[str, Any]:
    """Return model.json of a folder, refused when it is none or not that of the weights."""
    for name in ("model.json", "weights.safetensors"):
        if not (folder / name).exists():
            raise UsageError(
                f"{folder} holds no model: {name} is missing. Train one with `geomfaf train`."
            )
    content = read_description(folder / "model.json")
    if content.get("format") != FORMAT:
        raise ModelMismatchError(
            f"{folder}/model.json has format {content.get('format')}; this version reads {FORMAT}."
        )
    if file_hash(folder / "weights.safetensors") != content["weights_sha256"]:
        raise ModelMismatchError(
            f"{folder}/weights.safetensors is not the file that model.json describes."
        )
    require_model(content, folder / "model.json")
    return content


def _options_from(words: dict[str, Any]) -> Training:
    """Return the options of a training from JSON, which knows lists alone."""
    values = {**words}
    values["dilations"] = tuple(values["dilations"]) if values["dilations"] else None
    values["ensemble"] = tuple(values["ensemble"])
    return Training(**values)


def _folds_from(content: dict[str, Any], folder: Path) -> Folds:
    """Return the folds of a model; which ground is held out must be what it was."""
    part = content["folds"]
    table = np.array(part["table"])
    grid = grid_from(content["grid"])
    folds = Folds(grid, part["block"], table, part["margin"], part["linkage"])
    if _describe(folds)["sha256"] != part["sha256"]:
        raise ModelMismatchError(
            f"the folds in {folder}/model.json were changed: which ground is held out is unknown."
        )
    return folds


def _in_words(fold_model: FoldModel) -> dict[str, Any]:
    """Return what is no tensor of a fold model; folds are numbered from 1 in files."""
    simple = fold_model.simple
    return {
        "fold": fold_number(fold_model.fold),
        "channels": [asdict(channel) for channel in fold_model.encoder.channels],
        "simple_models": None if simple is None else simple.as_json(),
        "history": fold_model.classifier.history_,
    }


def _describe(folds: Folds) -> dict[str, Any]:
    """Return the folds as JSON with a hash: were a block to change folds, trained ground would pass
    as held out.
    """
    # The hash is over place and split: the same table elsewhere would be another split.
    at = {"transform": list(folds.grid.transform)[:6], "shape": list(folds.grid.shape)}
    split = {
        "block": folds.block,
        "margin": folds.margin,
        "linkage": float(folds.linkage),
    }
    split["table"] = folds.table.tolist()
    return {**split, "sha256": hashlib.sha256(json.dumps([at, split]).encode()).hexdigest()}


def _simple_rows(folder: Path, content: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the rows on which the simple models of all folds were fitted; none for a network
    alone.
    """
    from safetensors.numpy import load_file

    # A network alone has no rows.
    wanted = content["simple_models_sha256"]
    path = folder / SIMPLE_MODELS_FILE
    if wanted is None:
        return {}
    if not path.exists() or file_hash(path) != wanted:
        raise ModelMismatchError(f"{path} is missing or is not the file that model.json describes.")
    return load_file(path)


def _with_prefix(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the values whose name begins so, by the rest of their name."""
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }
