"""A table goes in; its rows with a place each come out: which columns were taken, and why.

East and north are chosen as a pair, by their headings and by how well their values suit the CRS.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS

from ..errors import DataError, UsageError, nearest_name, require_known
from ..rasters.grid import parse_crs
from .cleaning.findings import Finding, Notes
from .coordinate_values import parse_coordinates
from .coordinates import home_of, no_crs
from .headings import Pair, axis_of, coordinate_pairs
from .shape_columns import shape_column, shapes_of_column
from .survey import XY_UNITS, Source
from .zones import in_one_zone

BAD_SHARE = 0.05
"""A larger share of coordinates that are no numbers is a fault of the column, not of its rows."""


def points_of_table(
    table: pd.DataFrame,
    source: Source,
    role: str,
    found: list[Finding],
    first_row: int = 2,
) -> gpd.GeoDataFrame:
    """Return the rows of a table with their places.

    Parameters
    ----------
    table : DataFrame
        It is not changed. The columns of the coordinates are left out of the result.
    source : Source
        What the user says of columns, CRS and unit.
    role : str
        For the findings, which are appended to ``found``.
    first_row : int
        Row of the file that holds the first row of the table, from 1, for messages.

    Raises
    ------
    UsageError
        When no columns look like coordinates, or those named are not there.
    DataError
        When there is no CRS, or one in twenty coordinates is no number.
    """
    file = source.name
    require_known(source.xy_unit or "m", XY_UNITS, "xy_unit")
    pair = _pair_named(table, source, file)
    if pair is None:
        pairs = coordinate_pairs(table.columns)
        shapes = None if pairs else shape_column(table)
        if shapes is not None:
            return shapes_of_column(table, shapes, source, file)
        if not pairs:
            raise UsageError(_no_pair(table.columns, file))
        pair = _best_pair(table, pairs, source, role, found)
    # 1. what the numbers are
    unit = source.xy_unit or ("km" if pair.unit == "km" else "m")
    crs = _crs_of(pair, unit, source, table, role, found)
    degrees = crs.is_geographic
    _say_what_headings_say(table, pair, unit, source, role, found)
    # 2. numbers, in metres or degrees
    xy = _numbers(table, pair, degrees, unit, crs)
    _say_other_writing(table, pair, xy / XY_UNITS[unit], role, found)
    if degrees:
        _in_their_half(xy, pair, role, found)
        _blank_few_off_earth(xy)
    xy = _without_bad_rows(table, pair, xy, role, found, first_row, file)
    if source.swap_xy:
        xy = xy[:, ::-1]
    # 3. one CRS for all rows
    if not degrees and XY_UNITS[unit] == 1:
        xy = in_one_zone(table, xy, crs, role, found)
    frame = _with_points(table.drop(columns=[pair.x, pair.y]), xy, crs)
    wanted = parse_crs(source.crs) if source.crs else crs
    return frame if wanted == crs else frame.to_crs(wanted)


def _say_what_headings_say(
    table: pd.DataFrame,
    pair: Pair,
    unit: str,
    source: Source,
    role: str,
    found: list[Finding],
) -> None:
    """Say so where headings alone decided that numbers are kilometres, or coordinates at all."""
    count = len(table)
    if unit == "km" and not source.xy_unit:
        done = f"the headings {pair.x}, {pair.y} say kilometres: taken as such"
        found.append(Finding("noticed", role, "", "kilometres", count, done))
    if not pair.sure:
        done = f"{pair.x} and {pair.y} are taken for the coordinates: their headings differ in the axis"
        advice = f"if not: x = and y = under [{role}]"
        found.append(Finding("noticed", role, "", "coordinates by shape", count, done, advice))


def _with_points(table: pd.DataFrame, xy: np.ndarray, crs: CRS) -> gpd.GeoDataFrame:
    """Return rows as points; a row without both coordinates has no place."""
    points = np.full(len(table), None, object)
    placed = np.isfinite(xy).all(axis=1)
    points[placed] = shapely.points(xy[placed])
    places = gpd.GeoSeries(points, index=table.index, crs=crs)
    return gpd.GeoDataFrame(table, geometry=places)


# --- which columns


def has_places(table: pd.DataFrame) -> str:
    """Return the kind of shape that the rows of a table have: point, line, polygon or none."""
    if coordinate_pairs(table.columns):
        return "point"
    column = shape_column(table)
    if column is None:
        return "none"
    first = str(table[column].dropna().iloc[0]).upper()
    kinds = (("LINE", "line"), ("POLYGON", "polygon"))
    return next((kind for word, kind in kinds if word in first[:40]), "point")


def _pair_named(table: pd.DataFrame, source: Source, file: str) -> Pair | None:
    """Return the columns that the user names; None where he names none."""
    if source.x is None and source.y is None:
        return None
    # Columns are named in any case, as in the other settings.
    folded = {str(column).strip().casefold(): str(column) for column in table.columns}
    named: dict[str, str] = {}
    for axis, wanted in (("x", source.x), ("y", source.y)):
        if wanted is None:
            continue
        column = folded.get(wanted.strip().casefold())
        if column is None:
            raise UsageError(
                f'{file} has no column "{wanted}".{nearest_name(wanted, table.columns)} Name it with'
                f" --{axis} (or {axis} = in the project file)."
            )
        named[axis] = column
    # A pair that is known by its headings says what its numbers are.
    for pair in coordinate_pairs(table.columns if len(named) < 2 else named.values()):
        if named.get("x", pair.x) == pair.x and named.get("y", pair.y) == pair.y:
            return pair
    if len(named) < 2:
        raise UsageError(
            f"{file}: {next(iter(named.values()))} has no partner that looks like a coordinate: give"
            " both --x and --y (x = and y = in the project file)."
        )
    return Pair(named["x"], named["y"], "either")


def _no_pair(columns: Iterable[object], file: str) -> str:
    """Say why no columns were taken for coordinates, and how to name them."""
    axes = [str(column) for column in columns if axis_of(str(column)) is not None]
    if axes:
        why = f"{', '.join(axes)} look{'s' if len(axes) == 1 else ''} like one, without a partner"
    else:
        why = f"no x column among {', '.join(map(str, columns))}"
    return (
        f"{file} has no pair of columns that look like coordinates ({why}). Name them with --x and"
        " --y (x = and y = in the project file)."
    )


def _best_pair(
    table: pd.DataFrame,
    pairs: Sequence[Pair],
    source: Source,
    role: str,
    found: list[Finding],
) -> Pair:
    """Return the pair whose headings and values suit the CRS best; the others are named."""
    if len(pairs) == 1:
        return pairs[0]
    # Several pairs: the one whose values lie in the area of the CRS, then the plainer headings.
    crs = parse_crs(source.crs) if source.crs else None
    geographic = source.xy_unit == "deg" or (crs is not None and crs.is_geographic)
    ranked = sorted(pairs, key=lambda pair: _unsuited(table, pair, crs, geographic))
    best = ranked[0]
    others = ", ".join(f"{pair.x} with {pair.y}" for pair in ranked[1:])
    done = f"{best.x} and {best.y} are taken for the coordinates; there are also {others}"
    advice = f"if not: x = and y = under [{role}]"
    found.append(
        Finding(
            "noticed",
            role,
            "",
            "several coordinates",
            len(table),
            done,
            advice,
        )
    )
    return best


def _unsuited(
    table: pd.DataFrame,
    pair: Pair,
    crs: CRS | None,
    geographic: bool,
) -> tuple[float, bool]:
    """Return how badly a pair suits: the share of rows off the CRS's area, then the headings."""
    # Headings that speak of degrees suit no metres, and the other way round.
    words = pair.style == "lengths" if geographic else pair.style == "degrees" and crs is not None
    as_degrees = geographic or pair.style == "degrees"
    unit = "km" if pair.unit == "km" else "m"
    xy = _numbers(table, pair, as_degrees, unit, crs)
    ground = (-180.0, -90.0, 180.0, 90.0)
    if not as_degrees and crs is not None:
        ground = home_of(crs) or (-1e8, -1e8, 1e8, 1e8)
    west, south, east, north = ground
    inside = (xy[:, 0] >= west) & (xy[:, 0] <= east) & (xy[:, 1] >= south) & (xy[:, 1] <= north)
    if not as_degrees and crs is None:
        inside = np.isfinite(xy).all(axis=1)
    return round(1 - float(inside.mean()), 1), words


