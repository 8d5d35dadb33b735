// Strings, numbers and places in the language of the page, whose words.js has the strings.

import { TABLE } from "./words.js";

/** The language that was chosen here, or else the first of the browser's that the page speaks. */
export const language =
  [localStorage.getItem("language") ?? "", ...(navigator.languages ?? [navigator.language])]
    .map((name) => name.slice(0, 2).toLowerCase())
    .find((name) => name in TABLE) ?? "en";

/** Speak another language from now on: the page begins anew. */
export const speak = (name) => {
  localStorage.setItem("language", name);
  location.reload();
};

/** Say a string of the table; `{name}` in it stands for a value. */
export const say = (key, values = {}) => TABLE[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** Name a ninth of the picture: row and column, each 0 to 2. */
export const sayArea = (row, column) => TABLE[language].areas[row][column];

export const count = (number) => new Intl.NumberFormat(language).format(number);

const percentFormat = (options) => new Intl.NumberFormat(language, { style: "percent", ...options });
const whole = percentFormat({ maximumFractionDigits: 0 });
const fine = percentFormat({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
const rough = percentFormat({ maximumSignificantDigits: 2 });
export const percent = (share) => whole.format(share);
export const finePercent = (share) => fine.format(share);

/** Write a small probability with two digits that count; below a millionth it is only said to be smaller. */
export const roughPercent = (share) => (share < 1e-6 ? `< ${rough.format(1e-6)}` : rough.format(share));

/** Fill in every element that names its string: `data-say` its text, `-label` what it is called, `-hint` what to write. */
export const fillIn = () => {
  document.documentElement.lang = language;
  document.querySelectorAll("[data-say]").forEach((element) => { element.textContent = say(element.dataset.say); });
  document.querySelectorAll("[data-say-label]").forEach((element) => {
    element.setAttribute("aria-label", say(element.dataset.sayLabel));
    if (element.tagName === "BUTTON") element.title = say(element.dataset.sayLabel);
  });
  document.querySelectorAll("[data-say-hint]").forEach((element) => { element.placeholder = say(element.dataset.sayHint); });
};
