"""What ``model.json`` must look like, checked before anything of it is used."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from ..errors import ModelMismatchError

CELLS = 2**31
"""Most cells of a grid that a model may name: memory is asked for by these numbers."""

_COUNT = {
    "type": "integer",
    "minimum": 0,
    "maximum": CELLS,
}
_TEXT = {"type": "string", "maxLength": 100_000}
_NAME = {"type": "string", "maxLength": 1000}
_HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_BAND = {
    "type": "object",
    "required": ["name", "kind", "unit", "description", "legend"],
    "properties": {
        "name": _NAME,
        "kind": _NAME,
        "unit": _NAME,
        "description": _NAME,
        "legend": {
            "type": "object",
            "propertyNames": {"pattern": "^-?[0-9]{1,9}$"},
            "additionalProperties": _NAME,
        },
    },
    "additionalProperties": False,
}
_GRID = {
    "type": "object",
    "required": ["crs", "transform", "shape"],
    "properties": {
        "crs": _TEXT,
        "transform": {
            "type": "array",
            "items": {"type": "number"},
            "minItems": 6,
            "maxItems": 6,
        },
        "shape": {
            "type": "array",
            "items": {
                "type": "integer",
                "minimum": 1,
                "maximum": 1_000_000,
            },
            "minItems": 2,
            "maxItems": 2,
        },
    },
}
# Where the map was cut: the hash proves that nobody moved a block to another fold.
_FOLDS = {
    "type": "object",
    "required": ["block", "margin", "linkage", "table", "sha256"],
    "properties": {
        "block": {**_COUNT, "minimum": 1},
        "margin": _COUNT,
        "linkage": {"type": "number", "minimum": 0},
        "table": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "array",
                "minItems": 1,
                "items": {**_COUNT, "maximum": 1000},
            },
        },
        "sha256": _HASH,
    },
}
# What a fold model learned to scale a band by; nothing beside it is read.
_CHANNEL = {
    "type": "object",
    "required": ["band", "kind", "centre", "spread", "floor", "value", "label"],
    "properties": {
        "band": _NAME,
        "kind": _NAME,
        "centre": {"type": "number"},
        "spread": {"type": "number"},
        "floor": {"type": "number"},
        "value": {"type": "integer"},
        "label": _NAME,
    },
    "additionalProperties": False,
}
_MEMBER = {
    "type": "object",
    "required": ["fold", "channels", "history"],
    "properties": {
        "fold": {
            "type": "integer",
            "minimum": 1,
            "maximum": 1001,
        },
        "channels": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100_000,
            "items": _CHANNEL,
        },
        "simple_models": {"type": ["object", "null"]},
        "history": {"type": "array", "items": {"type": "object"}},
    },
}
SCHEMA = {
    "type": "object",
    "required": [
        "bands",
        "window",
        "grid",
        "folds",
        "training",
        "seed",
        "fold_models",
        "weights_sha256",
    ],
    "properties": {
        "bands": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100_000,
            "items": _BAND,
        },
        "window": {
            "type": "integer",
            "minimum": 2,
            "maximum": 1024,
        },
        "grid": _GRID,
        "folds": _FOLDS,
        "training": {"type": "object", "propertyNames": {"maxLength": 100}},
        "seed": {"type": "integer", "minimum": 0},
        "start": {"type": "object"},
        "fold_models": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1000,
            "items": _MEMBER,
        },
        "weights_sha256": _HASH,
        "simple_models_sha256": {"oneOf": [_HASH, {"type": "null"}]},
    },
}
"""JSON Schema of ``model.json``: types, sizes and ranges; files are named by their hash alone."""


def require_model(content: Mapping[str, Any], path: Path) -> None:
    """Raise :class:`ModelMismatchError` for a description that no model was saved with.

    Parameters
    ----------
    content : mapping
        What the file says.
    path : Path
        The file, for the message.
    """
    for value in _numbers(content):
        if not math.isfinite(value):
            raise ModelMismatchError(f"{path} holds a number that is not finite: it was changed.")
    error = next(iter(Draft202012Validator(SCHEMA).iter_errors(content)), None)
    if error is not None:
        where = ".".join(map(str, error.absolute_path)) or "the file"
        raise ModelMismatchError(
            f"{path} does not describe a model: {where} breaks the rule"
            f' "{error.validator} {json.dumps(error.validator_value)[:60]}". Copy it again.'
        )
    if "sha256" in content and content["sha256"] != description_hash(content):
        raise ModelMismatchError(f"{path} was changed since the model was saved: copy it again.")


def description_hash(content: Mapping[str, Any]) -> str:
    """Return the hash of a description, without the hash itself."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _numbers(value: Any) -> Iterator[float]:
    """Yield every number of a tree of dicts and lists."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, float):
            yield item
