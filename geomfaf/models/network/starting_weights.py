"""Starting weights: from pretraining, from the model of another survey, or from a file of
torchvision's.

Tensors and JSON are read, nothing is executed. Weights that saw labels on the ground that they
would be tested on are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from pyproj import Transformer
from torch import nn

from ...errors import DataError, ModelMismatchError, UsageError
from ...files import file_hash
from ...rasters.bands import grid_from
from ...rasters.grid import Grid
from ...survey.element_names import parse_element
from .backbones import own_name
from .encode import Channel, Encoder
from .mfaf import MFAF
from .options import Training

FORMAT = 3
"""Version of the files of a model; a reader refuses what it does not know."""

PRETRAINED = "pretrained.json"
"""Describes a folder of pretrained weights, as model.json a model: neither can be taken for the
other.
"""

SAFE_TORCH = (2, 6)
"""Before this version of PyTorch a crafted file could run code even under weights_only
(CVE-2025-32434).
"""

PER_CHANNEL = (
    (re.compile(r"branches\.\d+\.conv\.(weight|bias)$"), 0),
    (re.compile(r"branches\.\d+\.attention\.mlp\.0\.weight$"), 1),
    (re.compile(r"branches\.\d+\.attention\.mlp\.2\.(weight|bias)$"), 0),
)
"""Weights that belong to channels, and along which axis; the first convolution of a backbone is
another.
"""

HIDDEN_BIAS = re.compile(r"branches\.\d+\.attention\.mlp\.0\.bias$")


@dataclass(frozen=True)
class StartingWeights:
    """Weights to begin a training with, see :func:`read_starting_weights`.

    Attributes
    ----------
    name, sha256 : str
        Name of the file or folder and the hash of what was read.
    kind : {"pretrained", "model", "torchvision"}
    backbone : str
    networks : list of dict
        Tensors by name; a model of several folds has several.
    encoders : list of Encoder
        Channels of each network; none for torchvision's, whose input is three colours.
    labels_seen : list of dict
        Grids on which these weights, or those they began with, were trained with labels.
    """

    name: str
    sha256: str
    kind: str
    backbone: str
    networks: list[dict[str, torch.Tensor]]
    encoders: list[Encoder] = field(default_factory=list)
    labels_seen: list[dict[str, Any]] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Return what a model keeps of where its weights came from."""
        return {name: getattr(self, name) for name in ("name", "sha256", "kind", "labels_seen")}

    def give(self, net: MFAF, encoder: Encoder, fold: int = 0) -> str:
        """Put what fits into a network and return one line on what was taken over and what starts
        fresh.

        Fold k takes the weights of the other model's fold k, counted round: networks that were
        trained one by one have no meaningful mean, and different beginnings keep the folds' models
        different.
        """
        # Channels are matched by band, the rest by name and shape.
        number = fold % len(self.networks)
        channels = self.encoders[number] if self.encoders else None
        state, taken = _take_over(net, self.networks[number], channels, encoder)
        if not any(name.startswith(("branches.", "backbones.")) for name in taken):
            raise UsageError(
                f"{self.name} has no weight in common with this network ({self.backbone}): "
                "give weights of the same backbone, or choose theirs with backbone =."
            )
        net.load_state_dict(state)
        return (
            f"starting weights {self.name} ({self.kind}): {_told(state, taken, channels, encoder)}"
        )


def pinned(options: Training) -> Training:
    """Return the options with the hash of their starting weights; refuse weights that are no longer
    those.
    """
    if not options.weights:
        return options
    found = weights_hash(options.weights)
    if options.weights_sha256 not in ("", found):
        raise ModelMismatchError(
            f"{options.weights} has the hash {found[:12]}, the training began with"
            f" {options.weights_sha256[:12]}: give back the old file, or train anew."
        )
    return replace(options, weights_sha256=found)


