"""The paper's experiments on any finished run: Tables 3 to 6 and the figure of the comparison.

The paper's survey is not public. Its figures stand beside ours so that *orderings and differences*
can be compared, never the figures themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from ..errors import UsageError, nearest_name
from ..files import file_hash, library_versions, write_json, write_table
from ..models.fold_models import train_model
from ..models.model_files import load_model
from ..models.network.devices import choose_device, computing_type
from ..models.network.options import Training
from ..progress import quiet, say, track
from ..rasters.bands import grid_of
from ..rasters.geotiff import read_raster
from ..windows.folds import Folds, read_folds
from .evaluate import evaluate_paper_protocol
from .metrics import window_metrics

METRICS = ("accuracy", "auc", "recall", "f1")
PROTOCOLS = ("spatial", "paper")
QUICK_EPOCHS = 3
LEAST_EPOCHS = 8
"""A network of millions of weights learns nothing in the one epoch that suits the compact one."""


@dataclass(frozen=True)
class Method:
    """One row of a table: its name, what it changes in the training, and the paper's figures in
    percent.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    published: tuple[float, ...] = (np.nan,) * 4


def _plain(name: str, backbone: str, *published: float) -> Method:
    return Method(name, {"network": "plain", "backbone": backbone}, published)


def _mfaf(name: str, backbone: str, *published: float, **changes: Any) -> Method:
    return Method(
        name,
        {
            "network": "mfaf",
            "backbone": backbone,
            **changes,
        },
        published,
    )


RESNET18 = _plain(
    "ResNet18",
    "resnet18",
    64.84,
    63.13,
    32.05,
    59.41,
)
MFAF_RESNET18 = _mfaf(
    "ResNet18*",
    "resnet18",
    72.66,
    73.46,
    42.66,
    63.76,
)
MFAF_SHUFFLENET = _mfaf(
    "ShuffleNetV2*",
    "shufflenet_v2",
    67.23,
    65.42,
    37.32,
    63.72,
)
COMPARISON = (
    RESNET18,
    MFAF_RESNET18,
    _plain(
        "ShuffleNetV2",
        "shufflenet_v2",
        62.37,
        61.43,
        18.43,
        53.98,
    ),
    MFAF_SHUFFLENET,
    _plain(
        "GoogLeNet",
        "googlenet",
        62.38,
        61.45,
        20.14,
        56.33,
    ),
    _plain(
        "MobileNetV2",
        "mobilenet_v2",
        64.23,
        64.13,
        16.23,
        58.36,
    ),
    _plain(
        "MnasNet",
        "mnasnet",
        68.79,
        67.23,
        17.69,
        60.86,
    ),
)
OFF: tuple[dict[str, bool], dict[str, bool]] = (
    {"channel_attention": False},
    {"spatial_attention": False},
)

