// Sends dropped or chosen X-rays one by one, shows each answer as the server renders it, and follows the model's version.
"use strict";

const form = document.getElementById("upload");
const input = document.getElementById("file");
const statusLine = document.getElementById("status");
const results = document.getElementById("results");
const cards = document.getElementById("cards");
const words = form.dataset;
const AT_ONCE = 2;
const TRIES = 6;
const POLL_MS = 3000;
let round = 0;
let previews = [];

form.classList.add("live");

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

function fromTemplate(id, filename) {
  const node = document.getElementById(id).content.cloneNode(true);
  const place = node.querySelector("[data-filename]");
  if (place) place.textContent = filename;
  return node.querySelector(id === "offline-row" ? "tr" : "article");
}

function parse(html, kind) {
  const holder = document.createElement("template");
  holder.innerHTML = kind === "row" ? `<table><tbody>${html}</tbody></table>` : html;
  return holder.content.querySelector(kind === "row" ? "tr" : "article");
}

async function ask(file, kind) {
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    const body = new FormData();
    body.append("file", file, file.name);
    try {
      const response = await fetch(`/page/result?lang=${words.language}&as=${kind}`, { method: "POST", body });
      const wait = Number(response.headers.get("Retry-After"));
      if (response.status === 503 && wait && attempt < TRIES) {
        statusLine.textContent = words.waiting;
        await pause(1000 * wait);
        continue;
      }
      const type = response.headers.get("Content-Type") || "";
      if (type.startsWith("text/html")) return parse(await response.text(), kind);
      return refusal(await response.json(), file, kind);
    } catch (error) {
      if (attempt === TRIES || !navigator.onLine) break;
      await pause(500 * attempt);
    }
  }
  return fromTemplate(`offline-${kind}`, file.name);
}

// A request that was refused before any page was rendered, such as one that is too large, answers with a problem document.
function refusal(problem, file, kind) {
  const node = fromTemplate(`offline-${kind}`, file.name);
  node.dataset.code = problem.code;
  const text = words[`problem${problem.status}`] || problem.detail;
  (node.querySelector(".why") || node.lastElementChild).textContent = text;
  return node;
}

function preview(file) {
  if (!["image/jpeg", "image/png"].includes(file.type)) return null;
  const image = document.createElement("img");
  image.src = URL.createObjectURL(file);
  image.alt = words.preview;
  image.addEventListener("error", () => image.remove());
  previews.push(image.src);
  return image;
}

function decorate(node, file, kind) {
  const image = preview(file);
  if (!image) return node;
  if (kind === "row") {
    image.className = "thumb";
    image.alt = "";
    node.querySelector("th").prepend(image);
    return node;
  }
  const place = node.querySelector("[data-picture]");
  if (place) {
    place.hidden = false;
    image.addEventListener("error", () => { place.hidden = true; });
    place.replaceChildren(image);
  }
  return node;
}

function clear() {
  previews.forEach((url) => URL.revokeObjectURL(url));
  previews = [];
  cards.replaceChildren();
  statusLine.textContent = "";
  results.hidden = true;
}

async function analyse(files) {
  if (!files.length) return;
  clear();
  round += 1;
  const mine = round;
  const kind = files.length === 1 ? "card" : "row";
  let body = cards;
  if (kind === "row") {
    cards.append(document.getElementById("table-template").content.cloneNode(true));
    body = cards.querySelector("tbody");
    results.hidden = false;
  }
  const places = files.map(() => document.createComment("answer"));
  body.append(...places);
  let done = 0;
  let next = 0;
  const say = () => { statusLine.textContent = fill(words.working, { done, total: files.length }); };
  say();
  const worker = async () => {
    while (next < files.length && mine === round) {
      const index = next;
      next += 1;
      const node = decorate(await ask(files[index], kind), files[index], kind);
      if (mine !== round) return;
      places[index].replaceWith(node);
      results.hidden = false;
      done += 1;
      say();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  if (mine !== round) return;
  statusLine.textContent = files.length === 1 ? "" : fill(words.finished, { total: files.length });
  if (kind === "card") results.scrollIntoView({ block: "nearest" });
}

input.addEventListener("change", () => {
  const files = [...input.files];
  form.reset();
  analyse(files);
});
form.addEventListener("submit", (event) => { event.preventDefault(); analyse([...input.files]); });
document.getElementById("clear").addEventListener("click", (event) => {
  event.preventDefault();
  round += 1;
  clear();
  input.focus();
});

let depth = 0;
const over = (change) => { depth = Math.max(0, depth + change); form.classList.toggle("over", depth > 0); };
window.addEventListener("dragenter", (event) => { event.preventDefault(); over(1); });
window.addEventListener("dragleave", () => over(-1));
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => {
  event.preventDefault();
  over(-depth);
  analyse([...event.dataTransfer.files]);
});
window.addEventListener("paste", (event) => analyse([...event.clipboardData.files]));

const serving = document.getElementById("serving");
const announce = document.getElementById("announce");
async function follow() {
  if (!document.hidden) {
    try {
      const response = await fetch("/model", { cache: "no-store" });
      if (response.ok) show(await response.json());
      else if (response.status === 503) serving.textContent = serving.dataset.none;
    } catch (error) { /* The next look tells; an upload says by itself that the server is away. */ }
  }
  setTimeout(follow, POLL_MS);
}
function show(model) {
  serving.textContent = `${serving.dataset.name} ${model.name}, ${serving.dataset.word} ${model.version}`;
  if (serving.dataset.version === String(model.version)) return;
  serving.dataset.version = String(model.version);
  announce.textContent = fill(serving.dataset.changed, { version: model.version });
  serving.classList.add("fresh");
  setTimeout(() => serving.classList.remove("fresh"), 8000);
}
follow();
