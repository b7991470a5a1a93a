"""The files of a finished run go in; a QGIS project, its print layouts and the styles of single files
come out, written without QGIS.
"""
