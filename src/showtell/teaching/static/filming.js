// The camera fills a class while its button is held, and says meanwhile what it sees.

import { ask, predict } from "./api.js";
import { Camera } from "./camera.js";
import { Bars, Smoothed } from "./classes.js";
import { clearTrouble, showTrouble } from "./notices.js";
import { encoded, drawn } from "./pictures.js";
import { say } from "./say.js";

const PACE = 250; // milliseconds between two images that are kept
const LONGEST = 960; // pixels of their longest side

const at = (id) => document.getElementById(id);

export class Filming {
  #camera; #run = null; #held = null; #tab; #kept;

  /** `kept(label)` is called after every image that was kept. */
  constructor(tab, kept) {
    this.#tab = tab;
    this.#kept = kept;
    this.#camera = new Camera(() => this.stop());
  }

  /** Open the camera and say what it sees, as soon as there is a model. */
  async start(classCount) {
    clearTrouble();
    try {
      await this.#camera.start();
      at("turn").hidden = !(await this.#camera.hasOthers());
    } catch (error) {
      showTrouble(error, () => this.start(classCount));
      return;
    }
    await this.#watch(classCount);
  }

  async turn(classCount) {
    this.#run = null;
    try {
      await this.#camera.turn();
    } catch (error) { showTrouble(error); }
    await this.#watch(classCount);
  }

  stop() {
    this.#run = null;
    this.#held = null;
    this.#camera.stop();
    at("live").hidden = true;
    at("turn").hidden = true;
  }

  /** Keep what the camera sees as images of a class, until `release`. */
  async hold(label) {
    const held = (this.#held = {});
    let number = 0;
    while (this.#held === held && this.#camera.open) {
      const begun = performance.now();
      try {
        const blob = await encoded(drawn(at("video"), at("video").videoWidth, at("video").videoHeight, LONGEST));
        const name = `${new Date().toISOString().replace(/[:.]/g, "-")}.jpg`;
        const query = new URLSearchParams({ tab: this.#tab, name, label, filmed: true });
        await ask(`v1/images?${query}`, { method: "POST", body: blob });
        number += 1;
        at("note").hidden = false;
        at("note").textContent = say("filming", { label, count: number });
        this.#kept(label);
      } catch (error) {
        showTrouble(error);
        break;
      }
      await new Promise((resolve) => { setTimeout(resolve, Math.max(0, PACE - (performance.now() - begun))); });
    }
  }

  release() {
    this.#held = null;
    at("note").hidden = true;
  }

  async #watch(classCount) {
    const run = (this.#run = {});
    const bars = new Bars(at("live")), smoothed = new Smoothed(classCount());
    await this.#camera.watch(async (blob) => {
      const { classes } = await predict("", blob).catch(() => ({ classes: {} }));
      if (this.#run !== run) return;
      at("live").hidden = !Object.keys(classes).length;
      if (at("live").hidden) await new Promise((resolve) => { setTimeout(resolve, 500); }); // nothing is learnt yet
      else bars.show(smoothed.add(classes, performance.now()), { moving: true });
    }, () => this.#run === run && this.#camera.open);
  }
}
