// Keeps the page on the version that answers: the footer, the model's card, and whether Production is followed.
"use strict";

import { ask, fill, pause } from "./ask.js";

const POLL_MS = 3000;
const language = document.getElementById("upload").dataset.language;
const serving = document.getElementById("serving");
const announce = document.getElementById("announce");
const notice = document.getElementById("notice");

export async function follow() {
  for (;;) {
    if (!document.hidden) {
      try {
        const response = await ask("/model", { quiet: true });
        if (response.ok) await show(await response.json());
        else if (response.status === 503) serving.textContent = serving.dataset.none;
      } catch (error) { /* The next look tells; an upload says by itself that the server is away. */ }
    }
    await pause(POLL_MS);
  }
}

async function show(model) {
  serving.textContent = `${serving.dataset.name} ${model.name}, ${serving.dataset.word} ${model.version}`;
  const failing = model.failure ? notice.getAttribute(`data-${model.failure.code}`) || "" : "";
  if (notice.textContent.trim() !== failing) notice.textContent = failing;
  if (serving.dataset.version === String(model.version)) return;
  serving.dataset.version = String(model.version);
  announce.textContent = fill(serving.dataset.changed, { version: model.version });
  serving.classList.add("fresh");
  setTimeout(() => serving.classList.remove("fresh"), 8000);
  const response = await ask(`/page/model?lang=${language}`, { quiet: true });
  if (!response.ok) return;
  const holder = document.createElement("template");
  holder.innerHTML = await response.text();
  document.getElementById("about-model").replaceWith(holder.content.querySelector("#about-model"));
}
