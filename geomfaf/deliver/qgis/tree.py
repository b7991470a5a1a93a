"""Sources and styles go in; the layers, groups and themes of a project come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from .markup import DOCTYPE, QGIS_VERSION, fixed_uuid, node, options, to_text

DEFAULT = "default"
ALL = {"styleCategories": "AllStyleCategories"}


@dataclass(frozen=True)
class Layer:
    """A layer of the project.

    Attributes
    ----------
    name : str
        As the layer tree shows it.
    source : str
        Relative to the project, such as ``./targets.gpkg|layername=targets``.
    style : sequence of Element
        What stands inside a QML file.
    geometry : str
        ``Point``, ``Line``, ``Polygon`` or ``No geometry``; "" for a raster.
    visible : bool
        Whether it is shown when the project is opened.
    note : str
        What to know before trusting it; the layer tree shows it.
    styles : mapping of str to sequence of Element
        Further styles, by their name in the layer's Styles menu.
    """

    name: str
    source: str
    style: Sequence[Element]
    geometry: str = ""
    visible: bool = True
    note: str = ""
    styles: Mapping[str, Sequence[Element]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The id; QGIS drops layers whose id has ten characters or fewer."""
        return "layer_" + fixed_uuid(self.name, self.source).strip("{}").replace("-", "_")

    @property
    def provider(self) -> str:
        """What reads the source."""
        return "ogr" if self.geometry else "gdal"

    @property
    def legend_length(self) -> int:
        """How many lines the layer has in a legend, its name not counted."""
        # Classes of vectors, of values and of class numbers.
        kinds = ("category", "item", "paletteEntry")
        found = [part for part in self.style for kind in kinds for _ in part.iter(kind)]
        return max(1, len(found))


@dataclass(frozen=True)
class Group:
    """A folder of the layer tree."""

    name: str
    members: Sequence[Layer | Group]
    expanded: bool = True

    def layers(self) -> list[Layer]:
        """Return all layers inside, from the top."""
        found: list[Layer] = []
        for member in self.members:
            found.extend([member] if isinstance(member, Layer) else member.layers())
        return found


def tree_node(member: Layer | Group) -> Element:
    """Return a layer or group as the layer tree holds it."""
    if isinstance(member, Group):
        look = {
            "name": member.name,
            "checked": "Qt::Checked",
            "expanded": member.expanded,
        }
        return node("layer-tree-group", look, *[tree_node(inner) for inner in member.members])
    return layer_reference(member)


def layer_reference(
    layer: Layer, *, title: str | None = None, nodes: Sequence[int] | None = None
) -> Element:
    """Return the mention of a layer in the tree or a legend.

    Parameters
    ----------
    title : str, optional
        Instead of the layer's name; "" hides it.
    nodes : sequence of int, optional
        The lines of its legend that are shown.
    """
    # 1. Which layer, and whether it is shown.
    look = {
        "id": layer.id,
        "name": layer.name,
        "source": layer.source,
        "providerKey": layer.provider,
        "checked": "Qt::Checked" if layer.visible else "Qt::Unchecked",
        "expanded": 0,
    }
    # 2. What a legend makes of it; the tree itself has nothing to choose.
    chosen: dict[str, object] = {}
    if title is not None:
        chosen["legend/title-label"] = title
        chosen["cached_name"] = title
    if title == "":
        chosen["legend/title-style"] = "hidden"
    if nodes is not None:
        chosen["legend/node-order"] = ",".join(map(str, nodes))
    found = node("layer-tree-layer", look)
    if chosen:
        found.append(node("customproperties", None, options(chosen)))
    return found


def layer_node(layer: Layer, crs: Element) -> Element:
    """Return a layer with its source and styles, as the project holds it."""
    # 1. What kind of layer it is.
    look: dict[str, object] = {"type": "raster", **ALL}
    if layer.geometry:
        look["type"] = "vector"
        look["geometry"] = layer.geometry
        look["labelsEnabled"] = has_labels(layer.style)
    # 2. Where its data lie.
    found = node("maplayer", look)
    found.append(node("id", text=layer.id))
    found.append(node("datasource", text=layer.source))
    found.append(node("layername", text=layer.name))
    found.append(node("srs", None, crs))
    found.append(node("provider", {"encoding": "UTF-8"}, text=layer.provider))
    # 3. How it looks; a project does not read the styles of its files.
    if layer.styles:
        found.append(_style_manager(layer))
    found.extend(layer.style)
    if layer.note:
        found.append(node("userNotes", {"value": layer.note}))
    return found


def _style_manager(layer: Layer) -> Element:
    """Return the named styles; the current one is that of the layer itself."""
    manager = node("map-layer-style-manager", {"current": DEFAULT})
    manager.append(node("map-layer-style", {"name": DEFAULT}))
    for name, style in layer.styles.items():
        inside = style_node(style, vector=bool(layer.geometry))
        manager.append(node("map-layer-style", {"name": name}, inside))
    return manager


def has_labels(style: Sequence[Element]) -> bool:
    """Return whether a style writes labels."""
    return any(part.tag == "labeling" for part in style)


def style_node(style: Sequence[Element], *, vector: bool) -> Element:
    """Return a style as a document of its own."""
    look: dict[str, object] = {"version": QGIS_VERSION, **ALL}
    if vector:
        look["labelsEnabled"] = has_labels(style)
    return node("qgis", look, *style)


def style_text(style: Sequence[Element], *, vector: bool) -> str:
    """Return a style as the content of a QML file."""
    return DOCTYPE + to_text(style_node(style, vector=vector))


@dataclass(frozen=True)
class Theme:
    """Which layers a map shows, each with the name of its style."""

    name: str
    layers: Sequence[tuple[Layer, str]]

    def to_node(self) -> Element:
        """Return the theme as the project holds it."""
        shown = [
            node(
                "layer",
                {
                    "id": layer.id,
                    "style": style,
                    "visible": 1,
                },
            )
            for layer, style in self.layers
        ]
        return node("visibility-preset", {"name": self.name, "has-expanded-info": 0}, *shown)


def shown_as_is(*layers: Layer | None) -> list[tuple[Layer, str]]:
    """Return layers with their default style, those that are there."""
    return [(layer, DEFAULT) for layer in layers if layer is not None]
