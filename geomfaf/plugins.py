"""Models and bands that other packages bring: entry points of the groups ``geomfaf.baselines`` and
``geomfaf.bands``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from .errors import UsageError, nearest_name

if TYPE_CHECKING:  # it takes a tenth of a second to load
    from importlib.metadata import EntryPoint

MODELS = "geomfaf.baselines"

BANDS = "geomfaf.bands"


@cache
def installed(group: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of a group by their names."""
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=group)}


def load_installed(group: str, name: str) -> Any:
    """Return what an entry point stands for; only now is its package imported.

    Raises
    ------
    UsageError
        When no installed package has it, or when it cannot be imported.
    """
    known = installed(group)
    if name not in known:
        raise UsageError(
            f'no installed package has "{name}" among its {group}.{nearest_name(name, known)}'
            f" There {'are ' + ', '.join(known) if known else 'is none'}."
        )
    try:
        return known[name].load()
    except Exception as error:  # a package of others may fail in any way
        raise UsageError(f'"{name}" of {origin(group, name)} cannot be used: {error}') from error


def origin(group: str, name: str) -> str:
    """Return the package and the version that an entry point comes from."""
    package = installed(group)[name].dist
    return "an unknown package" if package is None else f"{package.name} {package.version}"
