// One unit of the network: its window, its kernel, its sum, its receptive field.
import { button, h, short } from "./dom.js";
import { grid } from "./grid.js";
import { largest } from "./heat.js";
import { t } from "./i18n.js";

export function unitPanel(close) {
  const element = h("section", { class: "unit", id: "unit", "aria-live": "polite" });
  return {
    element,
    draw(told, unit) {
      if (!told) {
        element.replaceChildren(h("h2", {}, t("unit")), h("p", { class: "hint" }, t("unitHint")));
        return;
      }
      const [a, b] = told.rows;
      const [c, d] = told.columns;
      const field = `${t("receptive", { a, b: b - 1, c, d: d - 1 })} ${told.clipped ? t("clipped") : ""}`;
      const most = largest(told.parts.flatMap((part) => part.inputs.flat()).filter((value) => value !== null));
      const strongest = largest(told.parts.flatMap((part) => part.kernel.flat()));
      element.replaceChildren(
        h("div", { class: "row" }, h("h2", {}, t("unitAt", { n: unit.layer + 1, c: unit.channel, y: unit.row, x: unit.column })),
          button("✕", close, { class: "tool close", "aria-label": t("close") })),
        h("p", { class: "sum", id: "unit-sum" }, told.text),
        h("p", { class: "hint" }, field),
        h("div", { class: "parts" }, told.parts.map((part) => shown(part, most, strongest))));
    },
  };
}

function shown(part, most, strongest) {
  const side = part.inputs.length > 4 ? 14 : 38;
  const inputs = grid(part.inputs.map((line) => line.map((value) => value ?? 0)), { label: t("under"), most, side });
  const tables = [inputs.element];
  if (part.kernel.length) {
    const kernel = grid(part.kernel, { label: t("weights"), most: strongest, side });
    tables.push(h("span", { class: "hint", "aria-hidden": "true" }, "⋆"), kernel.element);
  }
  return h("div", { class: "part" }, h("h3", {}, t("fromMap", { c: part.channel, v: short(part.sum) })),
    h("div", { class: "row" }, tables));
}
