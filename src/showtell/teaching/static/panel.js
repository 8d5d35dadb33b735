// What is known so far: how many labels, how often the model is right, and what it confuses.

import { count, percent, say } from "./say.js";
import { showTraining } from "./training.js";

const WIDTH = 320, HEIGHT = 120, LEFT = 40, BOTTOM = 98, TOP = 8;

const at = (id) => document.getElementById(id);
const svg = (name, attributes, text = "") => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.textContent = text;
  return element;
};

const drawCurve = (curve) => {
  const place = at("curve");
  place.toggleAttribute("hidden", curve.length < 2);
  if (curve.length < 2) return;
  const most = curve.at(-1)[0], least = Math.min(0.5, ...curve.map(([, , low]) => Math.floor(10 * low) / 10));
  const x = (labels) => LEFT + ((WIDTH - LEFT - 6) * labels) / most;
  const y = (share) => BOTTOM - ((BOTTOM - TOP) * (share - least)) / (1 - least);
  const line = curve.map(([labels, share]) => `${x(labels)},${y(share)}`).join(" ");
  const upper = curve.map(([labels, , , high]) => `${x(labels)},${y(high)}`);
  const lower = curve.map(([labels, , low]) => `${x(labels)},${y(low)}`).reverse();
  const rules = [least, (1 + least) / 2, 1].flatMap((share) => [
    svg("line", { class: "rule", x1: LEFT, x2: WIDTH - 6, y1: y(share), y2: y(share) }),
    svg("text", { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, percent(share)),
  ]);
  const [labels, share] = curve.at(-1);
  place.replaceChildren(
    svg("title", {}, say("curve")), ...rules,
    svg("polygon", { class: "band", points: [...upper, ...lower].join(" ") }),
    svg("polyline", { class: "line", points: line }),
    svg("circle", { class: "end", cx: x(labels), cy: y(share), r: 3.5 }),
    svg("text", { x: LEFT, y: HEIGHT - 6 }, "0"),
    svg("text", { x: WIDTH - 6, y: HEIGHT - 6, "text-anchor": "end" }, `${count(most)} ${say("labels")}`),
  );
};

/** Show what the server says of the moment. */
export const showProgress = (known) => {
  const { labelled, images, encoded, unreadable, learnt, interval, sample, right, confused, curve } = known;
  at("folder").textContent = known.folder;
  at("count").textContent = say("count", { labelled: count(labelled), images: count(images) });
  at("track").style.setProperty("--share", images ? labelled / images : 0);
  const parts = encoded + unreadable < images ? [say("encoding", { encoded: count(encoded), images: count(images) })] : [];
  if (unreadable) parts.push(say("left", { count: count(unreadable) }));
  if (known.trouble) parts.push(known.trouble);
  at("encoding").hidden = !parts.length;
  at("encoding").textContent = parts.join(" · ");
  at("learnt").hidden = !learnt;
  at("accuracy").textContent = interval ? percent(right / sample) : "–";
  at("sample").textContent = interval
    ? say("interval", { low: percent(interval[0]), high: percent(interval[1]), right: count(right), sample: count(sample) })
    : say("noSample");
  drawCurve(curve);
  at("stable").hidden = !known.stable;
  at("mixed").hidden = !confused.length;
  at("confused").replaceChildren(...confused.map(([label, said, times]) => {
    const row = document.createElement("li"), figure = document.createElement("span");
    row.textContent = say("pair", { label, said });
    figure.className = "figure";
    figure.textContent = count(times);
    row.append(figure);
    return row;
  }));
  at("kept").textContent = say("kept", { folder: known.folder });
  showTraining(known.training, "train");
  at("train").disabled = known.classes.filter((one) => one.count).length < 2;
  if (at("train").disabled) {
    at("trained").hidden = false;
    at("trained").textContent = say("twoClasses");
  }
};
