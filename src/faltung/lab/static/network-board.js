// The drawing board: ink from mouse, finger or keys; a receptive field and a gradient over it.
import { unpacked } from "./api.js";
import { button, field, h } from "./dom.js";
import { ink, largest, paint, palette } from "./heat.js";
import { t } from "./i18n.js";

const SIZE = 64; // pixels of a side, as the server takes it
const STEP = 2; // pixels that a key moves
const POINTS = 4000; // of all strokes; the oldest are forgotten

// Returns a board. `changed({strokes, sample, pen})` is called whenever the ink has changed.
export function board(given, { changed }) {
  let { strokes, sample, pen } = given;
  let images = [];
  let cursor = { x: SIZE / 2, y: SIZE / 2, down: false, stroke: null };
  const sheet = h("canvas", { width: SIZE, height: SIZE, "aria-hidden": "true" });
  const shown = h("canvas", { "aria-hidden": "true" });
  const veil = h("canvas", { class: "lens", hidden: true, "aria-hidden": "true" });
  const box = h("div", { class: "mark-box", hidden: true });
  const dot = h("div", { class: "cursor", hidden: true });
  const spoken = h("span", { class: "unseen", "aria-live": "polite" });
  const area = h("div", {
    class: "board", id: "board", tabindex: "0", role: "application", "aria-label": t("drawing"), "aria-describedby": "board-hint",
  }, shown, veil, box, dot);
  const width = h("input", { type: "range", min: "2", max: "12", oninput: () => { pen = Number(width.value); told(); } });
  width.value = pen;
  const thumbs = h("div", { class: "row", role: "group", "aria-label": t("samples") });
  const element = h("div", { class: "stack" }, area, spoken, h("p", { class: "hint", id: "board-hint" }, t("drawHint")),
    h("div", { class: "pair" }, field(t("pen"), width), button(t("clear"), clear, { id: "clear" })),
    h("h3", {}, t("samples")), thumbs);
  const context = sheet.getContext("2d", { willReadFrequently: true });

  // Draws all ink anew, and tells it.
  function told() {
    draw();
    changed({ strokes, sample, pen });
  }

  function draw() {
    context.globalCompositeOperation = "source-over";
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIZE, SIZE);
    if (images[sample]) enlarged(images[sample].image);
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineCap = context.lineJoin = "round";
    for (const [wide, ...points] of strokes) {
      context.lineWidth = wide;
      context.beginPath();
      context.moveTo(points[0], points[1]);
      for (let i = 0; i < points.length; i += 2) context.lineTo(points[i], points[i + 1] + (points.length === 2 ? 0.01 : 0));
      context.stroke();
    }
    ink(shown, pixels(), SIZE, SIZE, palette());
  }

  function enlarged(image) {
    const small = document.createElement("canvas");
    ink(small, image.flat(), image.length, image[0].length, { paper: [0, 0, 0], ink: [255, 255, 255] });
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, SIZE, SIZE);
  }

  function pixels() {
    const { data } = context.getImageData(0, 0, SIZE, SIZE);
    return Uint8Array.from({ length: SIZE * SIZE }, (_, i) => data[4 * i]);
  }

  function begin(x, y) {
    while (strokes.flat().length > POINTS) strokes = strokes.slice(1);
    strokes = [...strokes, [pen, x, y]];
  }

  function extend(x, y) {
    const last = strokes.at(-1);
    if (last.at(-2) === x && last.at(-1) === y) return;
    strokes = [...strokes.slice(0, -1), [...last, x, y]];
    told();
  }

  function clear() {
    strokes = [];
    sample = -1;
    cursor.down = false;
    dot.classList.remove("down");
    told();
  }

  const place = (event) => {
    const frame = area.getBoundingClientRect();
    const at = (value) => Math.round(10 * Math.max(0, Math.min(SIZE, value))) / 10;
    return [at((event.clientX - frame.left) * SIZE / frame.width), at((event.clientY - frame.top) * SIZE / frame.height)];
  };
  area.onpointerdown = (event) => {
    area.setPointerCapture(event.pointerId);
    dot.hidden = true;
    begin(...place(event));
    told();
  };
  area.onpointermove = (event) => {
    if (!(event.buttons & 1) || !area.hasPointerCapture(event.pointerId)) return;
    extend(...place(event));
  };

  area.onkeydown = (event) => {
    const [x, y] = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key] ?? [0, 0];
    if (x || y) {
      cursor.x = Math.max(0, Math.min(SIZE, cursor.x + STEP * x));
      cursor.y = Math.max(0, Math.min(SIZE, cursor.y + STEP * y));
      if (cursor.down) extend(cursor.x, cursor.y);
    } else if (event.key === " ") {
      cursor.down = !cursor.down;
      spoken.textContent = t(cursor.down ? "penDown" : "penUp");
      if (cursor.down) {
        begin(cursor.x, cursor.y);
        told();
      }
    } else if (event.key === "Delete" || event.key === "Backspace") clear();
    else return;
    event.preventDefault();
    dot.hidden = false;
    dot.classList.toggle("down", cursor.down);
    dot.style.left = `${(100 * cursor.x) / SIZE}%`;
    dot.style.top = `${(100 * cursor.y) / SIZE}%`;
  };

  const part = (value) => `${(100 * value) / SIZE}%`;

  return {
    element,
    samples(found) {
      images = found;
      const colours = palette();
      thumbs.replaceChildren(...found.map((one, i) => {
        const canvas = h("canvas");
        ink(canvas, one.image.flat(), one.image.length, one.image[0].length, colours);
        const choose = () => { sample = i; strokes = []; told(); };
        return h("button", { type: "button", class: "thumb", "aria-label": t("in_digit", { name: one.name }), onclick: choose }, canvas);
      }));
      draw();
    },
    // The ink as the server takes it: a byte a pixel, in base64.
    bytes() {
      return btoa(Array.from(pixels(), (byte) => String.fromCharCode(byte)).join(""));
    },
    // Frames the receptive field of a unit.
    mark(unit) {
      box.hidden = !unit;
      if (!unit) return;
      const [top, bottom] = unit.down.map((y) => Math.max(0, Math.min(SIZE, y)));
      const [left, right] = unit.across.map((x) => Math.max(0, Math.min(SIZE, x)));
      Object.assign(box.style, { top: part(top), left: part(left), height: part(bottom - top), width: part(right - left) });
    },
    // Lays the gradient of the network's picture over the drawing, where that picture lies.
    lens(told) {
      veil.hidden = !told?.gradient;
      if (veil.hidden) return;
      const [rows, columns] = [told.image.length, told.image[0].length];
      const values = unpacked(told.gradient);
      paint(veil, values, rows, columns, largest(values), palette(), { clear: true });
      const { top, left, down, across } = told.placing;
      Object.assign(veil.style, { top: part(top), left: part(left), height: part(rows * down), width: part(columns * across) });
    },
  };
}
