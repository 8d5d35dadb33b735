// The place of the image: a photo of the folder, or the camera's film. Images are fetched ahead and kept.

import { ask } from "./api.js";
import { say } from "./say.js";

const KEPT = 150; // images in the browser's memory

const at = (id) => document.getElementById(id);
const photo = at("photo"), video = at("video");
const urls = new Map(); // by address: the promise of a local URL

/** Return the local URL of an image of the folder, fetched once. */
export const fetchImage = (name, size = 1024) => {
  const address = `v1/image?name=${encodeURIComponent(name)}&size=${size}`;
  const known = urls.get(address) ?? ask(address, { seconds: 60 }).then((blob) => URL.createObjectURL(blob));
  urls.delete(address);
  urls.set(address, known); // the newest are last
  known.catch(() => urls.delete(address));
  while (urls.size > KEPT) {
    const [oldest, url] = urls.entries().next().value;
    urls.delete(oldest);
    url.then(URL.revokeObjectURL, () => {});
  }
  return known;
};

let wanted = null; // the name of the image that is to be shown

/** Show an image of the folder; resolves once it can be seen. Null shows none. */
export const showImage = async (name) => {
  wanted = name;
  photo.hidden = name === null;
  if (name === null || photo.dataset.name === name) return;
  const url = await fetchImage(name);
  if (wanted !== name) return; // another one came meanwhile
  photo.src = url;
  photo.alt = `${say("image")} ${name}`;
  photo.dataset.name = name;
  await photo.decode().catch(() => {});
};

/** Show what a camera films; resolves as soon as there is a frame. Mirrored where people look at themselves. */
export const showFilm = async (stream, mirrored) => {
  photo.hidden = true;
  video.hidden = false;
  video.srcObject = stream;
  video.classList.toggle("mirrored", mirrored);
  await video.play();
  return video;
};

/** Take the film away. */
export const leaveFilm = () => {
  video.srcObject = null;
  video.hidden = true;
};