TABLES: dict[str, tuple[str, tuple[Method, ...]]] = {
    "table3": ("Table 3: networks alone and, with *, under MFAF", COMPARISON),
    "table4": (
        "Table 4: without channel attention (R-CA) and without spatial attention (R-SA)",
        (
            MFAF_RESNET18,
            _mfaf(
                "R-CA-ResNet18*",
                "resnet18",
                69.54,
                64.89,
                33.98,
                58.64,
                **OFF[0],
            ),
            _mfaf(
                "R-SA-ResNet18*",
                "resnet18",
                71.13,
                71.68,
                39.46,
                61.34,
                **OFF[1],
            ),
            MFAF_SHUFFLENET,
            _mfaf(
                "R-CA-ShuffleNetV2*",
                "shufflenet_v2",
                63.42,
                63.24,
                35.51,
                60.99,
                **OFF[0],
            ),
            _mfaf(
                "R-SA-ShuffleNetV2*",
                "shufflenet_v2",
                64.48,
                63.96,
                35.12,
                62.04,
                **OFF[1],
            ),
        ),
    ),
    "table5": (
        "Table 5: coefficient beta of the self-distillation (ResNet18)",
        (
            replace(RESNET18, name="0, the plain network"),
            _mfaf("0, branches kept", "resnet18", *[np.nan] * 4, beta=0.0),
            _mfaf(
                "0.1",
                "resnet18",
                71.21,
                70.22,
                39.12,
                60.34,
                beta=0.1,
            ),
            _mfaf(
                "0.4",
                "resnet18",
                72.66,
                73.46,
                42.66,
                63.71,
                beta=0.4,
            ),
            _mfaf(
                "0.6",
                "resnet18",
                71.45,
                70.32,
                38.49,
                60.19,
                beta=0.6,
            ),
            _mfaf(
                "0.7",
                "resnet18",
                68.44,
                65.54,
                37.55,
                58.84,
                beta=0.7,
            ),
            _mfaf(
                "0.8",
                "resnet18",
                64.96,
                63.27,
                32.64,
                60.34,
                beta=0.8,
            ),
        ),
    ),
    "table6": (
        "Table 6: dilation rates (ResNet18)",
        (
            _mfaf(
                "1, 2, 4, 8, 10",
                "resnet18",
                63.45,
                62.02,
                32.79,
                50.43,
                dilations=(1, 2, 4, 8, 10),
            ),
            _mfaf(
                "1, 4, 8, 12, 16",
                "resnet18",
                67.34,
                66.22,
                38.28,
                61.14,
                dilations=(1, 4, 8, 12, 16),
            ),
            _mfaf(
                "1, 6, 12, 18, 24",
                "resnet18",
                72.66,
                73.46,
                42.66,
                63.71,
                dilations=(1, 6, 12, 18, 24),
            ),
            _mfaf(
                "1, 8, 16, 24, 32",
                "resnet18",
                70.22,
                68.86,
                31.46,
                55.65,
                dilations=(1, 8, 16, 24, 32),
            ),
            _mfaf("scaled to the window", "resnet18", *[np.nan] * 4, dilations=None),
        ),
    ),
    "figure7": ("The comparison of Table 3 as a figure", COMPARISON),
}


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
    if table not in TABLES:
        raise UsageError(
            f'experiment "{table}" is unknown.{nearest_name(table, TABLES)} Known:'
            f" {', '.join(TABLES)}."
        )
    if seeds < 1:
        raise UsageError(f"seeds = {seeds} must be at least 1.")
    if workers is not None and workers < 1:
        raise UsageError(f"workers = {workers} must be at least 1.")
    # 1. a finished run, whose folds are those of its model
    run = Path(run)
    methods = TABLES[table][1]
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
    # 2. one job a method, protocol and seed; its file is named by all that decides it
    base = alone(model.options)
    seeds, base = (1, replace(base, epochs=QUICK_EPOCHS, least_steps=0)) if quick else (seeds, base)
    inputs = [
        file_hash(run / "stack.tif"),
        file_hash(run / "windows.gpkg"),
        _model_inputs(run),
        library_versions(),
    ]
    jobs = {}
    for protocol in PROTOCOLS:
        for seed in range(seeds):
            for method in methods:
                options = replace(base, **method.changes)
                key = json.dumps([protocol, seed, asdict(options), _arithmetic(options), inputs])
                name = hashlib.sha256(key.encode()).hexdigest()[:16]
                path = run / "experiments" / "runs" / f"{name}.json"
                jobs[protocol, seed, method.name] = (run, path, protocol, seed, options)
    # 3. what is not there yet
    _work([job for job in jobs.values() if not job[1].exists()], table, workers)
    found = [
        {
            "method": name,
            "protocol": protocol,
            "seed": seed,
            **json.loads(job[1].read_text(encoding="utf-8")),
        }
        for (protocol, seed, name), job in jobs.items()
    ]
    # 4. table, page and figure
    result = _summary(pd.DataFrame(found), methods)
    folder = run / "experiments"
    write_table(result, folder / f"{table}.csv", overwrite=True)
    (folder / f"{table}.md").write_text(_page(table, result, base, quick), encoding="utf-8")
    _draw(table, result, folder / f"{table}.png")
    return result


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
    **training: Any,
) -> dict[str, float]:
    """Train a network a fold and return the metrics of all held-out windows together, see
    :func:`train_model`.
    """
    model = train_model(stack, windows, folds, bands=bands, **training)
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


def _work(jobs: list[tuple], table: str, workers: int | None) -> None:
    """Do the jobs, in as many processes as there are cores; each leaves its result in its
    own file.
    """
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    if workers <= 1:
        for job in track(jobs, table, unit="trainings"):
            one_run(*job)
        return
    from multiprocessing import get_context

    say(f"{table}: {len(jobs)} trainings in {workers} processes")
    # Spawned, not forked: a forked process inherits threads that PyTorch holds and may wait for
    # them for ever.
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_one_thread
    ) as pool:
        pending = [pool.submit(one_run, *job) for job in jobs]
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


def _summary(found: pd.DataFrame, methods: Iterable[Method]) -> pd.DataFrame:
    """Return mean and spread over the seeds in percent, and the paper's figures beside them."""
    rows = []
    for protocol in PROTOCOLS:
        for method in methods:
            own = found[(found["method"] == method.name) & (found["protocol"] == protocol)]
            row: dict[str, Any] = {
                "method": method.name,
                "protocol": protocol,
                "seeds": len(own),
            }
            row |= {name: int(own[name].iloc[0]) for name in ("windows", "ore_windows")}
            for name, published in zip(METRICS, method.published, strict=True):
                spread = float(100 * own[name].std(ddof=1)) if len(own) > 1 else np.nan
                row |= {
                    name: 100 * float(own[name].mean()),
                    f"{name}_sd": spread,
                    f"{name}_published": published,
                }
            rows.append(row)
    return pd.DataFrame(rows)


