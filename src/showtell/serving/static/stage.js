// The place of the picture: a photo or the camera's film, and over it where the model looked.

import { Heat } from "./attention.js";
import { say } from "./say.js";

const FILM_DIM = 0.84; // brightness of a film under heat

const at = (id) => document.getElementById(id);
const place = at("stage"), layers = at("layers"), photo = at("photo"), video = at("video");
const readout = at("readout"), cells = at("cells");
const heat = new Heat(at("heat"));
let shown = null; // the map on show and its peak, to draw it again where the switch of the grid moves

const shape = (width, height, dim) => {
  place.parentElement.style.setProperty("--ratio", width / height);
  place.style.setProperty("--dim", dim);
};

/** Show a picture that is ready; `url` is null where the browser cannot decode it. */
export const showPicture = ({ url, width, height, dim }) => {
  clearLook();
  leaveFilm();
  if (photo.src.startsWith("blob:")) URL.revokeObjectURL(photo.src);
  photo.removeAttribute("src");
  photo.hidden = url === null;
  place.classList.toggle("blind", url === null);
  if (url !== null) photo.src = url;
  photo.alt = say("picture");
  shape(width, height, dim);
};

/** Show what a camera films; resolves as soon as there is a frame. Mirrored where people look at themselves. */
export const showFilm = async (stream, mirrored) => {
  clearLook();
  photo.hidden = true;
  place.classList.remove("blind");
  video.hidden = false;
  video.srcObject = stream;
  layers.classList.toggle("mirrored", mirrored);
  await video.play();
  shape(video.videoWidth, video.videoHeight, FILM_DIM);
  return video;
};

/** Take the film away. */
export const leaveFilm = () => {
  video.srcObject = null;
  video.hidden = true;
  layers.classList.remove("mirrored");
};

/** Say which part of the picture the network saw: left, top, right, bottom as shares of it. */
export const showSeen = (box) => {
  ["left", "top", "right", "bottom"].forEach((edge, i) => layers.style.setProperty(`--${edge}`, box[i]));
};

/** Show where the model looked, and name what it looked at. */
export const look = (map, peak, label = "", figure = "") => {
  const glide = shown !== null;
  shown = { map, peak };
  heat.show(map, peak, { bare: cells.checked, glide });
  place.classList.add("looking");
  const name = document.createElement("b");
  name.textContent = label;
  readout.replaceChildren(name, figure);
  readout.hidden = !label;
};

export const clearLook = () => {
  shown = null;
  place.classList.remove("looking");
};

/** Show that the model is at work. */
export const think = (on) => {
  place.classList.toggle("thinking", on);
  place.setAttribute("aria-busy", String(on));
};

cells.addEventListener("change", () => {
  place.classList.toggle("bare", cells.checked);
  if (shown) heat.show(shown.map, shown.peak, { bare: cells.checked });
});