def weights_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file of weights; of a folder, that of the hashes of its description
    and its weights.
    """
    path, description = _located(path)
    if description is None:
        return file_hash(path)
    both = file_hash(description) + file_hash(description.with_name("weights.safetensors"))
    return hashlib.sha256(both.encode()).hexdigest()


def read_starting_weights(options: Training, grid: Grid) -> StartingWeights | None:
    """Read the weights that a training on this grid begins with; None when it begins at random.

    Raises
    ------
    UsageError
        When there is no such file, when it holds anything but tensors, or weights of another
        backbone.
    DataError
        When the weights were trained with labels on the same ground: each fold would begin with a
        network that has seen the deposits it is tested on. Pretrained weights never saw labels and
        may come from anywhere.
    """
    if not options.weights:
        return None
    path, description = _located(options.weights)
    sha256 = weights_hash(path)
    if description is None:
        return _torchvision(path, sha256, options.backbone)
    source = _own_folder(path, description, sha256)
    if source.backbone != options.backbone:
        raise UsageError(
            f'{path} holds weights of the backbone "{source.backbone}", this training is of'
            f' "{options.backbone}": choose backbone = "{source.backbone}", or other weights.'
        )
    if any(_overlap(grid, grid_from(seen)) for seen in source.labels_seen):
        raise DataError(
            f"{path} was trained with labels on ground that overlaps this survey's: every fold"
            " would begin with the deposits it is tested on. Take the model of another survey, or"
            " pretrain here: `geomfaf pretrain`."
        )
    return source


def _located(path: str | Path) -> tuple[Path, Path | None]:
    """Return a file of weights, or a folder and the file that describes it."""
    path = Path(path)
    if not path.exists():
        raise UsageError(
            f"{path} does not exist: weights = names a folder of geomfaf, a .safetensors or a .pth"
            " file."
        )
    if not path.is_dir():
        return path, None
    for name in (PRETRAINED, "model.json", "model/model.json"):
        if (path / name).exists() and (path / name).with_name("weights.safetensors").exists():
            return path, path / name
    raise UsageError(
        f"{path} holds neither a model nor pretrained weights ({PRETRAINED} or model.json beside"
        " weights.safetensors): make one with `geomfaf pretrain` or `geomfaf train`."
    )


def read_description(path: Path) -> dict[str, Any]:
    """Return the description of a model or of pretrained weights; refused where it is cut short or
    not one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelMismatchError(
            f"{path} cannot be read: {error}. Copy the folder again, or train anew."
        ) from error
    needed = {"weights_sha256", "training"}
    if not isinstance(content, dict) or (
        content.get("format") == FORMAT and not needed <= set(content)
    ):
        raise ModelMismatchError(
            f"{path} does not describe a model: it was changed. Copy it again, or train anew."
        )
    return content


def _own_folder(path: Path, description: Path, sha256: str) -> StartingWeights:
    content = read_description(description)
    if content.get("format") != FORMAT:
        raise ModelMismatchError(
            f"{description} has format {content.get('format')}; this version reads {FORMAT}."
        )
    weights = description.with_name("weights.safetensors")
    if file_hash(weights) != content["weights_sha256"]:
        raise ModelMismatchError(
            f"{weights} is not the file that {description.name} describes: copy both again."
        )
    tensors = _tensors_of(weights)
    pretrained = description.name == PRETRAINED
    # A pretrained folder holds one network, a model one a fold.
    networks = []
    encoders = []
    for entry in [content] if pretrained else content["fold_models"]:
        prefix = "" if pretrained else f"fold_{entry['fold']}."
        own = {
            name.removeprefix(prefix): tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }
        networks.append(own)
        encoders.append(Encoder(tuple(Channel(**channel) for channel in entry["channels"])))
    seen = [] if pretrained else [content["grid"], *content.get("start", {}).get("labels_seen", [])]
    kind = "pretrained" if pretrained else "model"
    backbone = content["training"]["backbone"]
    return StartingWeights(
        path.name,
        sha256,
        kind,
        backbone,
        networks,
        encoders,
        seen,
    )


def _torchvision(path: Path, sha256: str, backbone: str) -> StartingWeights:
    if backbone == "compact":
        raise UsageError(
            f"{path.name} is a file of weights, and the compact network is in no such file: choose"
            " a published backbone such as resnet18, or weights that `geomfaf pretrain` wrote."
        )
    named = {own_name(backbone, name): tensor for name, tensor in _tensors_of(path).items()}
    network = {f"backbones.0.{name}": tensor for name, tensor in named.items() if name}
    return StartingWeights(path.name, sha256, "torchvision", backbone, [network])


