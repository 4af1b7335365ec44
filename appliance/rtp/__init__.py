"""RTP for every driver: packetizing, jitter buffers, Opus, and the peer built on aiortc's ICE and DTLS."""
