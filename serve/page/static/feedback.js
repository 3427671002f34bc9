// Feedback on a result, right or wrong: the server stores it under the prediction's id.
"use strict";

import { askPatiently, busy, isBusy } from "./ask.js";

const words = document.getElementById("upload").dataset;
const OTHER = { NORMAL: "PNEUMONIA", PNEUMONIA: "NORMAL" };

export function listenForFeedback(node) {
  for (const feedback of node.querySelectorAll("[data-feedback]")) {
    feedback.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) sendFeedback(feedback, button);
    });
  }
}

async function sendFeedback(feedback, button) {
  const buttons = [...feedback.querySelectorAll("button")];
  const status = feedback.querySelector(".feedback-status");
  const label = button.dataset.verdict === "right" ? feedback.dataset.label : OTHER[feedback.dataset.label];
  if (isBusy(button)) return;
  buttons.forEach((one) => busy(one, true));
  status.textContent = words.saving;
  try {
    const address = `/predictions/${encodeURIComponent(feedback.dataset.feedback)}/feedback`;
    const headers = { "Content-Type": "application/json" };
    const response = await askPatiently(address, { method: "POST", headers, body: JSON.stringify({ label }) });
    if (!response.ok) throw new Error(response.status);
    const { confirmed } = await response.json();
    buttons.forEach((one) => one.setAttribute("aria-pressed", String(one === button)));
    status.textContent = confirmed ? words.confirmed : words.corrected;
  } catch (error) {
    status.textContent = words.notsaved;
  } finally {
    buttons.forEach((one) => busy(one, false));
  }
}
