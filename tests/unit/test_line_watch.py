"""When a slow line is told of, and what the status says of a picture that it reduces."""

from appliance.commands.words import status_lines
from appliance.line_watch import GOOD_AFTER_S, REMEMBERED_S, SLOW_AFTER_S, LineWatch
from appliance.problems import CATALOGUE
from appliance.rtp.congestion import CongestionControl
from appliance.rtp.rate_control import START_BPS
from appliance.state import ApplianceState


def numbers(bps: int, bounded_by: str = "delay") -> dict[str, object]:
    return {"video_out_target_bps": bps, "video_out_bounded_by": bounded_by}


def looked(watch: LineWatch, seconds: int, begin: int, what: dict[str, object]) -> list[str | bool | None]:
    return [watch.look(begin + second, what) for second in range(seconds)]


def test_a_slow_line_is_told_of_after_ten_seconds_with_its_rate() -> None:
    found = looked(LineWatch(), 15, 0, numbers(210_000))
    assert found[: int(SLOW_AFTER_S)] == [None] * int(SLOW_AFTER_S)
    assert "210 kbit/s" in str(found[int(SLOW_AFTER_S)])


def test_a_dip_is_not_worth_a_word() -> None:
    watch = LineWatch()
    for begin in range(0, 90, 9):
        assert set(looked(watch, 8, begin, numbers(100_000))) == {None}
        assert watch.look(begin + 8, numbers(500_000)) is None


def test_it_is_taken_back_when_the_line_has_been_clearly_better_for_a_while() -> None:
    watch = LineWatch()
    looked(watch, 15, 0, numbers(210_000))
    assert set(looked(watch, 10, 15, numbers(320_000))) == {None}, "better, not good"
    found = looked(watch, 10, 25, numbers(500_000))
    assert found.index(False) == int(GOOD_AFTER_S)
    assert set(found[int(GOOD_AFTER_S) + 1 :]) == {None}


def test_what_the_mcu_wants_is_no_fault_of_the_line() -> None:
    assert set(looked(LineWatch(), 30, 0, numbers(256_000, "cap"))) == {None}


def test_the_end_of_the_session_takes_it_back_once() -> None:
    watch = LineWatch()
    looked(watch, 15, 0, numbers(210_000))
    assert looked(watch, 3, 15, {}) == [False, None, None]


def test_the_next_session_starts_with_what_the_line_carried_before_it_was_cut_and_no_longer_than_it_is_worth() -> None:
    watch = LineWatch()
    assert watch.carried_bps(0) is None
    looked(watch, 5, 0, numbers(400_000))
    looked(watch, 5, 5, numbers(64_000, "silence"))
    looked(watch, 5, 10, {})
    assert watch.carried_bps(15) == 400_000
    assert watch.carried_bps(4 + REMEMBERED_S + 1) is None
    assert CongestionControl(carried_bps=400_000).controller.target_bps == 400_000
    assert CongestionControl(carried_bps=2_000_000).controller.target_bps == START_BPS
    assert CongestionControl(carried_bps=64_000).controller.target_bps == 150_000


def test_the_problem_says_what_to_do_in_both_languages() -> None:
    text = CATALOGUE["line-slow"]
    assert text.severity == "warning"
    assert "tải tệp" in text.cure_vi
    assert "downloads" in text.cure_en


def test_the_status_says_in_one_line_that_the_line_reduces_the_picture() -> None:
    camera = {"width": 640, "height": 360, "fps": 20, "bitrate_bps": 250_000, "rung": 3}
    state = ApplianceState(unit_name="Xã Tân Lập", numbers={"camera": camera, "session": {"video_out_rtt_ms": 40.0}})
    for lang, words in (("vi", "giảm còn 640x360@20 vì đường truyền yếu"), ("en", "reduced to 640x360@20 by the line")):
        lines = status_lines(state.as_dict(), lang, colour=False)  # type: ignore[arg-type]
        assert sum(words in line for line in lines) == 1
    whole = ApplianceState(numbers={"camera": camera | {"rung": 0}, "session": {"video_out_rtt_ms": 40.0}})
    assert not any("reduced" in line for line in status_lines(whole.as_dict(), "en", colour=False))
