"""The lab MCU holding a call with real peers on loopback, and as a program."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import numpy as np
import numpy.typing as npt
import pytest
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from appliance.labmcu.command import lab_mcu as command
from appliance.labmcu.h264 import WallDecoder, WallEncoder
from appliance.labmcu.server import LabMcuServer
from appliance.labmcu.sessions import McuOptions, Sessions
from appliance.labmcu.video_mixer import WallSettings
from appliance.labmcu.wall import planes
from appliance.media import timecode
from appliance.media.clock import MediaClock
from appliance.media.values import BLOCK_SAMPLES, EncodedFrame
from appliance.rtp.opus import OpusEncoder
from appliance.rtp.peer import IceConfig, Peer

from .labmcu_fakes import SDP
from .test_labmcu_video import flat

RUN = [sys.executable, "-c", "from appliance.labmcu.command import lab_mcu; lab_mcu()"]


class Caller:
    """A bridge point in miniature: a time-coded picture and a tone up, wall and mix down."""

    def __init__(self, name: str, unit: int, hertz: float) -> None:
        self.name = name
        self.codes: list[list[timecode.TimeCode]] = []
        self.ages_ms: list[float] = []
        self.sound: list[bytes] = []
        self._unit = unit
        self._hertz = hertz
        self._up = Peer(IceConfig(), loopback=True)
        self._down = Peer(IceConfig(), loopback=True)
        self._wants_keyframe = True
        self._decoder = WallDecoder()

    async def connect(self, http: aiohttp.ClientSession) -> None:
        self._video, self._audio = self._up.add_senders()
        self._video.on_keyframe(self._keyframe)
        self._wall, self._mix = self._down.add_receivers()
        self._wall.on_frame(self._seen)
        for peer, kind in ((self._up, "whip"), (self._down, "whep")):
            async with http.post(f"/{kind}/r/{self.name}", data=await peer.create_offer(), headers=SDP) as answer:
                assert answer.status == 201, await answer.text()
                await peer.accept_answer(await answer.text())
            await peer.wait_connected(5)

    async def close(self) -> None:
        await asyncio.gather(self._up.close(), self._down.close())

    def _keyframe(self) -> None:
        self._wants_keyframe = True

    def _seen(self, frame: EncodedFrame) -> None:
        picture = self._decoder.decode(frame.data, is_keyframe=frame.is_keyframe)
        if self._decoder.needs_keyframe:
            self._wall.request_keyframe()
        if picture is not None:
            codes = timecode.read_wall(planes(picture)[0])
            self.codes.append(codes)
            now_ns = MediaClock().now_ns()
            self.ages_ms += [
                (now_ns - timecode.to_ns(code.time_ms, now_ns)) / 1e6 for code in codes if code.unit == self._unit
            ]

    async def talk(self) -> None:
        """25 pictures a second and sound without gaps, until cancelled."""
        clock = MediaClock()
        encoder, opus = WallEncoder(640, 360, 25, 500_000), OpusEncoder()
        picture = flat(640, 360, 90 + self._unit)
        next_ns = clock.now_ns()
        blocks = 0
        start_ns = next_ns
        while True:
            now_ns = clock.now_ns()
            timecode.draw(planes(picture)[0], now_ns, self._unit)
            unit = encoder.encode(picture, now_ns, keyframe=self._wants_keyframe)
            self._wants_keyframe = False
            assert unit is not None
            self._video.send(EncodedFrame(unit[0], now_ns, unit[1]))
            for _ in range(2):
                pts_ns = start_ns + blocks * 20_000_000
                time_s = np.arange(blocks * BLOCK_SAMPLES, (blocks + 1) * BLOCK_SAMPLES) / 48_000
                samples = (8000 * np.sin(2 * np.pi * self._hertz * time_s)).astype(np.int16)
                self._audio.send(opus.encode(samples.tobytes()), pts_ns)
                block = self._mix.pull(clock.now_ns())
                if block is not None:
                    self.sound.append(block.samples)
                blocks += 1
            next_ns += 40_000_000
            await asyncio.sleep(max(0.0, (next_ns - clock.now_ns()) / 1e9))

    def sees(self) -> set[int]:
        """Whose pictures were on the wall in the last half second: a busy machine leaves some unread."""
        return {code.unit for codes in self.codes[-15:] for code in codes}

    def hears(self, hertz: float) -> float:
        """The tone's part of what is said, in the best 0.2 s of the last 1.2: a busy machine leaves holes in a tone."""
        parts = [
            b"".join(self.sound[at : at + 10]) for at in range(max(0, len(self.sound) - 60), len(self.sound) - 9, 5)
        ]
        return max(_tone(np.frombuffer(part, np.int16).astype(np.float64), hertz) for part in parts)


