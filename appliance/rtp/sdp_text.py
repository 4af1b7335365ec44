"""Write what we describe (RFC 8866, RFC 8829): one transport for all sections, RTP and RTCP on one port."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from .sdp import Candidate, Codec


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """What we say of our ICE agent and our certificate."""

    ufrag: str
    password: str
    candidates: tuple[Candidate, ...]
    fingerprints: tuple[tuple[str, str], ...]
    setup: str


@dataclass(frozen=True, slots=True)
class LocalSection:
    """One m= section as we write it. `codecs` empty: refused (port 0)."""

    kind: str
    mid: str
    direction: str
    codecs: tuple[Codec, ...]
    extensions: dict[str, int] = field(default_factory=dict)
    ssrc: int = 0
    rtx_ssrc: int = 0
    track: str = ""
    profile: str = "UDP/TLS/RTP/SAVPF"
    formats: tuple[str, ...] = ()


def write(
    transport: LocalTransport,
    sections: Iterable[LocalSection],
    *,
    session_id: int,
    stream: str,
    bundle: bool,
    offer: bool,
) -> str:
    """The text of our description: one transport for all sections (max-bundle), RTP and RTCP on one port."""
    sections = tuple(sections)
    accepted = " ".join(section.mid for section in sections if section.codecs)
    lines = [
        "v=0",
        f"o=- {session_id} 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        *((f"a=group:BUNDLE {accepted}",) if bundle else ()),
        f"a=msid-semantic: WMS {stream}",
    ]
    for section in sections:
        lines += lines_of(section, transport, stream, offer=offer)
    return "\r\n".join(lines) + "\r\n"


def lines_of(section: LocalSection, transport: LocalTransport, stream: str, *, offer: bool) -> list[str]:
    if not section.codecs:
        mid = [f"a=mid:{section.mid}"] if section.mid else []
        head = f"m={section.kind} 0 {section.profile} {' '.join(section.formats)}"
        return [head, "c=IN IP4 0.0.0.0", "a=inactive", *mid]
    numbers = " ".join(str(codec.payload_type) for codec in section.codecs)
    lines = [
        f"m={section.kind} 9 {section.profile} {numbers}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{section.mid}",
        f"a={section.direction}",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=rtcp-mux",
    ]
    if offer:
        lines.append("a=rtcp-mux-only")
    lines += [f"a=extmap:{number} {uri}" for uri, number in section.extensions.items()]
    if section.direction == "sendonly":
        lines.append(f"a=msid:{stream} {section.track}")
    for codec in section.codecs:
        channels = f"/{codec.channels}" if codec.channels > 1 else ""
        lines.append(f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.clock_rate}{channels}")
        lines += [f"a=rtcp-fb:{codec.payload_type} {what}" for what in sorted(codec.feedback)]
        if codec.fmtp:
            lines.append(
                f"a=fmtp:{codec.payload_type} " + ";".join(f"{k}={v}" if v else k for k, v in codec.fmtp.items())
            )
    if section.direction == "sendonly":
        rtx = any(codec.name == "rtx" for codec in section.codecs)
        if rtx:
            lines.append(f"a=ssrc-group:FID {section.ssrc} {section.rtx_ssrc}")
        for ssrc in (section.ssrc, section.rtx_ssrc) if rtx else (section.ssrc,):
            lines.append(f"a=ssrc:{ssrc} cname:{stream}")
            lines.append(f"a=ssrc:{ssrc} msid:{stream} {section.track}")
    lines += [f"a=ice-ufrag:{transport.ufrag}", f"a=ice-pwd:{transport.password}"]
    lines += [
        f"a=candidate:{c.foundation} 1 udp {c.priority} {c.host} {c.port} typ {c.kind}{_related(c)}"
        for c in transport.candidates
    ]
    lines.append("a=end-of-candidates")
    lines += [f"a=fingerprint:{method} {digest}" for method, digest in transport.fingerprints]
    lines.append(f"a=setup:{transport.setup}")
    return lines


def _related(candidate: Candidate) -> str:
    # RFC 8839 wants the related address; RFC 8828 lets us keep the room's own address to ourselves.
    return "" if candidate.kind == "host" else " raddr 0.0.0.0 rport 9"
