"""Read what a far end describes (RFC 8866, RFC 8829) and judge its answer to our offer; malformed text is one error.

Only what a meeting needs is kept: one transport, H.264 and Opus. Attributes we do not know are ignored, as RFC 8866
asks; those we do know and cannot read end the negotiation.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from appliance.errors import NegotiationFailed

MAX_LENGTH = 64 * 1024  # a WHIP answer of two streams has 2 to 6 KiB
MAX_SECTIONS = 16
MAX_CANDIDATES = 64
MAX_FINGERPRINTS = 8
DIRECTIONS = ("sendonly", "recvonly", "sendrecv", "inactive")
FINGERPRINT_HASHES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
AUDIO_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
ABS_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
TRANSPORT_CC_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

_TOKEN = re.compile(r"[!-~]{1,64}")
_ICE_WORD = re.compile(r"[!-~]{1,256}")
_HEX_PAIRS = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class Codec:
    payload_type: int
    name: str
    clock_rate: int
    channels: int = 1
    fmtp: dict[str, str] = field(default_factory=dict)
    feedback: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Candidate:
    """An ICE candidate we can use: UDP, RTP component, address literal or mDNS name."""

    foundation: str
    priority: int
    host: str
    port: int
    kind: str


@dataclass(slots=True)
class Section:
    """One m= section."""

    kind: str
    port: int
    profile: str
    formats: tuple[str, ...]
    mid: str = ""
    direction: str = "sendrecv"
    rtcp_mux: bool = False
    ufrag: str = ""
    password: str = ""
    setup: str = ""
    fingerprints: list[tuple[str, str]] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    codecs: dict[int, Codec] = field(default_factory=dict)
    extensions: dict[str, int] = field(default_factory=dict)
    ssrcs: list[int] = field(default_factory=list)
    rtx_ssrcs: dict[int, int] = field(default_factory=dict)
    most_bps: int | None = None

    def offered_codecs(self) -> Iterator[Codec]:
        """The codecs in the order of preference."""
        for number in self.formats:
            codec = self.codecs.get(int(number)) if number.isascii() and number.isdigit() else None
            if codec is not None:
                yield codec

    def rtx_for(self, payload_type: int) -> int | None:
        """The payload type that carries retransmissions of `payload_type` (RFC 4588)."""
        for codec in self.offered_codecs():
            if codec.name == "rtx" and codec.fmtp.get("apt") == str(payload_type):
                return codec.payload_type
        return None

    def red_for(self, payload_type: int) -> int | None:
        """The payload type that carries `payload_type` redundantly (RFC 2198)."""
        for codec in self.offered_codecs():
            carried = next(iter(codec.fmtp), "").split("/")
            if codec.name == "red" and codec.clock_rate == 48_000 and set(carried) == {str(payload_type)}:
                return codec.payload_type
        return None

    @property
    def rejected(self) -> bool:
        return self.port == 0


@dataclass(slots=True)
class Description:
    sections: list[Section]
    bundle: tuple[str, ...]
    ice_lite: bool
    most_bps: int | None = None

    def transport_section(self) -> Section:
        """The section whose ICE and DTLS attributes count for the whole bundle (RFC 9143: the tagged one)."""
        for section in self.sections:
            if self.bundle and section.mid == self.bundle[0]:
                return section
        return next(section for section in self.sections if not section.rejected)

    def candidates(self) -> list[Candidate]:
        """All candidates of the bundle: some servers write them in one section, some in each."""
        found: dict[tuple[str, int], Candidate] = {}
        for section in self.sections:
            for candidate in section.candidates:
                found.setdefault((candidate.host, candidate.port), candidate)
        return list(found.values())[:MAX_CANDIDATES]


def parse(text: str) -> Description:
    """Read a session description. Raises NegotiationFailed, and nothing else, for whatever is wrong with it."""
    if len(text) > MAX_LENGTH:
        raise NegotiationFailed(f"the far end's session description is too long ({len(text)} characters)")
    session: list[str] = []
    sections: list[list[str]] = []
    for raw in text.replace("\r\n", "\n").split("\n"):
        line = raw.strip()
        if line.startswith("m="):
            sections.append([line])
        elif line:
            (sections[-1] if sections else session).append(line)
    if not session or session[0] != "v=0" or not sections:
        raise NegotiationFailed("the far end sent something that is not a session description")
    if len(sections) > MAX_SECTIONS:
        raise NegotiationFailed(f"the far end's session description has {len(sections)} media sections")
    try:
        bundle = next((line.split()[1:] for line in session if line.startswith("a=group:BUNDLE")), [])
        ice_lite = "a=ice-lite" in session
        shared = [line for line in session if line.startswith(_SHARED)]
        parsed = [_section(lines, shared) for lines in sections]
        most_bps = _bandwidth(session)
    except (ValueError, IndexError) as error:
        raise NegotiationFailed(f"the far end's session description is malformed: {error}") from error
    return Description(parsed, tuple(bundle), ice_lite, most_bps)


def _bandwidth(lines: list[str]) -> int | None:
    """What b=AS (kilobits, RFC 8866 section 5.8) or, more exact, b=TIAS (bits, RFC 3890) allow; 0 says nothing."""
    found: dict[str, int] = {}
    for line in lines:
        kind, colon, value = line.removeprefix("b=").partition(":")
        if line.startswith("b=") and colon and kind in ("AS", "TIAS"):
            found[kind] = _number(value.strip(), 4_000_000_000) * (1000 if kind == "AS" else 1)
    return found.get("TIAS") or found.get("AS") or None


def _number(text: str, highest: int) -> int:
    # int() would take "١٢", "1_0" and " 1", and very long digits cost time.
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or int(text) > highest:
        raise ValueError(f"{text[:32]!r} is not a number up to {highest}")
    return int(text)


def _section(lines: list[str], shared: list[str]) -> Section:
    """`shared`: the session's lines that stand for every section that has none of its own."""
    kind, port, profile, *formats = lines[0][2:].split()
    if not formats or len(formats) > 128:
        raise ValueError("a media section lists no formats, or too many")
    section = Section(kind, _number(port.partition("/")[0], 65535), profile, tuple(formats))
    own_fingerprint = any(line.startswith("a=fingerprint:") for line in lines)
    notes: dict[int, dict[str, str]] = {}
    feedback: dict[str, set[str]] = {}
    inherited = [line for line in shared if not (own_fingerprint and line.startswith("a=fingerprint:"))]
    for line in (*inherited, *lines[1:]):
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            _attribute(section, name, value, notes, feedback)
    section.most_bps = _bandwidth(lines)
    for number, codec in section.codecs.items():
        said = feedback.get(str(number), set()) | feedback.get("*", set())
        section.codecs[number] = Codec(
            number, codec.name, codec.clock_rate, codec.channels, notes.get(number, {}), frozenset(said)
        )
    return section


