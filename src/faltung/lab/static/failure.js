// A refusal on the page: the kind of the error, and the sentence that Python said, word for word.
import { h } from "./dom.js";
import { t } from "./i18n.js";

// Shows an error in a box with role "alert"; `own` is a sentence of the page itself.
export function failure(box, refusal, own) {
  const text = own ?? (refusal.kind === "unreachable" ? t("unreachable") : refusal.message);
  const head = own || refusal.kind === "unreachable" ? [] : [h("b", {}, t("pythonSays", { kind: refusal.kind }))];
  box.replaceChildren(...head, h("p", {}, text));
  box.hidden = false;
}
