// The sign-in page: login and password, then a code; or a passkey; or an API key. A one-time code or an
// invitation comes in the address.

import { request } from "/console/api.js";
import { card, codeInput, field, or } from "/console/card.js";
import { el } from "/console/dom.js";
import { passkeysWork, usePasskey } from "/console/passkey.js";

const TENANT = "innkeeper.tenant";

/** Take the code out of the address, so that it stays neither in sight nor in the history; "" without one. */
export function takeCode() {
  if (!holdsCode()) return "";
  const code = location.hash.slice(1);
  history.replaceState(null, "", location.pathname + location.search);
  return code;
}

/** Whether the address holds a code, and not the name of a page or of a part of this one. */
export function holdsCode() {
  const hash = location.hash.slice(1);
  return hash !== "" && !hash.startsWith("/") && document.getElementById(hash) === null;
}

/** Whose people sign in here: the address says so, or whoever was here last. */
export function tenantHere() {
  return new URLSearchParams(location.search).get("tenant") || localStorage.getItem(TENANT) || "default";
}

/** Remember the tenant of this browser. */
export function keepTenant(tenant) {
  localStorage.setItem(TENANT, tenant);
}

/** Show the page in `root`; resolves when `session` is signed in. `refused` is an error to begin with. */
export function signIn(root, session, refused = null) {
  return new Promise((resolve) => new Ways(root, session, resolve).password(refused));
}

class Ways {
  constructor(root, session, done) {
    this.root = root;
    this.session = session;
    this.done = done;
    this.tenant = tenantHere();
  }

  password(refused = null) {
    const login = field("Login", { id: "login", autocomplete: "username" });
    const password = field("Password", { id: "password", type: "password", autocomplete: "current-password" });
    const shown = this.tenant !== "default";
    const tenant = field("Tenant", { id: "tenant", value: this.tenant });
    tenant.row.hidden = !shown;
    const choose = () => (this.tenant = tenant.input.value.trim() || "default");
    const { attempt } = card(this.root, {
      title: "Welcome to the inn",
      lead: ["Sign in to look after your worlds."],
      rows: [tenant.row, login.row, password.row],
      button: "Sign in",
      refused,
      act: async () => {
        const body = { tenant: choose(), login: login.input.value, password: password.input.value };
        const step = await (await request("/v1/auth/sign-in", { body })).json();
        if (step.tokens) this.#enter(step.tokens);
        else if (step.factors.includes("totp")) this.code(step.ticket);
        else if (step.factors.includes("passkey") && passkeysWork()) await this.#passkey();
        else this.recovery(step.ticket);
      },
      below: [
        passkeysWork() ? or() : null,
        passkeysWork()
          ? el("button", { id: "use-passkey", type: "button", on: { click: () => attempt(async () => {
            choose();
            await this.#passkey();
          }) } }, "Sign in with a passkey")
          : null,
        el("div", { class: "ways" },
          el("button", { id: "use-key", class: "quiet", type: "button", on: { click: () => this.key() } },
            "Use an API key"),
          el("button", { class: "quiet", type: "button", hidden: shown, on: { click: (event) => {
            tenant.row.hidden = false;
            event.target.hidden = true;
            tenant.input.select();
          } } }, "Another tenant"),
        ),
      ],
    });
    login.input.focus();
  }

  code(ticket) {
    const code = field("Code of your authenticator", codeInput("code"));
    card(this.root, {
      title: "One more step",
      lead: ["Your password is right. Now type the code that your authenticator shows."],
      rows: [code.row],
      button: "Sign in",
      act: () => this.#second("/v1/auth/sign-in/totp", ticket, code.input.value),
      below: [
        el("div", { class: "ways" },
          el("button", { id: "use-recovery", class: "quiet", type: "button", on: { click: () => this.recovery(ticket) } },
            "Use a recovery code"),
          this.#back(),
        ),
      ],
    });
  }

  recovery(ticket) {
    const code = field("Recovery code", { id: "code", class: "code", autocomplete: "off", placeholder: "xxxx-xxxx-xxxx-xxxx" });
    card(this.root, {
      title: "One more step",
      lead: ["Type one of the recovery codes that you kept when you joined. It is then used up."],
      rows: [code.row],
      button: "Sign in",
      act: () => this.#second("/v1/auth/sign-in/recovery", ticket, code.input.value),
      below: [el("div", { class: "ways" }, this.#back())],
    });
  }

  key() {
    const key = field("API key", { id: "key", type: "password", autocomplete: "off", placeholder: "ik_…" });
    card(this.root, {
      title: "Enter with a key",
      lead: ["Paste an API key, or open the link that ", el("code", {}, "manage.py console"), " prints. ",
        "The key is exchanged for a short-lived token and not kept."],
      rows: [key.row],
      button: "Sign in",
      act: async () => {
        await this.session.enterWithKey(key.input.value.trim());
        key.input.value = "";
        this.done();
      },
      below: [el("div", { class: "ways" }, this.#back())],
    });
  }

  #back() {
    return el("button", { class: "quiet", type: "button", on: { click: () => this.password() } }, "Back");
  }

  async #second(path, ticket, code) {
    this.#enter(await (await request(path, { body: { ticket, code } })).json());
  }

  async #passkey() {
    const asked = await (await request("/v1/auth/sign-in/passkey/options", { body: { tenant: this.tenant } })).json();
    const body = { challenge: asked.challenge, passkey: await usePasskey(asked.options) };
    this.#enter(await (await request("/v1/auth/sign-in/passkey", { body })).json());
  }

  #enter(tokens) {
    keepTenant(this.tenant);
    this.session.begin(tokens);
    this.done();
  }
}
