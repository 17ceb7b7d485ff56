// Who is signed in: a short-lived token in this tab's sessionStorage, and the refresh token that renews
// it, once, before it ends. A key that is typed in is exchanged at once and never kept.

import { ApiError, request } from "/console/api.js";

const KEPT = "innkeeper.session";
const RENEW_AT_SHARE = 0.7;
const RETRY_MS = 5_000;

/** Tells `left` when nobody is signed in any more. */
export class Session extends EventTarget {
  #token = "";
  #refresh = "";
  #endMs = 0;
  #timer = 0;

  constructor() {
    super();
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
      if (kept.endMs > Date.now()) this.#hold(kept.token, kept.endMs, kept.refresh ?? "");
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

  /** End the sign-in, on the server too where that can be reached. */
  leave() {
    clearTimeout(this.#timer);
    const token = this.#refresh || this.#token;
    if (token) request("/v1/auth/revoke", { body: { token } }).catch(() => {});
    this.#token = "";
    this.#refresh = "";
    this.#endMs = 0;
    sessionStorage.removeItem(KEPT);
    this.dispatchEvent(new Event("left"));
  }

  /** Hold the tokens of a fresh sign-in, in the place of any before. */
  begin(issued) {
    this.#hold(issued.access_token, Date.now() + issued.expires_in * 1000, issued.refresh_token ?? "");
  }

  async #take(answer) {
    this.begin(await (await answer).json());
  }

  #hold(token, endMs, refresh) {
    this.#token = token;
    this.#refresh = refresh;
    this.#endMs = endMs;
    sessionStorage.setItem(KEPT, JSON.stringify({ token, endMs, refresh }));
    this.#renewIn((endMs - Date.now()) * RENEW_AT_SHARE);
  }

  #renewIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#renew(), ms);
  }

  async #renew() {
    try {
      await this.#take(request("/v1/auth/refresh", { body: { refresh_token: this.#refresh } }));
    } catch (error) {
      if (error.status === 401 || this.#endMs <= Date.now()) this.leave();
      else this.#renewIn(RETRY_MS);
    }
  }
}
