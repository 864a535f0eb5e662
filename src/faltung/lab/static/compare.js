// The compare view: one problem, who solves it and how fast, and what this machine can do at best.
import { ask, latest } from "./api.js";
import { chart, decades, line } from "./chart.js";
import { button, choice, field, h, short, svg } from "./dom.js";
import { failure } from "./failure.js";
import { t } from "./i18n.js";
import { merged } from "./state.js";

const EXAMPLES = ["ic64ih56oc64kh3ph1", "ic3ih224oc64kh7sh2ph3", "ic256ih14oc256kh3ph1", "ic256ih56oc64kh1",
  "g64ic64ih56oc64kh3ph1", "conv weight ic64ih28oc64kh3ph1", "max ic64ih112kh3sh2ph1"];
const DEFAULT = { text: EXAMPLES[0], measured: null };

export function mount(root, given, keep) {
  let state = merged(DEFAULT, given);
  let alive = true;
  const explain = latest();
  const error = h("div", { class: "error", role: "alert", hidden: true });
  const text = h("input", { type: "text", id: "problem", maxlength: "200", spellcheck: "false", autocapitalize: "off" });
  text.value = state.text;
  text.onkeydown = (event) => event.key === "Enter" && explained();
  const samples = choice([["", "…"], ...EXAMPLES.map((one) => [one, one])], "", (one) => {
    if (!one) return;
    text.value = one;
    explained();
  });
  const measure = button(t("measureIt"), measured, { class: "main", id: "measure" });
  const work = h("p", { class: "hint", id: "work", "aria-live": "polite" });
  const facts = h("dl", { class: "facts", id: "why" });
  const times = h("div", { id: "times", "aria-live": "polite" });
  const roof = h("div", { id: "roofline" });
  root.append(h("div", { class: "view wide" },
    h("div", { class: "panel stack" },
      h("div", { class: "two" }, field(t("problem"), text), field(t("example"), samples)),
      h("div", { class: "row" }, button(t("explainIt"), explained, { id: "explain" }), measure, h("span", { class: "hint" }, t("measureHint"))),
      work),
    error,
    h("div", { class: "two" },
      h("div", { class: "panel stack" }, h("h2", {}, t("fastest")), times),
      h("div", { class: "panel stack" }, h("h2", {}, t("roofline")), roof)),
    h("div", { class: "panel stack" }, h("h2", {}, t("why")), facts)));

  function cleared() {
    times.replaceChildren(h("p", { class: "hint" }, "–"));
    roof.replaceChildren(h("p", { class: "hint" }, "–"));
  }

  async function explained() {
    if (text.value !== state.text) {
      state = { text: text.value, measured: null };
      keep(state);
      cleared();
    }
    try {
      const told = await explain("/api/compare/explain", { text: state.text });
      if (!told || !alive) return false;
      error.hidden = true;
      const grouped = (number) => number.toLocaleString("en");
      work.textContent = t("workIs", { macs: grouped(told.macs), bytes: grouped(told.bytes), i: short(told.intensity) });
      facts.replaceChildren(...told.lines.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
      return true;
    } catch (refusal) {
      if (alive) failure(error, refusal);
      work.textContent = "";
      facts.replaceChildren();
      return false;
    }
  }

  async function measured() {
    if (!(await explained())) return;
    measure.disabled = true;
    measure.textContent = t("measuring");
    try {
      const told = await ask("/api/compare/measure", { text: state.text });
      if (!alive) return;
      state = { ...state, measured: told };
      keep(state);
      shown(told);
    } catch (refusal) {
      if (alive) failure(error, refusal);
    } finally {
      measure.disabled = false;
      measure.textContent = t("measureIt");
    }
  }

  function shown(told) {
    const slowest = Math.max(...told.times.map((one) => one.milliseconds ?? 0));
    const head = ["who", "time", "spread", "speedOf"].map((name) => h("th", { scope: "col", class: name === "spread" ? "extra" : "" }, t(name)));
    const rows = told.times.map((one) => {
      const bar = h("div", { class: "fill" });
      bar.style.width = `${(100 * (one.milliseconds ?? 0)) / slowest}%`;
      const name = h("th", { scope: "row" }, one.name, one.runs ? h("div", { class: "hint" }, t("faltungRuns")) : null);
      if (one.milliseconds === null) return h("tr", {}, name, h("td", { colspan: "4" }, t("wrong", { fault: one.fault })));
      return h("tr", { class: one.runs ? "ours" : "" }, name, h("td", { class: "n" }, `${short(one.milliseconds)} ms`),
        h("td", { class: "n extra" }, `${short(one.low)} – ${short(one.high)}`), h("td", { class: "n" }, short(one.gflops)),
        h("td", { class: "extra" }, h("div", { class: "track" }, bar)));
    });
    times.replaceChildren(h("table", { class: "times" }, h("thead", {}, h("tr", {}, head, h("td"))), h("tbody", {}, rows)),
      h("p", { class: "hint" }, t("machine", { cpu: told.roofline.cpu, threads: told.threads, n: told.times[0].samples })));
    const limits = { a: short(told.roofline.gflops), b: short(told.roofline.bandwidth) };
    roof.replaceChildren(h("p", { class: "hint" }, t("limits", limits)), roofline(told), ...(told.times.some((one) => one.name.startsWith("winograd") && one.gflops > told.roofline.gflops) ? [h("p", { class: "hint" }, t("aboveRoof"))] : []));
  }

  if (state.measured) {
    try {
      shown(state.measured);
    } catch {
      state.measured = null; // a link that somebody changed
      cleared();
    }
  } else cleared();
  explained();
  return () => { alive = false; };
}

function roofline({ times, roofline: limits, intensity }) {
  const right = times.filter((one) => one.gflops !== null);
  const across = decades(Math.min(intensity, limits.ridge) / 4, Math.max(intensity, limits.ridge) * 4);
  const rates = [...right.map((one) => one.gflops), limits.gflops, limits.bandwidth * across[0]];
  const up = decades(Math.min(...rates), Math.max(...rates));
  const axes = chart({ low: across[0], high: across.at(-1), log: true, ticks: across, name: t("intensity") },
    { low: up[0], high: up.at(-1), log: true, ticks: up, name: t("rateAxis") }, t("roofline"));
  const roof = [[across[0], limits.bandwidth * across[0]], [limits.ridge, limits.gflops], [across.at(-1), limits.gflops]];
  axes.element.append(line(roof, axes));
  const after = intensity < limits.ridge;
  let above = -14;
  for (const one of right.toSorted((a, b) => b.gflops - a.gflops)) {
    const at = axes.y(one.gflops);
    const label = Math.max(at + 4, above + 14);
    above = label;
    axes.element.append(
      svg("circle", { class: `dot ${one.runs ? "ours" : one.name === "torch" ? "torch" : ""}`, cx: axes.x(intensity), cy: at, r: 5 },
        svg("title", {}, `${one.name}: ${short(one.gflops)} GFLOP/s`)),
      svg("text", { class: "strong", x: axes.x(intensity) + (after ? 9 : -9), y: label, "text-anchor": after ? "start" : "end" }, one.name));
  }
  return axes.element;
}
