// Paints a map once, onto canvases of its own: the ground by day, and the light of its rooms by night.
// It does not know NPCs, cameras or the server.

import { FIELD, FLOOR, GRASS, HOUSE, STREET, TREE, WALL, WATER } from "/console/map.js";

const DETAIL_CELLS_MAX = 160_000;
const CANVAS_PX_MAX = 4_096;
const CELL_PX_MAX = 16;
const DEPTH_MAX = 4;

const COLORS = {
  [WALL]: [132, 122, 110],
  [STREET]: [222, 203, 164],
  [GRASS]: [168, 190, 121],
  [FIELD]: [196, 170, 108],
  [TREE]: [139, 167, 98],
  [WATER]: [116, 173, 199],
  [FLOOR]: [205, 172, 128],
  [HOUSE]: [158, 92, 66],
};
const DEEP = { [WALL]: [84, 77, 72], [WATER]: [70, 124, 160] };
const SOLID = [WALL, HOUSE];

/** {canvas, lights, width, height}: the pictures, and the size in cells. */
export function paintMap(map) {
  const { width, height } = map;
  const base = paintCells(map);
  const lights = paintLights(map, base);
  if (width * height > DETAIL_CELLS_MAX) return { canvas: base, lights, width, height };
  const size = Math.min(CELL_PX_MAX, Math.max(4, Math.floor(CANVAS_PX_MAX / Math.max(width, height))));
  const canvas = sheet(width * size, height * size);
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.drawImage(base, 0, 0, canvas.width, canvas.height);
  for (const paint of [paintGround, paintShores, paintWalls, paintTrees]) paint(pen, map, size);
  return { canvas, lights, width, height };
}

function sheet(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** One pixel for each cell, or for each block of cells where the map is larger than a canvas may be. */
function paintCells(map) {
  const step = Math.max(1, Math.ceil(Math.max(map.width, map.height) / CANVAS_PX_MAX));
  const canvas = sheet(Math.ceil(map.width / step), Math.ceil(map.height / step));
  const depths = depthsOf(map);
  const palette = Object.keys(COLORS).map((kind) =>
    Array.from({ length: DEPTH_MAX + 1 }, (_, depth) => colorOf(Number(kind), depth)));
  paintPixels(canvas, (x, y, pixels, at) => {
    const cell = Math.min(y * step, map.height - 1) * map.width + Math.min(x * step, map.width - 1);
    const color = palette[map.kinds[cell]][depths[cell]];
    const shade = 0.97 + noise(x, y) * 0.06;
    for (let channel = 0; channel < 3; channel += 1) pixels[at + channel] = color[channel] * shade;
    pixels[at + 3] = 255;
  });
  return canvas;
}

/** Warm pixels where floors are, everything else clear; null on a map without rooms. */
function paintLights(map, base) {
  if (!map.kinds.includes(FLOOR)) return null;
  const canvas = sheet(base.width, base.height);
  const step = map.width / base.width;
  paintPixels(canvas, (x, y, pixels, at) => {
    const cell = Math.floor(y * step) * map.width + Math.floor(x * step);
    if (map.kinds[cell] === FLOOR) pixels.set([255, 186, 92, 150], at);
  });
  return canvas;
}

/** Let `write(x, y, pixels, at)` fill the four bytes at `at` of each pixel. */
function paintPixels(canvas, write) {
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(canvas.width, canvas.height);
  for (let y = 0, at = 0; y < canvas.height; y += 1) {
    for (let x = 0; x < canvas.width; x += 1, at += 4) write(x, y, image.data, at);
  }
  pen.putImageData(image, 0, 0);
}

function colorOf(kind, depth) {
  const from = COLORS[kind], to = DEEP[kind];
  if (!to || depth <= 1) return from;
  const share = (depth - 1) / (DEPTH_MAX - 1);
  return from.map((value, channel) => value + (to[channel] - value) * share);
}

/** For walls and water: how many cells it is to something else, 1 at the edge, at most DEPTH_MAX. */
function depthsOf({ width, height, kinds }) {
  const depths = new Uint8Array(kinds.length);
  for (let ring = 1; ring <= DEPTH_MAX; ring += 1) {
    const open = (cell, other) => kinds[other] !== kinds[cell] || (depths[other] > 0 && depths[other] < ring);
    for (let y = 0, cell = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1, cell += 1) {
        if (depths[cell] || (kinds[cell] !== WALL && kinds[cell] !== WATER)) continue;
        const edge = (x > 0 && open(cell, cell - 1)) || (x < width - 1 && open(cell, cell + 1))
          || (y > 0 && open(cell, cell - width)) || (y < height - 1 && open(cell, cell + width));
        if (edge || ring === DEPTH_MAX) depths[cell] = ring;
      }
    }
  }
  return depths;
}

