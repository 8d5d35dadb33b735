// Many images at once: those surest to be of a class, of which pressed ones are left out; or those most like one
// image, of which pressed ones are chosen.

import { ask } from "./api.js";
import { say } from "./say.js";
import { fetchImage } from "./stage.js";

const SHOWN = 24;

const at = (id) => document.getElementById(id);

/** The grid; `changed` is called whenever other images are chosen. */
export class Tiles {
  #names = []; #out = new Set(); #changed; #asked = 0;

  constructor(changed) {
    this.#changed = changed;
    at("tiles").addEventListener("keydown", (event) => this.#move(event));
  }

  /** The images that are accepted. */
  get chosen() { return this.#names.filter((name) => !this.#out.has(name)); }

  /** Fetch and show: `what` is sure or like, `of` the class or the image. */
  async show(what, of) {
    const question = (this.#asked += 1);
    const found = of === null ? [] : await ask(`v1/alike?what=${what}&of=${encodeURIComponent(of)}&count=${SHOWN}`);
    if (question !== this.#asked) return; // another question came meanwhile
    this.#names = found.map(({ image }) => image);
    this.#out = new Set(what === "like" ? this.#names : []); // that they are alike says less than that they are sure
    at("tiles").classList.toggle("picking", what === "like");
    at("tiles").replaceChildren(...this.#names.map((name) => this.#tileOf(name)));
    this.#changed();
  }

  #tileOf(name) {
    const tile = document.createElement("button"), picture = document.createElement("img");
    tile.type = "button";
    tile.ariaPressed = String(!this.#out.has(name));
    tile.title = name;
    picture.alt = name;
    fetchImage(name, 256).then((url) => { picture.src = url; }, () => tile.classList.add("broken"));
    tile.append(picture);
    tile.addEventListener("click", () => {
      const out = !this.#out.delete(name);
      if (out) this.#out.add(name);
      tile.ariaPressed = String(!out);
      this.#changed();
    });
    return tile;
  }

  /** Arrow keys move between images. */
  #move(event) {
    const tiles = [...at("tiles").children], i = tiles.indexOf(document.activeElement);
    const columns = getComputedStyle(at("tiles")).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (!step || i < 0) return;
    event.preventDefault();
    tiles[i + step]?.focus();
  }
}

/** Offer the classes to choose from; `choose(label)` hears which. */
export const offerClasses = (classes, chosen, choose) => {
  const label = document.createElement("label"), list = document.createElement("select");
  list.append(...classes.map((name) => new Option(name, name, false, name === chosen)));
  list.addEventListener("change", () => choose(list.value));
  label.append(say("surest"), list);
  at("which").replaceChildren(label);
};

/** Say which image the others are like; `back()` hears when it was enough. */
export const offerBack = async (name, back) => {
  const picture = document.createElement("img"), said = document.createElement("span"), button = document.createElement("button");
  picture.alt = name;
  said.textContent = say("likeThis");
  Object.assign(button, { type: "button", className: "plain", textContent: say("back") });
  button.addEventListener("click", back);
  at("which").replaceChildren(picture, said, button);
  picture.src = await fetchImage(name, 256);
};
