"""A few damaged files of each kind; `make fuzz` tries thousands."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from mutate import mutate, mutate_json, mutate_text

HARNESS = Path(__file__).with_name("fuzz.py")


@pytest.mark.slow
def test_no_damaged_file_crashes_a_command():
    words = [sys.executable, str(HARNESS), "--count", "28", "--seed", "2"]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    assert "28 inputs, 0 failed" in result.stdout


@pytest.mark.parametrize("damage", [mutate, mutate_text, mutate_json])
def test_the_same_seed_damages_in_the_same_way(damage):
    content = b'{"a": [1, 2.5, "x"], "b": {"c": null}}'
    one, other, third = (damage(content, random.Random(seed)) for seed in (1, 1, 2))
    assert one == other
    assert one != content or third != content
