"""A recorded life as a picture that moves (GIF) and one that does not (PNG), drawn with Pillow.

A map with its places, everyone colored by role with the sign of what they do, a trail, health where it is not full,
lines from hunters to hunted, night as darkness, and a caption with the clock and the counts. It knows recordings only.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from app.learning.envs.recording import Recording
from app.learning.envs.village import ATTACK, F32, FLEE, INTENTS, PREDATOR, REST, ROLES, TALK, TRADE, VILLAGER

SIDE, CAPTION, LEGEND = 560, 46, 168
"""Pixels: the map's side, the caption's height, the legend's width."""
SCALE = 2
"""Pictures are drawn this many times as large and shrunk, for smooth edges."""
TRAIL = 10
"""Moments that a trail looks back."""
COLORS = ("#2f6fde", "#e3a008", "#37a862", "#d43d3d", "#9a7b5b")
"""Of each role: guard, merchant, villager, predator, prey."""
SIGNS = {
    "flee": "!", "attack": "x", "guard": "g", "home": "h", "work": "w", "eat": "e", "trade": "$", "wander": "~",
    "follow": ">", "rest": "z", "talk": "t", "patrol": "p",
}  # fmt: skip
DAY, NIGHT, GROUND, TOWN = (244, 241, 232), (58, 66, 104), "#dfe6cf", "#efe6d2"
COLORS_MAX = 96
BYTES_MAX = 3_000_000
"""No GIF is larger: frames are left out until it fits."""


