// Sends dropped or chosen X-rays one by one, shows each answer as the server renders it, and follows the model's version.
"use strict";

import { askPatiently, fill, reasonOf } from "./ask.js";
import { onCard, onRow } from "./evidence.js";
import { follow } from "./follow.js";
import { listenForFeedback } from "./feedback.js";

const form = document.getElementById("upload");
const input = document.getElementById("file");
const statusLine = document.getElementById("status");
const bar = document.getElementById("progress");
const results = document.getElementById("results");
const cards = document.getElementById("cards");
const words = form.dataset;
const AT_ONCE = 2;
let previews = [];
let leaving = new AbortController();

form.classList.add("live");
document.documentElement.classList.add("js");

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

async function answerFor(file, kind, signal, onWait) {
  const body = new FormData();
  body.append("file", file, file.name);
  try {
    const address = `/page/result?lang=${words.language}&as=${kind}`;
    const response = await askPatiently(address, { method: "POST", body, signal }, onWait);
    const type = response.headers.get("Content-Type") || "";
    if (!type.startsWith("text/html")) return refusal(await response.json(), file, kind);
    const node = parse(await response.text(), kind);
    if (node) return node;
  } catch (error) { /* told as follows */ }
  return fromTemplate(`offline-${kind}`, file.name); // also for the page of a balancer in between
}

// A request that was refused before any page was rendered, such as one that is too large, answers with a problem document.
function refusal(problem, file, kind) {
  const node = fromTemplate(`offline-${kind}`, file.name);
  node.dataset.code = problem.code;
  (node.querySelector(".why") || node.lastElementChild).textContent = reasonOf(problem, words);
  return node;
}

function keep(url) {
  previews.push(url);
  return url;
}

function preview(file) {
  if (!["image/jpeg", "image/png"].includes(file.type)) return null;
  const image = document.createElement("img");
  image.src = keep(URL.createObjectURL(file));
  image.alt = words.preview;
  image.addEventListener("error", () => image.remove());
  return image;
}

function decorate(node, file, kind) {
  const image = preview(file);
  listenForFeedback(node);
  if (kind === "row") {
    if (image) {
      image.className = "thumb";
      image.alt = "";
      node.querySelector("th").prepend(image);
    }
    onRow(node, file, keep);
    return node;
  }
  const place = node.querySelector("[data-picture]");
  if (place && image) {
    place.hidden = false;
    const figure = node.querySelector("[data-figure]");
    if (figure) figure.hidden = false;
    image.addEventListener("error", () => { place.hidden = true; });
    place.replaceChildren(image);
  }
  onCard(node, file, image, keep);
  return node;
}

function clear() {
  leaving.abort();
  leaving = new AbortController();
  previews.forEach((url) => URL.revokeObjectURL(url));
  previews = [];
  cards.replaceChildren();
  statusLine.textContent = "";
  bar.hidden = true;
  results.hidden = true;
}

async function analyse(files) {
  if (!files.length) return;
  clear();
  const { signal } = leaving;
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
  const showProgress = () => {
    statusLine.textContent = fill(words.working, { done, total: files.length });
    bar.max = files.length;
    bar.value = done;
    bar.hidden = files.length === 1;
  };
  showProgress();
  const onWait = () => { if (!signal.aborted) statusLine.textContent = words.waiting; };
  const worker = async () => {
    while (next < files.length && !signal.aborted) {
      const index = next;
      next += 1;
      const answer = await answerFor(files[index], kind, signal, onWait);
      if (signal.aborted) return;
      places[index].replaceWith(decorate(answer, files[index], kind));
      results.hidden = false;
      done += 1;
      showProgress();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  if (signal.aborted) return;
  bar.hidden = true;
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
  clear();
  input.focus();
});

document.getElementById("example")?.addEventListener("click", async (event) => {
  event.preventDefault();
  try {
    const response = await askPatiently("/example", {});
    if (!response.ok) throw new Error(response.status);
    analyse([new File([await response.blob()], event.target.download, { type: "image/jpeg" })]);
  } catch (error) {
    statusLine.textContent = words.offline;
  }
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

follow();
