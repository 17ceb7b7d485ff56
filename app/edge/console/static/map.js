// Reads a map of the Moving AI format, or its rows alone, into kinds of ground. The format only says
// what blocks; what stands for a street or a floor is read from where it lies. It does not paint.

export const WALL = 0, STREET = 1, GRASS = 2, FIELD = 3, TREE = 4, WATER = 5, FLOOR = 6, HOUSE = 7;

const KIND_OF = { "@": WALL, O: WALL, "#": WALL, ".": GRASS, G: STREET, S: FIELD, T: TREE, W: WATER };
const ROOM_CELLS_MAX = 80;
const ROOM_WALL_SHARE = 0.6;

/** {width, height, kinds: Uint8Array (height * width)}; throws Error when the text holds no map. */
export function parseMap(text) {
  const lines = text.split(/\r?\n/);
  const header = lines.findIndex((line) => line.trim() === "map");
  const rows = lines.slice(header + 1).filter((line) => line !== "");
  const width = rows.reduce((widest, row) => Math.max(widest, row.length), 0);
  if (!width) throw new Error("The map holds no rows.");
  const map = { width, height: rows.length, kinds: new Uint8Array(width * rows.length) };
  rows.forEach((row, y) => {
    for (let x = 0; x < row.length; x += 1) map.kinds[y * width + x] = KIND_OF[row[x]] ?? WALL;
  });
  furnish(map);
  return map;
}

/** Small rooms with walls around become floors, and their walls houses. */
function furnish(map) {
  const seen = new Uint8Array(map.kinds.length);
  for (let cell = 0; cell < map.kinds.length; cell += 1) {
    if (seen[cell] || map.kinds[cell] !== GRASS) continue;
    const room = region(map, cell, seen);
    if (room.cells.length > ROOM_CELLS_MAX || room.walls < ROOM_WALL_SHARE * room.edges) continue;
    for (const inside of room.cells) {
      map.kinds[inside] = FLOOR;
      for (const near of around(map, inside)) if (map.kinds[near] === WALL) map.kinds[near] = HOUSE;
    }
  }
}

/** The grass that hangs together with `start`, and how many of its edges are walls. */
function region(map, start, seen) {
  const { width, height, kinds } = map;
  const cells = [start];
  let edges = 0, walls = 0;
  const look = (other, inside) => {
    if (inside && kinds[other] === GRASS) {
      if (!seen[other]) cells.push(other);
      seen[other] = 1;
    } else {
      edges += 1;
      if (inside && (kinds[other] === WALL || kinds[other] === HOUSE)) walls += 1;
    }
  };
  seen[start] = 1;
  for (let at = 0; at < cells.length; at += 1) {
    const cell = cells[at], x = cell % width;
    look(cell - 1, x > 0);
    look(cell + 1, x < width - 1);
    look(cell - width, cell >= width);
    look(cell + width, cell < (height - 1) * width);
  }
  return { cells, edges, walls };
}

/** The eight cells around one, as far as they lie on the map. */
function around({ width, height }, cell) {
  const x = cell % width, y = (cell - x) / width;
  const found = [];
  for (let dy = -1; dy <= 1; dy += 1) {
    for (let dx = -1; dx <= 1; dx += 1) {
      const inside = x + dx >= 0 && x + dx < width && y + dy >= 0 && y + dy < height;
      if (inside && (dx || dy)) found.push(cell + dy * width + dx);
    }
  }
  return found;
}
