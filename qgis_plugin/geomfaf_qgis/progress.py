"""What geomfaf says, line by line, goes in; a bar with stage and time left, and messages, come out."""

from __future__ import annotations

import json
import time
from typing import Any

ALMOST = 0.95
"""How far the bar goes within a stage that takes longer than usual."""


class Report:
    """Passes on what a program says to a feedback of QGIS.

    geomfaf says of each stage how many seconds it and those after it usually take. The bar goes by
    them; how much slower or faster this computer is shows in the stages that are done.
    """

    def __init__(self, feedback: Any) -> None:
        self.feedback = feedback
        self.error = ""
        self.last = ""
        self.shown = ""
        self.title = ""
        self.inner = ""
        self.began = 0.0
        # usual seconds: of all stages, from this one on, of this one, of those that were made
        self.all = 0.0
        self.left = 0.0
        self.own = 0.0
        self.made = 0.0
        self.spent = 0.0

    def say(self, line: str) -> None:
        """Show a line as it is."""
        if line.strip():
            self.last = line.strip()
            self.feedback.pushInfo(self.last)

    def take(self, line: str) -> None:
        """Show a line of JSON as what it means; any other line as it is."""
        try:
            event = json.loads(line)
        except ValueError:
            self.say(line)
            return
        kind = event.get("event") if isinstance(event, dict) else None
        if kind == "stage":
            self._take_stage(event)
        elif kind == "progress":
            self._take_progress(event)
        elif kind == "error":
            self.error = str(event.get("text", ""))
        elif kind == "finding":
            self.say(finding_text(event))
        elif kind == "warning":
            self.feedback.pushWarning(str(event.get("text", "")))
        else:
            self.say(str(event.get("text", line)) if isinstance(event, dict) else line)

    def tick(self) -> None:
        """Move the bar while nothing is said."""
        if not self.all:
            return
        pace = self._pace()
        gone = min((time.monotonic() - self.began) / pace, ALMOST * self.own)
        left = self.left - gone
        self.feedback.setProgress(100 * (1 - left / self.all))
        if self.own:
            self._show(f"{self.title}{self.inner}, {time_text(left * pace)} left")

    def _show(self, text: str) -> None:
        """Show what is done; QGIS keeps every text in its log, so the same one only once."""
        if text != self.shown:
            self.shown = text
            self.feedback.setProgressText(text)

    def _pace(self) -> float:
        """Return how many seconds pass here in one usual second."""
        return max(0.05, self.spent / self.made) if self.made >= 1 else 1.0

    def _take_stage(self, event: dict[str, Any]) -> None:
        if event["state"] == "begins":
            self.title = f"{event['stage']} ({event['number']} of {event['of']})"
            self.inner = ""
            self.own = float(event.get("usual_seconds", 1))
            self.left = float(event.get("usual_seconds_left", event["of"] - event["number"] + 1))
            self.all = self.all or self.left
            self.began = time.monotonic()
        else:
            if event["state"] == "done":
                self.made += self.own
                self.spent += time.monotonic() - self.began
            self.left -= self.own
            self.own = 0.0
        self.tick()

    def _take_progress(self, event: dict[str, Any]) -> None:
        share = event["done"] / event["total"] if event["total"] else 0
        if self.all:
            self.inner = f": {event['stage']} {100 * share:.0f} %"
            self.tick()
            return
        # A command that is one stage.
        self.feedback.setProgress(100 * min(1, share))
        left = f", {time_text(event.get('seconds_left', 0))} left" if share < 1 else ""
        self._show(f"{event['stage']}: {100 * share:.0f} %{left}")


def finding_text(finding: dict[str, Any]) -> str:
    """Return what was found in a survey, and what was done about it, in a line.

    >>> finding_text({"severity": "fixed", "layer": "samples", "column": "Au", "count": 2,
    ...               "rule": "missing", "done": "not used", "advice": ""})
    'fixed: samples, Au: missing (2): not used'
    """
    place = ", ".join(str(finding[key]) for key in ("layer", "column") if finding.get(key))
    text = f"{finding['severity']}: {place}: {finding['rule']} ({finding['count']})"
    for key in ("done", "advice"):
        text += f": {finding[key]}" if finding.get(key) else ""
    return text


def time_text(seconds: float) -> str:
    """Return a time as people say it.

    >>> time_text(7.2), time_text(50), time_text(170), time_text(9000)
    ('10 s', '50 s', 'about 3 min', 'about 2.5 h')
    """
    if seconds < 55:
        return f"{max(10, 10 * round(seconds / 10))} s"
    if seconds < 5400:
        return f"about {max(1, round(seconds / 60))} min"
    return f"about {seconds / 3600:.1f} h"
