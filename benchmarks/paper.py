"""Train ResNet18, alone and under MFAF, with the paper's full schedule at the paper's size, under
both protocols.

    python benchmarks/paper.py [--folder skill/paper] [--epochs 220] [--methods ResNet18
    "ResNet18*"]

A synthetic survey of 7,512 samples, 1,560 x 1,560 cells, windows of 128 cells cut at strides of 128
and 100 ("more than one stride"), SMOTE, SGD at 0.02 times 0.6 every 30 epochs, 220 epochs. On two
cores MFAF takes hours: a training that is interrupted goes on where it stopped, a finished one is
not trained again. Tree models on the statistics of the same windows stand beside it under the
spatial protocol. The table goes to docs/benchmarks and from there to docs/skill.md.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from idw import write
from surveys import drawn

import geomfaf as gm
from geomfaf.evaluation.evaluate import evaluate_paper_protocol
from geomfaf.evaluation.paper_methods import METRICS, TABLES
from geomfaf.evaluation.paper_tables import spatial_figures
from geomfaf.evaluation.window_metrics import window_metrics
from geomfaf.files import write_json
from geomfaf.models.baselines import make_baseline
from geomfaf.models.fold_models import window_rows
from geomfaf.models.network.options import PRESETS, Training
from geomfaf.progress import say, show_progress
from geomfaf.run.template import init_project
from geomfaf.windows.folds import Folds

METHODS = {
    method.name: method for method in TABLES["table3"][1] if method.name.startswith("ResNet18")
}
SETTINGS = {"windows": "strides = [128, 100]", "folds": "count = 2", "evaluate": "draws = 1"}
PROTOCOLS = ("paper", "spatial")
SIMPLE = ("extra trees", "random forest")


def project_of(folder: Path) -> gm.Project:
    """Return the project of the paper's size; its survey is made once."""
    toml = folder / "geomfaf.toml"
    if not toml.exists():
        folder.mkdir(parents=True, exist_ok=True)
        gm.write_survey(gm.make_survey("paper", seed=0)[0], folder / "survey.gpkg", overwrite=True)
        init_project([folder / "survey.gpkg"], toml, overwrite=True)
        text = toml.read_text(encoding="utf-8").replace('preset = "compact"', 'preset = "paper"')
        for table, keys in SETTINGS.items():
            text = text.replace(f"[{table}]\n", f"[{table}]\n{keys}\n")
        toml.write_text(text, encoding="utf-8")
    return gm.load_project(toml)


def simple_figures(
    stack: xr.DataArray, windows: gpd.GeoDataFrame, folds: Folds, bands: list[list[str]], name: str
) -> dict[str, float]:
    """Return the metrics of a simple model on the held-out windows of all folds together."""
    labels = windows["label"].to_numpy()
    scores = np.full(len(windows), np.nan)
    for fold, names in enumerate(bands):
        train = folds.training(windows, fold)
        test = folds.testing(windows, fold)
        known, asked = (window_rows(stack, windows[part], names) for part in (train, test))
        scores[test] = make_baseline(name).fit(known, labels[train]).predict_proba(asked)[:, 1]
    tested = np.isfinite(scores)
    return window_metrics(labels[tested], scores[tested])


def measure(folder: Path, name: str, protocol: str, epochs: int) -> dict[str, float | str]:
    """Return the figures of one method under one protocol, trained now or before."""
    of = f"{protocol}_{name.replace(' ', '_') if name in SIMPLE else METHODS[name].changes['network']}_{epochs}"
    kept = folder / f"{of}.json"
    state = folder / of
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))
    say(f"== {name}, {protocol} protocol")
    state.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    stack, folds, tables, bands, _ = drawn(project_of(folder))
    if name in SIMPLE:
        figures = simple_figures(stack, tables[0], folds, bands, name)
    elif protocol == "paper":
        checkpoint = state / "paper.safetensors"
        options = training(name, epochs)
        row = evaluate_paper_protocol(
            stack, tables[0], options=options, device="cpu", checkpoint=checkpoint
        ).iloc[0]
        figures = {key: row[key] for key in ("windows", "ore_windows", *METRICS)}
    else:
        more = {
            "bands": bands,
            "options": training(name, epochs),
            "device": "cpu",
            "checkpoints": state,
        }
        figures = spatial_figures(stack, tables[0], folds, **more)
    found = {"method": name, "protocol": protocol, **figures, "seconds": time.monotonic() - started}
    write_json(found, kept, overwrite=True)
    return found


def training(name: str, epochs: int) -> Training:
    """Return the options of a method's training."""
    return replace(PRESETS["paper"], epochs=epochs, **METHODS[name].changes)


def table(found: list[dict]) -> pd.DataFrame:
    """Return one row a method and protocol, in percent, the published figures beside them."""
    lines = []
    for row in found:
        line = {
            "method": row["method"],
            "protocol": row["protocol"],
            "windows": f"{row['windows']:.0f}",
        }
        line["ore"] = f"{row['ore_windows']:.0f}"
        known = (
            METHODS[row["method"]].published if row["method"] in METHODS else [None] * len(METRICS)
        )
        for name, published in zip(METRICS, known, strict=True):
            line[f"{name} (published)"] = f"{100 * row[name]:.1f}" + (
                f" ({published:.1f})" if published else ""
            )
        hours = row["seconds"] / 3600
        lines.append({**line, "hours": f"{hours:.2f}" if hours >= 0.01 else "< 0.01"})
    return pd.DataFrame(lines)


def differences(found: list[dict]) -> str:
    """Return how far MFAF is ahead of every other model under the spatial protocol."""
    auc = {row["method"]: 100 * row["auc"] for row in found if row["protocol"] == "spatial"}
    ahead = [
        f"{auc['ResNet18*'] - value:+.1f} from {name}"
        for name, value in auc.items()
        if name != "ResNet18*"
    ]
    return f"Spatial AUC of ResNet18* (MFAF alone): {', '.join(ahead)}. "


def main() -> None:
    """Train what is not there yet and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("skill/paper"))
    parser.add_argument("--epochs", type=int, default=PRESETS["paper"].epochs)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    chosen = parser.parse_args()
    show_progress("auto")
    found = [
        measure(chosen.folder, name, protocol, chosen.epochs)
        for protocol in chosen.protocols
        for name in (*chosen.methods, *(SIMPLE if protocol == "spatial" else ()))
    ]
    if chosen.epochs != PRESETS["paper"].epochs:
        print(table(found).to_string())
        return
    note = (
        differences(found)
        if "ResNet18*" in chosen.methods and "spatial" in chosen.protocols
        else ""
    )
    note += (
        "Percent; windows that were tested. One seed. The paper's protocol balances before a random"
        " split and leaks; the spatial one tests each half of the map with the network of the"
        " other. Hours are those since the last start, of both cores unless something else ran."
    )
    write(table(found), "paper", note)


if __name__ == "__main__":
    main()
