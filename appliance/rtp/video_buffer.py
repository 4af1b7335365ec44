"""The jitter buffer of the picture: packets in, whole pictures out at once, in order, and never one that is broken.

On a clean line it adds no delay: a picture is complete with its last packet. A hole is asked for and waited for in
bounded time; what cannot be repaired costs the pictures up to the next keyframe, which `wants_keyframe` asks for.
Pure: bytes and times go in, pictures and requests come out; the caller has the clock and the line.
"""

from collections.abc import Sequence

from .depacketize import AccessUnit, H264Assembler, Role, role_of
from .header import signed16
from .nack import NackList

_MS = 1_000_000
# Packets behind a hole that are kept: 300 ms of 8 Mbit/s fit several times.
MAX_HELD = 1500
# Beyond this the sequence numbers belong to another run of the sender, if a second packet says so too.
_MAX_JUMP = 2000
# A picture whose next packet does not come for this long may have lost its end: nothing else would tell. Where packets
# of a picture follow each other closely, twice their largest distance is long enough.
TAIL_NS = 60 * _MS
LEAST_TAIL_NS = 12 * _MS
# Its end may also be on its way over a stalled connection, so it is waited for longer than for a known hole.
TAIL_GIVE_UP_NS = 500 * _MS

_Packet = tuple[int, bool, bytes]


