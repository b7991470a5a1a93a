"""The paper's experiments on any finished run: Tables 3 to 6 and the figure of the comparison.

The paper's survey is not public. Its figures stand beside ours so that *orderings and differences*
can be compared, never the figures themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from ..errors import UsageError, require_known
from ..files import file_hash, library_versions, write_json, write_table
from ..models.fold_models import Model, train_model
from ..models.model_files import load_model
from ..models.network.devices import choose_device, computing_type
from ..models.network.options import Training
from ..progress import quiet, say, track
from ..rasters.bands import grid_of
from ..rasters.geotiff import read_raster
from ..windows.fold_files import read_folds
from ..windows.folds import Folds
from .evaluate import evaluate_paper_protocol
from .paper_methods import METRICS, PROTOCOLS, TABLES, Method
from .paper_page import draw, page, summary
from .window_metrics import window_metrics

QUICK_EPOCHS = 3
LEAST_EPOCHS = 8
"""A network of millions of weights learns nothing in the one epoch that suits the compact one."""


def run_experiment(
    table: str,
    run: str | Path,
    *,
    seeds: int = 3,
    quick: bool = False,
    workers: int | None = None,
) -> pd.DataFrame:
    """Train every method of a table under both protocols and write ``run/experiments/table.csv``,
    ``.md``, ``.png``.

    The stack, windows, folds, bands of each fold and training settings are those of the run; a
    method changes the network alone. Every finished training is one file in ``experiments/runs``:
    an interrupted experiment goes on, and tables that share a method share its file.

    Parameters
    ----------
    table : {"table3", "table4", "table5", "table6", "figure7"}
    run : path
        Folder of a finished run: stack.tif, windows.gpkg and model/ are read.
    seeds : int
        Repetitions with other weights and batches; windows and folds stay.
    quick : bool
        Three epochs and one seed: shows that everything works, not what the methods are worth.
    workers : int, optional
        Processes; one a core when omitted.

    Returns
    -------
    DataFrame
        One row a method and protocol: mean and standard deviation over the seeds, and the paper's
        figures, in percent.
    """
    methods = _known_table(table)
    if seeds < 1:
        raise UsageError(f"seeds = {seeds} must be at least 1.")
    if workers is not None and workers < 1:
        raise UsageError(f"workers = {workers} must be at least 1.")
    run = Path(run)
    model = _finished_model(run)
    # 1. what the methods have in common
    base = alone(model.options)
    if quick:
        seeds = 1
        base = replace(base, epochs=QUICK_EPOCHS, least_steps=0)
    # 2. one job a method, protocol and seed; what is not there yet is trained
    jobs = _jobs(run, methods, base, seeds)
    missing = [job for job in jobs if not job.path.exists()]
    _work(missing, table, workers)
    found = [job.record() for job in jobs]
    # 3. table, page and figure
    result = summary(pd.DataFrame(found), methods)
    folder = run / "experiments"
    write_table(result, folder / f"{table}.csv", overwrite=True)
    computed_in = _arithmetic(replace(base, **methods[0].changes))
    text = page(table, result, base, computed_in=computed_in, quick=quick)
    (folder / f"{table}.md").write_text(text, encoding="utf-8")
    draw(table, result, folder / f"{table}.png")
    return result


def _known_table(table: str) -> tuple[Method, ...]:
    """Return the methods of a table; refuse a name that there is not."""
    require_known(table, TABLES, "experiment")
    return TABLES[table][1]


def _finished_model(run: Path) -> Model:
    """Return the model of a finished run, whose folds are those of its windows."""
    for name in ("stack.tif", "windows.gpkg", "model/model.json", "run.json"):
        if not (run / name).exists():
            raise UsageError(
                f"{run} holds no finished run, {name} is missing: run `geomfaf run` on the project"
                " first."
            )
    model = load_model(run / "model", device="cpu")
    own = read_folds(run / "windows.gpkg", model.folds.grid)[1]
    if not own.same_split(model.folds):
        raise UsageError(
            f"the folds in {run}/windows.gpkg are not those of its model: run `geomfaf run` again."
        )
    return model


@dataclass(frozen=True)
class Job:
    """One training: a method with one seed under one protocol, and the file of its figures."""

    run: Path
    path: Path
    method: str
    protocol: str
    seed: int
    options: Training

    def arguments(self) -> tuple[Path, Path, str, int, Training]:
        """Return what :func:`one_run` takes: plain values, for they go to another process."""
        return self.run, self.path, self.protocol, self.seed, self.options

    def record(self) -> dict[str, Any]:
        """Return what a finished job found, with what it was."""
        figures = json.loads(self.path.read_text(encoding="utf-8"))
        return {"method": self.method, "protocol": self.protocol, "seed": self.seed, **figures}


def _jobs(run: Path, methods: Sequence[Method], base: Training, seeds: int) -> list[Job]:
    """Return all trainings of a table; the name of a job's file is a hash of all that decides
    its figures.
    """
    inputs = [
        file_hash(run / "stack.tif"),
        file_hash(run / "windows.gpkg"),
        _model_inputs(run),
        library_versions(),
    ]
    jobs = []
    for protocol, seed, method in product(PROTOCOLS, range(seeds), methods):
        options = replace(base, **method.changes)
        key = json.dumps([protocol, seed, asdict(options), _arithmetic(options), inputs])
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
        path = run / "experiments" / "runs" / f"{name}.json"
        jobs.append(Job(run, path, method.name, protocol, seed, options))
    return jobs


def _arithmetic(options: Training) -> str:
    """Return the type in which a method's convolutions are computed here."""
    kind = computing_type(options.precision, options.backbone, choose_device("cpu"))
    return "float32" if kind is None else str(kind).removeprefix("torch.")


