// The light of a game day: the clock in words and the tint of the hour. A game day has 86,400 game seconds.

const DAY_S = 86_400;

// [hour, red, green, blue, strength]: what the map is multiplied with, blended between the hours.
const TINTS = [
  [0, 46, 58, 122, 0.62],
  [4.5, 52, 62, 124, 0.58],
  [6.5, 255, 178, 130, 0.3],
  [8.5, 255, 244, 220, 0.06],
  [12, 255, 255, 255, 0],
  [16.5, 255, 240, 205, 0.08],
  [19, 255, 150, 92, 0.34],
  [20.5, 104, 84, 150, 0.48],
  [22, 46, 58, 122, 0.6],
  [24, 46, 58, 122, 0.62],
];

export function hourOf(gameS) {
  return (((gameS % DAY_S) + DAY_S) % DAY_S) / 3_600;
}

/** Such as "Day 3, 14:05"; the first day is day 1. */
export function clock(gameS) {
  const hour = hourOf(gameS);
  const pad = (value) => String(Math.floor(value)).padStart(2, "0");
  return `Day ${Math.floor(gameS / DAY_S) + 1}, ${pad(hour)}:${pad((hour % 1) * 60)}`;
}

/** {color, night}: a CSS color to multiply with, and how dark it is, in [0, 1]. */
export function lightAt(gameS) {
  const hour = hourOf(gameS);
  const next = Math.max(1, TINTS.findIndex(([from]) => from > hour));
  const [a, b] = [TINTS[next - 1], TINTS[next]];
  const share = (hour - a[0]) / (b[0] - a[0]);
  const [, red, green, blue, strength] = a.map((value, at) => value + (b[at] - value) * share);
  const away = hour > 12 ? hour - 19 : 6.5 - hour;
  const night = Math.min(1, Math.max(0, away / 2));
  return { color: `rgb(${Math.round(red)} ${Math.round(green)} ${Math.round(blue)} / ${strength.toFixed(3)})`, night };
}
