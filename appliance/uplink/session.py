"""The Session contract: one connection to an MCU, whatever protocol its driver speaks."""

from collections.abc import Mapping
from typing import Any, Protocol

from appliance.errors import UplinkError
from appliance.media.values import AudioBlock, EncodedFrame


class SessionEvents(Protocol):
    """What a session tells the engine. All calls are made in the loop and must not block."""

    def connected(self) -> None:
        """Media flows: our sound and picture are accepted, and the far end's have begun to arrive."""

    def lost(self, error: UplinkError) -> None:
        """Media have ceased. `run` raises once the session is given up; or they come back: `connected` again."""

    def far_silent(self, silent: bool) -> None:
        """The MCU answers, but sends neither sound nor picture (nobody else may be there); False when it does again."""

    def far_video(self, frame: EncodedFrame) -> None:
        """A complete picture from the MCU, in decoding order."""

    def keyframe_wanted(self) -> None:
        """The MCU asks for a keyframe (PLI or FIR); already rate-limited to one per 0.5 s."""

    def bandwidth(self, bps: int) -> None:
        """What the line leaves for the picture: its encoder shall make so many bits a second."""

    def hold_pictures(self, ms: int) -> None:
        """The line is behind: the encoder shall make no picture for so long."""


class Session(Protocol):
    """One connection to an MCU. A new object for each try."""

    async def run(self) -> None:
        """Connect, stay, and raise an UplinkError when it ends badly.

        Cancelling it is leaving: it says goodbye to the MCU (DELETE, BYE) in bounded time before it returns.
        """

    def end(self, error: UplinkError) -> None:
        """Give it up, for a reason that it cannot see itself: `run` raises `error`."""

    def send_video(self, frame: EncodedFrame) -> None:
        """Send one access unit; dropped and counted while not connected."""

    def send_audio(self, block: AudioBlock) -> None:
        """Send one block of sound; dropped and counted while not connected."""

    def pull_audio(self, heard_at_ns: int) -> AudioBlock | None:
        """The next 20 ms of the far end's sound, which will be heard at `heard_at_ns` (MediaClock).

        Called at the pace of the speaker's own clock; hides loss and drift. None before the first sound.
        """

    def picture_delay_ns(self) -> int | None:
        """How long after its capture a far-end picture can be shown in time, where there is no sound to go by.

        None before the first picture.
        """

    def request_far_keyframe(self) -> None:
        """Our decoder needs a keyframe (its start, a decode error): ask the MCU, rate-limited."""

    def numbers(self) -> Mapping[str, Any]:
        """Counters since the start: packets, losses, jitter, round trip, bit rates; flat, JSON-able."""
