"""Pretraining without labels: cells of unlabelled windows are hidden, and the network learns to
fill them in.

Random patches are hidden in all bands, and now and then a whole band; one linear layer over the
last feature map predicts the encoded values there, as SimMIM does for photographs (Xie et al. 2022,
doi 10.1109/CVPR52688.2022.00943). The layer is thrown away, branches and backbone are kept. No
deposit has a say in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import nn
from torch.nn import functional

from ...errors import DataError, UsageError
from ...files import file_hash, finished_file, library_versions, refuse_existing, write_json
from ...progress import say, track
from ...rasters.bands import Band, grid_record
from ...rasters.grid import Grid
from ...rasters.reader import RasterReader
from ...windows.folds import Folds, fold_number
from ...windows.reading import windows_from
from ...windows.windows import DEFAULT_SIZE, summed_cells
from .augment import turn_and_flip
from .classifier import MFAFClassifier, learning_rate, make_network, seen_size
from .devices import choose_device
from .encode import Encoder, fit_encoder
from .forward import autocast
from .mfaf import MFAF
from .options import Training
from .starting_weights import FORMAT, PRETRAINED, StartingWeights

STEPS = 300
"""Steps of ``geomfaf pretrain``: by then the error on a small survey hardly falls any more."""

BATCH = 64
"""Windows a step. Each goes through one branch alone, so that a step costs as much with five
branches as with one.
"""

RATE = Training(learning_rate=3e-3)
"""AdamW, one cycle: after 300 steps on a small map the error was a tenth lower than at the
training's 0.001.
"""

PATCHES = 4
"""Patches along a window: with the cells of an interpolated map, smaller holes are filled by
looking beside them.
"""

HIDDEN_PATCHES = 0.5
HIDDEN_BANDS = 0.25
"""Shares that are hidden, on average."""

LEAST_VALID = 0.5
"""Share of a window's cells that must be valid ground."""

MOST_PLACES = 250_000
"""Places for windows on a map, at most; on larger ones they lie a few cells apart."""

MOST_CELLS = 200_000
"""Cells from which the scaling of the bands is learned."""

LARGEST_PATCH = 8
"""Cells along the square that the layer draws for a place of the feature map; wider ones are
stretched: it should not have more weights than the network.
"""


@dataclass(frozen=True)
class Pretrained:
    """A network that has learned to fill in hidden cells, see :func:`pretrain_network`.

    Attributes
    ----------
    net : MFAF
        Its classifier is untrained.
    history : list of dict
        For each step: ``loss``, the mean squared error at hidden cells, and ``constant_loss``, that
        of the best constant for each channel. Encoded values have about unit spread.
    """

    net: MFAF
    encoder: Encoder
    bands: list[Band]
    grid: Grid
    size: int
    options: Training
    seed: int
    history: list[dict[str, float]]


