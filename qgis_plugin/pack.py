"""The plugin's folder and the licence go in; the ZIP that QGIS installs comes out, always the same.

Run: make plugin
"""

import sys
import zipfile
from pathlib import Path

HOME = Path(__file__).parent
FOLDER = "geomfaf_qgis"
KINDS = (".py", ".svg", ".txt")
"""What belongs to it; what running it leaves behind does not."""

DATE = (2000, 1, 1, 0, 0, 0)
"""Of every file, so that the same files give the same bytes."""


def main(target: str) -> None:
    """Write the ZIP."""
    files = [path for path in sorted((HOME / FOLDER).iterdir()) if path.suffix in KINDS]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in [*files, HOME.parent / "LICENSE"]:
            info = zipfile.ZipInfo(f"{FOLDER}/{path.name}", DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, path.read_bytes())


if __name__ == "__main__":
    main(sys.argv[1])
