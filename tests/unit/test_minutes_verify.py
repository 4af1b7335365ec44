"""Whoever changes the minutes afterwards: what `verify` sees, and what it says follows from it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.commands.minutes_words import list_lines, show_lines
from appliance.minutes.chain import GENESIS, SpoiledLineError, opened, sealed
from appliance.minutes.export import as_csv, as_dict, summary
from appliance.minutes.journal import Limits
from appliance.minutes.reading import Fault, Walk, meetings
from appliance.minutes.record import record_of
from appliance.minutes.segments import segments
from appliance.minutes.sheet import as_html
from appliance.minutes.verifying import conclusions, result

from .minutes_makers import FakeUnit, chain_of

Lines = list[bytes]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three meetings in one file."""
    unit = FakeUnit(tmp_path)
    for name in ("a", "b", "c"):
        unit.join(name)
        unit.run(130)
        unit.lose(5)
        unit.leave()
    unit.killed()
    return tmp_path


def lines_of(folder: Path) -> Lines:
    (path,) = segments(folder)
    return path.read_bytes().splitlines(keepends=True)


def put(folder: Path, lines: Lines) -> None:
    (path,) = segments(folder)
    path.write_bytes(b"".join(lines))


def said(folder: Path) -> str:
    chain = chain_of(folder)
    return " ".join(pair.en for pair in (result(chain), *conclusions(chain)))


def resealed(lines: Lines, start: int, previous: str, change: Callable[[dict[str, object]], object]) -> Lines:
    """What a forger who knows the form does: change line `start`, and seal it and all that follow anew."""
    out: Lines = []
    for index, line in enumerate(lines[start:]):
        entry = opened(line.rstrip(b"\n"))
        fields = dict(entry.fields)
        if index == 0:
            change(fields)
        raw, previous = sealed(fields, entry.number, previous)
        out.append(raw)
    return [*lines[:start], *out]


def test_untouched_minutes_are_intact(folder: Path) -> None:
    assert chain_of(folder).broken is None
    assert "INTACT" in said(folder)
    assert "none was changed, removed or put in" in said(folder)


def test_a_changed_word_is_found_with_its_line(folder: Path) -> None:
    lines = lines_of(folder)
    at = next(index for index, line in enumerate(lines) if b'"code":"connection-lost"' in line)
    lines[at] = lines[at].replace(b"connection-lost", b"connection-fine")
    put(folder, lines)
    broken = chain_of(folder).broken
    assert broken is not None
    assert (broken.fault, broken.line, broken.number) == (Fault.CHANGED, at + 1, at + 1)
    assert f"line {at + 1} of 00000001.jsonl was changed" in said(folder)
    assert f"The {at} lines before it (up to number {at}) are as the unit wrote them." in said(folder)


def test_a_removed_line_is_found(folder: Path) -> None:
    lines = lines_of(folder)
    del lines[6:9]
    put(folder, lines)
    broken = chain_of(folder).broken
    assert broken is not None
    assert (broken.fault, broken.line) == (Fault.MISSING, 7)
    assert "3 lines (numbers 7–9) were removed" in said(folder)


@pytest.mark.parametrize("to", [3, 12])
def test_a_line_that_is_moved_or_repeated_is_found(folder: Path, to: int) -> None:
    lines = lines_of(folder)
    lines.insert(to, lines[8])
    put(folder, lines)
    broken = chain_of(folder).broken
    assert broken is not None
    assert broken.fault is (Fault.MISSING if to < 8 else Fault.REPEATED)
    assert broken.line == to + 1


def test_a_line_that_is_sealed_anew_is_found_by_the_next_one(folder: Path) -> None:
    lines = lines_of(folder)
    forged = resealed(lines, 5, opened(lines[4].rstrip()).hash, lambda fields: fields.update(freeze_ms=0))
    put(folder, [*forged[:6], *lines[6:]])
    broken = chain_of(folder).broken
    assert broken is not None
    assert (broken.fault, broken.line) == (Fault.REPLACED, 7)


def test_a_forger_who_seals_everything_anew_is_found_by_a_signed_page_only(folder: Path) -> None:
    """The hash chain is tamper-evident, not tamper-proof; the words say so."""
    lines = lines_of(folder)
    signed = opened(lines[-1].rstrip()).hash
    put(folder, resealed(lines, 5, opened(lines[4].rstrip()).hash, lambda fields: fields.update(freeze_ms=0)))
    chain = chain_of(folder, signed)
    assert chain.broken is None
    assert chain.found is None
    assert "compare with the hash on a signed print" in said(folder)


def test_the_hash_of_a_signed_page_is_found_in_untouched_minutes(folder: Path) -> None:
    record = record_of(list(meetings(Walk(folder)))[1])
    assert record.hash in as_html(record)
    assert chain_of(folder, record.hash).found == record.last_line


def test_lines_cut_off_at_the_beginning_are_found(folder: Path) -> None:
    put(folder, lines_of(folder)[4:])
    broken = chain_of(folder).broken
    assert broken is not None
    assert broken.fault is Fault.BEGINNING
    assert "first 4 lines were removed, and not by the unit" in said(folder)


def test_a_file_that_is_deleted_by_hand_is_told_from_one_that_the_unit_dropped(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path, Limits(segments=3, segment_bytes=4000))
    for _ in range(30):
        unit.join()
        unit.run(60)
        unit.leave()
    assert chain_of(tmp_path).broken is None
    assert chain_of(tmp_path).dropped > 0
    segments(tmp_path)[0].unlink()
    broken = chain_of(tmp_path).broken
    assert broken is not None
    assert broken.fault is Fault.BEGINNING


