"""Footage as a camera: in real time, looped without drift, in the right shape; files that are no footage are named."""

import gc
import struct
import time
import wave
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from appliance.capture.file_video import FileVideoSource
from appliance.capture.fit import Fitter
from appliance.capture.pictures import Picture, planes_of
from appliance.errors import DeviceError
from appliance.media import timecode
from appliance.media.clock import NS_PER_S

from .video_doubles import TurnedClock, a_config, luma_of, numbered_picture, write_footage


def a_source(path: Path, clock: TurnedClock, **changes: int) -> FileVideoSource:
    return FileVideoSource(a_config(source="file", file=str(path), **changes), clock, sleep=clock.sleep)


def next_picture(source: FileVideoSource) -> Picture:
    while (picture := source.read()) is None:
        pass
    return picture


def next_number(source: FileVideoSource) -> int:
    code = timecode.read(planes_of(next_picture(source).frame)[0])
    assert code is not None
    return code.time_ms


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [
        ("mjpeg", "yuvj420p", "mkv"),
        ("libx264", "yuv420p", "mp4"),
        ("libx264", "yuv420p", "h264"),
        ("ffv1", "yuv444p", "avi"),
    ],
)
def test_footage_plays_in_real_time_and_in_order(codec: str, pixel_format: str, suffix: str, tmp_path: Path) -> None:
    path = write_footage(tmp_path / f"film.{suffix}", 30, codec=codec, pixel_format=pixel_format)
    clock = TurnedClock()
    source = a_source(path, clock, fps=25)
    assert [next_number(source) for _ in range(30)] == list(range(30))


def test_footage_loops_without_drift(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "film.mkv", 10)
    clock = TurnedClock()
    source = a_source(path, clock, fps=25)
    assert next_number(source) == 0
    begun_ns = clock.now_ns()
    for _ in range(40):
        seen = [next_number(source) for _ in range(10)]
        assert seen == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert clock.now_ns() - begun_ns == pytest.approx(16 * NS_PER_S, abs=10_000)


def test_a_lower_frame_rate_takes_the_newest_picture_and_a_higher_one_repeats_it(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "film.mkv", 50, fps=50)
    slow, fast = TurnedClock(), TurnedClock()
    assert [next_number(source) for source in [a_source(path, slow, fps=10)] for _ in range(5)] == [0, 5, 10, 15, 20]
    path = write_footage(tmp_path / "slow.mkv", 10, fps=10)
    assert [next_number(source) for source in [a_source(path, fast, fps=30)] for _ in range(7)] == [0, 0, 0, 1, 1, 1, 2]


def test_a_frame_rate_changed_on_the_way_keeps_real_time(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "film.mkv", 100, fps=50)
    clock = TurnedClock()
    source = a_source(path, clock, fps=50)
    assert [next_number(source) for _ in range(3)] == [0, 1, 2]
    source.set_framerate(10)
    seen = [next_number(source) for _ in range(4)]
    assert [after - before for before, after in pairwise(seen)] == [5, 5, 5]


def test_after_a_long_pause_the_footage_goes_on_and_does_not_race(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "film.mkv", 200)
    clock = TurnedClock()
    source = a_source(path, clock, fps=25)
    assert next_number(source) == 0
    clock.time_ns += 5 * NS_PER_S
    first = next_number(source)
    seen = [next_number(source) for _ in range(5)]
    assert first < 20
    assert seen == list(range(first + 1, first + 6))


def test_another_shape_is_put_between_black_bars(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "film.mkv", 3, size=(320, 240), level=200)
    source = a_source(path, TurnedClock(), width=640, height=360)
    luma, u, v = planes_of(next_picture(source).frame)
    assert luma.shape == (360, 640)
    assert (luma[:, :76] == 16).all()
    assert (luma[:, -76:] == 16).all()
    assert float(luma[10:350, 90:550].mean()) == pytest.approx(200, abs=2)
    assert abs(float(u.mean()) - 128) < 2
    assert abs(float(v.mean()) - 128) < 2


