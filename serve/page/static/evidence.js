// The overlay of where the evidence lies: in place on a card, in a dialog from a table's row.
"use strict";

import { askPatiently, busy, isBusy, reasonOf } from "./ask.js";

const dialog = document.getElementById("evidence");
const words = document.getElementById("upload").dataset;
const statusLine = document.getElementById("status");

// The id of the answer's own request, so that the model that gave the answer explains it, in a canary too.
async function overlayOf(file, keep, id) {
  const body = new FormData();
  body.append("file", file, file.name);
  const response = await askPatiently("/explain", { method: "POST", body, headers: { "X-Request-ID": id } });
  if (!response.ok) {
    const problem = await response.json().catch(() => ({ status: response.status }));
    throw Object.assign(new Error(response.status), { reason: reasonOf(problem, words) });
  }
  const image = document.createElement("img");
  image.src = keep(URL.createObjectURL(await response.blob()));
  image.alt = words.overlay;
  image.className = "overlay";
  await image.decode();
  return image;
}

// `plain` is the picture itself, where the browser can show it: a DICOM file has only its overlay.
export function onCard(card, file, plain, keep) {
  const button = card.querySelector("[data-evidence]");
  if (!button) return;
  const place = card.querySelector("[data-picture]");
  const caption = card.querySelector("[data-caption]");
  card.querySelector("[data-figure]").hidden = false;
  let overlay = null;
  let shown = false;
  const show = (on) => {
    shown = on;
    place.replaceChildren(...(on ? [overlay] : [plain].filter(Boolean)));
    caption.hidden = !on;
    button.textContent = on && plain ? words.plain : words.evidence;
  };
  const toggle = async () => {
    if (isBusy(button)) return null;
    if (overlay) return show(!shown || !plain);
    busy(button, true);
    button.textContent = words.explaining;
    try {
      overlay = await overlayOf(file, keep, card.dataset.request);
    } catch (error) {
      button.textContent = words.evidence;
      if (button.isConnected) statusLine.textContent = error.reason || words.offline;
      return null;
    } finally {
      busy(button, false);
    }
    return show(true);
  };
  button.addEventListener("click", toggle);
  toggle();
}

export function onRow(row, file, keep) {
  const button = row.querySelector("[data-evidence]");
  button?.addEventListener("click", async () => {
    if (isBusy(button)) return;
    busy(button, true);
    statusLine.textContent = words.explaining;
    try {
      const overlay = await overlayOf(file, keep, row.dataset.request);
      statusLine.textContent = "";
      document.getElementById("evidence-picture").replaceChildren(overlay);
      dialog.showModal();
    } catch (error) {
      statusLine.textContent = error.reason || words.offline;
    } finally {
      busy(button, false);
    }
  });
}
