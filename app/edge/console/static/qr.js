// Draws a QR code (ISO/IEC 18004): bytes, error correction level L, versions 1 to 9, always the same mask.
// It does not know what the text says.

const CODEWORDS = [26, 44, 70, 100, 134, 172, 196, 242, 292];
const CORRECTION = [[7, 1], [10, 1], [15, 1], [20, 1], [26, 1], [18, 2], [20, 2], [24, 2], [30, 2]];
const ALIGNMENT = [[], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46]];
const QUIET = 4;
const SVG = "http://www.w3.org/2000/svg";

/** The code as an SVG element with `title`; null for a text that is too long for one. */
export function qrCode(text, title) {
  const modules = encode(new TextEncoder().encode(text));
  if (modules === null) return null;
  const side = modules.length + 2 * QUIET;
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", `0 0 ${side} ${side}`);
  svg.setAttribute("class", "qr");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", title);
  const dark = modules.flatMap((row, y) => row.flatMap((on, x) => (on ? [`M${x + QUIET} ${y + QUIET}h1v1h-1z`] : [])));
  path.setAttribute("d", dark.join(""));
  svg.append(path);
  return svg;
}

function encode(bytes) {
  const version = 1 + CORRECTION.findIndex(([each, blocks], at) => bytes.length + 2 <= CODEWORDS[at] - each * blocks);
  if (version === 0) return null;
  const [each, blocks] = CORRECTION[version - 1];
  const data = padded(bytes, CODEWORDS[version - 1] - each * blocks);
  return drawn(version, interleaved(data, each, blocks));
}

/** Mode and length in front, 4 zero bits behind, then the pads up to `size` codewords. */
function padded(bytes, size) {
  const nibbles = [4, bytes.length >> 4, bytes.length & 15, ...[...bytes].flatMap((byte) => [byte >> 4, byte & 15]), 0];
  const data = [];
  for (let at = 0; at < nibbles.length; at += 2) data.push((nibbles[at] << 4) | nibbles[at + 1]);
  for (let pad = 0xec; data.length < size; pad ^= 0xec ^ 0x11) data.push(pad);
  return data;
}

/** The blocks' data codeword by codeword, then their corrections; a later block may be one longer. */
function interleaved(data, each, blocks) {
  const short = Math.floor(data.length / blocks);
  const longFrom = blocks - (data.length % blocks);
  const parts = [];
  for (let block = 0, at = 0; block < blocks; block += 1) {
    const size = short + (block >= longFrom ? 1 : 0);
    parts.push(data.slice(at, at + size));
    at += size;
  }
  const divisor = generator(each);
  const corrections = parts.map((part) => remainder(part, divisor));
  const across = (rows) => Array.from({ length: rows.at(-1).length }, (_, at) =>
    rows.flatMap((row) => (at < row.length ? [row[at]] : []))).flat();
  return [...across(parts), ...across(corrections)];
}

/** A product in GF(2^8) by x^8 + x^4 + x^3 + x^2 + 1. */
function times(one, other) {
  let product = 0;
  for (let bit = 7; bit >= 0; bit -= 1) product = (product << 1) ^ ((product >> 7) * 0x11d) ^ (((other >> bit) & 1) * one);
  return product;
}

function generator(degree) {
  const found = [...Array(degree - 1).fill(0), 1];
  for (let turn = 0, root = 1; turn < degree; turn += 1, root = times(root, 2)) {
    for (let at = 0; at < degree; at += 1) found[at] = times(found[at], root) ^ (found[at + 1] ?? 0);
  }
  return found;
}

function remainder(data, divisor) {
  const left = Array(divisor.length).fill(0);
  for (const byte of data) {
    const factor = byte ^ left.shift();
    left.push(0);
    divisor.forEach((value, at) => (left[at] ^= times(value, factor)));
  }
  return left;
}

function drawn(version, codewords) {
  const size = 17 + 4 * version;
  const modules = Array.from({ length: size }, () => Array(size).fill(null));
  const put = (x, y, on) => (modules[y][x] = Boolean(on));
  for (let at = 0; at < size; at += 1) {
    put(6, at, at % 2 === 0);
    put(at, 6, at % 2 === 0);
  }
  for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]]) {
    square(4, (dx, dy, ring) => {
      if (modules[y + dy]?.[x + dx] !== undefined) put(x + dx, y + dy, ring !== 2 && ring !== 4);
    });
  }
  const centers = ALIGNMENT[version - 1];
  const last = centers.length - 1;
  centers.forEach((x, column) => centers.forEach((y, row) => {
    if ((column === 0 && (row === 0 || row === last)) || (column === last && row === 0)) return;
    square(2, (dx, dy, ring) => put(x + dx, y + dy, ring !== 1));
  }));
  drawFormat(size, put);
  if (version >= 7) drawVersion(version, size, put);
  drawData(modules, codewords);
  return modules;
}

function square(radius, visit) {
  for (let dy = -radius; dy <= radius; dy += 1) {
    for (let dx = -radius; dx <= radius; dx += 1) visit(dx, dy, Math.max(Math.abs(dx), Math.abs(dy)));
  }
}

/** Level L and mask 0 with their BCH code, twice. */
function drawFormat(size, put) {
  let left = 1 << 3;
  for (let turn = 0; turn < 10; turn += 1) left = (left << 1) ^ ((left >> 9) * 0x537);
  const bits = (((1 << 3) << 10) | left) ^ 0x5412;
  const bit = (at) => (bits >> at) & 1;
  for (let at = 0; at <= 5; at += 1) put(8, at, bit(at));
  put(8, 7, bit(6));
  put(8, 8, bit(7));
  put(7, 8, bit(8));
  for (let at = 9; at < 15; at += 1) put(14 - at, 8, bit(at));
  for (let at = 0; at < 8; at += 1) put(size - 1 - at, 8, bit(at));
  for (let at = 8; at < 15; at += 1) put(8, size - 15 + at, bit(at));
  put(8, size - 8, true);
}

function drawVersion(version, size, put) {
  let left = version;
  for (let turn = 0; turn < 12; turn += 1) left = (left << 1) ^ ((left >> 11) * 0x1f25);
  const bits = (version << 12) | left;
  for (let at = 0; at < 18; at += 1) {
    const [long, short] = [size - 11 + (at % 3), Math.floor(at / 3)];
    put(long, short, (bits >> at) & 1);
    put(short, long, (bits >> at) & 1);
  }
}

/** Two columns at a time, from the right, up and down in turn; mask 0 turns every other module over. */
function drawData(modules, codewords) {
  const size = modules.length;
  let at = 0;
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; step += 1) {
      const y = ((right + 1) & 2) === 0 ? size - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (modules[y][x] !== null) continue;
        const bit = at < codewords.length * 8 ? (codewords[at >> 3] >> (7 - (at & 7))) & 1 : 0;
        modules[y][x] = Boolean(bit ^ ((x + y) % 2 === 0 ? 1 : 0));
        at += 1;
      }
    }
  }
}