# --- what the numbers are


def _crs_of(
    pair: Pair,
    unit: str,
    source: Source,
    table: pd.DataFrame,
    role: str,
    found: list[Finding],
) -> CRS:
    """Return the CRS of the numbers: as said, or its degrees where headings and values say so."""
    if source.crs is None:
        if unit == "deg":
            return CRS.from_epsg(4326)
        raise DataError(no_crs(source.name, degrees=_are_degrees(table, pair)))
    crs = parse_crs(source.crs)
    own = crs.geodetic_crs
    said = crs.is_geographic or pair.style != "degrees" or source.xy_unit == "m"
    if said or own is None or not _are_degrees(table, pair):
        return crs
    done = (
        f"{pair.x} and {pair.y} hold degrees, not the metres of {crs.name}: taken as longitude and"
        f" latitude in {own.name}"
    )
    advice = f'to be clear: crs = "EPSG:{own.to_epsg()}" under [{role}]' if own.to_epsg() else ""
    found.append(
        Finding(
            "noticed",
            role,
            "",
            "degrees by name",
            len(table),
            done,
            advice,
        )
    )
    return own


def _are_degrees(table: pd.DataFrame, pair: Pair) -> bool:
    """Return whether columns are named longitude and latitude and hold nothing but such numbers."""
    if pair.style != "degrees":
        return False
    # Names alone are not believed: metres stand under "lat" too.
    x = parse_coordinates(table[pair.x], degrees=True)
    y = parse_coordinates(table[pair.y], degrees=True)
    known = np.isfinite(x) & np.isfinite(y)
    return bool(
        known.any() and np.mean((x >= -180) & (x <= 360) & (np.abs(y) <= 90)) > 1 - BAD_SHARE
    )


