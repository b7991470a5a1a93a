"""What a result shows of itself in a notebook: titles, tables and a small map, as HTML."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from typing import Any

ROWS = 12
"""Rows of a table that are shown."""


def page(title: str, *parts: str) -> str:
    """Return a title and parts below it, as one piece of HTML."""
    return f"<div><b>{html.escape(title)}</b>{''.join(parts)}</div>"


def sentences(lines: list[str]) -> str:
    """Return sentences as a list."""
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"


def table(frame: Any) -> str:
    """Return the first rows of a DataFrame, and how many more there are."""
    more = len(frame) - ROWS
    shown = frame.head(ROWS).to_html(index=False, border=0, na_rep="", float_format="{:.3g}".format)
    return shown + (f"<p>and {more:,} rows more</p>" if more > 0 else "")


def small_map(draw: Callable[[Any], None], text: str) -> str:
    """Return a picture of what ``draw`` draws on axes; ``text`` stands for it where none is shown."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2, 3.2), dpi=80, layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.set_aspect("equal")
    axes.set_axis_off()
    file = io.BytesIO()
    figure.savefig(file, format="png")
    code = base64.b64encode(file.getvalue()).decode()
    return f'<img src="data:image/png;base64,{code}" alt="{html.escape(text)}">'
