"""The sound worker as its engine sees it: a real process behind the real pipe."""

import asyncio
import time
from array import array
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from appliance.errors import WorkerError
from appliance.media.pipe import Kind
from appliance.media.soundmark import find_beeps
from appliance.media.values import BLOCK_BYTES, BLOCK_NS, SILENCE
from appliance.settings import Audio
from appliance.worker_process import WorkerProcess

from .sound_makers import speech, write_wav

LOUD = b"\x00\x20" * 960


class Engine:
    """Starts the worker and keeps what it says; a PULL gets the next of `answers`, or `answer`."""

    def __init__(self, audio: Audio, *, muted: bool = False, tap_dir: Path | None = None) -> None:
        self.blocks: list[tuple[bytes, int]] = []
        self.pulls: list[tuple[int, int]] = []  # when asked, when it will be heard
        self.reports: list[dict[str, Any]] = []
        self.answer: bytes | None = LOUD
        self.answers: Iterator[bytes] = iter(())
        self.news = asyncio.Event()
        self.pid: int | None = None
        configure = {
            "cmd": "configure",
            "audio": audio.model_dump(mode="json"),
            "muted": muted,
            "tap_dir": str(tap_dir) if tap_dir else None,
        }
        self.worker = WorkerProcess("sound", lambda: configure, self._media, self._report, self._running)

    def _running(self, pid: int | None) -> None:
        self.pid = pid
        self.news.set()

    def _media(self, kind: Kind, payload: bytes, time_ns: int, is_keyframe: bool) -> None:
        if kind is Kind.PULL:
            self.pulls.append((time.monotonic_ns(), time_ns))
            answer = next(self.answers, self.answer)
            if answer is not None:
                self.worker.send(Kind.AUDIO, answer, time_ns - 100_000_000)
        else:
            assert kind is Kind.AUDIO
            self.blocks.append((payload, time_ns))
        self.news.set()

    def _report(self, message: dict[str, Any]) -> None:
        self.reports.append(message)
        self.news.set()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [report for report in self.reports if report["type"] == kind]

    @property
    def status(self) -> dict[str, Any]:
        return self.of("status")[-1] if self.of("status") else {}

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(8):
            while not true():
                assert not self.job.done(), self.job
                self.news.clear()
                await self.news.wait()

    async def __aenter__(self) -> Self:
        self.job = asyncio.create_task(self.worker.run())
        await self.until(lambda: self.pid is not None)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.job.cancel()
        await asyncio.gather(self.job, return_exceptions=True)


def settings(**changes: Any) -> Audio:
    return Audio(**({"source": "tone", "sink": "null", "volume_percent": 100} | changes))


