"use strict";
// Without this script the page works by forms and reloads; with it, it follows the unit by itself.
const panel = document.getElementById("panel");
const words = JSON.parse(panel.dataset.words);
const lang = panel.dataset.lang;
const byId = (id) => document.getElementById(id);

function show(state) {
  const meeting = state.meeting;
  panel.dataset.state = meeting.state;
  byId("state").textContent = words[meeting.state] ?? meeting.state;
  byId("meeting").textContent = meeting.name ?? "";
  const on = {
    standby: meeting.state === "standby", meeting: meeting.state !== "standby",
    muted: state.muted, unmuted: !state.muted, "camera-on": state.camera_on, "camera-off": !state.camera_on,
  };
  for (const part of panel.querySelectorAll("[data-when]")) part.hidden = !on[part.dataset.when];
  byId("problems").replaceChildren(...state.problems.map((problem) => {
    const item = document.createElement("li");
    const cause = document.createElement("strong");
    cause.textContent = problem.cause[lang];
    item.className = problem.severity;
    item.append(cause, " ", problem.cure[lang]);
    return item;
  }));
  for (const cell of panel.querySelectorAll("[data-number]")) {
    const [part, name] = cell.dataset.number.split(".");
    cell.textContent = state.numbers[part]?.[name] ?? "–";
  }
}

function say(message) {
  const lost = byId("lost");
  lost.hidden = !message;
  if (lost.textContent !== (message ?? "")) lost.textContent = message ?? "";
}

async function call(path, body) {
  const answer = await fetch(path, body
    ? { method: "POST", body, headers: { "X-CSRFToken": panel.dataset.csrf } } : { signal: AbortSignal.timeout(5000) });
  if (answer.status === 401) { location.reload(); return; }
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  show(found);
  say(null);
}

async function poll() {
  try {
    if (!document.hidden) await call("/api/state");
  } catch (error) {
    say(error instanceof TypeError || error.name === "TimeoutError" ? panel.dataset.lost : error.message);
  }
  setTimeout(poll, 1000);
}

async function sure() {
  const dialog = byId("sure");
  dialog.querySelector("p").textContent = panel.dataset.sure;
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  return dialog.returnValue === "yes";
}

for (const form of panel.querySelectorAll("form[data-do]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.dataset.do === "leave" && !await sure()) return;
    try {
      await call(`/api/${form.dataset.do}`, new FormData(form));
    } catch (error) {
      say(error instanceof TypeError ? panel.dataset.lost : error.message);
    }
  });
}

const picture = byId("snapshot");
setInterval(() => { if (!document.hidden) picture.src = `/api/snapshot.jpg?${Date.now()}`; }, 3000);
poll();
