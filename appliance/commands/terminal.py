"""How wide a text is on a terminal, and lines that fit into it."""

import re
import unicodedata

# SGR, the one escape sequence that we write, or one letter.
_PART = re.compile(r"\x1b\[[0-9;]*m|.", re.DOTALL)


def width_of(text: str) -> int:
    """Columns that `text` takes (UAX 11): none for combining marks and styles, two for wide letters."""
    return sum(map(_columns, _PART.findall(text)))


def _columns(part: str) -> int:
    if len(part) > 1 or unicodedata.category(part) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(part) in ("W", "F") else 1


def fit(line: str, columns: int) -> list[str]:
    """The line in as many rows as it needs, broken between words where that is possible, the later ones indented."""
    margin = " " * (len(line) - len(line.lstrip(" ")) + 2)
    if len(margin) * 2 > columns:
        margin = ""
    rows: list[str] = []
    row, used, last_gap = "", 0, 0
    for part in _PART.findall(line):
        width = _columns(part)
        if used + width > columns:
            kept = last_gap or len(row)
            if len(margin) + width_of(row[kept:]) + width > columns:
                kept = len(row)
            rows.append(row[:kept].rstrip(" "))
            row = margin + row[kept:]
            used, last_gap = width_of(row), 0
            if part == " " and row == margin:
                continue
        row += part
        used += width
        if part == " " and row.strip():
            last_gap = len(row)
    return [*rows, row]
