"""Measure the default network beside other networks and the simple models: three draws, three seeds
each.

    python benchmarks/networks.py [--areas ../shared/areas] [--folder skill/networks] [--draws 3]
    [--seeds 3]

The same folds and windows for all; everything held out. A plain network is the backbone alone,
without branches, attention, distillation or simple models, on the whole window; ResNet18 is trained for
sixty steps. Every finished figure is one line of networks.jsonl: the measurement goes on where it
stopped. The table goes to docs/benchmarks.
"""

from __future__ import annotations

import pandas as pd
from idw import write
from surveys import (
    GROUND,
    SURVEYS,
    Case,
    Kept,
    case_of,
    figures,
    network_scores,
    parser,
    simple_scores,
    surveys_there,
)

from geomfaf.models.baselines import ENSEMBLE, NETWORK
from geomfaf.models.network.options import training_options
from geomfaf.progress import say, track

NETWORKS = {
    ENSEMBLE: training_options(),
    "MFAF, preset mfaf": training_options("mfaf"),
    "plain compact network": training_options("mfaf", network="plain"),
    "plain ResNet18": training_options(
        "mfaf", network="plain", backbone="resnet18", least_steps=60
    ),
}
SIMPLE = (
    "extra trees",
    "random forest",
    "logistic regression",
    "fuzzy overlay",
    "weights of evidence",
)
SURELY = ("logistic regression", "fuzzy overlay", "weights of evidence")
"""Models without chance of their own: a draw gives one figure."""

TITLES = {
    "synthetic 0": "synthetic, 20 x 20 km",
    "clb_finland": "Central Lapland",
    "mtpainter_sa": "Mount Painter",
    "murchison_wa": "Murchison",
}


def measure(case: Case, draw: int, seed: int, done: set[str]) -> dict[str, dict[str, float]]:
    """Return the figures of every model that is not done."""
    found = {}
    number = 1000 * draw + 100 * seed  # the first seed is the one that a run gives the draw
    wanted = [
        name for name in (*NETWORKS, *SIMPLE) if name not in done and not (seed and name in SURELY)
    ]
    for name in track(wanted, "models", unit="models"):
        if name in SIMPLE:
            found[name] = figures(case, simple_scores(case, draw, name, seed=number))
            continue
        scores = network_scores(case, draw, NETWORKS[name], seed=number)
        found[name] = figures(case, scores["joined"])
        if name == ENSEMBLE:
            found[NETWORK] = figures(case, scores["alone"])
    return found


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a survey and model: mean and standard deviation of every figure."""
    lines = []
    for survey, own in rows.groupby("survey", sort=False):
        means = own.groupby("model", sort=False)["auc"].mean().sort_values(ascending=False)
        for model in means.index:
            part = own[own["model"] == model]
            line = {
                "survey": TITLES.get(str(survey), survey),
                "model": model,
                "trainings": len(part),
            }
            for name in ("auc", "capture_5", "capture_10", "capture_20"):
                line[name.replace("capture_", "best ") + (" %" if name != "auc" else "")] = (
                    f"{part[name].mean():.3f} ± {part[name].std(ddof=1):.3f}"
                )
            lines.append(line)
    return pd.DataFrame(lines)


def against_best(rows: pd.DataFrame) -> str:
    """Return one sentence on the ensemble and the best simple model of each survey, which is known only
    afterwards.
    """
    parts = []
    for survey, own in rows.groupby("survey", sort=False):
        means = own.groupby("model")[["auc", "capture_10"]].mean()
        best = means.loc[list(SIMPLE)]
        gains = [means.loc[ENSEMBLE, name] - best[name].max() for name in means]
        names = " and ".join(dict.fromkeys(str(best[name].idxmax()) for name in means))
        parts.append(
            f"{TITLES.get(str(survey), survey)} {gains[0]:+.3f} and {gains[1]:+.3f} ({names})"
        )
    return (
        f"{ENSEMBLE} minus the best of these simple models, in map AUC and in the best 10 %, each the"
        f" best in hindsight: {'; '.join(parts)}."
    )


def main() -> None:
    """Measure what is not there yet and write the table."""
    options = parser(__doc__, "skill/networks", 3)
    options.add_argument("--seeds", type=int, default=3)
    chosen = options.parse_args()
    kept = Kept(chosen.folder / "networks.jsonl")
    for survey in [survey for survey in surveys_there(chosen.areas) if survey in TITLES]:
        case = case_of(survey, chosen.areas, chosen.folder, chosen.draws)
        for draw, seed in (
            (draw, seed) for draw in range(chosen.draws) for seed in range(chosen.seeds)
        ):
            at = {"survey": survey, "draw": draw, "seed": seed}
            say(f"== {survey}, draw {draw + 1}, seed {seed + 1}")
            for name, found in measure(case, draw, seed, kept.done("model", **at)).items():
                kept.add(**at, model=name, **found)
    order = {survey: number for number, survey in enumerate(SURVEYS)}
    frame = pd.DataFrame(kept.rows).sort_values(
        "survey", key=lambda column: column.map(order), kind="stable"
    )
    note = (
        "Held-out map AUC and share of the deposits in the best 5, 10 and 20 % of the ground, mean"
        f" and standard deviation over {chosen.draws} draws of barren windows and {chosen.seeds}"
        f" seeds each; a map is judged at its deposits and {GROUND:,} other cells."
        f" {against_best(frame)}"
    )
    write(table(frame), "networks", note)


if __name__ == "__main__":
    main()
