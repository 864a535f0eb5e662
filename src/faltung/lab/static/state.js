// The state of a view as a part of the page's address, so that a link restores it.

export function written(view, state) {
  const bytes = new TextEncoder().encode(JSON.stringify(state));
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return `#${view}=${btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}

// Returns {view, state}; state is null where the address holds none that can be read.
export function read(hash) {
  const [view, text] = hash.replace(/^#/, "").split("=", 2);
  if (!text) return { view, state: null };
  try {
    const raw = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
    const state = JSON.parse(new TextDecoder().decode(bytes));
    return { view, state: state !== null && typeof state === "object" ? state : null };
  } catch {
    return { view, state: null };
  }
}

// What the browser remembers of this user: language and theme. It may refuse to.
export function remembered(name) {
  try {
    return localStorage.getItem(`faltung-${name}`);
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`faltung-${name}`, value);
  } catch {
    // then it is asked anew at the next visit
  }
}

// Takes from a state out of an address only what has the shape of the default beside it.
export function merged(defaults, given) {
  const taken = { ...defaults };
  for (const name of Object.keys(defaults)) {
    const value = given?.[name];
    if (value === undefined) continue;
    const like = defaults[name];
    if (like === null || (typeof value === typeof like && Array.isArray(value) === Array.isArray(like))) {
      taken[name] = value;
    }
  }
  return taken;
}
