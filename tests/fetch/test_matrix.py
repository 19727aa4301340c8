"""The ledger of the fault matrix (`reliability` 5.4): every row has a test whose name says so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROWS = range(1, 38)
NAMED = re.compile(r"_rows?_(\d+)((?:_and_\d+)*)")


def test_every_row_of_the_fault_matrix_has_a_test() -> None:
    names = {
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    rows = {
        int(number)
        for name in names
        for found in NAMED.finditer(name)
        for number in (found[1], *re.findall(r"\d+", found[2]))
    }
    assert [row for row in ROWS if row not in rows] == []
    assert rows <= set(ROWS)
