// Requests to this server: with the API key where one is asked for, and again when the server says when to come back.
"use strict";

const TRIES = 6;
const KEPT = "hm-mlflow-key";
const PLAIN = /^[\x21-\x7e]+$/;
let asking = null;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// A button that waits keeps the keyboard's place, which one that is disabled would lose.
export const busy = (button, on) => button.setAttribute("aria-disabled", String(on));
export const isBusy = (button) => button.getAttribute("aria-disabled") === "true";

// `quiet` requests go on in the background: they never open the dialog for the key.
export async function ask(path, { quiet = false, ...options } = {}) {
  const key = sessionStorage.getItem(KEPT);
  const headers = new Headers(options.headers);
  if (key) headers.set("Authorization", `Bearer ${key}`);
  const response = await fetch(path, { ...options, headers, cache: "no-store" });
  if (response.status !== 401 || quiet) return response;
  asking ??= askForKey(key !== null && key === sessionStorage.getItem(KEPT)).finally(() => { asking = null; });
  return (await asking) ? ask(path, options) : response;
}

// Comes back when told to: 503 where the server is busy, 404 where another replica has not heard of a prediction yet.
export async function askPatiently(path, options, onWait) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await ask(path, options);
      const wait = Number(response.headers.get("Retry-After"));
      if (!wait || response.ok || attempt === TRIES) return response;
      onWait?.();
      await pause(1000 * wait);
    } catch (error) {
      if (attempt === TRIES || !navigator.onLine || options.signal?.aborted) throw error;
      await pause(500 * attempt);
    }
  }
}

// Why the server refused, in the page's words; what has none there tells its own detail, which is English.
export function reasonOf(problem, words) {
  return words[`problem${problem.status}`] || (words.language === "en" && problem.detail) || words.other;
}

function askForKey(wasWrong) {
  const dialog = document.getElementById("key-dialog");
  const field = document.getElementById("key");
  document.getElementById("key-wrong").hidden = !wasWrong;
  field.value = "";
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "use" && field.value.trim();
      if (given && !PLAIN.test(given)) return resolve(askForKey(true)); // no header could carry it
      if (given) sessionStorage.setItem(KEPT, given);
      return resolve(Boolean(given));
    }, { once: true });
  });
}
