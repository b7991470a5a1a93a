"""File formats beside the vector files: tables of text, Excel, GeoParquet, a PostGIS database; and
text encodings.
"""

from __future__ import annotations

import re
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import pyogrio

from ..errors import DataError, UsageError, nearest_name

BOOKS = (".xlsx", ".xlsm", ".ods")
"""Suffixes of workbooks."""


def is_database(path: str | Path) -> bool:
    """Return whether a source is the address of a database."""
    return str(path).startswith(("postgresql://", "postgres://"))


def hidden_password(address: str) -> str:
    """Return the address of a database without its password.

    >>> hidden_password("postgresql://ann:secret@host/base")
    'postgresql://ann:***@host/base'
    """
    return re.sub(r"(?<=://)([^:/@]*):[^@]*@", r"\1:***@", address)


# --- text
# ------------------------------------------------------------------------------------------------------------


def find_encoding(raw: bytes) -> str:
    """Return the encoding of a text: what its first bytes say, else UTF-8, else GBK where it is
    Chinese, else cp1252.

    GBK and cp1252 cannot be told apart for certain; a Chinese character between two small Latin
    letters is an accented one.

    >>> [find_encoding(text.encode(code)) for text, code in (
    ...     ("Au", "utf-8"), ("Au", "utf-8-sig"), ("Au", "utf-16"), ("Größe", "cp1252"), ("地层,岩性", "gbk"))]
    ['utf-8', 'utf-8-sig', 'utf-16', 'cp1252', 'gb18030']
    """
    for mark, name in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe\x00\x00", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if raw.startswith(mark):
            return name
    start = raw[:2000]
    if start[1::2].count(0) > len(start) // 4 > 0:
        return "utf-16-le"
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    try:
        text = raw.decode("gb18030")
    except UnicodeDecodeError:
        return "cp1252"
    chinese = re.findall("[\u4e00-\u9fff]+", text)
    common = sum(len(run.encode("gb2312", errors="ignore")) // 2 for run in chinese)
    other = len(re.findall("[^\x00-\x7f]", text))
    between = len(re.findall("(?<=[a-z])[\u4e00-\u9fff](?=[a-z])", text))
    return "gb18030" if common > 0.8 * other and between < 0.2 * len(chinese) else "cp1252"


def text_encoding(path: Path) -> str | None:
    """Return the encoding of a shapefile that does not say it, when its text needs one;
    else None.
    """
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = {name.lower(): name for name in archive.namelist()}
            tables = [name for name in names if name.endswith(".dbf")]
            if len(tables) != 1 or tables[0][:-3] + "cpg" in names:
                return None
            raw = archive.read(names[tables[0]])
    else:
        table = next(
            (p for p in (path.with_suffix(".dbf"), path.with_suffix(".DBF")) if p.exists()), None
        )
        said = any(path.with_suffix(suffix).exists() for suffix in (".cpg", ".CPG"))
        if path.suffix.lower() != ".shp" or table is None or said:
            return None
        raw = table.read_bytes()
    text = raw[int.from_bytes(raw[8:10], "little") :] if len(raw) > 32 else b""
    return None if text.isascii() else find_encoding(text.rstrip(b"\x1a"))


# --- other stores
# ----------------------------------------------------------------------------------------------------


def read_parquet(path: Path) -> gpd.GeoDataFrame:
    """Read a GeoParquet file; needs the extra ``parquet``."""
    try:
        return gpd.read_parquet(path)
    except ImportError as error:
        raise UsageError(
            f"{path.name}: GeoParquet needs pyarrow: pip install 'geomfaf[parquet]'."
        ) from error
    except (ValueError, OSError) as error:
        raise DataError(f"{path.name} is no GeoParquet file that can be read: {error}") from error


CONNECT_SECONDS = 15
"""A database that does not answer within this time is not there."""

FIRST_BYTES = {
    ".gpkg": b"SQLite format 3\0",
    ".sqlite": b"SQLite format 3\0",
    ".shp": b"\0\0\x27\x0a",
    ".fgb": b"fgb",
    ".xlsx": b"PK",
    ".xlsm": b"PK",
    ".parquet": b"PAR1",
    ".geojson": b"{",
    ".json": b"{",
}
"""How files of a name begin."""


def _quoted_name(name: str) -> str:
    """Return a table's name, with its schema, as SQL writes names.

    >>> print(_quoted_name('a"b.samples'))
    "a""b"."samples"
    """
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def require_own_format(path: Path) -> None:
    """Refuse a file whose first bytes are not those of the format that its name promises.

    GDAL goes by the content: what is called ``.gpkg`` could be a virtual file that points at
    other files and at addresses.

    Raises
    ------
    UsageError
        For such a file, and for a virtual file of any name.
    """
    if not path.is_file():
        return
    with open(path, "rb") as file:
        start = file.read(512)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    wanted = FIRST_BYTES.get(path.suffix.lower(), b"")
    begins = text if wanted == b"{" else start
    if not begins.startswith(wanted):
        raise UsageError(
            f"{path.name} does not begin as a {path.suffix} file does: it is damaged, or another"
            " format under this name."
        )
    if text[:200].lower().startswith((b"<ogrvrt", b"<vrtdataset", b"<gdal_wms")):
        raise UsageError(f"{path.name} is a virtual file that points elsewhere: give the data.")


def read_database(address: str, layer: str | None, query: str | None) -> gpd.GeoDataFrame:
    """Read a table or a query of a PostGIS database; needs the extra ``postgis``.

    Raises
    ------
    UsageError
        When neither layer nor query is given, or the database refuses.
    DataError
        When the result has no geometry column.
    """
    if (layer is None) == (query is None):
        raise UsageError(
            f"{hidden_password(address)}: give either layer = a table, or query = an SQL query."
        )
    try:
        import psycopg  # noqa: F401  (sqlalchemy would name its own, older default)
        import sqlalchemy
    except ImportError as error:
        raise UsageError(
            "a database needs sqlalchemy and psycopg: pip install 'geomfaf[postgis]'."
        ) from error

    url = "postgresql+psycopg://" + address.split("://", 1)[1]
    sql = f"SELECT * FROM {_quoted_name(str(layer))}"  # noqa: S608  (quoted)
    if query:
        sql = query.strip().rstrip(";")
    sql = sql.replace(":", r"\:")  # no placeholders: a colon is a colon
    try:
        # Without a pool the connection is closed with its block.
        waits = {"connect_timeout": CONNECT_SECONDS}
        pool = sqlalchemy.pool.NullPool
        engine = sqlalchemy.create_engine(url, poolclass=pool, connect_args=waits)
        with engine.connect() as connection:
            kind = connection.scalar(sqlalchemy.text(r"SELECT to_regtype('geometry')\:\:oid"))
            asked = f"SELECT * FROM ({sql}) AS asked LIMIT 0"  # noqa: S608  (the user's own)
            empty = connection.execute(sqlalchemy.text(asked))
            shapes = [name for name, code, *_ in empty.cursor.description if code == kind]
            empty.close()
            if not shapes:
                raise DataError(f"{hidden_password(address)}: the result has no geometry column.")
            return gpd.read_postgis(sqlalchemy.text(sql), connection, geom_col=shapes[0])
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        raise UsageError(f"{hidden_password(address)} cannot be read: {reason}") from error


def existing_path(path: str | Path) -> Path:
    """Return the path, or say which file of the folder was probably meant."""
    path = Path(path)
    if path.exists():
        return path
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise UsageError(f"{path} does not exist.{nearest_name(path.name, siblings)}")


def layer_names(path: Path) -> list[tuple[str, str]]:
    """Return (name, geometry type) of the layers of a vector file.

    A file that begins as another format than its name says is refused.
    """
    require_own_format(path)
    try:
        return [
            (str(name), str(kind))
            for name, kind in pyogrio.list_layers(path)
            if name != "layer_styles"
        ]
    except pyogrio.errors.DataSourceError as error:
        raise UsageError(
            f"{path.name} is no vector file that can be read. GeoPackage, shapefile, GeoJSON,"
            " FlatGeobuf and CSV are."
        ) from error


def counted(path: Path) -> str | None:
    """Return the condition that all features of a file meet, where the number of them that it says
    may be wrong: with a condition they are counted.

    A GeoPackage that another program wrote into says any number, and only so many would be read.
    """
    return "1 = 1" if path.suffix.lower() == ".gpkg" else None


def feature_count(path: Path, layer: str, said: int) -> int:
    """Return how many features a layer has, counted where the file's own number may be wrong."""
    if path.suffix.lower() != ".gpkg":
        return said
    name = layer.replace('"', '""')
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as base:
            return int(base.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])  # noqa: S608
    except sqlite3.Error:
        return said
