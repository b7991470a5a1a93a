"""The tables of settings go in; lines of ``geomfaf.toml`` and ``docs/settings.md`` come out."""

from __future__ import annotations

from typing import Any

from .setting import KINDS, Setting, shown_value
from .tables import TABLES


def meaning_of(setting: Setting) -> str:
    """Return what a setting means, its choices or range, and what happens when it is left out."""
    parts = [setting.meaning]
    if setting.choices:
        named = ", ".join(shown_value(name) for name in (*setting.words, *setting.choices))
        parts.append(f"one of {named}" if setting.kind == "text" else f"any of {named}")
    if setting.left_out:
        parts.append(f"when left out: {setting.left_out}")
    return "; ".join(parts)


def default_text(setting: Setting, default: Any = None) -> str:
    """Return what counts when a setting is not given, as help texts say it."""
    found = setting.default if default is None else default
    if found in (None, ""):
        return setting.left_out
    if isinstance(found, list):
        return ", ".join(map(str, found))
    return found if isinstance(found, str) else shown_value(found)


def commented_line(setting: Setting) -> str:
    """Return a setting as a commented line of ``geomfaf.toml``: its default, or an example."""
    value = setting.example if setting.default in (None, "") else setting.default
    return f"# {setting.name} = {shown_value(value)}".ljust(34) + f"  # {meaning_of(setting)}"


def plain_text(text: str) -> str:
    r"""Return a text on one line: a comment or a table must not grow lines out of a name.

    >>> plain_text("gold\nseed = 3")
    'gold seed = 3'
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)


def settings_page() -> str:
    """Return ``docs/settings.md``: every setting, a table of them for each table of the file."""
    lines = [
        "# Settings",
        "",
        "Every setting of `geomfaf.toml`. Made by `geomfaf settings`: do not edit it here.",
    ]
    for table in TABLES.values():
        heading = f"[[{table.name}]]" if table.repeated else f"[{table.name}]"
        lines += ["", f"## `{heading}`" if table.name else "## Above all tables"]
        lines += ["", f"{table.meaning[0].upper()}{table.meaning[1:]}.", ""]
        lines += ["| setting | default | allowed | meaning |", "| --- | --- | --- | --- |"]
        lines += [_page_row(setting) for setting in table.settings]
    return "\n".join(lines) + "\n"


def _page_row(setting: Setting) -> str:
    """Return a setting as a row of a Markdown table."""
    default = f"`{shown_value(setting.default)}`" if setting.default not in (None, "") else ""
    named = ", ".join((*setting.words, *setting.choices))
    allowed = named if setting.choices else KINDS[setting.kind].split(",")[0]
    limits = setting.range_text().removeprefix("be ").removeprefix("lie ")
    words = f" or {named}" if setting.words and not setting.choices else ""
    allowed += (f", {limits}" if limits else "") + words
    return f"| `{setting.name}` | {default or setting.left_out} | {allowed} | {setting.meaning} |"
