// The panel of one NPC: what every module knows of it, read again each second, and a tab to talk with it.

import { el, number, problem, show, words } from "/console/dom.js";
import { Talk } from "/console/talk.js";

const REFRESH_MS = 1_000;
const SEEN_MAX = 10;
const REASONS_MAX = 5;
const LINES_MAX = 12;
const SHOWN_HERE = ["npc", "facts", "behavior", "dialogue"];
const DEPTH_MAX = 3;

export class NpcPanel {
  #closing = new AbortController();
  #talk = null;
  #timer = 0;

  /** `nameOf(id)` names people and places; `follow()` toggles following and tells whether it is on. */
  constructor(root, { session, world, id, look, nameOf, close, follow }) {
    Object.assign(this, { root, session, world, id, nameOf });
    this.path = `/v1/worlds/${encodeURIComponent(world)}/npcs/${encodeURIComponent(id)}`;
    this.title = el("h2", { tabindex: -1 }, nameOf(id));
    this.sub = el("p", { class: "dim" });
    this.error = el("div", {});
    this.parts = Object.fromEntries(
      ["who", "decided", "sees", "said", "facts", "more"].map((name) => [name, el("div", {})]));
    this.mind = el("div", { id: "mind", class: "sheet", role: "tabpanel", "aria-labelledby": "mind-tab", tabindex: 0 },
      this.error, ...Object.values(this.parts));
    this.talkSheet = el("div", {
      id: "talk", class: "sheet talk", role: "tabpanel", "aria-labelledby": "talk-tab", hidden: true,
    });
    this.tabs = [this.#tab("mind", "Mind"), this.#tab("talk", "Talk")];
    const followButton = el("button", { type: "button", class: "quiet", "aria-pressed": "false", on: {
      click: () => followButton.setAttribute("aria-pressed", String(follow())) } }, "Follow");
    root.style.setProperty("--look", look.color);
    root.replaceChildren(
      el("div", { class: "side-head" },
        el("div", { class: "side-title" }, this.title, this.sub),
        followButton,
        el("button", { type: "button", class: "quiet", "aria-label": "Close", on: { click: close } }, "✕")),
      el("div", { class: "tabs", role: "tablist", on: { keydown: (event) => this.#tabKey(event) } }, ...this.tabs),
      this.mind, this.talkSheet);
    this.#select("mind");
    this.#refresh();
  }

  close() {
    this.#closing.abort();
    clearTimeout(this.#timer);
    this.#talk?.close();
    this.root.replaceChildren();
  }

  #tab(name, title) {
    return el("button", { type: "button", role: "tab", id: `${name}-tab`, "aria-controls": name, on: {
      click: () => this.#select(name) } }, title);
  }

  #select(name) {
    for (const tab of this.tabs) {
      const chosen = tab.id === `${name}-tab`;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    }
    this.mind.hidden = name !== "mind";
    this.talkSheet.hidden = name !== "talk";
    if (name !== "talk") return;
    this.#talk ??= new Talk(this.talkSheet, this);
    this.#talk.focus();
  }

  #tabKey(event) {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = this.tabs.find((tab) => tab.getAttribute("aria-selected") === "false");
    other.focus();
    other.click();
  }

  async #refresh() {
    try {
      this.#draw(await this.session.json(this.path, { signal: this.#closing.signal }));
      show(this.error, null, () => []);
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      show(this.error, String(error), () => problem(error));
    }
    this.#timer = setTimeout(() => this.#refresh(), REFRESH_MS);
  }

  #draw(known) {
    const { npc, facts, behavior, dialogue } = known;
    const mind = behavior?.tick === undefined ? null : behavior;
    this.title.textContent = npc.name || npc.id;
    const faction = npc.faction && this.nameOf(npc.faction);
    const about = [words(npc.archetype), `level ${npc.level}`, faction, npc.alive ? "" : "dead"];
    this.sub.textContent = about.filter(Boolean).join(" · ");
    show(this.parts.who, npc, () => this.#who(npc));
    show(this.parts.decided, mind && { ...mind, features: 0 }, () => decided(mind));
    show(this.parts.sees, mind?.features, () => sees(mind));
    show(this.parts.said, dialogue, () => said(dialogue?.lines ?? []));
    show(this.parts.facts, facts, () => section("Facts", facts.length > 0,
      pairs(facts.map((fact) => [words(fact.predicate), this.nameOf(String(fact.value))]))));
    const more = Object.entries(known).filter(([name]) => !SHOWN_HERE.includes(name));
    show(this.parts.more, more, () => more.map(([name, value]) => section(words(name), !isEmpty(value), tree(value))));
  }

  #who(npc) {
    const { persona } = npc;
    const place = (id) => (id ? this.nameOf(id) : "");
    return [
      persona.summary ? el("p", { class: "persona" }, persona.summary) : "",
      persona.traits.length ? el("p", { class: "traits" }, persona.traits.map((trait) => el("span", {}, trait))) : "",
      pairs([
        ["Place", place(npc.location)], ["Home", place(npc.home)], ["Work", place(npc.work)],
        ["Voice", persona.voice], ["Wants from life", persona.goals.join("; ")], ["Tags", npc.tags.join(", ")],
        ["Id", npc.id],
      ]),
    ];
  }
}

/** The last lines that were spoken with it, oldest first. */
function said(lines) {
  return section("Said last", lines.length > 0, el("ol", { class: "lines" },
    lines.slice(-LINES_MAX).map((line) => el("li", {}, el("b", {}, line.name), " ", line.text))));
}

/** What it wants and decided, with the strongest reasons. */
function decided(mind) {
  if (!mind) return section("Wants", true, el("p", { class: "dim" }, "It has not decided anything yet."));
  const target = mind.target === null || mind.target === undefined || mind.target < 0 ? "" : ` → slot ${mind.target}`;
  const reasons = mind.reasons.slice(0, REASONS_MAX);
  const strongest = Math.max(1e-9, ...reasons.map((reason) => Math.abs(reason.effect)));
  return section("Wants and decides", true,
    el("p", { class: "decision" }, el("strong", { id: "intent" }, words(mind.intent || "nothing") + target),
      el("span", { class: "rung" }, mind.rung)),
    meter("confidence", mind.confidence, mind.confidence),
    pairs([["Told to", words(mind.directive)], ["Rule", words(mind.rule)], ["Tick", number(mind.tick)]]),
    reasons.length ? el("h4", {}, "Why") : "",
    reasons.map(({ name, value, effect }) =>
      meter(`${words(name)} ${number(value)}`, Math.abs(effect) / strongest, effect, effect < 0)));
}

/** The features that stand out: what it is told or does already is shown elsewhere, zeros say nothing. */
function sees(mind) {
  const telling = mind ? mind.reasons.map((reason) => reason.name) : [];
  const features = Object.entries(mind?.features ?? {})
    .filter(([name, value]) => value !== 0 && !/^(doing|told|is)_/.test(name) && !/^slot\d_/.test(name))
    .sort(([a], [b]) => telling.includes(b) - telling.includes(a))
    .slice(0, SEEN_MAX);
  return section("Sees", features.length > 0, el("dl", { class: "grid" },
    features.map(([name, value]) => el("div", {}, el("dt", {}, words(name)), el("dd", {}, number(value))))));
}

function section(title, filled, ...children) {
  return filled ? el("details", { open: true }, el("summary", {}, title), ...children) : [];
}

function pairs(rows) {
  return el("dl", { class: "pairs" }, rows.filter(([, value]) => value !== "" && value !== undefined && value !== null)
    .map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]).flat());
}

function meter(name, share, value, against = false) {
  const bar = el("span", { class: `bar ${against ? "against" : ""}`, "aria-hidden": "true" }, el("i", {}));
  bar.firstChild.style.width = `${Math.round(Math.min(1, Math.max(0, share)) * 100)}%`;
  return el("div", { class: "meter" }, el("span", {}, name), bar, el("span", { class: "meter-value" }, number(value)));
}

function isEmpty(value) {
  return value === null || value === "" || (typeof value === "object" && Object.values(value).every(isEmpty));
}

/** Anything a module tells, as nested lists. */
function tree(value, depth = 0) {
  if (value === null || typeof value !== "object") return typeof value === "number" ? number(value) : String(value);
  if (depth >= DEPTH_MAX) return "…";
  if (Array.isArray(value)) {
    return el("ul", { class: "cards" }, value.map((item) => el("li", {}, tree(item, depth + 1))));
  }
  if (Object.keys(value).length === 1) return tree(Object.values(value)[0], depth);
  return el("dl", { class: "pairs" }, Object.entries(value).map(([name, inner]) =>
    [el("dt", {}, words(name)), el("dd", {}, tree(inner, depth + 1))]).flat());
}
