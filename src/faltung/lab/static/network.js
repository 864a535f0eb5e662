// The network view: a drawing on its way through a trained network, and the gradient on its way back.
import { ask, latest } from "./api.js";
import { board } from "./network-board.js";
import { choice, field, h, percent } from "./dom.js";
import { failure } from "./failure.js";
import { bars, seen, strips } from "./network-maps.js";
import { t } from "./i18n.js";
import { merged } from "./state.js";
import { unitPanel } from "./network-unit.js";

const DEFAULT = { strokes: [], sample: -1, pen: 5, show: "values", of: "predicted", unit: null };

export function mount(root, given, keep) {
  let state = merged(DEFAULT, given);
  let facts = null;
  let answer = null;
  let alive = true;
  let asked = 0;
  const read = latest();
  const look = latest();
  const error = h("div", { class: "error", role: "alert", hidden: true });
  const left = h("div", { class: "stack" });
  const right = h("div", { class: "stack" });
  const view = h("div", { class: "view network" }, left, right);
  root.append(view);

  const fail = (refusal) => alive && failure(error, refusal);
  const drawing = board(state, {
    changed(more) {
      state = { ...state, ...more };
      keep(state);
      refresh();
    },
  });
  const verdict = h("p", { class: "big", id: "verdict", "aria-live": "polite" });
  const sees = seen();
  const chances = bars((name) => set({ show: "gradient", of: `class-${name}` }));
  const maps = strips((unit) => set({ unit }));
  const unit = unitPanel(() => set({ unit: null }));
  const options = h("div", { class: "row options" });
  const note = h("p", { class: "hint" });

  function set(more) {
    state = { ...state, ...more };
    keep(state);
    choices();
    refresh();
  }

  function choices() {
    const targets = [["predicted", t("target_predicted")], ["unit", t("target_unit")],
      ...facts.classes.map((name) => [`class-${name}`, t("target_class", { name })])];
    options.replaceChildren(
      field(t("show"), choice([["values", t("values")], ["gradient", t("gradients")]], state.show, (show) => set({ show }))),
      state.show === "gradient" ? field(t("of"), choice(targets, state.of, (of) => set({ of }))) : "");
  }

  // The class or unit that is differentiated, as the server takes it.
  function target() {
    if (state.show !== "gradient") return {};
    if (state.of === "unit" && state.unit) return { unit: state.unit };
    if (state.of.startsWith("class-")) return { score: state.of.slice(6) };
    return answer ? { score: facts.classes[best(answer.scores)] } : {};
  }

  // The view is busy until it shows the answers to what was asked last.
  async function refresh() {
    const mine = ++asked;
    view.setAttribute("aria-busy", "true");
    try {
      await answered(drawing.bytes());
    } finally {
      if (mine === asked) view.setAttribute("aria-busy", "false");
    }
  }

  async function answered(text) {
    try {
      let told = await read("/api/network/read", { drawing: text, ...target() });
      if (!told || !alive) return;
      answer = told;
      const wanted = target();
      if (wanted.score && told.gradient !== null && state.of === "predicted") {
        told = await read("/api/network/read", { drawing: text, ...wanted });
        if (!told || !alive) return;
        answer = told;
      }
      error.hidden = true;
      drawn(told);
    } catch (refusal) {
      fail(refusal);
      return;
    }
    await looked(text);
  }

  function drawn(told) {
    const top = best(told.probabilities);
    const share = percent(told.probabilities[top]);
    verdict.textContent = told.drawn ? t("reads", { name: facts.classes[top], share }) : t("readsNothing");
    const gradient = state.show === "gradient";
    sees.draw(told);
    chances.draw(facts.classes, told, top);
    maps.draw(told.layers, gradient, facts.classes, state.unit);
    drawing.lens(gradient && told.drawn ? told : null);
    const what = state.of === "unit" && state.unit ? t("unitOf") : t("scoreOf", { name: target().score ?? "" });
    note.textContent = gradient ? t("gradientNow", { what }) : "";
  }

  async function looked(text) {
    if (!state.unit) {
      unit.draw(null);
      drawing.mark(null);
      return;
    }
    try {
      const told = await look("/api/network/unit", { drawing: text, unit: state.unit });
      if (!told || !alive) return;
      unit.draw(told, state.unit, facts);
      maps.window(told, state.unit);
      sees.mark(told, facts.size);
      drawing.mark(told);
    } catch (refusal) {
      set({ unit: null });
      fail(refusal);
    }
  }

  async function begin() {
    try {
      facts = await ask("/api/network");
    } catch (refusal) {
      left.append(error);
      fail(refusal);
      return;
    }
    if (!alive) return;
    if (state.sample >= facts.samples.length) state.sample = -1;
    drawing.samples(facts.samples);
    if (state.of.startsWith("class-") && !facts.classes.includes(state.of.slice(6))) state.of = "predicted";
    left.append(error, h("div", { class: "panel stack" }, h("h2", {}, t("draw")), drawing.element),
      h("div", { class: "panel stack" }, h("div", { class: "reading" }, sees.element,
        h("div", { class: "stack" }, h("h2", {}, t("run", { name: facts.name })), verdict)), chances.element));
    right.append(h("div", { class: "panel stack" }, h("div", { class: "row" }, h("h2", {}, t("layers")), options), note,
      maps.element), h("div", { class: "panel looked" }, unit.element));
    choices();
    await refresh();
  }

  begin();
  return () => { alive = false; };
}

const best = (numbers) => numbers.indexOf(Math.max(...numbers));
