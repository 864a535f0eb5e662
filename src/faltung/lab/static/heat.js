// Colours of numbers: blue for positive, red for negative, stronger for larger.

export function largest(values) {
  let most = 0;
  for (const value of values) if (Math.abs(value) > most) most = Math.abs(value);
  return most;
}

// Colours one cell; `strength` is what the largest number gets, in percent.
export function warm(cell, value, most, strength) {
  const share = most > 0 && Number.isFinite(value) ? Math.min(Math.abs(value) / most, 1) : 0;
  cell.style.setProperty("--heat", `${(share * strength).toFixed(1)}%`);
  cell.style.setProperty("--hue", value < 0 ? "var(--negative)" : "var(--positive)");
}

function rgb(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16));
}

// The colours of the theme that is on; read once for many maps.
export function palette() {
  return { paper: rgb("--panel"), positive: rgb("--positive"), negative: rgb("--negative"), ink: rgb("--ink") };
}

// Paints a map of numbers on a canvas, a pixel a number. `clear` lets zero shine through.
export function paint(canvas, values, rows, columns, most, colours, { clear = false } = {}) {
  canvas.width = columns;
  canvas.height = rows;
  const picture = new ImageData(columns, rows);
  for (let i = 0; i < rows * columns; i += 1) {
    const share = most > 0 ? Math.min(Math.abs(values[i]) / most, 1) : 0;
    const hue = values[i] < 0 ? colours.negative : colours.positive;
    for (let c = 0; c < 3; c += 1) {
      picture.data[4 * i + c] = clear ? hue[c] : colours.paper[c] + (hue[c] - colours.paper[c]) * share;
    }
    picture.data[4 * i + 3] = clear ? 220 * Math.sqrt(share) : 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// Paints bytes of ink, bright where there is much in the dark theme, dark in the light one.
export function ink(canvas, bytes, rows, columns, colours) {
  canvas.width = columns;
  canvas.height = rows;
  const picture = new ImageData(columns, rows);
  for (let i = 0; i < rows * columns; i += 1) {
    for (let c = 0; c < 3; c += 1) {
      const share = bytes[i] / 255;
      picture.data[4 * i + c] = colours.paper[c] + (colours.ink[c] - colours.paper[c]) * share;
    }
    picture.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}