def _tone(samples: npt.NDArray[np.float64], hertz: float) -> float:
    turns = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / 48_000)
    return float(abs(np.dot(samples, turns)) * 2 / len(samples) / 8000)


@asynccontextmanager
async def mcu_with_peers(*, echo: bool = False) -> AsyncIterator[tuple[aiohttp.ClientSession, Sessions]]:
    options = McuOptions(wall=WallSettings(1280, 720, 30, 1_500_000), echo=echo)
    async with Sessions(options, MediaClock(), lambda _: None) as sessions:
        server = TestServer(LabMcuServer(sessions).application())
        await server.start_server()
        try:
            async with aiohttp.ClientSession(server.make_url("/")) as http:
                yield http, sessions
        finally:
            await server.close()


async def call(callers: list[Caller], http: aiohttp.ClientSession, seconds: float) -> None:
    talking: list[asyncio.Task[None]] = []
    try:
        for caller in callers:
            await caller.connect(http)
            talking.append(asyncio.create_task(caller.talk()))
        done, _ = await asyncio.wait(talking, timeout=seconds)
        for task in done:
            task.result()
    finally:
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
        await asyncio.gather(*(caller.close() for caller in callers))


async def test_two_units_see_both_and_hear_each_other_but_not_themselves() -> None:
    first, second = Caller("Xã An Phú", 1, 500), Caller("Xã Tân Lập", 2, 1000)
    async with mcu_with_peers() as (http, sessions):
        await call([first, second], http, 3)
        assert first.sees() == {1, 2}
        assert second.sees() == {1, 2}
        assert first.hears(1000) > 0.6
        assert first.hears(500) < 0.1
        assert second.hears(500) > 0.6
        assert second.hears(1000) < 0.1
        async with asyncio.timeout(3):
            while sessions.snapshot():
                await asyncio.sleep(0.02)


async def test_a_unit_alone_with_the_echo_hears_itself_and_sees_itself_soon() -> None:
    unit = Caller("Xã An Phú", 7, 500)
    async with mcu_with_peers(echo=True) as (http, _):
        await call([unit], http, 2.5)
    assert unit.hears(500) > 0.6
    # Encoding, two hops of loopback, decoding twice and encoding again; a busy test machine adds to it.
    assert float(np.median(unit.ages_ms)) < 60


# The program


async def test_the_program_says_where_it_listens_serves_the_page_and_ends_on_a_signal() -> None:
    program = await asyncio.create_subprocess_exec(
        *RUN, "--listen", "127.0.0.1:0", "--json", stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    try:
        async with asyncio.timeout(15):
            said = json.loads(await program.stdout.readline())
        assert said["event"] == "listening"
        async with aiohttp.ClientSession() as http, http.get(said["url"]) as answer:
            assert answer.status == 200
    finally:
        program.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await program.wait() == 0


def test_a_port_in_use_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(command, ["--listen", f"127.0.0.1:{taken.getsockname()[1]}"])
    assert result.exit_code == 1
    assert "cannot listen" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--listen", "8080"],
        ["--listen", "127.0.0.1:99999"],
        ["--size", "1280"],
        ["--size", "1279x720"],
        ["--size", "64x64"],
        ["--fps", "0"],
        ["--token", "two words"],
        ["--token", ""],
    ],
)
def test_a_slip_on_the_command_line_is_named(arguments: list[str]) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.output
