"""The two legs of a session: WHIP carries ours to the MCU, WHEP brings the far end's; each one resource, one peer."""

import asyncio
from collections.abc import Awaitable, Callable

from appliance.errors import MediaLost
from appliance.rtp.peer import AudioReceiver, AudioSender, Peer, VideoReceiver, VideoSender

from .whep import CounterOffer, WhepResource
from .whip import WhipResource

# ICE and DTLS after the answer; a lossy line may need several handshake retransmissions.
CONNECT_S = 10.0
TELL_S = 0.2


async def all_of(*works: Awaitable[None]) -> None:
    """Wait for all of them, and only then raise what the first of the failed ones raised."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _until_closed(peer: Peer) -> None:
    """Stay as long as the connection does."""
    reason = await peer.wait_closed()
    raise MediaLost(f"the MCU closed the connection ({reason})")


async def _part(peer: Peer, resource: WhipResource | WhepResource) -> None:
    """DELETE first, where the MCU is quick: one that hears DTLS end before would take it for a failure of ours."""
    telling = asyncio.ensure_future(resource.close())
    try:
        await asyncio.wait((telling,), timeout=TELL_S)
    except asyncio.CancelledError:
        telling.cancel()
        await peer.close()
        raise
    await all_of(peer.close(), telling)


class SendLeg:
    """Our sound and picture to the MCU."""

    def __init__(self, resource: WhipResource, make_peer: Callable[[], Peer]) -> None:
        self._resource = resource
        self.peer = make_peer()
        self.video: VideoSender
        self.audio: AudioSender
        self.video, self.audio = self.peer.add_senders()
        self.is_up = asyncio.Event()

    async def run(self) -> None:
        """Connect, stay, and raise when it ends."""
        offer = await self.peer.create_offer()
        await self.peer.accept_answer(await self._resource.offer(offer))
        await self.peer.wait_connected(CONNECT_S)
        self.is_up.set()
        await _until_closed(self.peer)

    async def close(self) -> None:
        """End both ends of it; nothing more is sent from now on."""
        self.is_up.clear()
        await _part(self.peer, self._resource)


class ReceiveLeg:
    """The far end's sound and picture. The MCU may insist on its own offer, which then takes a second peer."""

    def __init__(
        self,
        resource: WhepResource,
        make_peer: Callable[[], Peer],
        on_receivers: Callable[[VideoReceiver, AudioReceiver], None],
    ) -> None:
        self._resource = resource
        self._make_peer = make_peer
        self._on_receivers = on_receivers
        self.peer = make_peer()
        self.is_up = asyncio.Event()

    async def run(self) -> None:
        """Connect, stay, and raise when it ends."""
        self._on_receivers(*self.peer.add_receivers())
        answer = await self._resource.offer(await self.peer.create_offer())
        if isinstance(answer, CounterOffer):
            await self._answer(answer)
        else:
            await self.peer.accept_answer(answer.sdp)
        await self.peer.wait_connected(CONNECT_S)
        self.is_up.set()
        await _until_closed(self.peer)

    async def _answer(self, counter: CounterOffer) -> None:
        await self.peer.close()
        self.peer = self._make_peer()
        sdp = await self.peer.answer(counter.sdp, direction="receive", whole=True)
        self._on_receivers(self.peer.video_receiver, self.peer.audio_receiver)
        await self._resource.answer(counter, sdp)

    async def close(self) -> None:
        self.is_up.clear()
        await _part(self.peer, self._resource)
