// The frame around the views: tabs, language, theme, link, export.
import { button } from "./dom.js";
import { saveAs } from "./export.js";
import { language, setLanguage, t, translate } from "./i18n.js";
import { read, remember, remembered, written } from "./state.js";
import * as compare from "./compare.js";
import * as learn from "./learn.js";
import * as network from "./network.js";
import * as windowView from "./window.js";

const VIEWS = { window: windowView, network, learn, compare };
const main = document.getElementById("main");
const notice = document.getElementById("notice");
const states = {};
let current = { name: "window", leave: null };
let written_ = "";
let waiting = 0;

// Shows a view; an older one is told to stop what it does.
function show(name, state) {
  clearTimeout(waiting);
  current.leave?.();
  states[name] = state ?? states[name] ?? null;
  current = { name, leave: null };
  notice.textContent = "";
  main.replaceChildren();
  for (const tab of document.querySelectorAll("nav button")) {
    const chosen = tab.dataset.view === name;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  }
  main.setAttribute("aria-labelledby", `tab-${name}`);
  document.title = `${t(name)} · ${t("title")}`;
  const keep = (changed) => {
    states[name] = changed;
    clearTimeout(waiting);
    waiting = setTimeout(() => address(name), 250);
  };
  current.leave = VIEWS[name].mount(main, states[name], keep) ?? null;
  address(name);
}

function address(name) {
  written_ = states[name] === null ? `#${name}` : written(name, states[name]);
  if (location.hash !== written_) history.replaceState(null, "", written_);
}

function tabs() {
  const bar = document.querySelector("nav");
  const names = Object.keys(VIEWS);
  bar.replaceChildren(...names.map((name) =>
    button(t(name), () => show(name), { role: "tab", id: `tab-${name}`, "data-view": name, "aria-controls": "main" })));
  bar.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = names[(names.indexOf(current.name) + step + names.length) % names.length];
    show(next);
    document.getElementById(`tab-${next}`).focus();
    event.preventDefault();
  };
}

const THEMES = ["auto", "light", "dark"];
const dark = matchMedia("(prefers-color-scheme: dark)");
let theme = THEMES.includes(remembered("theme")) ? remembered("theme") : "auto";

function themed() {
  const on = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  document.documentElement.dataset.theme = on;
  document.getElementById("theme").textContent = t(`theme_${theme}`);
}

function worded() {
  translate(document);
  const other = document.getElementById("language");
  other.textContent = language() === "en" ? "中文" : "English";
  other.lang = language() === "en" ? "zh" : "en";
  themed();
}

function again() {
  worded();
  tabs();
  show(current.name);
}

function say(text) {
  notice.textContent = text;
}

async function copyLink() {
  address(current.name);
  try {
    await navigator.clipboard.writeText(location.href);
    say(t("linked"));
  } catch {
    say(t("linkIs"));
  }
}

async function save(kind) {
  try {
    say(t("saved", { name: await saveAs(kind, main, `faltung-${current.name}`) }));
  } catch (error) {
    say(t("notSaved", { why: error.message }));
  }
}

document.getElementById("link").onclick = copyLink;
document.getElementById("svg").onclick = () => save("svg");
document.getElementById("png").onclick = () => save("png");
document.getElementById("language").onclick = () => {
  setLanguage(language() === "en" ? "zh" : "en");
  again();
};
document.getElementById("theme").onclick = () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  remember("theme", theme);
  themed();
  show(current.name);
};
dark.addEventListener("change", () => {
  themed();
  show(current.name);
});
window.addEventListener("hashchange", () => {
  if (location.hash !== written_) restore();
});

function restore() {
  const { view, state } = read(location.hash);
  show(Object.hasOwn(VIEWS, view) ? view : "window", state);
}

// A plain link would change the part of the address that holds the state.
document.querySelector(".skip").onclick = (event) => {
  event.preventDefault();
  main.focus();
};

worded();
tabs();
restore();
