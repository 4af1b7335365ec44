"""What a person may conclude from the chain of the minutes, in plain words."""

from .reading import Break, Chain, Fault
from .words import Pair

_WHAT: dict[Fault, Pair] = {
    Fault.UNREADABLE: Pair("không phải là một dòng biên bản", "is not a line of minutes"),
    Fault.FORM: Pair("không đúng dạng mà thiết bị ghi", "has a form that no unit writes"),
    Fault.CHANGED: Pair(
        "đã bị sửa sau khi ghi, hoặc thẻ nhớ bị hỏng", "was changed after it was written, or has rotted"
    ),
    Fault.MISSING: Pair("đứng sau một chỗ trống", "stands after a gap"),
    Fault.REPEATED: Pair("bị lặp lại hoặc đặt sai chỗ", "stands twice, or in a wrong place"),
    Fault.REPLACED: Pair("đã bị thay bằng dòng khác", "has been put in the place of another line"),
    Fault.BEGINNING: Pair("không phải là dòng đầu của biên bản", "is not the beginning of the minutes"),
    Fault.FILE: Pair("không phải là tệp biên bản", "is not a file of minutes"),
}


def result(chain: Chain) -> Pair:
    """One sentence: whole, or broken where."""
    if chain.broken is not None:
        place = chain.broken
        what = _WHAT[place.fault]
        if place.line == 0:
            return Pair(f"BIÊN BẢN BỊ HỎNG: {place.file} {what.vi}.", f"BROKEN: {place.file} {what.en}.")
        return Pair(
            f"BIÊN BẢN BỊ HỎNG: dòng {place.line} của {place.file} {what.vi}.",
            f"BROKEN: line {place.line} of {place.file} {what.en}.",
        )
    if not chain.lines:
        return Pair("Chưa có biên bản nào.", "There are no minutes yet.")
    return Pair(
        f"BIÊN BẢN NGUYÊN VẸN: {chain.lines} dòng, {len(chain.starts)} cuộc họp.",
        f"INTACT: {chain.lines} lines, {len(chain.starts)} meetings.",
    )


def conclusions(chain: Chain) -> list[Pair]:
    """What follows from it, one thought each."""
    said: list[Pair] = []
    if chain.broken is not None:
        said += _of_break(chain, chain.broken)
    elif chain.lines:
        said.append(
            Pair(
                f"Từ dòng {chain.first} đến dòng {chain.last} không dòng nào bị sửa, xóa hay chen vào.",
                f"From line {chain.first} to line {chain.last} none was changed, removed or put in.",
            )
        )
    if chain.dropped:
        said.append(
            Pair(
                f"{chain.dropped} dòng cũ hơn đã được chính thiết bị xóa để lấy chỗ, và đã ghi lại việc đó.",
                f"{chain.dropped} older lines were dropped by the unit itself to make room, and it has noted that.",
            )
        )
    if chain.torn:
        said.append(
            Pair(
                "Dòng cuối còn dở: mất điện đúng lúc ghi, hoặc thiết bị đang ghi. Các dòng trước không bị ảnh hưởng.",
                "The last line is incomplete: power went while it was written, or it is being written. "
                "The lines before it are not touched.",
            )
        )
    if chain.repairs:
        said.append(
            Pair(
                f"{chain.repairs} lần thiết bị đã cắt bỏ phần cuối ghi dở khi mất điện, và đã ghi lại việc đó.",
                f"The unit has cut off a torn end {chain.repairs} time(s) after a power cut, and has noted that.",
            )
        )
    if chain.lines_lost:
        said.append(
            Pair(
                f"{chain.lines_lost} ghi chép đã mất vì thẻ nhớ không ghi được, và thiết bị đã ghi lại việc đó.",
                f"{chain.lines_lost} notes were lost because the card could not be written; the unit has noted that.",
            )
        )
    if chain.lines:
        said.append(
            Pair(
                "Không thể biết nếu các dòng mới nhất bị cắt bỏ, hoặc toàn bộ biên bản bị người có quyền quản trị ghi "
                "lại từ đầu: hãy so với mã kiểm tra trên bản in đã ký (--hash).",
                "It cannot be seen whether the newest lines were cut off, or whether somebody with the rights of an "
                "administrator wrote everything anew: compare with the hash on a signed print (--hash).",
            )
        )
    return said


def _of_break(chain: Chain, place: Break) -> list[Pair]:
    if place.fault is Fault.BEGINNING:
        return [
            Pair(
                f"{(place.found_number or 1) - 1} dòng đầu đã bị xóa, và không phải do thiết bị xóa. "
                f"Các dòng còn lại ({chain.first}–{chain.last}) vẫn liền mạch với nhau.",
                f"The first {(place.found_number or 1) - 1} lines were removed, and not by the unit. "
                f"The remaining lines ({chain.first}–{chain.last}) still hang together.",
            )
        ]
    said = [
        Pair(
            f"{chain.lines} dòng trước đó (đến dòng số {chain.last}) đúng như thiết bị đã ghi.",
            f"The {chain.lines} lines before it (up to number {chain.last}) are as the unit wrote them.",
        )
        if chain.lines
        else Pair("Không dòng nào chứng minh được.", "No line can be proven.")
    ]
    if place.fault is Fault.MISSING and place.found_number is not None:
        gone = place.found_number - place.number
        said.append(
            Pair(
                f"{gone} dòng (số {place.number}–{place.found_number - 1}) đã bị xóa.",
                f"{gone} lines (numbers {place.number}–{place.found_number - 1}) were removed.",
            )
        )
    said.append(
        Pair(
            "Từ dòng này trở đi biên bản không còn là bằng chứng: có thể đã bị sửa.",
            "From this line on the minutes prove nothing any more: they may have been changed.",
        )
    )
    return said