def pretrain_network(
    stack: xr.DataArray | RasterReader,
    *,
    size: int = DEFAULT_SIZE,
    options: Training | None = None,
    steps: int = STEPS,
    seed: int = 0,
    device: str = "auto",
) -> Pretrained:
    """Train branches and backbone on windows anywhere on the survey's valid ground, without labels.

    The bands of all ground are seen, of that which a later training is tested on too; labels never
    are. Where even that is too much, ``Training(pretrain=...)`` pretrains inside each fold on the
    fold's own training ground.

    Parameters
    ----------
    stack : DataArray or RasterReader
        (band, y, x), see :func:`geomfaf.build_stack`. No deposit should have chosen its bands.
    size : int
        Cells along a window.
    options : Training
        The network's choices; ``pretrain`` and ``weights`` play no part and must be left out.
    steps : int
        Batches of 64 windows.
    seed : int
        The same seed, data and machine give the same result.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network is computed; ``auto`` takes a graphics card where there is one.

    Returns
    -------
    Pretrained
        For :func:`save_pretrained`.

    Raises
    ------
    UsageError
        For steps below 1, options that begin elsewhere, or a window that does not fit.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> found = gm.pretrain_network(stack, size=8, steps=2)
    >>> type(found).__name__
    'Pretrained'
    """
    options = options or Training()
    if steps < 1 or options != options.fresh():
        raise UsageError(
            f"steps = {steps} must be at least 1, and pretraining begins at random: leave weights"
            " out."
        )
    source = RasterReader.of(stack)
    if not 2 <= size <= min(source.grid.shape):
        raise UsageError(
            f"a window of {size} cells does not fit a stack of {source.grid.height} x"
            f" {source.grid.width} cells."
        )
    # 1. windows anywhere on valid ground, and the scaling of all of it
    bands = source.bands
    valid = source.valid
    place = choose_device(device)
    size = seen_size(options, size)
    places = unlabelled_windows(valid, size)
    cells = np.flatnonzero(valid)
    if len(cells) > MOST_CELLS:
        cells = np.sort(np.random.default_rng(seed).choice(cells, MOST_CELLS, replace=False))
    rows, cols = np.divmod(cells, source.grid.width)
    values = windows_from(source, rows, cols, 1)
    encoder = fit_encoder(values.reshape(len(cells), len(bands)).T, bands)
    # 2. the network, which learns to fill in what is hidden
    net = make_network(options, len(encoder.channels), size, seed=seed, device=place)
    history = fill_in(
        net,
        source,
        encoder,
        places,
        options=options,
        steps=steps,
        seed=seed,
        label="pretraining",
    )
    say(told(history))
    return Pretrained(
        net.eval(),
        encoder,
        bands,
        source.grid,
        size,
        options,
        seed,
        history,
    )


def starting_point(
    classifier: MFAFClassifier,
    stack: xr.DataArray | RasterReader,
    encoder: Encoder,
    size: int,
    *,
    source: StartingWeights | None,
    folds: Folds,
    fold: int,
    label: str = "pretraining",
) -> dict[str, torch.Tensor] | None:
    """Return the weights with which a fold's training begins, None for random ones.

    Starting weights come first, pretraining goes on from them; it sees windows that keep as clear
    of the fold's test ground as training windows do, encoded by what those taught.
    """
    options = classifier.training
    seed = classifier.seed
    if source is None and not options.pretrain:
        return None
    # Weights first, pretraining goes on from them.
    device = choose_device(classifier.device)
    net = make_network(options, len(encoder.channels), size, seed=seed, device=device)
    if source is not None:
        line = source.give(net, encoder, fold)
        if fold == 0:
            say(line)
    if options.pretrain:
        places = unlabelled_windows(RasterReader.of(stack).valid, size, folds=folds, fold=fold)
        history = fill_in(
            net,
            stack,
            encoder,
            places,
            options=options,
            steps=options.pretrain,
            seed=seed,
            label=label,
        )
        if fold == 0:
            say(told(history))
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def unlabelled_windows(
    valid: np.ndarray,
    size: int,
    *,
    folds: Folds | None = None,
    fold: int = 0,
) -> pd.DataFrame:
    """Return row, col and size of windows that are mostly valid ground and keep clear of a fold's
    test ground.

    >>> len(unlabelled_windows(np.ones((20, 20), bool), 16))
    25
    """
    # On large maps every second or third place is enough.
    height, width = valid.shape
    apart = max(1, round((valid.size / MOST_PLACES) ** 0.5))
    rows = np.arange(0, height - size + 1, apart)
    cols = np.arange(0, width - size + 1, apart)
    total = summed_cells(valid)
    # Valid cells of each window, from the sums at its four corners.
    top_left = total[np.ix_(rows, cols)]
    top_right = total[np.ix_(rows, cols + size)]
    bottom_left = total[np.ix_(rows + size, cols)]
    bottom_right = total[np.ix_(rows + size, cols + size)]
    known = (bottom_right - bottom_left - top_right + top_left) >= LEAST_VALID * size**2
    row, col = np.nonzero(known)
    places = pd.DataFrame(
        {
            "row": rows[row],
            "col": cols[col],
            "size": size,
        }
    )
    if folds is not None:
        places = places[folds.training(places, fold)]
    if not len(places):
        away = ""
        if folds is not None:
            away = f", clear of fold {fold_number(fold)}'s ground by {folds.margin} cells"
        raise DataError(
            f"no window of {size} cells lies on ground that is valid to a half{away}: nothing can"
            " be pretrained on. Use smaller windows or cells, or pretrain = 0."
        )
    return places


