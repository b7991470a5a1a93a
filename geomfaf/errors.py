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


class InternalError(GeomfafError, RuntimeError):
    """Something that geomfaf itself promises does not hold: no data and no setting are to blame.

    >>> raise InternalError("windows of two folds share cells")
    Traceback (most recent call last):
        ...
    geomfaf.errors.InternalError: windows of two folds share cells. This is a fault of geomfaf, not of your data: please report it with this message and run.json or the command.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what.rstrip('.')}. This is a fault of geomfaf, not of your data: please report it"
            " with this message and run.json or the command."
        )


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


def require_known(name: object, known: Iterable[str], what: str) -> None:
    """Raise :class:`UsageError` when a name is none of the known ones.

    Parameters
    ----------
    name : str
        What was asked for.
    known : iterable of str
        What there is, in the order in which it is offered.
    what : str
        What is named, as the message begins: ``"replacement"``, ``"duplicates ="``.

    Examples
    --------
    >>> require_known("mean", ["mean", "median"], "duplicates =")
    >>> require_known("maen", ["mean", "median"], "duplicates =")
    Traceback (most recent call last):
        ...
    geomfaf.errors.UsageError: duplicates = "maen" is unknown: use one of mean, median. Did you mean "mean"?
    """
    known = [str(option) for option in known]
    if name not in known:
        hint = nearest_name(str(name), known)
        raise UsageError(f'{what} "{name}" is unknown: use one of {", ".join(known)}.{hint}')
