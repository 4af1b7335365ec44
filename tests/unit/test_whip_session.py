"""The driver that joins WHIP and WHEP: when it is live, when it ends, and that it always says goodbye."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp import web

from appliance.errors import CredentialsRejected, MediaLost, NegotiationFailed, Unreachable, UplinkError
from appliance.media.values import SILENCE, AudioBlock, EncodedFrame
from appliance.uplink import watchdog, whip_session
from appliance.uplink.ghosts import Ghosts
from appliance.uplink.http import HttpLimits
from appliance.uplink.line import Line
from appliance.uplink.whip_session import WhipSession

from .whip_endpoint import ANSWER, SDP_TYPE, Reply, ScriptedEndpoint, created, meeting
from .whip_fakes import FakePeer, Heard

KEY = EncodedFrame(b"key", 1, True)
DELTA = EncodedFrame(b"delta", 2, False)


class SilentLine(Line):
    """Nobody answers any knock."""

    async def answers(self, urls: Any, *, refusal_counts: bool = False) -> None:
        await asyncio.Event().wait()


class Call:
    """A session against a scripted server, on peers that the test moves."""

    def __init__(self, server: ScriptedEndpoint, prepare: Callable[[FakePeer], None], line: Line) -> None:
        self.server = server
        self.prepare = prepare
        self.heard = Heard()
        self.peers: list[FakePeer] = []
        self.config = meeting(server.url("/whip"), server.url("/whep"))
        self.ghosts = Ghosts()
        self.session = WhipSession(
            self.config, self.heard, cast("Any", self._make), ghosts=self.ghosts, line=line, limits=HttpLimits(1, 1)
        )
        self.job = asyncio.ensure_future(self.session.run())

    def _make(self, url: str) -> FakePeer:
        peer = FakePeer(url)
        self.prepare(peer)
        self.peers.append(peer)
        return peer

    @property
    def sending(self) -> FakePeer:
        return next(peer for peer in self.peers if peer.url.endswith("/whip"))

    @property
    def receiving(self) -> FakePeer:
        return [peer for peer in self.peers if peer.url.endswith("/whep")][-1]

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(5):
            while not true():
                await asyncio.sleep(0.005)

    async def become_live(self) -> None:
        await self.until(lambda: len(self.peers) == 2)
        self.receiving.video.last_packet_ns = time.monotonic_ns()
        async with asyncio.timeout(5):
            await self.heard.live.wait()

    async def failure(self) -> UplinkError:
        with pytest.raises(UplinkError) as caught:
            async with asyncio.timeout(8):
                await self.job
        return caught.value

    def deleted(self) -> list[str]:
        return sorted(request.path for request in self.server.seen("DELETE"))


@asynccontextmanager
async def call(
    prepare: Callable[[FakePeer], None] = lambda _: None, *, line: Line | None = None, **replies: Any
) -> AsyncIterator[Call]:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", replies.get("whip", created("/s/whip")))
        server.on("POST", "/whep", replies.get("whep", created("/s/whep")))
        for path in ("/s/whip", "/s/whep"):
            server.on("DELETE", path, Reply(200))
        current = Call(server, prepare, line or Line())
        try:
            yield current
        finally:
            current.job.cancel()
            await asyncio.wait((current.job,))
            assert all(peer.closings for peer in current.peers)


@pytest.mark.parametrize("kind", ["video", "audio"])
async def test_the_session_is_live_with_the_far_ends_first_packet_of_either_kind(kind: str) -> None:
    async with call() as now:
        await now.until(lambda: len(now.server.seen("POST")) == 2)
        await asyncio.sleep(0.05)
        assert not now.heard.live.is_set()
        getattr(now.receiving, kind).last_packet_ns = time.monotonic_ns()
        await now.until(now.heard.live.is_set)
    assert now.heard.times_connected == 1


async def test_the_session_is_not_live_while_our_own_media_is_not_accepted() -> None:
    def hold_back(peer: FakePeer) -> None:
        if peer.url.endswith("/whip"):
            peer.may_connect.clear()

    async with call(hold_back) as now:
        await now.until(lambda: len(now.peers) == 2)
        now.receiving.video.last_packet_ns = time.monotonic_ns()
        await asyncio.sleep(0.1)
        assert not now.heard.live.is_set()
        now.sending.may_connect.set()
        await now.until(now.heard.live.is_set)


async def test_leaving_deletes_both_sessions_and_closes_both_peers() -> None:
    async with call() as now:
        await now.become_live()
        now.job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await now.job
        assert now.deleted() == ["/s/whep", "/s/whip"]


async def test_leaving_twice_in_a_row_still_says_goodbye() -> None:
    async with call() as now:
        await now.become_live()
        for _ in range(3):
            now.job.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await now.job
        assert now.deleted() == ["/s/whep", "/s/whip"]


async def test_leaving_while_both_posts_are_on_their_way_deletes_what_they_made() -> None:
    def slow(path: str) -> Any:
        async def answer(_: web.Request) -> web.Response:
            await asyncio.sleep(0.2)  # a server that takes its time
            return web.Response(status=201, headers={**SDP_TYPE, "Location": path}, text=ANSWER)

        return answer

    async with call(whip=slow("/s/whip"), whep=slow("/s/whep")) as now:
        await now.until(lambda: len(now.server.seen("POST")) == 2)
        now.job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await now.job
        assert now.deleted() == ["/s/whep", "/s/whip"]


async def test_leaving_a_server_that_is_frozen_takes_at_most_three_seconds() -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with call() as now:
        now.server.on("DELETE", "/s/whip", never)
        await now.become_live()
        begun = time.monotonic()
        now.job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await now.job
        assert time.monotonic() - begun < 3.0


@pytest.mark.parametrize(("refused", "other"), [("whip", "whep"), ("whep", "whip")])
async def test_when_one_leg_is_refused_the_other_is_deleted(refused: str, other: str) -> None:
    async with call(**{refused: Reply(403)}) as now:
        assert isinstance(await now.failure(), CredentialsRejected)
        assert now.deleted() in ([f"/s/{other}"], [])
        posted = [request.path for request in now.server.seen("POST")]
        assert (f"/{other}" in posted) == (now.deleted() == [f"/s/{other}"])


@pytest.mark.parametrize("leg", ["whip", "whep"])
async def test_an_answer_of_no_use_is_told_and_its_session_deleted(leg: str) -> None:
    def spoil(peer: FakePeer) -> None:
        peer.reject = peer.url.endswith(leg)

    async with call(spoil) as now:
        assert isinstance(await now.failure(), NegotiationFailed)
        assert f"/s/{leg}" in now.deleted()


@pytest.mark.parametrize("leg", ["sending", "receiving"])
async def test_when_the_mcu_closes_either_connection_both_sessions_end_at_once(leg: str) -> None:
    async with call() as now:
        await now.become_live()
        begun = time.monotonic()
        getattr(now, leg).ended.set_result("close_notify")
        error = await now.failure()
        assert isinstance(error, MediaLost)
        assert "close_notify" in str(error)
        assert time.monotonic() - begun < 1
        assert now.deleted() == ["/s/whep", "/s/whip"]


async def test_a_far_end_that_falls_silent_ends_the_session_within_three_seconds() -> None:
    async with call() as now:
        await now.become_live()
        begun = time.monotonic()
        assert "2.25 s" in str(await now.failure())
        assert 2.0 < time.monotonic() - begun < 3.2
        assert now.deleted() == ["/s/whep", "/s/whip"]


async def test_a_far_end_that_answers_and_sends_nothing_is_a_meeting_where_nobody_else_is_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whip_session, "QUIET_S", 0.1)
    async with call() as now:
        await now.until(now.heard.live.is_set)
        await now.until(lambda: now.heard.silences == [True])
        now.receiving.video.last_packet_ns = time.monotonic_ns()
        await now.until(lambda: now.heard.silences == [True, False])
        assert now.heard.times_connected == 1


async def test_a_far_end_that_never_sends_ends_the_session_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "FIRST_PACKET_S", 0.2)
    async with call() as now:
        error = await now.failure()
        assert isinstance(error, MediaLost)
        assert "sends nothing" in str(error)
        assert now.heard.times_connected == 0


@pytest.mark.parametrize("leg", ["sending", "receiving"])
async def test_either_leg_that_no_longer_answers_ends_the_session_within_three_seconds(leg: str) -> None:
    async with call() as now:
        await now.become_live()
        getattr(now, leg).answers = False
        other = now.receiving if leg == "sending" else now.sending
        begun = time.monotonic()

        async def flow() -> None:
            while True:
                other.last_heard_ns = now.receiving.video.last_packet_ns = time.monotonic_ns()
                await asyncio.sleep(0.05)

        flowing = asyncio.ensure_future(flow())
        error = await now.failure()
        flowing.cancel()
        assert isinstance(error, MediaLost)
        assert leg in str(error)
        assert time.monotonic() - begun < 3.2


async def test_before_the_connection_everything_is_dropped_and_counted() -> None:
    async with call() as now:
        now.session.send_video(KEY)
        now.session.send_audio(AudioBlock(SILENCE, 0))
        assert now.session.pull_audio(5) is None
        now.session.request_far_keyframe()
        numbers = now.session.numbers()
        assert (numbers["video_dropped"], numbers["audio_dropped"]) == (1, 1)


async def test_our_picture_begins_with_a_keyframe_that_is_asked_for() -> None:
    async with call() as now:
        await now.become_live()
        assert now.heard.keyframes_wanted == 1
        now.session.send_video(DELTA)
        now.session.send_video(KEY)
        now.session.send_video(DELTA)
        now.session.send_audio(AudioBlock(SILENCE, 7))
        assert now.sending.video.sent == [(KEY,), (DELTA,)]
        ((packet, pts, level),) = now.sending.audio.sent
        assert (len(packet) < 100, pts, level) == (True, 7, -127)
        assert now.session.numbers()["video_dropped"] == 1


async def test_after_the_end_nothing_is_sent_any_more() -> None:
    async with call() as now:
        await now.become_live()
        now.job.cancel()
        await asyncio.wait((now.job,))
        now.session.send_video(KEY)
        assert now.sending.video.sent == []


async def test_requests_and_estimates_of_the_mcu_reach_the_engine_and_ours_reach_the_mcu() -> None:
    async with call() as now:
        await now.become_live()
        before = now.heard.keyframes_wanted
        now.sending.video.keyframe()
        now.sending.video.bandwidth(800_000)
        assert (now.heard.keyframes_wanted, now.heard.bps) == (before + 1, [800_000])
        asked = now.receiving.video.keyframes_asked
        assert asked >= 1  # the first picture is asked for without being told
        now.session.request_far_keyframe()
        assert now.receiving.video.keyframes_asked == asked + 1
        now.receiving.video.frame(KEY)
        assert now.heard.frames == [KEY]
        assert now.session.pull_audio(9) == AudioBlock(b"far", 9)
        assert now.session.numbers()["far_frames"] == 1


async def test_a_counter_offer_is_answered_by_a_second_peer() -> None:
    async with call(whep=Reply(406, {**SDP_TYPE, "Location": "/s/whep"}, "v=0")) as now:
        now.server.on("PATCH", "/s/whep", Reply(204))
        await now.until(lambda: now.server.seen("PATCH"))
        assert len(now.peers) == 3
        now.receiving.audio.last_packet_ns = time.monotonic_ns()
        await now.until(now.heard.live.is_set)
        assert now.session.pull_audio(1) is not None
    assert now.deleted() == ["/s/whep", "/s/whip"]


async def test_a_session_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with call() as now:
        await now.become_live()
    assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()


async def test_a_session_that_cannot_be_deleted_is_reported() -> None:
    async with call(whip=created("https://10.0.0.9/s")) as now:
        await now.become_live()
        assert "another server" in now.session.numbers()["cannot_delete"]


async def test_a_session_that_is_heard_again_goes_on_without_a_new_one() -> None:
    line = SilentLine()
    async with call(line=line) as now:
        await now.become_live()
        for peer in now.peers:
            peer.answers = False
            peer.last_heard_ns = 0
        now.receiving.video.last_packet_ns = 0
        await now.until(lambda: now.heard.losses)
        assert line.is_doubtful
        assert not now.job.done()
        for peer in now.peers:
            peer.answers = True
        now.receiving.video.last_packet_ns = time.monotonic_ns()
        await now.until(lambda: now.heard.times_connected == 2)
        assert not line.is_doubtful
        assert len(now.server.seen("POST")) == 2
        assert now.deleted() == []


async def test_a_session_ends_with_the_reason_it_is_told() -> None:
    async with call() as now:
        await now.become_live()
        now.session.end(MediaLost("the picture is not taken"))
        now.session.end(MediaLost("told twice"))
        assert "not taken" in str(await now.failure())
        assert now.deleted() == ["/s/whep", "/s/whip"]


async def test_after_a_loss_nothing_is_posted_before_the_mcu_takes_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whip_session, "REACH_S", 0.2)
    line = SilentLine()
    line.is_doubtful = True
    async with call(line=line) as now:
        error = await now.failure()
        assert isinstance(error, Unreachable)
        assert now.server.requests == []
        assert now.peers == []


async def test_a_goodbye_that_nobody_answers_does_not_hold_up_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whip_session, "QUICK_GOODBYE_S", 0.1)
    asked = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        asked.set()
        await asyncio.sleep(0.5)
        return web.Response(status=200)

    async with call() as now:
        now.server.on("DELETE", "/s/whip", never)
        await now.become_live()
        begun = time.monotonic()
        now.session.end(MediaLost("enough"))
        await now.failure()
        assert time.monotonic() - begun < 0.45
        assert now.ghosts.may_be_at(now.config.send_url), "it may stand in the next one's way"
        await now.until(lambda: not now.ghosts.may_be_at(now.config.send_url))
