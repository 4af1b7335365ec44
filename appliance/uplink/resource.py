"""One session that an MCU holds for us: made by a POST, ended by a DELETE. What WHIP and WHEP have in common."""

import asyncio
import json
import logging
import random
from typing import Literal

from appliance.errors import CredentialsRejected, NegotiationFailed, UplinkError

from .ghosts import LIFE_S, Ghosts
from .headers import (
    LinkedIceServer,
    brief,
    ice_servers,
    origin,
    parse_content_type,
    parse_links,
    parse_retry_after,
    plain,
    resolve,
)
from .http import Answer, SignallingClient, unusable

log = logging.getLogger(__name__)

SDP = "application/sdp"
# A server may ask for hours; a room that waits that long has been forgotten.
RETRY_AFTER_CAP_S = 120.0
# A server that is busy and does not say how long.
BUSY_S = 2.0
DELETE_RETRIES = 3
# Whoever leaves while the POST is on its way waits this long for the name of the session, to be able to delete it.
# A later answer is waited for without keeping anybody.
POST_GRACE_S = 1.0
# A session of ours that stands for a little while yet is no reason to bother a technician.
GHOST_RETRY_S = 3.0
_GONE = (200, 202, 204, 404, 410)


def wait_s(asked_s: float | None, default_s: float, rng: random.Random) -> float:
    """How long to wait when asked to: at least that, at most RETRY_AFTER_CAP_S, and not all units at once."""
    base = default_s if asked_s is None else asked_s
    if base >= RETRY_AFTER_CAP_S:
        return rng.uniform(0.8 * RETRY_AFTER_CAP_S, RETRY_AFTER_CAP_S)
    return min(base + rng.uniform(0.0, max(0.5, 0.2 * base)), RETRY_AFTER_CAP_S)


