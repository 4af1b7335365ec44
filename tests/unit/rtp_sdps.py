"""Offers as other WebRTC implementations write them, shortened to what matters for choosing."""

_TRANSPORT = """a=ice-ufrag:{ufrag}
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 {print}
a=setup:actpass
"""
_PRINT = ":".join(["4A"] * 32)


def _text(text: str, ufrag: str = "abcd") -> str:
    transport = _TRANSPORT.format(ufrag=ufrag, print=_PRINT)
    return text.replace("@transport\n", transport).replace("\n", "\r\n")


CHROMIUM = _text(
    """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS stream
m=audio 49170 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 192.0.2.1
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1 1 udp 2122260223 192.0.2.1 49170 typ host generation 0 network-id 1
a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0 network-id 1
a=ice-options:trickle
@transport
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:stream audio
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:111111 cname:abc
m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 109 114 35 36
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
@transport
a=mid:1
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:stream video
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 nack
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:103 H264/90000
a=rtcp-fb:103 goog-remb
a=rtcp-fb:103 transport-cc
a=rtcp-fb:103 ccm fir
a=rtcp-fb:103 nack
a=rtcp-fb:103 nack pli
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:104 rtx/90000
a=fmtp:104 apt=103
a=rtpmap:107 H264/90000
a=fmtp:107 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f
a=rtpmap:108 rtx/90000
a=fmtp:108 apt=107
a=rtpmap:109 H264/90000
a=rtcp-fb:109 goog-remb
a=rtcp-fb:109 transport-cc
a=rtcp-fb:109 ccm fir
a=rtcp-fb:109 nack
a=rtcp-fb:109 nack pli
a=fmtp:109 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:114 rtx/90000
a=fmtp:114 apt=109
a=rtpmap:35 H264/90000
a=fmtp:35 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f
a=rtpmap:36 rtx/90000
a=fmtp:36 apt=35
a=ssrc-group:FID 222222 333333
a=ssrc:222222 cname:abc
a=ssrc:333333 cname:abc
"""
)

GSTREAMER = _text(
    """v=0
o=- 6731632152087465486 0 IN IP4 0.0.0.0
s=-
t=0 0
a=ice-options:trickle
a=group:BUNDLE video0 audio1
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
@transport
a=rtcp-mux
a=rtcp-rsize
a=sendonly
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack pli
a=framerate:30
a=fmtp:96 packetization-mode=1;profile-level-id=42c01f;sprop-parameter-sets=Z0LAH9oBQBbsBEAAAAMAQAAADyPGDKg=,aM4PyA==
a=ssrc:1404332142 msid:user17 webrtctransceiver0
a=ssrc:1404332142 cname:user17
a=mid:video0
a=candidate:1 1 UDP 2015363327 192.0.2.7 41234 typ host
m=audio 0 UDP/TLS/RTP/SAVPF 97
c=IN IP4 0.0.0.0
@transport
a=bundle-only
a=rtcp-mux
a=sendonly
a=rtpmap:97 OPUS/48000/2
a=fmtp:97 sprop-maxcapturerate=48000;sprop-stereo=0
a=mid:audio1
"""
)

WERIFT = _text(
    """v=0
o=- 76382910 0 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=extmap-allow-mixed
a=msid-semantic:WMS *
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
@transport
a=candidate:7a 1 udp 2130706431 192.0.2.9 50012 typ host generation 0 ufrag abcd
a=end-of-candidates
a=recvonly
a=mid:0
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtpmap:97 H264/90000
a=rtcp-fb:97 nack
a=rtcp-fb:97 nack pli
a=rtcp-fb:97 goog-remb
a=fmtp:97 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1
m=audio 9 UDP/TLS/RTP/SAVPF 98
c=IN IP4 0.0.0.0
@transport
a=recvonly
a=mid:1
a=rtcp-mux
a=rtpmap:98 OPUS/48000/2
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
@transport
a=mid:2
a=sctp-port:5000
"""
)
