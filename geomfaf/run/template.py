"""Write a commented ``geomfaf.toml`` for the files of a survey."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..evidence.stack import survey_grid
from ..files import finished_file
from ..survey.cleaning.findings import as_table, require_accepted
from ..survey.element_names import label
from ..survey.read import find_class_column, read_layer, read_survey
from ..survey.recognise import LayerInfo, _recognised, _source, taken_by_shape
from ..survey.survey import Source, Survey

MANY_CLASSES = 12
"""Deposit columns with up to this many values are offered as a filter."""


def init_project(
    paths: Sequence[str | Path],
    toml: str | Path,
    *,
    crs: str | None = None,
    xy_unit: str | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Look at survey files and write the project file; return what was recognised, a line a layer.

    Parameters
    ----------
    paths : sequence of path
        One or more vector files or tables.
    toml : path
        The project file to write; paths in it are relative to its folder where that is possible.
    crs : str, optional
        CRS of the files that have none.
    xy_unit : {"m", "km", "deg"}, optional
        Unit of the coordinates of tables.
    """
    toml = Path(toml)
    layers, roles = _recognised(paths)
    sources = {role: _source(info, crs, xy_unit) for role, info in roles.items()}
    survey = read_survey(sources)
    require_accepted(as_table(survey.findings))
    with finished_file(toml, overwrite=overwrite) as path:
        path.write_text(_toml(roles, sources, survey, toml.resolve().parent), encoding="utf-8")
    lines = [
        f"{role}: {info.path.name}, layer {info.name} ({info.count:,} features)"
        for role, info in roles.items()
    ]
    unused = [layer.name for layer in layers if layer not in roles.values()]
    lines += [f"not used: {', '.join(unused)}"] if unused else []
    lines += taken_by_shape(roles)
    lines += [f"{finding.layer}: {finding.done}" for finding in survey.findings]
    lines.append(f"elements: {', '.join(label(c, u) for c, u in survey.elements.items())}")
    return lines


def _toml(
    roles: dict[str, LayerInfo], sources: dict[str, Source], survey: Survey, folder: Path
) -> str:
    cell = survey_grid(survey).cell
    lines = [
        (
            "# A geomfaf project: run it with `geomfaf run geomfaf.toml`. Lines that begin with #"
            " show the defaults."
        ),
        "",
        'out = "out"                 # folder of the results, beside this file',
        (
            'preset = "compact"          # "mfaf": the network alone; "tree-initialised"; "paper"'
            " (hours)"
        ),
        (
            'model = "auto"              # whose map is written; auto: a simple model\'s where it'
            " beats the network"
        ),
        "seed = 0                    # the same seed gives the same map",
        f"crs = {_quoted(_crs_name(survey))}          # every layer is brought into it; metres",
    ]
    for role, info in roles.items():
        source = sources[role]
        lines += ["", f"[{role}]", f"path = {_quoted(_relative(info.path, folder))}"]
        lines += [f"layer = {_quoted(source.layer)}"] if source.layer else []
        lines += [f"crs = {_quoted(source.crs)}"] if source.crs else []
        lines += (
            [f"xy_unit = {_quoted(source.xy_unit)}           # m, km or deg"]
            if source.xy_unit
            else []
        )
        lines += _role_lines(role, info, source, survey)
    lines += ["", *_STAGES.format(cell=f"{cell:g}").splitlines()]
    return "\n".join(lines) + "\n"


def _role_lines(role: str, info: LayerInfo, source: Source, survey: Survey) -> list[str]:
    if role == "samples":
        units = {column: unit for column, unit in survey.elements.items() if unit}
        unknown = [column for column, unit in survey.elements.items() if not unit]
        pairs = ", ".join(f"{_quoted(c)} = {_quoted(u)}" for c, u in units.items())
        lines = [f"elements = [{', '.join(_quoted(column) for column in survey.elements)}]"]
        lines += [f"units = {{ {pairs} }}"] if pairs else []
        hint = "# units the column names do not tell, if you know them"
        lines += (
            [f'# units = {{ {_quoted(unknown[0])} = "ppm" }}   {hint}']
            if unknown and not pairs
            else []
        )
        return lines
    if role == "geology":
        column = find_class_column(info.columns, info.text_columns)
        others = [name for name in info.text_columns if name != column]
        return [f"column = {_quoted(column)}" + (f"   # or {', '.join(others)}" if others else "")]
    return _filters(read_layer(source)) if role == "deposits" else []


def _filters(deposits: pd.DataFrame) -> list[str]:
    """Return commented filters for columns such as the commodity: a map of everything is a map of
    nothing.
    """
    lines = []
    for column in deposits.columns:
        values = deposits[column] if column != "geometry" else pd.Series(dtype=object)
        if not pd.api.types.is_string_dtype(values) or not 1 < values.nunique() <= max(
            MANY_CLASSES, len(values) // 4
        ):
            continue
        counts = values.fillna("(none)").value_counts()
        shown = ", ".join(f"{name} {count}" for name, count in counts.head(6).items())
        example = str(values.value_counts().index[0]).replace("'", "''")
        condition = f"{column} = '{example}'"
        lines.append(
            f"# where = {_quoted(condition)}   # {shown}{', ...' if len(counts) > 6 else ''}"
        )
    return lines[:3]


