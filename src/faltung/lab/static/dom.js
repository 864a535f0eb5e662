// Elements made in one expression: h("button", {class: "main", onclick: act}, "Start").

export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean" && name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

let made = 0;

// A label above a control.
export function field(text, control) {
  control.id ||= `field-${(made += 1)}`;
  return h("div", { class: "field" }, h("label", { for: control.id }, text), control);
}

export function tick(text, checked, act) {
  const box = h("input", { type: "checkbox", checked, onchange: () => act(box.checked) });
  return h("label", { class: "tick" }, box, text);
}

// A choice among pairs [value, text].
export function choice(pairs, value, act, label) {
  const box = h("select", { onchange: () => act(box.value), "aria-label": label });
  for (const [name, text] of pairs) box.append(h("option", { value: name }, text));
  box.value = value;
  return box;
}

// A number that is told as soon as it changes; what is no number is told as text.
export function number(value, act, more = {}) {
  const told = () => {
    const text = box.value.trim();
    act(text !== "" && Number.isFinite(Number(text)) ? Number(text) : text);
  };
  const box = h("input", { type: "number", step: "any", inputmode: "decimal", oninput: told, ...more });
  box.value = value;
  return box;
}

export function button(text, act, more = {}) {
  return h("button", { type: "button", onclick: act, ...more }, text);
}

// A number as it fits a small cell; only its writing changes.
export function short(value, digits = 3) {
  if (value === null || value === undefined) return "";
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value).replace("-", "−");
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}

export const percent = (share) => `${(100 * share).toFixed(1)} %`;
