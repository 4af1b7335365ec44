"""What we read in session descriptions, what we choose from them, and that no text can hurt."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import NegotiationFailed
from appliance.rtp import negotiation, sdp, sdp_text
from appliance.rtp.negotiation import check_answer, choose_sections, offered_section
from appliance.rtp.peer import IceConfig, Peer
from appliance.rtp.sdp import Candidate
from appliance.rtp.sdp_text import LocalTransport

from .rtp_sdps import CHROMIUM, GSTREAMER, WERIFT

TRANSPORT = LocalTransport(
    "ufra",
    "p" * 24,
    (Candidate("1", 2130706431, "192.0.2.1", 4000, "host"),),
    (("sha-256", ":".join(["AB"] * 32)),),
    "",
)


def offered(direction: str = "sendonly") -> tuple[sdp_text.LocalSection, ...]:
    return (offered_section("audio", "0", direction, 10, 0), offered_section("video", "1", direction, 20, 21))


def answer_to(direction: str = "sendonly") -> str:
    """A far end's good answer to our offer: ours, turned round."""
    text = sdp_text.write(TRANSPORT, offered(direction), session_id=1, stream="s", bundle=True, offer=False)
    return text.replace(f"a={direction}", f"a={negotiation.OPPOSITE[direction]}").replace("a=setup:", "a=setup:passive")


def test_a_good_answer_agrees_on_opus_and_h264_with_repair() -> None:
    agreed = check_answer(offered(), sdp.parse(answer_to()))
    assert (agreed["audio"].codec.name, agreed["audio"].codec.payload_type) == ("opus", 111)
    assert (agreed["video"].codec.name, agreed["video"].codec.payload_type, agreed["video"].rtx) == ("h264", 102, 103)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("m=video 9 ", "m=video 0 ", "refuses our picture"),
        ("m=audio 9 ", "m=audio 0 ", "refuses our sound"),
        ("a=recvonly", "a=inactive", "inactive"),
        ("a=recvonly", "a=sendonly", "sendonly"),
        ("a=group:BUNDLE 0 1", "a=group:BUNDLE 0", "bundle"),
        ("a=rtcp-mux\r\n", "", "multiplex"),
        ("a=setup:passive", "a=setup:actpass", "DTLS"),
        ("a=setup:passive", "a=setup:holdconn", "DTLS"),
        ("a=mid:1", "a=mid:7", "instead of"),
        ("H264/90000", "VP8/90000", "vp8"),
        ("opus/48000/2", "PCMU/8000", "pcmu"),
        ("packetization-mode=1", "packetization-mode=0", "mode 0"),
        ("SAVPF 102 103", "SAVPF 98", "no codec"),
    ],
)
def test_an_answer_that_would_hold_half_a_session_is_refused_in_words(old: str, new: str, words: str) -> None:
    text = answer_to()
    assert old in text
    with pytest.raises(NegotiationFailed, match=words):
        check_answer(offered(), sdp.parse(text.replace(old, new)))


@pytest.mark.parametrize(
    ("drop", "words"),
    [("a=ice-ufrag", "ICE credentials"), ("a=fingerprint", "fingerprint"), ("a=candidate", "network address")],
)
def test_an_answer_without_a_transport_is_refused_in_words(drop: str, words: str) -> None:
    lines = [line for line in answer_to().splitlines() if not line.startswith(drop)]
    with pytest.raises(NegotiationFailed, match=words):
        negotiation.check_transport(sdp.parse("\n".join(lines)))


def test_an_answer_with_fewer_sections_is_refused() -> None:
    head, audio, _ = answer_to().split("m=")
    with pytest.raises(NegotiationFailed, match="media sections"):
        check_answer(offered(), sdp.parse(f"{head}m={audio}"))


def test_transport_attributes_of_the_session_level_count() -> None:
    """Some servers write ICE and DTLS attributes once, above the media sections."""
    lines = answer_to().splitlines()
    moved = [line for line in dict.fromkeys(lines) if line.startswith(("a=ice-", "a=fingerprint", "a=setup"))]
    rest = [line for line in lines if line not in moved]
    tagged = negotiation.check_transport(sdp.parse("\n".join([*rest[:4], *moved, "a=ice-lite", *rest[4:]])))
    assert (tagged.ufrag, tagged.setup, len(tagged.fingerprints)) == ("ufra", "passive", 1)


