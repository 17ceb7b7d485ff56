// The World page: the live map of one world, its people, and a panel for whoever is chosen.

import { Camera } from "/console/camera.js";
import { Crowd, swatch } from "/console/crowd.js";
import { clock } from "/console/daylight.js";
import { el, problem, show, words } from "/console/dom.js";
import { Finder } from "/console/finder.js";
import { Live } from "/console/live.js";
import { parseMap } from "/console/map.js";
import { NpcPanel } from "/console/npc.js";
import { paintMap } from "/console/paint.js";
import { Scene } from "/console/scene.js";

const FOLLOW_SCALE = 18;
const PLAIN_MARGIN_CELLS = 4;
const NO_MAP = "This world has no map yet: people stand on a plain.";

/** Show the page in `root`. */
export async function open(root, { session, status, world }) {
  const page = new WorldPage(root, session, status, world);
  try {
    await page.start();
  } catch (error) {
    page.close();
    throw error;
  }
  return page;
}

class WorldPage {
  #crowd = new Crowd();
  #scene = new Scene();
  #names = new Map();
  #maps = null;
  #reading = false;
  #seenPlain = false;
  #marked = "";
  #hovered = "";
  #follow = false;
  #panel = null;
  #frame = 0;
  #closing = new AbortController();

  constructor(root, session, status, world) {
    this.session = session;
    this.status = status;
    this.world = world;
    this.path = `/v1/worlds/${encodeURIComponent(world)}`;
    this.#build(root);
    this.camera = new Camera(this.canvas, {
      moved: () => this.#redraw(),
      tapped: (x, y) => this.#choose(this.#crowd.nearest(x, y, this.camera, performance.now())?.id ?? ""),
      hovered: (x, y) => this.#hover(x, y),
    });
    this.resizing = new ResizeObserver(() => this.camera.resized());
    this.resizing.observe(this.canvas);
  }