def _numbers(
    table: pd.DataFrame,
    pair: Pair,
    degrees: bool,
    unit: str,
    crs: CRS | None,
) -> np.ndarray:
    """Return the coordinates, (rows, 2), in metres or degrees.

    ``400,721`` is a thousand in metres and a decimal in kilometres and degrees, unless only the
    other reading lies in the area of the CRS.
    """
    # 1. the usual reading of a comma, unless only the other one lies in the CRS's area
    usual = "," if degrees or unit == "km" else "."
    other = "." if usual == "," else ","
    home = None if crs is None or degrees else home_of(crs)
    read = _read_as(table, pair, degrees, usual) * XY_UNITS[unit]
    if home is None or _mostly_inside(read, home):
        return read
    otherwise = _read_as(table, pair, degrees, other) * XY_UNITS[unit]
    if _mostly_inside(otherwise, home):
        return otherwise
    # Of "400.721" beside "2.400.637" the first was taken for a decimal before anybody saw it. Where
    # both are numbers already, nobody grouped them: they are kilometres, or wrong.
    are_numbers = [pd.api.types.is_numeric_dtype(table[name]) for name in (pair.x, pair.y)]
    for axis in (0, 1):
        grouped = otherwise.copy()
        grouped[:, axis] *= 1000
        alone = are_numbers[axis] and not are_numbers[1 - axis]
        if alone and _mostly_inside(grouped, home):
            return grouped
    return read


