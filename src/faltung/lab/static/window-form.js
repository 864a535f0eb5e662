// The settings of the window view: where the input and the kernel come from, and the layer.
import { ask } from "./api.js";
import { choice, field, h, number, tick } from "./dom.js";
import { t } from "./i18n.js";
import {
  CHANNELS, INPUTS, KERNELS, MODES, RULES, SIDE, TAPS, withInput, withKernel, withTable,
} from "./window-state.js";

const counted = (value, most) => (Number.isInteger(value) && value >= 1 && value <= most ? value : null);

// Returns the settings. `held()` is the state now, `change(state)` takes a new one, `fail(error)`
// shows a refusal.
export function form(held, { change, fail, digits, brush }) {
  return h("div", { class: "panel stack settings" },
    inputs(held, change, fail, digits, brush), kernels(held, change, fail), layer(held, change));
}

function size(text, value, most, act) {
  const told = (given) => counted(given, most) !== null && act(given);
  return field(text, number(value, told, { min: "1", max: String(most), step: "1" }));
}

function inputs(held, change, fail, digits, brush) {
  const state = held();
  const pairs = [
    ...Object.keys(INPUTS).map((name) => [name, t(name)]),
    ...digits.map((digit, i) => [`digit-${i}`, t("in_digit", { name: digit.name })]),
    ["in_photo", t("in_photo")], ["own", t("own")],
  ];
  const taken = (input, source) => change(withKernel({ ...held(), input, source }, {}));
  const chosen = (source) => {
    if (source in INPUTS) taken(INPUTS[source](), source);
    else if (source.startsWith("digit-")) taken([digits[Number(source.slice(6))].image], source);
    else change({ ...held(), source });
  };
  const [plane] = state.input;
  const drawing = h("div", { class: "row" },
    tick(t("brush"), brush.on, (on) => { brush.on = on; }),
    number(brush.value, (value) => { brush.value = Number(value) || 0; }, { "aria-label": t("brushValue"), class: "narrow" }));
  return h("fieldset", {}, h("legend", {}, t("input")),
    field(t("source"), choice(pairs, state.source, chosen)),
    state.source === "in_photo" ? photo(taken, fail) : null,
    h("div", { class: "three" },
      size(t("height"), plane.length, SIDE, (rows) => change(withInput(held(), { rows }))),
      size(t("width"), plane[0].length, SIDE, (columns) => change(withInput(held(), { columns }))),
      size(t("channels"), state.input.length, CHANNELS, (channels) => change(withInput(held(), { channels })))),
    drawing, h("p", { class: "hint" }, t("hintEdit")));
}

function photo(taken, fail) {
  const side = number(16, () => {}, { min: "2", max: String(SIDE), step: "1" });
  const colour = h("input", { type: "checkbox" });
  const file = h("input", { type: "file", accept: "image/*" });
  file.onchange = async () => {
    const [content] = file.files;
    if (!content) return;
    try {
      const asked = new URLSearchParams({ side: side.value, colour: String(colour.checked) });
      const told = await ask(`/api/photo?${asked}`, content);
      taken(told.input, "own");
    } catch (error) {
      fail(error);
    }
  };
  return h("div", { class: "stack" }, field(t("photoFile"), file),
    h("div", { class: "pair" }, field(t("photoSide"), side), h("label", { class: "tick" }, colour, t("photoColour"))));
}

function kernels(held, change, fail) {
  const state = held();
  const pairs = [...Object.keys(KERNELS).map((name) => [name, t(name)]), ["own", t("own")]];
  const [[plane]] = state.kernel;
  const set = (preset) => change(preset === "own" ? { ...held(), preset } : { ...withTable(held(), KERNELS[preset]()), preset });
  const grown = (more) => change({ ...withKernel(held(), more), preset: "own" });
  const text = h("input", { type: "text", placeholder: t("typedHint"), maxlength: "200" });
  const typed = async () => {
    try {
      const table = await ask("/api/matrix", { text: text.value });
      change({ ...withTable(held(), table), preset: "own" });
    } catch (error) {
      fail(error);
    }
  };
  text.onchange = typed;
  return h("fieldset", {}, h("legend", {}, t("kernel")),
    field(t("source"), choice(pairs, state.preset, set)),
    field(t("typed"), text),
    h("div", { class: "three" },
      size(t("kernelRows"), plane.length, TAPS, (rows) => grown({ rows })),
      size(t("kernelColumns"), plane[0].length, TAPS, (columns) => grown({ columns })),
      size(t("outputs"), state.kernel.length, CHANNELS, (outputs) => grown({ outputs }))));
}

function layer(held, change) {
  const state = held();
  const rules = ["p_number", "p_pair", "p_sides"].map((name) => [name, t(name)]);
  const named = RULES.map((name) => [name, name]);
  const set = (name, place) => (value) => {
    const now = [...held()[name]];
    now[place] = value;
    change({ ...held(), [name]: now });
  };
  const both = (name) => h("div", { class: "pair" },
    field(t(`${name}Down`), number(state[name][0], set(name, 0), { step: "1" })),
    field(t(`${name}Across`), number(state[name][1], set(name, 1), { step: "1" })));
  const pads = { p_number: [["each", 0]], p_pair: [["height", 0], ["width", 2]],
    p_sides: [["top", 0], ["bottom", 1], ["left", 2], ["right", 3]] }[state.rule] ?? [];
  const numbers = pads.map(([name, place]) => field(t(name), number(state.pad[place], set("pad", place), { step: "1" })));
  return h("fieldset", {}, h("legend", {}, t("layerGroup")),
    h("div", { class: "pair" },
      field(t("padding"), choice([...rules, ...named], state.rule, (rule) => change({ ...held(), rule }))),
      field(t("mode"), choice(MODES.map((name) => [name, t(`m_${name}`)]), state.padding_mode,
        (padding_mode) => change({ ...held(), padding_mode })))),
    numbers.length ? h("div", { class: numbers.length > 2 ? "four" : "pair" }, numbers) : null,
    both("stride"), both("dilation"),
    field(t("groups"), number(state.groups, (groups) => change(withKernel({ ...held(), groups }, {})), { step: "1" })),
    tick(t("strict"), state.flip, (flip) => change({ ...held(), flip })));
}
