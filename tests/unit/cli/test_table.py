from __future__ import annotations

from layby.cli import table


def test_columns_are_aligned_numbers_to_the_right() -> None:
    text = table.plain(("name", "size"), [("a", 1), ("long", 1_000)])
    assert text == "NAME   SIZE\na         1\nlong  1,000"


def test_no_blanks_at_line_ends() -> None:
    text = table.plain(("a", "b"), [("wide cell", "x"), ("y", "")])
    assert all(line == line.rstrip() for line in text.splitlines())
    assert text.splitlines()[-1].endswith("-")


def test_cells_are_harmless() -> None:
    text = table.plain(("reason",), [("boom\x1b[2J\nnext",)])
    assert text.splitlines() == ["REASON", "boom\\x1b[2J\\nnext"]


def test_facts() -> None:
    assert table.facts([("a", 1), ("name", "x\x07")]) == "a     1\nname  x\\x07"


def test_a_rich_table_has_the_same_cells() -> None:
    from rich.console import Console

    console = Console(width=80, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(table.fancy(("name", "n"), [("[red]x[/red]\x1b", 1_000)]))
    assert "[red]x[/red]\\x1b" in capture.get()
    assert "1,000" in capture.get()
