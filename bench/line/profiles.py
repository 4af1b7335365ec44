"""The named lines that calls are held over: one table, both directions alike unless it says otherwise."""

from dataclasses import dataclass, replace

from .impairment import LinkSettings


@dataclass(frozen=True, slots=True)
class Profile:
    """Both directions of a line, seen from the unit, and what it stands for."""

    up: LinkSettings
    down: LinkSettings
    about: str


def _alike(about: str, settings: LinkSettings) -> Profile:
    return Profile(settings, settings, about)


# 40 ms each way: the way to the province's centre over an office's Internet, with room to spare.
_FAR = LinkSettings(delay_ms=40.0)

PROFILES: dict[str, Profile] = {
    "clean": _alike("the cable of a good office: nothing is lost, nothing waits", LinkSettings()),
    "dsl": Profile(
        LinkSettings(delay_ms=12.0, jitter_ms=1.0, loss=0.001, rate_kbps=4_000, queue_ms=150.0),
        LinkSettings(delay_ms=12.0, jitter_ms=1.0, loss=0.001, rate_kbps=20_000, queue_ms=150.0),
        "an office's DSL: 4 Mbit/s up, 20 down, a queue of 150 ms, 0.1 % loss",
    ),
    "4g": Profile(
        LinkSettings(delay_ms=25.0, jitter_ms=8.0, loss=0.005, burst=2.0, rate_kbps=6_000, queue_ms=400.0),
        LinkSettings(delay_ms=25.0, jitter_ms=8.0, loss=0.005, burst=2.0, rate_kbps=20_000, queue_ms=400.0),
        "a mobile router: jitter of 8 ms, 0.5 % loss in pairs, 6 Mbit/s up, a deep queue",
    ),
    "wifi-busy": _alike(
        "a crowded radio channel: jitter of 12 ms, 1 % loss in bursts of 3, some reordering and duplicates",
        LinkSettings(
            delay_ms=5.0,
            jitter_ms=12.0,
            loss=0.01,
            burst=3.0,
            reorder=0.005,
            reorder_ms=8.0,
            duplicate=0.002,
            rate_kbps=8_000,
            queue_ms=200.0,
        ),
    ),
    "loss2": _alike("2 % independent loss, 40 ms each way", replace(_FAR, loss=0.02)),
    "loss5": _alike("5 % independent loss, 40 ms each way", replace(_FAR, loss=0.05)),
    "loss10": _alike("10 % independent loss, 40 ms each way", replace(_FAR, loss=0.10)),
    "burst5": _alike("5 % loss in bursts of 4, 40 ms each way", replace(_FAR, loss=0.05, burst=4.0)),
    "500kbit": _alike(
        "500 kbit/s each way with 500 ms of queue, 20 ms each way",
        LinkSettings(delay_ms=20.0, rate_kbps=500, queue_ms=500.0),
    ),
    "2mbit": _alike(
        "2 Mbit/s each way with 250 ms of queue, 20 ms each way: to be shared with a transfer (--tcp)",
        LinkSettings(delay_ms=20.0, rate_kbps=2_000, queue_ms=250.0),
    ),
    "flap": _alike(
        "20 ms each way, 1 % loss, and each 40 s cut for 0.5 s (at 8 s), 2 s (at 16 s) and 5 s (at 28 s)",
        LinkSettings(delay_ms=20.0, loss=0.01, cuts=((8.0, 8.5), (16.0, 18.0), (28.0, 33.0)), cut_period_s=40.0),
    ),
}
