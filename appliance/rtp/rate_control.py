"""Decide how many bits a second one connection may send: by queue delay, loss, the far end's cap and its silence.

Pure: times are given, no packet is touched; every driver shares it. docs/rate-control.md has the picture. Rates are
bits on the wire, headers included.
"""

from appliance.media.clock import NS_PER_S

from .drain import Drain, Outcome
from .flight import FlightReport
from .loss_bound import LossBound
from .probing import Prober
from .queue_delay import QueueDelay
from .rate_growth import Growth
from .rate_meters import RateMeter
from .rate_words import LEAST_BPS, Cause, Limits, Phase
from .reported_line import HIGH_NS, LOW_NS, ReportedLine
from .rival import Rival

_MS = 1_000_000
# Enough for the whole picture to begin with, and half a second of it is no disaster on a line for 500 kbit/s.
START_BPS = 900_000

# A queue of this much is one too many, whatever it does; of less, when it grows so fast. On a slow line one packet of
# ours takes longer than that: then so many times a packet's time.
_QUEUE_HIGH_NS, _HIGH_PACKETS = 90 * _MS, 2.4
_QUEUE_GROWING_NS, _GROWING_PACKETS = 35 * _MS, 1.3
_GROWING = 0.06
_QUEUE_EMPTY_NS, _EMPTY_PACKETS = 20 * _MS, 1.0
_PACKET_BITS = 8 * 1250
_LEARNED = 0.02
_MOST_STEP_NS = 200 * _MS
_NEW_NS = 3 * NS_PER_S
_SILENCE_NS = 600 * _MS
_HALVE_EVERY_NS = 500 * _MS


