"""Decide what a session carries: what our offers and answers say, and whether the far end's answer will do.

We are strict where half a session would result (a refused stream, another codec, a second transport) and lenient where
servers in the wild are sloppy without harm.
"""

import re
from dataclasses import dataclass

from appliance.errors import NegotiationFailed

from .sdp import ABS_SEND_TIME_URI, AUDIO_LEVEL_URI, MID_URI, TRANSPORT_CC_URI, Codec, Description, Section
from .sdp_text import LocalSection

FEEDBACK = {
    "audio": frozenset(("transport-cc",)),
    "video": frozenset(("nack", "nack pli", "ccm fir", "goog-remb", "transport-cc")),
}
H264_RATE = 90_000
OPUS_RATE = 48_000
_OPUS, _RED, _H264, _RTX = 111, 63, 102, 103  # payload types, as browsers number them
# Constrained baseline: what every camera's encoder makes and every MCU takes.
_PROFILE = "42e01f"  # level 3.1: 720p30, which every receiver takes
_PROFILE_TEXT = re.compile(r"[0-9a-fA-F]{6}")
EXTENSIONS = {
    "audio": {MID_URI: 1, AUDIO_LEVEL_URI: 2, TRANSPORT_CC_URI: 4},
    "video": {MID_URI: 1, ABS_SEND_TIME_URI: 3, TRANSPORT_CC_URI: 4},
}
OPPOSITE = {"sendonly": "recvonly", "recvonly": "sendonly"}


@dataclass(frozen=True, slots=True)
class Agreed:
    """The one codec of a stream that both ends said."""

    section: Section
    codec: Codec
    rtx: int | None
    red: int | None = None


def offered_section(
    kind: str, mid: str, direction: str, ssrc: int, rtx_ssrc: int, *, level_idc: int = 31
) -> LocalSection:
    """Our m= section of an offer. `level_idc`: of the pictures that we send (media/h264_level.py)."""
    extensions = EXTENSIONS[kind]
    if kind == "audio":
        opus = Codec(_OPUS, "opus", OPUS_RATE, 2, {"minptime": "10", "useinbandfec": "1"}, FEEDBACK[kind])
        return LocalSection(kind, mid, direction, (opus, _red(_RED, _OPUS)), extensions, ssrc, 0, f"{mid}-audio")
    profile = f"{_PROFILE[:4]}{level_idc:02x}"
    fmtp = {"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": profile}
    # What we do not send (REMB) nobody should wait for.
    feedback = frozenset(what for what in FEEDBACK[kind] if direction != "recvonly" or what != "goog-remb")
    h264 = Codec(_H264, "H264", H264_RATE, 1, fmtp, feedback)
    rtx = Codec(_RTX, "rtx", H264_RATE, 1, {"apt": str(_H264)})
    return LocalSection(kind, mid, direction, (h264, rtx), extensions, ssrc, rtx_ssrc, f"{mid}-video")


def _red(payload_type: int, of: int) -> Codec:
    """Redundant audio (RFC 2198) of the payload type `of`. Second in order: what is sent first goes without it."""
    return Codec(payload_type, "red", OPUS_RATE, 2, {f"{of}/{of}": ""})


def check_transport(description: Description) -> Section:
    """The section that carries the transport, or the reason why no connection can come of it."""
    if all(section.rejected for section in description.sections):
        raise NegotiationFailed("the far end refuses both sound and picture; check the meeting's address and rights")
    tagged = description.transport_section()
    if not tagged.ufrag or not tagged.password:
        raise NegotiationFailed("the far end's session description has no ICE credentials")
    if not tagged.fingerprints:
        raise NegotiationFailed("the far end's session description has no certificate fingerprint (SHA-256 or longer)")
    if not description.candidates():
        raise NegotiationFailed(
            "the far end names no network address (ICE candidate) we can send to; check its address settings"
        )
    return tagged


