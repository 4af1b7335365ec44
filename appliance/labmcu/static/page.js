// The wall of a room in any browser, through WHEP, and who is in. Asks nothing of anybody but the server it came from.

const WORDS = {
  vi: {
    title: "Phòng họp thử", room: "phòng {room}", choose: "Chọn phòng họp", wall: "Hình ảnh cuộc họp",
    present: "Có mặt", empty: "Chưa có điểm cầu nào.", note: "MCU thử nghiệm: chỉ dùng để trình diễn và kiểm thử.",
    listening: "Đang xem và nghe: {names}", waiting: "Chưa có cuộc họp nào. Trang này sẽ tự vào khi có điểm cầu kết nối.",
    connecting: "Đang kết nối…", lost: "Mất kết nối, đang kết nối lại…", unreachable: "Không liên lạc được với MCU.",
    refused: "MCU từ chối: {reason}", denied: "Phòng họp này cần mã truy cập.", token: "Mã truy cập", enter: "Vào",
    soundOff: "Bật âm thanh", soundOn: "Tắt âm thanh", full: "Toàn màn hình",
    live: "đang họp", joining: "đang kết nối", "no-picture": "không có hình", speaking: "đang nói",
    echo: "Có tiếng vọng: mọi người nghe lại chính mình.", quality: "{width}×{height} · {fps} hình/giây", other: "English",
  },
  en: {
    title: "Lab meeting room", room: "room {room}", choose: "Choose a room", wall: "The meeting's picture",
    present: "Present", empty: "Nobody is here yet.", note: "A lab MCU: for demonstrations and tests only.",
    listening: "Watching and listening: {names}", waiting: "There is no meeting yet. This page joins by itself when a bridge point connects.",
    connecting: "Connecting…", lost: "Connection lost, connecting again…", unreachable: "The MCU cannot be reached.",
    refused: "The MCU refuses: {reason}", denied: "This room needs a token.", token: "Token", enter: "Enter",
    soundOff: "Turn sound on", soundOn: "Turn sound off", full: "Full screen",
    live: "in the meeting", joining: "connecting", "no-picture": "no picture", speaking: "speaking",
    echo: "Echo is on: everybody hears themselves again.", quality: "{width}×{height} · {fps} fps", other: "Tiếng Việt",
  },
};
const POLL_MS = 1000;
const STALL_MS = 2500; // even a still wall moves on fifteen times a second
const RETRY_MS = [500, 1000, 2000, 4000];

const $ = (id) => document.getElementById(id);
const video = $("wall");
const me = `web-${Array.from(crypto.getRandomValues(new Uint8Array(3)), (n) => n.toString(16).padStart(2, "0")).join("")}`;
const fragment = new URLSearchParams(location.hash.slice(1));

const state = {
  language: localStorage.getItem("language") ?? preferred(),
  token: fragment.get("token") ?? sessionStorage.getItem("token"),
  room: new URLSearchParams(location.search).get("room"),
  rooms: [],
  message: "connecting",
  reason: "",
  connection: null,
  session: null,
  attempts: 0,
};
if (fragment.has("token")) {
  sessionStorage.setItem("token", state.token);
  history.replaceState(null, "", location.pathname + location.search); // a token does not belong on the screen
}

function preferred() {
  const languages = navigator.languages.map((language) => language.slice(0, 2));
  return !languages.includes("vi") && languages[0] === "en" ? "en" : "vi";
}