class VideoBuffer:
    """One stream (SSRC). `sequence` and `timestamp` are the header's; times are ns of one monotonic clock."""

    def __init__(self, *, repairs: bool = True, sets: bytes = b"") -> None:
        """`repairs`: the sender repeats packets on request. `sets`: parameter sets from the SDP."""
        self._assembler = H264Assembler(sets)
        self._nacks = NackList(repairs=repairs)
        self._held: dict[int, _Packet] = {}
        self._next: int | None = None  # extended sequence number of the packet that the assembler takes next
        self._highest = 0
        self._far_off = -1
        self._newest_ns = 0
        self._distance_ns = TAIL_NS // 2  # the largest of late between two packets of a picture
        self.duplicates = 0
        self.late = 0
        self.gaps_given_up = 0
        self.restarts = 0

    @property
    def wants_keyframe(self) -> bool:
        """The stream has begun, nothing can be shown before a keyframe comes, and none is on its way."""
        return self._next is not None and self._assembler.seeking and not self._assembler.in_keyframe

    @property
    def needs_care(self) -> bool:
        """`next_ns` has something, or a keyframe is wanted: cheap to ask after each packet."""
        assembler = self._assembler
        return assembler.seeking or assembler.in_picture or bool(self._nacks)

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def missing(self) -> int:
        return len(self._nacks)

    @property
    def nacks(self) -> NackList:
        """For its figures: what repairs take, and how many fail."""
        return self._nacks

    @property
    def recovered(self) -> int:
        return self._nacks.recovered

    @property
    def malformed(self) -> int:
        return self._assembler.malformed

    @property
    def dropped(self) -> int:
        """Pictures that came, whole or in part, and were of no use."""
        return self._assembler.dropped

    def insert(
        self, sequence: int, timestamp: int, marker: bool, payload: bytes, now_ns: int, *, repaired: bool = False
    ) -> Sequence[AccessUnit]:
        """Take a packet; the pictures it completes. `repaired`: it is a retransmission."""
        if self._next is None:
            self._start(sequence)
        assert self._next is not None
        ahead = signed16(sequence - self._next)
        if ahead == 0 and not self._held:
            # The path of a clean line.
            if self._assembler.in_picture:
                self._distance_ns = max(self._distance_ns - self._distance_ns // 64, now_ns - self._newest_ns)
            self._newest_ns = now_ns
            if self._nacks:
                self._nacks.arrived(self._next, now_ns, repaired=repaired)
            self._highest = max(self._highest, self._next)
            self._next += 1
            out: list[AccessUnit] = []
            self._assembler.feed(timestamp, marker, payload, out)
            return out
        return self._insert_out_of_order(ahead, (timestamp, marker, payload), now_ns, repaired=repaired)

    def _start(self, sequence: int) -> None:
        # Counted from one wrap up, so that extended numbers stay positive.
        self._next = sequence + 0x10000
        self._highest = self._next - 1
        self._far_off = -1

    def _insert_out_of_order(self, ahead: int, packet: _Packet, now_ns: int, *, repaired: bool) -> Sequence[AccessUnit]:
        assert self._next is not None
        sequence = self._next + ahead
        if not -_MAX_JUMP < ahead < _MAX_JUMP:
            return self._take_far_off(sequence, packet, now_ns)
        if ahead < 0:
            self.late += 1
            return ()
        if sequence in self._held:
            self.duplicates += 1
            return ()
        self._newest_ns = now_ns
        self._held[sequence] = packet
        if sequence > self._highest:
            self._nacks.missed(self._highest + 1, sequence, now_ns)
            self._highest = sequence
        self._nacks.arrived(sequence, now_ns, repaired=repaired)
        out: list[AccessUnit] = []
        self._advance(out)
        while len(self._held) > MAX_HELD:
            self._give_up(min(self._held), out)
        return out

    def _take_far_off(self, sequence: int, packet: _Packet, now_ns: int) -> Sequence[AccessUnit]:
        """RFC 3550 appendix A.1: one packet may stray; two in a row are a sender that started anew."""
        sequence &= 0xFFFF
        if sequence != self._far_off:
            self._far_off = (sequence + 1) & 0xFFFF
            self.late += 1
            return ()
        self.restarts += 1
        self._held.clear()
        self._nacks.clear()
        self._assembler.gap()
        self._start(sequence)
        return self.insert(sequence, *packet, now_ns)

    def _advance(self, out: list[AccessUnit]) -> None:
        """Give the assembler what has become contiguous."""
        assert self._next is not None
        held, feed = self._held, self._assembler.feed
        while held:
            packet = held.pop(self._next, None)
            if packet is not None:
                self._next += 1
                feed(*packet, out)
            elif not self._leave_out_hole():
                break

    def _leave_out_hole(self) -> bool:
        """While a keyframe is sought, a hole before other packets hides nothing that anybody waits for."""
        assembler = self._assembler
        if not assembler.seeking or assembler.in_keyframe:
            return False
        after = min(self._held)
        if role_of(self._held[after][2]) in (Role.IDR_START, Role.KEYFRAME_PART):
            # The keyframe's beginning is in the hole.
            return False
        assembler.jump()
        self._go_to(after)
        return True

    def _go_to(self, sequence: int) -> None:
        self._next = sequence
        self._highest = max(self._highest, sequence - 1)
        self._nacks.forget_before(sequence)

    def _give_up(self, sequence: int, out: list[AccessUnit]) -> None:
        """What is missing before `sequence` is lost for good."""
        self.gaps_given_up += 1
        for known in [known for known in self._held if known < sequence]:
            del self._held[known]
        self._assembler.gap()
        self._go_to(sequence)
        self._advance(out)

    def poll(self, now_ns: int) -> Sequence[AccessUnit]:
        """Let time pass: give up what was waited for too long. To be called at `next_ns`."""
        out: list[AccessUnit] = []
        if self._next is None:
            return out
        last = self._nacks.given_up(now_ns)
        if last is not None and not self._held:
            # The end of the newest picture; the next one may well begin with the number that was asked for.
            self.gaps_given_up += 1
            self._assembler.gap()
            self._nacks.clear()
            self._highest = self._next - 1
        elif last is not None:
            self._give_up(last + 1, out)
        if self._tail_is_open and now_ns - self._newest_ns >= self.tail_ns:
            self._highest += 1
            self._nacks.guess(self._highest, now_ns, TAIL_GIVE_UP_NS)
        return out

    @property
    def tail_ns(self) -> int:
        """How long the next packet of a picture is waited for before it is asked for."""
        return min(max(2 * self._distance_ns, LEAST_TAIL_NS), TAIL_NS)

    @property
    def _tail_is_open(self) -> bool:
        """The newest picture has begun and not ended, and no later packet tells of a hole."""
        return not self._held and not self._nacks and self._assembler.in_picture

    def due(self, now_ns: int) -> list[int]:
        """Sequence numbers (16 bit, in order) to ask the sender for, now."""
        return [sequence & 0xFFFF for sequence in self._nacks.due(now_ns)] if self._nacks else []

    def next_ns(self) -> int | None:
        """When time alone will bring something: a request, or a hole given up."""
        if self._nacks:
            return self._nacks.next_ns()
        return self._newest_ns + self.tail_ns if self._tail_is_open else None
