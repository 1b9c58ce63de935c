"""Rows and columns on a screen or in a pipe.

Owns the alignment. Must never know what the rows mean. Cells are strangers' text: every one is
made harmless here, so no verb can forget it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layby.cli.text import harmless

Cell = str | int | float | None


def cell(value: Cell) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return harmless(value)


def plain(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Aligned columns, two blanks apart, numbers to the right, nothing at line ends."""
    texts = [[cell(value) for value in row] for row in rows]
    widths = [
        max([len(title), *(len(row[at]) for row in texts)]) for at, title in enumerate(columns)
    ]
    right = _numeric(columns, rows)
    lines = [[title.upper() for title in columns], *texts]
    return "\n".join(_line(line, widths, right) for line in lines)


def _numeric(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[bool]:
    return [
        bool(rows) and all(isinstance(row[at], int | float | None) for row in rows)
        for at in range(len(columns))
    ]


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = [
        text.rjust(width) if to_right else text.ljust(width)
        for text, width, to_right in zip(texts, widths, right, strict=True)
    ]
    return "  ".join(cells).rstrip()


def facts(pairs: Sequence[tuple[str, Cell]]) -> str:
    """Names and values, one pair a line."""
    width = max(len(name) for name, _ in pairs)
    return "\n".join(f"{name:<{width}}  {cell(value)}" for name, value in pairs)


def fancy(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Any:
    """The same as a rich table, or None where rich is not installed."""
    try:
        from rich import box
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title, to_right in zip(columns, _numeric(columns, rows), strict=True):
        table.add_column(title.upper(), justify="right" if to_right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    return table