function word(key, values = {}) {
  return WORDS[state.language][key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

function headers(more = {}) {
  return state.token ? { ...more, Authorization: `Bearer ${state.token}` } : more;
}

// What people see

function say(message, reason = "") {
  state.message = message;
  state.reason = reason;
  draw();
}

function draw() {
  document.documentElement.lang = state.language;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = word(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", word(element.dataset.label));
  $("language").textContent = word("other");
  $("language").lang = state.language === "vi" ? "en" : "vi";
  $("room").textContent = state.room ? word("room", { room: state.room }) : "";
  $("message").textContent = state.message ? word(state.message, { reason: state.reason }) : "";
  $("ask").hidden = state.message !== "denied";
  $("sound").textContent = word(video.muted ? "soundOff" : "soundOn");
  $("sound").setAttribute("aria-pressed", String(!video.muted));
  drawRooms();
  drawPeople(state.rooms.find((room) => room.name === state.room));
}

function drawRooms() {
  const names = state.rooms.map((room) => room.name);
  const select = $("rooms");
  select.hidden = names.length < 2;
  const known = Array.from(select.options, (option) => option.value);
  if (known.join("\n") !== names.join("\n")) select.replaceChildren(...names.map((name) => new Option(name, name)));
  select.value = state.room ?? "";
}

function drawPeople(room) {
  const people = room?.participants ?? [];
  $("count").textContent = people.length ? `(${people.length})` : "";
  $("participants").replaceChildren(...people.map((person) => {
    const row = document.createElement("li");
    row.dataset.state = person.state;
    const name = document.createElement("b");
    name.textContent = person.name;
    const meter = document.createElement("meter");
    Object.assign(meter, { min: 0, max: 60, value: Math.max(0, person.level_dbfs + 60) });
    meter.ariaHidden = "true";
    const what = document.createElement("small");
    what.textContent = word(person.state) + (person.speaking ? ` · ${word("speaking")}` : "");
    row.append(name, meter, what);
    return row;
  }));
  if (!people.length) $("participants").textContent = word("empty");
  const names = (room?.listeners ?? []).map((name) => (name === me ? `${name} ✓` : name)).join(", ");
  const lines = [names && word("listening", { names }), room?.echo && word("echo")].filter(Boolean);
  $("listeners").textContent = lines.join(" ");
}

// The connection: WHEP

async function connect(connection) {
  const stream = new MediaStream();
  connection.ontrack = (event) => {
    stream.addTrack(event.track);
    video.srcObject = stream;
    video.play().catch(() => {}); // a browser that wants a click first gets it with the sound button
  };
  connection.onconnectionstatechange = () => {
    if (connection === state.connection && ["failed", "closed"].includes(connection.connectionState)) again("lost");
  };
  connection.addTransceiver("video", { direction: "recvonly" });
  connection.addTransceiver("audio", { direction: "recvonly" });
  await connection.setLocalDescription();
  await gathered(connection);
  const path = ["whep", state.room, me].map(encodeURIComponent).join("/");
  const response = await fetch(path, {
    method: "POST", headers: headers({ "Content-Type": "application/sdp" }), body: connection.localDescription.sdp,
  });
  const text = await response.text();
  const session = response.status === 201 ? new URL(response.headers.get("Location"), response.url).href : null;
  if (connection !== state.connection) return goodbye(session); // the person went elsewhere meanwhile
  if (response.status === 401) return again("denied");
  if (!session) return again("refused", text.slice(0, 200));
  state.session = session;
  await connection.setRemoteDescription({ type: "answer", sdp: text });
  watch(connection);
}

function gathered(connection) {
  return new Promise((resolve) => {
    const done = () => connection.iceGatheringState === "complete" && resolve();
    connection.onicegatheringstatechange = done;
    setTimeout(resolve, 2000);
    done();
  });
}

async function figures(connection = state.connection) {
  const found = { framesDecoded: 0, width: 0, height: 0, audioPackets: 0, codec: "" };
  if (!connection) return found;
  const stats = await connection.getStats();
  for (const report of stats.values()) {
    if (report.type !== "inbound-rtp") continue;
    if (report.kind === "video") {
      Object.assign(found, {
        framesDecoded: report.framesDecoded ?? 0, framesDropped: report.framesDropped ?? 0, freezes: report.freezeCount ?? 0,
        width: report.frameWidth ?? 0, height: report.frameHeight ?? 0, codec: stats.get(report.codecId)?.mimeType ?? "",
      });
    } else found.audioPackets = report.packetsReceived ?? 0;
  }
  return found;
}

async function watch(connection) {
  let frames = 0;
  let at = performance.now();
  let moved = at;
  while (connection === state.connection) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const now = performance.now();
    const found = await figures(connection);
    if (connection !== state.connection) return;
    const fps = Math.round((found.framesDecoded - frames) / ((now - at) / 1000));
    if (found.framesDecoded > frames) {
      moved = now;
      state.attempts = 0;
      if (state.message) say("");
    }
    $("quality").textContent = found.width ? word("quality", { ...found, fps }) : "";
    if (now - moved > STALL_MS) return again("lost");
    [frames, at] = [found.framesDecoded, now];
  }
}

function hangUp() {
  state.connection?.close();
  state.connection = null;
  goodbye(state.session);
  state.session = null;
}

function goodbye(session) {
  if (session) fetch(session, { method: "DELETE", headers: headers(), keepalive: true }).catch(() => {});
}

function again(message, reason = "") {
  hangUp();
  say(message, reason);
  if (message === "denied") return;
  setTimeout(start, RETRY_MS[Math.min(state.attempts++, RETRY_MS.length - 1)]);
}

function start() {
  if (state.connection || !state.room) return;
  const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  state.connection = connection;
  connect(connection).catch(() => connection === state.connection && again("unreachable"));
}

// Who is in

async function refresh() {
  try {
    const response = await fetch("api/rooms", { headers: headers(), cache: "no-store" });
    if (response.status === 401) {
      if (state.message !== "denied") again("denied");
    } else {
      state.rooms = (await response.json()).rooms;
      if (state.message === "unreachable" || state.message === "waiting") state.message = "connecting";
      state.room ??= state.rooms[0]?.name ?? null;
      if (!state.room) state.message = "waiting";
      else if (!state.connection && state.attempts === 0) start();
    }
  } catch {
    state.rooms = [];
    if (!state.connection) state.message = "unreachable";
  }
  draw();
  setTimeout(refresh, POLL_MS);
}

$("language").onclick = () => {
  state.language = state.language === "vi" ? "en" : "vi";
  localStorage.setItem("language", state.language);
  draw();
};
$("rooms").onchange = (event) => {
  hangUp();
  state.room = event.target.value;
  state.attempts = 0;
  say("connecting");
  start();
};
$("sound").onclick = () => {
  video.muted = !video.muted;
  video.play().catch(() => {});
  draw();
};
$("full").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen());
$("ask").onsubmit = (event) => {
  event.preventDefault();
  state.token = $("token").value;
  sessionStorage.setItem("token", state.token);
  state.attempts = 0;
  say("connecting");
};
addEventListener("pagehide", hangUp);

window.labMcu = { name: me, figures: () => figures() };
draw();
refresh();
