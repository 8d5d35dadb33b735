// What the page tells beside the answer: to screen readers, and to everybody where something went wrong.

import { Trouble, useToken } from "./api.js";
import { say } from "./say.js";

const announcement = document.getElementById("announce"), place = document.getElementById("trouble");

const LASTING = ["unreadable", "large"]; // the same picture would fare no better

/** Have a screen reader say it. */
export const announce = (text) => { announcement.textContent = text; };

export const clearTrouble = () => place.replaceChildren();

/** Say what went wrong; `retry`, if given, is what the button beside it does. */
export const showTrouble = (error, retry) => {
  const { key, detail } = error instanceof Trouble ? error : new Trouble("broken", String(error));
  const said = document.createElement("p");
  said.textContent = say(key);
  const parts = [said];
  if (detail) {
    const reason = document.createElement("p");
    reason.className = "reason";
    reason.lang = "en";
    reason.textContent = detail;
    parts.push(reason);
  }
  if (key === "locked" && retry) {
    parts.push(tokenForm(retry));
  } else if (retry && !LASTING.includes(key)) {
    const again = document.createElement("button");
    again.type = "button";
    again.textContent = say("again");
    again.addEventListener("click", () => { clearTrouble(); retry(); });
    parts.push(again);
  }
  place.replaceChildren(...parts);
};

const tokenForm = (retry) => {
  const form = document.createElement("form"), field = document.createElement("input"), send = document.createElement("button");
  Object.assign(field, { type: "password", autocomplete: "off", required: true });
  field.setAttribute("aria-label", say("token"));
  send.textContent = say("unlock");
  form.append(field, send);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    useToken(field.value.trim());
    clearTrouble();
    retry();
  });
  return form;
};