/** A fixed number in [0, 1) for a cell, so that a map looks the same each time. */
function noise(x, y, salt = 0) {
  let value = Math.imul(x + 7, 374_761_393) ^ Math.imul(y + 13, 668_265_263) ^ Math.imul(salt + 1, 2_246_822_519);
  value = Math.imul(value ^ (value >>> 13), 1_274_126_177);
  return ((value ^ (value >>> 16)) >>> 0) / 4_294_967_296;
}

function eachCell({ width, height, kinds }, wanted, visit) {
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (wanted.includes(kinds[y * width + x])) visit(x, y, kinds[y * width + x]);
    }
  }
}

function kindAt({ width, height, kinds }, x, y) {
  return x < 0 || y < 0 || x >= width || y >= height ? -1 : kinds[y * width + x];
}

/** Tufts of grass, dust of the street, furrows of the field, boards of the floor. */
function paintGround(pen, map, size) {
  const ink = { [STREET]: "rgb(120 92 50 / 0.18)", [GRASS]: "rgb(70 104 40 / 0.34)" };
  eachCell(map, [STREET, GRASS], (x, y, kind) => {
    pen.fillStyle = ink[kind];
    for (let mark = 0; mark < 2; mark += 1) {
      if (noise(x, y, 3 + mark) > 0.42) continue;
      const left = (x + noise(x, y, 11 + mark)) * size, top = (y + noise(x, y, 23 + mark)) * size;
      if (kind === GRASS) pen.fillRect(left, top, Math.max(1, size / 12), size / 4);
      else pen.fillRect(left, top, size / 8, size / 10);
    }
  });
  pen.fillStyle = "rgb(112 84 34 / 0.3)";
  eachCell(map, [FIELD], (x, y) => {
    for (const furrow of [0.15, 0.65]) pen.fillRect(x * size, (y + furrow) * size, size, size / 7);
  });
  pen.fillStyle = "rgb(96 60 26 / 0.26)";
  eachCell(map, [FLOOR], (x, y) => {
    for (const board of [0, 0.5]) pen.fillRect(x * size, (y + board) * size, size, Math.max(1, size / 16));
  });
}

function paintShores(pen, map, size) {
  const edge = Math.max(1, size / 9);
  eachCell(map, [WATER], (x, y) => {
    pen.fillStyle = "rgb(240 248 250 / 0.5)";
    const dry = (dx, dy) => ![WATER, -1].includes(kindAt(map, x + dx, y + dy));
    if (dry(0, -1)) pen.fillRect(x * size, y * size, size, edge);
    if (dry(0, 1)) pen.fillRect(x * size, (y + 1) * size - edge, size, edge);
    if (dry(-1, 0)) pen.fillRect(x * size, y * size, edge, size);
    if (dry(1, 0)) pen.fillRect((x + 1) * size - edge, y * size, edge, size);
    if (noise(x, y, 5) < 0.16) {
      pen.fillStyle = "rgb(255 255 255 / 0.28)";
      pen.fillRect((x + 0.2) * size, (y + noise(x, y, 6)) * size, size * 0.6, Math.max(1, size / 14));
    }
  });
}

/** Walls look like low blocks: a lit rim on top, a dark face and a shadow to the south. */
function paintWalls(pen, map, size) {
  const rim = Math.max(1, size / 8);
  eachCell(map, SOLID, (x, y) => {
    const left = x * size, top = y * size;
    const open = (dx, dy) => ![...SOLID, -1].includes(kindAt(map, x + dx, y + dy));
    if (open(0, 1)) {
      pen.fillStyle = "rgb(58 40 30 / 0.7)";
      pen.fillRect(left, top + size * 0.6, size, size * 0.4);
      pen.fillStyle = "rgb(40 30 20 / 0.3)";
      pen.fillRect(left + size * 0.12, top + size, size, size * 0.34);
    }
    if (open(1, 0)) {
      pen.fillStyle = "rgb(40 30 20 / 0.2)";
      pen.fillRect(left + size, top, size * 0.2, size);
    }
    pen.fillStyle = "rgb(255 244 226 / 0.34)";
    if (open(0, -1)) pen.fillRect(left, top, size, rim);
    if (open(-1, 0)) pen.fillRect(left, top, rim, size * (open(0, 1) ? 0.6 : 1));
  });
}

function paintTrees(pen, map, size) {
  const disc = (x, y, radius, color) => {
    pen.fillStyle = color;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
  };
  eachCell(map, [TREE], (x, y) => {
    const radius = size * (0.46 + noise(x, y, 8) * 0.2);
    const cx = (x + 0.35 + noise(x, y, 9) * 0.3) * size, cy = (y + 0.35 + noise(x, y, 10) * 0.3) * size;
    const green = 104 + Math.round(noise(x, y, 12) * 34);
    disc(cx + size * 0.14, cy + size * 0.2, radius, "rgb(34 48 24 / 0.3)");
    disc(cx, cy, radius, `rgb(${Math.round(green * 0.62)} ${green} 62)`);
    disc(cx - radius * 0.25, cy - radius * 0.3, radius * 0.55, "rgb(214 232 150 / 0.28)");
  });
}
