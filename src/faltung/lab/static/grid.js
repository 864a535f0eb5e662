// A table of numbers: coloured, walked through by keys, edited in place, marked from outside.
import { h, short } from "./dom.js";
import { warm } from "./heat.js";
import { t } from "./i18n.js";

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// Returns a grid for numbers `values`, rows of columns.
//   label    what a screen reader calls it
//   inner    {top, left, rows, columns} of what is not padding
//   most     the number that gets the strongest colour
//   side     pixels of a cell
//   edit     called with (row, column, number) of the inner part; none where it cannot be edited
//   enter    called with (row, column) for the cell under the pointer or the focus
//   brush    returns a number to draw with, or null
//   write    how a number is written in a cell
export function grid(values, { label, inner, most, side = 34, edit, enter, brush, write = short }) {
  const rows = values.length;
  const columns = values[0].length;
  const within = inner ?? { top: 0, left: 0, rows, columns };
  const cells = values.map((line, r) => line.map((value, c) => made(r, c, value)));
  const lines = cells.map((line) => h("div", { class: "line", role: "row" }, line));
  const editable = edit ? {} : { "aria-readonly": "true" };
  const table = h("div", {
    class: side < 20 ? "table fine" : "table", role: "grid", "aria-label": label,
    "aria-rowcount": String(rows), "aria-colcount": String(columns), ...editable,
  }, lines);
  table.style.setProperty("--side", `${side}px`);
  table.style.setProperty("--type", `${Math.max(9, Math.min(14, Math.round(side * 0.38)))}px`);
  cells[within.top]?.[within.left]?.setAttribute("tabindex", "0");
  let frame = null;

  function isInner(r, c) {
    const [y, x] = [r - within.top, c - within.left];
    return y >= 0 && x >= 0 && y < within.rows && x < within.columns;
  }

  function made(r, c, value) {
    const own = isInner(r, c);
    const text = side >= 20 ? write(value, side < 40 ? 2 : 3) : "";
    const where = { r: r - within.top, c: c - within.left, v: short(value) };
    const cell = h("div", {
      class: own ? "cell" : "cell pad", role: "gridcell", tabindex: "-1",
      "aria-label": t(own ? "cell" : "cellPad", where), "data-r": r, "data-c": c,
    }, text);
    const type = Math.floor((side * 1.5) / text.length);
    if (type < side * 0.38) cell.style.fontSize = `${Math.max(8, type)}px`;
    warm(cell, value, most, side < 20 ? 100 : 42);
    return cell;
  }

  const at = (event) => {
    const cell = event.target.closest?.(".cell");
    return cell ? [Number(cell.dataset.r), Number(cell.dataset.c)] : null;
  };

  function focus(r, c) {
    if (!cells[r]?.[c]) return;
    table.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    cells[r][c].setAttribute("tabindex", "0");
    cells[r][c].focus();
  }

  function open(r, c, first) {
    if (!edit || !isInner(r, c) || side < 20) return;
    const box = h("input", { type: "text", inputmode: "decimal", "aria-label": cells[r][c].getAttribute("aria-label") });
    box.value = first ?? String(values[r][c]);
    let closed = false;
    const close = (keep) => {
      if (closed) return;
      closed = true;
      const text = box.value.trim().replace("−", "-");
      box.remove();
      if (keep && text !== String(values[r][c])) edit(r - within.top, c - within.left, text);
    };
    box.onkeydown = (event) => {
      event.stopPropagation();
      if (event.key === "Enter") close(true);
      if (event.key === "Escape") close(false);
      if (event.key === "Enter" || event.key === "Escape") cells[r][c].focus();
    };
    box.onblur = () => close(true);
    cells[r][c].append(box);
    box.focus();
    if (first === undefined) box.select();
  }

  table.onkeydown = (event) => {
    const place = at(event);
    if (!place || event.ctrlKey || event.metaKey) return;
    const [r, c] = place;
    const step = STEPS[event.key];
    if (step) focus(r + step[0], c + step[1]);
    else if (event.key === "Home") focus(r, 0);
    else if (event.key === "End") focus(r, columns - 1);
    else if (event.key === "Enter" || event.key === "F2") open(r, c);
    else if (/^[-\d.]$/.test(event.key)) open(r, c, event.key);
    else return;
    event.preventDefault();
  };
  const entered = (event) => {
    const place = at(event);
    if (place) enter?.(...place);
  };
  table.addEventListener("focusin", entered);
  table.addEventListener("pointerover", entered);
  table.onpointerdown = table.onpointermove = (event) => {
    const value = brush?.();
    if (value === null || value === undefined || !(event.buttons & 1)) return;
    const under = document.elementFromPoint(event.clientX, event.clientY)?.closest?.(".cell");
    if (!under || !table.contains(under)) return;
    const [r, c] = [Number(under.dataset.r), Number(under.dataset.c)];
    if (isInner(r, c) && values[r][c] !== value) edit?.(r - within.top, c - within.left, String(value), true);
    event.preventDefault();
  };
  table.onclick = (event) => {
    const place = at(event);
    if (place && event.target.tagName !== "INPUT" && (brush?.() ?? null) === null) open(...place);
  };

  return {
    element: table,
    focus,
    rows,
    columns,
    // Marks cells [{r, c, name, note}], and frames {r, c, rows, columns} where it is given.
    mark(places, framed = null) {
      for (const line of cells) for (const cell of line) {
        cell.classList.remove("tap", "active", "touched", "chosen");
        cell.querySelector("small")?.remove();
      }
      for (const { r, c, name, note } of places) {
        const cell = cells[r]?.[c];
        if (!cell) continue;
        cell.classList.add(name);
        if (note !== undefined && side >= 32 && !cell.querySelector("small")) cell.append(h("small", {}, note));
      }
      if (!framed) {
        frame?.remove();
        frame = null;
        return;
      }
      if (!frame) table.append((frame = h("div", { class: "frame", "aria-hidden": "true" })));
      const first = cells[framed.r][framed.c];
      const last = cells[framed.r + framed.rows - 1][framed.c + framed.columns - 1];
      frame.style.left = `${first.offsetLeft - 2}px`;
      frame.style.top = `${first.offsetTop - 2}px`;
      frame.style.width = `${last.offsetLeft + last.offsetWidth - first.offsetLeft + 4}px`;
      frame.style.height = `${last.offsetTop + last.offsetHeight - first.offsetTop + 4}px`;
    },
    // Fades the cells after a place, counted row by row; null fades none.
    reveal(last) {
      cells.flat().forEach((cell, i) => cell.classList.toggle("later", last !== null && i > last));
    },
  };
}