async def test_a_block_leaves_each_20_ms_and_beeps_on_the_second() -> None:
    async with Engine(settings()) as engine:
        await engine.until(lambda: len(engine.blocks) >= 130)
        times = [pts_ns for _, pts_ns in engine.blocks]
        assert [b - a for a, b in pairwise(times)].count(BLOCK_NS) >= len(times) - 2
        assert all(len(samples) == BLOCK_BYTES for samples, _ in engine.blocks)
        line = np.frombuffer(b"".join(samples for samples, _ in engine.blocks), np.int16)
        onsets = [times[0] + at * 1_000_000 // 48 for at in find_beeps(line)]
        assert len(onsets) >= 2
        assert all(
            min(onset % 10**9, -onset % 10**9) < 1_500_000 + abs(times[1] - times[0] - BLOCK_NS) for onset in onsets[1:]
        )


async def test_muted_from_the_start_not_one_sample_leaves() -> None:
    async with Engine(settings(), muted=True) as engine:
        await engine.until(lambda: len(engine.blocks) >= 80)
        assert {samples for samples, _ in engine.blocks} == {SILENCE}
        assert engine.status["muted"] is True


async def test_mute_takes_hold_and_ends(tmp_path: Path) -> None:
    async with Engine(settings()) as engine:
        await engine.until(lambda: any(samples != SILENCE for samples, _ in engine.blocks))
        engine.worker.command({"cmd": "mute", "on": True})
        await engine.until(lambda: engine.status.get("muted") is True)
        after = len(engine.blocks)
        await engine.until(lambda: len(engine.blocks) >= after + 60)
        assert {samples for samples, _ in engine.blocks[after:]} == {SILENCE}
        engine.worker.command({"cmd": "mute", "on": False})
        await engine.until(lambda: engine.blocks[-1][0] != SILENCE)


async def test_sound_is_pulled_20_to_40_ms_before_it_is_heard() -> None:
    async with Engine(settings()) as engine:
        await engine.until(lambda: engine.status.get("played", 0) >= 50)
        heard = [heard_ns for _, heard_ns in engine.pulls]
        assert [b - a for a, b in pairwise(heard)].count(BLOCK_NS) >= len(heard) - 3
        ahead = sorted(heard_ns - asked_ns for asked_ns, heard_ns in engine.pulls)
        assert 10_000_000 < ahead[len(ahead) // 2] <= 21_000_000
        assert engine.status["out_level_dbfs"] == pytest.approx(-12.0, abs=0.1)


async def test_unanswered_pulls_are_counted_and_played_silent(tmp_path: Path) -> None:
    async with Engine(settings(), tap_dir=tmp_path) as engine:
        await engine.until(lambda: engine.status.get("played", 0) >= 10)
        engine.answer = None
        await engine.until(lambda: engine.status["missed"] >= 10)
        engine.answer = LOUD
        played = engine.status["played"]
        await engine.until(lambda: engine.status["played"] >= played + 30)
    record = array("h", (tmp_path / "speaker.s16le").read_bytes())
    marks = np.fromfile(tmp_path / "speaker.idx", np.int64).reshape(-1, 2)
    assert len(marks) <= 2, "silence stands in the record as long as it was heard"
    assert record.count(0x2000) > 40 * 900


async def test_the_record_of_the_microphone_is_what_left(tmp_path: Path) -> None:
    async with Engine(settings(), tap_dir=tmp_path) as engine:
        await engine.until(lambda: len(engine.blocks) >= 100)
    record = (tmp_path / "mic.s16le").read_bytes()
    assert record.startswith(b"".join(samples for samples, _ in engine.blocks[:100]))
    first = np.fromfile(tmp_path / "mic.idx", np.int64)[:2].tolist()
    assert first == [0, engine.blocks[0][1]]


async def test_without_cards_the_worker_lives_and_says_what_is_missing() -> None:
    cards = settings(source="alsa", sink="alsa", input_device="hw:CARD=NoMic", output_device="hw:CARD=NoSpeaker")
    async with Engine(cards) as engine:
        await engine.until(lambda: bool(engine.status.get("problem")) and bool(engine.status.get("sink_problem")))
        assert engine.status["problem"]["code"] == "microphone-missing"
        assert engine.status["sink_problem"]["code"] == "speaker-missing"
        await engine.until(lambda: len(engine.blocks) >= 80 and len(engine.pulls) >= 80)
        assert {samples for samples, _ in engine.blocks} == {SILENCE}
        assert engine.status["played"] == 0


async def test_a_file_that_comes_is_played_without_a_restart(tmp_path: Path) -> None:
    async with Engine(settings(source="file", input_file=str(tmp_path / "speech.wav"))) as engine:
        await engine.until(lambda: bool(engine.status.get("problem")))
        assert engine.status["problem"]["code"] == "sound-file"
        write_wav(tmp_path / "speech.wav", speech(2))
        await engine.until(lambda: bool(engine.status) and engine.status["problem"] is None)
        await engine.until(lambda: engine.blocks[-1][0] != SILENCE)


async def test_the_worker_ends_with_its_pipe_and_a_bad_answer_ends_it() -> None:
    async with Engine(settings()) as engine:
        engine.answer = b"abc"
        with pytest.raises(WorkerError, match=r"closed its pipe|ended with status"):
            await asyncio.wait_for(engine.job, 8)
    assert engine.pid is None
