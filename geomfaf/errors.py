"""The exceptions of geomfaf: one root, a handful of branches, an exit code each.

A message states the value, the layer and row where there is one, the rule that was broken
and what to do next, because it is all that a user of the command line sees.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GeomfafError(Exception):
    """Root of every error that geomfaf raises on purpose."""

    exit_code = 1


class UsageError(GeomfafError, ValueError):
    """An argument, option or setting that cannot be used as given."""

    exit_code = 2


class DataError(GeomfafError, ValueError):
    """Input data that geomfaf refuses to work on."""

    exit_code = 3


class ModelMismatchError(DataError):
    """A stack that differs from the one a model was trained on."""


class OutputExistsError(GeomfafError, FileExistsError):
    """A result that is already there and may not be overwritten."""


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return ``' Did you mean "x"?'`` for the closest of the known names, or ``''``.

    >>> nearest_name("sample", ["samples", "faults"])
    ' Did you mean "samples"?'
    >>> nearest_name("zebra", ["samples", "faults"])
    ''
    """
    by_folded = {str(option).casefold(): str(option) for option in known}
    close = difflib.get_close_matches(str(name).casefold(), by_folded, n=1, cutoff=0.6)
    return f' Did you mean "{by_folded[close[0]]}"?' if close else ""