def test_candidates_in_one_section_only_are_found() -> None:
    head, audio, video = answer_to().split("m=")
    video = "".join(line for line in video.splitlines(keepends=True) if "candidate" not in line)
    assert [c.host for c in sdp.parse(f"{head}m={audio}m={video}").candidates()] == ["192.0.2.1"]


def test_chromiums_offer_gets_h264_in_mode_1_and_opus() -> None:
    taken = choose_sections(sdp.parse(CHROMIUM), "recvonly")
    assert (taken[0].codec.payload_type, taken[1].codec.payload_type, taken[1].rtx) == (111, 109, 114)
    text = sdp_text.lines_of(negotiation.answered_section(taken[1], "recvonly", 1, 2), TRANSPORT, "s", offer=False)
    assert "m=video 9 UDP/TLS/RTP/SAVPF 109 114" in text
    assert "a=rtcp-fb:109 transport-cc" not in text
    assert "a=rtcp-fb:109 goog-remb" in text
    assert "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time" in text
    assert not any("toffset" in line for line in text)


def test_redundant_audio_is_taken_where_both_ends_know_it() -> None:
    taken = choose_sections(sdp.parse(CHROMIUM), "recvonly")
    assert taken[0].red == 63
    text = sdp_text.lines_of(negotiation.answered_section(taken[0], "recvonly", 1, 2), TRANSPORT, "s", offer=False)
    assert {"m=audio 9 UDP/TLS/RTP/SAVPF 111 63", "a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111"} <= set(text)
    # An offer may prefer it; what it carries is Opus all the same.
    assert check_answer(offered(), sdp.parse(answer_to()))["audio"].red == 63
    without = choose_sections(sdp.parse(CHROMIUM.replace("111/111", "9/9")), "recvonly")
    assert without[0].red is None


def test_transport_cc_is_offered_for_sound_and_picture_and_agreed_on_with_its_number() -> None:
    text = sdp_text.write(TRANSPORT, offered(), session_id=1, stream="s", bundle=True, offer=True)
    assert text.count("transport-wide-cc-extensions-01\r\n") == text.count(" transport-cc\r\n") == 2
    for agreed in check_answer(offered(), sdp.parse(answer_to())).values():
        assert "transport-cc" in negotiation.common_feedback(agreed.section, agreed.codec)
        assert negotiation.common_extensions(agreed.section, agreed.codec)[sdp.TRANSPORT_CC_URI] == 4


@pytest.mark.parametrize("missing", ["a=extmap:4 ", "a=rtcp-fb:111 transport-cc", "a=rtcp-fb:102 transport-cc"])
def test_half_of_transport_cc_is_none_of_it(missing: str) -> None:
    text = "\r\n".join(line for line in answer_to().split("\r\n") if not line.startswith(missing))
    found = check_answer(offered(), sdp.parse(text))
    without = "audio" if "111" in missing else "video"
    agreed = found[without]
    assert "transport-cc" not in negotiation.common_feedback(agreed.section, agreed.codec)
    assert (
        sdp.TRANSPORT_CC_URI not in negotiation.common_extensions(agreed.section, agreed.codec) or "extmap" in missing
    )


def test_feedback_for_all_codecs_at_once_counts() -> None:
    text = answer_to().replace("a=rtcp-fb:102 transport-cc", "a=rtcp-fb:* transport-cc")
    agreed = check_answer(offered(), sdp.parse(text))["video"]
    assert "transport-cc" in negotiation.common_feedback(agreed.section, agreed.codec)


def test_chromiums_sound_is_answered_with_transport_cc() -> None:
    taken = choose_sections(sdp.parse(CHROMIUM), "recvonly")
    text = sdp_text.lines_of(negotiation.answered_section(taken[0], "recvonly", 1, 2), TRANSPORT, "s", offer=False)
    assert "a=rtcp-fb:111 transport-cc" in text
    assert f"a=extmap:3 {sdp.TRANSPORT_CC_URI}" in text


