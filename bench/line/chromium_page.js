// The receiver in a page: each presented picture's time code is read from its pixels, and the sound is recorded.
// Times are performance.now(), which Python lays on its own clock.
"use strict";

const COLUMNS = 36, ROWS = 2, CELL = 16, WIDTH = COLUMNS * CELL;
let shown = [];
let heard = [];
let peer = null;
let sound = null;

// The code's strip is drawn to a fixed size, whatever size the picture has.
const canvas = new OffscreenCanvas(WIDTH, ROWS * CELL);
const context = canvas.getContext("2d", { willReadFrequently: true });

function cells(video) {
  const strip = ROWS * Math.max(2, Math.floor(video.videoWidth / 80));
  context.drawImage(video, 0, 0, video.videoWidth, strip, 0, 0, WIDTH, ROWS * CELL);
  const pixels = context.getImageData(0, 0, WIDTH, ROWS * CELL).data;
  let text = "";
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < COLUMNS; column++) {
      const at = 4 * ((row * CELL + CELL / 2) * WIDTH + column * CELL + CELL / 2);
      const grey = Math.round((pixels[at] + 2 * pixels[at + 1] + pixels[at + 2]) / 4);
      text += grey.toString(16).padStart(2, "0");
    }
  }
  return text;
}

function watch(stream) {
  const video = document.body.appendChild(document.createElement("video"));
  video.autoplay = true;
  video.srcObject = stream;
  const presented = (now, picture) => {
    shown.push([picture.presentationTime, cells(video)]);
    video.requestVideoFrameCallback(presented);
  };
  video.requestVideoFrameCallback(presented);
}

const RECORDER = `
registerProcessor("recorder", class extends AudioWorkletProcessor {
  constructor() { super(); this.block = new Int16Array(1920); this.filled = 0; this.at = 0; }
  process([input]) {
    if (this.filled === 0) this.at = currentTime;
    const samples = input[0] || new Float32Array(128);
    for (const value of samples) {
      this.block[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32767)));
    }
    if (this.filled === this.block.length) {
      this.port.postMessage([this.at, this.block.slice()]);
      this.filled = 0;
    }
    return true;
  }
});`;

async function listen(stream) {
  if (!sound) {
    sound = new AudioContext({ sampleRate: 48000, latencyHint: "interactive" });
    await sound.audioWorklet.addModule(URL.createObjectURL(new Blob([RECORDER], { type: "text/javascript" })));
  }
  const recorder = new AudioWorkletNode(sound, "recorder");
  recorder.port.onmessage = ({ data }) => heard.push(data);
  sound.createMediaStreamSource(stream).connect(recorder);
  recorder.connect(sound.destination);
}

window.answer = async (offer) => {
  if (peer) peer.close();
  document.body.replaceChildren();
  peer = new RTCPeerConnection();
  let listening = null;
  peer.ontrack = ({ track, streams: [stream] }) => {
    if (track.kind === "video") watch(stream);
    else listening = listen(new MediaStream([track]));
  };
  await peer.setRemoteDescription({ type: "offer", sdp: offer });
  await peer.setLocalDescription(await peer.createAnswer());
  await gathered(peer);
  await listening;
  return peer.localDescription.sdp;
};

function base64(samples) {
  const bytes = new Uint8Array(samples.buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return btoa(text);
}

// What has come since the last call; the sound's times by the moment its output is heard.
window.drain = () => {
  const pictures = shown, blocks = heard;
  shown = [];
  heard = [];
  let offset = 0;
  if (sound) {
    const output = sound.getOutputTimestamp();
    offset = output.performanceTime - output.contextTime * 1000;
  }
  return {
    now: performance.now(),
    shown: pictures,
    heard: blocks.map(([at, samples]) => [at * 1000 + offset, base64(samples)]),
  };
};

window.stats = async () => {
  const found = {};
  if (!peer) return found;
  const wanted = {
    video: ["packetsLost", "framesDecoded", "framesDropped", "freezeCount", "totalFreezesDuration", "nackCount", "pliCount",
      "jitter", "jitterBufferDelay", "jitterBufferEmittedCount", "retransmittedPacketsReceived", "keyFramesDecoded"],
    audio: ["packetsLost", "concealedSamples", "silentConcealedSamples", "concealmentEvents", "jitterBufferDelay",
      "jitterBufferEmittedCount", "insertedSamplesForDeceleration", "removedSamplesForAcceleration"],
  };
  for (const report of (await peer.getStats()).values()) {
    if (report.type !== "inbound-rtp") continue;
    for (const name of wanted[report.kind]) found[`${report.kind}_${name}`] = report[name] ?? 0;
  }
  return found;
};
