// Where the viewer looks: center and zoom over a map in cells, moved by mouse, touch and keyboard.
// It does not know what is drawn.

const SCALE_MAX = 56;
const TAP_PX = 6;
const KEY_PX = 72;
const ZOOM_STEP = 1.35;
const BEYOND_PX = 90;

/** Changes call `moved()`; a tap or click without a drag calls `tapped(x, y)`, hovering `hovered(x, y)`, in pixels. */
export class Camera {
  x = 0;
  y = 0;
  scale = 8;
  #extent = { width: 64, height: 64 };
  #pointers = new Map();
  #dragged = 0;
  #fitted = true;

  constructor(canvas, { moved, tapped, hovered }) {
    this.canvas = canvas;
    this.on = { moved, tapped, hovered };
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#up(event));
    canvas.addEventListener("pointerleave", () => hovered(null, null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** The size of the map in cells. */
  setExtent(width, height) {
    this.#extent = { width, height };
    this.fit();
  }

  fit() {
    this.x = this.#extent.width / 2;
    this.y = this.#extent.height / 2;
    this.scale = this.#fitScale();
    this.#fitted = true;
    this.on.moved();
  }

  /** The canvas has a new size; a view of the whole map stays one. */
  resized() {
    if (this.#fitted) this.fit();
    else this.on.moved();
  }

  /** Center on a place, zoomed in to `scale` at least. */
  lookAt(x, y, scale = 0) {
    this.x = x;
    this.y = y;
    this.scale = Math.max(this.scale, scale);
    this.#settle();
  }

  /** Cells to pixels of the canvas, as CSS counts them. */
  project(x, y) {
    return [
      (x - this.x) * this.scale + this.canvas.clientWidth / 2,
      (y - this.y) * this.scale + this.canvas.clientHeight / 2,
    ];
  }

  zoom(factor, px = this.canvas.clientWidth / 2, py = this.canvas.clientHeight / 2) {
    const scale = Math.min(SCALE_MAX, Math.max(this.#fitScale() * 0.6, this.scale * factor));
    const dx = px - this.canvas.clientWidth / 2, dy = py - this.canvas.clientHeight / 2;
    this.x += dx / this.scale - dx / scale;
    this.y += dy / this.scale - dy / scale;
    this.scale = scale;
    this.#settle();
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.#settle();
  }

  #fitScale() {
    const { clientWidth, clientHeight } = this.canvas;
    const margin = 0.97;
    return Math.max(0.05, margin * Math.min(clientWidth / this.#extent.width, clientHeight / this.#extent.height));
  }

  #settle() {
    this.#fitted = false;
    this.x = this.#within(this.x, this.#extent.width, this.canvas.clientWidth);
    this.y = this.#within(this.y, this.#extent.height, this.canvas.clientHeight);
    this.on.moved();
  }

  /** A center that shows little beyond the map: just enough that nobody at its edge hides under a control. */
  #within(center, cells, px) {
    const least = (px / 2 - BEYOND_PX) / this.scale;
    return least * 2 >= cells ? cells / 2 : Math.min(Math.max(center, least), cells - least);
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #wheel(event) {
    event.preventDefault();
    const { x, y } = this.#at(event);
    this.zoom(Math.exp(-Math.max(-120, Math.min(120, event.deltaY)) * 0.0022), x, y);
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#at(event));
    if (this.#pointers.size === 1) this.#dragged = 0;
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    const now = this.#at(event);
    if (!before) {
      this.on.hovered(now.x, now.y);
      return;
    }
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, now);
    this.#dragged += Math.hypot(now.x - before.x, now.y - before.y);
    if (this.#dragged < TAP_PX) return;
    if (other) {
      const ratio = distance(now, other) / Math.max(1, distance(before, other));
      this.zoom(ratio, (now.x + other.x) / 2, (now.y + other.y) / 2);
      this.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else this.pan(now.x - before.x, now.y - before.y);
  }

  #up(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    if (event.type === "pointerup" && !this.#pointers.size && this.#dragged < TAP_PX) {
      const { x, y } = this.#at(event);
      this.on.tapped(x, y);
    }
  }

  #key(event) {
    const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves) this.pan(moves[event.key][0] * KEY_PX, moves[event.key][1] * KEY_PX);
    else if (event.key === "+" || event.key === "=") this.zoom(ZOOM_STEP);
    else if (event.key === "-") this.zoom(1 / ZOOM_STEP);
    else if (event.key === "0" || event.key === "Home") this.fit();
    else return;
    event.preventDefault();
  }
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
