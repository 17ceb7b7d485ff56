// What the crowd stands on: the painted map, the light of the hour, and the names of places.
// It draws onto a given pen and does not know people or the server.

import { lightAt } from "/console/daylight.js";

const LABEL_SCALE_MIN = 3;
const GLOW_CELLS = 7;

export class Scene {
  /** What paintMap made, or null. */
  picture = null;
  /** The name of the map, "" for none. */
  map = "";
  /** All places of the world; those of other maps are not drawn. */
  places = [];
  /** The game's clock in seconds, null while unknown. */
  gameS = null;

  /** The ground and its light, under everyone. */
  drawGround(pen, camera) {
    if (this.picture) {
      const { canvas, width } = this.picture;
      pen.imageSmoothingEnabled = camera.scale * width < canvas.width * 2;
      pen.imageSmoothingQuality = "high";
      pen.drawImage(canvas, ...this.#frame(camera));
    }
    if (this.gameS === null) return;
    const light = lightAt(this.gameS);
    pen.globalCompositeOperation = "multiply";
    pen.fillStyle = light.color;
    pen.fillRect(...this.#frame(camera));
    if (light.night > 0) this.#drawLamps(pen, camera, light.night);
    pen.globalCompositeOperation = "source-over";
  }

  /** The names of places, over everyone; where two would overlap, the first one stands. */
  drawNames(pen, camera) {
    if (camera.scale < LABEL_SCALE_MIN) return;
    const taken = [];
    Object.assign(pen, {
      font: "italic 600 13px Georgia, 'Times New Roman', serif", textAlign: "center", textBaseline: "middle",
      lineJoin: "round", lineWidth: 4, strokeStyle: "rgb(255 250 236 / 0.9)", fillStyle: "#3b2813",
    });
    for (const place of this.#here()) {
      const name = place.name || place.id;
      const [x, y] = camera.project(place.x + 0.5, place.y + 0.5);
      const half = pen.measureText(name).width / 2 + 4;
      const box = [x - half, y - 10, x + half, y + 10];
      if (taken.some((other) => overlap(box, other))) continue;
      taken.push(box);
      pen.strokeText(name, x, y);
      pen.fillText(name, x, y);
    }
  }

  /** At night rooms are lit, and each open place shines a little. */
  #drawLamps(pen, camera, night) {
    pen.globalCompositeOperation = "screen";
    if (this.picture?.lights) {
      pen.globalAlpha = night;
      pen.imageSmoothingEnabled = true;
      pen.drawImage(this.picture.lights, ...this.#frame(camera));
      pen.globalAlpha = 1;
    }
    const radius = camera.scale * GLOW_CELLS;
    for (const place of this.#here()) {
      if (!place.open) continue;
      const [x, y] = camera.project(place.x + 0.5, place.y + 0.5);
      const glow = pen.createRadialGradient(x, y, 0, x, y, radius);
      glow.addColorStop(0, `rgb(255 190 96 / ${0.55 * night})`);
      glow.addColorStop(0.4, `rgb(255 160 70 / ${0.22 * night})`);
      glow.addColorStop(1, "rgb(255 150 60 / 0)");
      pen.fillStyle = glow;
      pen.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
    }
  }

  /** Left, top, width and height of the map in pixels; of the whole canvas without one. */
  #frame(camera) {
    if (!this.picture) return [0, 0, camera.canvas.clientWidth, camera.canvas.clientHeight];
    const { width, height } = this.picture;
    return [...camera.project(0, 0), width * camera.scale, height * camera.scale];
  }

  #here() {
    return this.places.filter((place) => !place.map || !this.map || place.map === this.map);
  }
}

function overlap(a, b) {
  return a[0] < b[2] && a[2] > b[0] && a[1] < b[3] && a[3] > b[1];
}
