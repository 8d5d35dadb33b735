// The page: which image is shown, what is said of it, and what comes next.

import { ask, Trouble } from "./api.js";
import { Filming } from "./filming.js";
import { classOf, markGuess, showClasses } from "./names.js";
import { announce, clearTrouble, showTrouble } from "./notices.js";
import { showProgress } from "./panel.js";
import { count, fillIn, language, percent, say, speak } from "./say.js";
import { fetchImage, showImage } from "./stage.js";
import { offerBack, offerClasses, Tiles } from "./tiles.js";

const POLL = 1000; // milliseconds between two looks at how far learning is
const AHEAD = 4; // images fetched before they are asked
const MODES = ["one", "many", "camera", "doubted"];

const at = (id) => document.getElementById(id);
const tab = crypto.randomUUID?.() ?? String(Math.random());

let known = null; // what the server said last
let mode = "one";
let queue = []; // images to show, the one on show first
const given = new Set(); // images that were answered for here, which an older word of the server may still ask
const kept = new Set(); // doubted labels that were looked at and kept
let sending = Promise.resolve(); // the answers on their way, one after another
let surest = null; // the class whose surest images are shown, in the grid
let like = null; // or the image that they are like

const filming = new Filming(tab, () => look());
const tiles = new Tiles(() => arrange());
const labels = () => known?.classes.map(({ name }) => name) ?? [];
const current = () => queue[0] ?? null;
const here = (address, query = {}) => `${address}?${new URLSearchParams({ tab, ...query })}`;

/** Show the controls that the moment calls for. */
const arrange = () => {
  const one = mode === "one" || mode === "doubted", image = one ? current() : null;
  document.body.dataset.mode = mode;
  at("stage").hidden = mode === "many";
  at("many").hidden = mode !== "many";
  at("keys").textContent = say(`keys-${mode === "many" && like !== null ? "like" : mode}`);
  at("hint").hidden = known === null || known.learnt > 0 || labels().length > 1 || mode !== "one";
  at("hint").textContent = say(labels().length ? "nameSecond" : "nameFirst");
  at("later").hidden = !image;
  at("like").hidden = !image || mode !== "one" || !known?.learnt;
  at("name").placeholder = say(labels().length ? "another" : "newClass");
  const guess = mode === "doubted" ? image?.instead : image?.guess;
  const many = tiles.chosen.length;
  at("accept").hidden = mode === "many" ? like !== null || !many : !guess;
  at("accept").textContent = mode === "many" ? say("acceptAll", { count: count(many), label: surest }) : say("accept", { label: guess });
  at("nothing").hidden = mode !== "many" || at("tiles").childElementCount > 0;
  at("nothing").textContent = surest && known?.learnt ? say("noneSure", { label: surest }) : say("notYet");
  markGuess(one ? guess ?? null : null, image?.sure ?? null, image?.label ?? null);
  at("note").hidden = mode === "camera" || !image || (!image.label && !image.random);
  if (image?.label) at("note").textContent = say("labelledAs", { label: image.label, instead: image.instead });
  else if (image?.random) at("note").textContent = say("atRandom");
  at("waiting").hidden = !one || image !== null;
  at("waiting").textContent = waiting();
  document.querySelectorAll("#modes input").forEach((input) => { input.checked = input.value === mode; });
};

const waiting = () => {
  if (mode === "doubted") return say(known?.learnt ? "noDoubts" : "notYet");
  return say(known && known.labelled >= known.images - known.unreadable && known.images ? "done" : "waiting");
};

/** Show the first of the queue, and fetch those after it. */
const show = async () => {
  arrange();
  const image = current();
  queue.slice(1, 1 + AHEAD).forEach(({ image: name }) => fetchImage(name).catch(() => {}));
  try {
    await showImage(mode === "camera" || !image ? null : image.image);
  } catch (error) {
    if (image !== current()) return;
    if (error.key !== "unreadable") { showTrouble(error, show); return; }
    queue.shift(); // the server has left it out by now, or will
    await show();
  }
};

