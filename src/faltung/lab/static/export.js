// What a view shows, as SVG or PNG: the page's boxes, texts and pictures, drawn where they stand.
import { svg } from "./dom.js";

const LEFT_OUT = "input, select, .tool, option, .unseen, [hidden], .settings";
const MARGIN = 16;
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const known = new Map();

// Any colour that CSS knows, as [#rrggbb, opacity].
function plain(colour) {
  if (!known.has(colour)) {
    canvas.canvas.width = canvas.canvas.height = 1;
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    const hex = [r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("");
    known.set(colour, [`#${hex}`, a / 255]);
  }
  return known.get(colour);
}

// Returns the view as an SVG element that needs no style sheet.
export function drawn(main) {
  const view = main.querySelector("[data-figure]") ?? main.firstElementChild;
  const box = view.getBoundingClientRect();
  const area = { left: box.left - MARGIN, top: box.top - MARGIN };
  const [width, height] = [Math.ceil(box.width + 2 * MARGIN), Math.ceil(box.height + 2 * MARGIN)];
  const root = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` });
  const [paper] = plain(getComputedStyle(document.body).backgroundColor);
  root.append(svg("rect", { width: "100%", height: "100%", fill: paper }));
  walk(view, root, area, 1);
  return root;
}

function walk(element, root, area, above) {
  if (element.matches(LEFT_OUT)) return;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  if (style.display === "none" || style.visibility === "hidden") return;
  const opacity = above * Number(style.opacity);
  const place = { x: box.left - area.left, y: box.top - area.top, width: box.width, height: box.height };
  if (element instanceof SVGElement) {
    root.append(styled(element, place));
    return;
  }
  boxed(root, style, place, opacity);
  if (element instanceof HTMLCanvasElement) {
    const picture = { ...place, href: element.toDataURL(), preserveAspectRatio: "none", opacity };
    root.append(svg("image", { ...picture, "image-rendering": "pixelated" }));
    return;
  }
  for (const child of element.childNodes) {
    if (child instanceof Element) walk(child, root, area, opacity);
    else if (child.nodeType === Node.TEXT_NODE) lettered(child, style, root, area, opacity);
  }
}

function boxed(root, style, place, opacity) {
  const [fill, filled] = plain(style.backgroundColor);
  const wide = Number.parseFloat(style.borderTopWidth);
  const [stroke, stroked] = plain(style.borderTopColor);
  const lined = wide > 0 && stroked > 0 && style.borderTopStyle !== "none";
  const inset = /inset/.test(style.boxShadow) ? /^(.*?) 0px 0px 0px ([\d.]+)px inset/.exec(style.boxShadow) : null;
  if (filled > 0 || lined) {
    root.append(svg("rect", {
      ...place, rx: Number.parseFloat(style.borderTopLeftRadius) || 0, opacity,
      fill: filled > 0 ? fill : "none", "fill-opacity": filled,
      ...(lined ? { stroke, "stroke-width": wide, "stroke-dasharray": style.borderTopStyle === "dashed" ? "3 2" : "none" } : {}),
    }));
  }
  if (inset) {
    const thick = Number(inset[2]);
    root.append(svg("rect", {
      x: place.x + thick / 2, y: place.y + thick / 2, width: place.width - thick, height: place.height - thick,
      fill: "none", stroke: plain(inset[1])[0], "stroke-width": thick, opacity,
    }));
  }
}

// Draws a text, a piece for each line that the page broke it into.
function lettered(node, style, root, area, opacity) {
  const text = node.textContent;
  if (!text.trim()) return;
  const range = document.createRange();
  let begin = 0;
  let line = null;
  const put = (end) => {
    const piece = text.slice(begin, end).replace(/\s+/g, " ");
    if (!line || !piece.trim()) return;
    const size = Number.parseFloat(style.fontSize);
    root.append(svg("text", {
      x: line.left - area.left, y: line.top - area.top + (line.height + size * 0.72) / 2, fill: plain(style.color)[0],
      "font-size": size, "font-family": style.fontFamily, "font-weight": style.fontWeight, opacity,
      textLength: line.right - line.left, lengthAdjust: "spacingAndGlyphs",
    }, piece.trim()));
  };
  for (let i = 0; i < text.length; i += 1) {
    range.setStart(node, i);
    range.setEnd(node, i + 1);
    const box = range.getClientRects()[0];
    if (!box || box.width === 0) continue;
    if (line && box.top < line.bottom - 2 && box.left >= line.left) {
      if (text[i].trim()) line = { ...line, right: Math.max(line.right, box.right) };
      continue;
    }
    put(i);
    begin = i;
    line = { left: box.left, right: box.right, top: box.top, bottom: box.bottom, height: box.height };
  }
  put(text.length);
}

// Copies a drawing of the page with its computed colours written into it.
function styled(element, place) {
  const copy = element.cloneNode(true);
  const pairs = [[element, copy], ...zipped(element.querySelectorAll("*"), copy.querySelectorAll("*"))];
  for (const [from, to] of pairs) {
    const style = getComputedStyle(from);
    for (const name of ["fill", "stroke"]) {
      if (style[name] !== "none") {
        const [colour, opacity] = plain(style[name]);
        to.setAttribute(name, colour);
        if (opacity < 1) to.setAttribute(`${name}-opacity`, opacity);
      } else to.setAttribute(name, "none");
    }
    for (const name of ["stroke-width", "font-size", "font-family", "font-weight", "text-anchor", "opacity", "stroke-dasharray"]) {
      to.setAttribute(name, style.getPropertyValue(name));
    }
    to.removeAttribute("class");
  }
  for (const [name, value] of Object.entries(place)) copy.setAttribute(name, value);
  return copy;
}

const zipped = (left, right) => Array.from(left, (one, i) => [one, right[i]]);

// Saves a view; returns the name of the file.
export async function saveAs(kind, view, name) {
  const picture = drawn(view);
  const text = new XMLSerializer().serializeToString(picture);
  const flat = new Blob([text], { type: "image/svg+xml" });
  const file = `${name}.${kind}`;
  offered(kind === "svg" ? flat : await rastered(flat, picture), file);
  return file;
}

async function rastered(flat, picture) {
  const source = URL.createObjectURL(flat);
  try {
    const image = new Image();
    image.src = source;
    await image.decode();
    const sheet = document.createElement("canvas");
    sheet.width = 2 * picture.width.baseVal.value;
    sheet.height = 2 * picture.height.baseVal.value;
    sheet.getContext("2d").drawImage(image, 0, 0, sheet.width, sheet.height);
    return await new Promise((resolve, reject) => {
      sheet.toBlob((blob) => (blob ? resolve(blob) : reject(new Error(`${sheet.width} × ${sheet.height}`))));
    });
  } finally {
    URL.revokeObjectURL(source);
  }
}

function offered(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
