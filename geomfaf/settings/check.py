"""Settings of a table go in; the first that cannot be used is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from .setting import shown_value
from .tables import GONE, TABLES


def require_settings(table: str, values: Mapping[str, Any], *, source: str = "") -> None:
    """Raise :class:`UsageError` for an unknown name or a value that its setting does not allow.

    Parameters
    ----------
    table : str
        A key of :data:`TABLES`.
    values : mapping
        Settings by name; those that are ``None`` are left out.
    source : str
        Where they come from, as the message begins: ``"geomfaf.toml: "``. Without it the names
        stand alone, as the keywords of a function.

    Examples
    --------
    >>> require_settings("targets", {"area_share": 0.02, "max_km2": None})
    >>> require_settings("targets", {"area_share": 5})
    Traceback (most recent call last):
        ...
    geomfaf.errors.UsageError: area_share = 5 must lie between 0 and 1, both excluded.
    """
    known = TABLES[table]
    where = f"[{table}] " if source and table else ""
    for name, value in values.items():
        why = GONE.get(f"{table}.{name} = {value}")
        if why is not None:
            raise UsageError(f"{source}{where}{name} = {shown_value(value)} is gone: {why}.")
        why = GONE.get(f"{table}.{name}")
        if why is not None:
            raise UsageError(f"{source}{where}{name} is gone: {why}.")
        try:
            setting = known[name]
        except UsageError as error:
            raise UsageError(f"{source}{error}") from None
        problem = "" if value is None else setting.problem(value)
        if problem:
            raise UsageError(f"{source}{where}{name} = {shown_value(value)} {problem}.")
