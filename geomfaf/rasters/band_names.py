"""Names of bands by which one is also found without its unit: ``stack.sel(band="Au")``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


class BandNames(pd.Index):
    """The index of a stack's bands: a band is found by its name, or by a word of it that no other
    name has.

    Like :class:`xarray.CFTimeIndex` it changes how labels are looked up and nothing else.

    >>> names = BandNames(["Au_ppb", "Cu (ppm)", "fault_distance"])
    >>> names.get_loc("Au"), names.get_loc("cu"), names.get_loc("fault_distance")
    (0, 1, 2)
    """

    def __new__(
        cls, data: Any, dtype: Any = None, copy: bool = False, name: Any = None
    ) -> BandNames:
        """Return the index of some names, as pandas calls it: they are texts whatever it asks."""
        index: Any = object.__new__(cls)
        index._data = np.asarray(data, dtype=object)
        index._name = name
        index._cache = {}
        index._reset_identity()
        return index

    def get_loc(self, key: Any) -> Any:
        """Return the place of the band of this name, or of the one band with this word."""
        try:
            return super().get_loc(key)
        except KeyError:
            found = self._with_word(key)
        if len(found) == 1:
            return found[0]
        names = ", ".join(str(self[place]) for place in found or range(len(self)))
        which = "several bands" if found else "no band"
        raise KeyError(f'{which} named "{key}": name one of {names}.')

    def get_indexer(self, target: Any, *args: Any, **options: Any) -> np.ndarray:
        """Return the places of several bands, -1 for one that is not there.

        A band that is wanted by its full name is not found by a word as well: where two stacks are
        joined, every name stands for itself.
        """
        places = super().get_indexer(pd.Index(target, dtype=object), *args, **options)
        taken = set(places)
        for number in np.flatnonzero(places < 0):
            found = [place for place in self._with_word(target[number]) if place not in taken]
            places[number] = found[0] if len(found) == 1 else -1
        return places

    def _with_word(self, word: Any) -> list[int]:
        """Return the places of the names that have a word."""
        wanted = str(word).casefold()
        return [place for place, name in enumerate(self) if wanted in words_of_name(name)]


def words_of_name(name: str) -> Sequence[str]:
    """Return the words of a band's name in small letters.

    >>> words_of_name("Au (ppb)")
    ['au', 'ppb']
    """
    return [word for word in re.split(r"[^\w]+|_", str(name).casefold()) if word]
