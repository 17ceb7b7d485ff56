// The status bar: what the server says of itself, and the size of the chosen world.

import { request } from "/console/api.js";
import { el, number, show } from "/console/dom.js";

const HEALTH_MS = 5_000;
const WORLD_MS = 2_000;

/** Tells `worlds` (detail: all summaries), `summary` (detail: that of the chosen world) and `failed` (detail: why). */
export class Status extends EventTarget {
  #world = "";
  #health = null;
  #summary = null;
  #failed = "";
  #timers = [];

  constructor(root, session) {
    super();
    this.root = root;
    this.session = session;
    this.parts = [this.#part(), this.#part()];
    root.replaceChildren(...this.parts);
    root.hidden = false;
    this.#every(HEALTH_MS, () => this.#readHealth());
    this.#every(WORLD_MS, () => this.#readWorlds());
  }

  set world(id) {
    this.#world = id;
    this.#summary = null;
  }

  close() {
    this.#timers.forEach(clearInterval);
    this.root.hidden = true;
  }

  #part() {
    return el("div", { class: "status-part" });
  }

  #every(ms, read) {
    read();
    this.#timers.push(setInterval(() => document.visibilityState === "visible" && read(), ms));
  }

  async #readHealth() {
    try {
      const response = await request("/health/ready", { silenceMs: HEALTH_MS });
      this.#health = await response.json();
    } catch {
      this.#health = null; // A 503 while draining and an unreachable server look alike: not ready.
    }
    this.#draw();
  }

  async #readWorlds() {
    if (!this.session.signedIn) return;
    try {
      const { worlds } = await this.session.json("/v1/worlds");
      this.#failed = "";
      this.#summary = worlds.find((world) => world.id === this.#world) ?? null;
      this.dispatchEvent(new CustomEvent("worlds", { detail: worlds }));
      if (this.#summary) this.dispatchEvent(new CustomEvent("summary", { detail: this.#summary }));
    } catch (error) {
      this.#failed = error.code === "unreachable" ? "server unreachable" : error.message;
      this.dispatchEvent(new CustomEvent("failed", { detail: error }));
    }
    this.#draw();
  }

  #draw() {
    const health = this.#health;
    show(this.parts[0], [health, this.#failed], () => this.#server(health));
    const summary = this.#summary;
    show(this.parts[1], summary && [summary.seq, summary.counts], () => !summary ? [] : [
      fact("events", number(summary.seq)),
      fact("NPCs", number(summary.counts.npcs)),
      fact("players", number(summary.counts.players)),
      fact("quests", number(summary.counts.quests)),
    ]);
  }

  #server(health) {
    if (!health || this.#failed) return [lamp("bad", this.#failed || "server unreachable or stopping")];
    const present = health.engines.filter((engine) => engine.state !== "missing").map((engine) =>
      fact(engine.name, `${engine.provider || engine.kind}${engine.state === "ready" ? "" : ` (${engine.state})`}`,
        { title: engine.mend || engine.detail || null }));
    const missing = health.engines.filter((engine) => engine.state === "missing");
    const down = Object.entries(health.rungs_down);
    return [
      lamp(health.degraded.length ? "fair" : "good", health.degraded.length ? "degraded" : "ready"),
      fact("mode", health.mode),
      ...(present.length ? present : [fact("engines", "authored rules")]),
      missing.length ? fact("missing", missing.map((engine) => engine.name).join(", "), {
        title: missing.map((engine) => `${engine.name}: ${engine.mend || engine.detail}`).join("\n"),
      }) : null,
      fact("rungs down", down.map(([rung]) => rung).join(", ") || "none", {
        class: down.length ? "fact warn" : "fact",
        title: down.map(([rung, reason]) => `${rung}: ${reason}`).join("\n") || null,
      }),
      health.warm ? null : fact("warming", "…"),
    ].filter(Boolean);
  }
}

function lamp(state, text) {
  return el("span", { class: `lamp ${state}` }, text);
}

function fact(name, value, attributes = {}) {
  return el("span", { class: "fact", ...attributes }, el("span", { class: "fact-name" }, name), ` ${value}`);
}