/** Take in what the server says; what is on show, and the one after it, stay where they are. */
const take = (record) => {
  known = record;
  showProgress(known);
  showClasses(known.classes, hear);
  const doubted = [...document.querySelectorAll("#modes input")].find((input) => input.value === "doubted");
  if (doubted) doubted.nextSibling.textContent = known.doubted ? `${say("doubted")} ${count(known.doubted)}` : say("doubted");
  if (mode === "one") {
    const fresh = new Map(known.next.map((one) => [one.image, one]));
    const staying = queue.slice(0, 2).filter(({ image }) => !given.has(image) && !known.taken.includes(image));
    const first = staying.map((one) => ({ ...one, ...fresh.get(one.image) }));
    const shown = new Set(staying.map(({ image }) => image));
    queue = [...first, ...known.next.filter(({ image }) => !shown.has(image) && !given.has(image))];
    show();
  } else arrange();
};

const look = async () => {
  try {
    take(await ask(here("v1/teaching"), { seconds: 15 }));
    if (at("trouble").dataset.lost) { clearTrouble(); delete at("trouble").dataset.lost; }
  } catch (error) {
    if (!known || !["busy", "slow"].includes(error.key)) {
      at("trouble").dataset.lost = error.key;
      showTrouble(error, look);
    }
  }
};

const watch = async () => {
  while (true) {
    await new Promise((resolve) => { setTimeout(resolve, POLL); });
    if (!document.hidden && at("trouble").dataset.lost !== "locked") await look();
  }
};

/** Send answers, one after another; where they cannot be kept, `back` shows their images again. */
const send = (answers, accepted, back) => {
  const names = Object.keys(answers);
  names.forEach((name) => given.add(name));
  sending = sending.then(async () => {
    try {
      const record = await ask(here("v1/answers"), { method: "POST", body: { labels: answers, accepted } });
      names.filter((name) => !answers[name]).forEach((name) => given.delete(name));
      take(record);
    } catch (error) {
      names.forEach((name) => given.delete(name));
      back();
      showTrouble(error);
    }
  });
  return sending;
};

/** Answer for the image on show; an empty label puts it off. */
const answer = (label, accepted = false) => {
  const image = queue.shift();
  if (!image) return;
  clearTrouble();
  announce(label || say("later"));
  show();
  const mends = mode !== "doubted" || (label && label !== image.label);
  if (mends) send({ [image.image]: label }, accepted, () => { queue.unshift(image); show(); });
  else kept.add(image.image);
  if (mode === "doubted" && !queue.length) sending.then(doubt);
};

const answerAll = (label, accepted) => {
  const names = tiles.chosen;
  if (!names.length) return;
  clearTrouble();
  announce(say("acceptAll", { count: count(names.length), label }));
  send(Object.fromEntries(names.map((name) => [name, label])), accepted, () => {}).then(refill);
};

const refill = async () => {
  if (mode !== "many") return;
  try {
    if (like !== null) await tiles.show("like", like);
    else {
      surest = labels().includes(surest) ? surest : labels()[0] ?? null;
      offerClasses(labels(), surest, (label) => { surest = label; refill(); });
      await tiles.show("sure", surest);
    }
  } catch (error) { showTrouble(error, refill); }
};

const accept = () => {
  if (at("accept").hidden) return;
  if (mode === "many") answerAll(surest, true);
  else answer(mode === "doubted" ? current().instead : current().guess, true);
};

const undo = async () => {
  await sending;
  try {
    const record = await ask(here("v1/undo"), { method: "POST" });
    announce(say(record.undone.length ? "undone" : "nothingToUndo"));
    record.undone.forEach(({ image }) => [given, kept].forEach((names) => names.delete(image)));
    if (mode === "one") queue = [...record.undone, ...queue.filter(({ image }) => !record.undone.some((one) => one.image === image))];
    take(record);
    if (mode === "many") refill();
    if (mode === "doubted") doubt();
  } catch (error) { showTrouble(error, undo); }
};

/** Name a class, and say that the image on show is one. */
const name = async (label, old = null) => {
  try {
    take(await ask(here("v1/classes"), { method: "POST", body: { name: label, old } }));
    return labels().find((one) => one.normalize() === label.normalize().trim().replace(/\s+/g, " ")) ?? null;
  } catch (error) {
    showTrouble(error);
    return null;
  }
};

