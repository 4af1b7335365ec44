"""Record what a sound worker captured or played, with its times, so that a call can be measured afterwards."""

from pathlib import Path
from struct import Struct

from .clock import NS_PER_S
from .values import SAMPLE_RATE

_MARK = Struct("<qq")
# Half a sample: what is nearer needs no new mark.
_TOLERANCE_NS = NS_PER_S // SAMPLE_RATE // 2
_FLUSH_BYTES = 48_000


class SoundTap:
    """Writes `name`.s16le (all blocks in order) and `name`.idx (pairs of int64: sample index, time of that sample).

    A pair stands where the time line does not follow from the pair before: at the start, and behind each hole. The
    record of a worker that died is gone on with.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._samples = folder.joinpath(f"{name}.s16le").open("ab")
        self._index = folder.joinpath(f"{name}.idx").open("ab")
        for file, size in ((self._samples, 2), (self._index, _MARK.size)):
            file.truncate(file.tell() // size * size)
        self._count = self._samples.tell() // 2
        self._unflushed = 0
        self._mark: tuple[int, int] | None = None

    def write(self, samples: bytes, time_ns: int) -> None:
        if self._mark is None or abs(self._expected(self._mark) - time_ns) > _TOLERANCE_NS:
            self._mark = (self._count, time_ns)
            self._index.write(_MARK.pack(*self._mark))
        self._samples.write(samples)
        self._count += len(samples) // 2
        self._unflushed += len(samples)
        if self._unflushed >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        # The samples first: a mark must not point past the end of the record.
        self._samples.flush()
        self._index.flush()
        self._unflushed = 0

    def close(self) -> None:
        self.flush()
        self._samples.close()
        self._index.close()

    def _expected(self, mark: tuple[int, int]) -> int:
        return mark[1] + (self._count - mark[0]) * NS_PER_S // SAMPLE_RATE
