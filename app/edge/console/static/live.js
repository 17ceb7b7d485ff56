// The live stream of one world: read by fetch, because an EventSource cannot send a token. A stream
// that ends or falls silent is opened again, each time a little later.

import { events } from "/console/api.js";

const SILENCE_MS = 25_000;
const WAIT_MS_MIN = 500;
const WAIT_MS_MAX = 10_000;

/** Calls `on[event](data)` for each event, and `on.state("live" | "waiting")` as the stream comes and goes. */
export class Live {
  #closing = new AbortController();

  constructor(session, world, on) {
    this.#run(session, `/v1/worlds/${encodeURIComponent(world)}/live`, on);
  }

  close() {
    this.#closing.abort();
  }

  async #run(session, path, on) {
    let waitMs = WAIT_MS_MIN;
    while (!this.#closing.signal.aborted && session.signedIn) {
      const began = performance.now();
      try {
        await this.#read(session, path, on);
      } catch {
        if (this.#closing.signal.aborted) return; // Any other end, named or not, is mended by opening again.
      }
      on.state("waiting");
      if (performance.now() - began > WAIT_MS_MAX) waitMs = WAIT_MS_MIN;
      await new Promise((resolve) => setTimeout(resolve, waitMs * (0.5 + Math.random() / 2)));
      waitMs = Math.min(waitMs * 2, WAIT_MS_MAX);
    }
  }

  async #read(session, path, on) {
    const silence = new AbortController();
    const signal = AbortSignal.any([silence.signal, this.#closing.signal]);
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const response = await session.fetch(path, { accept: "text/event-stream", signal });
      on.state("live");
      for await (const { event, data } of events(response)) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        on[event]?.(data);
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
