// A caption, told word by word, and walked by pointer, finger or keys.

import { calm, hottestArea, peakOf } from "./attention.js";
import { clearLook, look, showSeen } from "./stage.js";
import { percent, roughPercent, say, sayArea } from "./say.js";

const TELL = 420, PLAY = 800; // milliseconds a word: as it is told first, and as it is played again
const TELLING = 5000; // milliseconds in which even a long caption is told
const WHOLE = [0, 0, 1, 1];

const element = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

/**
 * Tell a captioner's record in `place`; returns what takes it back.
 *
 * Until somebody touches it, word after word appears while the picture shows where the model looked.
 */
export const tellCaption = (record, model, place) => {
  if (!record.words.length) {
    place.replaceChildren(element("p", "caption nothing", record.caption || say("nothing")), ...leaned(record, model), ...beams(record, model));
    return () => place.replaceChildren();
  }
  const play = document.getElementById("play");
  const box = record.seen ?? WHOLE;
  const peak = peakOf(record.words.map((word) => word.attention));
  const caption = element("div", "caption");
  const words = record.words.map((word, i) => wordOf(word, i, box));
  caption.append(...words);
  const attributes = { role: "listbox", "aria-orientation": "horizontal", tabindex: 0, "aria-describedby": "hint" };
  Object.entries(attributes).forEach(([name, value]) => caption.setAttribute(name, value));
  caption.setAttribute("aria-label", `${say("caption")}: ${record.caption}`);
  caption.lang = model.language || "";
  const hint = element("p", "hint", say("hint"));
  hint.id = "hint";
  place.replaceChildren(caption, hint, ...leaned(record, model), ...beams(record, model));
  showSeen(box);

  let kept = -1; // the word that stays when the pointer has gone
  let timer = 0; // the clock while playing

  const show = (index) => {
    words.forEach((word, i) => word.setAttribute("aria-selected", String(i === index)));
    if (index < 0) {
      caption.removeAttribute("aria-activedescendant");
      clearLook();
      return;
    }
    caption.setAttribute("aria-activedescendant", words[index].id);
    const { word, probability, attention } = record.words[index];
    look(attention, peak, word, percent(probability));
  };
  const keep = (index) => { kept = index; show(index); };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.classList.remove("playing");
    caption.classList.remove("telling");
  };
  const start = (milliseconds) => {
    const step = (index) => {
      if (index === words.length) { stop(); keep(-1); return; }
      words[index].classList.add("told");
      keep(index);
    };
    play.classList.add("playing");
    step(0);
    timer = setInterval(() => step(kept + 1), milliseconds);
  };

  words.forEach((word, index) => {
    word.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "mouse" || play.classList.contains("playing")) return;
      show(index);
    });
    word.addEventListener("click", () => {
      const wasPlaying = timer !== 0;
      stop();
      keep(kept === index && !wasPlaying ? -1 : index);
    });
  });
  caption.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse" && !timer) show(kept); });
  caption.addEventListener("focus", () => { if (kept < 0 && caption.matches(":focus-visible")) keep(0); });
  caption.addEventListener("blur", (event) => {
    const switches = document.querySelector(".switches"); // whoever goes there wants to see it otherwise
    if (!timer && !switches.contains(event.relatedTarget) && !switches.matches(":hover")) keep(-1);
  });
  const walk = (event) => {
    const inside = document.activeElement === caption;
    if (!inside && document.activeElement !== document.body) return;
    const last = words.length - 1;
    const target = {
      ArrowRight: Math.min(last, kept + 1), ArrowDown: inside ? Math.min(last, kept + 1) : undefined,
      ArrowLeft: Math.max(0, kept - 1), ArrowUp: inside ? Math.max(0, kept - 1) : undefined,
      Home: inside ? 0 : undefined, End: inside ? last : undefined, Escape: -1,
    }[event.key];
    if (target === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    stop();
    keep(target);
    if (target >= 0) caption.focus({ preventScroll: true });
  };
  document.addEventListener("keydown", walk);
  play.hidden = false;
  play.onclick = () => {
    if (timer) { stop(); keep(-1); } else start(PLAY);
  };
  if (!calm.matches) {
    caption.classList.add("telling");
    start(Math.min(TELL, TELLING / words.length));
  }
  return () => {
    stop();
    clearLook();
    document.removeEventListener("keydown", walk);
    play.hidden = true;
    place.replaceChildren();
  };
};

const wordOf = (word, i, box) => {
  const made = element("span", "word", word.word);
  const [row, column] = hottestArea(word.attention, box);
  made.id = `word-${i}`;
  made.setAttribute("role", "option");
  made.setAttribute("aria-selected", "false");
  made.setAttribute("aria-label", `${word.word}, ${say("sure", { percent: percent(word.probability), area: sayArea(row, column) })}`);
  made.style.setProperty("--sure", word.probability);
  return made;
};

// The sentences that the search weighed, with the probability of each as a whole.
const beams = (record, model) => {
  if (!record.others?.length) return [];
  const [chosen, ...others] = [record, ...record.others].map(({ caption, log_probability }) => ({ caption, share: Math.exp(log_probability) }));
  const all = [chosen, ...others.sort((a, b) => b.share - a.share)];
  const most = Math.max(...all.map(({ share }) => share));
  const list = element("ol", "beams");
  list.append(...all.map(({ caption, share }, i) => {
    const row = element("li", i === 0 ? "chosen" : "");
    const text = element("span", "text", caption || "–");
    text.lang = model.language || "";
    row.style.setProperty("--share", most ? share / most : 0);
    row.append(text, element("span", "figure", roughPercent(share)), element("i", "bar"));
    return row;
  }));
  return [element("h2", "", say("weighed")), list];
};

// The training images that a memory chose the caption by, with what people wrote of them.
const leaned = (record, model) => {
  if (!record.neighbours?.length) return [];
  const list = element("ol", "leaned");
  list.append(...record.neighbours.map(({ image, captions }) => {
    const row = element("li");
    const text = element("span", "text", captions[0]);
    text.lang = model.language || "";
    row.append(text, element("span", "figure", image));
    return row;
  }));
  return [element("h2", "", say("leaned")), list];
};
