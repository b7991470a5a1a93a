"""What a setting is: name, default, range and meaning go in; what is wrong with a value comes out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError, nearest_name
from ..plugins import MODELS, installed

KINDS = {
    "flag": "true or false",
    "whole number": "a whole number",
    "number": "a number",
    "text": "a text in quotes",
    "path": "a text in quotes",
    "texts": "a list in brackets",
    "numbers": "a list in brackets",
    "whole numbers": "a list in brackets",
    "pairs": 'a table in braces, such as { Au = "ppb" }',
}
"""What a setting can be, in the words of the message that refuses another."""


class ModelNames(list[str]):
    """Names of models; installed packages add theirs, looked for when a name is not among these."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in installed(MODELS)


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes
    ----------
    name : str
        Key in its table, keyword of the stage's function, option of its command.
    kind : str
        A key of :data:`KINDS`.
    default : object
        ``None`` when the stage finds the value itself; ``left_out`` then says how.
    meaning : str
        One line for people, with the unit.
    left_out : str
        What happens when it is left out.
    example : object
        Shown in ``geomfaf.toml`` where there is no default.
    least, most : float, optional
        Smallest and largest number allowed.
    open : bool
        ``least`` and ``most`` themselves are not allowed.
    length : int, optional
        How many values a list has.
    choices : sequence of str
        The only texts allowed; those of a list one by one.
    words : tuple of str
        Texts allowed beside a number, or before the choices.
    """

    name: str
    kind: str
    default: Any
    meaning: str
    left_out: str = ""
    example: Any = None
    least: float | None = None
    most: float | None = None
    open: bool = False
    length: int | None = None
    choices: Sequence[str] = ()
    words: tuple[str, ...] = ()

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value, as the end of a sentence; ``""`` when nothing is."""
        if self.kind in ("texts", "numbers", "whole numbers"):
            return self._problem_of_list(value)
        return self._problem_of_one(value, self.kind)

    def _problem_of_list(self, value: Any) -> str:
        if not isinstance(value, list | tuple):
            return f"must be {KINDS[self.kind]}"
        if self.length is not None and len(value) != self.length:
            return f"must be a list of {self.length}, such as {shown_value(self.example)}"
        one = self.kind.removesuffix("s")
        for item in value:
            if problem := self._problem_of_one(item, one):
                return f"is a list whose {shown_value(item)} {problem}"
        return ""

    def _problem_of_one(self, value: Any, kind: str) -> str:
        if isinstance(value, str) and value in self.words:
            return ""
        types: dict[str, tuple[type, ...]] = {
            "flag": (bool,),
            "whole number": (int,),
            "number": (int, float),
            "pairs": (Mapping,),
        }
        wanted = types.get(kind, (str,))
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind != "flag"):
            words = "" if self.choices else "".join(f' or "{word}"' for word in self.words)
            return f"must be {KINDS[kind]}{words}"
        if isinstance(value, int | float) and kind != "flag":
            return self._problem_of_number(value)
        if isinstance(value, str) and not value.isprintable():
            return "holds a line break or another control character"
        if self.choices and value not in self.choices:
            known = (*self.words, *self.choices)
            return f"is unknown.{nearest_name(str(value), known)} Known: {', '.join(known)}"
        return ""

    def _problem_of_number(self, value: float) -> str:
        if not math.isfinite(value):
            return "must be a finite number"
        low = self.least is not None and (value < self.least or (self.open and value == self.least))
        high = self.most is not None and (value > self.most or (self.open and value == self.most))
        return f"must {self.range_text()}" if low or high else ""

    def range_text(self) -> str:
        """Return the range as the end of a sentence: ``"lie between 0 and 1"``."""
        if self.least is not None and self.most is not None:
            between = f"lie between {self.least:.12g} and {self.most:.12g}"
            return f"{between}, both excluded" if self.open else between
        if self.least is not None:
            return (
                f"be more than {self.least:.12g}" if self.open else f"be {self.least:.12g} or more"
            )
        if self.most is not None:
            return f"be less than {self.most:.12g}" if self.open else f"be {self.most:.12g} or less"
        return ""


@dataclass(frozen=True)
class Table:
    """The settings of one stage, a table of ``geomfaf.toml``.

    ``name`` is ``""`` for what stands above all tables. A ``repeated`` table may stand several
    times; an ``optional`` one changes what a run does by being there at all, so that
    ``geomfaf init`` writes even its heading as a comment.
    """

    name: str
    meaning: str
    settings: tuple[Setting, ...]
    repeated: bool = False
    optional: bool = False

    def __getitem__(self, name: str) -> Setting:
        """Return a setting by its name; an unknown one is refused with the nearest."""
        for setting in self.settings:
            if setting.name == name:
                return setting
        known = [setting.name for setting in self.settings]
        hint = nearest_name(name, known) or f" It knows {', '.join(sorted(known))}."
        raise UsageError(f'[{self.name}] has no setting "{name}".{hint}')


def shown_value(value: Any) -> str:
    """Return a value as TOML writes it.

    >>> print(shown_value(True), shown_value("a"), shown_value([1, 2.5]), shown_value({"Au": "ppb"}))
    true "a" [1, 2.5] { Au = "ppb" }
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(shown_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {shown_value(item)}' for key, item in value.items())} }}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
