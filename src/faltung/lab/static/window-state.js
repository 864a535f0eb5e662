// What the window view shows, as plain data, and changes of its tables.

export const RULES = ["valid", "same", "same_upper", "same_lower", "full"];
export const MODES = ["zeros", "reflect", "replicate", "circular"];
export const SIDE = 32;
export const CHANNELS = 4;
export const TAPS = 11;

export const DEFAULT = {
  input: [[[0, 1, 2], [3, 4, 5], [6, 7, 8]]], source: "in_small",
  kernel: [[[[0, 1], [2, 3]]]], preset: "k_seed",
  rule: "p_number", pad: [0, 0, 0, 0], padding_mode: "zeros",
  stride: [1, 1], dilation: [1, 1], groups: 1, flip: false,
  shown: 0, at: 0, speed: 3, gradient: false,
};

const filled = (table, depth) => Array.isArray(table) && table.length > 0
  && table.every((part) => (depth === 1 ? typeof part === "number" : filled(part, depth - 1) && part.length === table[0].length));

// Says whether a state out of an address can be shown; what the numbers mean, the server judges.
export const showable = ({ input, kernel, pad, stride, dilation, shown, at }) =>
  filled(input, 3) && filled(kernel, 4) && pad.length === 4 && stride.length === 2 && dilation.length === 2
  && [shown, at].every((place) => Number.isInteger(place) && place >= 0) && shown < kernel.length;

const rounded = (low, high) => Math.floor(Math.random() * (high - low + 1)) + low;
export const made = (rows, columns, value) =>
  Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, c) => value(r, c)));

export const INPUTS = {
  in_small: () => [made(3, 3, (r, c) => 3 * r + c)],
  in_edge: () => [made(6, 8, (_, c) => (c > 1 && c < 6 ? 0 : 1))],
  in_random: () => [made(6, 6, () => rounded(-3, 9))],
  in_ramp: () => [made(5, 5, (r) => r), made(5, 5, (_, c) => c), made(5, 5, (r, c) => ((r + c) % 2 ? -1 : 1))],
};

export const KERNELS = {
  k_seed: () => [[0, 1], [2, 3]],
  k_edge: () => [[1, -1]],
  k_sobel: () => [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
  k_laplace: () => [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
  k_blur: () => made(3, 3, () => 1 / 9),
  k_sharp: () => [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
  k_one: () => [[1]],
  k_random: () => made(3, 3, () => rounded(-2, 2)),
};

// The padding as Python takes it.
export function padding(state) {
  const [top, bottom, left, right] = state.pad;
  if (state.rule === "p_number") return top;
  if (state.rule === "p_pair") return [top, left];
  if (state.rule === "p_sides") return [[top, bottom], [left, right]];
  return state.rule;
}

// The question that the server answers.
export function problem(state) {
  const { input, kernel, padding_mode, stride, dilation, groups, flip } = state;
  return { input, kernel, padding: padding(state), padding_mode, stride, dilation, groups, flip };
}

const resized = (plane, rows, columns) => made(rows, columns, (r, c) => plane[r]?.[c] ?? 0);

export function withInput(state, { rows, columns, channels }) {
  const [first] = state.input;
  const size = [rows ?? first.length, columns ?? first[0].length];
  const count = channels ?? state.input.length;
  const input = Array.from({ length: count }, (_, c) => resized(state.input[c] ?? first, ...size));
  return withKernel({ ...state, input, source: "own" }, {});
}

// Kernels of another number or size; each has as many channels as a group of the input.
export function withKernel(state, { rows, columns, outputs }) {
  const [[first]] = state.kernel;
  const size = [rows ?? first.length, columns ?? first[0].length];
  const groups = Number.isInteger(state.groups) && state.groups > 0 ? state.groups : 1;
  const reads = Math.max(1, Math.floor(state.input.length / groups));
  const kernel = Array.from({ length: outputs ?? state.kernel.length }, (_, k) => {
    const held = state.kernel[k] ?? state.kernel[0];
    return Array.from({ length: reads }, (_, c) => resized(held[c] ?? held[0], ...size));
  });
  return { ...state, kernel, shown: Math.min(state.shown, kernel.length - 1), at: 0 };
}

// Puts one table into all channels of the kernel that is shown.
export function withTable(state, table) {
  const grown = withKernel(state, { rows: table.length, columns: table[0].length });
  const kernel = grown.kernel.map((held, k) => (k === grown.shown ? held.map(() => table.map((line) => [...line])) : held));
  return { ...grown, kernel };
}

export function edited(planes, place, value) {
  const [first, ...rest] = place;
  return planes.map((part, i) => {
    if (i !== first) return part;
    return rest.length ? edited(part, rest, value) : value;
  });
}
