"""A run goes in; the five questions of its reader come out with their answers, in plain words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...evaluation.verdict import DOUBT, FEW_SHIFTS
from ..run_folder import EXPLORATION, RunFolder
from ..target_reasons import factor_label
from .tables import low_elements

UNSUPPORTED = (
    "These data do not show that the map is better than chance: the targets are ideas to check,"
    " not results."
)
NOT_THIS = (
    "This map is no estimate of a Mineral Resource and no Exploration Target in the sense of the"
    " JORC Code or NI 43-101: it names no tonnage and no grade. A score ranks ground; it is not the"
    " chance of a deposit. Someone competent has to judge the data, the model and the ground before"
    " money is spent on it or the public is told of it."
)


def five_answers(run: RunFolder) -> list[tuple[str, list[str]]]:
    """Return question and answers: what was mapped, can it be trusted, which targets, why, what
    next.
    """
    return [
        ("What was mapped?", mapped_lines(run)),
        ("Can it be trusted?", trust_lines(run)),
        ("Which targets?", target_lines(run)),
        ("Why these?", reason_lines(run)),
        ("What next?", next_lines(run)),
    ]


def mapped_lines(run: RunFolder) -> list[str]:
    """Return the ground, the data and the commodities that were mapped."""
    grid = run.grid
    lines = [
        f"{run.valid_km2:,.0f} km² in cells of {grid.cell:g} m ({grid.height} x {grid.width})."
    ]
    # Only what the run had is counted.
    counts = []
    if "samples" in run.survey:
        counts.append(f"{len(run.survey['samples']):,} sampled places")
    if run.record.get("elements"):
        counts.append(f"{len(run.record['elements'])} elements")
    counts.append(f"{len(run.deposits):,} known deposits{commodity_text(run)}")
    band = run.geology_band
    counts.append(f"{len(band.legend)} classes of rock" if band else "no geological map")
    faults = run.survey.get("faults")
    if faults is not None:
        counts.append(f"{len(faults):,} fault lines")
    return [*lines, f"{', '.join(counts)}."]


def commodity_text(run: RunFolder) -> str:
    """Return the kinds of deposits with their counts, in brackets; "" where they are not known."""
    kinds = run.record.get("commodities") or {}
    if not kinds and "commodity" in run.deposits:
        kinds = run.deposits["commodity"].dropna().value_counts().to_dict()
    if not kinds:
        return ""
    # A survey of many kinds is still one line.
    listed = [f"{name} {count}" for name, count in list(kinds.items())[:6]]
    more = f" and {len(kinds) - 6} more kinds" if len(kinds) > 6 else ""
    return f" ({', '.join(listed)}{more})"


def trust_lines(run: RunFolder) -> list[str]:
    """Return the verdict in one sentence, and what limits it: no skill, or a pattern of deposits
    that scores as well wherever it is put.
    """
    verdict = list(run.assessment.get("verdict", []))
    if not verdict:
        return ["This run was not judged on held-out ground: nothing is known of its skill."]
    lines = [str(verdict[0])]
    for test in run.assessment.get("null_tests", []):
        if test["p"] > DOUBT and len(test["moved"]) >= FEW_SHIFTS:
            lines.append(
                "But the same pattern of deposits, moved at random, scores as well too often (null"
                f" test, p = {test['p']:.2f}): it cannot be excluded that they follow nothing in"
                " the evidence."
            )
            break
    if len(lines) > 1 or not run.supported:
        lines.append("The targets are ideas to check, not results.")
    return lines


def target_lines(run: RunFolder) -> list[str]:
    """Return how many targets of which list there are, and the best of them."""
    targets = run.targets
    if not len(targets):
        return ["No ground is above the threshold."]
    explore = targets[targets["list"] == EXPLORATION]
    known = targets[targets["list"] != EXPLORATION]
    # The two lists are never added up: the second is no discovery.
    lines = []
    if len(explore):
        best = ", ".join(explore["name"].head(5))
        each = "the best is" if len(explore) == 1 else "the best are"
        lines.append(f"{_count(explore, 'exploration target', run)}{_away(run)}; {each} {best}.")
    else:
        lines.append("No exploration target: all of the best ground lies around known deposits.")
    if len(known):
        lines.append(f"{_count(known, 'area', run)} around known deposits: no discovery.")
    return lines


def reason_lines(run: RunFolder) -> list[str]:
    """Return what the whole map leans on, and why the first target is one."""
    # 1. The whole map: what it loses without a factor, else what the screening found.
    lines = []
    factors = run.table("factors.csv")
    if len(factors) and "permutation" in factors:
        ranked = factors.assign(permutation=pd.to_numeric(factors["permutation"]))
        # A loss within its own spread over the folds is none.
        spread = pd.to_numeric(ranked.get("permutation_sd", 0.0))
        sure = ranked[ranked["permutation"] > spread].sort_values("permutation", ascending=False)
        names = [factor_label(str(name)) for name in sure["factor"].head(3)]
        if names:
            what = "it costs the map" if len(names) == 1 else "each of these costs it"
            lines.append(
                f"The map leans most on {_joined(names)}: shuffled among the held-out windows,"
                f" {what} skill."
            )
        else:
            lines.append(
                "The map leans on no factor alone: none costs it more skill than the folds differ."
            )
    else:
        lines += _screened_lines(run)
    # 2. The first target.
    explore = run.targets[run.targets["list"] == EXPLORATION]
    first = explore.head(1) if len(explore) else run.targets.head(1)
    for target in first.to_dict("records"):
        rocks = target["rocks"] or target["geology"]
        why = target["why"] or (f"mostly on {rocks}." if rocks else "")
        lines += [f"Target {target['name']}: {why}"] if why else []
    return lines or ["The run does not say."]


def next_lines(run: RunFolder) -> list[str]:
    """Return what the held-out figures promise, and what to do before drilling."""
    lines = []
    row = map_row(run)
    if row is not None:
        # Whole deposits: the interval is wider than any decimal.
        total = row["deposits"]
        found = [total * row[f"capture_10{end}"] for end in ("", "_low", "_high")]
        by_chance = 0.1 * total
        better = found[1] > by_chance
        advice = "begin there" if better else "not surely more than ground picked at random would"
        lines.append(
            f"The best 10 % of the ground holds {found[0]:.0f} of {total:.0f} held-out deposits"
            f" ({found[1]:.0f} to {found[2]:.0f}, 95 % interval; {by_chance:.0f} by chance):"
            f" {advice}."
        )
    # What makes a target less sure than its score says.
    explore = run.targets[run.targets["list"] == EXPLORATION]
    bare = explore[explore["samples"] == 0]
    if len(bare):
        lines.append(f"Sample first where no sample lies inside: {_names(bare)}.")
    guessed = explore[explore["extrapolated"] > 0.5]
    if len(guessed):
        lines.append(
            f"Do not rely on {_names(guessed)}: on extrapolated ground, nothing like it was learned"
            " from."
        )
    return [*lines, "Walk the targets with their sheets in hand before anything costs money."]


def map_row(run: RunFolder) -> dict | None:
    """Return the chosen model's figures on held-out ground; None where it was not judged."""
    table = run.table("evaluation.csv")
    if not len(table):
        return None
    rows = table[(table["model"] == run.chosen) & table["map_auc"].notna()]
    return rows.iloc[0].to_dict() if len(rows) else None