class RateController:
    """One connection's rate. Tell it what happens; read `target_bps`."""

    def __init__(self, most_bps: int, now_ns: int, *, start_bps: int = START_BPS) -> None:
        self.limits = Limits(most_bps)
        self.target_bps = min(start_bps, most_bps)
        self.phase = Phase.CLIMB
        self.loss = LossBound()
        self.prober = Prober()
        self._queue = QueueDelay()
        self._growth = Growth(now_ns)
        self._rival = Rival()
        self._sent = RateMeter(NS_PER_S)
        self._acked = RateMeter(400 * _MS)
        self.rtt_ns = 100 * _MS
        self._reported = ReportedLine()
        self._reported_bps: float | None = None
        self._bounded_by = Cause.OK
        self._high_reports = 0
        self._drain = Drain()
        self._newest_sent_ns = 0
        self._begun_ns = self._updated_ns = now_ns
        self._has_heard = False
        self._waiting_since_ns: int | None = None
        self._halved_ns = 0
        self._before_silence_bps = 0

    # what is told

    def sent(self, now_ns: int, bits: int) -> None:
        """A packet has left."""
        self._sent.add(now_ns, bits)
        if self._waiting_since_ns is None:
            self._waiting_since_ns = now_ns

    def feedback(self, report: FlightReport, now_ns: int) -> None:
        """What transport-cc feedback told anew."""
        was_silent = self._heard()
        for packet in report.arrived:
            self._queue.packet(packet.sent_ns, packet.arrival_ns)
            self._acked.add(packet.arrival_ns, packet.bits)
        self._queue.settle(keep_base=self.phase is Phase.RIVAL)
        if report.arrived:
            self.rtt_ns += (min(now_ns - report.newest_sent_ns, NS_PER_S) - self.rtt_ns) // 8
        probed_bps = self.prober.measured(report.arrived, now_ns)
        if was_silent:
            self._return(now_ns)
        cut = False
        if was_silent or self.phase is Phase.DRAIN:
            self.loss.restart_window()
        else:
            known = self.loss.inherent
            cut = self.loss.add(now_ns, report.lost - report.revived, len(report.arrived))
            if self.loss.inherent > known + _LEARNED:
                self._growth.forget()  # the loss that stopped us was no limit
        self._newest_sent_ns = max(self._newest_sent_ns, report.newest_sent_ns)
        self._decide(now_ns, self._queue.queue_ns, cut=cut, lost=report.lost > report.revived)
        if probed_bps is not None and self.phase is Phase.CLIMB:
            self._set(max(self.target_bps, 0.85 * probed_bps), now_ns)

    def receiver_report(self, fraction_lost: float, rtt_ns: int | None, now_ns: int, packets: int) -> None:
        """A receiver report, where there is no transport-cc: loss, and the queue as far as the round trip shows it."""
        if self._heard():
            self._return(now_ns)
        if rtt_ns is not None:
            self.rtt_ns = rtt_ns
            self._reported.round_trip(rtt_ns)
        self._reported_bps = (self._sent.bps(now_ns) or self.target_bps) * (1 - fraction_lost)
        cut = self.loss.told(fraction_lost, packets)
        queue_ns = self._reported.queue_ns
        if queue_ns > HIGH_NS:
            # No drain by measure: the next report comes in a second.
            bps = min(self.target_bps, self._base_bps(now_ns)) * self._reported.share
            self._growth.limited(bps, now_ns)
            self._bound(bps, Cause.DELAY, now_ns)
        elif cut:
            self._bound(self.loss.bounded(self.target_bps, None), Cause.LOSS, now_ns)
        elif queue_ns < LOW_NS:
            self._climb(now_ns, step_ns=NS_PER_S)

    def set_cap(self, cap_bps: int | None, now_ns: int) -> None:
        """The MCU's own limit (REMB, b=AS, b=TIAS), for all we send."""
        self.limits = Limits(self.limits.most_bps, cap_bps)
        self._set(self.target_bps, now_ns)

    def tick(self, now_ns: int, *, with_transport_cc: bool) -> None:
        """Time passes: called with each block of sound."""
        waiting, limit_ns, every_ns = self._waiting_since_ns, _SILENCE_NS + 2 * self.rtt_ns, _HALVE_EVERY_NS
        if not with_transport_cc:
            limit_ns, every_ns = 5 * NS_PER_S, 2 * NS_PER_S
        if waiting is None or not self._has_heard or now_ns < max(waiting + limit_ns, self._halved_ns + every_ns):
            return
        if not self._before_silence_bps:
            self._before_silence_bps = int(self.target_bps)
        self._halved_ns = now_ns
        self._bound(self.target_bps / 2, Cause.SILENCE, now_ns)

    # what is asked

    @property
    def cause(self) -> Cause:
        if self._bounded_by is Cause.OK and self.target_bps >= self.limits.top_bps < self.limits.most_bps:
            return Cause.CAP
        return self._bounded_by

    @property
    def encoders_bps(self) -> int:
        """What the encoders shall make. For a drain, which passes in a second, pictures are left out, not worsened."""
        if self.phase is Phase.DRAIN:
            return max(self.target_bps, int(self._drain.after_bps))
        return self.target_bps

    @property
    def acked_bps(self) -> int | None:
        return self._acked.bps()

    @property
    def queue_ms(self) -> float:
        return max(self._queue.queue_ns, self._reported.queue_ns) / _MS

    def is_careful(self, now_ns: int) -> bool:
        """Whether the line has shown its limit of late, or nothing yet: bursts would overrun it."""
        is_new = now_ns - self._begun_ns < _NEW_NS
        return is_new or self.phase is not Phase.CLIMB or self._growth.is_near_limit(now_ns)

    # deciding

    def _heard(self) -> bool:
        """Feedback is there; True when it had been missed."""
        self._has_heard = True
        self._waiting_since_ns = None
        return self._before_silence_bps > 0

    def _return(self, now_ns: int) -> None:
        """After a silence: half of what went before at once, the rest by climbing."""
        before, self._before_silence_bps = self._before_silence_bps, 0
        self._queue.restart()
        self._growth.hurry(now_ns)
        self.phase = Phase.CLIMB
        self._set(max(self.target_bps, before / 2), now_ns)
        self._bounded_by = Cause.OK

    def _base_bps(self, now_ns: int) -> float:
        """What the line has carried of late, as far as is known."""
        return self._acked.bps() or self._reported_bps or self._sent.bps(now_ns) or self.target_bps

    def _decide(self, now_ns: int, queue_ns: int, *, cut: bool, lost: bool) -> None:
        match self.phase:
            case Phase.DRAIN:
                self._go_on_draining(now_ns, queue_ns)
            case Phase.RIVAL:
                self._live_with_rival(now_ns, queue_ns, lost=lost)
            case Phase.CLIMB:
                if self._is_overused(queue_ns):
                    self._begin_drain(now_ns, queue_ns, self._base_bps(now_ns))
                elif cut:
                    self._bound(self.loss.bounded(self.target_bps, self._acked.bps()), Cause.LOSS, now_ns)
                elif queue_ns < self._at_least(_QUEUE_GROWING_NS, _GROWING_PACKETS):
                    self._climb(now_ns)

    def _is_overused(self, queue_ns: int) -> bool:
        growing_ns = self._at_least(_QUEUE_GROWING_NS, _GROWING_PACKETS)
        high = queue_ns > self._at_least(_QUEUE_HIGH_NS, _HIGH_PACKETS)
        high = high or (queue_ns > growing_ns and self._queue.slope > _GROWING)
        self._high_reports = self._high_reports + 1 if high else 0
        return self._high_reports >= 2

    def _at_least(self, queue_ns: int, packets: float) -> int:
        return max(queue_ns, int(packets * _PACKET_BITS * NS_PER_S / self.encoders_bps))

    def _begin_drain(self, now_ns: int, queue_ns: int, carried_bps: float) -> None:
        self.phase = Phase.DRAIN
        self._high_reports = 0
        self._drain.begin(now_ns, queue_ns, min(carried_bps, self.target_bps), self.rtt_ns)
        self._follow_drain(now_ns)

    def _follow_drain(self, now_ns: int) -> None:
        self._growth.limited(self._drain.carried_bps, now_ns)
        self._bound(min(self._drain.rate_bps, self.target_bps), Cause.DELAY, now_ns)

    def _go_on_draining(self, now_ns: int, queue_ns: int) -> None:
        drain = self._drain
        outcome = drain.look(
            now_ns,
            queue_ns,
            slope=self._queue.slope,
            empty_ns=self._at_least(_QUEUE_EMPTY_NS, _EMPTY_PACKETS),
            acked_bps=self._acked.bps() or drain.carried_bps,
            newest_sent_ns=self._newest_sent_ns,
            rtt_ns=self.rtt_ns,
        )
        if outcome is Outcome.EMPTY:
            self.phase = Phase.CLIMB
            self._rival.forget()
            self._set(drain.after_bps, now_ns)
        elif outcome is Outcome.LOWER:
            self._follow_drain(now_ns)
        elif outcome is Outcome.OVERDUE:
            if drain.in_a_row > 1 or self._rival.is_suspected(drain.queue_ns, queue_ns):
                self.phase = Phase.RIVAL
                drain.in_a_row = 0
                resumed_bps = self._rival.begin(now_ns, queue_ns, drain.line_bps)
                least_bps = self._rival.LEAST_SHARE * drain.line_bps
                self._set(resumed_bps or max(drain.after_bps, least_bps), now_ns)
            else:
                self._begin_drain(now_ns, queue_ns, drain.carried_bps)

    def _live_with_rival(self, now_ns: int, queue_ns: int, *, lost: bool) -> None:
        """Additive increase, multiplicative decrease on loss: what a TCP beside us does."""
        verdict = self._rival.look(now_ns, queue_ns)
        if verdict == "look again":
            self._rival.remember(self.target_bps)
            self._begin_drain(now_ns, queue_ns, self._base_bps(now_ns))
            return
        if verdict is not None:
            if verdict == "longer path":
                self._queue.accept_base()
            self.phase = Phase.CLIMB
            self._growth.forget()  # it was the rival's share, not the line's limit
            return
        step_ns = self._step_ns(now_ns)
        if lost and self._rival.may_cut(now_ns, self.rtt_ns):
            self._bound(self.target_bps * self._rival.CUT, Cause.LOSS, now_ns)
        elif not self._is_idle(now_ns):
            self._set(self.target_bps + self._rival.RISE * self._rival.line_bps * step_ns / NS_PER_S, now_ns)

    def _climb(self, now_ns: int, step_ns: int | None = None) -> None:
        step_ns = step_ns or self._step_ns(now_ns)
        if self.target_bps >= self.limits.top_bps:
            self._bounded_by = Cause.OK
        elif not self._is_idle(now_ns):
            self._set(self._growth.raised(self.target_bps, now_ns, step_ns), now_ns)

    def _step_ns(self, now_ns: int) -> int:
        step_ns = min(now_ns - self._updated_ns, _MOST_STEP_NS)
        self._updated_ns = now_ns
        return step_ns

    def _is_idle(self, now_ns: int) -> bool:
        """Whether far less is sent than may be: that it arrives proves nothing of the rest."""
        return (self._sent.bps(now_ns) or 0) < 0.75 * self.target_bps

    def wants_probe(self, now_ns: int) -> int | None:
        """At which rate to send a burst of repetitions: where only that tells whether more is possible, or sooner."""
        if self.phase is not Phase.CLIMB or self._queue.queue_ns > _QUEUE_EMPTY_NS or self._before_silence_bps:
            return None
        worth_it = self._is_idle(now_ns) or self._growth.is_near_limit(now_ns)
        if self.target_bps >= self.limits.top_bps or not worth_it or not self._growth.may_probe(now_ns):
            return None
        return self.prober.begin(min(2 * self.target_bps, self.limits.top_bps * 1.1), now_ns)

    def _bound(self, bps: float, cause: Cause, now_ns: int) -> None:
        self._set(bps, now_ns)
        self._bounded_by = cause
        if cause is Cause.LOSS:
            self._growth.limited(self.target_bps, now_ns)

    def _set(self, bps: float, now_ns: int) -> None:
        self.target_bps = int(min(max(bps, LEAST_BPS), self.limits.top_bps))
        self._updated_ns = now_ns
        if self.target_bps >= self.limits.top_bps:
            self._bounded_by = Cause.OK