def gif(recording: Recording, path: Path, *, frames_max: int = 150, frame_ms: int = 90) -> int:
    """Write the moving picture, of at most `frames_max` moments; returns how many frames it has."""
    stage, last = Stage(recording), len(recording.hour) - 1
    sample = Image.new("RGB", (4 * (SIDE + LEGEND), SIDE + CAPTION))
    for at in range(4):
        sample.paste(stage.draw(last * (1 + 2 * at) // 8), (at * (SIDE + LEGEND), 0))
    pen = ImageDraw.Draw(sample)
    for at, color in enumerate((*COLORS, "#ffd400", "#42d66b")):  # few pixels have these, yet none may fade
        pen.rectangle((0, at * SIDE // 10, SIDE, (at + 1) * SIDE // 10), fill=color)
    palette = sample.quantize(COLORS_MAX)
    count = min(frames_max, last)
    drawn = [
        stage.draw(last * at // count).quantize(palette=palette, dither=Image.Dither.NONE) for at in range(1, count + 1)
    ]
    while True:
        time_ms = frame_ms * count // len(drawn)
        drawn[0].save(path, save_all=True, append_images=drawn[1:], duration=time_ms, loop=0, optimize=False)
        if path.stat().st_size <= BYTES_MAX or len(drawn) < 16:
            return len(drawn)
        drawn = drawn[::2]


def png(recording: Recording, path: Path) -> None:
    """Write four moments of the recording as one picture: its most eventful, and three spread over the rest."""
    stage = Stage(recording)
    last = len(recording.hour) - 1
    hurt = np.maximum(0.0, recording.hp[:-1] - recording.hp[1:]).sum(1)
    busiest = int(np.clip(hurt.argmax(), TRAIL, last))
    spread = [int(last * share) for share in (0.12, 0.45, 0.8)]
    moments = sorted({busiest, *(max(TRAIL, moment) for moment in spread)})
    frames = [stage.draw(moment) for moment in moments]
    wide, high = frames[0].size
    sheet = Image.new("RGB", (wide * 2, high * math.ceil(len(frames) / 2)), DAY)
    for at, frame in enumerate(frames):
        sheet.paste(frame, (at % 2 * wide, at // 2 * high))
    sheet.save(path, optimize=True)


class Stage:
    """The fixed things of one recording: the window on the map, its places, fonts."""

    def __init__(self, recording: Recording) -> None:
        self._made = recording
        seen = recording.xy.reshape(-1, 2)
        low, high = np.percentile(seen, 1.5, axis=0) - 4.0, np.percentile(seen, 98.5, axis=0) + 4.0
        self._cells = float((high - low).max())
        self._corner = (low + high - self._cells) / 2.0
        self._font = ImageFont.load_default(11 * SCALE)
        self._bold = ImageFont.load_default(15 * SCALE)
        self._map = self._places()

    def draw(self, moment: int) -> Image.Image:
        """One frame (SIDE + LEGEND, SIDE + CAPTION)."""
        made = self._made
        dark = min(1.0, max(0.0, 0.5 + 1.4 * (math.cos(2.0 * math.pi * float(made.hour[moment]) / 24.0) - 0.5)))
        ground = Image.blend(self._map, Image.new("RGB", self._map.size, NIGHT), 0.62 * dark)
        pen = ImageDraw.Draw(ground, "RGBA")
        self._trails(pen, moment)
        self._deeds(pen, moment)
        for i in np.argsort(made.role >= PREDATOR, kind="stable").tolist():
            self._body(pen, moment, i)
        frame = Image.new("RGB", ((SIDE + LEGEND) * SCALE, (SIDE + CAPTION) * SCALE), DAY)
        frame.paste(ground, (0, CAPTION * SCALE))
        pen = ImageDraw.Draw(frame)
        self._caption(pen, moment)
        self._legend(pen, moment)
        return frame.resize((SIDE + LEGEND, SIDE + CAPTION), Image.Resampling.LANCZOS)

    def _at(self, xy: F32) -> tuple[float, float]:
        x, y = ((xy - self._corner) / self._cells * SIDE * SCALE).tolist()
        return x, y

    def _places(self) -> Image.Image:
        """The ground without anyone: homes as roofs, the market as a square, dens in the wild."""
        made = self._made
        picture = Image.new("RGB", (SIDE * SCALE, SIDE * SCALE), GROUND)
        pen = ImageDraw.Draw(picture)
        people = made.role <= VILLAGER
        middle = self._at(made.work[people].mean(0))
        reach = np.linalg.norm(made.home[people] - made.work[people].mean(0), axis=1).max() + 4.0
        radius = float(reach) / self._cells * SIDE * SCALE
        _disc(pen, middle, radius, fill=TOWN)
        market = 5.0 / self._cells * SIDE * SCALE
        pen.rounded_rectangle(
            (middle[0] - market, middle[1] - market, middle[0] + market, middle[1] + market),
            radius=market / 3, fill="#e6d3a8", outline="#c9ae72", width=SCALE,
        )  # fmt: skip
        for i in range(len(made.role)):
            x, y = self._at(made.home[i])
            size = 6.0 * SCALE
            if people[i]:
                pen.polygon(((x - size, y), (x, y - size), (x + size, y)), fill="#b98d6c")
                pen.rectangle((x - size * 0.7, y, x + size * 0.7, y + size * 0.8), fill="#d8c3a8")
            else:
                color = "#c4b2ab" if made.role[i] == PREDATOR else "#b9c9a0"
                _disc(pen, (x, y), size * 0.8, fill=color)
        pen.text((middle[0], middle[1] - market), "market", font=self._font, fill="#8a713f", anchor="md")
        return picture

    def _trails(self, pen: ImageDraw.ImageDraw, moment: int) -> None:
        made = self._made
        first = max(0, moment - TRAIL)
        for i in range(len(made.role)):
            steps = made.xy[first : moment + 1, i]
            near = np.abs(np.diff(steps, axis=0)).max(axis=1, initial=0.0) < 4.0  # not across a return from death
            if made.alive[first : moment + 1, i].all() and near.all():
                pen.line([self._at(step) for step in steps], fill=(*_rgb(COLORS[made.role[i]]), 110), width=2 * SCALE)

    def _deeds(self, pen: ImageDraw.ImageDraw, moment: int) -> None:
        """Lines to whom one strikes at, trades with or talks to."""
        made = self._made
        colors = {ATTACK: (214, 40, 40, 220), TRADE: (200, 150, 0, 200), TALK: (120, 120, 200, 150)}
        for i in np.flatnonzero((made.target[moment] >= 0) & (made.alive[moment] == 1)).tolist():
            color = colors.get(int(made.intent[moment, i]))
            other = made.xy[moment, made.target[moment, i]]
            if color and np.abs(other - made.xy[moment, i]).max() < 20.0:
                pen.line((self._at(made.xy[moment, i]), self._at(other)), fill=color, width=2 * SCALE)

    def _body(self, pen: ImageDraw.ImageDraw, moment: int, i: int) -> None:
        made = self._made
        x, y = self._at(made.xy[moment, i])
        role = int(made.role[i])
        size = (7.5 if role != PREDATOR else 8.5) * SCALE
        if not made.alive[moment, i]:
            for way in (-1, 1):
                pen.line(
                    (x - size / 2, y - way * size / 2, x + size / 2, y + way * size / 2), fill="#555", width=SCALE * 2
                )
            return
        intent = int(made.intent[moment, i])
        edge = "#ffffff" if intent not in (FLEE, ATTACK) else ("#ffd400" if intent == FLEE else "#5c0000")
        if role == PREDATOR:
            pen.regular_polygon((x, y, size * 1.15), 3, fill=COLORS[role], outline=edge, width=SCALE)
        else:
            _disc(pen, (x, y), size, fill=COLORS[role], outline=edge, width=SCALE)
        color = "#ffffff" if intent != REST else "#e8e8ff"
        pen.text((x, y), SIGNS[INTENTS[intent]], font=self._font, fill=color, anchor="mm")
        hp = float(made.hp[moment, i])
        if hp < 0.95:
            left, top, wide = x - size, y - size - 5 * SCALE, 2 * size
            pen.rectangle((left, top, left + wide, top + 2 * SCALE), fill="#5a2020")
            pen.rectangle((left, top, left + wide * max(0.0, hp), top + 2 * SCALE), fill="#42d66b")

    def _caption(self, pen: ImageDraw.ImageDraw, moment: int) -> None:
        made = self._made
        hour = float(made.hour[moment])
        people = made.role <= VILLAGER
        deaths, killed, stopped = made.tally[moment].tolist()
        clock = f"{int(hour):02d}:{int(hour % 1 * 60):02d}"
        words = (
            f"people {int(made.alive[moment, people].sum())} of {int(people.sum())}    killed {killed}    "
            f"attackers stopped {stopped}    deaths in all {deaths}"
        )
        pen.text((12 * SCALE, CAPTION * SCALE / 2), clock, font=self._bold, fill="#222", anchor="lm")
        pen.text((70 * SCALE, CAPTION * SCALE / 2), words, font=self._font, fill="#333", anchor="lm")

    def _legend(self, pen: ImageDraw.ImageDraw, moment: int) -> None:
        made, left, top = self._made, (SIDE + 14) * SCALE, (CAPTION + 6) * SCALE
        for role, name in enumerate(ROLES):
            mine = made.role == role
            _disc(pen, (left + 5 * SCALE, top + 7 * SCALE), 5 * SCALE, fill=COLORS[role])
            words = f"{name}  {int(made.alive[moment, mine].sum())}/{int(mine.sum())}"
            pen.text((left + 17 * SCALE, top + 7 * SCALE), words, font=self._font, fill="#222", anchor="lm")
            top += 19 * SCALE
        top += 10 * SCALE
        doing = made.intent[moment][made.alive[moment] == 1]
        for intent, name in enumerate(INTENTS):
            count = int((doing == intent).sum())
            shade = "#222" if count else "#aaa"
            pen.text((left + 5 * SCALE, top + 6 * SCALE), SIGNS[name], font=self._font, fill=shade, anchor="mm")
            pen.text((left + 17 * SCALE, top + 6 * SCALE), name, font=self._font, fill=shade, anchor="lm")
            bar = left + 66 * SCALE
            pen.rectangle((bar, top + 1 * SCALE, bar + count * 2.4 * SCALE, top + 11 * SCALE), fill="#9db4d6")
            if count:
                end = (bar + (count * 2.4 + 4) * SCALE, top + 6 * SCALE)
                pen.text(end, str(count), font=self._font, fill="#222", anchor="lm")
            top += 18 * SCALE


def _disc(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    radius: float,
    *,
    fill: str,
    outline: str | None = None,
    width: int = 1,
) -> None:
    pen.ellipse(
        (at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=fill, outline=outline, width=width
    )


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
