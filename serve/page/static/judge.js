// Feedback on a result, right or wrong: the server stores it under the prediction's id.
"use strict";

import { askPatiently, busy, isBusy } from "./ask.js";

const words = document.getElementById("upload").dataset;
const OTHER = { NORMAL: "PNEUMONIA", PNEUMONIA: "NORMAL" };

export function listen(node) {
  for (const judge of node.querySelectorAll("[data-judge]")) {
    judge.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) sendFeedback(judge, button);
    });
  }
}

async function sendFeedback(judge, button) {
  const buttons = [...judge.querySelectorAll("button")];
  const said = judge.querySelector(".judge-said");
  const label = button.dataset.word === "right" ? judge.dataset.label : OTHER[judge.dataset.label];
  if (isBusy(button)) return;
  buttons.forEach((one) => busy(one, true));
  said.textContent = words.saying;
  try {
    const address = `/predictions/${encodeURIComponent(judge.dataset.judge)}/feedback`;
    const headers = { "Content-Type": "application/json" };
    const response = await askPatiently(address, { method: "POST", headers, body: JSON.stringify({ label }) });
    if (!response.ok) throw new Error(response.status);
    const { confirmed } = await response.json();
    buttons.forEach((one) => one.setAttribute("aria-pressed", String(one === button)));
    said.textContent = confirmed ? words.confirmed : words.corrected;
  } catch (error) {
    said.textContent = words.unsaid;
  } finally {
    buttons.forEach((one) => busy(one, false));
  }
}
