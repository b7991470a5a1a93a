"""A survey in a real PostGIS database: its own cluster in a temporary folder, where the programs
are installed.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import pytest
from shapely import Point

from geomfaf.errors import DataError, UsageError
from geomfaf.survey.formats import read_database
from geomfaf.survey.read import read_layer
from geomfaf.survey.survey import Source

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@pytest.fixture(scope="module")
def database():
    pytest.importorskip("sqlalchemy", reason="a database needs the extra postgis")
    pytest.importorskip("psycopg", reason="a database needs the extra postgis")
    initdb = PROGRAMS / "initdb" if PROGRAMS else shutil.which("initdb")
    if initdb is None or not Path(initdb).exists():
        pytest.skip("PostgreSQL is not installed")
    programs = Path(initdb).parent
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    # PostgreSQL refuses to run as root.
    user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, **user)

    def run(program, *arguments):
        command = [programs / program, *map(str, arguments)]
        return subprocess.run(
            command, **user, cwd=folder, capture_output=True, text=True, timeout=120
        )

    made = run(
        "initdb", "-D", folder / "data", "-U", "geo", "-A", "trust", "-E", "UTF8", "--no-sync"
    )
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    started = run(
        "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", options, "start"
    )
    if made.returncode or started.returncode:
        pytest.skip(
            f"PostgreSQL does not start here: {(made.stderr + started.stdout).strip()[-200:]}"
        )
    address = f"postgresql://geo:secret@/postgres?host={folder}"
    try:
        yield address
    finally:
        run("pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def assays(database):
    import sqlalchemy

    engine = sqlalchemy.create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        try:
            connection.exec_driver_sql("CREATE EXTENSION postgis")
        except sqlalchemy.exc.SQLAlchemyError as error:
            engine.dispose()
            pytest.skip(f"PostGIS is not installed: {str(error.orig).splitlines()[0]}")
        connection.exec_driver_sql(
            'CREATE TABLE "Assays" (id int, "Au_ppb" float, place geometry(Point, 32633))'
        )
        for number in range(3):
            point = f"ST_SetSRID(ST_MakePoint({500_000 + number}, 5500000), 32633)"
            connection.exec_driver_sql(
                f'INSERT INTO "Assays" VALUES ({number}, {number + 0.5}, {point})'
            )
    engine.dispose()
    return database


def test_a_table_of_a_database_is_a_layer(assays):
    layer = read_layer(Source(assays, "Assays"))
    assert isinstance(layer, gpd.GeoDataFrame)
    assert layer.crs.to_epsg() == 32633
    assert layer["Au_ppb"].tolist() == [0.5, 1.5, 2.5]
    assert layer.geometry.tolist() == [Point(500_000 + number, 5_500_000) for number in range(3)]


def test_a_query_of_a_database_is_a_layer(assays):
    query = """SELECT id::int, place, 'a:b%' AS note FROM "Assays" WHERE "Au_ppb" > 1 ORDER BY id DESC;"""
    layer = read_layer(Source(assays, query=query))
    assert layer["id"].tolist() == [2, 1]
    assert layer["note"].tolist() == ["a:b%"] * 2


@pytest.mark.parametrize(
    ("layer", "query", "error", "message"),
    [
        ("assays", None, UsageError, 'relation "assays" does not exist'),
        (None, "SELEKT 1", UsageError, "syntax error"),
        (None, 'SELECT id FROM "Assays"', DataError, "no geometry column"),
        ("Assays", "SELECT 1", UsageError, "give either layer = a table, or query = an SQL query"),
    ],
)
def test_what_a_database_refuses_is_one_message_without_the_password(
    assays, layer, query, error, message
):
    with pytest.raises(error) as caught:
        read_database(assays, layer, query)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_that_does_not_answer_is_given_up(monkeypatch):
    """It takes the connection and then says nothing, as behind a firewall."""
    pytest.importorskip("psycopg", reason="a database needs the extra postgis")
    monkeypatch.setattr("geomfaf.survey.formats.CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"postgresql://geo:secret@127.0.0.1:{deaf.getsockname()[1]}/survey"
        began = time.monotonic()
        with pytest.raises(UsageError, match="cannot be read") as caught:
            read_database(address, "samples", None)
    assert time.monotonic() - began < 30
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
