// The World page: the live map of one world, its people, and a panel for whoever is chosen.

import { Camera } from "/console/camera.js";
import { Crowd, trace } from "/console/crowd.js";
import { clock, lightAt } from "/console/daylight.js";
import { el, problem, show, words } from "/console/dom.js";
import { Live } from "/console/live.js";
import { parseMap } from "/console/map.js";
import { NpcPanel } from "/console/npc.js";
import { paintMap } from "/console/paint.js";

const FOUND_MAX = 40;
const LABEL_SCALE_MIN = 3;
const FOLLOW_SCALE = 18;

/** Show the page in `root`. */
export async function open(root, { session, status, world }) {
  const page = new WorldPage(root, session, status, world);
  await page.start();
  return page;
}

class WorldPage {
  #crowd = new Crowd();
  #locations = [];
  #names = new Map();
  #maps = {};
  #map = "";
  #picture = null;
  #gameS = null;
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
      "aria-label": "Map. Arrow keys move it, plus and minus zoom, 0 shows all of it. Find people by name in the search field.",
    });
    this.search = el("input", {
      id: "search", type: "search", placeholder: "Find someone", autocomplete: "off", spellcheck: "false",
      role: "combobox", "aria-label": "Find someone by name", "aria-expanded": "false", "aria-controls": "found",
      on: { input: () => this.#find(), focus: () => this.#find(), keydown: (event) => this.#searchKey(event) },
    });
    this.found = el("ul", { id: "found", class: "found", hidden: true });
    this.clock = el("span", { class: "clock" });
    this.lamp = el("span", { class: "lamp fair", role: "status" }, "connecting");
    this.legend = el("div", { class: "legend", role: "group", "aria-label": "Who is shown" });
    this.notice = el("div", { class: "notice-place" });
    this.mapSelect = el("select", { "aria-label": "Map", hidden: true, on: { change: () => this.#openMap(this.mapSelect.value) } });
    this.side = el("aside", { class: "side", hidden: true, "aria-label": "The chosen NPC" });
    const zoom = (label, text, act) => el("button", { type: "button", class: "tool", "aria-label": label, title: label, on: { click: act } }, text);
    root.replaceChildren(el("div", { class: "world" },
      el("section", { class: "stage", "aria-label": "Live map" },
        this.canvas,
        el("div", { class: "stage-top" },
          el("div", { class: "finder" }, this.search, this.found),
          this.mapSelect,
          el("div", { class: "chip" }, this.lamp, this.clock)),
        el("div", { class: "stage-bottom" }, this.legend,
          el("div", { class: "tools" },
            zoom("Zoom in", "+", () => this.camera.zoom(1.4)),
            zoom("Zoom out", "−", () => this.camera.zoom(1 / 1.4)),
            zoom("Show all", "⤢", () => { this.#follow = false; this.camera.fit(); }))),
        this.notice),
      this.side));
    const away = (event) => { if (!event.target.closest(".finder")) this.#hideFound(); };
    document.addEventListener("pointerdown", away, { signal: this.#closing.signal });
  }

  #shortcut(event) {
    if (event.key === "/" && !event.target.matches("input, textarea, select")) {
      event.preventDefault();
      this.search.focus();
    } else if (event.key === "Escape" && !this.found.hidden) this.#hideFound();
    else if (event.key === "Escape" && this.#panel) this.#choose("");
  }

  // What the server tells.

  async #takeSummary(summary) {
    const maps = JSON.stringify(summary.maps);
    if (this.#gameS === null) this.#setClock(summary.game_s);
    const changed = maps !== JSON.stringify(this.#maps);
    const places = summary.counts.locations;
    if (changed || places !== this.places) {
      this.places = places;
      await this.#readLocations();
    }
    if (!changed) return;
    const same = summary.maps[this.#map] === this.#maps[this.#map] && this.#picture;
    this.#maps = summary.maps;
    const names = Object.keys(this.#maps);
    this.mapSelect.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
    this.mapSelect.hidden = names.length < 2;
    if (!same) await this.#openMap(names.includes(this.#map) ? this.#map : names[0]);
  }

  async #readLocations() {
    const { locations } = await this.session.json(`${this.path}/locations`);
    this.#locations = locations;
    this.#names = new Map(locations.map((place) => [place.id, place.name || place.id]));
    this.#redraw();
  }

  async #openMap(name) {
    this.#map = name ?? "";
    this.#picture = null;
    if (name !== undefined) {
      try {
        const response = await this.session.fetch(`${this.path}/maps/${encodeURIComponent(name)}`);
        this.#picture = paintMap(parseMap(await response.text()));
        this.notice.replaceChildren();
        this.camera.setExtent(this.#picture.width, this.#picture.height);
      } catch (error) {
        this.notice.replaceChildren(problem(error));
      }
    } else this.notice.replaceChildren(el("p", { class: "notice" }, "This world has no map yet: people stand on a plain."));
    this.mapSelect.value = this.#map;
    this.canvas.dataset.map = this.#picture ? this.#map : "";
    this.#redraw();
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
    if (!this.#picture && npcs.length && this.camera.plain !== true) this.#fitPlain(npcs);
    this.#redraw();
  }

  /** Without a map, look at where people are. */
  #fitPlain(npcs) {
    this.camera.plain = true;
    this.camera.setExtent(Math.max(...npcs.map((row) => row[1])) + 4, Math.max(...npcs.map((row) => row[2])) + 4);
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
    this.#gameS = gameS;
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

  #find() {
    const text = this.search.value.trim().toLowerCase();
    const begins = (npc) => npc.name.toLowerCase().startsWith(text);
    const matches = this.#crowd.all
      .filter((npc) => `${npc.name} ${npc.archetype} ${npc.id}`.toLowerCase().includes(text))
      .sort((a, b) => begins(b) - begins(a) || a.name.localeCompare(b.name));
    const pick = (npc) => () => this.#pick(npc.id);
    this.found.replaceChildren(
      ...matches.slice(0, FOUND_MAX).map((npc) => el("li", {},
        el("button", { type: "button", on: { click: pick(npc), keydown: (event) => this.#foundKey(event) } },
          swatch(this.#crowd.looks.get(npc.archetype)),
          el("span", { class: "found-name" }, npc.name),
          el("span", { class: "dim" }, npc.alive ? words(npc.archetype) : "dead")))),
      matches.length > FOUND_MAX ? el("li", { class: "dim more" }, `and ${matches.length - FOUND_MAX} more`) : "",
      matches.length ? "" : el("li", { class: "dim more" }, "Nobody of that name"));
    this.found.hidden = false;
    this.search.setAttribute("aria-expanded", "true");
  }

  #hideFound() {
    this.found.hidden = true;
    this.search.setAttribute("aria-expanded", "false");
  }

  #pick(id) {
    this.#hideFound();
    this.search.value = "";
    this.#choose(id);
    const at = this.#crowd.place(this.#crowd.get(id), performance.now());
    if (at) this.camera.lookAt(at[0] + 0.5, at[1] + 0.5, FOLLOW_SCALE);
    this.side.querySelector("h2")?.focus();
  }

  #searchKey(event) {
    const first = this.found.querySelector("button");
    if (event.key === "ArrowDown") first?.focus();
    else if (event.key === "Enter") first?.click();
    else return;
    event.preventDefault();
  }

  #foundKey(event) {
    const item = event.currentTarget.parentElement;
    const next = { ArrowDown: item.nextElementSibling, ArrowUp: item.previousElementSibling }[event.key];
    if (event.key === "ArrowUp" && !next) this.search.focus();
    else if (next) next.querySelector("button")?.focus();
    else return;
    event.preventDefault();
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
    this.#drawGround(pen);
    this.#drawLight(pen, width, height);
    const drawn = this.#crowd.draw(pen, camera, now, { marked: this.#marked, hovered: this.#hovered });
    this.#drawPlaces(pen);
    canvas.dataset.drawn = drawn;
    canvas.dataset.view = [camera.x, camera.y, camera.scale].map((value) => value.toFixed(4)).join(" ");
  }

  #keepInView(now) {
    const npc = this.#crowd.get(this.#marked);
    const at = npc && this.#crowd.place(npc, now);
    const away = at ? Math.hypot(at[0] + 0.5 - this.camera.x, at[1] + 0.5 - this.camera.y) : 0;
    if (away * this.camera.scale > 0.5) this.camera.lookAt(at[0] + 0.5, at[1] + 0.5);
  }

  #drawGround(pen) {
    if (!this.#picture) return;
    const { canvas, width, height } = this.#picture;
    const [left, top] = this.camera.project(0, 0);
    pen.imageSmoothingEnabled = this.camera.scale * width < canvas.width * 2;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(canvas, left, top, width * this.camera.scale, height * this.camera.scale);
  }

  #drawLight(pen, width, height) {
    if (this.#gameS === null) return;
    const light = lightAt(this.#gameS);
    pen.globalCompositeOperation = "multiply";
    pen.fillStyle = light.color;
    if (this.#picture) {
      const [left, top] = this.camera.project(0, 0);
      pen.fillRect(left, top, this.#picture.width * this.camera.scale, this.#picture.height * this.camera.scale);
    } else pen.fillRect(0, 0, width, height);
    pen.globalCompositeOperation = "source-over";
    if (light.night > 0) this.#drawLamps(pen, light.night);
  }

  /** At night rooms are lit, and each open place shines a little. */
  #drawLamps(pen, night) {
    pen.globalCompositeOperation = "screen";
    if (this.#picture?.lights) {
      const [left, top] = this.camera.project(0, 0);
      const { lights, width, height } = this.#picture;
      pen.globalAlpha = night;
      pen.imageSmoothingEnabled = true;
      pen.drawImage(lights, left, top, width * this.camera.scale, height * this.camera.scale);
      pen.globalAlpha = 1;
    }
    for (const place of this.#placesHere()) {
      if (!place.open) continue;
      const [x, y] = this.camera.project(place.x + 0.5, place.y + 0.5);
      const radius = this.camera.scale * 7;
      const glow = pen.createRadialGradient(x, y, 0, x, y, radius);
      glow.addColorStop(0, `rgb(255 190 96 / ${0.55 * night})`);
      glow.addColorStop(0.4, `rgb(255 160 70 / ${0.22 * night})`);
      glow.addColorStop(1, "rgb(255 150 60 / 0)");
      pen.fillStyle = glow;
      pen.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
    }
    pen.globalCompositeOperation = "source-over";
  }

  #drawPlaces(pen) {
    if (this.camera.scale < LABEL_SCALE_MIN) return;
    const taken = [];
    pen.font = "italic 600 13px Georgia, 'Times New Roman', serif";
    for (const place of this.#placesHere()) {
      const [x, y] = this.camera.project(place.x + 0.5, place.y + 0.5);
      const half = pen.measureText(place.name || place.id).width / 2 + 4;
      const box = [x - half, y - 10, x + half, y + 10];
      if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      taken.push(box);
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.lineJoin = "round";
      pen.lineWidth = 4;
      pen.strokeStyle = "rgb(255 250 236 / 0.9)";
      pen.strokeText(place.name || place.id, x, y);
      pen.fillStyle = "#3b2813";
      pen.fillText(place.name || place.id, x, y);
    }
  }

  #placesHere() {
    return this.#locations.filter((place) => !place.map || !this.#map || place.map === this.#map);
  }
}

/** A small picture of an archetype's look. */
function swatch({ color, shape }) {
  const canvas = el("canvas", { class: "swatch", width: 32, height: 32, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  trace(pen, shape, 16, 16, 10);
  pen.lineWidth = 4;
  pen.lineJoin = "round";
  pen.strokeStyle = "#1d1a16";
  pen.stroke();
  pen.fillStyle = color;
  pen.fill();
  return canvas;
}
