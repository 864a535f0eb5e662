// Every layer's feature maps, what the network sees, and the probabilities.
import { unpacked } from "./api.js";
import { h, percent, short } from "./dom.js";
import { ink, largest, paint, palette } from "./heat.js";
import { t } from "./i18n.js";

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const share = (value, whole) => `${(100 * value) / whole}%`;

export function seen() {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const box = h("div", { class: "mark-box", hidden: true });
  const element = h("div", { class: "seen", role: "img", "aria-label": t("sees"), title: t("sees") }, canvas, box);
  return {
    element,
    draw(told) {
      ink(canvas, told.image.flat(), told.image.length, told.image[0].length, palette());
      box.hidden = true;
    },
    mark(unit, size) {
      const [top, bottom] = unit.rows.map((y) => Math.max(0, Math.min(size, y)));
      const [left, right] = unit.columns.map((x) => Math.max(0, Math.min(size, x)));
      box.hidden = false;
      Object.assign(box.style, {
        top: share(top, size), left: share(left, size), height: share(bottom - top, size), width: share(right - left, size),
      });
    },
  };
}

export function bars(choose) {
  const element = h("div", { class: "bars", id: "probabilities" });
  return {
    element,
    draw(classes, told, best) {
      if (element.children.length !== classes.length) {
        element.replaceChildren(...classes.map((name) => h("button", { type: "button", class: "bar", onclick: () => choose(name) },
          h("span", {}, name), h("span", { class: "track" }, h("div", { class: "fill" })), h("span", {}))));
      }
      classes.forEach((name, i) => {
        const bar = element.children[i];
        const text = percent(told.probabilities[i]);
        bar.classList.toggle("best", told.drawn && i === best);
        bar.setAttribute("aria-label", t("probability", { name, share: text }));
        bar.querySelector(".fill").style.width = `${100 * told.probabilities[i]}%`;
        bar.lastChild.textContent = text;
      });
    },
  };
}

export function strips(choose) {
  const element = h("div", { id: "layers" });
  let shapes = "";
  let held = [];

  function build(layers, classes) {
    held = layers.map((layer, n) => {
      const [channels, rows, columns] = layer.shape;
      const count = Math.min(channels, 64);
      const maps = Array.from({ length: count }, (_, c) => made(layer, n, c, rows, columns, classes));
      const [r, s] = layer.window;
      const label = h("div", {}, h("h2", {}, `${n + 1} · ${t(layer.kind, { r, s })}`),
        h("p", { class: "hint" }, `${t("maps", { n: channels, h: rows, w: columns })}, ${t("fieldOf", { n: layer.field })}`));
      const more = channels > count ? h("span", { class: "hint" }, t("more", { n: channels - count })) : null;
      const strip = h("div", { class: "strip", role: "group", "aria-label": t("layer", { n: n + 1, kind: t(layer.kind, { r, s }) }) }, maps, more);
      return { element: h("div", { class: "layer" }, label, strip), maps };
    });
    element.replaceChildren(...held.map((one) => one.element));
  }

  function made(layer, n, c, rows, columns, classes) {
    const one = layer.kind === "linear";
    const label = one ? t("score", { name: classes[c] }) : t("map", { c, n: n + 1 });
    const map = h("button", { type: "button", class: one ? "map one" : "map", "aria-label": label, title: label },
      h("canvas", { "aria-hidden": "true" }), h("div", { class: "mark-box", hidden: true }));
    let at = [Math.floor(rows / 2), Math.floor(columns / 2)];
    const pick = () => choose({ layer: n, channel: c, row: at[0], column: at[1] });
    map.onclick = (event) => {
      const frame = map.getBoundingClientRect();
      if (event.detail > 0) {
        at = [Math.min(rows - 1, Math.max(0, Math.floor((event.clientY - frame.top) * rows / frame.height))),
          Math.min(columns - 1, Math.max(0, Math.floor((event.clientX - frame.left) * columns / frame.width)))];
      }
      pick();
    };
    map.onkeydown = (event) => {
      const step = STEPS[event.key];
      if (!step) return;
      at = [Math.min(rows - 1, Math.max(0, at[0] + step[0])), Math.min(columns - 1, Math.max(0, at[1] + step[1]))];
      event.preventDefault();
      pick();
    };
    return map;
  }

  function box(map, top, left, height, width, rows, columns) {
    const frame = map.querySelector(".mark-box");
    frame.hidden = false;
    Object.assign(frame.style, {
      top: share(Math.max(0, top), rows), left: share(Math.max(0, left), columns),
      height: share(Math.min(rows, top + height) - Math.max(0, top), rows),
      width: share(Math.min(columns, left + width) - Math.max(0, left), columns),
    });
  }

  let layersNow = [];
  return {
    element,
    draw(layers, gradient, classes, unit) {
      const now = JSON.stringify(layers.map((layer) => layer.shape));
      if (now !== shapes) build(layers, classes);
      shapes = now;
      layersNow = layers;
      const colours = palette();
      layers.forEach((layer, n) => {
        const text = gradient ? layer.gradient : layer.values;
        const [, rows, columns] = layer.shape;
        const values = text === null ? new Float32Array(held[n].maps.length * rows * columns) : unpacked(text);
        const most = largest(values);
        held[n].maps.forEach((map, c) => {
          const own = values.subarray(c * rows * columns, (c + 1) * rows * columns);
          paint(map.querySelector("canvas"), own, rows, columns, most, colours);
          map.querySelector(".mark-box").hidden = true;
          if (layer.kind === "linear") map.title = `${t("score", { name: classes[c] })}: ${short(own[0])}`;
        });
      });
      if (unit) this.chosen(unit);
    },
    chosen(unit) {
      const [, rows, columns] = layersNow[unit.layer]?.shape ?? [];
      const map = held[unit.layer]?.maps[unit.channel];
      if (map) box(map, unit.row, unit.column, 1, 1, rows, columns);
    },
    // Frames the window of a unit on the maps that it reads.
    window(told, unit) {
      const before = layersNow[unit.layer - 1];
      if (!before) return;
      const [top, left, height, width] = told.window;
      for (const part of told.parts) {
        const map = held[unit.layer - 1].maps[part.channel];
        if (map) box(map, top, left, height, width, before.shape[1], before.shape[2]);
      }
    },
  };
}
