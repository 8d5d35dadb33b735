// The map of all images: point at one to see it, draw around some to list them.

const stored = document.getElementById("map-data");
const mapOf = (data) => {
  const area = document.getElementById("map"), canvas = area.querySelector("canvas");
  const shown = area.querySelector(".shown"), picture = shown.querySelector("span"), words = shown.querySelector("p");
  const list = area.querySelector("textarea"), tally = area.querySelector(".tally"), copy = area.querySelector(".copy");
  const asImages = area.querySelector(".as-images"), moving = area.querySelector(".moving");
  const sheets = [...area.querySelectorAll(".sheets img")], { side, columns, places, names, groups, named } = data;
  const perSheet = columns * columns, count = names.length, dark = matchMedia("(prefers-color-scheme: dark)");
  const view = { x: 0, y: 0, zoom: 1 }, chosen = new Set();
  let at = -1, path = [], from = null, waiting = false;

  const colourFor = (group) => group < 0
    ? getComputedStyle(document.documentElement).getPropertyValue("--accent")
    : `hsl(${Math.round((group * 360) / named.length + 25 * (group % 2)) % 360} 70% ${dark.matches ? 66 : 42}%)`;
  const onScreen = (i) => {
    const margin = 0.03, scale = (value, extent, origin) => ((margin + value * (1 - 2 * margin) - origin) * view.zoom) * extent;
    return [scale(places[2 * i] / 10000, canvas.width, view.x), scale(1 - places[2 * i + 1] / 10000, canvas.height, view.y)];
  };
  const cell = (i) => [sheets[Math.floor(i / perSheet)], (i % perSheet % columns) * side, Math.floor((i % perSheet) / columns) * side];

  const paint = () => {
    waiting = false;
    const context = canvas.getContext("2d"), ratio = devicePixelRatio, dot = Math.max(1.5, Math.min(5, 160 / Math.sqrt(count))) * ratio;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const spots = names.map((_, i) => onScreen(i)), taken = new Set(), drawn = new Set(), edge = Math.min(side, 44) * ratio;
    const inside = ([x, y]) => x > -edge && y > -edge && x < canvas.width + edge && y < canvas.height + edge;
    const colours = [...named.map((_, group) => colourFor(group)), colourFor(-1)];
    spots.forEach((spot, i) => {
      if (!inside(spot)) return;
      const [x, y] = spot, colour = colours[groups[i] < 0 ? named.length : groups[i]];
      const place = `${Math.round(x / edge)} ${Math.round(y / edge)}`;
      if (asImages.checked && !taken.has(place)) {
        taken.add(place); drawn.add(i);
        const [sheet, left, top] = cell(i);
        context.drawImage(sheet, left, top, side, side, x - edge / 2, y - edge / 2, edge, edge);
        context.lineWidth = 2 * ratio; context.strokeStyle = colour;
        context.strokeRect(x - edge / 2, y - edge / 2, edge, edge);
      } else if (!asImages.checked) {
        context.globalAlpha = chosen.size && !chosen.has(i) ? 0.25 : 0.8;
        context.fillStyle = colour;
        context.beginPath(); context.arc(x, y, dot, 0, 7); context.fill();
        context.globalAlpha = 1;
      }
    });
    context.strokeStyle = getComputedStyle(canvas).color; context.lineWidth = 2 * ratio;
    chosen.forEach((i) => { if (drawn.has(i)) context.strokeRect(spots[i][0] - edge / 2 - 3, spots[i][1] - edge / 2 - 3, edge + 6, edge + 6); });
    if (path.length > 1) { context.beginPath(); path.forEach(([x, y]) => context.lineTo(x, y)); context.closePath(); context.stroke(); }
    if (at >= 0) { context.beginPath(); context.arc(...spots[at], 9 * ratio, 0, 7); context.stroke(); }
  };
  const repaint = () => { if (!waiting) { waiting = true; requestAnimationFrame(paint); } };

  const show = (i) => {
    at = i;
    const [sheet, left, top] = cell(i);
    Object.assign(picture.style, { width: `${side}px`, height: `${side}px`, backgroundImage: `url(${sheet.src})`, backgroundPosition: `-${left}px -${top}px` });
    words.textContent = (groups[i] < 0 ? "" : `${named[groups[i]]}: `) + names[i] + (chosen.has(i) ? " (listed)" : "");
    repaint();
  };
  const nearest = ([x, y], fits = () => true) => {
    let best = -1, least = Infinity;
    for (let i = 0; i < count; i += 1) {
      const [a, b] = onScreen(i), distance = (a - x) ** 2 + (b - y) ** 2;
      if (distance < least && fits(a - x, b - y, i)) { best = i; least = distance; }
    }
    return best;
  };
  const tell = () => {
    list.value = [...chosen].sort((a, b) => a - b).map((i) => names[i]).join("\n");
    tally.textContent = chosen.size ? `${chosen.size.toLocaleString("en")} listed` : "none listed";
    copy.disabled = !chosen.size;
    repaint();
  };
  const within = ([x, y]) => path.reduce((inside, [a, b], i) => {
    const [c, d] = path[(i || path.length) - 1];
    return (b > y) !== (d > y) && x < ((c - a) * (y - b)) / (d - b) + a ? !inside : inside;
  }, false);
  const zoom = (factor) => {
    const [x, y] = at >= 0 ? onScreen(at) : [canvas.width / 2, canvas.height / 2], next = Math.min(64, Math.max(1, view.zoom * factor));
    const keep = (origin, place, extent) => Math.min(1 - 1 / next, Math.max(0, origin + (place / extent) * (1 / view.zoom - 1 / next)));
    view.x = keep(view.x, x, canvas.width); view.y = keep(view.y, y, canvas.height); view.zoom = next;
    repaint();
  };
  const follow = () => {
    const [x, y] = onScreen(at), shift = (place, extent) => (place < 0 || place > extent ? (place / extent - 0.5) / view.zoom : 0);
    view.x = Math.min(1 - 1 / view.zoom, Math.max(0, view.x + shift(x, canvas.width)));
    view.y = Math.min(1 - 1 / view.zoom, Math.max(0, view.y + shift(y, canvas.height)));
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
  };

  canvas.addEventListener("pointermove", (event) => {
    const here = place(event);
    if (from && moving.checked) {
      view.x = Math.min(1 - 1 / view.zoom, Math.max(0, view.x - (here[0] - from[0]) / canvas.width / view.zoom));
      view.y = Math.min(1 - 1 / view.zoom, Math.max(0, view.y - (here[1] - from[1]) / canvas.height / view.zoom));
      from = here; repaint();
    } else if (from) { path.push(here); repaint(); } else show(nearest(here));
  });
  canvas.addEventListener("pointerdown", (event) => { from = place(event); path = [from]; canvas.setPointerCapture(event.pointerId); show(nearest(from)); });
  canvas.addEventListener("pointerup", (event) => {
    if (!moving.checked && path.length > 5) {
      if (!event.shiftKey) chosen.clear();
      names.forEach((_, i) => { if (within(onScreen(i))) chosen.add(i); });
      tell();
    }
    from = null; path = []; repaint();
  });
  canvas.addEventListener("pointercancel", () => { from = null; path = []; repaint(); });
  canvas.addEventListener("focus", () => { if (at < 0) show(nearest([canvas.width / 2, canvas.height / 2])); });
  canvas.addEventListener("keydown", (event) => {
    const ahead = { ArrowRight: (x, y) => x > Math.abs(y), ArrowLeft: (x, y) => -x > Math.abs(y), ArrowDown: (x, y) => y > Math.abs(x), ArrowUp: (x, y) => -y > Math.abs(x) }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (ahead) { const next = nearest(onScreen(at), (x, y, i) => i !== at && ahead(x, y)); if (next >= 0) { at = next; follow(); show(next); } }
    else if (event.key === " " || event.key === "Enter") { if (!chosen.delete(at)) chosen.add(at); tell(); show(at); }
    else if (event.key === "Escape") { chosen.clear(); tell(); show(at); }
    else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else return;
    event.preventDefault();
  });
  area.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => zoom(Number(button.dataset.zoom))));
  asImages.addEventListener("change", repaint);
  copy.addEventListener("click", async () => {
    list.select();
    try { await navigator.clipboard.writeText(list.value); } catch { document.execCommand("copy"); }
    tally.textContent = `${chosen.size.toLocaleString("en")} copied`;
  });
  area.querySelector(".legend").append(...named.map((name, group) => {
    const button = document.createElement("button"), mark = document.createElement("i");
    mark.style.background = colourFor(group);
    dark.addEventListener("change", () => { mark.style.background = colourFor(group); });
    button.type = "button"; button.append(mark, name);
    button.title = "List these";
    button.addEventListener("click", () => { chosen.clear(); groups.forEach((one, i) => { if (one === group) chosen.add(i); }); tell(); });
    return button;
  }));
  const fit = () => {
    const box = canvas.getBoundingClientRect();
    canvas.width = Math.round(box.width * devicePixelRatio); canvas.height = Math.round(box.height * devicePixelRatio);
    repaint();
  };
  new ResizeObserver(fit).observe(canvas);
  dark.addEventListener("change", repaint);
  Promise.all(sheets.map((sheet) => sheet.decode().catch(() => {}))).then(repaint);
  tell();
};
if (stored) mapOf(JSON.parse(stored.textContent));
