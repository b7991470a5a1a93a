"""Settings of a run: what ``geomfaf.toml`` says, checked key by key."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..deliver.targets import TARGETS_BY, make_targets
from ..errors import UsageError, nearest_name
from ..models.baselines import BASELINES, NETWORK
from ..models.network.options import Training
from ..models.network.uncertainty import UNCERTAINTIES
from ..models.predict import predict_scores
from ..survey.cleaning.check import check_survey
from ..survey.cleaning.log_ratios import use_log_ratios
from ..survey.formats import is_database
from ..survey.read import read_survey
from ..survey.survey import ROLES, Source, Survey
from ..windows.folds import spatial_folds
from ..windows.negatives import draw_windows
from ..windows.screen import screen_elements
from ..windows.windows import tiled_windows

IDW_OPTIONS = ("minimum", "max_distance", "anisotropy", "errors")


@dataclass(frozen=True)
class Project:
    """Settings of a run, as :func:`load_project` reads them: one table a stage, its keyword
    arguments as keys.
    """

    folder: Path
    sources: dict[str, Source]
    out: Path
    preset: str = "compact"
    model: str = "auto"
    crs: str | None = None
    seed: int = 0
    elements: list[str] | None = None
    units: dict[str, str] = field(default_factory=dict)
    geology_column: str | None = None
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def read(self) -> Survey:
        """Read the survey as the settings say."""
        return read_survey(
            self.sources,
            elements=self.elements,
            units=self.units,
            geology_column=self.geology_column,
            crs=self.crs,
        )

    def stage(self, name: str, *keys: str) -> dict[str, Any]:
        """Return the settings of one stage, all of them or some keys."""
        table = self.stages.get(name, {})
        return {key: value for key, value in table.items() if not keys or key in keys}


def load_project(path: str | Path) -> Project:
    """Read ``geomfaf.toml``; a key that no stage knows is refused with the nearest one
    that exists.
    """
    path = Path(path)
    path = path / "geomfaf.toml" if path.is_dir() else path
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"{path} does not exist: write one with `geomfaf init survey.gpkg`."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a TOML file: {error}.") from error
    known = allowed_keys()
    top = {"out", "preset", "model", "crs", "seed"}
    for name, value in content.items():
        tables = {*known, *ROLES}
        if name not in top | tables or isinstance(value, dict) != (name in tables):
            raise UsageError(
                f'{path.name}: "{name}" is no setting.{nearest_name(name, top | tables)}'
            )
    _require_values(path, content)
    sources: dict[str, Source] = {}
    extra = {"samples": {"elements", "units"}, "geology": {"column"}}
    for role in ROLES:
        if role in content:
            allowed = {f.name for f in fields(Source)} | extra.get(role, set())
            table = _checked(path, role, content[role], allowed)
            if "path" not in table:
                raise UsageError(f"{path.name}: [{role}] has no path.")
            options = {k: v for k, v in table.items() if k not in {"path", *extra.get(role, set())}}
            place = table["path"]
            sources[role] = Source(place if is_database(place) else path.parent / place, **options)
    stages = {
        name: _checked(path, name, content[name], known[name]) for name in known if name in content
    }
    limits = stages.get("check", {}).get("detection_limits")
    if isinstance(limits, str):
        stages["check"]["detection_limits"] = str(path.parent / limits)
    weights = stages.get("train", {}).get("weights")
    if weights and isinstance(weights, str):
        stages["train"]["weights"] = str(path.parent / weights)
    return Project(
        folder=path.parent,
        sources=sources,
        out=path.parent / content.get("out", "out"),
        preset=content.get("preset", "compact"),
        model=_model_name(content.get("model", "auto")),
        crs=content.get("crs"),
        seed=content.get("seed", 0),
        elements=content.get("samples", {}).get("elements"),
        units=content.get("samples", {}).get("units", {}),
        geology_column=content.get("geology", {}).get("column"),
        stages=stages,
    )


def allowed_keys() -> dict[str, set[str]]:
    """Return the keys of every stage's table: the keyword arguments of its functions."""

    def keywords(*functions: Callable, without: tuple[str, ...] = ()) -> set[str]:
        names = {
            parameter.name
            for function in functions
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
        return names - {"seed", *without}

    return {
        "check": keywords(check_survey),
        "composition": keywords(use_log_ratios),
        "grid": {"cell", "power", "neighbours", "radius", "scale", "barriers", *IDW_OPTIONS},
        "screen": keywords(screen_elements),
        "rasterize": {"geology", "faults"},
        "windows": {
            "kind",
            "size",
            *keywords(tiled_windows, draw_windows, without=("deposits", "valid", "bands")),
        },
        "folds": keywords(spatial_folds, without=("autocorrelation",)),
        "train": {f.name for f in fields(Training)} - {"weights_sha256"} | {"device"},
        "predict": keywords(predict_scores),
        "evaluate": {
            "baselines",
            "paper_protocol",
            "draws",
            "network_draws",
            "optimism",
            "shifts",
            "network_shifts",
        },
        "targets": keywords(make_targets, without=("stack", "faults")),
    }


_KINDS: dict[tuple[str, ...], tuple[type, ...]] = {
    ("out",): (str,),
    ("preset",): (str,),
    ("crs",): (str,),
    ("seed",): (int,),
    **{
        (role, f.name): (bool,) if f.name == "swap_xy" else (str,)
        for role in ROLES
        for f in fields(Source)
    },
    ("check", "strict"): (bool,),
    ("grid", "barriers"): (bool,),
    ("grid", "errors"): (bool,),
    ("windows", "size"): (int,),
    ("windows", "strides"): (list,),
    ("windows", "min_distance"): (int,),
    ("windows", "negatives"): (int, float),
    ("folds", "count"): (int,),
    ("folds", "block"): (int,),
    ("folds", "zones"): (str,),
    ("grid", "cell"): (int, float),
    ("predict", "stride"): (int,),
    ("predict", "passes"): (int,),
    **{("evaluate", key): (int,) for key in ("draws", "network_draws", "shifts", "network_shifts")},
    **{("evaluate", key): (list,) for key in ("baselines", "optimism")},
    ("evaluate", "paper_protocol"): (bool,),
    ("targets", "area_share"): (int, float),
    ("targets", "threshold"): (int, float),
    ("targets", "min_cells"): (int,),
}
_LEAST = {
    ("seed",): 0,
    ("predict", "stride"): 1,
    ("predict", "passes"): 2,
    ("evaluate", "draws"): 1,
    ("evaluate", "network_draws"): 1,
    ("evaluate", "shifts"): 0,
    ("evaluate", "network_shifts"): 0,
    ("targets", "min_cells"): 1,
}
_WORDS = {
    str: "a text in quotes",
    int: "a whole number",
    float: "a number",
    list: "a list in brackets",
    bool: "true or false",
}


def _require_values(path: Path, content: Mapping[str, Any]) -> None:
    """Raise :class:`UsageError` for a value that some stage would refuse, before any work is done
    with it.
    """
    for keys, kinds in _KINDS.items():
        value = _value(content, keys)
        if value is not None and (
            not isinstance(value, kinds) or isinstance(value, bool) != (kinds == (bool,))
        ):
            raise UsageError(
                f"{path.name}: {_where(keys)} = {value!r} must be {_WORDS[kinds[-1]]}."
            )
    for keys, least in _LEAST.items():
        if (value := _value(content, keys)) is not None and value < least:
            raise UsageError(f"{path.name}: {_where(keys)} = {value} must be {least} or more.")
    share = _value(content, ("targets", "area_share"))
    if share is not None and not 0 < share < 1:
        raise UsageError(
            f"{path.name}: [targets] area_share = {share} must lie between 0 and 1, such as 0.05."
        )
    models = (NETWORK, *BASELINES)
    for keys, known in (
        (("evaluate", "baselines"), tuple(BASELINES)),
        (("evaluate", "optimism"), models),
        (("predict", "uncertainty"), UNCERTAINTIES),
        (("targets", "by"), TARGETS_BY),
    ):
        named = _value(content, keys)
        for name in named if isinstance(named, list) else [] if named is None else [named]:
            if name not in known:
                hint = nearest_name(str(name), known)
                raise UsageError(
                    f"{path.name}: {_where(keys)} has no {name!r}.{hint} Known: {', '.join(known)}."
                )


def _value(content: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    value: Any = content
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _where(keys: tuple[str, ...]) -> str:
    return f"[{keys[0]}] {keys[1]}" if len(keys) == 2 else keys[0]


def _model_name(name: object) -> str:
    known = ["auto", NETWORK, *BASELINES]
    if name not in known:
        raise UsageError(
            f'model = "{name}" is unknown.{nearest_name(str(name), known)} Known:'
            f" {', '.join(known)}."
        )
    return str(name)


def _checked(path: Path, name: str, table: Mapping[str, Any], allowed: set[str]) -> dict[str, Any]:
    for key in table:
        if key not in allowed:
            hint = nearest_name(key, allowed) or f" It knows {', '.join(sorted(allowed))}."
            raise UsageError(f'{path.name}: [{name}] has no setting "{key}".{hint}')
    return dict(table)
