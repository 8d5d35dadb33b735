// Training images that look like the picture on show, below the answer, with what people said of them.

import { ask } from "./api.js";
import { announce, clearTrouble, showTrouble } from "./notices.js";
import { say } from "./say.js";

const made = (tag, properties) => Object.assign(document.createElement(tag), properties);

const tileOf = ({ image, similarity, words }, model) => {
  const tile = made("figure", { title: `${image} (${say("cosine", { cosine: similarity.toFixed(2) })})` });
  const picture = made("img", { alt: "" });
  tile.append(picture, made("figcaption", { textContent: words || image, lang: model.language || "" }));
  const query = new URLSearchParams({ model: model.name, name: image });
  ask(`v1/alike/image?${query}`).then((blob) => {
    picture.addEventListener("load", () => URL.revokeObjectURL(picture.src), { once: true });
    picture.src = URL.createObjectURL(blob);
  }, () => tile.classList.add("broken"));
  return tile;
};

/** Offer the training images that look like a picture; they go away with the answer. */
export const offerAlike = (place, model, picture) => {
  const open = made("button", { type: "button", className: "mend", textContent: say("alike") });
  open.addEventListener("click", async () => {
    clearTrouble();
    open.disabled = true;
    open.textContent = say("searching");
    try {
      const found = await ask(`v1/alike?${new URLSearchParams({ model: model.name })}`, { method: "POST", body: picture.blob, seconds: 300 });
      const tiles = made("div", { className: "alike" });
      tiles.append(...found.map((one) => tileOf(one, model)));
      open.replaceWith(made("h2", { textContent: say("alikeHead") }), tiles);
      announce(say("alikeHead"));
    } catch (error) {
      open.disabled = false;
      open.textContent = say("alike");
      showTrouble(error);
    }
  });
  place.append(open);
};
