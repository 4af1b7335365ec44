"""The screen as a viewer sees it: pictures in time, a card whenever there is none, no matter what arrives."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import av
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.capture.annexb import NAL_IDR, nal_units
from appliance.errors import DeviceError
from appliance.media import timecode
from appliance.media.clock import MediaClock
from appliance.media.timecode import Luma
from appliance.media.values import EncodedFrame
from appliance.playout import screen as screen_module
from appliance.playout.picture_decoder import DecodedPicture, PictureDecoder
from appliance.playout.screen import ScreenControl
from appliance.playout.status_card import draw_card

from .screen_doubles import FRAME_NS, Wall, stream
from .video_doubles import luma_of

SCENE: dict[str, Any] = {"state": "standby", "title": "Xã Tân Lập", "problem": None, "muted": False, "camera_on": True}


class Room:
    """A screen under test and all that it said."""

    def __init__(self) -> None:
        self.wall = Wall()
        self.displays = 0
        self.keyframes = 0
        self.firsts = 0
        self.problems = 0
        self.cards: list[str] = []
        self.opening_fails: DeviceError | None = None
        self.screen = ScreenControl(
            self._open,
            self._card,
            MediaClock(),
            on_keyframe_needed=lambda: setattr(self, "keyframes", self.keyframes + 1),
            on_first_shown=lambda: setattr(self, "firsts", self.firsts + 1),
            on_problem=lambda: setattr(self, "problems", self.problems + 1),
        )

    def _open(self) -> Wall:
        if self.opening_fails is not None:
            raise self.opening_fails
        self.displays += 1
        return self.wall

    def _card(self, scene: dict[str, Any]) -> av.VideoFrame:
        self.cards.append(scene["state"])
        return av.VideoFrame(64, 36, "yuv420p")

    def scene(self, state: str) -> None:
        self.screen.set_scene({**SCENE, "state": state})

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():
                await asyncio.sleep(0.002)

    def pictures(self) -> list[int]:
        """The times of the far-end pictures that were shown."""
        return [pts_ns for _, pts_ns in self.wall.shown if pts_ns is not None]


@asynccontextmanager
async def a_room() -> AsyncIterator[Room]:
    room = Room()
    task = asyncio.ensure_future(room.screen.run(lambda: None))
    try:
        yield room
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_pictures_of_a_meeting_are_shown_in_their_order() -> None:
    async with a_room() as room:
        room.scene("live")
        for frame in stream(10):
            room.screen.take(frame)
            await room.until(lambda: not room.screen._schedule._encoded)
            await asyncio.sleep(0.005)
        await room.until(lambda: 9 * FRAME_NS in room.pictures())
        assert room.pictures() == sorted(room.pictures())
        assert not room.screen.card
        assert room.firsts == 1
        code = timecode.read(luma_of(room.wall.shown[-1][0]))
        assert code is not None
        assert code.time_ms == 9 * FRAME_NS // 1_000_000


async def test_the_picture_waits_for_the_sound() -> None:
    async with a_room() as room:
        room.scene("live")
        now_ns = MediaClock().now_ns()
        room.screen.set_delay(300_000_000)
        frame = next(stream(1, start_ns=now_ns))
        room.screen.take(frame)
        await room.until(lambda: bool(room.pictures()))
        assert -5_000_000 < MediaClock().now_ns() - now_ns - 300_000_000 < 200_000_000


async def test_a_card_stands_on_the_screen_whenever_there_is_no_picture() -> None:
    async with a_room() as room:
        await room.until(lambda: room.cards == ["standby"])
        for state in ("joining", "live"):
            room.scene(state)
            await room.until(lambda state=state: room.cards[-1] == state)
        for frame in stream(3):
            room.screen.take(frame)
        await room.until(lambda: not room.screen.card)
        room.scene("rejoining")
        await room.until(lambda: room.cards[-1] == "rejoining")
        assert room.screen.card
        room.scene("standby")
        await room.until(lambda: room.cards[-1] == "standby")
        assert len(room.cards) == 5, "a card is drawn when it changes, not each time it is looked at"


async def test_a_picture_that_stands_too_long_gives_way_to_the_card(monkeypatch: Any) -> None:
    monkeypatch.setattr(screen_module, "STALE_NS", 150_000_000)
    async with a_room() as room:
        room.scene("live")
        for frame in stream(3):
            room.screen.take(frame)
        await room.until(lambda: not room.screen.card)
        await room.until(lambda: room.screen.card)
        assert room.cards[-1] == "live"


async def test_what_arrives_after_leaving_is_not_shown() -> None:
    async with a_room() as room:
        room.scene("standby")
        for frame in stream(5):
            room.screen.take(frame)
        await asyncio.sleep(0.1)
        assert room.pictures() == []


async def test_a_stream_without_its_keyframe_asks_for_one_not_more_than_twice_a_second() -> None:
    async with a_room() as room:
        room.scene("live")
        for frame in list(stream(30))[1:]:
            room.screen.take(frame)
            await asyncio.sleep(0.01)
        assert 1 <= room.keyframes <= 2
        assert room.pictures() == []
        room.screen.take(next(stream(1, start_ns=10**9)))
        await room.until(lambda: bool(room.pictures()))


async def test_a_spoiled_frame_costs_the_time_to_the_next_keyframe_and_shows_nothing_wrong() -> None:
    async with a_room() as room:
        room.scene("live")
        frames = list(stream(6))
        room.screen.take(frames[0])
        await room.until(lambda: len(room.pictures()) == 1)
        spoiled = EncodedFrame(b"\0\0\0\1\x65" + b"\xff" * 400, frames[1].pts_ns, True)
        room.screen.take(spoiled)
        await room.until(lambda: room.screen.numbers()["decode_errors"] == 1)
        assert room.keyframes == 1
        room.screen.take(frames[2])
        await asyncio.sleep(0.1)
        assert len(room.pictures()) == 1
        assert not room.screen.card, "the last good picture stays meanwhile"
        room.screen.take(next(stream(1, start_ns=10**9)))
        await room.until(lambda: len(room.pictures()) == 2)


async def test_a_sender_that_gives_its_parameter_sets_once_is_shown_again_after_a_spoiled_frame() -> None:
    async with a_room() as room:
        room.scene("live")
        first = next(stream(1))
        room.screen.take(first)
        await room.until(lambda: len(room.pictures()) == 1)
        room.screen.take(EncodedFrame(b"\0\0\0\1\x65" + b"\xff" * 400, FRAME_NS, True))
        await room.until(lambda: room.screen.numbers()["decode_errors"] == 1)
        slices = [b"\0\0\0\1" + unit for unit in nal_units(first.data) if unit[0] & 0x1F == NAL_IDR]
        room.screen.take(EncodedFrame(b"".join(slices), 2 * FRAME_NS, True))
        await room.until(lambda: len(room.pictures()) == 2)


async def test_a_new_size_in_the_middle_is_shown() -> None:
    async with a_room() as room:
        room.scene("live")
        for frame in (*stream(2), *stream(2, start_ns=10**9, width=640, height=360)):
            room.screen.take(frame)
            await asyncio.sleep(0.02)
        await room.until(lambda: room.wall.shown[-1][0].width == 640)


async def test_a_lost_display_is_a_problem_and_comes_back(monkeypatch: Any) -> None:
    monkeypatch.setattr(screen_module, "REOPEN_NS", 50_000_000)
    async with a_room() as room:
        await room.until(lambda: room.displays == 1)
        room.wall.lost = room.opening_fails = DeviceError("the cable is out", problem="screen-missing")
        await room.until(lambda: room.screen.problem is not None)
        assert room.wall.closed == 1
        room.wall.lost = room.opening_fails = None
        await room.until(lambda: room.screen.problem is None)
        assert room.displays == 2
        assert len(room.wall.shown) >= 2, "what was on screen is shown again"
        assert room.problems == 2


async def _decode(frames: list[EncodedFrame]) -> tuple[list[DecodedPicture], PictureDecoder]:
    pictures: list[DecodedPicture] = []
    decoder = PictureDecoder(pictures.append, lambda: None)
    for frame in frames:
        decoder.put(frame)
        await asyncio.sleep(0)
    await decoder.close()
    await asyncio.sleep(0)
    return pictures, decoder


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 5000), st.binary(min_size=1, max_size=40), st.booleans()),
        max_size=6,
    )
)
def test_no_bytes_stop_the_decoder(changes: list[tuple[int, int, bytes, bool]]) -> None:
    frames = list(stream(4))
    for which, where, junk, cut in changes:
        data = frames[which].data
        at = where % max(1, len(data))
        data = data[:at] if cut else data[:at] + junk + data[at + len(junk) :]
        frames[which] = EncodedFrame(data or b"\0", frames[which].pts_ns, frames[which].is_keyframe)

    async def decode() -> None:
        pictures, decoder = await _decode([*frames, *stream(1, start_ns=10**9)])
        assert decoder.errors + len(pictures) + decoder.dropped >= 1
        assert not decoder._thread.is_alive()

    asyncio.run(decode())


def test_every_state_has_its_card_in_both_languages() -> None:
    looks = set()
    for state in ("standby", "joining", "live", "rejoining", "fault"):
        for lang in ("vi", "en"):
            frame = draw_card({**SCENE, "state": state, "title": "Giao ban"}, "Xã Tân Lập", lang, "08:00")
            assert (frame.width, frame.height, frame.format.name) == (1280, 720, "yuv420p")
            looks.add(bytes(frame.planes[0]))
    assert len(looks) == 10


def test_a_card_tells_problem_and_cure_and_what_is_off() -> None:
    plain = bytes(draw_card(SCENE, "Xã Tân Lập", "vi", "08:00").planes[0])
    problem = {"cause": {"vi": "Không có hình từ camera."}, "cure": {"vi": "Kiểm tra dây cắm của camera."}}
    for change in ({"problem": problem}, {"muted": True}, {"camera_on": False}):
        assert bytes(draw_card({**SCENE, **change}, "Xã Tân Lập", "vi", "08:00").planes[0]) != plain


def test_long_names_and_odd_letters_fit_on_the_card() -> None:
    for name in ("Ủy ban nhân dân " * 6, "", "会議", "a\u0301" * 30):
        draw_card({**SCENE, "state": "joining", "title": name}, name, "vi")


def test_no_name_runs_over_the_clock_or_out_of_the_card() -> None:
    def luma(name: str) -> Luma:
        return luma_of(draw_card({**SCENE, "state": "joining", "title": name + "M"}, name, "vi", "08:00"))

    wide, short = luma("W" * 63), luma("X")
    assert (wide[60:140, 1050:] == short[60:140, 1050:]).all(), "the clock"
    assert (wide[:, 1201:] == short[:, 1201:]).all(), "the right margin"
    assert (wide[60:140, 900:1030] != short[60:140, 900:1030]).any()
