// Heat over a picture, for reports and for the demo: the same as showtell.report.overlay draws.

/** Return a function from a level in [0, 1] to red, green, blue in [0, 255] and opacity in [0, 1]. */
export const colourOf = (ramp) => (level) => {
  let next = 1;
  while (next < ramp.length - 1 && ramp[next][0] < level) next += 1;
  const [from, to] = [ramp[next - 1], ramp[next]];
  const share = Math.min(1, Math.max(0, (level - from[0]) / (to[0] - from[0])));
  return from.slice(1).map((value, i) => value + share * (to[i + 1] - value));
};

const SIDE = 160; // pixels of the longest side of a smooth map; the browser stretches it

const transpose = (rows) => rows[0].map((_, i) => rows.map((row) => row[i]));

// Draw a row `times` as fine, by the cubic that the figures use (Keys, a = -0.5); edges repeat.
const refine = (times) => (row) => {
  const at = (i) => row[Math.min(row.length - 1, Math.max(0, i))];
  return Array.from({ length: row.length * times }, (_, i) => {
    const place = (i + 0.5) / times - 0.5, start = Math.floor(place), t = place - start;
    const [a, b, c, d] = [at(start - 1), at(start), at(start + 1), at(start + 2)];
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
  });
};

/** Blend the cells of a map, rows of levels, into one another. */
export const smooth = (rows) => {
  const fine = refine(Math.ceil(SIDE / Math.max(rows.length, rows[0].length)));
  return transpose(transpose(rows.map(fine)).map(fine));
};

