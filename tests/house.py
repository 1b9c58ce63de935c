"""The house rules, as functions of a file's path and text; each breach names what to do instead.

Owns the rules that linters do not know. Must never know where the files come from: the test hands
in the repository, and planted breaches to see that the rules bite.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILE_LINES = 400
FUNCTION_LINES = 40
SMALL_LINES = 80
"""A module of less than this is seen at a glance: what it must never know need not be said."""


PURE_MODULES = {
    *("__future__", "array", "bisect", "collections", "dataclasses", "enum", "functools"),
    *("heapq", "itertools", "math", "operator", "re", "struct", "typing"),
}
"""What the core may import beside itself; it sees no clock, chance, thread, file or socket."""


def file_length(path: str, text: str) -> Iterator[str]:
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield f"{path}: {lines} lines; give each noun a file of its own ({FILE_LINES} at most)"


def function_length(path: str, text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield (
                    f"{path}:{node.lineno}: {node.name} has {lines} lines; keep the branches here "
                    f"and move the leaves out ({FUNCTION_LINES} at most)"
                )


def opening(path: str, text: str) -> Iterator[str]:
    """Modules of the daemon and the client say what they own and what they must never know."""
    name = path.rpartition("/")[2]
    if not path.startswith(("daemon/", "clients/python/layby/")) or name.startswith("__"):
        return
    said = " ".join((ast.get_docstring(ast.parse(text)) or "").split())
    if "Owns " not in said:
        yield f"{path}:1: open with what the module owns ('Owns ...')"
    if text.count("\n") >= SMALL_LINES and not re.search(r"ust never |nothing|only", said):
        yield f"{path}:1: say what the module must never know ('Must never know ...')"


_LEFT_BEHIND = (
    (r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b", "finish it, or leave it out"),
    (r"NotImplemented" + r"Error", "use a Protocol or an abstract method, or build it"),
    (r"mark\.(?:sk" + r"ip|xf" + r"ail)\b", "mend the test; skip inside it, with the reason"),
    (r"# *type: *ignore *$", "name the error: type: ignore[code]"),
    (r"(?<![\w.])/(?:work|root|home)/", "no path of one machine; use tmp_path or a setting"),
    (r"\bbreak" + r"point\(\)|\bpdb\b", "take the debugger out"),
)


def left_behind(path: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, instead in _LEFT_BEHIND:
            if found := re.search(pattern, line):
                yield f"{path}:{number}: '{found[0]}': {instead}"


def sleeping(path: str, text: str) -> Iterator[str]:
    """Tests wait for something that happens, on an event or a fake clock, never for time."""
    if "tests" not in path.split("/")[:-1]:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and _called(node).endswith("sleep") and not _is_zero(node):
            yield f"{path}:{node.lineno}: a test sleeps; wait for an event, or move a fake clock"


def oversleeping(path: str, text: str) -> Iterator[str]:
    """SimpleQueue.get waits for good when its time is up before it begins to wait."""
    if path.startswith(("daemon/", "clients/python/layby/")):
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"import .*\bSimpleQueue\b", line):
                yield f"{path}:{number}: a SimpleQueue may oversleep; use laybyd.scheduler.inbox"


def impure_core(path: str, text: str) -> Iterator[str]:
    if not path.startswith("daemon/laybyd/core/"):
        return
    for node in ast.walk(ast.parse(text)):
        for module in _imported(node):
            top = module.partition(".")[0]
            ours = module == "laybyd" or module.startswith("laybyd.core")
            if top not in PURE_MODULES and not ours:
                yield (
                    f"{path}:{node.lineno}: the core imports {module}; take the value as an "
                    "argument or ask for it by an effect"
                )


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    if node.module == "laybyd":
        return [f"laybyd.{alias.name}" for alias in node.names]
    return [f"laybyd.core.{node.module}" if node.level else f"{node.module}"]


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func)


def _is_zero(call: ast.Call) -> bool:
    return [ast.unparse(arg) for arg in call.args] == ["0"]


RULES: tuple[Callable[[str, str], Iterator[str]], ...] = (
    file_length,
    function_length,
    opening,
    left_behind,
    sleeping,
    oversleeping,
    impure_core,
)


def breaches(path: str, text: str) -> list[str]:
    return [breach for rule in RULES for breach in rule(path, text)]