def hidden_cells(
    count: int,
    groups: Sequence[int],
    size: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """Return which cells of so many windows are hidden, (windows, channels, size, size) bool.

    Patches are hidden in all channels at once, a band with all its channels (``groups``: the band
    of each channel); one band at least is left.
    """
    # 1. patches, in all channels
    patch = max(1, size // PATCHES)
    side = -(-size // patch)
    patches = torch.rand(count, 1, side, side, generator=generator) < HIDDEN_PATCHES
    patches = patches.repeat_interleave(patch, dim=2).repeat_interleave(patch, dim=3)[
        :, :, :size, :size
    ]
    # 2. bands, over the whole window
    bands = torch.rand(count, max(groups) + 1, generator=generator) < HIDDEN_BANDS
    bands[bands.all(dim=1)] = False
    return patches | bands[:, list(groups), None, None]


class FillIn(nn.Module):
    """One linear layer that draws the square of cells behind each place of the feature map."""

    def __init__(
        self,
        features: int,
        channels: int,
        size: int,
        places: int,
    ) -> None:
        super().__init__()
        self.size = size
        factor = min(-(-size // places), LARGEST_PATCH)
        self.net = nn.Sequential(
            nn.Conv2d(features, channels * factor**2, 1), nn.PixelShuffle(factor)
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the predicted channels, (batch, channels, size, size)."""
        drawn = self.net(maps)
        if drawn.shape[-1] == self.size:
            return drawn
        return functional.interpolate(
            drawn, size=(self.size, self.size), mode="bilinear", align_corners=False
        )


def fill_in(
    net: MFAF,
    stack: xr.DataArray | RasterReader,
    encoder: Encoder,
    places: pd.DataFrame,
    *,
    options: Training,
    steps: int,
    seed: int,
    label: str,
) -> list[dict[str, float]]:
    """Train a network in place to fill in hidden cells of windows at these places; return the
    losses of each step.
    """
    if not hasattr(net, "maps"):
        raise UsageError(
            f'network = "{options.network}" cannot be pretrained: choose "mfaf" or "plain".'
        )
    # 1. what is drawn from, and what fills in
    source = RasterReader.of(stack)
    names = list(dict.fromkeys(channel.band for channel in encoder.channels))
    groups = [names.index(channel.band) for channel in encoder.channels]
    at = places[["row", "col"]].to_numpy()
    size = int(places["size"].iloc[0])
    device = next(net.parameters()).device
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    head = _head(net, len(groups), size).to(device)
    weights = [
        weight for name, weight in net.named_parameters() if not name.startswith("classifier.")
    ]
    optimiser = torch.optim.AdamW([*weights, *head.parameters()], weight_decay=RATE.weight_decay)
    history = []
    net.train()
    for step in track(range(steps), label, unit="steps"):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps, 0, RATE)
        # 2. windows, turned, with the cells that are known beside the values
        row, col = at[rng.integers(len(at), size=BATCH)].T
        raw = windows_from(source, row, col, size, names).swapaxes(0, 1)
        drawn = _with_known(encoder.transform(raw, names), np.isfinite(raw)[groups])
        if options.flips:
            drawn = turn_and_flip(drawn, generator)
        target, known = drawn.split(len(groups), dim=1)
        # 3. hide as a model sees nodata (the median of the band), and be judged where something
        #    was hidden and is known
        judged = hidden_cells(BATCH, groups, size, generator)
        shown = target.masked_fill(judged, 0.0).to(device)
        judged = (judged & (known > 0)).to(device)
        target = target.to(device)
        # 4. one step
        with autocast(net, options):
            maps = _one_branch_each(net, shown.contiguous(memory_format=torch.channels_last))
            predicted = head(maps)
        loss = _loss(predicted, target, judged)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        constant = _constant_loss(target, judged)
        history.append({"loss": float(loss.detach()), "constant_loss": constant})
    net.zero_grad(set_to_none=True)
    return history


def _with_known(values: np.ndarray, known: np.ndarray) -> torch.Tensor:
    """Return (channels, windows, y, x) values and which of them are known as one tensor (windows,
    2 x channels, y, x): they are turned together.
    """
    both = np.concatenate([values, known]).swapaxes(0, 1)
    return torch.from_numpy(np.ascontiguousarray(both, np.float32))


def _loss(
    predicted: torch.Tensor,
    target: torch.Tensor,
    judged: torch.Tensor,
) -> torch.Tensor:
    """Return the mean squared error of the judged cells; 0 with a gradient where there are none."""
    if not judged.any():
        return predicted.sum() * 0
    error = (predicted.float() - target)[judged]
    return (error**2).mean()


def told(history: Sequence[dict[str, float]]) -> str:
    """Return one line on the mean losses of the last tenth of the steps."""
    last = pd.DataFrame(history[-max(1, len(history) // 10) :]).mean()
    return (
        f"pretrained for {len(history)} steps: squared error at hidden cells {last['loss']:.3g}, "
        f"of the best constants {last['constant_loss']:.3g}"
    )


def save_pretrained(pretrained: Pretrained, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write ``weights.safetensors`` and ``pretrained.json`` into a folder, for ``weights =`` of a
    training.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    refuse_existing(folder / PRETRAINED, overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    state = pretrained.net.state_dict()
    tensors = {
        name: tensor.cpu().contiguous()
        for name, tensor in state.items()
        if not name.startswith("classifier.")
    }
    with finished_file(folder / "weights.safetensors", overwrite=overwrite) as path:
        save_file(tensors, path)
    content = {
        "format": FORMAT,
        "bands": [asdict(band) for band in pretrained.bands],
        "channels": [asdict(channel) for channel in pretrained.encoder.channels],
        "window": pretrained.size,
        "grid": grid_record(pretrained.grid),
        "training": asdict(pretrained.options),
        "seed": pretrained.seed,
        "history": pretrained.history,
        "weights_sha256": file_hash(folder / "weights.safetensors"),
        "versions": library_versions(),
    }
    write_json(content, folder / PRETRAINED, overwrite=overwrite)
    return folder


def _head(net: MFAF, channels: int, size: int) -> FillIn:
    """Return the layer that fits a network's last feature map."""
    net.eval()
    device = next(net.parameters()).device
    with torch.no_grad():
        maps = _one_branch_each(
            net, torch.zeros(len(net.branches), channels, size, size, device=device)
        )
    return FillIn(maps.shape[1], channels, size, maps.shape[-1])


def _one_branch_each(net: MFAF, x: torch.Tensor) -> torch.Tensor:
    """Return the feature maps of windows that are dealt among the branches."""
    parts = x.tensor_split(len(net.branches))
    return net.maps([branch(part) for branch, part in zip(net.branches, parts, strict=True)])


def _constant_loss(target: torch.Tensor, judged: torch.Tensor) -> float:
    """Return the squared error that the best constant of each channel would make at the hidden
    cells.
    """
    count = judged.sum(dim=(0, 2, 3)).clamp(min=1)
    mean = (target * judged).sum(dim=(0, 2, 3)) / count
    error = (target - mean[None, :, None, None]) ** 2 * judged
    return float(error.sum() / judged.sum().clamp(min=1))