def _read_as(
    table: pd.DataFrame,
    pair: Pair,
    degrees: bool,
    decimal: str,
) -> np.ndarray:
    columns = [parse_coordinates(table[name], degrees, decimal) for name in (pair.x, pair.y)]
    return np.column_stack(columns)


def _mostly_inside(xy: np.ndarray, home: tuple[float, float, float, float]) -> bool:
    # The middle alone: single rows may be wrong, and are told later.
    known = xy[np.isfinite(xy).all(axis=1)]
    if not len(known):
        return False
    x, y = np.median(known, axis=0)
    return bool(home[0] <= x <= home[2] and home[1] <= y <= home[3])


def _say_other_writing(
    table: pd.DataFrame,
    pair: Pair,
    xy: np.ndarray,
    role: str,
    found: list[Finding],
) -> None:
    """Say how coordinates were read that are no plain numbers."""
    for axis, name in enumerate((pair.x, pair.y)):
        # What pandas itself reads as another number, or as none, was written in words.
        plain = pd.to_numeric(table[name], errors="coerce").to_numpy(float, na_value=np.nan)
        other = np.isfinite(xy[:, axis]) & ~np.isclose(plain, xy[:, axis], rtol=1e-12, atol=1e-9)
        if not other.any():
            continue
        first = int(other.argmax())
        done = f'"{table[name].iloc[first]}" in column {name} was read as {xy[first, axis]:.10g}'
        advice = "if not: write plain numbers"
        Notes(found, role, table.index).noticed("coordinates in words", other, done, advice)


def _in_their_half(xy: np.ndarray, pair: Pair, role: str, found: list[Finding]) -> None:
    """Give degrees the sign that their heading says, in place: "Longitude (W)" without any minus."""
    for axis, says, column, half in (
        (0, pair.west, pair.x, "west"),
        (1, pair.south, pair.y, "south"),
    ):
        known = xy[np.isfinite(xy[:, axis]), axis]
        if says and len(known) and (known > 0).all():
            xy[:, axis] *= -1
            done = f"the heading {column} says {half}: its numbers are taken as minus degrees"
            found.append(Finding("fixed", role, "", f"degrees {half}", len(xy), done))


def _blank_few_off_earth(xy: np.ndarray) -> None:
    """Blank degrees that are none, in place, where they are few: many are another CRS's metres."""
    off = (np.abs(xy) > 360).any(axis=1)
    if off.mean() <= BAD_SHARE:
        xy[off] = np.nan


def _without_bad_rows(
    table: pd.DataFrame,
    pair: Pair,
    xy: np.ndarray,
    role: str,
    found: list[Finding],
    first_row: int,
    file: str,
) -> np.ndarray:
    """Return the coordinates without those of rows where they are no numbers: few cost their rows,
    many the table.
    """
    notes = Notes(found, role, table.index)
    for axis, column in enumerate((pair.x, pair.y)):
        cells = table[column]
        bad = np.isnan(xy[:, axis]) & cells.notna().to_numpy(bool)
        if bad.any() and not pd.api.types.is_numeric_dtype(cells):
            bad &= (cells.astype("string").str.strip() != "").fillna(False).to_numpy(bool)
        if not bad.any():
            continue
        first = int(bad.argmax())
        if bad.mean() > BAD_SHARE:
            raise DataError(
                f'{file}, row {first + first_row}: coordinate "{cells.iloc[first]}" in column'
                f" {column} is not a number ({int(bad.sum()):,} such rows of {len(table):,}): correct"
                " the table, or name other columns with --x and --y."
            )
        shown = ", ".join(f'"{value}"' for value in pd.unique(cells[bad])[:3])
        done = f"{shown} in column {column} is no coordinate: such rows have no place"
        notes.fixed("coordinates that are no numbers", bad, done, "correct the table")
    # Half a place is none.
    missing = np.isnan(xy).any(axis=1)
    xy[missing] = np.nan
    return xy
