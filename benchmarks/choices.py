"""Measure choices of the network on several surveys, and what they are worth on a survey that had
no say in them.

    python benchmarks/choices.py [--areas ../shared/areas] [--folder skill/choices] [--draws 1]

Every choice is trained on the same folds, windows and seeds of six surveys: three synthetic ones
and three real areas. Its figure on a survey is the held-out map AUC, of the deposits against 1,500
random valid cells, each scored by the window centred on it, minus that of the extra trees. "Chosen
without it" is the nested figure: for each survey the choice is the one that did best on the *other*
five, so no block that tests it had a say. Every finished figure is one line of choices.jsonl: the
measurement goes on where it stopped. The table goes to docs/benchmarks.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from idw import write
from pooled import chosen_without
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

from geomfaf.models.ensemble import join, log_odds
from geomfaf.models.network.options import Training, training_options
from geomfaf.progress import say, track
from geomfaf.rasters.bands import grid_of

MODELS = (
    "extra trees",
    "logistic regression",
    "fuzzy overlay",
    "weights of evidence",
    "ridge logistic regression",
)
LONG = {"epochs": 1, "least_steps": 100}
FAST = {"learning_rate": 1e-3}  # every choice but those that name another rate

# Name -> options of a network alone.
NETWORKS: dict[str, Training] = {
    "whole window, 100 steps": training_options("mfaf", **LONG, **FAST),
    "whole window, 40 steps": training_options("mfaf", **FAST),
    "middle, 100 steps": training_options("mfaf", view=0.5, **LONG, **FAST),
    "middle, 40 steps": training_options("mfaf", view=0.5, **FAST),
    "middle, 20 steps": training_options("mfaf", view=0.5, least_steps=20, **FAST),
    "middle, 40 steps, weight decay 0.1": training_options(
        "mfaf", view=0.5, weight_decay=0.1, **FAST
    ),
    "middle, 40 steps, rate 0.0005": training_options("mfaf", view=0.5, learning_rate=5e-4),
    "middle, 40 steps, rate 0.0003": training_options("mfaf", view=0.5, learning_rate=3e-4),
    "middle, 40 steps, SGD": training_options(
        "mfaf", view=0.5, optimiser="sgd", learning_rate=0.02
    ),
    "middle, 40 steps, no distillation": training_options("mfaf", view=0.5, beta=0.0, **FAST),
    "middle, 40 steps, pretrained": training_options("mfaf", view=0.5, pretrain=200, **FAST),
    "plain network, middle, 40 steps": training_options("mfaf", view=0.5, network="plain", **FAST),
}
# Measured, and since taken out of the package: shown where choices.jsonl holds them.
TAKEN_OUT = (
    "middle, 40 steps, dropout 0.3",
    "tree-initialised, 40 steps",
    "tree-initialised, 20 steps",
)
BOTH = ("extra trees", "fuzzy overlay")
# Name -> network that is joined, and the simple models.
JOINED = {
    "joined with extra trees": ("middle, 40 steps", ("extra trees",)),
    "joined with fuzzy overlay": ("middle, 40 steps", ("fuzzy overlay",)),
    "joined with extra trees, logistic regression": ("middle, 40 steps", MODELS[:2]),
    "joined with extra trees, fuzzy overlay": ("middle, 40 steps", BOTH),
    "joined with extra trees, logistic regression, fuzzy overlay": ("middle, 40 steps", MODELS[:3]),
    "joined with all four": ("middle, 40 steps", MODELS[:4]),
    "joined with extra trees, ridge logistic regression": (
        "middle, 40 steps",
        ("extra trees", "ridge logistic regression"),
    ),
    "whole window, joined with extra trees, fuzzy overlay": ("whole window, 40 steps", BOTH),
    "rate 0.0005, joined with extra trees, fuzzy overlay": ("middle, 40 steps, rate 0.0005", BOTH),
    "rate 0.0003, joined with extra trees, fuzzy overlay": ("middle, 40 steps, rate 0.0003", BOTH),
    "pretrained, joined with extra trees, fuzzy overlay": ("middle, 40 steps, pretrained", BOTH),
    "extra trees, fuzzy overlay, no network": ("", BOTH),
}


def measure(case: Case, draw: int, done: set[str]) -> dict[str, dict[str, float]]:
    """Return the figures of every choice that is not done."""
    simple = {name: simple_scores(case, draw, name) for name in MODELS}
    found = {name: simple[name] for name in MODELS}
    needed = {JOINED[name][0] for name in JOINED if name not in done} | set(NETWORKS) - done
    for name in track([name for name in NETWORKS if name in needed], "choices", unit="choices"):
        found[name] = network_scores(case, draw, NETWORKS[name])["joined"]
    for name, (network, models) in JOINED.items():
        odds = np.stack([log_odds(simple[model]) for model in models])
        if not network:
            found[name] = join(simple[models[0]], odds[1:])
        elif network in found:
            found[name] = join(found[network], odds)
    return {name: figures(case, scores) for name, scores in found.items() if name not in done}


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a choice: difference of its AUC to the extra trees' on each survey, and the
    nested figure.
    """
    order = [survey for survey in SURVEYS if survey in set(rows["survey"])]
    auc, capture = (
        rows.pivot_table(index="choice", columns="survey", values=v)[order]
        for v in ("auc", "capture")
    )
    kept = [name for name in TAKEN_OUT if name in auc.index]
    gain = (auc - auc.loc["extra trees"]).loc[[*MODELS, *NETWORKS, *kept, *JOINED]]
    caught = (capture - capture.loc["extra trees"]).loc[gain.index]
    nested = chosen_without(gain)
    caught.loc["**chosen without it**"] = chosen_without(caught, gain)
    gain.loc["**chosen without it**"] = nested
    result = gain.map(lambda value: f"{value:+.3f}")
    result["mean"] = gain.mean(axis=1).map(lambda value: f"{value:+.4f}")
    result["in best 10 %"] = caught.mean(axis=1).map(lambda value: f"{value:+.3f}")
    head = pd.DataFrame(
        [auc.loc["extra trees"].map(lambda value: f"{value:.3f}")], index=["extra trees, AUC"]
    )
    return pd.concat([head, result]).fillna("").rename_axis("choice").reset_index()


def main() -> None:
    """Measure what is not there yet and write the table."""
    chosen = parser(__doc__, "skill/choices", 1).parse_args()
    kept = Kept(chosen.folder / "choices.jsonl")
    for draw in range(chosen.draws):
        for survey in surveys_there(chosen.areas):
            at = {"survey": survey, "draw": draw}
            done = kept.done("choice", **at)
            if done >= {*MODELS, *NETWORKS, *JOINED}:
                continue
            say(f"== {survey}, draw {draw + 1} of {chosen.draws}")
            case = case_of(survey, chosen.areas, chosen.folder, chosen.draws)
            for name, found in measure(case, draw, done).items():
                kept.add(**at, choice=name, auc=found["auc"], capture=found["capture_10"])
    cells = grid_of(case_of(SURVEYS[0], chosen.areas, chosen.folder, chosen.draws).stack).size
    note = (
        f"Held-out map AUC minus that of the extra trees, mean of {chosen.draws} draws of barren"
        f" windows and seeds; a map of {cells:,} cells is judged at its deposits and {GROUND:,}"
        " other cells. `middle`: the network looks at the middle half of the window."
    )
    write(table(pd.DataFrame(kept.rows)), "choices", note)


if __name__ == "__main__":
    main()
