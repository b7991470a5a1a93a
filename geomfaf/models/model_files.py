"""A trained model on disk: tensors and JSON, nothing that runs.

``weights.safetensors`` holds the networks, ``partners.safetensors`` the rows that their partners
were fitted on, ``model.json`` everything else in words and numbers.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import ModelMismatchError, UsageError
from ..files import file_hash, finished_file, library_versions, write_json
from ..rasters.bands import band_from, grid_from, grid_record
from ..windows.folds import Folds
from .ensemble import restore_partners
from .fold_models import FoldModel, Model
from .network.calibrate import Calibration
from .network.classifier import restore_classifier
from .network.encode import Channel, Encoder
from .network.options import Training
from .network.starting_weights import FORMAT, read_description

PARTNERS_FILE = "partners.safetensors"


def save_model(model: Model, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write ``weights.safetensors`` and ``model.json`` into a folder."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"fold_{member.fold + 1}.{name}": tensor.cpu().contiguous()
        for member in model.members
        for name, tensor in member.classifier.net_.state_dict().items()
    }
    with finished_file(folder / "weights.safetensors", overwrite=overwrite) as path:
        save_file(tensors, path)
    rows = {
        f"fold_{member.fold + 1}.{name}": torch.from_numpy(
            np.array(array)
        )  # a copy: torch wants arrays that it could write to
        for member in model.members
        if member.partners is not None
        for name, array in member.partners.as_arrays().items()
    }
    if rows:
        with finished_file(folder / PARTNERS_FILE, overwrite=overwrite) as path:
            save_file(rows, path)
    content: dict[str, Any] = {
        "format": FORMAT,
        "bands": [asdict(band) for band in model.bands],
        "window": model.size,
        "grid": grid_record(model.folds.grid),
        "folds": _describe(model.folds),
        "training": asdict(model.options),
        "seed": model.seed,
        "start": model.start,
        "members": [
            {
                "fold": member.fold + 1,
                "channels": [asdict(channel) for channel in member.encoder.channels],
                "calibration": member.calibration.as_json(),
                "partners": None if member.partners is None else member.partners.as_json(),
                "history": member.classifier.history_,
            }
            for member in model.members
        ],
        "weights_sha256": file_hash(folder / "weights.safetensors"),
        "partners_sha256": file_hash(folder / PARTNERS_FILE) if rows else None,
        "versions": library_versions(),
    }
    write_json(content, folder / "model.json", overwrite=overwrite)
    return folder


def load_model(folder: str | Path, *, device: str = "auto") -> Model:
    """Read a model written by :func:`save_model`; only tensors and JSON are read, nothing is
    executed.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
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
    weights = load_file(folder / "weights.safetensors")
    rows = _partner_rows(folder, content)
    values = {**content["training"]}
    values["dilations"] = tuple(values["dilations"]) if values["dilations"] else None
    values["partners"] = tuple(values.get("partners", ()))
    options = Training(**values)
    part = content["folds"]
    folds = Folds(
        grid_from(content["grid"]),
        part["block"],
        np.array(part["table"]),
        part["margin"],
        part["linkage"],
    )
    if _describe(folds)["sha256"] != part["sha256"]:
        raise ModelMismatchError(
            f"the folds in {folder}/model.json were changed: which ground is held out is unknown."
        )
    members = [
        _restore_member(member, weights, rows, options, content["window"], device)
        for member in content["members"]
    ]
    bands = [band_from(band) for band in content["bands"]]
    return Model(
        members, bands, content["window"], folds, options, content["seed"], content.get("start", {})
    )


def _describe(folds: Folds) -> dict[str, Any]:
    """Return the folds as JSON with a hash: were a block to change folds, trained ground would pass
    as held out.
    """
    at = {"transform": list(folds.grid.transform)[:6], "shape": list(folds.grid.shape)}
    split = {"block": folds.block, "margin": folds.margin, "linkage": float(folds.linkage)}
    split["table"] = folds.table.tolist()
    return {**split, "sha256": hashlib.sha256(json.dumps([at, split]).encode()).hexdigest()}


def _partner_rows(folder: Path, content: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the rows on which the partners of all folds were fitted; none for a network alone."""
    from safetensors.numpy import load_file

    wanted = content.get("partners_sha256")
    path = folder / PARTNERS_FILE
    if wanted is None:
        return {}
    if not path.exists() or file_hash(path) != wanted:
        raise ModelMismatchError(f"{path} is missing or is not the file that model.json describes.")
    return load_file(path)


def _restore_member(
    entry: dict,
    weights: dict[str, torch.Tensor],
    rows: dict[str, np.ndarray],
    options: Training,
    size: int,
    device: str,
) -> FoldModel:
    prefix = f"fold_{entry['fold']}."
    own = {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }
    encoder = Encoder(tuple(Channel(**channel) for channel in entry["channels"]))
    classifier = restore_classifier(options, own, len(encoder.channels), size, device)
    classifier.history_ = entry["history"]
    partners = None
    if entry.get("partners"):
        arrays = {
            name.removeprefix(prefix): array
            for name, array in rows.items()
            if name.startswith(prefix)
        }
        partners = restore_partners(entry["partners"], arrays)
    return FoldModel(
        entry["fold"] - 1,
        encoder,
        classifier,
        Calibration.from_json(entry.get("calibration")),
        partners,
    )
