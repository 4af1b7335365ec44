// A WHIP + WHEP relay on werift (pure JavaScript WebRTC): what is published is sent back to who listens.
// node werift_relay.mjs PORT
import http from "node:http";
import { RTCPeerConnection, RTCRtpCodecParameters } from "werift";

const codecs = {
  audio: [new RTCRtpCodecParameters({ mimeType: "audio/opus", clockRate: 48000, channels: 2 })],
  video: [
    new RTCRtpCodecParameters({
      mimeType: "video/H264",
      clockRate: 90000,
      rtcpFeedback: [{ type: "nack" }, { type: "nack", parameter: "pli" }],
      parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    }),
  ],
};
const published = new Map(); // kind -> { track, receiver }
const sessions = new Map(); // path -> peer connection
const counts = { posts: 0, deletes: 0, packets: { audio: 0, video: 0 } };

async function answer(offer, prepare) {
  const pc = new RTCPeerConnection({ codecs, iceServers: [], iceAdditionalHostAddresses: ["127.0.0.1"] });
  await prepare(pc, async () => pc.setRemoteDescription({ type: "offer", sdp: offer }));
  await pc.setLocalDescription(await pc.createAnswer());
  return pc;
}

async function whip(pc, applyOffer) {
  pc.onTrack.subscribe((track) => {
    const receiver = pc.getTransceivers().find((t) => t.receiver.tracks.includes(track))?.receiver;
    published.set(track.kind, { track, receiver });
    track.onReceiveRtp.subscribe(() => counts.packets[track.kind]++);
  });
  await applyOffer();
}

async function whep(pc, applyOffer) {
  await applyOffer();
  for (const transceiver of pc.getTransceivers()) {
    const source = published.get(transceiver.kind);
    if (!source) continue;
    transceiver.sender.registerTrack(source.track);
    transceiver.setDirection("sendonly");
    const askForKeyframe = () => source.track.ssrc && source.receiver?.sendRtcpPLI(source.track.ssrc);
    transceiver.sender.onPictureLossIndication.subscribe(askForKeyframe);
    if (transceiver.kind === "video") askForKeyframe();
  }
}

http
  .createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    if (request.method === "GET") {
      response.end(JSON.stringify(counts));
    } else if (request.method === "DELETE" && sessions.has(request.url)) {
      counts.deletes++;
      await sessions.get(request.url).close();
      sessions.delete(request.url);
      response.writeHead(200).end();
    } else if (request.method === "POST" && ["/whip", "/whep"].includes(request.url)) {
      if (request.url === "/whep" && published.size < 2) {
        response.writeHead(409, { "Retry-After": "1" }).end();
        return;
      }
      const pc = await answer(body, request.url === "/whip" ? whip : whep);
      const location = `${request.url}/${++counts.posts}`;
      sessions.set(location, pc);
      response.writeHead(201, { "Content-Type": "application/sdp", Location: location });
      response.end(pc.localDescription.sdp);
    } else {
      response.writeHead(404).end();
    }
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