_STAGES = """\
[check]
# max_censored = 0.5        # an element with more below detection is set aside
# max_missing = 0.667       # the same for missing values
# min_sites = 30            # fewer sampled places carry no map
# duplicates = "mean"       # several rows at one place: "mean", "median" (of logarithms), "first", "keep"
# strict = false            # true: refuse the data instead of fixing them
# replacement = "half"      # below detection: "half" of the limit, "sqrt2", "zero", "drop", "ros", "multiplicative"
# detection_limits = "limits.csv"   # element, limit, unit: where zeros and "bdl" do not say theirs
# decimal = ","             # how to read 1,234 where the table does not tell

# [composition]             # log-ratios in place of elements, for screening and bands
# kind = "clr"              # centred; "ilr": isometric, each part against those behind it
# parts = ["Cu", "Pb", "Zn"]  # the sub-composition; all usable elements when left out

[grid]
# cell = {cell}               # metres; gives 500 to 1,000 cells along the longer side
# power = 2                 # inverse-distance weighting
# neighbours = 12           # nearest samples; 0 takes all
# radius = 2000             # metres; farther samples do not count (no limit when left out)
# scale = "log"             # weights log10 of the values; "linear" the values themselves
# max_distance = 5000       # metres; cells farther than this from every sample have no value (no limit when left out)
# anisotropy = [3, 45]      # values are alike 3 times farther along the azimuth of 45 degrees (none when left out)
# barriers = false          # true: a sample behind a fault does not count

[screen]
# method = "rank"           # "svm": the paper's support-vector AUC
# radius = 1000             # metres; samples this near to a deposit are "ore" (mean sample spacing when left out)
# critical = 2.58           # ZAUC above which an element is kept

[rasterize]
# geology = "largest"       # class with the largest share of the cell; "centre": at its centre
# faults = ["distance"]     # any of "distance", "cell_distance", "presence", "density"

[windows]
# size = 16                 # cells along a window
# kind = "centred"          # on each deposit and on random barren ground; "tiled": the paper's
# negatives = 4             # barren windows for each deposit
# rule = "distance"         # of the barren ones: "random", "environment", "unlabelled" or "geology"
# min_distance = 16         # cells from a barren window's centre to a deposit that trains (a window)

[folds]
# count = 5                 # spatial folds (one for each cluster when there are fewer than 20 deposits)
# block = 100               # cells along a block, at least two windows (the bands' variogram range when left out)
# kind = "blocks"           # "clusters": one cluster of deposits at a time; "checkerboard"
# zones = "zones.gpkg"      # polygons, one a fold, instead of blocks

[train]
# partners = ["extra trees", "fuzzy overlay"]   # simple models that judge with the network; [] for none
# joining = "mean"          # of their log odds; "correction": the network begins from its partners'
# view = 0.5                # share of the window's side, around its centre, that the network looks at
# epochs = 1                # passes over the windows; "paper" preset: 220
# least_steps = 40          # at least so many steps in all
# backbone = "compact"      # "resnet18" or "shufflenet_v2"
# device = "auto"           # "cpu", "cuda" or "mps"
# dropout = 0.0             # share dropped before the compact network's classifier
# calibration = "none"      # of the scores, learned inside the folds: "temperature" or "isotonic"
# weights = "pretrained"    # begin with a folder of `geomfaf pretrain`, another survey's model or torchvision's .pth
# pretrain = 0              # steps of pretraining without labels inside each fold, such as 300

[predict]
# stride = 4                # cells between window centres
# uncertainty = "ensemble"  # "mc-dropout": the spread is also over passes of a network that has dropout
# passes = 20               # with dropout, for each fold model

[evaluate]
# draws = 5                 # of barren windows and seeds, for the simple models
# network_draws = 3         # for the network (chosen by its cost when left out)
# baselines = ["logistic regression", "extra trees"]   # all when left out
# optimism = ["extra trees"]   # models also judged by a random split; "MFAF" takes minutes
# shifts = 199              # of the deposits, for the null test; 0 for none
# network_shifts = 0        # the same by the network, five trainings each: a few, such as 4
# paper_protocol = false    # adds the row of the paper's own, leaking protocol

[targets]
# area_share = 0.05         # targets take the best 5 % of the area
# by = "score"              # "vote": where a majority of the branches votes ore
# min_cells = 16            # smaller specks are left out
"""


def _crs_name(survey: Survey) -> str:
    code = survey.crs.to_authority()
    return ":".join(code) if code else survey.crs.to_wkt()


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), folder)).as_posix()
    except ValueError:  # another drive on Windows
        return path.resolve().as_posix()


def _quoted(text: object) -> str:
    """Return a TOML string; JSON's escapes are TOML's."""
    return json.dumps(str(text), ensure_ascii=False)
