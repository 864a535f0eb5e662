// Questions to the server. Every refusal is a `Refused` with the sentence that Python said.

export class Refused extends Error {
  constructor(kind, message, status) {
    super(message);
    this.kind = kind;
    this.status = status;
  }
}

export async function ask(path, body, signal) {
  const raw = body instanceof Blob;
  const options = body === undefined ? { signal } : {
    method: "POST",
    headers: { "content-type": raw ? "application/octet-stream" : "application/json" },
    body: raw ? body : JSON.stringify(body),
    signal,
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("unreachable", "", 0);
  }
  const told = await answer.json().catch(() => null);
  if (answer.ok && told !== null) return told;
  const fault = told?.error ?? { kind: "Fault", message: `HTTP ${answer.status}` };
  throw new Refused(fault.kind, fault.message, answer.status);
}

// Returns an `ask` of which only the latest question counts: an older one is given up, and
// answers undefined.
export function latest() {
  let current = null;
  return async (path, body) => {
    current?.abort();
    const mine = (current = new AbortController());
    try {
      const told = await ask(path, body, mine.signal);
      return mine === current ? told : undefined;
    } catch (error) {
      if (error.name === "AbortError" || mine !== current) return undefined;
      throw error;
    }
  };
}

// Numbers that came as float32 in base64.
export function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}