def write_film_on_its_side(path: Path, clockwise: int) -> Path:
    """Numbered upright pictures of 180x320, stored turned; the track says by how much a player must turn them back."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "4", "preset": "ultrafast"})
        stream.pix_fmt = "yuv420p"
        stream.width, stream.height = (320, 180) if clockwise % 180 else (180, 320)
        for number in range(5):
            luma = np.rot90(numbered_picture(number, 180, 320), clockwise // 90)
            chroma = np.full((luma.shape[0] // 2, luma.shape[1]), 128, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.concatenate((luma, chroma)), "yuv420p")))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    # The track header's matrix (ISO 14496-12 section 8.3.2), behind 40 bytes of its version 0.
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise]
    matrix = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    begin = data.index(b"tkhd") + 4 + 40
    data[begin : begin + len(matrix)] = matrix
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("clockwise", [90, 180, 270])
@pytest.mark.parametrize(("width", "height"), [(640, 360), (180, 320), (320, 180)])
def test_what_a_telephone_filmed_stands_upright(clockwise: int, width: int, height: int, tmp_path: Path) -> None:
    path = write_film_on_its_side(tmp_path / "telephone.mp4", clockwise)
    # As high as the picture: sharp enough for its time code.
    source = a_source(path, TurnedClock(), fps=25, width=width, height=height)
    luma = planes_of(next_picture(source).frame)[0]
    assert luma.shape == (height, width)
    columns = np.flatnonzero(luma.max(axis=0) > 60)
    shown = height * 180 / 320 if width > height else width
    assert columns[-1] - columns[0] + 1 == pytest.approx(shown, abs=3)
    if height >= 320:
        code = timecode.read(luma)
        assert code is not None
        assert code.time_ms == 0


RED_709 = (63, 102, 240)  # BT.709, limited range, of pure red
RED_601 = (81, 90, 240)


def a_plain(levels: tuple[int, int, int], width: int, height: int, matrix: int) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, level in zip(planes_of(frame), levels, strict=True):
        plane[:] = level
    frame.colorspace = matrix
    return frame


@pytest.mark.parametrize(("levels", "matrix"), [(RED_709, 1), (RED_601, 5), (RED_601, 6), (RED_601, 2)])
@pytest.mark.parametrize("size", [(320, 180), (640, 480)])
def test_footage_in_other_colours_is_sent_in_ours(
    levels: tuple[int, int, int], matrix: int, size: tuple[int, int]
) -> None:
    fitter = Fitter(320, 180)
    fitted = fitter.fit(a_plain(levels, *size, matrix))
    for _ in range(2):
        assert [
            int(plane[90 // part, 160 // part]) for part, plane in zip((1, 2, 2), planes_of(fitted), strict=True)
        ] == [pytest.approx(level, abs=2) for level in RED_601]
        # What is fitted may be fitted again, to another size.
        fitted = Fitter(320, 180).fit(fitted)


def test_a_still_picture_stays(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    av.VideoFrame.from_ndarray(numbered_picture(7, 320, 180), "gray").to_image().save(path)
    source = a_source(path, TurnedClock())
    assert [next_number(source) for _ in range(5)] == [7] * 5


def test_drawing_on_a_picture_does_not_spoil_the_ones_predicted_from_it(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "film.mp4", 12, codec="libx264", pixel_format="yuv420p", options={"bf": "0"})
    source = a_source(path, TurnedClock(), fps=25)
    for number in range(12):
        luma = planes_of(next_picture(source).frame)[0]
        assert timecode.read(luma) == timecode.TimeCode(0, number)
        luma[:] = 16


def spoiled_files(folder: Path) -> dict[str, Path]:
    whole = write_footage(folder / "whole.mkv", 10).read_bytes()
    files = {
        "missing": folder / "missing.mp4",
        "a folder": folder,
        "empty": folder / "empty.mp4",
        "noise": folder / "noise.mp4",
        "text": folder / "text.mp4",
        "sound only": folder / "sound.wav",
        "head only": folder / "head.mkv",
        "pictures gone": folder / "gone.mkv",
        "play list": folder / "list.m3u8",
    }
    files["empty"].touch()
    files["noise"].write_bytes(np.random.default_rng(1).bytes(100_000))
    files["text"].write_text("no film\n" * 100)
    with wave.open(str(files["sound only"]), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(48_000)
        sound.writeframes(bytes(9600))
    files["head only"].write_bytes(whole[:300])
    first = whole.index(b"\xff\xd8\xff")
    files["pictures gone"].write_bytes(whole[:first] + bytes(len(whole) - first))
    files["play list"].write_text("#EXTM3U\n#EXTINF:10,\nhttp://192.0.2.1/film.ts\n#EXT-X-ENDLIST\n")
    return files


@pytest.mark.parametrize(
    "what",
    ["missing", "a folder", "empty", "noise", "text", "sound only", "head only", "pictures gone", "play list"],
)
def test_a_file_that_is_no_footage_is_named(what: str, tmp_path: Path) -> None:
    path = spoiled_files(tmp_path)[what]
    with pytest.raises(DeviceError, match="choose another file") as caught:
        next_picture(a_source(path, TurnedClock()))
    assert caught.value.problem == "video-file"
    assert str(path) in str(caught.value)
    # FFmpeg's numbers are for nobody.
    assert "Errno" not in str(caught.value)


def test_a_file_that_is_cut_off_plays_as_far_as_it_goes_and_again(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "film.mkv", 20)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    source = a_source(path, TurnedClock(), fps=25)
    seen = [next_number(source) for _ in range(60)]
    assert max(seen) < 19
    assert seen.count(0) >= 4


def test_a_file_that_goes_away_is_noticed_at_its_next_pass(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "film.mkv", 10)
    source = a_source(path, TurnedClock(), fps=25)
    next_picture(source)
    path.unlink()
    with pytest.raises(DeviceError, match="no video file"):
        [next_picture(source) for _ in range(20)]


def test_looping_does_not_grow_memory_or_descriptors(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "film.mkv", 4, size=(640, 360))
    source = a_source(path, TurnedClock(), fps=25)
    process = psutil.Process()

    def loops(count: int) -> tuple[int, int]:
        for _ in range(count * 4):
            next_picture(source)
        gc.collect()
        return process.memory_info().rss, process.num_fds()

    loops(30)
    before, descriptors_before = loops(1)
    after, descriptors_after = loops(150)
    assert after - before < 6 * 2**20
    assert descriptors_after == descriptors_before
    source.close()


def test_pictures_whose_pixels_are_not_square_keep_their_shape() -> None:
    grey = av.VideoFrame.from_ndarray(np.full((576 * 3 // 2, 720), 200, np.uint8), "yuv420p")
    fitted = luma_of(Fitter(1024, 576).fit(grey, pixel_aspect=64 / 45))
    assert (fitted == 200).all()
    narrow = luma_of(Fitter(1024, 576).fit(grey))
    assert (narrow[:, :100] == 16).all()


def test_spoiled_footage_plays_or_is_refused_and_never_holds_the_worker_up(tmp_path: Path) -> None:
    whole = [
        write_footage(tmp_path / "film.mkv", 12),
        write_footage(tmp_path / "film.mp4", 12, codec="libx264", pixel_format="yuv420p"),
        write_footage(tmp_path / "film.avi", 12, codec="ffv1", pixel_format="yuv444p"),
        write_footage(tmp_path / "film.h264", 12, codec="libx264", pixel_format="yuv420p"),
    ]
    rng = np.random.default_rng(11)
    for number in range(60):
        good = whole[number % len(whole)]
        data = bytearray(good.read_bytes())
        for _ in range(int(rng.integers(1, 30))):
            # Half of the damage where containers describe themselves.
            data[rng.integers(len(data) if rng.random() < 0.5 else 600)] = rng.integers(256)
        path = tmp_path / f"spoiled{good.suffix}"
        path.write_bytes(data)
        begun = time.monotonic()
        with suppress(DeviceError):
            source = a_source(path, TurnedClock())
            for _ in range(20):
                source.read()
            source.close()
        assert time.monotonic() - begun < 3


def test_a_frame_rate_that_cannot_be_true_is_not_believed(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "film.avi", 5)
    data = bytearray(path.read_bytes())
    # The stream header's rate and scale, and the same number as time for each picture (AVI 1.0, `strh`, `avih`).
    at = data.index(b"strh") + 8 + 20
    data[at : at + 8] = (1).to_bytes(4, "little") + (452_984_857).to_bytes(4, "little")
    path.write_bytes(data)
    source = a_source(path, TurnedClock(), fps=25)
    assert [next_number(source) for _ in range(7)] == [0, 1, 2, 3, 4, 0, 1]
