// Where the model looked, as colours over the picture.

import { colourOf, smooth } from "./heat.js"; // of showtell.report

// Stops of the heat: position, red, green, blue, opacity; the twin of overlay.RAMP.
const RAMP = [
  [0.0, 110, 20, 90, 0.0],
  [0.25, 150, 30, 90, 0.08],
  [0.55, 226, 70, 50, 0.46],
  [0.8, 253, 146, 38, 0.68],
  [1.0, 255, 224, 96, 0.8],
];
const GLIDE = 260; // milliseconds in which the heat moves from one word to the next

export const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Return red, green, blue in [0, 255] and opacity in [0, 1] of a level in [0, 1]. */
export const colour = colourOf(RAMP);

const TABLE = new Uint8ClampedArray(
  Array.from({ length: 256 }, (_, i) => colour(i / 255)).flatMap(([red, green, blue, opacity]) => [red, green, blue, 255 * opacity]),
);

/** The largest weight of all maps, the end of a common colour scale; 1 where all are zero. */
export const peakOf = (maps) => maps.reduce((most, map) => Math.max(most, ...map.flat()), 0) || 1;

/** Place weights on the colour scale: the square root of their share of the peak, in [0, 1]. */
export const levelsOf = (map, peak) => map.map((row) => row.map((weight) => Math.sqrt(Math.min(1, Math.max(0, weight / peak)))));

/** Find the ninth of the picture (row and column, each 0 to 2) that holds the largest share, to say it in words. */
export const hottestArea = (map, [left, top, right, bottom]) => {
  const ninths = Array(9).fill(0);
  map.forEach((row, i) => row.forEach((weight, j) => {
    const y = top + ((i + 0.5) / map.length) * (bottom - top), x = left + ((j + 0.5) / row.length) * (right - left);
    ninths[3 * Math.min(2, Math.floor(3 * y)) + Math.min(2, Math.floor(3 * x))] += weight;
  }));
  const hottest = ninths.indexOf(Math.max(...ninths));
  return [Math.floor(hottest / 3), hottest % 3];
};

/** The canvas over the picture. Its heat glides from what it shows to what it is asked to show. */
export class Heat {
  #canvas; #levels = null; #frame = 0;

  constructor(canvas) { this.#canvas = canvas; }

  /** Show a map. `bare` shows its cells as they are; `glide` lets the heat move there. */
  show(map, peak, { bare = false, glide = false } = {}) {
    cancelAnimationFrame(this.#frame);
    let rows = levelsOf(map, peak);
    if (!bare) rows = smooth(rows);
    const goal = Float32Array.from(rows.flat()), from = this.#levels;
    const resized = this.#canvas.height !== rows.length || this.#canvas.width !== rows[0].length;
    if (resized) [this.#canvas.height, this.#canvas.width] = [rows.length, rows[0].length];
    if (resized || !glide || !from || calm.matches) return this.#paint(goal);
    const start = performance.now();
    const step = (now) => {
      const t = Math.min(1, Math.max(0, (now - start) / GLIDE)), eased = t * t * (3 - 2 * t);
      this.#paint(goal.map((level, i) => from[i] + eased * (level - from[i])));
      if (t < 1) this.#frame = requestAnimationFrame(step);
    };
    this.#frame = requestAnimationFrame(step);
  }

  #paint(levels) {
    this.#levels = levels;
    const context = this.#canvas.getContext("2d");
    const pixels = context.createImageData(this.#canvas.width, this.#canvas.height);
    levels.forEach((level, i) => {
      const entry = 4 * Math.round(255 * Math.min(1, Math.max(0, level)));
      for (let channel = 0; channel < 4; channel += 1) pixels.data[4 * i + channel] = TABLE[entry + channel];
    });
    context.putImageData(pixels, 0, 0);
  }
}