const hear = {
  give: (label) => {
    if (mode === "many") answerAll(label, false);
    else if (mode !== "camera") answer(label);
  },
  rename: (label, to) => name(to, label),
  hold: (label) => {
    if (mode === "camera") filming.hold(label);
    return mode === "camera";
  },
  release: () => filming.release(),
};

const doubt = async () => {
  try {
    const found = await ask("v1/doubted");
    if (mode !== "doubted") return;
    queue = found.filter(({ image }) => !kept.has(image));
    await show();
  } catch (error) { showTrouble(error, doubt); }
};

const enter = (chosen) => {
  if (mode === "camera" && chosen !== "camera") filming.stop();
  mode = chosen;
  like = null;
  queue = [];
  clearTrouble();
  if (mode === "many") { arrange(); refill(); }
  else if (mode === "doubted") doubt();
  else if (mode === "camera") { show(); filming.start(() => labels().length); }
  else look();
};

const add = async (files) => {
  let number = 0;
  for (const file of files) {
    try {
      const query = { name: file.name || "image", label: "" };
      await ask(here("v1/images", query), { method: "POST", body: file, seconds: 120 });
      number += 1;
      announce(say("added", { count: count(number) }));
    } catch (error) { showTrouble(error); }
  }
  look();
};

const offerModes = () => {
  MODES.forEach((one) => {
    const label = document.createElement("label"), input = document.createElement("input"), text = document.createElement("span");
    Object.assign(input, { type: "radio", name: "mode", value: one, checked: one === mode, autocomplete: "off" });
    text.textContent = say(one);
    input.addEventListener("change", () => enter(one));
    label.append(input, text);
    at("modes").append(label);
  });
};

/** Keys, wherever the focus is not in a field: a class's own key, and those that the page names. */
const press = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=radio]), select, textarea")) return;
  const label = classOf(event.key);
  const actions = { Backspace: undo, "/": () => at("name").focus() };
  if (mode !== "many" && mode !== "camera" && !event.target.matches("input")) actions.ArrowRight = () => answer("");
  if (!event.target.matches("button")) actions.Enter = accept;
  const action = label === null ? actions[event.key] : mode === "camera" ? () => hear.hold(label) : () => hear.give(label);
  if (!action || (event.repeat && event.key !== "Backspace")) return;
  event.preventDefault();
  action();
};

const listen = () => {
  addEventListener("keydown", press);
  addEventListener("keyup", (event) => { if (classOf(event.key) !== null) hear.release(); });
  at("accept").addEventListener("click", (event) => { if (event.detail) at("accept").blur(); accept(); });
  at("undo").addEventListener("click", undo);
  at("later").addEventListener("click", () => answer(""));
  at("turn").addEventListener("click", () => filming.turn(() => labels().length));
  at("language").addEventListener("click", () => speak(language === "ko" ? "en" : "ko"));
  at("like").addEventListener("click", () => {
    const { image } = current();
    enter("many");
    like = image;
    offerBack(image, () => enter("one"));
    refill();
  });
  at("other").addEventListener("submit", async (event) => {
    event.preventDefault();
    const written = at("name").value.trim();
    if (!written) return;
    at("name").value = "";
    at("name").blur();
    clearTrouble();
    const label = await name(written);
    if (label !== null) hear.give(label);
  });
  at("name").addEventListener("keydown", (event) => { if (event.key === "Escape") at("name").blur(); });
  at("train").addEventListener("click", async () => {
    try {
      take(await ask(here("v1/training"), { method: known.training.running ? "DELETE" : "POST" }));
    } catch (error) { showTrouble(error); }
  });
  at("add").addEventListener("click", () => at("files").click());
  at("files").addEventListener("change", (event) => { add([...event.target.files]); event.target.value = ""; });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    const files = [...event.dataTransfer.files];
    if (files.length) add(files);
    else showTrouble(new Trouble("nopicture"));
  });
};

const start = async () => {
  fillIn();
  at("undo").textContent = say("undo");
  at("later").textContent = say("later");
  offerModes();
  arrange();
  listen();
  await look();
  watch();
};

start();
