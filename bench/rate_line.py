"""A simulated line in pure Python: a bottleneck with a drop-tail queue, delay, loss, and a TCP (CUBIC) beside us.

Our real senders, pacer, congestion control and ladder run on it with a clock that only the simulation turns; the far
end reports as our receivers do. A minute of line takes a second or two.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.capture.ladder import Ladder
from appliance.media.clock import NS_PER_S
from appliance.media.values import EncodedFrame
from appliance.rtp import rtcp
from appliance.rtp.arrivals import ArrivalReporter
from appliance.rtp.congestion import CongestionControl
from appliance.rtp.header import parse_header, unwrap_rtx
from appliance.rtp.plane import StreamParameters
from appliance.rtp.sdp import ABS_SEND_TIME_URI, MID_URI, TRANSPORT_CC_URI
from appliance.rtp.sender import AudioSender
from appliance.rtp.stats import ReceptionStatistics
from appliance.rtp.video_sender import VideoSender

MS = 1_000_000
_OVERHEAD = 38  # IP, UDP and SRTP's tag
_EXTENSIONS = {MID_URI: 1, ABS_SEND_TIME_URI: 3, TRANSPORT_CC_URI: 4}


class World:
    """Time and what is to happen."""

    def __init__(self) -> None:
        self._now_ns = 1_000 * NS_PER_S
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now_ns(self) -> int:
        return self._now_ns

    def at(self, when_ns: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(when_ns, self._now_ns), next(self._order), what))

    def after(self, delay_ns: int, what: Callable[[], None]) -> None:
        self.at(self._now_ns + delay_ns, what)

    def call_later(self, delay_s: float, what: Callable[[], None]) -> "Timer":
        timer = Timer(what)
        self.after(int(delay_s * NS_PER_S), timer.fire)
        return timer

    def run_until(self, end_ns: int) -> None:
        while self._events and self._events[0][0] <= end_ns:
            self._now_ns, _, what = heapq.heappop(self._events)
            what()
        self._now_ns = end_ns


class Timer:
    def __init__(self, what: Callable[[], None]) -> None:
        self._what: Callable[[], None] | None = what

    def cancel(self) -> None:
        self._what = None

    def fire(self) -> None:
        if self._what is not None:
            self._what()


class Bottleneck:
    """First in, first out at `bps`; what finds the queue full is dropped. `bps` 0: the line is cut, all is lost."""

    def __init__(
        self, world: World, bps: int, queue_bytes: int, delay_ns: int, loss: float, rng: random.Random
    ) -> None:
        self.bps, self.queue_bytes, self.delay_ns, self.loss = bps, queue_bytes, delay_ns, loss
        self._world, self._rng = world, rng
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._queued = 0
        self._busy = False
        self.dropped = 0

    @property
    def queue_ms(self) -> float:
        return self._queued * 8000 / self.bps if self.bps else 0.0

    def send(self, size: int, deliver: Callable[[], None]) -> None:
        if not self.bps or self._queued + size > self.queue_bytes:
            self.dropped += 1
            return
        self._waiting.append((size, deliver))
        self._queued += size
        if not self._busy:
            self._serve()

    def _serve(self) -> None:
        self._busy = bool(self._waiting)
        if self._busy:
            # What a cut finds on the way is lost soon, not held for as long as it lasts.
            bps = self.bps or 1_000_000
            self._world.after(self._waiting[0][0] * 8 * NS_PER_S // bps, self._served)

    def _served(self) -> None:
        size, deliver = self._waiting.popleft()
        self._queued -= size
        if self.bps and self._rng.random() >= self.loss:
            self._world.after(self.delay_ns, deliver)
        self._serve()


class CubicTcp:
    """A download without end (RFC 9438, fast retransmit, no SACK subtleties): enough to be a rude neighbour."""

    SEGMENT = 1500

    def __init__(self, world: World, line: Bottleneck, back_ns: int) -> None:
        self._world, self._line, self._back_ns = world, line, back_ns
        self._window, self._threshold = 10.0, 1e9
        self._most, self._epoch_ns = 0.0, 0
        self._sent = self._out = 0
        self._recover = 0
        self._next_expected = 0
        self._heard_ns = 0
        self.acked_bytes = 0
        self.active = False

    def start(self) -> None:
        self.active = True
        self._heard_ns = self._world.now_ns()
        self._pump()
        self._watch()

    def stop(self) -> None:
        self.active = False

    def _pump(self) -> None:
        while self.active and self._out < int(self._window):
            number = self._sent
            self._sent += 1
            self._out += 1
            dropped = self._line.dropped
            self._line.send(self.SEGMENT, lambda n=number: self._world.after(self._back_ns, lambda: self._acked(n)))  # type: ignore[misc]
            if self._line.dropped != dropped:
                # The sender learns of it when those behind it are acknowledged: about a round trip later.
                wait_ns = int(self._line.queue_ms * MS) + self._line.delay_ns + self._back_ns
                self._world.after(wait_ns, lambda n=number: self._lost(n))  # type: ignore[misc]

    def _acked(self, number: int) -> None:
        self._heard_ns = self._world.now_ns()
        self._out = max(self._out - 1, 0)
        self.acked_bytes += self.SEGMENT
        if self._window < self._threshold:
            self._window += 1
        else:
            seconds = (self._heard_ns - self._epoch_ns) / NS_PER_S
            pivot = (self._most * 0.3 / 0.4) ** (1 / 3)
            goal = 0.4 * (seconds - pivot) ** 3 + self._most
            self._window += max(min((goal - self._window) / self._window, 0.5), 0.01 / self._window)
        self._pump()

    def _lost(self, number: int) -> None:
        self._out = max(self._out - 1, 0)
        if number >= self._recover:
            self._recover = self._sent
            self._most = self._window
            self._epoch_ns = self._world.now_ns()
            self._window = max(self._window * 0.7, 2.0)
            self._threshold = self._window
        self._pump()

    def _watch(self) -> None:
        """A time-out when nothing comes back."""
        if not self.active:
            return
        if self._world.now_ns() - self._heard_ns > NS_PER_S:
            self._threshold, self._window, self._out = max(self._window / 2, 2.0), 1.0, 0
            self._heard_ns = self._world.now_ns()
            self._pump()
        self._world.after(100 * MS, self._watch)


class Encoder:
    """As x264 behaves here: noisy sizes within a buffer of a quarter of a second, a keyframe at each opening."""

    def __init__(self, bps: int, most_bps: int, demand_bps: int | None, rng: random.Random) -> None:
        self.wanted_bps = min(bps, most_bps)
        self._most_bps, self._demand_bps, self._rng = most_bps, demand_bps, rng
        self._opened_bps = 0
        self._opened_ns = self._last_ns = 0
        self._credit = 0.0
        self._rung = -1
        self.keyframe_wanted = False

    def set_bitrate(self, bps: int) -> None:
        self.wanted_bps = max(32_000, min(bps, self._most_bps))

    def size(self, rung: int, fps: int, now_ns: int) -> tuple[int, bool]:
        """(bytes, keyframe) of a picture."""
        wanted = self.wanted_bps
        grown = wanted > self._opened_bps * 1.1 and now_ns - self._opened_ns > 2 * NS_PER_S
        keyframe = self.keyframe_wanted or rung != self._rung or grown or wanted < self._opened_bps * 0.8
        if keyframe and (rung != self._rung or grown or wanted < self._opened_bps * 0.8 or self._opened_bps == 0):
            self._opened_bps, self._opened_ns, self._rung = wanted, now_ns, rung
            self._credit = 0.2 * wanted
        self.keyframe_wanted = False
        most = 0.25 * self._opened_bps
        self._credit = min(
            self._credit + min(wanted, self._opened_bps * 1.1) * (now_ns - self._last_ns) / NS_PER_S, most
        )
        self._last_ns = now_ns
        mean = min(wanted, self._demand_bps or wanted) / fps
        bits = mean * self._rng.lognormvariate(-0.03, 0.25) if not keyframe else 0.18 * min(wanted, 4 * mean * fps)
        bits = max(min(bits, self._credit), 400)
        self._credit -= bits
        return int(bits / 8), keyframe


@dataclass
class Sample:
    """Each 100 ms."""

    t: float
    target_bps: int
    cause: str
    phase: str
    queue_ms: float
    acked_bps: int
    rung: int
    height: int
    frames: int
    pacer_ms: float
    tcp_bytes: int
    got_bytes: int


@dataclass
class Run:
    """One call over one line. Change the line with `at`."""

    bps: int = 2_000_000
    queue_ms: int = 500
    queue_bytes: int | None = None
    one_way_ms: int = 40
    loss: float = 0.0
    feedback_loss: float = 0.0
    most_bps: int = 2_000_000
    demand_bps: int | None = None
    jitter_ms: float = 0.0
    transport_cc: bool = True
    seed: int = 1
    samples: list[Sample] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.world = world = World()
        self.begun_ns = world.now_ns()
        queue = self.queue_bytes or self.bps * self.queue_ms // 8000
        self.line = Bottleneck(world, self.bps, queue, self.one_way_ms * MS, self.loss, self.rng)
        self.congestion = CongestionControl(world, most_video_bps=self.most_bps)
        self.video = VideoSender(None, world, self.congestion, world.call_later)
        self.audio = AudioSender(None, world, self.congestion)
        self.encoder = Encoder(self.congestion._shares.video_bps, self.most_bps, self.demand_bps, self.rng)
        self.ladder = Ladder(1280, 720, 30, self.most_bps)
        self.audio_bps = 32_000
        self.far = FarEnd(self)
        self.tcp = CubicTcp(world, self.line, self.one_way_ms * MS)
        self._hold_until_ns = 0
        self.frames = self.keyframes = self.held = 0
        self.rung_changes = 0
        common = {"mid": "1", "cname": "unit", "extensions": _EXTENSIONS if self.transport_cc else {}}
        feedback = {"nack", "transport-cc"} if self.transport_cc else {"nack"}
        self.video.on_bandwidth(lambda bps: world.after(20 * MS, lambda: self.encoder.set_bitrate(bps)))
        self.video.on_keyframe(lambda: setattr(self.encoder, "keyframe_wanted", True))
        self.video.on_hold(self._hold)
        self.audio.on_bitrate(lambda bps: setattr(self, "audio_bps", bps))
        self.video.start(
            self.far,
            StreamParameters(
                "video",
                payload_type=102,
                clock_rate=90_000,
                rtx_payload_type=103,
                feedback=frozenset(feedback),
                **common,
            ),
        )
        self.audio.start(
            self.far,
            StreamParameters("audio", payload_type=111, clock_rate=48_000, feedback=frozenset(feedback), **common),
        )
        world.after(0, self._picture)
        world.after(3 * MS, self._sound)
        world.after(0, self._sample)

    def at(self, seconds: float, what: Callable[[], None]) -> None:
        self.world.at(self.begun_ns + int(seconds * NS_PER_S), what)

    def set_line(self, bps: int, *, loss: float | None = None) -> None:
        self.line.bps = bps
        if loss is not None:
            self.line.loss = loss

    def run(self, seconds: float) -> "Run":
        self.world.run_until(self.begun_ns + int(seconds * NS_PER_S))
        return self

    def between(self, begin: float, end: float) -> list[Sample]:
        return [sample for sample in self.samples if begin <= sample.t < end]

    def got_bps(self, begin: float, end: float) -> float:
        part = self.between(begin, end)
        return (part[-1].got_bytes - part[0].got_bytes) * 8 / (part[-1].t - part[0].t)

    def tcp_bps(self, begin: float, end: float) -> float:
        part = self.between(begin, end)
        return (part[-1].tcp_bytes - part[0].tcp_bytes) * 8 / (part[-1].t - part[0].t)

    def queue_p(self, percent: float, begin: float, end: float) -> float:
        queues = sorted(sample.queue_ms for sample in self.between(begin, end))
        return queues[min(int(len(queues) * percent / 100), len(queues) - 1)]

    # the room

    def _hold(self, ms: int) -> None:
        self._hold_until_ns = self.world.now_ns() + ms * MS

    def _picture(self) -> None:
        now_ns = self.world.now_ns()
        before = self.ladder.rung.number
        rung = self.ladder.look(self.encoder.wanted_bps, now_ns)
        self.rung_changes += rung.number != before
        self.world.after(NS_PER_S // rung.fps, self._picture)
        if now_ns < self._hold_until_ns:
            self.held += 1
            return
        size, keyframe = self.encoder.size(rung.number, rung.fps, now_ns)
        data = b"\0\0\0\1" + (b"\x65" if keyframe else b"\x41") + b"\x55" * max(size - 5, 1)
        self.frames += 1
        self.keyframes += keyframe
        # Encoding takes its time.
        self.world.after(8 * MS, lambda: self.video.send(EncodedFrame(data, now_ns, keyframe)))

    def _sound(self) -> None:
        self.audio.send(b"\x55" * (self.audio_bps // 400), self.world.now_ns())
        self.world.after(20 * MS, self._sound)

    def _sample(self) -> None:
        controller = self.congestion.controller
        self.samples.append(
            Sample(
                (self.world.now_ns() - self.begun_ns) / NS_PER_S,
                controller.target_bps,
                controller.cause.value,
                controller.phase.value,
                self.line.queue_ms,
                controller.acked_bps or 0,
                self.ladder.rung.number,
                self.ladder.rung.height,
                self.frames,
                self.video._pacer.queue_ns / MS,
                self.tcp.acked_bytes,
                self.far.bytes,
            )
        )
        self.world.after(100 * MS, self._sample)


class FarEnd:
    """The transport of our senders, and what is at the other end of the line: reports, requests for repair."""

    congested = False

    def __init__(self, run: Run) -> None:
        self._run = run
        self._arrivals = ArrivalReporter(self, 4, 7, run.video.ssrc)
        self._statistics = ReceptionStatistics(run.video.ssrc, 90_000)
        self._report_due_ns = 0
        self._highest: int | None = None
        self._missing: dict[int, list[int]] = {}
        self.bytes = 0
        self.sound_lost = 0

    # towards the far end

    def send_rtp(self, packet: bytes) -> bool:
        jitter_ns = int(abs(self._run.rng.gauss(0, self._run.jitter_ms)) * MS) if self._run.jitter_ms else 0
        self._run.line.send(
            len(packet) + _OVERHEAD, lambda: self._run.world.after(jitter_ns, lambda: self._arrived(packet))
        )
        return True

    def send_rtcp(self, packet: bytes) -> bool:
        """Used both by our senders (reports, of no interest) and by the far end's reporter."""
        if packet[1] == rtcp.RR:
            self._back(packet)
        elif packet[1] == rtcp.SR:
            ssrc, ntp, _ = rtcp.parse_sender_report(packet[4:])
            if ssrc == self._run.video.ssrc:
                arrival = lambda: self._statistics.sender_report(ntp, self._run.world.now_ns())  # noqa: E731
                self._run.line.send(len(packet) + _OVERHEAD, arrival)
        return True

    def _back(self, packet: bytes) -> None:
        if not self._run.line.bps or self._run.rng.random() < self._run.feedback_loss:
            return
        self._run.world.after(self._run.one_way_ms * MS, lambda: self._heard(packet))

    def _heard(self, packet: bytes) -> None:
        now_ns = self._run.world.now_ns()
        for packet_type, count, body in rtcp.split(packet):
            for handler in (self._run.congestion, self._run.video, self._run.audio):
                handler.handle_rtcp(packet_type, count, body, now_ns)

    # at the far end

    def _arrived(self, packet: bytes) -> None:
        now_ns = self._run.world.now_ns()
        self.bytes += len(packet) + _OVERHEAD
        if self._run.transport_cc:
            self._arrivals.packet(packet, now_ns + 123_456_789_000)
        header = parse_header(packet)
        if header.payload_type == 103:
            repaired = unwrap_rtx(packet[header.start : header.end])
            if repaired is not None:
                self._missing.pop(repaired[0], None)
        elif header.payload_type == 102:
            self._statistics.packet(header.sequence, header.timestamp, now_ns)
            self._note(header.sequence)
            if now_ns >= self._report_due_ns:
                self._report_due_ns = now_ns + NS_PER_S
                self._back(rtcp.receiver_report(7, [self._statistics.report(now_ns)]))
        self._ask(now_ns)

    def _note(self, sequence: int) -> None:
        if self._highest is not None and 0 < (sequence - self._highest) & 0xFFFF < 0x8000:
            for missing in range(self._highest + 1, self._highest + ((sequence - self._highest) & 0xFFFF)):
                self._missing[missing & 0xFFFF] = [self._run.world.now_ns(), 0, 0]
        if self._highest is None or (sequence - self._highest) & 0xFFFF < 0x8000:
            self._highest = sequence
        self._missing.pop(sequence, None)

    def _ask(self, now_ns: int) -> None:
        """As nack.py does: again after one and a half round trips, given up after 300 ms."""
        due = []
        for sequence, entry in list(self._missing.items()):
            if now_ns - entry[0] > 300 * MS:
                del self._missing[sequence]
            elif entry[1] == 0 or now_ns - entry[1] > 3 * self._run.one_way_ms * MS:
                entry[1] = now_ns
                due.append(sequence)
        if due:
            self._back(rtcp.receiver_report(7, []) + rtcp.nack(7, self._run.video.ssrc, sorted(due)))