class SessionResource:
    """The session at the MCU. `close()` is always called, however far the session came."""

    def __init__(
        self,
        client: SignallingClient,
        endpoint: str,
        protocol: Literal["WHIP", "WHEP"],
        *,
        rng: random.Random | None = None,
        ghosts: Ghosts | None = None,
    ) -> None:
        """`ghosts`: shared by all tries, so that a refusal can be understood."""
        self._client = client
        self._endpoint = endpoint
        self._protocol = protocol
        self._ghosts = ghosts or Ghosts()
        self._rng = rng or random.Random()  # noqa: S311  jitter, not a secret
        self._posting: asyncio.Task[Answer] | None = None
        self._named = asyncio.Event()
        self.session_url: str | None = None
        self.etag: str | None = None
        self.ice_servers: tuple[LinkedIceServer, ...] = ()
        # Why the session cannot be ended by us: the MCU named none, or one that our token must not be shown to.
        self.cannot_delete: str | None = None

    # setting up

    async def _post(self, offer: str) -> Answer:
        """Send the offer. Cancelled, the request stays on its way, and `close()` deletes what it made."""
        headers = {"Content-Type": SDP, "Accept": SDP}
        self._posting = asyncio.ensure_future(
            self._client.request(
                "POST",
                self._endpoint,
                home=self._endpoint,
                body=offer.encode(),
                headers=headers,
                on_headers=self._take_headers,
            )
        )
        try:
            return await asyncio.shield(self._posting)
        except UplinkError:
            # The request may have arrived, and its answer been lost.
            self._ghosts.left_at(self._endpoint)
            raise

    def _take_headers(self, answer: Answer) -> None:
        """Note the session's name as soon as it is known: the body may never come."""
        self.ice_servers = ice_servers(parse_links(answer.headers.getall("Link", [])))
        if self.ice_servers:
            names = plain(", ".join(server.url for server in self.ice_servers))
            log.info(
                "uplink: the %s server names ICE servers (%s); only those of the settings are used",
                self._protocol,
                names,
            )
        if not (200 <= answer.status < 300 or answer.status == 406):
            return
        self.etag = answer.headers.get("ETag")
        location = answer.headers.get("Location")
        url = resolve(answer.url, location) if location is not None else None
        if url is None:
            self.cannot_delete = f"the {self._protocol} server gave its session no address (Location)"
        elif not self._may_call(url, answer.url):
            self.cannot_delete = (
                f"the {self._protocol} session is at {brief(url)}, another server than {brief(answer.url)}"
            )
        else:
            self.session_url = url
            self.cannot_delete = None
        if self.cannot_delete and answer.status != 406:
            self._ghosts.left_at(self._endpoint)
            log.warning("uplink: %s; it cannot be deleted and ends by itself", self.cannot_delete)
        self._named.set()

    def _may_call(self, url: str, answered: str) -> bool:
        """A session is spoken to where its POST was answered, or where the token may go.

        Anything else (another machine, http after https, an address inside somebody's network) could be a server's
        mistake or a trick, and gets neither the token nor a request.
        """
        return origin(url) == origin(answered) or self._client.trusts(url, self._endpoint)

    def sdp_of(self, answer: Answer) -> str:
        """The SDP of an answer, whatever case or charset its Content-Type has."""
        kind, _ = parse_content_type(answer.headers.get("Content-Type"))
        if kind != SDP:
            raise NegotiationFailed(
                f"the {self._protocol} server answers {answer.status} with {plain(kind) or 'no type'} instead of {SDP}"
            )
        if answer.is_cut:
            raise NegotiationFailed(f"the {self._protocol} server's answer is too long for an SDP")
        if answer.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise NegotiationFailed(f"the {self._protocol} server compresses its answer, which we did not ask for")
        return answer.body.decode("utf-8", "replace")

    def refusal(self, answer: Answer) -> UplinkError:
        """What an answer that is no success means. Only its class counts, never the text (RFC 9725 section 4.1)."""
        self._log_problem(answer)
        status = answer.status
        asked_s = parse_retry_after(answer.headers.get("Retry-After"), answer.headers.get("Date"))
        what = f"the {self._protocol} server answers {status}"
        if status in (403, 409) and self._ghosts.may_be_at(self._endpoint):
            # Seen in the wild: "in use" until the server has noticed that the session before is dead.
            return UplinkError(
                f"{what}: our session of before may still stand there; it ends by itself within {LIFE_S:.0f} s",
                retry_after_s=wait_s(asked_s, GHOST_RETRY_S, self._rng),
                problem="mcu-busy",
            )
        if status in (401, 403):
            return CredentialsRejected(f"{what}: it does not accept the token; check 'token' and the address")
        if status in (429, 503):
            return UplinkError(
                f"{what}: it is busy", retry_after_s=wait_s(asked_s, BUSY_S, self._rng), problem="mcu-busy"
            )
        if status >= 500:
            retry_s = wait_s(asked_s, 0.0, self._rng) if asked_s is not None else 0.0
            return UplinkError(f"{what}: it failed", retry_after_s=retry_s, problem="mcu-busy")
        if status >= 400:
            return UplinkError(
                f"{what}: it refuses", retry_after_s=wait_s(asked_s, BUSY_S, self._rng), problem="mcu-answer"
            )
        if status >= 300:
            return unusable(f"{what}: a redirect that would lose the offer; it must be 307 or 308")
        return NegotiationFailed(f"{what} where 201 is due")

    def _log_problem(self, answer: Answer) -> None:
        """RFC 9457 problem details: for the log only, shortened, and with nothing that could forge a line."""
        kind, _ = parse_content_type(answer.headers.get("Content-Type"))
        if kind != "application/problem+json":
            return
        try:
            problem = json.loads(answer.body)
        except (ValueError, RecursionError):
            return
        if isinstance(problem, dict):
            told = "; ".join(str(problem[key])[:200] for key in ("title", "detail", "type") if key in problem)
            log.warning("uplink: the %s server says %r", self._protocol, self._client.without_token(told))

    # the end

    async def close(self) -> None:
        """End the session at the MCU, if there is one or one may be coming. The caller bounds the time."""
        posting = self._posting
        if posting is not None and not await self._is_named(posting, POST_GRACE_S):
            self._ghosts.left_at(self._endpoint)
            log.info("uplink: the %s server has not answered our POST yet; its session is ended later", self._protocol)
            self._client.keep_open_for(asyncio.ensure_future(self._close_late(posting)))
            return
        await self._end(posting)

    async def _is_named(self, posting: asyncio.Task[Answer], limit_s: float | None) -> bool:
        """Whether the POST has brought all that a DELETE needs, or has failed. Waits for it, up to the limit."""
        if not posting.done() and not self._named.is_set():
            named = asyncio.ensure_future(self._named.wait())
            try:
                await asyncio.wait((posting, named), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                named.cancel()
        return posting.done() or self._named.is_set()

    async def _close_late(self, posting: asyncio.Task[Answer]) -> None:
        """The POST's own limit bounds the wait."""
        await self._is_named(posting, None)
        await self._end(posting)

    async def _end(self, posting: asyncio.Task[Answer] | None) -> None:
        if posting is not None:
            posting.cancel()
            # Its failure, if any, was told to whoever waited for it.
            await asyncio.gather(posting, return_exceptions=True)
            self._posting = None
        if self.session_url is not None:
            url, self.session_url = self.session_url, None
            await self._delete(url)

    async def _delete(self, url: str) -> None:
        """DELETE without If-Match: some servers honour it, and the session is to end whatever its state."""
        failure = "no answer"
        haunted = self._ghosts.may_be_at(self._endpoint)
        # Perhaps nobody waits for us any more: until it is gone, it may stand in the next one's way.
        self._ghosts.left_at(self._endpoint)
        for attempt in range(1 + DELETE_RETRIES):
            if attempt:
                await asyncio.sleep(0.05 * 2**attempt)
            try:
                answer = await self._client.request("DELETE", url, home=self._endpoint)
            except UplinkError as error:
                failure = str(error)
                continue
            if answer.status in _GONE:
                if not haunted:
                    self._ghosts.gone_from(self._endpoint)
                log.info("uplink: %s session ended (%d)", self._protocol, answer.status)
                return
            failure = f"status {answer.status}"
            if answer.status < 500:
                break
        self.cannot_delete = f"the {self._protocol} session could not be deleted ({failure})"
        log.warning("uplink: %s; it ends by itself when the media stop", self.cannot_delete)