@pytest.mark.parametrize(
    ("session", "video", "session_bps", "video_bps"),
    [
        ("", "", None, None),
        ("b=AS:512", "", 512_000, None),
        ("", "b=AS:384", None, 384_000),
        ("", "b=AS:384\r\nb=TIAS:350000", None, 350_000),
        ("b=CT:900", "b=RR:0", None, None),
        ("", "b=AS:0", None, None),
    ],
)
def test_the_bandwidth_that_a_description_allows_is_read(
    session: str, video: str, session_bps: int | None, video_bps: int | None
) -> None:
    head, audio, picture = answer_to().split("m=")
    head += f"{session}\r\n" if session else ""
    line, rest = picture.split("\r\n", 1)
    picture = "\r\n".join((line, *([video] if video else []), rest))
    answer = sdp.parse("m=".join((head, audio, picture)))
    assert (answer.most_bps, answer.sections[1].most_bps) == (session_bps, video_bps)


def test_a_bandwidth_that_is_no_number_ends_the_negotiation() -> None:
    with pytest.raises(NegotiationFailed, match="malformed"):
        sdp.parse(answer_to().replace("a=mid:1", "b=AS:viel\r\na=mid:1"))


def test_gstreamers_offer_is_taken_though_a_bundled_section_has_port_0() -> None:
    taken = choose_sections(sdp.parse(GSTREAMER), "recvonly")
    assert [(index, agreed.codec.name) for index, agreed in taken.items()] == [(0, "h264"), (1, "opus")]


def test_werifts_offer_is_taken_without_its_data_channel() -> None:
    taken = choose_sections(sdp.parse(WERIFT), "sendonly")
    assert [(i, agreed.codec.name, agreed.codec.payload_type) for i, agreed in taken.items()] == [
        (0, "h264", 97),
        (1, "opus", 98),
    ]
    refused = negotiation.refused_section(sdp.parse(WERIFT).sections[2])
    lines = sdp_text.lines_of(refused, TRANSPORT, "s", offer=False)
    assert lines[0] == "m=application 0 UDP/DTLS/SCTP webrtc-datachannel"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("a=recvonly", "a=sendonly", "neither"),
        ("H264", "VP9", None),
        ("a=group:BUNDLE 0 1 2", "a=group:LS 0 1", "bundle"),
        ("a=rtcp-mux", "a=x", "multiplex"),
    ],
)
def test_an_offer_is_answered_with_what_we_have_or_refused_in_words(old: str, new: str, words: str | None) -> None:
    offer = sdp.parse(WERIFT.replace(old, new))
    if words is None:
        assert [agreed.codec.name for agreed in choose_sections(offer, "sendonly").values()] == ["opus"]
    else:
        with pytest.raises(NegotiationFailed, match=words):
            choose_sections(offer, "sendonly")


def test_a_unit_takes_a_whole_offer_or_none() -> None:
    """Half a session would look like a meeting to one side only."""
    for codec, words in (("H264", "H.264"), ("OPUS", "Opus")):
        with pytest.raises(NegotiationFailed, match=words):
            choose_sections(sdp.parse(WERIFT.replace(codec, "VP9")), "sendonly", whole=True)
    assert len(choose_sections(sdp.parse(WERIFT), "sendonly", whole=True)) == 2


def test_an_answer_may_number_the_codecs_as_it_likes() -> None:
    text = answer_to().replace("UDP/TLS/RTP/SAVPF 102 103", "UDP/TLS/RTP/SAVPF 96 97")
    for old, new in ((":102 ", ":96 "), (":103 ", ":97 "), ("apt=102", "apt=96")):
        text = text.replace(old, new)
    agreed = check_answer(offered(), sdp.parse(text))
    assert (agreed["video"].codec.payload_type, agreed["video"].rtx) == (96, 97)


def test_only_what_sends_promises_to_heed_remb() -> None:
    sending, receiving = (offered_section("video", "1", direction, 1, 2) for direction in ("sendonly", "recvonly"))
    assert "goog-remb" in sending.codecs[0].feedback
    assert "goog-remb" not in receiving.codecs[0].feedback


