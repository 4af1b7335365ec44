"""The documents keep to what is there: links, commands, settings."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.cli import _COMMANDS
from appliance.problems import CATALOGUE
from appliance.settings_keys import fields

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("hwtests/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_picture_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_named_is_one(page: Path) -> None:
    named = re.findall(r"`(?:\.venv/bin/)?bridgepoint ([a-z][a-z-]+)", page.read_text(encoding="utf-8"))
    assert set(named) <= set(_COMMANDS)


def _keys(loc: tuple[str, ...] = ()) -> Iterator[str]:
    for name in fields(loc):
        deeper = list(_keys((*loc, name)))
        yield from deeper or [".".join((*loc, name))]


def test_every_setting_is_explained() -> None:
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert [key for key in _keys() if f"`{key}`" not in text] == []


def test_the_quick_guide_uses_the_words_of_the_screen() -> None:
    text = (ROOT / "docs/huong-dan-nhanh.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+\.) \| ([^|]+) \|$", text, re.MULTILINE)
    said = {(row.cause_vi, row.cure_vi) for row in CATALOGUE.values()}
    assert set(rows) == said, "every Problem that the screen may show, in its words"
    assert len(rows) == len(said)
