"""The engine's refusals in words for people, by their code: what programs are told in English may be too technical."""

from appliance.errors import ControlError

_TECHNICIAN = ("Gọi cho cán bộ kỹ thuật của trung tâm.", "Call the technician of the central office.")
_AGAIN = (
    "Thiết bị gặp lỗi. Hãy thử lại; nếu vẫn lỗi, gọi cho cán bộ kỹ thuật.",
    "The unit ran into an error. Try again; if it stays, call the technician.",
)
_NOT_UNDERSTOOD = (
    "Thiết bị không hiểu yêu cầu này. Hãy tải lại trang.",
    "The unit does not understand this. Load the page again.",
)

# (Vietnamese, English) for each code of docs/control-protocol.md that a client may meet.
WORDS: dict[str, tuple[str, str]] = {
    "not-running": (
        "Chương trình của thiết bị chưa chạy. Hãy tắt rồi bật nguồn thiết bị.",
        "The unit's program is not running. Switch the unit off and on.",
    ),
    "not-allowed": (
        f"Chương trình này không được phép điều khiển thiết bị. {_TECHNICIAN[0]}",
        f"This program may not command the unit. {_TECHNICIAN[1]}",
    ),
    "no-answer": (
        "Thiết bị không trả lời. Chờ một phút; nếu vẫn còn, tắt rồi bật nguồn.",
        "The unit does not answer. Wait a minute; if it stays, switch the power off and on.",
    ),
    "gone": ("Thiết bị đang khởi động lại. Xin chờ.", "The unit is starting again. Please wait."),
    "busy": (
        "Quá nhiều chương trình đang kết nối với thiết bị. Hãy đóng bớt trang quản trị.",
        "Too many programs are connected to the unit. Close a panel page.",
    ),
    "version": (
        f"Thiết bị chạy phiên bản khác với trang quản trị. {_TECHNICIAN[0]}",
        f"The unit runs another version than the panel. {_TECHNICIAN[1]}",
    ),
    "bad-request": _NOT_UNDERSTOOD,
    "too-long": _NOT_UNDERSTOOD,
    "no-meeting": (
        f"Chưa có cuộc họp nào được cài đặt. {_TECHNICIAN[0]}",
        f"No meeting is configured. {_TECHNICIAN[1]}",
    ),
    "unknown-meeting": (
        f"Cuộc họp này không có trong cài đặt. {_TECHNICIAN[0]}",
        f"This meeting is not in the settings. {_TECHNICIAN[1]}",
    ),
    "not-ready": ("Chưa có hình. Hãy thử lại sau giây lát.", "There is no picture yet. Try again in a moment."),
    "internal": _AGAIN,
    "failed": _AGAIN,
}


def said(error: ControlError) -> tuple[str, str]:
    """The error for a person, in Vietnamese and English."""
    return WORDS.get(error.code, _AGAIN)
