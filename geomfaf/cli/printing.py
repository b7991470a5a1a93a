"""Tables and findings go in; text for people, tab-separated lines or JSON come out."""

from __future__ import annotations

import sys
from typing import Any

import click

from ..progress import event, say


def print_table(table: Any, as_json: bool) -> None:
    """Print a table to stdout: as JSON, ruled on a terminal, tab-separated into a pipe."""
    if as_json:
        import json

        from ..files import plain_values

        click.echo(json.dumps(plain_values(table.to_dict("records")), ensure_ascii=False))
        return
    if not sys.stdout.isatty():
        click.echo(table.to_csv(sep="\t", index=False, float_format="%.6g"), nl=False)
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table(show_edge=False, header_style="bold")
    for column in table.columns:
        shown.add_column(str(column).replace("_", " "), overflow="fold")
    for row in table.itertuples(index=False):
        shown.add_row(*[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row])
    Console(markup=False).print(shown)


def say_findings(findings: Any) -> None:
    """Report findings on stderr, a line each."""
    for row in findings.itertuples():
        column = f" {row.column}" if row.column else ""
        line = f"{row.severity}: {row.layer}{column}: {row.count} {row.rule}: {row.done}"
        what = {
            "rule": row.rule,
            "count": int(row.count),
            "done": row.done,
        }
        event(
            "finding",
            line,
            severity=row.severity,
            layer=row.layer,
            column=row.column,
            **what,
        )


def say_lines(lines: Any) -> None:
    """Report some lines on stderr."""
    for line in lines:
        say(line)


_COLOURS = {
    "refused": "bold red",
    "fixed": "yellow",
    "noticed": "cyan",
}


def print_findings(findings: Any) -> None:
    """Print findings for people: a line for each rule of a layer, with the columns it was broken
    in.
    """
    if not sys.stdout.isatty():
        columns = ["severity", "layer", "column", "rule", "count", "done", "advice"]
        print_table(findings[[name for name in columns if name in findings]], False)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        header_style="bold",
        pad_edge=False,
    )
    for name, options in (
        ("", {"no_wrap": True}),
        ("layer", {"no_wrap": True}),
        ("found", {"max_width": 22}),
        ("count", {"justify": "right", "no_wrap": True}),
        ("what was done, and what to do", {"ratio": 1}),
    ):
        shown.add_column(name, overflow="fold", **options)
    for (severity, layer, rule), group in findings.groupby(
        ["severity", "layer", "rule"], sort=False
    ):
        count = f"{group['count'].sum():,}" if group["count"].sum() else ""
        label = Text(severity, _COLOURS[severity])
        shown.add_row(label, layer, _where(rule, group), count, _what(severity, group))
    console = Console()
    if len(findings):
        console.print(shown)
    total = findings["severity"].value_counts()
    console.print(", ".join(f"{total.get(name, 0)} {name}" for name in _COLOURS))


def _where(rule: str, group: Any) -> str:
    """Return the rule and the columns it was broken in."""
    columns = [column for column in group["column"] if column]
    if not columns:
        return rule
    more = f" and {len(columns) - 6} more" if len(columns) > 6 else ""
    return f"{rule}: {', '.join(columns[:6])}{more}"


def _what(severity: str, group: Any) -> Any:
    """Return what was done in the column where it was done most, the advice, and the rows."""
    from rich.text import Text

    from ..survey.cleaning.findings import as_sentence

    first = group.sort_values("count", ascending=False, kind="stable").iloc[0]
    named = len(group) > 1 and first["column"] not in first["done"]
    what = Text(f"{first['done']} ({first['column']})" if named else first["done"])
    advice = first["advice"]
    if advice:
        style = "bold" if severity == "refused" else "dim"
        what.append(f". {as_sentence(advice)}", style)
    if first.get("names"):
        what.append(f" [{first['names']}]", "dim")
    elif first["rows"]:
        rows = "rows" if " " in first["rows"] else "row"
        what.append(f" [{rows} {first['rows']}]", "dim")
    return what