  async start() {
    const signal = this.#closing.signal;
    this.status.addEventListener("summary", (event) => this.#takeSummary(event.detail), { signal });
    document.addEventListener("keydown", (event) => this.#shortcut(event), { signal });
    await this.#takeSummary(await this.session.json(this.path));
    this.live = new Live(this.session, this.world, {
      roster: ({ npcs }) => this.#takeRoster(npcs),
      tick: (tick) => this.#takeTick(tick),
      push: (push) => this.#takePush(push),
      state: (state) => this.#takeState(state),
    });
  }

  close() {
    this.#closing.abort();
    this.live?.close();
    this.#panel?.close();
    this.resizing.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  // What stands on the page.

  #build(root) {
    this.canvas = el("canvas", {
      id: "map", tabindex: 0, role: "application",
      "aria-label": "Map. Arrow keys move it, plus and minus zoom, 0 shows all of it. The search field finds people.",
    });
    this.finder = new Finder(this.#crowd, (id) => this.#pick(id), this.#closing.signal);
    this.clock = el("span", { class: "clock" });
    this.lamp = el("span", { class: "lamp fair", role: "status" }, "connecting");
    this.legend = el("div", { class: "legend", role: "group", "aria-label": "Who is shown" });
    this.notice = el("div", { class: "notice-place" });
    this.mapSelect = el("select", { "aria-label": "Map", hidden: true, on: { change: () => this.#changeMap() } });
    this.side = el("aside", { class: "side", hidden: true, "aria-label": "The chosen NPC" });
    const zoom = (label, text, act) =>
      el("button", { type: "button", "aria-label": label, title: label, on: { click: act } }, text);
    root.replaceChildren(el("div", { class: "world" },
      el("section", { class: "stage", "aria-label": "Live map" },
        this.canvas,
        el("div", { class: "stage-top" },
          this.finder.root,
          this.mapSelect,
          el("div", { class: "chip" }, this.lamp, this.clock)),
        el("div", { class: "stage-bottom" }, this.legend,
          el("div", { class: "tools" },
            zoom("Zoom in", "+", () => this.camera.zoom(1.4)),
            zoom("Zoom out", "−", () => this.camera.zoom(1 / 1.4)),
            zoom("Show all", "⤢", () => { this.#follow = false; this.camera.fit(); }))),
        this.notice),
      this.side));
  }

  #shortcut(event) {
    if (event.key === "/" && !event.target.matches("input, textarea, select")) {
      event.preventDefault();
      this.finder.focus();
    } else if (event.key === "Escape" && !this.finder.dismiss() && this.#panel) this.#choose("");
  }

  // What the server tells.

  /** Read again what the summary says has changed; one at a time, since the next summary says it again. */
  async #takeSummary(summary) {
    if (this.#reading) return;
    this.#reading = true;
    try {
      if (this.#scene.gameS === null) this.#setClock(summary.game_s);
      if (summary.counts.locations !== this.#scene.places.length) await this.#readLocations();
      if (JSON.stringify(summary.maps) !== JSON.stringify(this.#maps)) await this.#takeMaps(summary.maps);
      this.notice.replaceChildren(this.#scene.map ? "" : el("p", { class: "notice" }, NO_MAP));
    } catch (error) {
      if (!this.#closing.signal.aborted) this.notice.replaceChildren(problem(error));
    } finally {
      this.#reading = false;
    }
  }

  async #takeMaps(maps) {
    const same = this.#scene.picture && maps[this.#scene.map] === this.#maps?.[this.#scene.map];
    const names = Object.keys(maps);
    this.mapSelect.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
    this.mapSelect.hidden = names.length < 2;
    if (!same) await this.#openMap(names.includes(this.#scene.map) ? this.#scene.map : (names[0] ?? ""));
    this.mapSelect.value = this.#scene.map;
    this.#maps = maps;
  }

  async #readLocations() {
    const { locations } = await this.session.json(`${this.path}/locations`);
    this.#scene.places = locations;
    this.#names = new Map(locations.map((place) => [place.id, place.name || place.id]));
    this.#redraw();
  }

  async #openMap(name) {
    this.#scene.map = name;
    this.#scene.picture = null;
    if (name) {
      const path = `${this.path}/maps/${encodeURIComponent(name)}`;
      const response = await this.session.fetch(path, { signal: this.#closing.signal });
      this.#scene.picture = paintMap(parseMap(await response.text()));
      this.camera.setExtent(this.#scene.picture.width, this.#scene.picture.height);
    }
    this.canvas.dataset.map = name;
    this.#redraw();
  }

  async #changeMap() {
    try {
      await this.#openMap(this.mapSelect.value);
    } catch (error) {
      this.notice.replaceChildren(problem(error));
    }
  }

  #takeRoster(npcs) {
    this.#crowd.setRoster(npcs);
    this.#drawLegend();
    this.#redraw();
  }

  #takeTick({ game_s: gameS, npcs }) {
    const now = performance.now();
    this.#crowd.tick(npcs, now);
    if (gameS > 0) this.#setClock(gameS);
    if (!this.#scene.picture && npcs.length && !this.#seenPlain) this.#fitPlain(npcs);
    this.#redraw();
  }

  /** Without a map, look at where people are. */
  #fitPlain(npcs) {
    this.#seenPlain = true;
    const far = (axis) => npcs.reduce((most, row) => Math.max(most, row[axis]), 0) + PLAIN_MARGIN_CELLS;
    this.camera.setExtent(far(1), far(2));
  }

  #takePush({ op, data }) {
    const npc = data.npc ?? data.giver;
    if (!npc) return;
    const what = data.title ? `${data.title}: ${data.state}` : words(data.action ?? op);
    this.#crowd.say(npc, what, performance.now());
    this.#redraw();
  }

  #takeState(state) {
    this.lamp.className = `lamp ${state === "live" ? "good" : "fair"}`;
    this.lamp.textContent = state === "live" ? "live" : "reconnecting";
  }

  #setClock(gameS) {
    this.#scene.gameS = gameS;
    const text = clock(gameS);
    if (this.clock.textContent !== text) this.clock.textContent = text;
  }

  // Who is chosen.

  #choose(id) {
    const npc = this.#crowd.get(id);
    if (id === this.#marked && npc) return;
    this.#panel?.close();
    this.#panel = null;
    this.#marked = npc ? id : "";
    this.#follow = false;
    this.side.hidden = !npc;
    if (npc) {
      this.#panel = new NpcPanel(this.side, {
        session: this.session, world: this.world, id, look: this.#crowd.looks.get(npc.archetype),
        nameOf: (other) => this.#crowd.get(other)?.name ?? this.#names.get(other) ?? other,
        close: () => { this.#choose(""); this.canvas.focus(); },
        follow: () => { this.#follow = !this.#follow; this.#redraw(); return this.#follow; },
      });
    }
    this.canvas.dataset.chosen = this.#marked;
    this.#redraw();
  }

  #hover(x, y) {
    const npc = x === null ? null : this.#crowd.nearest(x, y, this.camera, performance.now());
    this.canvas.classList.toggle("pointing", Boolean(npc));
    if ((npc?.id ?? "") === this.#hovered) return;
    this.#hovered = npc?.id ?? "";
    this.#redraw();
  }

  /** Choose someone and look there. */
  #pick(id) {
    this.#choose(id);
    const at = this.#crowd.place(this.#crowd.get(id), performance.now());
    if (at) this.camera.lookAt(...at, FOLLOW_SCALE);
    this.side.querySelector("h2")?.focus();
  }

  // What is drawn.

  #drawLegend() {
    const counts = [...this.#crowd.counts()].sort(([a], [b]) => a.localeCompare(b));
    show(this.legend, counts, () => counts.map(([archetype, count]) => {
      const toggle = (event) => {
        const hide = !this.#crowd.hidden.delete(archetype);
        if (hide) this.#crowd.hidden.add(archetype);
        event.currentTarget.setAttribute("aria-pressed", String(!hide));
        this.#redraw();
      };
      const pressed = String(!this.#crowd.hidden.has(archetype));
      return el("button", { type: "button", "aria-pressed": pressed, on: { click: toggle } },
        swatch(this.#crowd.looks.get(archetype)), words(archetype), el("span", { class: "dim" }, count));
    }));
  }

  #redraw() {
    this.#frame ||= requestAnimationFrame((now) => {
      this.#frame = 0;
      this.#draw(now);
      if (this.#crowd.moving(now)) this.#redraw();
    });
  }

  #draw(now) {
    const { canvas, camera } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    const density = Math.min(2, devicePixelRatio || 1);
    if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(height * density);
    }
    if (this.#follow) this.#keepInView(now);
    const pen = canvas.getContext("2d");
    pen.setTransform(density, 0, 0, density, 0, 0);
    pen.clearRect(0, 0, width, height);
    this.#scene.drawGround(pen, camera);
    const drawn = this.#crowd.draw(pen, camera, now, { marked: this.#marked, hovered: this.#hovered });
    this.#scene.drawNames(pen, camera);
    canvas.dataset.drawn = drawn;
    canvas.dataset.view = [camera.x, camera.y, camera.scale].map((value) => value.toFixed(4)).join(" ");
  }

  #keepInView(now) {
    const npc = this.#crowd.get(this.#marked);
    const at = npc && this.#crowd.place(npc, now);
    const away = at ? Math.hypot(at[0] - this.camera.x, at[1] - this.camera.y) : 0;
    if (away * this.camera.scale > 0.5) this.camera.lookAt(...at);
  }
}
