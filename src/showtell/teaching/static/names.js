// The classes: a button each, with its key, how many images it has, and what the model says.

import { count, percent, say } from "./say.js";

const KEYS = "1234567890abcdefghijklmnopqrstuvwxyz";

const place = document.getElementById("classes"), names = document.getElementById("names");
const buttons = new Map(); // by class

const buttonOf = (label, key, hear) => {
  const row = document.createElement("div"), button = document.createElement("button"), rename = document.createElement("button");
  const cap = document.createElement("kbd"), text = document.createElement("span"), figure = document.createElement("span");
  row.className = "class-of";
  Object.assign(button, { type: "button", className: "give" });
  Object.assign(rename, { type: "button", className: "plain rename", title: say("rename", { label }), textContent: "✎" });
  rename.setAttribute("aria-label", say("rename", { label }));
  [text.className, figure.className] = ["text", "figure"];
  cap.textContent = key;
  cap.hidden = !key;
  text.textContent = label;
  if (key) button.setAttribute("aria-keyshortcuts", key);
  button.append(cap, text, figure);
  row.append(button, rename);
  let held = false;
  const release = () => {
    if (held) hear.release(label);
    held = false;
  };
  button.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    held = hear.hold(label);
    if (held) button.setPointerCapture(event.pointerId);
  });
  ["pointerup", "pointercancel", "lostpointercapture"].forEach((name) => button.addEventListener(name, release));
  button.addEventListener("contextmenu", (event) => { if (held) event.preventDefault(); }); // a long touch
  button.addEventListener("click", (event) => {
    if (event.detail) button.blur(); // so that Enter, pressed next, does not give this label again
    hear.give(label);
  });
  rename.addEventListener("click", () => {
    const given = window.prompt(say("renameAsk", { label }), label)?.trim();
    if (given && given !== label) hear.rename(label, given);
  });
  return { row, button, figure };
};

/** Return the class that a key stands for. */
export const classOf = (key) => [...buttons.keys()][KEYS.indexOf(key.toLowerCase())] ?? null;

/**
 * Show the classes, each with its count.
 *
 * `hear` is told what is done to them: `give(label)`, `rename(label, to)`, and `hold(label)`, which says whether
 * anything goes on until `release(label)`.
 */
export const showClasses = (classes, hear) => {
  const known = [...buttons.keys()].join("\n");
  if (known !== classes.map(({ name }) => name).join("\n")) {
    buttons.clear();
    classes.forEach(({ name }, i) => buttons.set(name, buttonOf(name, KEYS[i] ?? "", hear)));
    place.replaceChildren(...[...buttons.values()].map(({ row }) => row));
    names.replaceChildren(...classes.map(({ name }) => Object.assign(document.createElement("option"), { value: name })));
  }
  classes.forEach((one) => { buttons.get(one.name).figure.textContent = count(one.count); });
};

/** Mark what the model says of the image, how sure it is, and which label it has. */
export const markGuess = (guess, sure, given = null) => {
  buttons.forEach(({ button }, label) => {
    button.classList.toggle("guessed", label === guess);
    button.classList.toggle("given", label === given);
    button.style.setProperty("--sure", label === guess && sure !== null ? sure : 0);
    button.title = label === guess && sure !== null ? say("guess", { label, percent: percent(sure) }) : "";
  });
};
