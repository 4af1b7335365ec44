"""A whole call between two of our peers: pictures bit for bit, sound, repairs and requests, over real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from appliance.media.values import BLOCK_NS, AudioBlock, EncodedFrame
from appliance.rtp.opus import OpusEncoder
from appliance.rtp.packetize import nal_units
from appliance.rtp.peer import IceConfig, Peer

from .rtp_fakes import encoded_pictures


class Call:
    def __init__(self) -> None:
        self.sender, self.receiver = Peer(IceConfig(), loopback=True), Peer(IceConfig(), loopback=True)
        self.frames: list[EncodedFrame] = []
        self.keyframes_wanted = 0

    async def connect(self) -> None:
        video, _ = self.sender.add_senders()
        video.on_keyframe(self.want_keyframe)
        answer = await self.receiver.answer(await self.sender.create_offer(), direction="receive")
        self.receiver.video_receiver.on_frame(self.frames.append)
        await self.sender.accept_answer(answer)
        await asyncio.gather(self.sender.wait_connected(5), self.receiver.wait_connected(5))

    def want_keyframe(self) -> None:
        self.keyframes_wanted += 1

    async def send(self, pictures: list[bytes], *, every_s: float = 0.005) -> list[int]:
        times = []
        for data in pictures:
            times.append(time.monotonic_ns())
            keyframe = any(unit[0] & 0x1F == 5 for unit in nal_units(data))
            self.sender.video_sender.send(EncodedFrame(data, times[-1], keyframe))
            await asyncio.sleep(every_s)
        return times

    async def until(self, frames: int) -> None:
        async with asyncio.timeout(3):
            while len(self.frames) < frames:
                await asyncio.sleep(0.005)


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    call = Call()
    await call.connect()
    yield call
    await asyncio.gather(call.sender.close(), call.receiver.close())


async def test_every_picture_arrives_bit_for_bit_with_its_capture_time(call: Call) -> None:
    pictures = encoded_pictures(30, width=640, height=360)
    times = await call.send(pictures)
    await call.until(30)
    assert [nal_units(frame.data) for frame in call.frames] == [nal_units(data) for data in pictures]
    assert [frame.is_keyframe for frame in call.frames] == [True] + [False] * 29
    gaps = np.diff([frame.pts_ns for frame in call.frames[1:]]) - np.diff(times[1:])
    assert np.abs(gaps).max() < 100_000


async def test_lost_packets_are_repaired(call: Call) -> None:
    transport = call.receiver._transport
    take, count = transport._media, 0

    def lossy(data: bytes) -> None:
        nonlocal count
        count += 1
        if count % 10:
            take(data)

    pictures = encoded_pictures(60, width=640, height=360)
    await call.send(pictures[:1])
    await call.until(1)
    transport._media = lossy  # type: ignore[method-assign]
    await call.send(pictures[1:])
    await call.until(60)
    assert [nal_units(frame.data) for frame in call.frames] == [nal_units(data) for data in pictures]
    numbers = call.sender.video_sender.numbers()
    assert numbers["packets_resent"] > 5
    assert numbers["nacks"] > 0


async def test_a_decoders_wish_for_a_keyframe_reaches_the_encoder(call: Call) -> None:
    await call.send(encoded_pictures(3))
    await call.until(3)
    before = call.keyframes_wanted
    call.sender.video_sender._keyframe_asked_ns = None  # the start's own request must not hide this one
    call.receiver.video_receiver.request_keyframe()
    async with asyncio.timeout(2):
        while call.keyframes_wanted == before:
            await asyncio.sleep(0.01)


async def test_sound_is_heard_with_its_capture_time(call: Call) -> None:
    tone = (np.sin(np.arange(960) * 2 * np.pi * 1000 / 48_000) * 8000).astype("<i2").tobytes()
    heard: list[AudioBlock] = []
    started_ns = time.monotonic_ns()
    with OpusEncoder() as opus:
        for number in range(60):
            call.sender.audio_sender.send(opus.encode(tone), started_ns + number * BLOCK_NS)
            block = call.receiver.audio_receiver.pull(time.monotonic_ns() + BLOCK_NS)
            if block is not None:
                heard.append(block)
            await asyncio.sleep(max(0.0, (started_ns + (number + 1) * BLOCK_NS - time.monotonic_ns()) / 1e9))
    loud = [block for block in heard if np.abs(np.frombuffer(block.samples, "<i2")).max() > 4000]
    assert len(loud) > 40
    assert call.receiver.audio_receiver.last_packet_ns > started_ns


async def test_reports_tell_the_sender_of_the_line(call: Call) -> None:
    pictures = encoded_pictures(150)
    await call.send(pictures, every_s=1 / 60)
    async with asyncio.timeout(3):
        while call.sender.video_sender.numbers()["rtt_ms"] is None:
            await call.send(pictures[-1:], every_s=1 / 60)
    numbers = call.sender.video_sender.numbers()
    assert 0 <= numbers["rtt_ms"] < 50
    assert numbers["packets_lost"] == 0


async def test_media_that_overtake_the_handshake_are_kept() -> None:
    """The far end may be connected, and send its keyframe, a moment before we are."""
    call = Call()
    video, _ = call.sender.add_senders()
    answer = await call.receiver.answer(await call.sender.create_offer(), direction="receive")
    call.receiver.video_receiver.on_frame(call.frames.append)
    await call.sender.accept_answer(answer)
    await call.sender.wait_connected(5)
    video.send(EncodedFrame(encoded_pictures(1)[0], time.monotonic_ns(), True))
    await call.until(1)
    await asyncio.gather(call.sender.close(), call.receiver.close())
