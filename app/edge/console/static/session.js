// Who is signed in: a short-lived token in this tab's sessionStorage, renewed before it ends. A key
// that is typed in is exchanged at once and never kept.

import { ApiError, request } from "/console/api.js";

const KEPT = "innkeeper.session";
const RENEW_AT_SHARE = 0.7;
const RETRY_MS = 5_000;

/** Tells `left` when nobody is signed in any more. */
export class Session extends EventTarget {
  #token = "";
  #endMs = 0;
  #timer = 0;

  constructor() {
    super();
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
      if (kept.endMs > Date.now()) this.#hold(kept.token, kept.endMs);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }

  get signedIn() {
    return this.#token !== "" && this.#endMs > Date.now();
  }

  /** Exchange a one-time code; throws ApiError. */
  async enter(code) {
    await this.#take(request("/v1/auth/enter", { body: { code } }));
  }

  /** Exchange an API key; throws ApiError. */
  async enterWithKey(key) {
    await this.#take(request("/v1/auth/token", { token: key, method: "POST" }));
  }

  /** A request in this session's name; throws ApiError, and leaves when the token no longer holds. */
  async fetch(path, options = {}) {
    try {
      return await request(path, { ...options, token: this.#token });
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.leave();
      throw error;
    }
  }

  async json(path, options = {}) {
    return (await this.fetch(path, { silenceMs: 15_000, ...options })).json();
  }

  leave() {
    clearTimeout(this.#timer);
    this.#token = "";
    this.#endMs = 0;
    sessionStorage.removeItem(KEPT);
    this.dispatchEvent(new Event("left"));
  }

  async #take(answer) {
    const issued = await (await answer).json();
    this.#hold(issued.access_token, Date.now() + issued.expires_in * 1000);
  }

  #hold(token, endMs) {
    this.#token = token;
    this.#endMs = endMs;
    sessionStorage.setItem(KEPT, JSON.stringify({ token, endMs }));
    this.#renewIn((endMs - Date.now()) * RENEW_AT_SHARE);
  }

  #renewIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#renew(), ms);
  }

  async #renew() {
    try {
      await this.#take(request("/v1/auth/token", { token: this.#token, method: "POST" }));
    } catch (error) {
      if (error.status === 401 || this.#endMs <= Date.now()) this.leave();
      else this.#renewIn(RETRY_MS);
    }
  }
}