def check_answer(offered: tuple[LocalSection, ...], answer: Description) -> dict[str, Agreed]:
    """What both ends agreed on, by media kind. Raises NegotiationFailed rather than holding half a session."""
    if [section.kind for section in answer.sections] != [section.kind for section in offered]:
        raise NegotiationFailed("the MCU's answer does not have the media sections of our offer")
    agreed: dict[str, Agreed] = {}
    for ours, theirs in zip(offered, answer.sections, strict=True):
        name = {"audio": "sound", "video": "picture"}[ours.kind]
        if theirs.rejected:
            raise NegotiationFailed(f"the MCU refuses our {name}; check the meeting's settings on the MCU")
        if theirs.mid != ours.mid:
            raise NegotiationFailed(f"the MCU's answer names our {name} {theirs.mid[:32]!r} instead of {ours.mid!r}")
        # sendrecv is more than was offered and harmless: some servers never write a direction.
        if theirs.direction not in (OPPOSITE[ours.direction], "sendrecv"):
            raise NegotiationFailed(
                f"the MCU answers {theirs.direction} for our {name}, which we offered as {ours.direction}"
            )
        if theirs.mid not in answer.bundle:
            raise NegotiationFailed("the MCU does not bundle sound and picture on one transport, which we need")
        if not theirs.rtcp_mux:
            raise NegotiationFailed("the MCU does not multiplex RTP and RTCP on one port, which we need")
        agreed[ours.kind] = _agreed_codec(ours, theirs, name)
    if answer.transport_section().setup not in ("active", "passive"):
        raise NegotiationFailed("the MCU's answer does not say who starts DTLS (a=setup active or passive)")
    return agreed


def _agreed_codec(ours: LocalSection, theirs: Section, name: str) -> Agreed:
    first = next((codec for codec in theirs.offered_codecs() if codec.name not in ("rtx", "red")), None)
    if first is None:
        raise NegotiationFailed(f"the MCU's answer names no codec for our {name}")
    # By name: an answer may number the codecs as it likes (RFC 3264 section 6.1), and its numbers then count.
    if (first.name, first.clock_rate) not in {(codec.name.lower(), codec.clock_rate) for codec in ours.codecs}:
        wanted = "H.264" if ours.kind == "video" else "Opus"
        raise NegotiationFailed(f"the MCU chose the codec {first.name[:32]} for our {name}; it must take {wanted}")
    if ours.kind == "video" and first.fmtp.get("packetization-mode", "1") != "1":
        raise NegotiationFailed("the MCU wants H.264 in packetization mode 0, which we do not send")
    offered = {codec.name for codec in ours.codecs}
    number = first.payload_type
    return Agreed(
        theirs,
        first,
        theirs.rtx_for(number) if "rtx" in offered else None,
        theirs.red_for(number) if "red" in offered else None,
    )


def choose(section: Section) -> Agreed | None:
    """As answerer: the codec of an offered section that we take. None: nothing we speak."""
    name = {"audio": "opus", "video": "h264"}.get(section.kind)
    found = [codec for codec in section.offered_codecs() if codec.name == name]
    if section.kind == "video":
        found = [c for c in found if c.fmtp.get("packetization-mode") == "1" and c.clock_rate == H264_RATE]
        found.sort(key=_profile_rank)  # stable: among equals the offerer's order stands
    else:
        found = [codec for codec in found if codec.clock_rate == OPUS_RATE]
    if not found:
        return None
    number = found[0].payload_type
    return Agreed(section, found[0], section.rtx_for(number), section.red_for(number))


