// The picture of the window view: input, kernel and output as tables, and the window over them.
import { h, short } from "./dom.js";
import { grid } from "./grid.js";
import { largest } from "./heat.js";
import { t } from "./i18n.js";

const TALL = 600; // pixels that channels below each other may take, where numbers can still be read

// Returns a stage; `act` has edit(place, text), kernel(place, text), point(kind, channel, row, column)
// and brush().
export function stage(act) {
  const element = h("div", { class: "stage panel" });
  let drawn = { inputs: [], kernels: [], outputs: [], inner: null };

  function sides(state, slid) {
    const width = element.clientWidth - 34;
    const input = (slid?.padded ?? state.input)[0][0].length;
    const output = slid?.output[0][0].length ?? 0;
    const kernel = state.kernel[0][0][0].length;
    const most = (columns, room) => Math.max(9, Math.min(56, Math.floor(room / columns)));
    if (width < 600) return [most(input, width), most(kernel, width), most(Math.max(output, 1), width)];
    const extra = state.gradient ? state.input[0][0].length : 0;
    const rows = (slid?.padded ?? state.input)[0].length * state.input.length;
    const tall = Math.max(22, Math.floor(TALL / rows)); // all channels shall be seen at once
    const one = Math.min(most(input + output + kernel + extra, width - (extra ? 230 : 200)), tall);
    return [one, Math.max(one, 26), one];
  }

  function draw(state, slid) {
    const focused = held();
    const [side, kernelSide, outputSide] = sides(state, slid);
    const planes = slid?.padded ?? state.input;
    const inner = {
      top: slid?.rows.before ?? 0, left: slid?.columns.before ?? 0,
      rows: state.input[0].length, columns: state.input[0][0].length,
    };
    const inputs = planes.map((plane, c) => grid(plane, {
      label: t("gridInput", { c }), inner, most: largest(planes.flat(2)), side,
      edit: (r, x, text) => act.edit([c, r, x], text), brush: act.brush,
      enter: (r, x) => act.point("input", c, r - inner.top, x - inner.left),
    }));
    const kernels = kernelGrids(state, kernelSide);
    const outputs = (slid?.output ?? []).map((plane, k) => grid(plane, {
      label: t("gridOutput", { c: k }), most: largest(slid.output.flat(2)), side: outputSide,
      enter: (r, x) => act.point("output", k, r, x),
    }));
    const gradients = state.gradient && slid ? slid.gradient.map((plane, c) => grid(plane, {
      label: `∂ ${t("gridInput", { c })}`, most: largest(slid.gradient.flat(2)), side,
      enter: (r, x) => act.point("input", c, r, x),
    })) : [];
    const kernelBox = h("div", { class: "kernels stack" });
    element.replaceChildren(...[
      group("input", inputs), h("span", { class: "sign", "aria-hidden": "true" }, state.flip ? "∗" : "⋆"),
      h("section", { class: "group" }, h("h2", {}, t("kernel")), kernelBox),
      h("span", { class: "sign", "aria-hidden": "true" }, "="), group("output", outputs),
      gradients.length ? group("gradients", gradients) : null].filter(Boolean));
    fill(kernelBox, kernels, state);
    drawn = { inputs, kernels, outputs, inner, kernelBox, kernelSide, slid };
    refocus(focused);
  }

  function kernelGrids(state, side) {
    const weights = state.kernel.flat(3);
    return state.kernel[state.shown].map((plane, c) => grid(plane, {
      label: t("gridKernel", { c }), most: largest(weights), side,
      edit: (r, s, text) => act.kernel([state.shown, c, r, s], text),
    }));
  }

  function fill(box, kernels, state) {
    const picks = state.kernel.length > 1 ? h("div", { class: "row", role: "group", "aria-label": t("shownKernel") },
      state.kernel.map((_, k) => h("button", { type: "button", "aria-pressed": String(k === state.shown),
        "aria-label": t("gridOutput", { c: k }), onclick: () => act.shown(k) }, String(k)))) : null;
    box.replaceChildren(...[picks, ...kernels.map((one, c) => titled(one, kernels.length > 1 ? c : null))].filter(Boolean));
  }

  function group(name, grids) {
    return h("section", { class: `group ${name}` }, h("h2", {}, t(name === "gradients" ? "gradients" : name)),
      grids.map((one, c) => titled(one, grids.length > 1 ? c : null)));
  }

  const titled = (one, c) => h("div", {}, c === null ? null : h("h3", {}, t("channel", { c })), one.element);

  // Which cell of which table has the focus, so that a new drawing can give it back.
  function held() {
    const cell = document.activeElement?.closest?.(".cell");
    const table = cell?.closest(".table");
    for (const name of ["inputs", "kernels", "outputs"]) {
      const which = drawn[name].findIndex((one) => one.element === table);
      if (which >= 0) return { name, which, r: Number(cell.dataset.r), c: Number(cell.dataset.c) };
    }
    return null;
  }

  function refocus(place) {
    if (place) drawn[place.name][place.which]?.focus(place.r, place.c);
  }

  // Shows how an output comes about.
  function output(state, cell, k, y, x) {
    const { slid } = drawn;
    if (drawn.kernels.length && state.shown !== drawn.shownNow) {
      drawn.kernels = kernelGrids(state, drawn.kernelSide);
      fill(drawn.kernelBox, drawn.kernels, state);
      drawn.shownNow = state.shown;
    }
    const first = cell.terms[0].channel;
    drawn.inputs.forEach((one, c) => {
      const taps = cell.terms.filter((term) => term.channel === c);
      const marks = taps.map((term) => ({ r: term.row, c: term.column, name: "tap", note: `×${short(term.w, 2)}` }));
      const framed = { r: cell.start[0], c: cell.start[1], rows: slid.rows.extent, columns: slid.columns.extent };
      one.mark(marks, taps.length ? framed : null);
    });
    drawn.kernels.forEach((one, c) => one.mark(cell.terms.filter((term) => term.channel === first + c)
      .map((term) => ({ r: term.tap[0], c: term.tap[1], name: "tap" }))));
    drawn.outputs.forEach((one, c) => one.mark(c === k ? [{ r: y, c: x, name: "active" }] : []));
  }

  // Shows which outputs an input reaches.
  function input(cell, channel, row, column) {
    const at = { r: row + drawn.inner.top, c: column + drawn.inner.left, name: "chosen" };
    drawn.inputs.forEach((one, c) => one.mark(c === channel ? [at] : []));
    drawn.kernels.forEach((one) => one.mark([]));
    drawn.outputs.forEach((one, k) => one.mark(cell.touches.filter((touch) => touch.channel === k)
      .map((touch) => ({ r: touch.row, c: touch.column, name: "touched", note: `×${short(touch.w, 2)}` }))));
  }

  function reveal(k, last) {
    drawn.outputs.forEach((one, c) => one.reveal(c === k ? last : null));
  }

  return { element, draw, output, input, reveal };
}
