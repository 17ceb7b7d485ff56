// Builds elements from plain values. Text goes in as text: nothing here, and nothing in the console,
// parses a string as HTML, because names and lines come from players.

/** An element; `on` maps event names to listeners, a true attribute is set empty, null and false are left out. */
export function el(tag, attributes = {}, ...children) {
  const { on = {}, ...rest } = attributes;
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(rest)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Replace what `element` shows, but only when `key` differs from the last time: focus and scroll survive. */
export function show(element, key, build) {
  const text = JSON.stringify(key);
  if (element.shown === text) return;
  element.shown = text;
  element.replaceChildren(...[build()].flat());
}

/** A number for people: whole when it is, else to `digits` places. */
export function number(value, digits = 2) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  return Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(digits);
}

/** A machine name in words: `recent_damage` becomes `recent damage`. */
export function words(name) {
  return String(name).replaceAll("_", " ");
}

/** An error of the server or the network, with its mend. */
export function problem(error) {
  return el(
    "div",
    { class: "problem", role: "alert" },
    el("strong", {}, error.message || String(error)),
    error.hint ? el("span", {}, error.hint) : null,
  );
}
