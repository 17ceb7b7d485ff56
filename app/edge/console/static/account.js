// The account page: who is signed in, with which second factors, and how to add or change one.

import { authenticatorCard, card, field, recoveryCard } from "/console/card.js";
import { el, problem, words } from "/console/dom.js";
import { makePasskey, passkeysWork } from "/console/passkey.js";

/** Show the page; it needs no world. */
export async function open(root, { session }) {
  const account = new Account(root, session);
  await account.show();
  return { close() { account.closed = true; } };
}

class Account {
  closed = false;

  constructor(root, session) {
    this.root = root;
    this.session = session;
  }

  async show() {
    const me = await this.session.json("/v1/me");
    if (this.closed) return;
    this.told = el("div", { "aria-live": "polite" });
    this.root.replaceChildren(el("div", { class: "account" },
      el("h1", {}, me.operator?.login ?? "An API key"),
      el("dl", { class: "pairs" },
        el("dt", {}, "Tenant"), el("dd", {}, me.tenant),
        me.operator ? [el("dt", {}, "Role"), el("dd", {}, words(me.operator.role))] : [],
        el("dt", {}, "May"), el("dd", {}, me.scopes.map((scope) => scope.toLowerCase()).join(", ")),
      ),
      ...(me.operator ? this.#ways(me) : [el("p", { class: "dim" }, "Keys are changed by ", el("code", {}, "/v1/keys"), ".")]),
      this.told,
    ));
  }

  #ways(me) {
    const totp = me.operator.factors.includes("totp");
    return [
      el("h2", {}, "Passkeys"),
      el("ul", { class: "cards" }, me.passkeys.map((one) => el("li", {},
        el("span", {}, one.label, " ", el("small", { class: "dim" }, `since ${day(one.created_ms)}`)),
        this.#button("Remove", () => this.#send(`/v1/me/passkeys/${one.id}`, "DELETE")),
      ))),
      passkeysWork()
        ? this.#button("Add a passkey", () => this.#addPasskey(), "add-passkey")
        : el("p", { class: "dim" }, "This page can add passkeys when it is opened by a name, such as localhost."),
      el("h2", {}, "Authenticator"),
      el("p", { class: "dim" }, totp ? "An app shows codes for this account." : "None yet."),
      el("div", { class: "ways" },
        this.#button(totp ? "Use another app" : "Add an authenticator", () => this.#addTotp(), "add-totp"),
        totp ? this.#button("Remove", () => this.#send("/v1/me/totp", "DELETE")) : null,
      ),
      el("h2", {}, "Password"),
      el("div", { class: "ways" },
        this.#button("Change the password", () => this.#password(), "change-password"),
        this.#button("New recovery codes", () => this.#recoveryCodes(), "new-codes"),
      ),
      el("p", { class: "dim" }, `${me.recovery_codes} recovery codes are left.`),
    ];
  }

  #button(text, act, id = null) {
    return el("button", { id, type: "button", on: { click: async (event) => {
      event.target.disabled = true;
      try {
        await act();
      } catch (error) {
        this.told.replaceChildren(problem(error));
      } finally {
        event.target.disabled = false;
      }
    } } }, text);
  }

  async #send(path, method, body) {
    await this.session.fetch(path, { method, body });
    await this.show();
  }

  async #addPasskey() {
    const asked = await this.session.json("/v1/me/passkeys/options", { body: {} });
    const passkey = await makePasskey(asked.options);
    await this.#send("/v1/me/passkeys", "POST", { enrollment: asked.challenge, passkey });
  }

  async #addTotp() {
    const made = await this.session.json("/v1/me/totp", { body: {} });
    authenticatorCard(this.root, made, {
      button: "Use it from now on",
      prove: (code) => this.#send("/v1/me/totp", "PUT", { enrollment: made.enrollment, code }),
      below: [this.#back()],
    });
  }

  #password() {
    const current = field("Present password", {
      id: "current", type: "password", autocomplete: "current-password", required: false,
    });
    const fresh = field("New password", { id: "password", type: "password", autocomplete: "new-password" },
      "A few words are easy to remember. Every other sign-in of yours ends.");
    card(this.root, {
      title: "Change the password",
      rows: [current.row, fresh.row],
      button: "Change it",
      act: async () => {
        const body = { current: current.input.value, new: fresh.input.value };
        this.session.begin(await this.session.json("/v1/me/password", { body }));
        await this.show();
      },
      below: [this.#back()],
    });
  }

  async #recoveryCodes() {
    const made = await this.session.json("/v1/me/recovery-codes", { body: {} });
    recoveryCard(this.root, made.recovery_codes, () => this.show());
  }

  #back() {
    return el("div", { class: "ways" },
      el("button", { class: "quiet", type: "button", on: { click: () => this.show() } }, "Back"));
  }
}

function day(ms) {
  return new Date(ms).toLocaleDateString("en", { dateStyle: "medium" });
}
