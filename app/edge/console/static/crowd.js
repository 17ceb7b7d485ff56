// The NPCs on the map: where each one is between two frames of the stream, and how its kind looks.
// It draws onto a given pen and does not know the server.

const GLIDE_MS_MAX = 1_500;
const JUMP_CELLS = 12;
const BUBBLE_MS = 5_000;

// Color-blind safe, light enough to stand out on grass, sand and night alike; the shape tells as much.
const LOOKS = [
  { color: "#4da3ff", shape: "shield" },
  { color: "#ffc53d", shape: "square" },
  { color: "#fff1d6", shape: "circle" },
  { color: "#ff6b57", shape: "triangle" },
  { color: "#e5b8ff", shape: "drop" },
  { color: "#5fe0c0", shape: "hexagon" },
  { color: "#ff9ecb", shape: "star" },
  { color: "#d5e84e", shape: "diamond" },
];
const KNOWN = ["guard", "merchant", "villager", "predator", "prey"];

/** The look of each archetype: known roles have their own, others take the next free one. */
export function looksOf(archetypes) {
  const others = [...new Set(archetypes)].filter((name) => !KNOWN.includes(name)).sort();
  const places = [...KNOWN, ...others];
  return new Map(places.map((name, place) => [name, LOOKS[place % LOOKS.length]]));
}

/** Trace a shape of radius `r` around (x, y). */
function trace(pen, shape, x, y, r) {
  const corners = {
    square: [[-0.82, -0.82], [0.82, -0.82], [0.82, 0.82], [-0.82, 0.82]],
    diamond: [[0, -1.1], [1.1, 0], [0, 1.1], [-1.1, 0]],
    triangle: [[0, -1.1], [1.05, 0.8], [-1.05, 0.8]],
    hexagon: [[-1, 0], [-0.5, -0.9], [0.5, -0.9], [1, 0], [0.5, 0.9], [-0.5, 0.9]],
    shield: [[-0.85, -0.85], [0.85, -0.85], [0.85, 0.2], [0, 1.1], [-0.85, 0.2]],
    drop: [[0, -1.2], [0.75, 0.1], [0.45, 0.85], [-0.45, 0.85], [-0.75, 0.1]],
    star: [[0, -1.15], [0.35, -0.35], [1.15, -0.3], [0.5, 0.25], [0.7, 1.05], [0, 0.6], [-0.7, 1.05], [-0.5, 0.25],
      [-1.15, -0.3], [-0.35, -0.35]],
  }[shape];
  pen.beginPath();
  if (corners) corners.forEach(([dx, dy]) => pen.lineTo(x + dx * r, y + dy * r));
  else pen.arc(x, y, r, 0, 2 * Math.PI);
  pen.closePath();
}

/** A small picture of a look, for lists. */
export function swatch(look) {
  const picture = stamp(look, 7, 2);
  picture.className = "swatch";
  picture.setAttribute("aria-hidden", "true");
  return picture;
}

/** Everyone who is or was on the map. */
export class Crowd {
  looks = new Map();
  hidden = new Set();
  #byId = new Map();
  #byHandle = new Map();
  #bubbles = new Map();
  #glideMs = 220;
  #toldMs = 0;
  #sprites = new Map();
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  /** Take the whole roster; positions of those who stay are kept. */
  setRoster(npcs) {
    const before = this.#byId;
    this.#byId = new Map(npcs.map((npc) => [npc.id, { ...before.get(npc.id), ...npc, name: npc.name || npc.id }]));
    this.#byHandle = new Map([...this.#byId.values()].map((npc) => [npc.handle, npc]));
    this.looks = looksOf(npcs.map((npc) => npc.archetype));
  }

