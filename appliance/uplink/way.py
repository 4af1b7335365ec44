"""Notice that a session's packets have lost their way when this machine's network changes: sooner than by silence.

The address that the session's sockets have may be gone (a new lease), or the kernel would now go by another interface
(the cable is out, the radio is on).
"""

from collections.abc import Sequence

from appliance.errors import MediaLost
from appliance.media.clock import NS_PER_S
from appliance.rtp.peer import Peer

from .network import NetworkWatch, is_ours, source_for

# What does not answer for so long after the change went with the old way.
MOVED_NS = NS_PER_S


def moved(path: tuple[str, str] | None) -> str | None:
    """Why a socket on `path` (our address, theirs) is on another way than packets now; None when it is not.

    No way at all is None: it may come back as it was.
    """
    if path is None:
        return None
    ours, theirs = path
    now = source_for(theirs)
    return None if now is None or now == ours else f"this unit's address has changed from {ours} to {now}"


class Way:
    """One session's. Pure but for the questions to the kernel, asked after changes only."""

    def __init__(self, network: NetworkWatch, peers: Sequence[Peer]) -> None:
        self._network = network
        self._peers = peers
        self._changes = network.changes
        self._changed_ns: int | None = None

    def look(self, now_ns: int) -> None:
        """Raise MediaLost when there is another way by now and the session does not live on its own."""
        if self._changes != self._network.changes:
            self._changes = self._network.changes
            self._changed_ns = now_ns
            for peer in self._peers:
                peer.probe(afresh=True)
        if self._changed_ns is None:
            return
        is_over = now_ns - self._changed_ns > MOVED_NS
        for peer in self._peers:
            reason = moved(peer.path)
            if reason is None or peer.path is None:
                continue
            if not is_ours(peer.path[0]) or (is_over and peer.last_heard_ns < self._changed_ns):
                raise MediaLost(reason)
        if is_over:
            self._changed_ns = None
