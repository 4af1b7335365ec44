"""What one check of the doctor found, and what to do about it."""

from dataclasses import dataclass
from typing import Any, Literal

from .problems import CATALOGUE

Result = Literal["ok", "warning", "failed", "skipped"]
SUDO = ("Chạy lại với sudo.", "Run it again with sudo.")
CALL = ("Gọi cho cán bộ kỹ thuật của trung tâm.", "Call the technician of the central office.")


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome; texts are (Vietnamese, English)."""

    check: str
    result: Result
    found: tuple[str, str]
    cure: tuple[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        cure = {"vi": self.cure[0], "en": self.cure[1]} if self.cure else None
        return {
            "check": self.check,
            "result": self.result,
            "found": {"vi": self.found[0], "en": self.found[1]},
            "cure": cure,
        }


def of_problem(check: str, code: str, detail: str = "", *, result: Result = "failed") -> Finding:
    """A check that found a Problem, in the words of the catalogue."""
    row = CATALOGUE[code]
    more = f" ({detail})" if detail else ""
    return Finding(check, result, (row.cause_vi + more, row.cause_en + more), (row.cure_vi, row.cure_en))