def test_a_section_s_own_fingerprint_stands_for_any_number_of_the_session_s() -> None:
    fingerprint = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
    session = "\r\n".join(["v=0", *[fingerprint] * 380, *["a=ice-ufrag:abcd"] * 1000])
    section = "\r\nm=video 9 UDP/TLS/RTP/SAVPF 96" + f"\r\n{fingerprint}"
    text = session + section * 8
    assert len(text) < sdp.MAX_LENGTH
    parsed = sdp.parse(text)
    assert all(len(section.fingerprints) == 1 for section in parsed.sections)


def test_a_codec_name_that_is_no_token_is_malformed() -> None:
    with pytest.raises(NegotiationFailed, match="malformed"):
        sdp.parse(answer_to().replace("H264", "H\x1b[31m264"))


def test_useless_candidates_are_ignored() -> None:
    text = answer_to().replace(
        "a=end-of-candidates",
        "a=candidate:2 2 udp 1 192.0.2.2 4001 typ host\r\na=candidate:3 1 tcp 1 192.0.2.3 9 typ host tcptype active\r\n"
        "a=candidate:4 1 udp 1 mcu.example 4002 typ host\r\n"
        "a=candidate:5 1 udp 1 2001:db8::1 4003 typ srflx raddr :: rport 0",
    )
    assert [c.host for c in sdp.parse(text).candidates()] == ["192.0.2.1", "2001:db8::1"]


@pytest.mark.parametrize(
    "text", ["", "\0", "v=0", "v=1\r\nm=audio 9 X 0", "<html>busy</html>", "v=0\r\n" + "m=a 1 b c\r\n" * 99]
)
def test_what_is_no_session_description_is_refused(text: str) -> None:
    with pytest.raises(NegotiationFailed):
        sdp.parse(text)


def test_a_huge_description_is_refused_at_once() -> None:
    with pytest.raises(NegotiationFailed, match="too long"):
        sdp.parse("v=0\r\n" + "a=x\r\n" * 1_000_000)


@st.composite
def spoiled(draw: st.DrawFn, texts: tuple[str, ...]) -> str:
    lines = draw(st.sampled_from(texts)).split("\r\n")
    for _ in range(draw(st.integers(1, 6))):
        index = draw(st.integers(0, len(lines) - 1))
        match draw(st.integers(0, 6)):
            case 0:
                del lines[index]
                lines = lines or [""]
            case 1:
                lines.insert(draw(st.integers(0, len(lines))), lines[index])
            case 2:
                lines[index] = lines[index][: draw(st.integers(0, 40))]
            case 3:
                lines[index] += draw(st.text(max_size=20))
            case 4:
                at = draw(st.integers(0, len(lines[index])))
                lines[index] = lines[index][:at] + draw(st.characters()) + lines[index][at + 1 :]
            case 5:
                lines[index] = lines[index].replace(draw(st.sampled_from(" :/;=0")), draw(st.text(max_size=3)))
            case _:
                number = draw(st.sampled_from(("99999999999999999999999", "-1", "٣", "1_0", "0x1f", "")))
                lines[index] = lines[index].replace("1", number)
    return "\r\n".join(lines)


@settings(max_examples=400)
@given(spoiled((answer_to(),)))
def test_no_answer_ends_in_anything_but_an_agreement_or_a_refusal(text: str) -> None:
    try:
        answer = sdp.parse(text)
        assert set(check_answer(offered(), answer)) == {"audio", "video"}
        negotiation.check_transport(answer)
    except NegotiationFailed:
        pass


async def accept(text: str) -> None:
    peer = Peer(IceConfig(), loopback=True)
    try:
        peer.add_senders()
        await peer.create_offer()
        await peer.accept_answer(text)
    except NegotiationFailed:
        pass
    finally:
        await peer.close()


async def answer(text: str) -> None:
    peer = Peer(IceConfig(), loopback=True)
    try:
        reply = await peer.answer(text, direction="receive")
        assert len(sdp.parse(reply).sections) == len(sdp.parse(text).sections)
        await asyncio.sleep(0)
    except NegotiationFailed:
        pass
    finally:
        await peer.close()


FEWER = settings(max_examples=60)


@FEWER
@given(spoiled((answer_to(),)))
def test_a_peer_survives_every_answer(text: str) -> None:
    asyncio.run(accept(text))


@FEWER
@given(spoiled((CHROMIUM, GSTREAMER)))
def test_a_peer_survives_every_offer(text: str) -> None:
    asyncio.run(answer(text))