def _screened_lines(run: RunFolder) -> list[str]:
    """Return the elements that stand out near deposits, for a run without factor influence."""
    screening = run.table("screen.csv")
    if not len(screening):
        return []
    kept = screening[screening["kept"].astype(str) == "True"]
    best = kept.sort_values("auc", ascending=False)["element"].head(3).astype(str)
    lines = []
    if len(best):
        lines.append(f"Enriched near known deposits, most first: {_joined(list(best))}.")
    else:
        lines.append("No element is enriched near the known deposits.")
    low = low_elements(screening)
    if low:
        lines.append(f"Lower near deposits than elsewhere, and not used: {', '.join(low)}.")
    return lines


def _count(targets: pd.DataFrame, what: str, run: RunFolder) -> str:
    area = float(np.nansum(targets["area_km2"]))
    share = 100 * area / run.valid_km2
    ending = "" if len(targets) == 1 else "s"
    return f"{len(targets)} {what}{ending} on {area:,.1f} km² ({share:.1f} % of the area)"


def _away(run: RunFolder) -> str:
    """Say how far from known deposits exploration targets are; nothing where no run says."""
    known = run.record.get("targets", {}).get("known_distance_m")
    return f", farther than {known:,.0f} m from every known deposit" if known else ""


def _names(targets: pd.DataFrame) -> str:
    names = list(targets["name"])
    return (
        ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:8])} and {len(names) - 8} more"
    )


def _joined(names: list[str]) -> str:
    """Return names as a sentence has them.

    >>> _joined(["Au", "Cu", "fault distance"]), _joined(["Au"])
    ('Au, Cu and fault distance', 'Au')
    """
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"
