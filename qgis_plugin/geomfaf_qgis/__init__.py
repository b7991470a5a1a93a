"""A Processing provider of QGIS: layers go in, geomfaf runs beside QGIS, styled results come back."""


def classFactory(iface):  # noqa: N802  (the name that QGIS calls)
    """Return the plugin; QGIS calls this when it is loaded."""
    from .provider import Plugin

    return Plugin(iface)
