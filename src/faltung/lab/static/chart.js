// Curves over axes, linear or logarithmic, as a drawing that stays sharp.
import { svg } from "./dom.js";

const WIDE = { width: 520, height: 300, left: 56, right: 14, top: 26, bottom: 40 };
const NARROW = { ...WIDE, width: 330, height: 230 }; // letters keep their size on a phone

// Returns {element, x, y}: an empty chart and the places of numbers on it.
//   across, up   {low, high, log, ticks, name}
export function chart(across, up, label) {
  const box = window.innerWidth < 600 ? NARROW : WIDE;
  const x = scale(across, box.left, box.width - box.right);
  const y = scale(up, box.height - box.bottom, box.top);
  const element = svg("svg", { class: "chart", viewBox: `0 0 ${box.width} ${box.height}`, role: "img", "aria-label": label });
  for (const tick of up.ticks) {
    element.append(svg("line", { class: "tickline", x1: box.left, x2: box.width - box.right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: box.left - 6, y: y(tick) + 4, "text-anchor": "end" }, written(tick)));
  }
  for (const tick of across.ticks) {
    element.append(svg("text", { x: x(tick), y: box.height - box.bottom + 16, "text-anchor": "middle" }, written(tick)));
  }
  element.append(
    svg("path", { class: "axis", d: `M${box.left} ${box.top}V${box.height - box.bottom}H${box.width - box.right}` }),
    svg("text", { x: box.width - box.right, y: box.height - 6, "text-anchor": "end" }, across.name),
    svg("text", { x: 4, y: 11 }, up.name));
  return { element, x, y };
}

function scale({ low, high, log }, from, to) {
  const place = log ? Math.log10 : (value) => value;
  const [a, b] = [place(low), place(high)];
  return (value) => from + (to - from) * ((place(Math.max(value, log ? 1e-300 : -Infinity)) - a) / (b - a || 1));
}

function written(value) {
  const size = Math.abs(value);
  const plain = size === 0 || (size < 1e5 && size >= 1e-3);
  return plain ? String(Number(value.toPrecision(3))).replace("-", "−") : `10${raised(Math.round(Math.log10(size)))}`;
}

function raised(power) {
  return String(power).replace("-", "⁻").replaceAll(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
}

export function line(points, { x, y }, name = "line") {
  const path = points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
  return svg("path", { class: name, d: path || "M0 0" });
}

// Powers of ten that a range touches, so that it lies between the first and the last.
export function decades(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const every = Math.max(1, Math.ceil((last - first) / 8));
  const ticks = [];
  for (let power = first; power <= last; power += every) ticks.push(10 ** power);
  return ticks;
}

// About six round numbers from low to high.
export function rounds(low, high) {
  const raw = (high - low || 1) / 6;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step / 1e6; tick += step) ticks.push(Number(tick.toFixed(10)));
  return ticks;
}
