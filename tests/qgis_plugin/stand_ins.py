"""What stands for geomfaf and for QGIS in the plugin's tests."""

import stat
import sys
import time
from pathlib import Path

PLUGIN = Path(__file__).parents[2] / "qgis_plugin"
sys.path.insert(0, str(PLUGIN))


def fake(path: Path, body: str) -> Path:
    """Write a program in Python that can be run by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport json, signal, sys, time\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class Feedback:
    """What the plugin's run tells QGIS."""

    def __init__(self, cancel_after: float = 0):
        self.lines = []
        self.progress = []
        self.texts = []
        self.until = time.monotonic() + cancel_after if cancel_after else None

    def isCanceled(self):
        return self.until is not None and time.monotonic() > self.until

    def pushInfo(self, text):
        self.lines.append(text)

    def pushWarning(self, text):
        self.lines.append(f"warning: {text}")

    def setProgress(self, percent):
        self.progress.append(percent)

    def setProgressText(self, text):
        self.texts.append(text)
