// The cards of a page. Follows heat.js in the same script.

const STEP = 800; // milliseconds a word while playing

const colour = colourOf(JSON.parse(document.body.dataset.ramp));

const draw = (canvas, map, peak, bare) => {
  let levels = map.map((row) => row.map((weight) => Math.sqrt(Math.max(0, weight) / Math.max(1, peak))));
  if (!bare) levels = smooth(levels);
  canvas.height = levels.length;
  canvas.width = levels[0].length;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  levels.flat().forEach((level, i) => {
    const [red, green, blue, opacity] = colour(level);
    pixels.data.set([red, green, blue, 255 * opacity], 4 * i);
  });
  context.putImageData(pixels, 0, 0);
};

const bare = document.getElementById("cells");

const prepare = (card) => {
  const caption = card.querySelector(".caption[role=listbox]");
  if (!caption) return;
  const words = [...caption.querySelectorAll(".word")];
  const attention = JSON.parse(card.querySelector("script.attention").textContent);
  const canvas = card.querySelector(".heat"), readout = card.querySelector(".readout"), play = card.querySelector(".play");
  let kept = -1, shown = -1, timer = 0; // the word that stays when the pointer has gone; the clock while playing

  const show = (index) => {
    shown = index;
    words.forEach((word, i) => word.setAttribute("aria-selected", String(i === index)));
    card.classList.toggle("looking", index >= 0);
    if (index < 0) { caption.removeAttribute("aria-activedescendant"); return; }
    caption.setAttribute("aria-activedescendant", words[index].id);
    draw(canvas, attention.maps[index], attention.peak, bare.checked);
    const name = document.createElement("b");
    name.textContent = words[index].textContent;
    readout.replaceChildren(name, `${words[index].dataset.percent}%`);
  };
  const keep = (index) => { kept = index; show(index); };
  const stop = () => { clearInterval(timer); timer = 0; card.classList.remove("playing"); };

  words.forEach((word, index) => {
    word.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse" && !timer) show(index); });
    word.addEventListener("click", () => { stop(); keep(kept === index ? -1 : index); });
  });
  caption.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse" && !timer) show(kept); });
  caption.addEventListener("focus", () => { if (kept < 0 && caption.matches(":focus-visible")) keep(0); });
  caption.addEventListener("blur", () => { if (!timer) keep(-1); });
  caption.addEventListener("keydown", (event) => {
    const last = words.length - 1;
    const target = {
      ArrowRight: Math.min(last, kept + 1), ArrowDown: Math.min(last, kept + 1),
      ArrowLeft: Math.max(0, kept - 1), ArrowUp: Math.max(0, kept - 1), Home: 0, End: last, Escape: -1,
    }[event.key];
    if (target === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    stop();
    keep(target);
  });
  bare.addEventListener("change", () => show(shown));
  play.hidden = false;
  play.addEventListener("click", () => {
    if (timer) { stop(); keep(-1); return; }
    card.classList.add("playing");
    keep(0);
    timer = setInterval(() => {
      if (kept + 1 < words.length) keep(kept + 1);
      else { stop(); keep(-1); }
    }, STEP);
  });
};

if (bare) { // a report without pictures has none
  document.querySelectorAll(".card").forEach(prepare);
  document.querySelectorAll("input[name=show]").forEach((input) =>
    input.addEventListener("change", () => { document.body.dataset.show = input.value; }));
  bare.addEventListener("change", () => document.body.classList.toggle("bare", bare.checked));
  document.querySelector(".tools").hidden = false;
}