  /** Take positions [handle, x, y], in cells; everyone glides there until the next ones are due. */
  tick(rows, nowMs) {
    if (this.#toldMs) {
      const gap = Math.min(nowMs - this.#toldMs, GLIDE_MS_MAX);
      this.#glideMs += (gap * 1.08 - this.#glideMs) * 0.25;
    }
    this.#toldMs = nowMs;
    for (const [handle, x, y] of rows) {
      const npc = this.#byHandle.get(handle);
      if (!npc) continue;
      const [fromX, fromY] = this.place(npc, nowMs) ?? [x, y];
      const far = this.#still.matches || Math.hypot(x - fromX, y - fromY) > JUMP_CELLS;
      Object.assign(npc, { fromX: far ? x : fromX, fromY: far ? y : fromY, x, y, sinceMs: nowMs });
    }
  }

  /** Show `text` above an NPC for a moment. */
  say(id, text, nowMs) {
    this.#bubbles.set(id, { text: text.length > 60 ? `${text.slice(0, 59)}…` : text, endMs: nowMs + BUBBLE_MS });
  }

  get(id) {
    return this.#byId.get(id);
  }

  get all() {
    return [...this.#byId.values()];
  }

  /** How many of each archetype live. */
  counts() {
    const counts = new Map();
    for (const npc of this.#byId.values()) {
      if (npc.alive) counts.set(npc.archetype, (counts.get(npc.archetype) ?? 0) + 1);
    }
    return counts;
  }

  /** Where an NPC is now, in cells, 0.5 being the middle of the first; null before its first report. */
  place(npc, nowMs) {
    if (npc.x === undefined) return null;
    const share = Math.min(1, (nowMs - npc.sinceMs) / this.#glideMs);
    return [npc.fromX + (npc.x - npc.fromX) * share, npc.fromY + (npc.y - npc.fromY) * share];
  }

  /** Whether somebody still moves or a bubble still stands. */
  moving(nowMs) {
    return nowMs - this.#toldMs < this.#glideMs + 50 || this.#bubbles.size > 0;
  }

  /** The NPC nearest to a pixel, within a finger's reach; null when nobody is near. */
  nearest(px, py, camera, nowMs) {
    let best = null, bestPx = Math.max(16, camera.scale * 0.6);
    for (const npc of this.#byId.values()) {
      const at = this.#visible(npc) && this.place(npc, nowMs);
      if (!at) continue;
      const [x, y] = camera.project(...at);
      const away = Math.hypot(x - px, y - py);
      if (away < bestPx) [best, bestPx] = [npc, away];
    }
    return best;
  }

  /** Draw everyone; returns how many. `marked` and `hovered` are ids. */
  draw(pen, camera, nowMs, { marked, hovered }) {
    const radius = Math.min(11, Math.max(3.6, camera.scale * 0.46));
    const density = pen.getTransform().a;
    const labels = [];
    let drawn = 0;
    for (const npc of this.#byId.values()) {
      const at = this.#visible(npc) && this.place(npc, nowMs);
      if (!at) continue;
      drawn += 1;
      const [x, y] = camera.project(...at);
      if (x < -40 || y < -40 || x > camera.canvas.clientWidth + 40 || y > camera.canvas.clientHeight + 40) continue;
      this.#drawOne(pen, density, npc, x, y, npc.id === marked ? radius * 1.25 : radius, npc.id === marked);
      const named = npc.id === marked || npc.id === hovered || camera.scale >= 22;
      if (named) labels.push([npc.name, x, y + radius + 4, npc.id === marked]);
      const bubble = this.#bubble(npc.id, nowMs);
      if (bubble) labels.push([bubble, x, y - radius - 22, true]);
    }
    for (const label of labels) tag(pen, ...label);
    return drawn;
  }

  #visible(npc) {
    return npc.alive && !this.hidden.has(npc.archetype);
  }

  #bubble(id, nowMs) {
    const bubble = this.#bubbles.get(id);
    if (bubble && bubble.endMs < nowMs) this.#bubbles.delete(id);
    return bubble && bubble.endMs >= nowMs ? bubble.text : "";
  }

  #drawOne(pen, density, npc, x, y, radius, marked) {
    if (marked) {
      pen.strokeStyle = "#fff3cf";
      pen.lineWidth = 3;
      pen.beginPath();
      pen.arc(x, y, radius + 6, 0, 2 * Math.PI);
      pen.stroke();
      pen.strokeStyle = "#8a4a12";
      pen.lineWidth = 1.5;
      pen.stroke();
    }
    const sprite = this.#sprite(this.looks.get(npc.archetype), Math.round(radius * 2) / 2, density);
    const size = sprite.width / density;
    const snap = (value) => Math.round((value - size / 2) * density) / density;
    pen.drawImage(sprite, snap(x), snap(y), size, size);
  }

  /** A look as a small picture: stamping it is far quicker than tracing it ten thousand times. */
  #sprite(look, radius, density) {
    const key = `${look.shape} ${look.color} ${radius} ${density}`;
    if (!this.#sprites.has(key)) this.#sprites.set(key, stamp(look, radius, density));
    return this.#sprites.get(key);
  }
}

/** A canvas with a look of `radius` CSS pixels in its middle, at `density` pixels for each. */
function stamp({ color, shape }, radius, density) {
  const canvas = document.createElement("canvas");
  const middle = radius * 1.5 + 2;
  canvas.width = canvas.height = Math.ceil(middle * 2 * density);
  const pen = canvas.getContext("2d");
  pen.scale(density, density);
  pen.fillStyle = "rgb(20 16 10 / 0.32)";
  pen.beginPath();
  pen.ellipse(middle + 1, middle + radius * 0.85, radius, radius * 0.5, 0, 0, 2 * Math.PI);
  pen.fill();
  trace(pen, shape, middle, middle, radius);
  pen.lineJoin = "round";
  pen.strokeStyle = "#1d1a16";
  pen.lineWidth = radius > 6 ? 2.4 : 1.8;
  pen.stroke();
  pen.fillStyle = color;
  pen.fill();
  return canvas;
}

/** A name on a dark plate, centered under (x, y). */
function tag(pen, text, x, y, strong = false) {
  pen.font = `${strong ? 600 : 500} 12px system-ui, sans-serif`;
  const width = pen.measureText(text).width + 12;
  pen.fillStyle = strong ? "rgb(28 22 14 / 0.92)" : "rgb(28 22 14 / 0.66)";
  pen.beginPath();
  pen.roundRect(x - width / 2, y, width, 18, 9);
  pen.fill();
  pen.fillStyle = "#fff6e2";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(text, x, y + 9.5);
}
