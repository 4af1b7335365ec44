"""WHEP (draft-ietf-wish-whep-04): ask the MCU for its sound and picture, also when it insists on its own offer."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from appliance.errors import NegotiationFailed, UplinkError

from .ghosts import Ghosts
from .headers import counter_offer_life_s, parse_retry_after
from .http import Answer, SignallingClient
from .resource import SDP, SessionResource, wait_s

# "Not ready" (409) without a time; then twice as long each time, up to the cap.
FIRST_BACKOFF_S = 0.25
BACKOFF_CAP_S = 4.0
# The wait for a far end that has nothing to send yet (409); afterwards the whole session is tried anew. Some servers
# say 404 until the room's first picture has come; a wrong address says so too, and should not take long to show.
PATIENCE_S = {409: 10.0, 404: 3.0}


@dataclass(frozen=True, slots=True)
class Accepted:
    """The MCU took our offer (201)."""

    sdp: str


@dataclass(frozen=True, slots=True)
class CounterOffer:
    """The MCU wants us to answer its own offer (406), until `expires_s` on the monotonic clock."""

    sdp: str
    expires_s: float


class WhepResource(SessionResource):
    """A session that gives us what the far end sends."""

    def __init__(
        self,
        client: SignallingClient,
        endpoint: str,
        *,
        rng: random.Random | None = None,
        ghosts: Ghosts | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(client, endpoint, "WHEP", rng=rng, ghosts=ghosts)
        self._sleep = sleep

    async def offer(self, sdp: str) -> Accepted | CounterOffer:
        """POST the offer, again with exponential back-off while the MCU has nothing to send yet."""
        waited_s = 0.0
        backoff_s: float | None = None
        while True:
            answer = await self._post(sdp)
            if answer.status == 201:
                return Accepted(self._sdp(answer))
            if answer.status == 406 and self._is_counter_offer(answer):
                return self._counter_offer(answer)
            patience_s = PATIENCE_S.get(answer.status)
            if patience_s is None:
                raise self.refusal(answer)
            asked_s = parse_retry_after(answer.headers.get("Retry-After"), answer.headers.get("Date"))
            # The first Retry-After is where the back-off starts; a later one may only lengthen it.
            backoff_s = max(asked_s or 0.0, FIRST_BACKOFF_S if backoff_s is None else min(2 * backoff_s, BACKOFF_CAP_S))
            pause_s = backoff_s + self._rng.uniform(0.0, 0.1 * min(backoff_s, BACKOFF_CAP_S))
            if waited_s + pause_s > patience_s:
                if answer.status != 409:
                    raise self.refusal(answer)
                raise UplinkError(
                    "the WHEP server has nothing to send yet (409)",
                    retry_after_s=wait_s(asked_s, FIRST_BACKOFF_S, self._rng),
                    problem="mcu-busy",
                )
            await self._sleep(pause_s)
            waited_s += pause_s

    def _sdp(self, answer: Answer) -> str:
        text = self.sdp_of(answer)
        if not text.strip():
            raise NegotiationFailed("the WHEP server's answer is empty")
        return text

    def _is_counter_offer(self, answer: Answer) -> bool:
        return answer.headers.get("Content-Type", "").strip().lower().startswith(SDP)

    def _counter_offer(self, answer: Answer) -> CounterOffer:
        if self.session_url is None:
            raise NegotiationFailed(f"the WHEP server's counter-offer cannot be answered: {self.cannot_delete}")
        life_s = counter_offer_life_s(answer.headers.get("Content-Type"), answer.headers.get("Date"))
        return CounterOffer(self._sdp(answer), time.monotonic() + life_s)

    async def answer(self, counter: CounterOffer, sdp: str) -> None:
        """PATCH our answer to the session of a counter-offer."""
        assert self.session_url is not None
        left_s = counter.expires_s - time.monotonic()
        if left_s <= 0:
            raise NegotiationFailed("the WHEP server's counter-offer expired before it could be answered")
        headers = {"Content-Type": SDP}
        if self.etag is not None:
            # Echoed to the byte: servers send it unquoted, weak, or as a bare star.
            headers["If-Match"] = self.etag
        try:
            async with asyncio.timeout(left_s):
                answer = await self._client.request(
                    "PATCH", self.session_url, home=self._endpoint, body=sdp.encode(), headers=headers
                )
        except TimeoutError as error:
            raise NegotiationFailed(
                "the WHEP server did not take our answer before its counter-offer expired"
            ) from error
        if answer.status not in (200, 204):
            raise self.refusal(answer)
