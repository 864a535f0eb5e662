// Words of the page in the language that is on. Sentences of Python stay as Python says them.
import { en } from "./en.js";
import { zh } from "./zh.js";
import { remember, remembered } from "./state.js";

const LANGUAGES = { en, zh };
let on = remembered("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
if (!Object.hasOwn(LANGUAGES, on)) on = "en";

export const language = () => on;

export function setLanguage(name) {
  on = name;
  remember("language", name);
}

// The text under a key; {names} in it are replaced by values.
export function t(key, values = {}) {
  const text = LANGUAGES[on][key] ?? en[key];
  if (text === undefined) throw new Error(`no text ${key}`);
  return text.replaceAll(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

export function translate(root) {
  document.documentElement.lang = on === "zh" ? "zh-Hans" : "en";
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
  }
}