def test_a_file_deleted_from_the_middle_is_found(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path, Limits(segment_bytes=2000))
    unit.join()
    unit.run(900)
    segments(tmp_path)[1].unlink()
    broken = chain_of(tmp_path).broken
    assert broken is not None
    assert (broken.fault, broken.file, broken.line) == (Fault.MISSING, "00000003.jsonl", 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b'{"', b'{ "', 1),
        lambda line: line.replace(b'"kind":"start"', b'"kind":"start","kind":"start"'),
        lambda line: line.rstrip(b"\n") + b"\r\n",
    ],
)
def test_a_line_in_another_form_is_found_though_it_says_the_same(
    folder: Path, change: Callable[[bytes], bytes]
) -> None:
    lines = lines_of(folder)
    lines[1] = change(lines[1])
    put(folder, lines)
    broken = chain_of(folder).broken
    assert broken is not None
    assert (broken.fault, broken.line) == (Fault.FORM, 2)


def test_meetings_before_the_break_are_proven_and_those_after_it_are_not(folder: Path) -> None:
    lines = lines_of(folder)
    at = next(index for index, line in enumerate(lines) if b'"meeting":2' in line)
    lines[at] = lines[at].replace(b'"meeting":2', b'"meeting":9')
    put(folder, lines)
    records = [record_of(held) for held in meetings(Walk(folder))]
    assert [record.proven for record in records] == [True, False, False]
    assert "KHÔNG" not in as_html(records[0])
    assert "không phải là bằng chứng" in as_html(records[1])


def test_an_incomplete_last_line_is_no_tampering(folder: Path) -> None:
    lines = lines_of(folder)
    put(folder, [*lines[:-1], lines[-1][:30]])
    chain = chain_of(folder)
    assert (chain.broken, chain.torn) == (None, True)
    assert "power went while it was written" in said(folder)


def test_no_minutes_are_no_fault(tmp_path: Path) -> None:
    assert said(tmp_path / "none") == "There are no minutes yet."


def test_odd_files_are_named(folder: Path) -> None:
    os.mkfifo(folder / "00000002.jsonl")
    broken = chain_of(folder).broken
    assert broken is not None
    assert (broken.fault, broken.file) == (Fault.FILE, "00000002.jsonl")
    folder.joinpath("readme.txt").write_text("not ours")
    folder.joinpath("00000002.jsonl").unlink()
    assert chain_of(folder).broken is None


@settings(max_examples=200)
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_every_flipped_bit_is_found(folder: Path, at: int, bit: int) -> None:
    (path,) = segments(folder)
    sound = path.read_bytes()
    content = bytearray(sound)
    content[at % len(content)] ^= 1 << bit
    path.write_bytes(content)
    chain = chain_of(folder)
    path.write_bytes(sound)
    # A flipped last line feed makes the last line an incomplete one.
    assert chain.broken is not None or (chain.torn and at % len(content) == len(content) - 1)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.binary(max_size=300)
    | _JSON.map(lambda value: json.dumps(value).encode())
    | st.sampled_from(
        [
            b"[" * 10_000,
            b'{"n":' + b"9" * 5000 + b"}",
            b'{"n":1,"prev":"\\ud800","hash":"\\ud800"}',
            b'{"n":NaN,"prev":"","hash":""}',
            b"{" * 100_000,
            b'{"n":true,"prev":"' + b"0" * 64 + b'","hash":"' + b"0" * 64 + b'"}',
        ]
    )
)
def test_whatever_a_line_is_it_is_opened_or_refused(line: bytes) -> None:
    with pytest.raises(SpoiledLineError):
        opened(line)


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_whatever_stands_in_a_file_it_is_read_to_its_end(tmp_path: Path, parts: list[bytes]) -> None:
    path = tmp_path / "00000001.jsonl"
    path.write_bytes(b"\n".join(parts))
    chain = chain_of(tmp_path)
    assert chain.lines == 0
    assert result(chain).vi
    assert conclusions(chain) is not None


_KINDS = st.sampled_from(
    ["start", "resumed", "state", "problem", "problem-end", "quality", "end", "dropped", "clock", "x"]
)
_FIELDS = st.fixed_dictionaries(
    {"kind": _KINDS | _JSON},
    optional={
        "meeting": st.just(1) | st.integers(0, 2) | _JSON,
        "t": st.integers() | _JSON,
        "ms": st.integers() | _JSON,
        "code": _JSON,
        "state": st.sampled_from(["live", "rejoining"]) | _JSON,
        "gap_ms": st.integers() | _JSON,
        "gap_by": st.sampled_from(["wall", "mono"]) | _JSON,
        "span_ms": st.integers() | _JSON,
        "freeze_ms": st.integers() | _JSON,
        "rtt_ms": st.integers() | _JSON,
        "name": _JSON,
        "jump_ms": st.integers() | _JSON,
        "up_to": _JSON,
        "anchor": _JSON,
        "count": _JSON,
    },
)


@settings(max_examples=150)
@given(st.lists(_FIELDS, max_size=8))
def test_lines_that_a_stranger_has_sealed_never_crash_a_reader(tmp_path: Path, fields: list[dict[str, object]]) -> None:
    content, previous = b"", GENESIS
    for number, line in enumerate(fields, 1):
        try:
            raw, previous = sealed(line, number, previous)
        except ValueError:
            return  # such a line cannot even be written
        content += raw
    tmp_path.joinpath("00000001.jsonl").write_bytes(content)
    for held in meetings(Walk(tmp_path)):
        record = record_of(held)
        assert "<html" in as_html(record)
        assert json.dumps(as_dict(record))
        for table in ("quality", "faults", "meetings"):
            assert as_csv([record], table, "vi")
        assert list_lines([summary(record)], "vi")
        assert show_lines(record, "en")