def alone(options: Training) -> Training:
    """Return the training of a run for a published network: by itself, on whole windows, and long
    enough for it.
    """
    own = options.fresh().network_alone()
    return replace(own, view=1.0, epochs=max(options.epochs, LEAST_EPOCHS))


def one_run(
    run: Path,
    path: Path,
    protocol: str,
    seed: int,
    options: Training,
) -> None:
    """Train one method with one seed under one protocol and write its window metrics as JSON.

    The state of the training is kept beside the file until it is written: an interrupted one goes
    on where it stopped.
    """
    state = path.with_suffix("")
    state.mkdir(parents=True, exist_ok=True)
    own: dict[str, Any] = {
        "options": options,
        "seed": seed,
        "device": "cpu",
    }
    stack = read_raster(run / "stack.tif")
    windows, folds = read_folds(run / "windows.gpkg", grid_of(stack))
    with quiet():
        if protocol == "paper":
            row = evaluate_paper_protocol(
                stack, windows, checkpoint=state / "paper.safetensors", **own
            ).iloc[0]
            figures = {name: row[name] for name in ("windows", "ore_windows", *METRICS)}
        else:
            trained = load_model(run / "model", device="cpu").network_alone()
            bands = [fold_model.bands for fold_model in trained.fold_models]
            figures = spatial_figures(
                stack,
                windows,
                folds,
                bands=bands,
                checkpoints=state,
                **own,
            )
    write_json(figures, path, overwrite=True)
    shutil.rmtree(state)


def spatial_figures(
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    folds: Folds,
    *,
    bands: Sequence[Sequence[str]],
    options: Training,
    seed: int = 0,
    device: str = "auto",
    checkpoints: Path | None = None,
) -> dict[str, float]:
    """Train a network a fold and return the metrics of all held-out windows together, see
    :func:`train_model`.
    """
    model = train_model(
        stack,
        windows,
        folds,
        bands=bands,
        options=options,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
    )
    # Every window by the network that never saw its ground.
    scores = np.full(len(windows), np.nan)
    for fold_model in model.fold_models:
        test = folds.testing(windows, fold_model.fold)
        if test.any():
            scores[test] = fold_model.judge_windows(stack, windows[test]).score
    tested = np.isfinite(scores)
    return window_metrics(windows.loc[tested, "label"].to_numpy(), scores[tested])


def _model_inputs(run: Path) -> str:
    """Return a hash of the folds and of the bands that each fold may use."""
    content = json.loads((run / "model" / "model.json").read_text(encoding="utf-8"))
    bands = [_bands_of(entry) for entry in content["fold_models"]]
    return hashlib.sha256(json.dumps([content["folds"], bands]).encode()).hexdigest()


def _bands_of(entry: dict[str, Any]) -> list[str]:
    """Return the band of each channel of a fold model, as model.json tells it."""
    return [channel["band"] for channel in entry["channels"]]


def _work(jobs: Sequence[Job], table: str, workers: int | None) -> None:
    """Do the jobs, in as many processes as there are cores; each leaves its result in its
    own file.
    """
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    if workers <= 1:
        for job in track(jobs, table, unit="trainings"):
            one_run(*job.arguments())
        return
    from multiprocessing import get_context

    say(f"{table}: {len(jobs)} trainings in {workers} processes")
    # Spawned, not forked: a forked process inherits threads that PyTorch holds and may wait for
    # them for ever.
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_one_thread
    ) as pool:
        pending = [pool.submit(one_run, *job.arguments()) for job in jobs]
        try:
            finished = as_completed(pending)
            for _ in track(range(len(jobs)), table, unit="trainings"):
                next(finished).result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one_thread() -> None:
    """Let a process use one core: there are as many processes as cores."""
    import torch

    torch.set_num_threads(1)
