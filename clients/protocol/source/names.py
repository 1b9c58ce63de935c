"""Vectors of names and patterns: what is legal, and what a pattern takes in."""

from __future__ import annotations

LEGAL_NAMES = [
    "a",
    "app.web-1_x",
    "A.Z",
    "-",
    ".",
    "..",
    "0",
    "n" * 200,
    "layby",
    "layby-x",
    "layby.bench.x",
    "Layby.x",
]
ILLEGAL_NAMES = [
    "",
    "n" * 201,
    "a b",
    "a/b",
    "a*",
    "ä",
    "a\n",
    "a\u0000",
    "\u202ea",
    "layby.",
    "layby.x",
    "layby.benches.x",
    "layby.bench",
]
LEGAL_PATTERNS = ["*", "app.*", "*.log", "a*b*c", "**", "layby.*", "layby.bench.*", "app"]
ILLEGAL_PATTERNS = ["", "app.?", "app.>", "[ab]*", "*" * 201, "layby.x"]

MATCHES = [
    ("app", "app", True),
    ("app", "apps", False),
    ("app", "App", False),
    ("*", "app", True),
    ("*", "a.b.c", True),
    ("app.*", "app.web", True),
    ("app.*", "app.web.eu", True),
    ("app.*", "app.", True),
    ("app.*", "app", False),
    ("app.*", "xapp.web", False),
    ("*.log", "app.log", True),
    ("*.log", ".log", True),
    ("*.log", "app.logs", False),
    ("a*c", "ac", True),
    ("a*c", "abc", True),
    ("a*c", "acb", False),
    ("a*a", "a", False),
    ("a*a", "aa", True),
    ("a*b*c", "a.b.b.c", True),
    ("a*b*c", "a.c.b", False),
    ("a**c", "a.c", True),
    ("a.c", "abc", False),
    ("*", "layby.bench.x", False),
    ("l*", "layby.bench.x", False),
    ("layby*", "layby.bench.x", False),
    ("layby.*", "layby.bench.x", True),
    ("layby.bench.*", "layby.bench.x", True),
    ("layby.bench.x", "layby.bench.x", True),
    ("*", "layby", True),
    ("*", "laybyx", True),
]


def as_json() -> dict[str, object]:
    return {
        "names": _judged(LEGAL_NAMES, ILLEGAL_NAMES),
        "patterns": _judged(LEGAL_PATTERNS, ILLEGAL_PATTERNS),
        "matches": [
            {"pattern": pattern, "topic": topic, "matches": matches}
            for pattern, topic, matches in MATCHES
        ],
    }


def _judged(legal: list[str], illegal: list[str]) -> list[dict[str, object]]:
    judged = [(name, True) for name in legal] + [(name, False) for name in illegal]
    return [{"name": name, "legal": verdict} for name, verdict in judged]
