"""
A survey in PostGIS
===================

A layer may be a table of a database, or a query; passwords stay out of every file that geomfaf writes. With the address of
a database in ``GEOMFAF_DATABASE`` the layers are written there (by geopandas, which needs GeoAlchemy2) and read back; without
one, the same conditions go to a file.
"""

import os
import tempfile

import matplotlib.pyplot as plt

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
address = os.environ.get("GEOMFAF_DATABASE")  # such as postgresql://geo@host/base
if address:
    from sqlalchemy import create_engine

    engine = create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
    survey.samples.to_postgis("samples", engine, if_exists="replace")
    survey.deposits.to_postgis("deposits", engine, if_exists="replace")
    samples = gm.Source(address, query='SELECT * FROM samples WHERE "Au_ppb" > 1')
    deposits = gm.Source(address, "deposits")
else:
    path = gm.write_survey(survey, f"{tempfile.mkdtemp()}/survey.gpkg")
    samples = gm.Source(path, "samples", where="Au_ppb > 1")
    deposits = gm.Source(path, "deposits")
read = gm.read_survey({"samples": samples, "deposits": deposits})
print(samples.name, read, sep="\n")

figure, axes = plt.subplots(figsize=(6, 6), layout="constrained")
read.samples.plot("Au_ppb", ax=axes, markersize=4, legend=True, vmax=10)
read.deposits.plot(ax=axes, marker="^", color="white", edgecolor="black")
axes.set(title="Samples with more than 1 ppb gold, and deposits")
plt.show()
