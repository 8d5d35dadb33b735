// The page: what is chosen, what is shown, who is asked.

import { offerAlike } from "./alike.js";
import { fetchModels, predict, Trouble } from "./api.js";
import { calm } from "./attention.js";
import { Camera } from "./camera.js";
import { tellCaption } from "./caption.js";
import { Bars, ranked, Smoothed } from "./classes.js";
import { offerCorrection } from "./correct.js";
import { announce, clearTrouble, showTrouble } from "./notices.js";
import { pictureIn, prepare } from "./pictures.js";
import { clearLook, look, showPicture, showSeen, think } from "./stage.js";
import { count, fillIn, finePercent, percent, say } from "./say.js";

const GLANCE = 1900; // milliseconds for which a class first shows where the model looked
const SETTLED = 1500; // milliseconds a class of the camera holds before a screen reader says it
const AFTER_TROUBLE = 1500; // milliseconds until a live frame is tried again

const at = (id) => document.getElementById(id);
const touch = matchMedia("(pointer: coarse)");

let model = null; // the one that is asked
let picture = null; // the one that is shown, made ready
let asking = null; // the AbortController of the question under way
let live = null; // the run of live frames under way
let takeBack = () => {}; // removes the answer that is shown
let turnable = false; // there is another camera

const camera = new Camera(() => {
  clear();
  live = null;
  camera.stop();
  arrange();
  showTrouble(new Trouble("absent"));
});

const isClassifier = () => model?.kind === "classifier";
const classCount = () => (Array.isArray(model.classes) ? model.classes.length : model.classes);

/** Show the controls that the moment calls for. */
const arrange = () => {
  const filming = camera.open, empty = !filming && !picture;
  document.body.dataset.state = filming ? "camera" : empty ? "empty" : "picture";
  at("choose").textContent = say(empty ? "choose" : "another");
  at("take").hidden = filming || !touch.matches;
  at("camera").hidden = filming || (touch.matches && !isClassifier());
  at("stop").hidden = !filming;
  at("turn").hidden = !filming || !turnable;
  at("shutter").hidden = !filming || isClassifier();
  at("look-label").hidden = empty || !isClassifier();
  at("cells-label").hidden = empty || (filming && !isClassifier());
  at("rate").hidden = !live;
  at("drop").textContent = say(touch.matches ? "dropTouch" : "drop");
};

const clear = () => {
  asking?.abort();
  asking = null;
  think(false);
  takeBack();
  takeBack = () => {};
  clearTrouble();
};

const tell = (record) => {
  const place = at("said");
  if (!isClassifier()) {
    takeBack = tellCaption(record, model, place);
    announce(record.caption || say("nothing"));
    return;
  }
  const classes = ranked(record.classes);
  new Bars(place).show(classes);
  announce(say("heard", { label: record.class, percent: finePercent(classes[0][1]) }));
  showSeen(record.seen ?? [0, 0, 1, 1]);
  const show = () => {
    if (at("look").checked && record.grad_cam) look(record.grad_cam.cells, 1, record.grad_cam.label);
    else clearLook();
  };
  at("look").onchange = () => { clearTimeout(glance); show(); };
  let glance = 0;
  if (record.grad_cam && !calm.matches && !at("look").checked) {
    look(record.grad_cam.cells, 1, record.grad_cam.label);
    glance = setTimeout(show, GLANCE);
  } else show();
  takeBack = () => {
    clearTimeout(glance);
    at("look").onchange = null;
    clearLook();
    place.replaceChildren();
  };
};

/** Ask the model about the picture on show. */
const ask = async () => {
  clear();
  const question = (asking = new AbortController());
  think(true);
  announce(say("looking"));
  try {
    const record = await predict(model.name, picture.blob, { explain: true, signal: question.signal });
    if (asking !== question) return;
    tell(record);
    if (model.alike) offerAlike(at("said"), model, picture);
    if (model.corrects) offerCorrection(at("said"), record, model, picture);
  } catch (error) {
    if (asking === question) showTrouble(error, ask);
  } finally {
    if (asking === question) think(false);
  }
};

/** Take a picture that somebody gave, show it and ask about it. */
const accept = async (file) => {
  clear();
  live = null;
  if (!model) return;
  const question = (asking = new AbortController());
  const ready = await prepare(file);
  if (asking !== question) return; // another one came meanwhile
  camera.stop();
  picture = ready;
  showPicture(picture);
  arrange();
  await ask();
};

