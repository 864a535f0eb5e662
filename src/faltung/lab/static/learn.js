// The learn view: a kernel on its way down the squared error, computed step by step by the server.
import { latest } from "./api.js";
import { chart, decades, line, rounds } from "./chart.js";
import { button, choice, field, h, number, short, svg } from "./dom.js";
import { failure } from "./failure.js";
import { grid } from "./grid.js";
import { t } from "./i18n.js";
import { merged } from "./state.js";

const DEFAULT = { rate: 0.03, steps: 40, flip: false, seed: 0, losses: [], kernels: [] };
const PAUSE = 60; // milliseconds between steps, so that they can be seen

export function mount(root, given, keep) {
  let state = merged(DEFAULT, given);
  let running = false;
  let alive = true;
  let seen = null;
  const ask = latest();
  const error = h("div", { class: "error", role: "alert", hidden: true });
  const start = button(t("start"), () => (running ? halt() : run()), { class: "main", id: "start" });
  const once = button(t("step"), () => { halt(); step(1); }, { id: "once" });
  const reset = button(t("reset"), () => { halt(); begin(); }, { id: "reset" });
  const progress = h("p", { class: "hint", id: "progress", "aria-live": "polite" });
  const kernel = h("div", { class: "row big", id: "learned" });
  const turned = h("p", { class: "hint" });
  const curve = h("div");
  const path = h("div");
  const tables = h("div", { class: "tables" });

  const set = (more, again) => {
    state = { ...state, ...more };
    keep(state);
    if (again) begin();
  };
  const settings = h("div", { class: "panel stack settings" },
    h("p", { class: "hint" }, t("learnWhat")),
    field(t("rate"), number(state.rate, (rate) => set({ rate }), { id: "rate" })),
    field(t("steps"), number(state.steps, (steps) => set({ steps }), { step: "1", min: "1", max: "1000", id: "steps" })),
    field(t("kind"), choice([["plain", t("plain")], ["strict", t("strictShort")]], state.flip ? "strict" : "plain",
      (kind) => { halt(); set({ flip: kind === "strict" }, true); })),
    field(t("seed"), number(state.seed, (seed) => { halt(); set({ seed }, true); }, { step: "1", min: "0" })),
    h("div", { class: "row" }, start, once, reset));
  root.append(h("div", { class: "view" }, settings, h("div", { class: "stack", "data-figure": "" }, error,
    h("div", { class: "learn-top" },
      h("div", { class: "panel stack" }, h("h2", {}, t("learned")), kernel, turned, h("h2", {}, t("kernelPath")), path),
      h("div", { class: "panel stack" }, h("h2", {}, t("lossCurve")), progress, curve)),
    h("div", { class: "panel" }, tables))));

  // Asks for some steps from a kernel on, or from chance.
  async function asked(steps, from) {
    const { rate, flip, seed } = state;
    try {
      const told = await ask("/api/learn", { kernel: from, seed, rate, steps, flip });
      if (told && alive) {
        seen = told;
        error.hidden = true;
      }
      return alive ? told : undefined;
    } catch (refusal) {
      halt();
      if (alive) failure(error, refusal);
      return undefined;
    }
  }

  async function begin() {
    const told = await asked(0, null);
    if (!told) return;
    set({ losses: told.losses, kernels: told.kernels });
    draw();
  }

  async function step(count) {
    if (!state.kernels.length) await begin();
    const told = await asked(count, state.kernels.at(-1));
    if (!told) return false;
    set({ losses: [...state.losses, ...told.losses.slice(1)], kernels: [...state.kernels, ...told.kernels.slice(1)] });
    draw();
    return true;
  }

  async function run() {
    const most = Number.isInteger(state.steps) ? Math.max(1, Math.min(1000, state.steps)) : 40;
    if (state.losses.length > most) await begin();
    running = true;
    start.textContent = t("stop");
    while (running && alive && state.losses.length <= most) {
      if (!(await step(1))) break;
      await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
    }
    halt();
  }

  function halt() {
    running = false;
    start.textContent = t("start");
  }

  function draw() {
    const { losses, kernels } = state;
    const [a, b] = kernels.at(-1);
    kernel.replaceChildren(grid([[a, b]], { label: t("learned"), most: Math.max(1, Math.abs(a), Math.abs(b)), side: 64 }).element);
    turned.textContent = state.flip ? t("turned", { a: short(b), b: short(a) }) : "";
    progress.textContent = t("stepOf", { n: losses.length - 1, m: state.steps, loss: short(losses.at(-1)) });
    curve.replaceChildren(lossCurve(losses));
    path.replaceChildren(kernelPath(kernels));
    const shown = [["image", seen.image], ["target", seen.target], ["answer", seen.output]];
    tables.replaceChildren(...shown.map(([name, values]) => h("div", {}, h("h2", {}, t(name)),
      grid(values, { label: t(name), most: 1, side: 34, write: (value) => (Number.isInteger(value) ? short(value) : short(Number(value.toFixed(2)))) }).element)));
  }

  function lossCurve(losses) {
    const points = losses.map((loss, i) => [i, Math.max(loss, 1e-12)]);
    const ticks = decades(Math.min(...points.map(([, loss]) => loss)), Math.max(...points.map(([, loss]) => loss)) * 1.0001);
    const last = Math.max(10, losses.length - 1);
    const axes = chart({ low: 0, high: last, ticks: rounds(0, last), name: t("steps") },
      { low: ticks[0], high: ticks.at(-1) === ticks[0] ? 10 * ticks[0] : ticks.at(-1), log: true, ticks, name: t("loss") }, t("lossCurve"));
    axes.element.append(line(points, axes));
    for (const [i, loss] of points.length < 80 ? points : []) {
      axes.element.append(svg("circle", { class: "dot", cx: axes.x(i), cy: axes.y(loss), r: 2.5 },
        svg("title", {}, t("lossAt", { n: i, loss: short(losses[i]) }))));
    }
    return axes.element;
  }

  function kernelPath(kernels) {
    const all = kernels.flat();
    const [low, high] = [Math.min(-1.2, ...all), Math.max(1.2, ...all)];
    const last = Math.max(10, kernels.length - 1);
    const axes = chart({ low: 0, high: last, ticks: rounds(0, last), name: t("steps") },
      { low, high, ticks: rounds(low, high), name: t("kernel") }, t("kernelPath"));
    [0, 1].forEach((tap) => axes.element.append(line(kernels.map((one, i) => [i, one[tap]]), axes, tap ? "line second" : "line")));
    return axes.element;
  }

  if (state.kernels.length && state.kernels.length === state.losses.length) {
    asked(0, state.kernels.at(-1)).then((told) => told && draw());
  } else begin();
  return () => { alive = false; running = false; };
}