def choose_sections(offer: Description, direction: str, *, whole: bool = False) -> dict[int, Agreed]:
    """As answerer of `direction`: what we take of an offer, by index; the first sound and the first picture.

    `whole`: both, or NegotiationFailed. A meeting of half a session looks held to one side only.
    """
    taken: dict[int, Agreed] = {}
    for index, section in enumerate(offer.sections):
        if section.rejected and section.mid not in offer.bundle:
            continue
        if section.direction not in (OPPOSITE[direction], "sendrecv"):
            continue
        if any(agreed.section.kind == section.kind for agreed in taken.values()):
            continue
        agreed = choose(section)
        if agreed is not None:
            taken[index] = agreed
    if not taken:
        raise NegotiationFailed("the offer has neither H.264 (packetization mode 1) nor Opus in the wanted direction")
    if whole and len(taken) < 2:
        missing = "Opus" if next(iter(taken.values())).section.kind == "video" else "H.264 (packetization mode 1)"
        raise NegotiationFailed(f"the MCU's offer has no {missing} that we could take; check its codecs")
    for agreed in taken.values():
        section = agreed.section
        if not section.mid or not section.rtcp_mux:
            raise NegotiationFailed("the offer must name its sections (a=mid) and multiplex RTCP (a=rtcp-mux)")
        if len(taken) > 1 and section.mid not in offer.bundle:
            raise NegotiationFailed("the offer must bundle sound and picture on one transport (a=group:BUNDLE)")
    return taken


def _profile_rank(codec: Codec) -> int:
    """0: constrained baseline, what we encode; 1: baseline; 2: others, which a decoder of ours reads all the same."""
    profile = _profile(codec)
    if profile.startswith("42"):
        return 0 if int(profile[2:4], 16) & 0x40 else 1
    return 2


def _profile(codec: Codec) -> str:
    profile = codec.fmtp.get("profile-level-id", _PROFILE)
    return profile.lower() if _PROFILE_TEXT.fullmatch(profile) else _PROFILE


def answered_section(agreed: Agreed, direction: str, ssrc: int, rtx_ssrc: int) -> LocalSection:
    """Our m= section in answer to an offered one: their numbers, the one codec, the extensions both know."""
    section, codec = agreed.section, agreed.codec
    feedback = common_feedback(section, codec)
    if section.kind == "video":
        fmtp = {"level-asymmetry-allowed": "1"} if codec.fmtp.get("level-asymmetry-allowed") == "1" else {}
        fmtp |= {"packetization-mode": "1", "profile-level-id": _profile(codec)}
        codecs = [Codec(codec.payload_type, "H264", H264_RATE, 1, fmtp, feedback)]
        if agreed.rtx is not None:
            codecs.append(Codec(agreed.rtx, "rtx", H264_RATE, 1, {"apt": str(codec.payload_type)}))
    else:
        fmtp = {"minptime": "10", "useinbandfec": "1"}
        codecs = [Codec(codec.payload_type, "opus", OPUS_RATE, 2, fmtp, feedback)]
        if agreed.red is not None:
            codecs.append(_red(agreed.red, codec.payload_type))
    return LocalSection(
        section.kind,
        section.mid,
        direction,
        tuple(codecs),
        common_extensions(section, codec),
        ssrc,
        rtx_ssrc,
        f"{section.mid}-{section.kind}",
        section.profile,
    )


def common_feedback(section: Section, codec: Codec) -> frozenset[str]:
    """The RTCP feedback that both ends know. Transport-cc takes its header extension as well."""
    feedback = codec.feedback & FEEDBACK[section.kind]
    return feedback if TRANSPORT_CC_URI in section.extensions else feedback - {"transport-cc"}


def common_extensions(section: Section, codec: Codec) -> dict[str, int]:
    """The header extensions that both ends know. A transport-wide number that nobody reports on is of no use."""
    known = EXTENSIONS[section.kind].keys() - (set() if "transport-cc" in codec.feedback else {TRANSPORT_CC_URI})
    return {uri: number for uri, number in section.extensions.items() if uri in known}


def refused_section(section: Section) -> LocalSection:
    return LocalSection(section.kind, section.mid, "inactive", (), profile=section.profile, formats=section.formats)
