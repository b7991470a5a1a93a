"""A run's folder goes in; ``report.html`` and ``summary.md`` come out, from the same parts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from ...files import finished_file
from ...rasters.blocks import cores
from ..figures.curves import draw_one_curve
from ..figures.map_sheet import picture_of, save_figure, small_png
from ..figures.run_figures import FIGURES
from ..run_folder import EXPLORATION, RunFolder, read_run
from .answers import (
    NOT_THIS,
    UNSUPPORTED,
    commodity_text,
    five_answers,
    map_row,
    trust_lines,
)
from .map_layers import map_content, sheet_id
from .pictures import data_address, leaflet_sources
from .tables import (
    MINOR_COLUMNS,
    deposit_rows,
    factor_rows,
    finding_rows,
    low_elements,
    map_rows,
    screening_rows,
    target_rows,
    window_rows,
)
from .target_sheets import sheets_left_out, target_sheet, target_sheets


def write_report(run: RunFolder | str | Path, record: dict[str, Any] | None = None) -> Path:
    """Write ``report.html`` into a run's folder: one file that needs no network.

    Parameters
    ----------
    run : RunFolder or path
        The run's folder, or what was read of it; the report is made from its files alone.
    record : dict, optional
        The content of ``run.json``, for a run that has not written it yet.
    """
    run = run if isinstance(run, RunFolder) else read_run(run, record)
    style, script = leaflet_sources()
    content = {
        **report_parts(run),
        "sheets": target_sheets(run),
        "left_out": sheets_left_out(run.targets),
        "map": map_content(run),
        "minor": MINOR_COLUMNS,
        "pictures": _pictures(run),
        "leaflet_style": Markup(style),  # noqa: S704  (of the package)
        "leaflet_script": Markup(script),  # noqa: S704  (of the package),
    }
    return _write(run.path / "report.html", "report.html", content)


def write_summary(run: RunFolder | str | Path, record: dict[str, Any] | None = None) -> Path:
    """Write ``summary.md`` into a run's folder: the report's parts as text, targets before
    statistics.
    """
    run = run if isinstance(run, RunFolder) else read_run(run, record)
    return _write(run.path / "summary.md", "summary.md", report_parts(run))


def write_sheet(run: RunFolder, name: str, path: Path, factors: pd.DataFrame) -> Path:
    """Write the sheet of one target as a page of its own that needs no network.

    Parameters
    ----------
    run : RunFolder
        See :func:`geomfaf.deliver.run_folder.read_run`.
    name : str
        The target: T1, K2, ...
    path : Path
        The page; what is there is replaced.
    factors : DataFrame
        What each factor adds to the target's score or takes from it; may be empty.
    """
    # Classes of the map have no value.
    table = factors.map(lambda cell: f"{cell:.4g}" if isinstance(cell, float) else cell)
    table = table.replace("nan", "")
    content = {
        "title": run.title,
        "sheet": target_sheet(run, name),
        "factors": table,
        "not_this": NOT_THIS,
    }
    return _write(path, "sheet.html", content)


def report_parts(run: RunFolder) -> dict[str, Any]:
    """Return everything that report and summary have in common: texts and tables."""
    evaluation = run.table("evaluation.csv")
    screening = run.table("screen.csv")
    # Two lists, two tables.
    explore = run.targets[run.targets["list"] == EXPLORATION]
    known = run.targets[run.targets["list"] != EXPLORATION]
    judged = len(evaluation) > 0
    return {
        "title": run.title,
        "area": run.area,
        "facts": header_facts(run),
        "answers": five_answers(run),
        "chosen": run.chosen,
        "trust": trust_lines(run),
        "verdict": [str(line) for line in run.assessment.get("verdict", [])],
        "warning": "" if run.supported else UNSUPPORTED,
        "lists": [_target_list("Exploration targets", explore), _target_list(KNOWN_TITLE, known)],
        "held": map_row(run),
        "map_rows": map_rows(evaluation) if judged else evaluation,
        "window_rows": window_rows(evaluation) if judged else evaluation,
        "leaks": judged and bool((evaluation["protocol"] != "spatial folds").any()),
        "deposits": deposit_rows(run.deposits, run.targets),
        "deposit_note": deposit_note(run),
        "factors": factor_rows(run.table("factors.csv")),
        "agreement": run.assessment.get("factor_agreement"),
        "screening": screening_rows(screening),
        "low": low_elements(screening),
        "findings": finding_rows(run.table("check.csv")),
        "inputs": input_rows(run),
        "versions": run.record.get("versions", {}),
        "settings": setting_lines(run.record.get("settings", {})),
        "not_this": NOT_THIS,
    }


KNOWN_TITLE = "Ground around known deposits"


def header_facts(run: RunFolder) -> list[tuple[str, str]]:
    """Return what stands under the title: area, commodities, date, author, CRS."""
    kinds = commodity_text(run).strip(" ()")
    facts = [
        ("Area", run.area),
        ("Commodities", kinds),
        ("Date", str(run.record.get("finished", ""))[:10]),
        ("Author", str(run.record.get("author") or "")),
        ("CRS", run.grid.crs.name),
        ("Model", run.chosen),
    ]
    return [(label, text) for label, text in facts if text]


def input_rows(run: RunFolder) -> pd.DataFrame:
    """Return the inputs with the beginnings of their hashes; a path's folders are nobody's
    business.
    """
    rows = []
    for role, source in run.record.get("inputs", {}).items():
        # A database has an address instead of a name.
        path = str(source.get("path", ""))
        named = path if "://" in path else Path(path).name
        layer = source.get("layer", "")
        digest = source.get("sha256", "")
        rows.append(
            {
                "layer": role,
                "file": named,
                "of it": layer,
                "sha256": digest[:16],
            }
        )
    return pd.DataFrame(rows)


def setting_lines(settings: dict[str, Any]) -> list[str]:
    """Return the settings that were given, a line each.

    >>> setting_lines({"seed": 0, "grid": {"cell": 50}, "train": {}})
    ['seed = 0', 'grid.cell = 50']
    """
    lines = []
    for name, value in settings.items():
        if not isinstance(value, dict):
            lines.append(f"{name} = {value}")
            continue
        # A table of settings: only those that were given are in it.
        lines += [f"{name}.{key} = {one}" for key, one in value.items()]
    return lines


def deposit_note(run: RunFolder) -> str:
    """Return how many of the known deposits lie in a target."""
    if "target" not in run.deposits:
        return ""
    inside = int((run.deposits["target"].fillna(0) > 0).sum())
    shown = len(deposit_rows(run.deposits, run.targets))
    listed = f" The best {shown} are listed." if shown < len(run.deposits) else ""
    return (
        f"{inside} of {len(run.deposits)} lie in a target.{listed} In best: how much of the ground"
        " scores as high or higher, by models that never saw the place."
    )


def markdown_text(text: object) -> str:
    r"""Return a text that Markdown shows as it is: no tag, no table cell, no new line.

    >>> markdown_text("<script>|x"), markdown_text("<0.05")
    ('\\<script>/x', '<0.05')
    """
    plain = re.sub(r"[\r\n]", " ", str(text)).replace("|", "/")
    # "<0.05" stays as it is: only what could be a tag is escaped.
    return re.sub(r"<(?=[A-Za-z/!?])", r"\\<", plain)


def markdown_table(table: pd.DataFrame) -> str:
    """Return a table in Markdown."""
    head = [str(column).replace("_", " ") for column in table.columns]
    rows = [list(row) for row in table.itertuples(index=False)]
    return "\n".join(_line(cells) for cells in (head, ["---"] * len(head), *rows))


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(markdown_text, cells))} |"


def _target_list(title: str, targets: pd.DataFrame) -> dict[str, Any]:
    """Return a list of targets: its title, its table, and the sheet of each row."""
    sheets = [sheet_id(row) for row in targets.to_dict("records")]
    return {
        "title": title,
        "table": target_rows(targets),
        "sheets": sheets,
    }


def _pictures(run: RunFolder) -> dict[str, str]:
    """Return the report's figures as data addresses; those that the run cannot give are left
    out.
    """
    # A run that was not judged has no curves.
    curves = run.table("curves.csv")
    judged = len(curves) > 0 and map_row(run) is not None
    overviews = {"targets": "scores.png", "evidence": "stack.png"}
    if judged:
        overviews["curves"] = "curves.png"
    packed = {}
    # One thread draws while others pack what was drawn.
    with ThreadPoolExecutor(cores()) as pool:
        for name, file in overviews.items():
            packed[name] = pool.submit(small_png, _overview(run, file, name), width=1300)
        geology = picture_of(FIGURES["geology"](run), 90)
        packed["geology"] = pool.submit(small_png, geology)
        if judged:
            one = draw_one_curve(curves.set_index("area"), run.table("evaluation.csv"), run.chosen)
            packed["one_curve"] = pool.submit(small_png, picture_of(one, 90))
    return {name: data_address(picture.result()) for name, picture in packed.items()}


def _overview(run: RunFolder, file: str, name: str) -> Image.Image:
    """Return a picture that lies in the folder; it is drawn where it does not."""
    path = run.path / file
    if not path.exists():
        save_figure(FIGURES[name](run), path, dpi=150)
    return Image.open(path)


def _write(path: Path, template: str, content: dict[str, Any]) -> Path:
    environment = Environment(
        loader=PackageLoader("geomfaf.deliver.report"),
        # Every text of a page is escaped: layers and names are the user's.
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = markdown_text
    environment.filters["md_table"] = markdown_table
    text = environment.get_template(template).render(content)
    with finished_file(path, overwrite=True) as final:
        final.write_text(text, encoding="utf-8")
    return path
