"""The words of the minutes, Vietnamese and English, and how times and shares are said."""

import unicodedata
from datetime import datetime
from typing import NamedTuple

from appliance.problems import CATALOGUE

from .record import Cause, Fault, Status


class Pair(NamedTuple):
    """The same in both languages."""

    vi: str
    en: str

    def of(self, lang: str) -> str:
        return self.en if lang == "en" else self.vi


STATUS: dict[Status, Pair] = {
    Status.ENDED: Pair("Đã kết thúc", "Ended"),
    Status.INTERRUPTED: Pair("Bị ngắt, không vào lại", "Cut off, did not return"),
    Status.OPEN: Pair("Chưa kết thúc", "Not ended yet"),
}
STATES: dict[str, Pair] = {
    "joining": Pair("Đang vào họp", "Joining"),
    "live": Pair("Đã vào họp, có hình và tiếng", "Live"),
    "rejoining": Pair("Mất kết nối, đang kết nối lại", "Reconnecting"),
    "fault": Pair("Trung tâm từ chối, đang thử lại", "Refused; trying again"),
}
_WORKERS = {
    "camera": Pair("camera", "camera"),
    "sound": Pair("âm thanh", "sound"),
    "screen": Pair("màn hình", "screen"),
}
_CAUSES: dict[str, Pair] = {
    Cause.WORKER: Pair("Bộ phận {} bị dừng.", "The {} worker stopped."),
    Cause.CUT: Pair("Thiết bị mất điện hoặc bị tắt đột ngột.", "The unit lost its power or was killed."),
    Cause.CRASHED: Pair("Phần mềm của thiết bị bị dừng đột ngột.", "The unit's program was killed or crashed."),
    Cause.STOPPED: Pair("Thiết bị được khởi động lại.", "The unit was restarted."),
    Cause.UNWATCHED: Pair("Bộ phận ghi biên bản bị dừng.", "The keeping of the minutes stopped."),
}
_DONE: dict[str, Pair] = {
    Cause.WORKER: Pair("Tự khởi động lại bộ phận đó; cuộc gọi vẫn giữ.", "Restarted by itself; the call stayed."),
    Cause.CUT: Pair("Có điện lại, thiết bị tự vào lại họp.", "With power back, the unit rejoined by itself."),
    Cause.CRASHED: Pair("Tự chạy lại và tự vào lại họp.", "Started again and rejoined by itself."),
    Cause.STOPPED: Pair("Thiết bị tự vào lại họp.", "The unit rejoined by itself."),
    Cause.UNWATCHED: Pair(
        "Tự ghi tiếp; cuộc họp không bị ảnh hưởng.", "Went on by itself; the meeting did not notice."
    ),
    "connection-lost": Pair("Tự kết nối lại.", "Reconnected by itself."),
    "no-network": Pair("Tự kết nối lại khi có mạng.", "Reconnected by itself once there was a network."),
    "mcu-unreachable": Pair("Tự thử kết nối lại liên tục.", "Kept trying by itself."),
    "mcu-busy": Pair("Tự thử kết nối lại liên tục.", "Kept trying by itself."),
    "mcu-credentials": Pair("Báo lên màn hình; tự thử lại.", "Told on the screen; tried again."),
    "mcu-answer": Pair("Báo lên màn hình; tự thử lại.", "Told on the screen; tried again."),
    "camera-missing": Pair("Gửi thẻ báo thay hình; tự mở lại camera.", "Sent a card instead; reopened by itself."),
    "camera-busy": Pair("Gửi thẻ báo thay hình; tự mở lại camera.", "Sent a card instead; reopened by itself."),
    "microphone-missing": Pair("Báo lên màn hình; tự mở lại micrô.", "Told on the screen; reopened by itself."),
    "speaker-missing": Pair("Báo lên màn hình; tự mở lại loa.", "Told on the screen; reopened by itself."),
    "screen-missing": Pair("Tự mở lại màn hình.", "Reopened by itself."),
    "worker-failing": Pair("Tự khởi động lại bộ phận đó.", "Restarted by itself."),
    "picture-stuck": Pair("Tự khởi động lại bộ mã hóa, camera.", "Restarted encoder and camera by itself."),
    "picture-not-taken": Pair("Tự kết nối lại.", "Reconnected by itself."),
    "no-far-picture": Pair("Tự xin lại hình.", "Asked for the picture again by itself."),
    "screen-stuck": Pair("Tự khởi động lại màn hình.", "Restarted the screen by itself."),
    "microphone-silent": Pair("Tự mở lại micrô một lần.", "Reopened the microphone once by itself."),
    "storage-failing": Pair("Cuộc họp vẫn tiếp tục; tự thử ghi lại.", "The meeting went on; tried to write again."),
}
_TOLD = Pair("Báo lên màn hình.", "Told on the screen.")
_STILL = Pair("Chưa hết khi kết thúc.", "Not over at the end.")


def cause(fault: Fault) -> Pair:
    """What was wrong."""
    if fault.code in _CAUSES:
        worker = _WORKERS.get(fault.detail, Pair(fault.detail, fault.detail))
        said = _CAUSES[fault.code]
        return Pair(said.vi.format(worker.vi), said.en.format(worker.en))
    row = CATALOGUE.get(fault.code)
    # A code of another version of the program.
    return Pair(row.cause_vi, row.cause_en) if row is not None else Pair(fault.code, fault.code)


def done(fault: Fault) -> Pair:
    """What was done about it."""
    said = _DONE.get(fault.code, _TOLD)
    return said if fault.is_over else Pair(f"{said.vi} {_STILL.vi}", f"{said.en} {_STILL.en}")


def is_serious(fault: Fault) -> bool:
    row = CATALOGUE.get(fault.code)
    return fault.code in (Cause.CUT, Cause.CRASHED) or (row is not None and row.severity == "fault")


def lasted(ms: int) -> Pair:
    """A length of time: "1 giờ 05 phút", "3 phút 20 giây", "14 giây", "0,4 giây"."""
    seconds = (ms + 500) // 1000
    if 0 < ms < 9_950:
        tenths = f"{ms / 1000:.1f}".removesuffix(".0")
        return Pair(f"{tenths.replace('.', ',')} giây", f"{tenths} s")
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return Pair(f"{hours} giờ {minutes:02} phút", f"{hours} h {minutes:02} min")
    if minutes:
        return Pair(f"{minutes} phút {seconds:02} giây", f"{minutes} min {seconds:02} s")
    return Pair(f"{seconds} giây", f"{seconds} s")


def count(times: int) -> Pair:
    return Pair(f"{times} lần", "once" if times == 1 else f"{times} times")


def share(part: float) -> Pair:
    """A part of a whole, in percent."""
    percent = part * 100
    shown = f"{percent:.0f}" if percent >= 10 or percent == 0 else f"{percent:.1f}"
    shown = "<0.1" if shown == "0.0" else shown
    return Pair(f"{shown.replace('.', ',')} %", f"{shown} %")


def local(ms: int) -> datetime:
    """In the time zone that the machine is set to."""
    return datetime.fromtimestamp(ms / 1000).astimezone()


def day_and_time(ms: int) -> str:
    """As Excel and people everywhere read it."""
    return local(ms).strftime("%Y-%m-%d %H:%M:%S")


def cells(shown: str, width: int) -> str:
    """Pad or cut a text to so many terminal cells; letters may be wide, or composed of several."""
    out, used = "", 0
    for char in shown:
        cell = 0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if used + cell > width:
            out = out[:-1] + "…"
            break
        out, used = out + char, used + cell
    return out + " " * max(0, width - used)
