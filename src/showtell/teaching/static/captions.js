// The page of captions: an image, a line to write on, and what may come next in it.

import "./captions_words.js";
import { ask, Trouble } from "./api.js";
import { announce, clearTrouble, showTrouble } from "./notices.js";
import { count, fillIn, language, say, speak } from "./say.js";
import { fetchImage, showImage } from "./stage.js";
import { showTraining } from "./training.js";

const POLL = 2000; // milliseconds between two looks at how far learning is
const AHEAD = 3; // images fetched before they are shown

const at = (id) => document.getElementById(id);
const tab = crypto.randomUUID?.() ?? String(Math.random());
const here = (address) => `${address}?${new URLSearchParams({ tab })}`;
const text = at("text");

let known = null; // what the server said last
let image = null; // the one on show
let later = new Set(); // images that were put off
let old = null; // the caption that is being edited
let offered = { words: [], sentence: "" }; // what may come next
let hidden = false; // whether it was hidden, so that Tab leaves the line
let asking = null; // the question under way, to be given up for the next one
let busy = false; // a caption is on its way
let sent = 0; // how many were: what was asked before one of them is out of date

/** Show what may come next: the first word behind the caret, the others below. */
const showOffers = () => {
  const words = hidden ? [] : offered.words, [first] = words;
  at("offers").replaceChildren(...words.map(({ text: whole }, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.tabIndex = -1;
    button.textContent = whole.slice(whole.slice(0, -1).lastIndexOf(" ") + 1);
    if (!place) button.append(key("Tab"));
    button.addEventListener("click", () => take(whole, true));
    return button;
  }));
  const sentence = hidden ? "" : offered.sentence;
  at("sentence").hidden = !sentence;
  at("sentence").replaceChildren(sentence, key("Shift Tab"));
  const more = document.createElement("i");
  const follows = first?.text.toLowerCase().startsWith(text.value.toLowerCase()) && text.selectionStart === text.value.length;
  more.textContent = follows ? first.text.slice(text.value.length) : "";
  at("ghost").replaceChildren(text.value, more);
};

const key = (name) => {
  const element = document.createElement("kbd");
  element.textContent = name;
  return element;
};

/** Put a text in the place of what was typed. */
const take = (whole, more) => {
  text.value = more ? `${whole} ` : whole;
  text.focus();
  text.setSelectionRange(text.value.length, text.value.length);
  suggest();
};

const suggest = async () => {
  asking?.abort();
  const mine = asking = new AbortController(), typed = text.value;
  offered = { words: [], sentence: "" };
  showOffers();
  if (!image) return;
  try {
    const found = await ask("v1/captions/suggest", { method: "POST", body: { image, text: typed }, signal: mine.signal });
    if (mine.signal.aborted || text.value !== typed) return;
    offered = found;
    showOffers();
  } catch (error) {
    if (!mine.signal.aborted) showTrouble(error, suggest);
  }
};

/** Show the captions that an image has. */
const showWritten = (captions) => {
  at("written").replaceChildren(...captions.map((one) => {
    const row = document.createElement("li"), said = document.createElement("span");
    said.textContent = one.text;
    row.append(said);
    row.classList.toggle("machine", one.who === "machine");
    if (one.who !== "person") {
      const who = document.createElement("small");
      who.textContent = say(one.who === "machine" ? "byMachine" : "accepted");
      row.append(who);
    }
    const act = (name, action) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = say(name);
      button.addEventListener("click", action);
      row.append(button);
    };
    if (one.who === "machine") act("accept2", () => send("v1/captions", { image, text: one.text, old: one }, "accepted"));
    act("edit", () => { old = one; take(one.text, false); });
    act("remove", () => send("v1/captions/remove", { image, old: one }, "removedOne"));
    return row;
  }));
};

/** Take in what the server says. */
const show = (record) => {
  known = record;
  at("folder").textContent = known.folder;
  at("kept").textContent = say("keptCaptions", { folder: known.folder });
  at("count").textContent = say("captioned", { captioned: count(known.captioned), images: count(known.images), written: count(known.written) });
  at("track").style.setProperty("--share", known.images ? known.captioned / known.images : 0);
  const left = known.first - known.written;
  const parts = known.learnt ? [say("hasLearnt", { learnt: count(known.learnt) })] : left > 0 ? [say("learns", { first: known.first, left: count(left) })] : [say("learning")];
  if (known.machine) parts.push(say("machineLeft", { count: count(known.machine) }));
  if (known.trouble) parts.push(known.trouble);
  at("learnt").textContent = parts.join(" · ");
  at("odd").hidden = !known.slips.length;
  at("slips").replaceChildren(...known.slips.map((slip) => {
    const row = document.createElement("li"), look = document.createElement("button");
    row.textContent = say("slip", { ...slip, times: count(slip.times) });
    look.type = "button";
    look.textContent = say("look");
    look.addEventListener("click", () => enter(slip.image));
    row.append(" ", look);
    return row;
  }));
  at("train").disabled = known.written < 4;
  showTraining(known.training, "trainCaptioner");
  showWritten(known.captions);
};

