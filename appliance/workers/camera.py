"""The camera worker: the camera with its encoder in a process of its own, which the engine may replace at any time."""

import asyncio
import logging
from dataclasses import fields
from typing import Any

from appliance.capture.camera import Camera
from appliance.capture.pictures import VideoConfig
from appliance.capture.video_factory import build_camera
from appliance.media.clock import MediaClock
from appliance.media.pipe import Kind

from .runtime import EnginePort, run_worker

log = logging.getLogger(__name__)

STATUS_INTERVAL_S = 0.5


async def serve(port: EnginePort, configure: dict[str, Any]) -> None:
    """Send frames and take commands until cancelled."""
    config = VideoConfig(**{field.name: configure["video"][field.name] for field in fields(VideoConfig)})
    camera = build_camera(
        config, configure["unit_name"], configure["language"], MediaClock(), camera_on=configure["camera_on"]
    )
    # A worker that takes another's place goes on at the rate that the line bears.
    camera.set_bitrate(configure.get("video_bps", camera.bitrate_bps))
    port.report({"type": "ready"})
    async with camera, asyncio.TaskGroup() as jobs:
        jobs.create_task(_take_commands(port, camera))
        jobs.create_task(_send_frames(port, camera, config))
        jobs.create_task(_report(port, camera, config))


async def _take_commands(port: EnginePort, camera: Camera) -> None:
    while True:
        command = await port.commands.get()
        match command:
            case {"cmd": "keyframe"}:
                camera.request_keyframe()
            case {"cmd": "encoder"}:
                camera.restart_encoder()
            case {"cmd": "bitrate", "bps": int(bps)}:
                camera.set_bitrate(bps)
            case {"cmd": "hold", "ms": int(ms)}:
                camera.hold(ms)
            case {"cmd": "framerate", "fps": int(fps)}:
                camera.set_framerate(fps)
            case {"cmd": "camera", "on": bool(on)}:
                camera.set_privacy(not on)
            case _:
                log.warning("camera worker: command %r is unknown", command.get("cmd"))


async def _send_frames(port: EnginePort, camera: Camera, config: VideoConfig) -> None:
    told = None
    async for frame in camera:
        # A full pipe skips to the next keyframe; without one the picture would stand until the regular one.
        if not port.send(Kind.VIDEO, frame.data, frame.pts_ns, is_keyframe=frame.is_keyframe):
            camera.request_keyframe()
        problem = camera.problem
        state = (problem and str(problem), camera.camera_on)
        if state != told:
            port.report(_status(port, camera, config))
            told = state


async def _report(port: EnginePort, camera: Camera, config: VideoConfig) -> None:
    """Not from the path of the frames: a camera or encoder that gives none is the engine's watchdog's to judge."""
    while True:
        await asyncio.sleep(STATUS_INTERVAL_S)
        port.report(_status(port, camera, config))


def _status(port: EnginePort, camera: Camera, config: VideoConfig) -> dict[str, Any]:
    problem = camera.problem
    return {
        "type": "status",
        "frames": camera.frames,
        "source": config.source,
        "encoder": camera.encoder,
        "width": camera.rung.width,
        "height": camera.rung.height,
        "fps": camera.fps,
        "rung": camera.rung.number,
        "held": camera.held,
        "bitrate_bps": camera.bitrate_bps,
        "camera_on": camera.camera_on,
        "dropped": camera.dropped + port.dropped,
        "problem": problem and {"code": problem.problem, "detail": str(problem)},
    }


if __name__ == "__main__":
    run_worker(serve)