_SHARED = ("a=ice-", "a=fingerprint:", "a=setup:", *(f"a={direction}" for direction in DIRECTIONS))


def _attribute(
    section: Section, name: str, value: str, notes: dict[int, dict[str, str]], feedback: dict[str, set[str]]
) -> None:
    if name in DIRECTIONS:
        section.direction = name
    match name:
        case "mid":
            if not _TOKEN.fullmatch(value):
                raise ValueError("a=mid is not a token")
            section.mid = value
        case "rtcp-mux":
            section.rtcp_mux = True
        case "ice-ufrag" | "ice-pwd":
            if not _ICE_WORD.fullmatch(value):
                raise ValueError(f"a={name} is not a word of 1 to 256 letters")
            if name == "ice-ufrag":
                section.ufrag = value
            else:
                section.password = value
        case "setup":
            section.setup = value
        case "fingerprint":
            method, digest = value.split()
            length = FINGERPRINT_HASHES.get(method.lower())
            if length is not None:  # others are ignored, as RFC 8122 asks
                if not _HEX_PAIRS.fullmatch(digest) or len(digest) != 3 * length - 1:
                    raise ValueError("a=fingerprint is not as long as its hash")
                if len(section.fingerprints) < MAX_FINGERPRINTS:
                    section.fingerprints.append((method.lower(), digest.upper()))
        case "candidate":
            candidate = _candidate(value)
            if candidate is not None and len(section.candidates) < MAX_CANDIDATES:
                section.candidates.append(candidate)
        case "rtpmap":
            number, encoding = value.split(None, 1)
            encoded, rate, *channels = encoding.split("/")
            payload_type = _number(number, 127)
            if not _TOKEN.fullmatch(encoded):
                raise ValueError("a=rtpmap names no codec")
            section.codecs[payload_type] = Codec(
                payload_type, encoded.lower(), _number(rate, 1_000_000), _number(channels[0], 255) if channels else 1
            )
        case "fmtp":
            number, _, pairs = value.partition(" ")
            split = (pair.strip().partition("=") for pair in pairs.split(";"))
            notes[_number(number, 127)] = {key.lower(): text for key, _, text in split if key}
        case "rtcp-fb":
            number, _, what = value.partition(" ")
            feedback.setdefault(number, set()).add(" ".join(what.split()))
        case "extmap":
            number, uri, *_ = value.split()
            section.extensions.setdefault(uri, _number(number.partition("/")[0], 65535))
        case "ssrc":
            ssrc = _number(value.split()[0], 0xFFFFFFFF)
            if ssrc not in section.ssrcs and len(section.ssrcs) < MAX_CANDIDATES:
                section.ssrcs.append(ssrc)
        case "ssrc-group":
            semantics, *members = value.split()
            if semantics == "FID" and len(members) == 2:
                section.rtx_ssrcs[_number(members[0], 0xFFFFFFFF)] = _number(members[1], 0xFFFFFFFF)


def _candidate(value: str) -> Candidate | None:
    """None: a candidate we cannot use (TCP, RTCP component, a host name), which RFC 8839 lets us ignore."""
    foundation, component, transport, priority, host, port, _, kind, *_ = value.split()
    if transport.lower() != "udp" or component != "1" or kind not in ("host", "srflx", "relay"):
        return None
    if not host.endswith(".local"):
        try:
            host = str(ipaddress.ip_address(host))
        except ValueError:
            return None
    number = _number(port, 65535)
    if number == 0:
        return None
    return Candidate(foundation[:32], _number(priority, 0xFFFFFFFF), host[:255], number, kind)
