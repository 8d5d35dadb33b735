// What a classifier says: the likeliest class in large, and a bar for each of the first five.

import { calm } from "./attention.js";
import { finePercent, percent, say } from "./say.js";

const SHOWN = 5;
const HALF = 600; // milliseconds after which a frame of the camera counts half
const SURE = 0.5; // below it the page says "perhaps"
const AHEAD = 0.02; // a class overtakes another on the moving page only by this much

/** Return name and share of classes, likeliest first: of an object, names that are numbers come first. */
export const ranked = (classes) => Object.entries(classes).sort(([, one], [, other]) => other - one);

/**
 * The moving average of what the camera's frames were said to show.
 *
 * It is exponential in time, not in frames, so that a slow machine and a fast one tell alike. A server names
 * the likeliest classes only; the others share what is left.
 */
export class Smoothed {
  #shares = new Map(); #order = []; #last = null; #rest = 0; #count;

  constructor(count) { this.#count = count; }

  /** Take in a frame's classes, a time in milliseconds; return name and share of all known, likeliest first. */
  add(classes, now) {
    const weight = this.#last === null ? 1 : 1 - 0.5 ** ((now - this.#last) / HALF);
    this.#last = now;
    const named = ranked(classes);
    const left = Math.max(0, 1 - named.reduce((sum, [, share]) => sum + share, 0));
    const others = left / Math.max(1, this.#count - named.length);
    named.forEach(([name]) => {
      if (!this.#shares.has(name)) { this.#shares.set(name, this.#rest); this.#order.push(name); }
    });
    this.#rest += weight * (others - this.#rest);
    this.#shares.forEach((share, name) => this.#shares.set(name, share + weight * ((classes[name] ?? others) - share)));
    for (let i = 1; i < this.#order.length; i += 1) { // so that near equals do not change places at every frame
      for (let j = i; j > 0 && this.#of(j) > this.#of(j - 1) + AHEAD; j -= 1) {
        [this.#order[j - 1], this.#order[j]] = [this.#order[j], this.#order[j - 1]];
      }
    }
    return this.#order.map((name) => [name, this.#shares.get(name)]);
  }

  #of(place) { return this.#shares.get(this.#order[place]); }
}

/** The bars. They grow and change places smoothly. */
export class Bars {
  #headline = document.createElement("p"); #list = document.createElement("ol"); #rows = new Map();

  constructor(place) {
    this.#headline.className = "headline";
    this.#list.className = "classes";
    place.replaceChildren(this.#headline, this.#list);
  }

  /** Show name and share of classes, likeliest first; `moving` writes whole per cent. */
  show(classes, { moving = false } = {}) {
    const [label, share] = classes[0];
    const said = share < SURE ? say("perhaps", { label }) : label;
    if (this.#headline.textContent !== said) this.#headline.textContent = said;
    this.#headline.classList.toggle("unsure", share < SURE);
    const before = new Map([...this.#rows].map(([name, row]) => [name, row.offsetTop]));
    const rows = classes.slice(0, SHOWN).map(([name, value]) => {
      const row = this.#rows.get(name) ?? rowOf(name);
      row.querySelector(".figure").textContent = moving ? percent(value) : finePercent(value);
      return [name, row, value];
    });
    this.#rows = new Map(rows.map(([name, row]) => [name, row]));
    const elements = rows.map(([, row]) => row);
    if (elements.some((row, i) => this.#list.children[i] !== row) || this.#list.children.length !== elements.length) {
      this.#list.replaceChildren(...elements);
    }
    void this.#list.offsetHeight; // new bars start from nothing
    rows.forEach(([name, row, value]) => {
      row.style.setProperty("--share", value);
      const moved = before.has(name) ? before.get(name) - row.offsetTop : 0;
      if (moved && !calm.matches) row.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }], { duration: 260, easing: "ease-out" });
    });
  }
}

const rowOf = (name) => {
  const row = document.createElement("li");
  const text = document.createElement("span"), figure = document.createElement("span"), bar = document.createElement("i");
  [text.className, figure.className, bar.className] = ["text", "figure", "bar"];
  text.textContent = name;
  row.append(text, figure, bar);
  return row;
};