const look = async () => {
  const before = sent, mine = image;
  try {
    const found = await ask(`v1/captions?${new URLSearchParams({ image: mine ?? "" })}`, { seconds: 15 });
    if (before !== sent || mine !== image) return;
    show(found);
    if (!image) next();
  } catch (error) { showTrouble(error, look); }
};

const watch = async () => {
  while (true) {
    await new Promise((resolve) => { setTimeout(resolve, POLL); });
    if (!document.hidden && !busy && !at("trouble").childElementCount) await look();
  }
};

/** Show another image, with an empty line. */
const enter = async (name) => {
  image = name;
  old = null;
  hidden = false;
  text.value = "";
  at("waiting").hidden = image !== null;
  at("waiting").textContent = known && known.captioned === known.images && known.images ? say("allCaptioned") : say("waiting");
  known?.next.filter((one) => one !== name).slice(0, AHEAD).forEach((one) => fetchImage(one).catch(() => {}));
  suggest();
  try {
    await showImage(image);
  } catch (error) {
    if (error.key === "unreadable" && image === name) { later.add(name); next(); } else showTrouble(error);
  }
  if (image === name && name !== null) await look();
};

const next = () => {
  const waiting = known.next.filter((one) => one !== image);
  const fresh = waiting.find((one) => !later.has(one)) ?? waiting[0] ?? null;
  if (fresh !== null || image !== null) enter(fresh);
};

const send = async (address, body, said) => {
  if (busy) return false;
  busy = at("written").inert = true; // its rows are about to be others
  sent += 1;
  clearTrouble();
  try {
    show(await ask(here(address), { method: "POST", body }));
    announce(say(said));
    return true;
  } catch (error) {
    showTrouble(error);
    return false;
  } finally { busy = at("written").inert = false; }
};

/** Keep what was written; go on to the next image, or stay for another caption. */
const keep = async (stay) => {
  if (!image) return;
  if (!text.value.trim()) {
    if (!stay && known.captions.some((one) => one.who !== "machine")) next();
    else announce(say("needsWords"));
    return;
  }
  const written = text.value;
  if (!await send("v1/captions", { image, text: written, old }, "keptOne")) return; // what was written stays
  old = null;
  text.value = stay && text.value.startsWith(written) ? text.value.slice(written.length) : ""; // typed meanwhile
  if (stay) suggest(); else next();
  text.focus();
};

const undo = async () => {
  try {
    const record = await ask(here("v1/captions/undo"), { method: "POST" });
    announce(say(record.undone ? "undone" : "nothingToUndo"));
    show(record);
    if (record.undone) enter(record.undone);
  } catch (error) { showTrouble(error, undo); }
};

const press = (event) => {
  if (event.isComposing) return; // the keys are the input method's
  const word = offered.words[0]?.text, { sentence } = offered;
  if (event.key === "Tab" && !hidden && (event.shiftKey ? sentence : word)) {
    event.preventDefault();
    take(event.shiftKey ? sentence : word, !event.shiftKey);
  } else if (event.key === "Enter") {
    event.preventDefault();
    keep(event.ctrlKey || event.metaKey);
  } else if (event.key === "Escape") {
    hidden = true;
    showOffers();
  }
};

const start = () => {
  fillIn();
  text.addEventListener("keydown", press);
  text.addEventListener("input", () => { hidden = false; suggest(); });
  text.addEventListener("scroll", () => { at("ghost").scrollTop = text.scrollTop; });
  at("sentence").addEventListener("click", () => take(offered.sentence, false));
  at("line").addEventListener("submit", (event) => { event.preventDefault(); keep(false); });
  at("more").addEventListener("click", () => keep(true));
  at("undo").addEventListener("click", undo);
  at("later").addEventListener("click", () => { if (image) later.add(image); next(); });
  at("language").addEventListener("click", () => speak(language === "ko" ? "en" : "ko"));
  at("train").addEventListener("click", async () => {
    try {
      show(await ask("v1/captions/training", { method: known.training.running ? "DELETE" : "POST" }));
    } catch (error) { showTrouble(error instanceof Trouble ? error : new Trouble("broken", String(error))); }
  });
  look().then(() => text.focus());
  watch();
};

start();
