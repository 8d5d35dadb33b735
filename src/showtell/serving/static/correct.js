// A form below the answer: what the model should have said. It is kept with the picture, in the folder of the run.

import { ask } from "./api.js";
import { announce, clearTrouble, showTrouble } from "./notices.js";
import { say } from "./say.js";

const made = (tag, properties) => Object.assign(document.createElement(tag), properties);

/** Offer to correct what a model said of a picture; goes away with the answer. */
export const offerCorrection = (place, record, model, picture) => {
  const said = record.caption ?? record.class ?? "";
  const open = made("button", { type: "button", className: "mend", textContent: say("correct") });
  const form = made("form", { className: "mending", hidden: true });
  const field = made(record.classes ? "input" : "textarea", { value: said, maxLength: 1000, required: true, rows: 2 });
  field.setAttribute("aria-label", say("right"));
  field.lang = model.language || "";
  const send = made("button", { textContent: say("keepIt") });
  const note = made("p", { className: "hint", textContent: say("pictureKept") });
  form.append(field, send, note);
  if (record.classes && Array.isArray(model.classes)) {
    const names = made("datalist", { id: "classes-known" });
    names.append(...model.classes.map((name) => made("option", { value: name })));
    field.setAttribute("list", names.id);
    form.append(names);
  }
  open.addEventListener("click", () => {
    open.hidden = true;
    form.hidden = false;
    field.focus();
    field.select();
  });
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); form.requestSubmit(); }
    if (event.key === "Escape") { form.hidden = true; open.hidden = false; open.focus(); }
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTrouble();
    send.disabled = true;
    const query = new URLSearchParams({ model: model.name, right: field.value, said, name: picture.name ?? "" });
    try {
      const { corrections, learn } = await ask(`v1/corrections?${query}`, { method: "POST", body: picture.blob });
      const told = made("p", { className: "hint", textContent: say("correctionKept", { count: corrections }) });
      form.replaceWith(told, made("code", { className: "learn", textContent: learn }));
      announce(told.textContent);
    } catch (error) {
      send.disabled = false;
      showTrouble(error);
    }
  });
  place.append(open, form);
};
