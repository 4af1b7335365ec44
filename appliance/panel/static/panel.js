"use strict";
// Without this script the page works by forms and reloads; with it, it follows the unit by itself.
const panel = document.getElementById("panel");
const words = JSON.parse(panel.dataset.words);
const lang = panel.dataset.lang;
const byId = (id) => document.getElementById(id);
let picture = byId("snapshot");
let problems = null;

// A live region speaks when it is written to: write what is new only.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show(state) {
  const meeting = state.meeting;
  const focused = document.activeElement?.closest("form[data-do]");
  panel.dataset.state = meeting.state;
  write(byId("state"), words[meeting.state] ?? meeting.state);
  write(byId("meeting"), meeting.name ?? "");
  const on = {
    standby: meeting.state === "standby", meeting: meeting.state !== "standby",
    muted: state.muted, unmuted: !state.muted, "camera-on": state.camera_on, "camera-off": !state.camera_on,
  };
  for (const part of panel.querySelectorAll("[data-when]")) part.hidden = !on[part.dataset.when];
  for (const button of panel.querySelectorAll("button")) button.disabled = false;
  if (focused?.closest("[hidden]")) {
    panel.querySelector(`[data-when]:not([hidden]) form[data-do=${focused.dataset.do}] button`)?.focus();
  }
  const told = JSON.stringify(state.problems);
  if (told !== problems) {
    problems = told;
    byId("problems").replaceChildren(...state.problems.map((problem) => {
      const item = document.createElement("li");
      const cause = document.createElement("strong");
      cause.textContent = problem.cause[lang];
      item.className = problem.severity;
      item.append(cause, " ", problem.cure[lang]);
      return item;
    }));
  }
  for (const cell of panel.querySelectorAll("[data-number]")) {
    const [part, name] = cell.dataset.number.split(".");
    const number = state.numbers[part]?.[name];
    cell.textContent = number == null ? "–" : Math.round(number);
  }
}

function say(message) {
  const error = byId("error");
  error.hidden = !message;
  write(error, message ?? "");
}

// What the page shows is no longer true, and no button works: say so instead.
function lose(message) {
  panel.dataset.state = "lost";
  write(byId("state"), words.lost);
  write(byId("meeting"), "");
  problems = null;
  byId("problems").replaceChildren();
  for (const button of panel.querySelectorAll("button")) button.disabled = true;
  for (const cell of panel.querySelectorAll("[data-number]")) cell.textContent = "–";
  picture.hidden = true;
  say(message);
}

class Away extends Error {}

async function call(path, body) {
  let answer;
  try {
    answer = await fetch(path, body ? { method: "POST", body, headers: { "X-CSRFToken": panel.dataset.csrf },
      signal: AbortSignal.timeout(10000) } : { signal: AbortSignal.timeout(5000) });
  } catch {
    throw new Away(panel.dataset.lost);
  }
  if (answer.status === 401) { location.reload(); return; }
  const found = await answer.json().catch(() => ({ error: panel.dataset.lost }));
  if (answer.status === 503) throw new Away(found.error);
  if (!answer.ok) throw new Error(found.error);
  show(found);
}

function tell(error) {
  if (error instanceof Away) lose(error.message);
  else say(error.message);
}

let acted = 0;
async function poll() {
  try {
    if (!document.hidden) {
      await call("/api/state");
      // What an action was refused for stays long enough to be read.
      if (Date.now() - acted > 5000) say(null);
    }
  } catch (error) {
    tell(error);
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

// A double click is one wish: the second would hit the button that has taken the first one's place and undo it.
const HOLD_OFF_MS = 700;
const held = new Set();

async function act(form) {
  const what = form.dataset.do;
  if (what === "leave" && !await sure()) return;
  try {
    say(null);
    await call(`/api/${what}`, new FormData(form));
  } catch (error) {
    acted = Date.now();
    tell(error);
  }
}

for (const form of panel.querySelectorAll("form[data-do]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const control = ["join", "leave"].includes(form.dataset.do) ? "meeting" : form.dataset.do;
    if (held.has(control)) return;
    held.add(control);
    await act(form);
    setTimeout(() => held.delete(control), HOLD_OFF_MS);
  });
}

picture.addEventListener("error", () => { picture.hidden = true; }, { once: true });
setInterval(() => {
  if (document.hidden || panel.dataset.state === "lost") return;
  const next = picture.cloneNode();
  next.hidden = false;
  next.addEventListener("load", () => {
    if (panel.dataset.state === "lost") return;
    picture.replaceWith(next);
    picture = next;
  });
  next.addEventListener("error", () => { picture.hidden = true; });
  next.src = `/api/snapshot.jpg?${Date.now()}`;
}, 3000);
poll();
