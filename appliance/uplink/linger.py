"""Hold on to a session that has fallen silent: when the line comes back soon, so does the meeting, with nothing new.

Two can happen. The far end is heard again, and all is as before. Or a server of the MCU answers, which proves the line,
and the session still does not: then the far end has dropped it (a restart, a NAT that has forgotten us), and a new one
is due at once. Only while neither happens is it worth waiting, and not longer than the far end would, either.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from appliance.errors import MediaLost
from appliance.media.clock import NS_PER_S, Clock
from appliance.rtp.peer import Peer

from .line import Line
from .way import moved

# Consent to send ends 30 s after the last sign of it (RFC 7675 section 5.1).
LINGER_S = 25.0
# Once the line is there: a round trip of a probe, and its repetition.
RESUME_S = 0.75
LOOK_S = 0.1
_JUST_HEARD_NS = NS_PER_S


async def until_heard(
    error: MediaLost,
    peers: Sequence[Peer],
    last_media_ns: Callable[[], int],
    line: Line,
    urls: Iterable[str],
    clock: Clock,
) -> None:
    """Return when everything that has fallen silent is heard again; raise `error` when it is given up."""
    began_ns = clock.now_ns()
    silent = [peer for peer in peers if began_ns - peer.last_heard_ns > _JUST_HEARD_NS]
    heard_ns = [peer.last_heard_ns for peer in silent]
    media_ns = last_media_ns()
    owes_media = media_ns > 0 and began_ns - media_ns > _JUST_HEARD_NS
    if not silent:
        # The line is there, and the MCU sends nothing: no waiting helps.
        raise error
    answer = asyncio.ensure_future(line.answers(urls, refusal_counts=True))
    answered_ns: int | None = None
    try:
        while True:
            now_ns = clock.now_ns()
            back = [peer.last_heard_ns > before for peer, before in zip(silent, heard_ns, strict=True)]
            if all(back) and (not owes_media or last_media_ns() > media_ns):
                return
            if answered_ns is None and (any(back) or answer.done()):
                answered_ns = now_ns
                for peer in silent:
                    peer.probe(afresh=True)
            if answered_ns is not None and now_ns - answered_ns > RESUME_S * NS_PER_S:
                raise error
            if now_ns - began_ns > LINGER_S * NS_PER_S or any(moved(peer.path) for peer in silent):
                raise error
            for peer in silent:
                peer.probe()
            await asyncio.sleep(LOOK_S)
    finally:
        answer.cancel()
        await asyncio.gather(answer, return_exceptions=True)