def _tensors_of(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a .safetensors file, or of a file of torch.save read as
    tensors alone.
    """
    try:
        content: Any = _loaded(path)
    except UsageError:
        raise
    except Exception as error:  # a file from anywhere may be broken in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"{path} is no file of tensors alone ({reason}). Objects are never loaded, as they"
            " could run code: save the network's state_dict(), best as .safetensors."
        ) from error
    for name in ("state_dict", "model"):  # as training scripts save them
        content = (
            content[name]
            if isinstance(content, Mapping) and isinstance(content.get(name), Mapping)
            else content
        )
    if not isinstance(content, Mapping) or not all(
        torch.is_tensor(value) for value in content.values()
    ):
        raise UsageError(
            f"{path} holds no table of named tensors: save the network's state_dict()."
        )
    broken = [name for name, tensor in content.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise UsageError(
            f"{path} holds values that are not finite, first in {broken[0]}: take an undamaged"
            " file."
        )
    return dict(content)


def _loaded(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < SAFE_TORCH:
        raise UsageError(
            f"{path.name} is a pickle, which PyTorch {torch.__version__} does not read safely: "
            "install torch 2.6 or newer, or convert the file to .safetensors."
        )
    return torch.load(path, map_location="cpu", weights_only=True)


def _take_over(
    net: MFAF,
    old: Mapping[str, torch.Tensor],
    before: Encoder | None,
    now: Encoder,
) -> tuple[dict[str, torch.Tensor], set[str]]:
    """Return a network's weights with all that fits taken from the old ones, and the names of
    these.
    """
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    taken: set[str] = set()
    first = _first_convolutions(net)
    at: tuple[list[int], list[int]] = ([], []) if before is None else _shared(before, now)
    for name, fresh in state.items():
        other = old.get(name, old.get(re.sub(r"^backbones\.\d+\.", "backbones.0.", name)))
        axis = (
            1
            if name in first
            else next((axis for pattern, axis in PER_CHANNEL if pattern.match(name)), None)
        )
        if other is None or other.dim() != fresh.dim():
            continue
        other = other.to(fresh.device, fresh.dtype)
        if before is None and name in first:
            if other.shape[0] == fresh.shape[0] and other.shape[2:] == fresh.shape[2:]:
                # Summed over three colours or n bands, a picture that is the same in all of them
                # looks the same.
                fresh.copy_(other.sum(dim=1, keepdim=True).expand_as(fresh) / fresh.shape[1])
                taken.add(name)
        elif axis is not None:
            if at[0] and _fits(other, fresh, axis, loose="attention" in name):
                _copy(other, fresh, axis, at)
                taken.add(name)
        elif HIDDEN_BIAS.match(name):
            hidden = min(len(other), len(fresh))
            fresh[:hidden] = other[:hidden]
            taken.add(name)
        elif other.shape == fresh.shape:
            fresh.copy_(other)
            taken.add(name)
    return state, taken


def _fits(
    other: torch.Tensor,
    fresh: torch.Tensor,
    axis: int,
    *,
    loose: bool,
) -> bool:
    """Return whether all axes but that of the channels agree; the attention may have fewer or more
    hidden units.
    """
    sides = zip(other.movedim(axis, 0).shape[1:], fresh.movedim(axis, 0).shape[1:], strict=True)
    return loose or all(one == two for one, two in sides)


def _copy(
    other: torch.Tensor,
    fresh: torch.Tensor,
    axis: int,
    at: tuple[list[int], list[int]],
) -> None:
    """Copy the channels that both have, in place."""
    source = other.movedim(axis, 0)
    target = fresh.movedim(axis, 0)
    rest = tuple(
        slice(min(one, two)) for one, two in zip(source.shape[1:], target.shape[1:], strict=True)
    )
    for old, new in zip(*at, strict=True):
        target[new][rest] = source[old][rest]


def _shared(before: Encoder, now: Encoder) -> tuple[list[int], list[int]]:
    """Return the numbers of the channels that both have, in the old network and in the new one."""
    known = {_key(channel): number for number, channel in enumerate(before.channels)}
    pairs = [
        (known[_key(channel)], number)
        for number, channel in enumerate(now.channels)
        if _key(channel) in known
    ]
    return [old for old, _ in pairs], [new for _, new in pairs]


def _key(channel: Channel) -> tuple[str, str, str]:
    """Return what makes a channel the same in two surveys: an element by its symbol, else the
    names; not the unit.
    """
    parsed = parse_element(channel.band) if channel.kind in ("element", "ratio") else None
    return (
        channel.kind,
        (parsed[0] if parsed else channel.band).casefold(),
        channel.label.casefold(),
    )


def _first_convolutions(net: MFAF) -> list[str]:
    """Return the name of the weight of each backbone's first convolution, whose input is
    the bands.
    """
    names = []
    for number, backbone in enumerate(net.backbones):
        first = next(name for name, part in backbone.named_modules() if isinstance(part, nn.Conv2d))
        names.append(f"backbones.{number}.{first}.weight")
    return names


def _told(
    state: Mapping[str, torch.Tensor],
    taken: set[str],
    before: Encoder | None,
    now: Encoder,
) -> str:
    counted = {name for name in state if not name.endswith("num_batches_tracked")}
    parts = dict.fromkeys(name.split(".")[0] for name in state)
    begun = {name.split(".")[0] for name in taken}
    fresh = [part for part in parts if part not in begun]
    told = f"{len(counted & taken)} of {len(counted)} tensors taken over"
    if before is None:
        told += f", the first convolution averaged over {len(now.channels)} channels"
    else:
        bands = list(dict.fromkeys(channel.band for channel in now.channels))
        common = {now.channels[number].band for number in _shared(before, now)[1]}
        told += (
            f"; bands in common: {', '.join(band for band in bands if band in common) or 'none'}"
        )
        fresh += [band for band in bands if band not in common]
    return f"{told}; fresh: {', '.join(fresh) or 'nothing'}"


def _overlap(one: Grid, other: Grid) -> bool:
    west, south, east, north = one.bounds
    if one.crs != other.crs:
        there = Transformer.from_crs(one.crs, other.crs, always_xy=True)
        west, south, east, north = there.transform_bounds(west, south, east, north)
    left, bottom, right, top = other.bounds
    return west < right and left < east and south < top and bottom < north
