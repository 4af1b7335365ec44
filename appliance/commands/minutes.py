"""`bridgepoint minutes`: read the records of meetings from the disk, whether or not the unit runs. Only reads."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from appliance.errors import MinutesError
from appliance.minutes.chain import is_hash
from appliance.minutes.export import Table, as_csv, as_dict, summary
from appliance.minutes.reading import Chain, Walk, meetings
from appliance.minutes.record import Record, record_of
from appliance.minutes.segments import FOLDER
from appliance.minutes.verifying import conclusions, result
from appliance.paths import Paths

from .asking import BAD_INPUT, FAILED, json_option, print_json, write_whole
from .minutes_words import list_lines, show_lines

Format = Literal["html", "csv", "json"]
_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}

_lang_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--lang", type=click.Choice(["vi", "en"]), default="vi", show_default=True, help="Language."
)


@click.group()
def minutes() -> None:
    """The records of past meetings: when, how good, what went wrong, and whether anybody has changed them."""


@minutes.command("list")
@_lang_option
@click.option("--last", "newest", type=click.IntRange(min=1), metavar="N", help="Only the newest N meetings.")
@json_option
@click.pass_obj
def list_(paths: Paths, lang: str, newest: int | None, as_json: bool) -> None:
    """List the meetings, oldest first."""
    walk = _walk(paths)
    # One record after the other: a memory card's worth of minutes is never held at once.
    found = [summary(record) for record in _records(walk, as_json=as_json)]
    found = found[-newest:] if newest else found
    if as_json:
        print_json({"meetings": found, "chain": _chain(walk.chain)})
        return
    for line in list_lines(found, lang):
        click.echo(line)
    _warn_if_broken(walk.chain, lang)


@minutes.command()
@click.argument("meeting", default="last")
@_lang_option
@json_option
@click.pass_obj
def show(paths: Paths, meeting: str, lang: str, as_json: bool) -> None:
    """Show one MEETING: its number, or "last" (the default).

    Example: bridgepoint minutes show 12
    """
    walk = _walk(paths)
    record = _chosen(walk, meeting, as_json=as_json)
    if as_json:
        print_json(as_dict(record) | {"chain": _chain(walk.chain)})
        return
    for line in show_lines(record, lang):
        click.echo(line)
    _warn_if_broken(walk.chain, lang)


@minutes.command()
@click.argument("meeting", default="last")
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "csv", "json"]),
    default="html",
    show_default=True,
    help="html: the page to sign (biên bản kỹ thuật); csv: for Excel; json: for programs.",
)
@click.option(
    "--table",
    type=click.Choice(["quality", "faults", "meetings"]),
    default="quality",
    show_default=True,
    help="What a CSV file holds: a line a minute, a line a fault, or a line a meeting.",
)
@click.option(
    "--separator",
    type=click.Choice(list(_SEPARATORS)),
    default="comma",
    show_default=True,
    help="Between the columns of a CSV file; semicolon where Windows is set to it.",
)
@click.option("-o", "--output", metavar="FILE", help="Where to write (default: bien-ban-MEETING.FORMAT); - is stdout.")
@_lang_option
@json_option
@click.pass_obj
def export(
    paths: Paths,
    meeting: str,
    form: Format,
    table: Table,
    separator: str,
    output: str | None,
    lang: str,
    as_json: bool,
) -> None:
    """Write one MEETING (its number, or "last") to a file; "all" of them as CSV or JSON.

    Example: bridgepoint minutes export last -o bien-ban.html
    """
    if output == "-" and as_json:
        raise click.UsageError("--json tells of the file that is written; leave it out with -o -")
    walk = _walk(paths)
    if meeting == "all":
        if form == "html":
            raise click.UsageError("a page is of one meeting; choose --format csv or json for all")
        records = list(_records(walk, as_json=as_json))
    else:
        records = [_chosen(walk, meeting, as_json=as_json)]
    content = _content(records, form, table, lang, _SEPARATORS[separator], one=meeting != "all")
    name = meeting if meeting == "all" else str(records[0].number)
    if output == "-":
        sys.stdout.buffer.write(content)
    else:
        path = Path(output or f"bien-ban-{name}.{form}")
        try:
            write_whole(path, content)
        except (OSError, ValueError) as error:
            _fail(
                f"{path} cannot be written: {getattr(error, 'strerror', None) or error}; name another file with -o",
                "file",
                as_json=as_json,
            )
        if as_json:
            print_json({"file": str(path), "bytes": len(content), "chain": _chain(walk.chain)})
        else:
            click.echo(str(path))
    if not as_json:
        _warn_if_broken(walk.chain, lang)


@minutes.command()
@click.option("--hash", "wanted", metavar="HEX", help="Look for the hash that is printed on a signed page.")
@_lang_option
@json_option
@click.pass_obj
def verify(paths: Paths, wanted: str | None, lang: str, as_json: bool) -> None:
    """Check that no line was changed, removed or put in, and say what follows from it.

    Exit status 1 when the minutes are broken, or the hash is not in them.
    """
    wanted = wanted.strip().lower() if wanted is not None else None
    if wanted is not None and not is_hash(wanted):
        raise click.BadParameter("must be the 64 digits and letters a-f of the printed page", param_hint="--hash")
    walk = _walk(paths, wanted)
    try:
        for _ in walk:
            pass
    except MinutesError as error:
        _fail(str(error), "file", as_json=as_json)
    chain = walk.chain
    fine = chain.broken is None and (wanted is None or chain.found is not None)
    if as_json:
        print_json(_chain(chain) | ({"hash_found": chain.found} if wanted else {}))
        sys.exit(0 if fine else FAILED)
    click.echo(result(chain).of(lang))
    for said in conclusions(chain):
        click.echo(f"- {said.of(lang)}")
    if wanted is not None:
        click.echo(_of_hash(chain, lang))
    sys.exit(0 if fine else FAILED)


def _of_hash(chain: Chain, lang: str) -> str:
    if chain.found is None:
        if lang == "en":
            return "The hash is NOT among the lines that hold: they are not those of the signed page."
        return "KHÔNG có mã kiểm tra này trong các dòng còn nguyên vẹn: biên bản không khớp với bản đã ký."
    if lang == "en":
        return f"The hash is that of line {chain.found}: up to there these are the minutes of the signed page."
    return f"Mã kiểm tra là của dòng số {chain.found}: đến đó biên bản đúng như bản đã ký."


def _walk(paths: Paths, wanted: str | None = None) -> Walk:
    return Walk(paths.state_dir / FOLDER, wanted)


def _records(walk: Walk, *, as_json: bool) -> Iterator[Record]:
    try:
        for held in meetings(walk):
            yield record_of(held)
    except MinutesError as error:
        _fail(str(error), "file", as_json=as_json)


def _chosen(walk: Walk, meeting: str, *, as_json: bool) -> Record:
    if meeting != "last" and not (meeting.isascii() and meeting.isdigit() and len(meeting) < 16):
        raise click.BadParameter(f'{meeting!r} is not a number; give one of the list, or "last"', param_hint="MEETING")
    chosen = None
    try:
        for held in meetings(walk):
            if meeting == "last" or held[0].entry.fields.get("meeting") == int(meeting):
                chosen = held
    except MinutesError as error:
        _fail(str(error), "file", as_json=as_json)
    if chosen is None:
        which = "no meeting" if meeting == "last" else f"no meeting {meeting}"
        _fail(f"there is {which} in {walk.folder}; see bridgepoint minutes list", "no-such-meeting", as_json=as_json)
    return record_of(chosen)


def _content(records: list[Record], form: Format, table: Table, lang: str, separator: str, *, one: bool) -> bytes:
    if form == "csv":
        return as_csv(records, table, lang, separator)
    if form == "json":
        value: Any = as_dict(records[0]) if one else {"meetings": [as_dict(record) for record in records]}
        return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"
    # Only the page needs a template engine.
    from appliance.minutes.sheet import as_html

    return as_html(records[0]).encode()


def _chain(chain: Chain) -> dict[str, Any]:
    place = chain.broken
    return {
        "intact": place is None,
        "lines": chain.lines,
        "first": chain.first,
        "last": chain.last,
        "head": chain.head,
        "meetings": len(chain.starts),
        "dropped_lines": chain.dropped,
        "torn": chain.torn,
        "repairs": chain.repairs,
        "lines_lost": chain.lines_lost,
        "broken": None
        if place is None
        else {
            "fault": place.fault.value,
            "file": place.file,
            "line": place.line,
            "number": place.number,
            "found_number": place.found_number,
        },
        "result": result(chain)._asdict(),
        "conclusions": [said._asdict() for said in conclusions(chain)],
    }


def _warn_if_broken(chain: Chain, lang: str) -> None:
    if chain.broken is not None:
        click.echo(f"! {result(chain).of(lang)} → bridgepoint minutes verify", err=True)


def _fail(message: str, code: str, *, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"error": {"code": code, "message": message}})
    else:
        click.echo(f"bridgepoint: {message}", err=True)
    sys.exit(BAD_INPUT)
