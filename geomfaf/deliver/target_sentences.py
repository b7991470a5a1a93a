"""A target's columns go in; the sentence that says why it is one comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .target_reasons import NONE_HIGH


def why_sentence(target: Mapping[str, Any]) -> str:
    """Return in one plain sentence why a target is one, with what to be wary of.

    Parameters
    ----------
    target : mapping
        A row of the layer of targets; what is missing or empty is not mentioned.

    Examples
    --------
    >>> print(why_sentence({"elements": "Au 98 %, Cu 95 %", "best_samples": "",
    ...     "samples": 0, "rocks": "granite 62 %, shale 30 %", "fault": "F07", "fault_distance_m": 120.0,
    ...     "deposits": 0, "nearest_deposit": "North pit", "nearest_commodity": "Cu",
    ...     "deposit_distance_m": 1240.0, "extrapolated": 0.7}))
    High in Au and Cu, on granite 62 %, shale 30 %, 120 m from fault F07; the nearest known deposit, North pit (Cu), lies 1.2 km away; no sample lies inside: the values are interpolated from around it; mostly extrapolated: 70 % of it is unlike the ground that the model learned from.
    """
    # 1. What is there, and what lies near.
    elements = str(target.get("elements") or "")
    nothing_high = "no element is high here" if elements == NONE_HIGH else ""
    parts = [_ground_text(target), nothing_high, _deposit_text(target)]
    # 2. What the model says.
    factors = str(target.get("factors") or "")
    lifted = [part for part in factors.split("; ") if " +" in part]
    if lifted:
        names = [part.rpartition(" +")[0] for part in lifted]
        verb = "raises" if len(names) == 1 else "raise"
        parts.append(f"{_joined(names)} {verb} the score most")
    # 3. What to be wary of.
    if target.get("samples") == 0 and target.get("elements"):
        parts.append("no sample lies inside: the values are interpolated from around it")
    extrapolated = target.get("extrapolated", np.nan)
    if extrapolated > 0.5:
        parts.append(
            f"mostly extrapolated: {100 * extrapolated:.0f} % of it is unlike the ground that the"
            " model learned from"
        )
    sentence = "; ".join(part for part in parts if part) or "nothing but the score is known of it"
    return sentence[0].upper() + sentence[1:] + "."


def _ground_text(target: Mapping[str, Any]) -> str:
    """Say what is on the ground: elements, rocks, the fault."""
    parts = []
    elements = str(target.get("elements") or "")
    samples = str(target.get("best_samples") or "")
    best, _, _ = samples.partition(";")
    if elements and elements != NONE_HIGH:
        # "Au 98 %, Cu 95 %": the names alone.
        high = elements.removesuffix(" %").split(" %, ")
        names = [part.rpartition(" ")[0] for part in high]
        shown = f" (best: {best})" if best else ""
        parts.append(f"high in {_joined(names)}{shown}")
    if target.get("rocks"):
        parts.append(f"on {str(target['rocks']).removesuffix(' 100 %')}")
    distance = target.get("fault_distance_m", np.nan)
    if np.isfinite(distance):
        name = f"fault {target['fault']}" if target.get("fault") else "a fault"
        parts.append(f"{in_words(distance)} from {name}")
    return ", ".join(parts)


def _deposit_text(target: Mapping[str, Any]) -> str:
    """Say which known deposit lies inside or nearest."""
    name = str(target.get("nearest_deposit") or "")
    # A number of a data base is no name.
    name = f"no. {name}" if name.isdigit() else name
    commodity = target.get("nearest_commodity")
    said = f"{name} ({commodity})" if name and commodity else name
    count = target.get("deposits", 0)
    if count:
        inside = "known deposit inside" if count == 1 else f"{count} known deposits inside"
        others = " and others" if count > 1 else ""
        return f"{inside}: {said}{others}" if said else inside
    distance = target.get("deposit_distance_m", np.nan)
    if not np.isfinite(distance):
        return ""
    named = f", {said}," if said else ""
    return f"the nearest known deposit{named} lies {in_words(distance)} away"


def in_words(metres: float) -> str:
    """Return a distance as people say it.

    >>> in_words(3.2), in_words(118), in_words(1240), in_words(38_200)
    ('under 10 m', '120 m', '1.2 km', '38 km')
    """
    if metres < 10:
        return "under 10 m"
    if metres < 995:
        return f"{round(metres, -1):.0f} m"
    return f"{metres / 1000:.1f} km" if metres < 9_950 else f"{metres / 1000:.0f} km"


def _joined(names: list[str]) -> str:
    """Return names as a list in a sentence.

    >>> _joined(["Au", "Cu", "Mo"]), _joined(["Au"])
    ('Au, Cu and Mo', 'Au')
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
