"""WHIP (RFC 9725): hand our offer to the MCU, get its answer."""

import random

from appliance.errors import NegotiationFailed

from .ghosts import Ghosts
from .http import SignallingClient
from .resource import SessionResource


class WhipResource(SessionResource):
    """A session that takes what we send."""

    def __init__(
        self,
        client: SignallingClient,
        endpoint: str,
        *,
        rng: random.Random | None = None,
        ghosts: Ghosts | None = None,
    ) -> None:
        super().__init__(client, endpoint, "WHIP", rng=rng, ghosts=ghosts)

    async def offer(self, sdp: str) -> str:
        """POST the offer; the answer's SDP. Nothing but 201 with SDP is a success."""
        answer = await self._post(sdp)
        if answer.status != 201:
            raise self.refusal(answer)
        text = self.sdp_of(answer)
        if not text.strip():
            raise NegotiationFailed("the WHIP server's answer is empty")
        return text