const refuse = () => showTrouble(new Trouble("nopicture"));

const watch = async () => {
  const run = (live = {});
  const bars = new Bars(at("said")), smoothed = new Smoothed(classCount());
  takeBack = () => { clearLook(); at("said").replaceChildren(); };
  let heard = "", leading = "", since = 0;
  arrange();
  const asked = async (blob, rate) => {
    try {
      const record = await predict(model.name, blob, { explain: at("look").checked, seconds: 15 });
      if (live !== run) return;
      clearTrouble();
      const now = performance.now();
      const classes = smoothed.add(record.classes, now);
      bars.show(classes, { moving: true });
      showSeen(record.seen ?? [0, 0, 1, 1]);
      if (at("look").checked && record.grad_cam) look(record.grad_cam.cells, 1, record.grad_cam.label);
      else clearLook();
      if (rate) at("rate").textContent = say("rate", { rate: count(rate < 9.5 ? Math.round(10 * rate) / 10 : Math.round(rate)) });
      const [label, share] = classes[0];
      if (label !== leading) [leading, since] = [label, now];
      if (label !== heard && now - since > SETTLED) {
        heard = label;
        announce(say("heard", { label, percent: percent(share) }));
      }
    } catch (error) {
      if (live !== run) return;
      showTrouble(error);
      await new Promise((resolve) => { setTimeout(resolve, AFTER_TROUBLE); });
    }
  };
  await camera.watch(asked, () => live === run);
};

const film = async (open) => {
  live = null;
  clearTrouble();
  at("rate").textContent = "";
  try {
    await open();
    clear();
    picture = null;
    turnable = await camera.hasOthers();
    arrange();
    if (isClassifier()) {
      at("stop").focus();
      await watch();
    } else at("shutter").focus();
  } catch (error) {
    if (!picture) clear();
    arrange();
    showTrouble(error, () => film(open));
  }
};

const photograph = async () => accept(await camera.photograph());

const stopFilm = async () => {
  if (live) { await photograph(); return; } // the last frame stays, to be looked at in peace
  clear();
  camera.stop();
  arrange();
};

const choose = (chosen) => {
  model = chosen;
  const kind = isClassifier() ? "Classifier" : "Captioner";
  const size = count(isClassifier() ? classCount() : model.vocab_size);
  at("about").textContent = say(`about${kind}`, { backbone: model.backbone, count: size });
  at("lead").textContent = say(`lead${kind}`, { count: size });
  arrange();
  if (camera.open) {
    clear();
    live = null;
    arrange();
    if (isClassifier()) watch();
  } else if (picture) ask();
};

const offer = (models) => {
  const group = at("models");
  models.forEach((offered, i) => {
    const label = document.createElement("label"), input = document.createElement("input"), name = document.createElement("span");
    Object.assign(input, { type: "radio", name: "model", value: offered.name, checked: i === 0, autocomplete: "off" });
    name.textContent = offered.name;
    input.addEventListener("change", () => choose(offered));
    label.append(input, name);
    group.append(label);
  });
  group.hidden = models.length < 2;
};

const start = async () => {
  fillIn();
  arrange();
  try {
    const models = await fetchModels();
    offer(models);
    choose(models[0]);
  } catch (error) {
    showTrouble(error, start);
  }
};

const listen = () => {
  at("choose").addEventListener("click", () => at("file").click());
  at("take").addEventListener("click", () => at("capture").click());
  at("stage").addEventListener("click", () => { if (document.body.dataset.state === "empty") at("file").click(); });
  ["file", "capture"].forEach((id) => at(id).addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = ""; // so that the same file can be chosen again
    if (file) accept(file);
  }));
  at("camera").addEventListener("click", () => film(() => camera.start()));
  at("turn").addEventListener("click", () => film(() => camera.turn()));
  at("stop").addEventListener("click", stopFilm);
  at("shutter").addEventListener("click", photograph);
  document.addEventListener("paste", (event) => {
    const file = pictureIn(event.clipboardData);
    if (file) { event.preventDefault(); accept(file); }
  });
  const dragging = (on) => (event) => {
    event.preventDefault();
    if (on || !event.relatedTarget) document.body.classList.toggle("dragging", on);
  };
  addEventListener("dragenter", dragging(true));
  addEventListener("dragover", dragging(true));
  addEventListener("dragleave", dragging(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    const file = pictureIn(event.dataTransfer);
    if (file) accept(file);
    else refuse();
  });
  touch.addEventListener("change", arrange);
};

listen();
start();
