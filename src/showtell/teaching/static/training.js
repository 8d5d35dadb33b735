// The training that the page has started: how far it is, and how it ended.

import { say } from "./say.js";

const at = (id) => document.getElementById(id);

document.querySelectorAll("header nav a").forEach((link) => { link.href += location.hash; }); // the token goes along

/** Show what the server says of it; `start` names what the button says where none is under way. */
export const showTraining = ({ running, status, out, lines }, start) => {
  at("train").textContent = say(running ? "stop" : start);
  at("train").classList.toggle("main", !running);
  const ended = !running && status !== null;
  at("trained").hidden = !running && !ended;
  at("trained").textContent = say(running ? "training" : status === 0 || status === 3 ? "trained" : "untrained", { out });
  const place = at("lines"), text = lines.join("\n");
  place.hidden = !lines.length;
  if (place.textContent !== text) {
    place.textContent = text;
    place.scrollTop = place.scrollHeight;
  }
};