def _page(
    table: str,
    result: pd.DataFrame,
    base: Training,
    quick: bool,
) -> str:
    """Return the page: figures of both protocols beside the paper's, and how far their orders
    agree.
    """
    title, methods = TABLES[table]
    lines = [
        f"# {title}",
        "",
        "Percent; ours with the standard deviation over the seeds. The paper's survey is not",
    ]
    lines += [
        "public: compare orderings and differences between rows, not the figures themselves. The"
        " paper protocol"
    ]
    lines += [
        (
            "leaks (balanced before a random split), the spatial one tests on ground that was not"
            " learned from."
        ),
        "",
    ]
    names = ", ".join(METRICS)
    lines += [
        f"| method | published ({names}) | spatial folds | paper protocol |",
        "|---|---|---|---|",
    ]
    for method in methods:
        cells = [_cell(result, method.name, protocol) for protocol in PROTOCOLS]
        published = " / ".join(
            "-" if np.isnan(value) else f"{value:.2f}" for value in method.published
        )
        lines.append(f"| {method.name} | {published} | {' | '.join(cells)} |")
    lines.append("")
    for protocol in PROTOCOLS:
        own = result[(result["protocol"] == protocol) & result["auc_published"].notna()]
        tied = own["auc"].nunique() == 1
        rho = np.nan if tied else own["auc"].corr(own["auc_published"], method="spearman")
        first = own.iloc[0]
        rest = own.iloc[1:]
        differences = [
            f"{r.method} {r.auc - first.auc:+.1f} ({r.auc_published - first.auc_published:+.1f})"
            for r in rest.itertuples()
        ]
        said = "not defined, all are equal" if np.isnan(rho) else f"{rho:+.2f}"
        lines.append(
            f"- {protocol}: rank correlation of the AUCs with the published ones {said}. Difference"
            " in AUC"
        )
        lines.append(f"  from {first.method}, published in brackets: {', '.join(differences)}.")
    seeds = int(result["seeds"].iloc[0])
    if quick:
        lines += [
            "",
            (
                "**A quick run**: too short for the larger networks to learn anything; no figure"
                " here is a result."
            ),
        ]
    counts = result.groupby("protocol")[["windows", "ore_windows"]].first()
    tested = ", ".join(f"{p} {int(n)} ({int(ore)} ore)" for p, n, ore in counts.itertuples())
    lines += [
        "",
        f"Windows tested: {tested}. {seeds} seed{'s' if seeds > 1 else ''}, {base.epochs} epochs,",
    ]
    kind = _arithmetic(replace(base, **methods[0].changes))
    lines += [
        f"{base.optimiser}, learning rate {base.learning_rate:g}, {kind}. Recall and F1 of ore at a"
        " score of"
    ]
    lines += [
        (
            "0.5; how the paper averaged its F1 is not known. A dilation wider than the window sees"
            " padding only."
        ),
        "",
    ]
    return "\n".join(lines)


def _cell(result: pd.DataFrame, method: str, protocol: str) -> str:
    row = result[(result["method"] == method) & (result["protocol"] == protocol)].iloc[0]
    parts = []
    for name in METRICS:
        spread = row[f"{name}_sd"]
        parts.append(f"{row[name]:.1f}" + ("" if np.isnan(spread) else f" ± {spread:.1f}"))
    return " / ".join(parts)


def _draw(table: str, result: pd.DataFrame, path: Path) -> None:
    """Draw the AUC of every method, published and ours, into a PNG."""
    # Methods from top to bottom, the published figure above ours.
    names = list(dict.fromkeys(result["method"]))
    figure = Figure(figsize=(8, 1.6 + 0.5 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    at = np.arange(len(names))
    first = result[result["protocol"] == PROTOCOLS[0]]
    axes.plot(
        first["auc_published"], at - 0.2, "D", color="#808080", label="published (another survey)"
    )
    labels = {"spatial": "here, spatial folds", "paper": "here, paper protocol (leaks)"}
    for shift, protocol, colour in ((0.0, "spatial", "#0072b2"), (0.2, "paper", "#d55e00")):
        own = result[result["protocol"] == protocol]
        spread = own["auc_sd"].fillna(0).to_numpy()
        axes.errorbar(
            own["auc"],
            at + shift,
            xerr=spread,
            fmt="o",
            color=colour,
            capsize=3,
            label=labels[protocol],
        )
    axes.axvline(50, color="#808080", linewidth=1, linestyle=":")
    axes.set(
        yticks=at,
        yticklabels=names,
        ylim=(len(names) - 0.4, -0.6),
        xlim=(min(45, axes.get_xlim()[0]), 101),
    )
    axes.set_xlabel(
        "AUC of the windows (%); bars: standard deviation over the seeds; dotted: chance"
    )
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_title(TABLES[table][0], fontsize=11)
    figure.legend(
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    figure.savefig(path, dpi=150)
