"""A unit's state in words, Vietnamese or English, for the terminal."""

import time
from typing import Any, Literal

Lang = Literal["vi", "en"]

STATES = {
    "standby": {"vi": "Sẵn sàng", "en": "Ready"},
    "joining": {"vi": "Đang vào họp", "en": "Joining"},
    "live": {"vi": "Đang họp", "en": "In the meeting"},
    "rejoining": {"vi": "Đang kết nối lại", "en": "Reconnecting"},
    "fault": {"vi": "Không vào họp được", "en": "Cannot join"},
}
_COLOURS = {"standby": "cyan", "joining": "yellow", "live": "green", "rejoining": "yellow", "fault": "red"}
WORDS = {
    "meeting": {"vi": "Cuộc họp", "en": "Meeting"},
    "microphone": {"vi": "Micrô", "en": "Microphone"},
    "camera": {"vi": "Camera", "en": "Camera"},
    "on": {"vi": "bật", "en": "on"},
    "off": {"vi": "TẮT", "en": "OFF"},
    "since": {"vi": "từ", "en": "since"},
    "none": {"vi": "không", "en": "none"},
    "retry": {"vi": "thử lại sau {} giây", "en": "next try in {} s"},
    "parts": {"vi": "Bộ phận", "en": "Parts"},
    "restarts": {"vi": "khởi động lại {} lần", "en": "restarted {} times"},
    "picture": {"vi": "Hình", "en": "Picture"},
    "sound": {"vi": "Tiếng", "en": "Sound"},
    "line": {"vi": "Đường truyền", "en": "Line"},
    "problems": {"vi": "Sự cố", "en": "Problems"},
    "sent": {"vi": "gửi", "en": "sent"},
    "shown": {"vi": "hiện", "en": "shown"},
    "freezes": {"vi": "đứng hình", "en": "freezes"},
    "played": {"vi": "phát", "en": "played"},
    "level": {"vi": "mức", "en": "level"},
    "round trip": {"vi": "khứ hồi", "en": "round trip"},
    "reduced": {"vi": "hình gửi đi giảm còn {} vì đường truyền yếu", "en": "picture sent reduced to {} by the line"},
    "lost": {"vi": "mất gói", "en": "packets lost"},
}
PARTS = {
    "camera": {"vi": "camera", "en": "camera"},
    "sound": {"vi": "âm thanh", "en": "sound"},
    "screen": {"vi": "màn hình", "en": "screen"},
}
WORKER_STATES = {
    "starting": {"vi": "đang khởi động", "en": "starting"},
    "running": {"vi": "đang chạy", "en": "running"},
    "failed": {"vi": "bị lỗi", "en": "failed"},
    "stopped": {"vi": "đã dừng", "en": "stopped"},
}
_SGR = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "bold": "1", "dim": "2"}


def language_of(state: dict[str, Any], asked: str | None) -> Lang:
    return "en" if (asked or state["unit"]["language"]) == "en" else "vi"


def one_line(state: dict[str, Any]) -> str:
    """The answer to a command."""
    lang = language_of(state, None)
    meeting = state["meeting"]
    said = STATES[meeting["state"]][lang] + (f": {meeting['name']}" if meeting["name"] else "")
    switches = ((WORDS["microphone"][lang], not state["muted"]), (WORDS["camera"][lang], state["camera_on"]))
    return " · ".join((said, *(f"{name} {WORDS['on' if on else 'off'][lang]}" for name, on in switches)))


def status_lines(state: dict[str, Any], lang: Lang, *, colour: bool, now: float | None = None) -> list[str]:
    """The whole status, one fact a line."""

    def paint(text: str, style: str) -> str:
        return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if colour else text

    def row(name: str, text: str) -> str:
        return f"  {WORDS[name][lang]:<14}{text}"

    now = time.time() if now is None else now
    meeting = state["meeting"]
    what = meeting["state"]
    headline = f"{paint(state['unit']['name'], 'bold')}  {paint('● ' + STATES[what][lang], _COLOURS[what])}"
    if meeting["since"]:
        headline += f"  {WORDS['since'][lang]} {time.strftime('%H:%M:%S', time.localtime(meeting['since']))}"
    if meeting["next_try"] is not None:
        headline += "  " + WORDS["retry"][lang].format(max(0, round(meeting["next_try"] - now)))
    lines = [headline, row("meeting", meeting["name"] or WORDS["none"][lang])]
    for name, on in (("microphone", not state["muted"]), ("camera", state["camera_on"])):
        word = WORDS["on" if on else "off"][lang]
        lines.append(row(name, word if on else paint(word, "yellow")))
    lines += [row(name, text) for name, text in _figures(state["numbers"], lang)]
    parts = [_part(name, worker, lang) for name, worker in state["workers"].items()]
    if parts:
        lines.append(row("parts", ", ".join(parts)))
    if state["problems"]:
        lines.append(f"  {paint(WORDS['problems'][lang], 'red')}")
        for problem in state["problems"]:
            mark = paint("✗" if problem["severity"] == "fault" else "!", "red")
            lines.append(f"    {mark} {problem['cause'][lang]} {problem['cure'][lang]}")
            if problem["detail"]:
                lines.append(paint(f"      {problem['detail']}", "dim"))
    return lines


def _part(name: str, worker: dict[str, Any], lang: Lang) -> str:
    text = f"{PARTS[name][lang]} {WORKER_STATES[worker['state']][lang]}"
    return f"{text} ({WORDS['restarts'][lang].format(worker['restarts'])})" if worker["restarts"] else text


def _figures(numbers: dict[str, dict[str, Any]], lang: Lang) -> list[tuple[str, str]]:
    """What the parts count, as far as they have told yet."""

    def words(*pairs: tuple[str, str | None]) -> str:
        return ", ".join(f"{WORDS[name][lang]} {text}" for name, text in pairs if text is not None)

    camera, sound, screen, session = (numbers.get(part, {}) for part in ("camera", "sound", "screen", "session"))
    rows = []
    if camera:
        size = f"{camera['width']}x{camera['height']}@{camera['fps']} {camera['bitrate_bps'] // 1000} kbit/s"
        pairs = [("sent", _text(session.get("video_out_frames_sent")))]
        pairs += [(name, _text(screen.get(name))) for name in ("shown", "freezes")]
        rows.append(("picture", f"{size}, {words(*pairs)}"))
    if sound:
        level = f"{sound['level_dbfs']:.0f} dBFS"
        pairs = [("level", level), ("sent", _text(session.get("audio_out_blocks_sent")))]
        rows.append(("sound", words(*pairs, ("played", _text(sound.get("played"))))))
    if session.get("video_out_rtt_ms") is not None:
        lost = session.get("video_in_packets_lost", 0) + session.get("audio_in_packets_lost", 0)
        rows.append(("line", words(("round trip", f"{session['video_out_rtt_ms']:.0f} ms"), ("lost", str(lost)))))
    if session and camera.get("rung"):
        size = f"{camera['width']}x{camera['height']}@{camera['fps']}"
        rows.append(("line", WORDS["reduced"][lang].format(size)))
    return rows


def _text(number: object) -> str | None:
    return None if number is None else str(number)
