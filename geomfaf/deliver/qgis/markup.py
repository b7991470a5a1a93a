"""Names, texts and numbers go in; elements of XML that QGIS reads come out, everything escaped."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pyproj import CRS

DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
QGIS_VERSION = "3.22.0"
"""The oldest version that reads all that is written here; newer ones read it too."""

# What XML 1.0 cannot hold, however it is escaped: a name with a stray control character would make
# the whole project unreadable.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def node(
    tag: str,
    attributes: Mapping[str, Any] | None = None,
    *children: Element,
    text: Any = None,
) -> Element:
    """Return an element; bools become 1 and 0, numbers the shortest text, the rest is escaped.

    >>> to_text(node("layer", {"name": '<b> "Au"', "on": True, "width": 0.30000001}))
    '<layer name="&lt;b&gt; &quot;Au&quot;" on="1" width="0.30000001" />'
    """
    made = Element(tag)
    for name, value in (attributes or {}).items():
        made.set(name, plain_text(value))
    if text is not None:
        made.text = plain_text(text)
    made.extend(children)
    return made


def plain_text(value: Any) -> str:
    """Return a value as QGIS writes it, without characters that XML cannot hold.

    >>> [plain_text(value) for value in (True, 2400000.0, 0.1, chr(7) + "ab")]
    ['1', '2400000', '0.1', 'ab']
    """
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return format(value, ".12g")
    return _NOT_XML.sub("", str(value))


def options(values: Mapping[str, Any]) -> Element:
    """Return the map of named options with which QGIS stores symbols and properties."""
    named = [
        node(
            "Option",
            {
                "type": "QString",
                "name": name,
                "value": value,
            },
        )
        for name, value in values.items()
    ]
    return node("Option", {"type": "Map"}, *named)


def computed(setting: str, expression: str) -> Element:
    """Return the options that make QGIS compute a setting from an expression."""
    active = node(
        "Option",
        {
            "name": "active",
            "type": "bool",
            "value": "true",
        },
    )
    formula = node(
        "Option",
        {
            "name": "expression",
            "type": "QString",
            "value": expression,
        },
    )
    kind = node(
        "Option",
        {
            "name": "type",
            "type": "int",
            "value": 3,
        },
    )
    one = node("Option", {"name": setting, "type": "Map"}, active, formula, kind)
    # A collection of such settings, of which this is the only one.
    listed = node("Option", {"name": "properties", "type": "Map"}, one)
    name = node(
        "Option",
        {
            "name": "name",
            "type": "QString",
            "value": "",
        },
    )
    what = node(
        "Option",
        {
            "name": "type",
            "type": "QString",
            "value": "collection",
        },
    )
    return node("Option", {"type": "Map"}, name, listed, what)


def to_text(element: Element) -> str:
    """Return an element as text."""
    return ElementTree.tostring(element, encoding="unicode")


def fixed_uuid(*names: Any) -> str:
    """Return a UUID that is the same whenever the same names are given: equal runs, equal files.

    >>> fixed_uuid("map", 1) == fixed_uuid("map", 1) != fixed_uuid("map", 2)
    True
    """
    return "{" + str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, names)))) + "}"


def crs_node(crs: CRS) -> Element:
    """Return a reference system as QGIS reads it.

    The authority's code alone gives a layer without a CRS: an ``srsid`` must stand beside it. A CRS
    that has no code is read from its WKT.
    """
    code = crs.to_authority(min_confidence=70)
    parts = [node("wkt", text=crs.to_wkt())]
    if code:
        parts.append(node("srsid", text=1))
        parts.append(node("authid", text=":".join(code)))
    return node("spatialrefsys", None, *parts)


def column_expression(column: str) -> str:
    """Return a column's name as an expression of QGIS.

    >>> column_expression('the "rock" unit') == '"the ""rock"" unit"'
    True
    """
    return '"' + column.replace('"', '""') + '"'


def text_expression(text: str) -> str:
    """Return a text as an expression of QGIS.

    >>> print(text_expression("St John's"))
    'St John''s'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def html_expression(column: str) -> str:
    """Return what shows a column's value in a map tip, with its markup made harmless.

    >>> print(html_expression("name"))
    [% replace(replace(coalesce("name", ''), '&', '&amp;'), '<', '&lt;') %]
    """
    value = f"coalesce({column_expression(column)}, '')"
    return f"[% replace(replace({value}, '&', '&amp;'), '<', '&lt;') %]"


def without_expressions(text: str) -> str:
    """Return a text in which a layout's label sees nothing to evaluate.

    >>> without_expressions("Area [% 1 + 1 %]")
    'Area [ % 1 + 1 %]'
    """
    return text.replace("[%", "[ %")
