// The window view: one convolution on small numbers, the window sliding over them.
import { ask, latest } from "./api.js";
import { button, h, short, tick } from "./dom.js";
import { t } from "./i18n.js";
import { merged } from "./state.js";
import { failure } from "./failure.js";
import { form } from "./window-form.js";
import { stage } from "./window-stage.js";
import { DEFAULT, edited, problem, showable } from "./window-state.js";

export function mount(root, given, keep) {
  let state = merged(DEFAULT, given);
  if (!showable(state)) state = { ...DEFAULT };
  let slid = null;
  let digits = [];
  let timer = 0;
  let alive = true;
  let pointed = null; // the input cell that is shown instead of an output
  const brush = { on: false, value: 9 };
  const solve = latest();
  const look = latest();
  const error = h("div", { class: "error", role: "alert", hidden: true });
  const facts = h("p", { class: "hint", id: "sizes" });
  const sum = h("div", { class: "panel", id: "sum", "aria-live": "polite" });
  const side = h("div", { class: "later" });
  const picture = stage({
    edit: (place, text) => edit("input", place, text),
    kernel: (place, text) => edit("kernel", place, text),
    point, brush: () => (brush.on ? brush.value : null),
    shown: (shown) => change({ ...state, shown, at: 0 }),
  });
  const player = controls();

  root.append(h("div", { class: "view" }, side,
    h("div", { class: "stack", "data-figure": "" }, error, picture.element, player.element, sum, facts)));

  function fail(refusal) {
    failure(error, refusal);
  }

  function edit(name, place, text) {
    const value = Number(text);
    if (text === "" || !Number.isFinite(value)) {
      failure(error, null, t("notNumber", { text }));
      return;
    }
    const label = name === "input" ? { source: "own" } : { preset: "own" };
    change({ ...state, ...label, [name]: edited(state[name], place, value) });
  }

  // The settings are built anew only where what they show depends on the change.
  function change(next) {
    const rebuilt = ["source", "rule", "preset"].some((name) => next[name] !== state[name])
      || next.input.length !== state.input.length || next.input[0].length !== state.input[0].length
      || next.input[0][0].length !== state.input[0][0].length || next.kernel.length !== state.kernel.length
      || next.kernel[0][0].length !== state.kernel[0][0].length
      || next.kernel[0][0][0].length !== state.kernel[0][0][0].length;
    state = next;
    keep(state);
    if (rebuilt) settings();
    refresh();
  }

  function settings() {
    const active = document.activeElement;
    const index = [...side.querySelectorAll("input, select, button")].indexOf(active);
    side.replaceChildren(form(() => state, { change, fail, digits, brush }));
    if (index >= 0) side.querySelectorAll("input, select, button")[index]?.focus();
  }

  async function refresh() {
    try {
      const told = await solve("/api/window", problem(state));
      if (!told || !alive) return;
      slid = told;
      error.hidden = true;
      const [y, x] = [slid.rows.outputs, slid.columns.outputs];
      state.shown = Math.min(state.shown, slid.output.length - 1);
      state.at = Math.min(state.at, y * x - 1);
      picture.draw(state, slid);
      player.ready(y * x);
      facts.textContent = t("sizes", {
        h: state.input[0].length, w: state.input[0][0].length, eh: slid.rows.extent, ew: slid.columns.extent,
        t: slid.rows.before, b: slid.rows.after, l: slid.columns.before, r: slid.columns.after, y, x,
      });
      await shown();
    } catch (refusal) {
      if (!alive) return;
      pause();
      slid = null;
      player.ready(0);
      picture.draw(state, null);
      sum.replaceChildren(h("p", { class: "hint" }, t("hintHover")));
      facts.textContent = "";
      fail(refusal);
    }
  }

  function point(kind, channel, row, column) {
    if (!slid || timer) return;
    if (kind === "output") {
      picture.reveal(0, null);
      state.at = row * slid.columns.outputs + column;
      state.shown = channel;
      player.moved();
      showOutput(channel, row, column);
    } else showInput(channel, row, column);
  }

  function shown() {
    const columns = slid.columns.outputs;
    return pointed ? showInput(...pointed) : showOutput(state.shown, Math.floor(state.at / columns), state.at % columns);
  }

  async function showOutput(k, y, x) {
    pointed = null;
    const told = await asked("/api/window/output", k, y, x);
    if (!told) return;
    picture.output(state, told, k, y, x);
    sum.replaceChildren(h("h2", {}, t("outputAt", { k, y, x })), h("p", { class: "sum", id: "arithmetic" }, told.text));
  }

  async function showInput(c, y, x) {
    const [height, width] = [state.input[0].length, state.input[0][0].length];
    if (y < 0 || x < 0 || y >= height || x >= width || c >= state.input.length) {
      pointed = null;
      return;
    }
    pointed = [c, y, x];
    const told = await asked("/api/window/input", c, y, x);
    if (!told) return;
    picture.input(told, c, y, x);
    const count = new Set(told.touches.map((one) => `${one.channel} ${one.row} ${one.column}`)).size;
    sum.replaceChildren(h("h2", {}, t("inputAt", { c, y, x, v: short(told.value) })),
      h("p", { class: "hint" }, count ? t("touches", { n: count }) : t("touchesNone")),
      h("p", { class: "sum", id: "arithmetic" }, told.text));
  }

  async function asked(path, channel, row, column) {
    try {
      const told = await look(path, { problem: problem(state), channel, row, column });
      return alive && slid ? told : undefined;
    } catch (refusal) {
      fail(refusal);
      return undefined;
    }
  }

  function moveTo(at) {
    state.at = at;
    player.moved();
    keep(state);
    const x = slid.columns.outputs;
    picture.reveal(state.shown, at);
    return showOutput(state.shown, Math.floor(at / x), at % x);
  }

  function pause() {
    clearTimeout(timer);
    timer = 0;
    player.playing(false);
  }

  function play() {
    const count = slid.rows.outputs * slid.columns.outputs;
    if (state.at >= count - 1) state.at = -1;
    const tickOn = async () => {
      await moveTo(state.at + 1);
      if (!alive || !timer) return;
      if (state.at >= count - 1) pause();
      else timer = setTimeout(tickOn, 1000 / state.speed);
    };
    timer = setTimeout(tickOn, 0);
    player.playing(true);
  }

  function controls() {
    let count = 0;
    const go = (change_) => () => {
      pause();
      moveTo(Math.max(0, Math.min(count - 1, change_())));
    };
    const first = button(`|◀ ${t("first")}`, go(() => 0), { class: "tool" });
    const back = button(`◀ ${t("back")}`, go(() => state.at - 1), { class: "tool" });
    const playing = button(`▶ ${t("play")}`, () => (timer ? pause() : play()), { class: "tool main", id: "play" });
    const next = button(`${t("next")} ▶`, go(() => state.at + 1), { class: "tool" });
    const place = h("input", { type: "range", min: "0", "aria-label": t("position"), oninput: () => go(() => Number(place.value))() });
    const speed = h("input", { type: "range", min: "1", max: "20", "aria-label": t("speed"),
      oninput: () => { state.speed = Number(speed.value); keep(state); } });
    speed.value = state.speed;
    const gradient = tick(t("showGradient"), state.gradient, (on) => change({ ...state, gradient: on }));
    const element = h("div", { class: "row player tool" }, first, back, playing, next,
      h("div", { class: "slider" }, place), h("label", { class: "row slider short" }, h("span", { class: "hint" }, t("speed")), speed), gradient);
    return {
      element,
      ready(total) {
        count = total;
        for (const one of [first, back, playing, next, place]) one.disabled = total === 0;
        place.max = String(Math.max(0, total - 1));
        this.moved();
      },
      moved() { place.value = String(state.at); },
      playing(on) { playing.textContent = on ? `❚❚ ${t("pause")}` : `▶ ${t("play")}`; },
    };
  }

  let wide = picture.element.clientWidth;
  const resized = () => {
    if (!slid || picture.element.clientWidth === wide) return;
    wide = picture.element.clientWidth;
    picture.draw(state, slid);
    shown();
  };
  window.addEventListener("resize", resized);
  settings();
  refresh();
  ask("/api/digits").then((told) => { digits = told; if (alive) settings(); }, fail);
  return () => { alive = false; pause(); window.removeEventListener("resize", resized); };
}
