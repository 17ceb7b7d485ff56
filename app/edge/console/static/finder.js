// Finds someone by name: a search field with a list below it, for hand and keyboard alike.

import { swatch } from "/console/crowd.js";
import { el, words } from "/console/dom.js";

const FOUND_MAX = 40;

export class Finder {
  /** `picked(id)` is called with who was chosen; `signal` ends the finder. */
  constructor(crowd, picked, signal) {
    this.crowd = crowd;
    this.picked = picked;
    this.field = el("input", {
      id: "search", type: "search", placeholder: "Find someone", autocomplete: "off", spellcheck: "false",
      role: "combobox", "aria-label": "Find someone by name", "aria-expanded": "false", "aria-controls": "found",
      on: { input: () => this.#find(), focus: () => this.#find(), keydown: (event) => this.#fieldKey(event) },
    });
    const keydown = (event) => this.#listKey(event);
    this.list = el("ul", { id: "found", class: "found", hidden: true, on: { keydown } });
    this.root = el("div", { class: "finder" }, this.field, this.list);
    const leave = (event) => this.root.contains(event.target) || this.#show(false);
    for (const name of ["pointerdown", "focusin"]) document.addEventListener(name, leave, { signal });
  }

  /** Take the focus. */
  focus() {
    this.field.focus();
  }

  /** Close the list; false when it was closed already. */
  dismiss() {
    const open = !this.list.hidden;
    this.#show(false);
    return open;
  }

  #find() {
    const text = this.field.value.trim().toLowerCase();
    const begins = (npc) => npc.name.toLowerCase().startsWith(text);
    const matches = this.crowd.all
      .filter((npc) => `${npc.name} ${npc.archetype} ${npc.id}`.toLowerCase().includes(text))
      .sort((a, b) => begins(b) - begins(a) || a.name.localeCompare(b.name));
    const more = matches.length - FOUND_MAX;
    this.list.replaceChildren(
      ...matches.slice(0, FOUND_MAX).map((npc) => this.#row(npc)),
      more > 0 ? el("li", { class: "dim more" }, `and ${more} more`) : "",
      matches.length ? "" : el("li", { class: "dim more" }, "Nobody of that name"));
    this.#show(true);
  }

  #row(npc) {
    const pick = () => {
      this.field.value = "";
      this.#show(false);
      this.picked(npc.id);
    };
    return el("li", {}, el("button", { type: "button", tabindex: -1, on: { click: pick } },
      swatch(this.crowd.looks.get(npc.archetype)),
      el("span", { class: "found-name" }, npc.name),
      el("span", { class: "dim" }, npc.alive ? words(npc.archetype) : "dead")));
  }

  #show(open) {
    this.list.hidden = !open;
    this.field.setAttribute("aria-expanded", String(open));
  }

  #fieldKey(event) {
    const first = this.list.querySelector("button");
    if (event.key === "ArrowDown") first?.focus();
    else if (event.key === "Enter") first?.click();
    else return;
    event.preventDefault();
  }

  #listKey(event) {
    const item = event.target.closest("li");
    const next = { ArrowDown: item?.nextElementSibling, ArrowUp: item?.previousElementSibling }[event.key];
    if (next) next.querySelector("button")?.focus();
    else if (event.key === "ArrowUp") this.field.focus();
    else return;
    event.preventDefault();
  }
}
