"""The network on draws of barren windows after the first: trained anew on each, fold by fold, and
judged on the ground that it never saw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from ..models.baselines import NETWORK, known_everywhere
from ..models.predict import Lattice, model_lattice
from ..rasters.bands import bands_of, valid_cells
from ..windows.features import Features, window_features
from ..windows.folds import Folds
from .held_out import Draw, Said, fold_says, judge_draws, remembered

if TYPE_CHECKING:
    from ..models.fold_models import Model
    from ..models.network.options import Training


@dataclass(frozen=True)
class _Lessons:
    """What the networks of all draws and folds share.

    Attributes
    ----------
    bands : list of list of str
        Of each fold, as in the first draw: elements were screened without the fold's ground.
    table : Features
        Of all centres of the map's windows: every draw scores the same map.
    stack_hash : str
        Of the stack's values.
    """

    stack: xr.DataArray
    folds: Folds
    options: Training
    bands: list[list[str]]
    lattice: Lattice
    table: Features
    device: str
    stack_hash: str

    def fold_says(self, folder: Path | None, draw: Draw, fold: int) -> Said:
        """Train the network of a fold on a draw, and return what it says of its ground."""
        # All that decides the scores: what was kept under another state is not taken.
        state = (
            self.stack_hash,
            self.bands[fold],
            draw.windows,
            draw.seed,
            self.folds.table.tolist(),
            fold,
            self.options,
            self.lattice.stride,
        )
        return remembered(folder, state, partial(self._trained, draw, fold))

    def _trained(self, draw: Draw, fold: int) -> Said:
        from ..models.fold_models import train_fold
        from ..models.network.devices import limit_threads, restored_threads
        from ..models.network.starting_weights import read_starting_weights

        # One thread wherever it is computed: how many there are would change the last bits.
        with restored_threads():
            limit_threads(1)
            fold_model = train_fold(
                self.stack,
                draw.windows,
                self.folds,
                fold,
                options=self.options,
                names=self.bands[fold],
                seed=draw.seed,
                device=self.device,
                source=read_starting_weights(self.options, self.folds.grid),
            )
            return fold_says(
                fold_model,
                self.stack,
                draw.windows,
                self.folds,
                self.lattice,
                self.table,
            )


def network_draws(
    draws: Sequence[Draw],
    model: Model,
    stack: xr.DataArray,
    *,
    stride: int | None = None,
    folder: Path | None = None,
) -> list[Draw]:
    """Return the draws with the held-out scores of networks that were trained on each.

    Parameters
    ----------
    model : Model
        Of the first draw: its folds, bands and options are taken.
    stride : int, optional
        Of the map, see :func:`geomfaf.predict_scores`.
    folder : Path, optional
        Keeps what is finished, fold by fold.
    """
    from ..models.network.devices import choose_device

    # 1. what all have in common
    lattice = model_lattice(model, valid_cells(stack), stride)
    named = [band.name for band in bands_of(stack)]
    bands = []
    for fold_model in model.fold_models:
        own = set(fold_model.bands)
        bands.append([name for name in named if name in own])
    device = model.fold_models[0].classifier.device
    lessons = _Lessons(
        stack,
        model.folds,
        model.options,
        bands,
        lattice,
        window_features(stack, *lattice.places(), model.size),
        device,
        hashlib.sha256(stack.values.tobytes()).hexdigest(),
    )
    # 2. every fold of every draw, side by side; a graphics card is one process's
    return judge_draws(
        draws,
        list(dict.fromkeys([model.name, NETWORK])),
        partial(lessons.fold_says, folder),
        model.folds,
        lattice,
        label=f"{NETWORK} on more draws",
        processes=choose_device(device).type == "cpu"
        and all(map(known_everywhere, model.options.ensemble)),
    )
