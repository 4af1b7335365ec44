"""A whole session with an unmodified aiortc at the other end: real offers, real ICE and DTLS, real media."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import aioice.ice
import pytest

from appliance.errors import MediaLost, NegotiationFailed
from appliance.media.values import BLOCK_NS, SILENCE, AudioBlock, EncodedFrame
from appliance.settings import Settings
from appliance.uplink.factory import open_session
from appliance.uplink.session import Session

from .whip_endpoint import meeting
from .whip_fakes import Heard
from .whip_stock import StockMcu, encoded_frames

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:aiortc")


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stock peer gathers no loopback addresses by itself; a test machine may have no others."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])


@pytest.fixture(scope="module")
def footage() -> list[EncodedFrame]:
    return encoded_frames(60)


class Running:
    def __init__(self, mcu: StockMcu) -> None:
        self.heard = Heard()
        config = meeting(mcu.server.url("/whip"), mcu.server.url("/whep"))
        self.session: Session = open_session(config, Settings(), self.heard)
        self.job = asyncio.ensure_future(self.session.run())

    async def live(self) -> None:
        waiting = asyncio.ensure_future(self.heard.live.wait())
        await asyncio.wait((waiting, self.job), return_when=asyncio.FIRST_COMPLETED, timeout=8)
        waiting.cancel()
        if self.job.done():
            self.job.result()
        assert self.heard.live.is_set()


@asynccontextmanager
async def running(mcu: StockMcu) -> AsyncIterator[Running]:
    current = Running(mcu)
    try:
        yield current
    finally:
        current.job.cancel()
        await asyncio.wait((current.job,))


async def send(session: Session, footage: list[EncodedFrame]) -> None:
    """Send footage and silence at their own pace, until cancelled."""
    begun = time.monotonic_ns()
    for number in range(10_000):
        frame = footage[number % len(footage)]
        now = time.monotonic_ns()
        session.send_video(EncodedFrame(frame.data, now, frame.is_keyframe))
        for _ in range(2 - number % 2):
            session.send_audio(AudioBlock(SILENCE, now))
        await asyncio.sleep(max(0.0, (begun + (number + 1) * 33_333_333 - time.monotonic_ns()) / 1e9))


async def test_picture_and_sound_flow_both_ways(footage: list[EncodedFrame]) -> None:
    async with StockMcu() as mcu, running(mcu) as now:
        await now.live()
        sending = asyncio.ensure_future(send(now.session, footage))
        try:
            received = {track.kind: await track.recv() for track in [await mcu.tracks.get(), await mcu.tracks.get()]}
            assert set(received) == {"audio", "video"}
            assert (received["video"].width, received["video"].height) == (320, 240)
            async with asyncio.timeout(5):
                while not now.heard.frames or now.session.pull_audio(time.monotonic_ns() + BLOCK_NS) is None:
                    await asyncio.sleep(0.02)
            assert now.heard.frames[0].is_keyframe
            numbers = now.session.numbers()
            assert numbers["far_frames"] == len(now.heard.frames)
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending
    assert sorted(request.path for request in mcu.server.seen("DELETE")) == ["/s/whep", "/s/whip"]


def media_sections(sdp: str) -> list[str]:
    return ["m=" + section for section in sdp.split("\r\nm=")[1:]]


async def test_the_offers_are_what_the_standards_ask_for() -> None:
    async with StockMcu() as mcu, running(mcu) as now:
        await now.live()
        for name, direction in (("whip", "sendonly"), ("whep", "recvonly")):
            offer = mcu.offers[name]
            sections = media_sections(offer)
            assert sorted(section[2:7] for section in sections) == ["audio", "video"]
            mids = [line[6:] for line in offer.split("\r\n") if line.startswith("a=mid:")]
            assert f"a=group:BUNDLE {' '.join(mids)}" in offer
            assert "a=ice-lite" not in offer
            streams = set()
            for section in sections:
                lines = section.split("\r\n")
                assert {f"a={direction}", "a=rtcp-mux", "a=rtcp-mux-only", "a=setup:actpass"} <= set(lines)
                assert "a=end-of-candidates" in lines
                assert any(line.startswith("a=candidate:") for line in lines)
                streams |= {line[7:].split()[0] for line in lines if line.startswith("a=msid:")}
            assert len(streams) == (1 if name == "whip" else 0)


@pytest.mark.parametrize("setup", ["active", "passive"])
async def test_an_answer_may_start_dtls_or_leave_it_to_us(setup: str) -> None:
    async with StockMcu() as mcu:
        if setup == "passive":
            mcu.mangle_offer = lambda sdp: sdp.replace("a=setup:actpass", "a=setup:active")
        mcu.mangle = lambda sdp: sdp if f"a=setup:{setup}" in sdp else "the stock peer chose otherwise"
        async with running(mcu) as now:
            await now.live()


async def test_an_ice_lite_answer_connects() -> None:
    async with StockMcu() as mcu:
        mcu.mangle = lambda sdp: sdp.replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n")
        async with running(mcu) as now:
            await now.live()


async def test_an_answer_with_bare_line_feeds_connects() -> None:
    async with StockMcu() as mcu:
        mcu.mangle = lambda sdp: sdp.replace("\r\n", "\n")
        async with running(mcu) as now:
            await now.live()


async def test_each_try_makes_a_new_offer() -> None:
    words = set()
    async with StockMcu() as mcu:
        for _ in range(2):
            async with running(mcu) as now:
                await now.live()
                assert now.session.numbers()["link_in_path"] == "host"
            words |= set(re.findall(r"a=ice-pwd:(\S+)", mcu.offers["whip"] + mcu.offers["whep"]))
    assert len(words) == 4


def without_candidates(sdp: str) -> str:
    return "\r\n".join(line for line in sdp.split("\r\n") if not line.startswith("a=candidate"))


SPOILERS: dict[str, Callable[[str], str]] = {
    "inactive": lambda sdp: sdp.replace("a=recvonly", "a=inactive").replace("a=sendonly", "a=inactive"),
    "wrong direction": lambda sdp: (
        sdp.replace("a=recvonly", "a=X").replace("a=sendonly", "a=recvonly").replace("a=X", "a=sendonly")
    ),
    "video refused": lambda sdp: re.sub(r"m=video \d+ ", "m=video 0 ", sdp),
    "no candidates": without_candidates,
    "another codec": lambda sdp: sdp.replace("H264/90000", "VP8/90000"),
    "no fingerprint": lambda sdp: sdp.replace("a=fingerprint", "a=x-fingerprint"),
    "half of it": lambda sdp: sdp[: len(sdp) // 2],
    "not SDP": lambda _: "<html>welcome</html>",
    "empty": lambda _: "",
    "zeros": lambda sdp: sdp.replace("a=ice-ufrag", "a=ice-ufrag:\0\r\na=x"),
}


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS.keys())
async def test_an_answer_that_cannot_carry_a_meeting_is_one_clear_error(spoil: Callable[[str], str]) -> None:
    async with StockMcu() as mcu:
        mcu.mangle = spoil
        async with running(mcu) as now:
            with pytest.raises(NegotiationFailed) as caught:
                await now.live()
            assert caught.value.problem == "mcu-answer"
            assert not now.heard.live.is_set()
        assert mcu.server.seen("DELETE")


async def test_a_counter_offer_is_answered_and_brings_picture_and_sound() -> None:
    async with StockMcu() as mcu:
        mcu.insists = True
        async with running(mcu) as now:
            await now.live()
            async with asyncio.timeout(5):
                while not now.heard.frames:
                    await asyncio.sleep(0.02)
        assert mcu.offers["patched"].count("a=recvonly") == 2


@pytest.mark.parametrize("leg", ["whip", "whep"])
async def test_an_mcu_that_ends_a_connection_is_noticed_at_once(leg: str) -> None:
    async with StockMcu() as mcu, running(mcu) as now:
        await now.live()
        begun = time.monotonic()
        await mcu.peers[leg].close()
        with pytest.raises(MediaLost):
            async with asyncio.timeout(8):
                await now.job
        assert time.monotonic() - begun < 1.5


async def test_a_session_with_real_peers_leaves_no_task_behind() -> None:
    async with StockMcu() as mcu:
        before = asyncio.all_tasks()
        for _ in range(2):
            async with running(mcu) as now:
                await now.live()
            await asyncio.gather(*(peer.close() for peer in mcu.peers.values()))
        left = [task for task in asyncio.all_tasks() - before if "appliance" in repr(task)]
        assert left == []
