"""The catalogue of everything that can be wrong with a unit: cause and cure, in Vietnamese and English.

A Problem is shown alike on lights, TV, panel and command line, so its words stand here once.
"""

import errno
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["warning", "fault"]


@dataclass(frozen=True, slots=True)
class ProblemText:
    """One row: how bad it is, what happened, what to do."""

    severity: Severity
    cause_vi: str
    cure_vi: str
    cause_en: str
    cure_en: str


CATALOGUE: dict[str, ProblemText] = {
    "camera-missing": ProblemText(
        "warning",
        "Không có hình từ camera.",
        "Kiểm tra dây cắm của camera.",
        "No picture from the camera.",
        "Check the camera's cable.",
    ),
    "camera-busy": ProblemText(
        "warning",
        "Camera đang được chương trình khác sử dụng.",
        "Khởi động lại thiết bị.",
        "Another program uses the camera.",
        "Restart the unit.",
    ),
    "video-file": ProblemText(
        "warning",
        "Không đọc được tệp video.",
        "Chọn tệp khác trong cài đặt.",
        "The video file cannot be played.",
        "Choose another file in the settings.",
    ),
    "microphone-missing": ProblemText(
        "warning",
        "Không thu được tiếng từ micrô.",
        "Kiểm tra dây cắm của micrô.",
        "No sound from the microphone.",
        "Check the microphone's cable.",
    ),
    "sound-file": ProblemText(
        "warning",
        "Không đọc được tệp tiếng.",
        "Chọn tệp khác trong cài đặt.",
        "The sound file cannot be played.",
        "Choose another file in the settings.",
    ),
    "speaker-missing": ProblemText(
        "warning",
        "Không phát được tiếng ra loa.",
        "Kiểm tra dây cắm và nguồn của loa.",
        "The speaker cannot be played to.",
        "Check the speaker's cable and power.",
    ),
    "sound-failing": ProblemText(
        "fault",
        "Âm thanh của thiết bị bị treo; trung tâm không nghe được phòng này.",
        "Rút micrô và loa rồi cắm lại; nếu vẫn còn, tắt rồi bật nguồn.",
        "The unit's sound hangs; the centre does not hear this room.",
        "Unplug microphone and speaker and plug them in again; if it stays, switch the power off and on.",
    ),
    "screen-missing": ProblemText(
        "warning",
        "Không mở được màn hình.",
        "Kiểm tra dây HDMI và nguồn của TV.",
        "The screen cannot be opened.",
        "Check the HDMI cable and the TV's power.",
    ),
    "worker-failing": ProblemText(
        "fault",
        "Một bộ phận của thiết bị bị dừng và đang được khởi động lại.",
        "Chờ một phút; nếu vẫn còn, tắt rồi bật nguồn.",
        "A part of the unit keeps stopping and is being restarted.",
        "Wait a minute; if it stays, switch the power off and on.",
    ),
    "no-network": ProblemText(
        "fault",
        "Thiết bị chưa có mạng.",
        "Kiểm tra dây mạng và đèn ở cổng mạng; có mạng lại, thiết bị tự kết nối.",
        "The unit has no network.",
        "Check the network cable and the lamp at its socket; the unit reconnects by itself.",
    ),
    "mcu-unreachable": ProblemText(
        "fault",
        "Không kết nối được tới trung tâm.",
        "Kiểm tra dây mạng; thiết bị tự kết nối lại.",
        "The conference centre cannot be reached.",
        "Check the network cable; the unit keeps trying.",
    ),
    "mcu-credentials": ProblemText(
        "fault",
        "Trung tâm từ chối mã truy cập.",
        "Gọi cho cán bộ kỹ thuật của trung tâm.",
        "The conference centre rejects the access token.",
        "Call the technician of the central office.",
    ),
    "mcu-answer": ProblemText(
        "fault",
        "Trung tâm trả lời không hợp lệ.",
        "Gọi cho cán bộ kỹ thuật của trung tâm.",
        "The conference centre's answer cannot be used.",
        "Call the technician of the central office.",
    ),
    "mcu-busy": ProblemText(
        "warning",
        "Trung tâm đang bận.",
        "Chờ; thiết bị tự kết nối lại.",
        "The conference centre is busy.",
        "Wait; the unit keeps trying.",
    ),
    "connection-lost": ProblemText(
        "warning",
        "Mất kết nối với trung tâm.",
        "Kiểm tra dây mạng; thiết bị tự kết nối lại.",
        "The connection to the conference centre is lost.",
        "Check the network cable; the unit reconnects by itself.",
    ),
    "far-silent": ProblemText(
        "warning",
        "Trung tâm chưa gửi hình và tiếng.",
        "Chờ; có thể chưa có ai khác trong cuộc họp.",
        "The conference centre sends no picture or sound yet.",
        "Wait; perhaps nobody else is in the meeting.",
    ),
    "line-slow": ProblemText(
        "warning",
        "Đường truyền chậm; hình gửi đi bị giảm chất lượng.",
        "Tạm dừng tải tệp và xem video trên cùng đường mạng; nếu vẫn chậm, gọi nhà mạng.",
        "The line is slow; the picture sent is reduced.",
        "Stop downloads and videos on the same line; if it stays slow, call the network provider.",
    ),
    "picture-stuck": ProblemText(
        "warning",
        "Hình của phòng họp bị dừng; thiết bị đang tự khắc phục.",
        "Chờ một phút; tiếng vẫn được gửi đi.",
        "The room's picture has stopped; the unit is putting it right.",
        "Wait a minute; the sound is still sent.",
    ),
    "picture-not-taken": ProblemText(
        "warning",
        "Trung tâm không nhận được hình của phòng họp.",
        "Chờ; thiết bị tự kết nối lại.",
        "The conference centre does not get the room's picture.",
        "Wait; the unit reconnects by itself.",
    ),
    "no-far-picture": ProblemText(
        "warning",
        "Trung tâm có gửi tiếng nhưng chưa gửi hình.",
        "Chờ; nếu vẫn không có hình, gọi cho trung tâm.",
        "The conference centre sends sound but no picture.",
        "Wait; if no picture comes, call the conference centre.",
    ),
    "screen-stuck": ProblemText(
        "warning",
        "Có hình từ trung tâm nhưng không hiện được; thiết bị đang tự khắc phục.",
        "Chờ một phút.",
        "The centre's picture comes but is not shown; the unit is putting it right.",
        "Wait a minute.",
    ),
    "microphone-silent": ProblemText(
        "warning",
        "Micrô hoàn toàn không có tiếng.",
        "Kiểm tra nút tắt tiếng trên micrô và dây cắm.",
        "The microphone gives no sound at all.",
        "Check the mute switch on the microphone, and its cable.",
    ),
    "reboot-advised": ProblemText(
        "warning",
        "Thiết bị chưa tự khắc phục được.",
        "Sau cuộc họp, tắt rồi bật lại nguồn của thiết bị.",
        "The unit could not put it right by itself.",
        "After the meeting, switch the unit's power off and on.",
    ),
    "no-meeting": ProblemText(
        "warning",
        "Chưa có cuộc họp nào được cài đặt.",
        "Gọi cho cán bộ kỹ thuật của trung tâm.",
        "No meeting is configured.",
        "Call the technician of the central office.",
    ),
    "meeting-gone": ProblemText(
        "warning",
        "Cuộc họp trước đó không còn trong cài đặt.",
        "Nhấn START để vào họp; nếu không đúng, gọi cho cán bộ kỹ thuật.",
        "The meeting that the unit was in is no longer in the settings.",
        "Press START to join; if that is wrong, call the technician.",
    ),
    "settings-spoiled": ProblemText(
        "fault",
        "Tệp cài đặt bị hỏng; thiết bị chạy với cài đặt mặc định.",
        "Gọi cho cán bộ kỹ thuật của trung tâm.",
        "The settings file is spoiled; the unit runs on defaults.",
        "Call the technician of the central office.",
    ),
    "settings-recovered": ProblemText(
        "warning",
        "Tệp cài đặt bị hỏng; thiết bị dùng bản sao trước đó.",
        "Kiểm tra lại cài đặt trên trang quản trị.",
        "The settings file was spoiled; the unit uses its second copy.",
        "Check the settings on the panel.",
    ),
    "storage-failing": ProblemText(
        "fault",
        "Không ghi được vào thẻ nhớ.",
        "Báo cán bộ kỹ thuật; cần thay thẻ nhớ.",
        "The memory card cannot be written.",
        "Tell the technician; the card needs replacing.",
    ),
    "storage-full": ProblemText(
        "warning",
        "Thẻ nhớ đã đầy.",
        "Báo cán bộ kỹ thuật; cần xóa bớt tệp.",
        "The memory card is full.",
        "Tell the technician; files need removing.",
    ),
    "board-missing": ProblemText(
        "warning",
        "Không dùng được nút bấm và đèn.",
        "Dùng trang quản trị; báo cán bộ kỹ thuật.",
        "Buttons and lights cannot be used.",
        "Use the panel; tell the technician.",
    ),
}


def storage_code(error: OSError) -> str:
    """Which row a failed write is: a full card needs room, not replacing."""
    return "storage-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "storage-failing"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something is wrong now. `code` is a row of CATALOGUE; `detail` is for the technician, in English."""

    code: str
    since_unix_s: float
    detail: str = ""

    @property
    def text(self) -> ProblemText:
        return CATALOGUE[self.code]

    def as_dict(self) -> dict[str, Any]:
        text = self.text
        return {
            "code": self.code,
            "severity": text.severity,
            "since": self.since_unix_s,
            "detail": self.detail,
            "cause": {"vi": text.cause_vi, "en": text.cause_en},
            "cure": {"vi": text.cure_vi, "en": text.cure_en},
        }
