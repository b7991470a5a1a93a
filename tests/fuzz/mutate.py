"""A whole file goes in, a damaged one comes out; the same seed damages it in the same way."""

import json
import random

NUMBERS = ["nan", "inf", "-inf", "-1", "0", "1e308", "1e-300", "4294967296", "2.5", "9" * 40, "''"]
WORDS = [
    "\0",
    "\r\n",
    "\u2028",
    "\x7f",
    '"',
    "'; DROP TABLE samples; --",
    "[]",
    "{}",
    "true",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "&e;",
    "A" * 5000,
]
VALUES = [None, True, -1, 0, 2**63, 1e308, "x", "", [], {}, [[]], "\0", "../x", [1, "a"], -0.5]


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Damage a file in one to four places."""
    for _ in range(rng.randint(1, 4)):
        content = rng.choice((_flip, _cut, _drop, _repeat, _fill, _insert))(content, rng)
    return content


def mutate_text(content: bytes, rng: random.Random) -> bytes:
    """Damage a text: its numbers, its words, its lines; now and then its bytes."""
    if rng.random() < 0.2:
        return mutate(content, rng)
    text = content.decode("utf-8", "replace")
    for _ in range(rng.randint(1, 3)):
        text = rng.choice((_number, _word, _line))(text, rng)
    return text.encode("utf-8", "surrogatepass")


def mutate_json(content: bytes, rng: random.Random) -> bytes:
    """Damage one to three values of a JSON file, wherever they stand; now and then its bytes."""
    if rng.random() < 0.15:
        return mutate(content, rng)
    tree = json.loads(content)
    for _ in range(rng.randint(1, 3)):
        _damage_node(tree, rng)
    return json.dumps(tree).encode()


def _damage_node(tree: object, rng: random.Random) -> None:
    """Replace, remove or repeat a value at a random depth."""
    while isinstance(tree, dict | list) and tree:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = rng.choice(keys)
        below = tree[key]
        if isinstance(below, dict | list) and below and rng.random() < 0.75:
            tree = below
            continue
        action = rng.randrange(4)
        if action == 0:
            del tree[key]
        elif action == 1 and isinstance(tree, list):
            tree.append(below)
        elif action == 2 and isinstance(below, int | float):
            tree[key] = rng.choice([-below, below * 1e12, below + 0.5, str(below)])
        else:
            tree[key] = rng.choice(VALUES)
        return


def _at(content: bytes, rng: random.Random) -> int:
    """Return a place: anywhere, but as often within the first bytes, where formats say what they are."""
    length = len(content)
    return rng.randrange(min(length, 200) if rng.random() < 0.5 else length) if length else 0


def _flip(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return content
    at = _at(content, rng)
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: _at(content, rng)]


def _drop(content: bytes, rng: random.Random) -> bytes:
    at = _at(content, rng)
    return content[:at] + content[at + rng.randint(1, 64) :]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    at = _at(content, rng)
    piece = content[at : at + rng.randint(1, 64)]
    return content[:at] + piece * rng.randint(2, 20) + content[at:]


def _fill(content: bytes, rng: random.Random) -> bytes:
    at = _at(content, rng)
    length = rng.randint(1, 16)
    return content[:at] + rng.choice((b"\0", b"\xff", b"\x7f")) * length + content[at + length :]


def _insert(content: bytes, rng: random.Random) -> bytes:
    at = _at(content, rng)
    return content[:at] + rng.randbytes(rng.randint(1, 32)) + content[at:]


def _number(text: str, rng: random.Random) -> str:
    """Put an unlikely number in place of one that stands there."""
    parts = text.split()
    numbers = [part for part in parts if any(letter.isdigit() for letter in part)]
    if not numbers:
        return text
    return text.replace(rng.choice(numbers), rng.choice(NUMBERS), 1)


def _word(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(WORDS) + text[at:]


def _line(text: str, rng: random.Random) -> str:
    """Remove, repeat or swap a line."""
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    action = rng.randrange(3)
    if action == 0:
        del lines[at]
    elif action == 1:
        lines.insert(at, lines[at])
    else:
        other = rng.randrange(len(lines))
        swapped = lines[at]
        lines[at] = lines[other]
        lines[other] = swapped
    return "\n".join(lines)
