// Accepting an invitation: a login, and either a passkey or a password with an authenticator. Nothing is
// kept on the server before the last step, so a page that was closed half-way can be opened again.

import { request } from "/console/api.js";
import { authenticatorCard, card, field, recoveryCard } from "/console/card.js";
import { el, words } from "/console/dom.js";
import { makePasskey, passkeysWork } from "/console/passkey.js";
import { keepTenant } from "/console/signin.js";

/** Show the steps in `root`; resolves when `session` is signed in. Throws ApiError for an invitation that is over. */
export async function join(root, session, code) {
  const invited = await (await request("/v1/auth/invitation", { body: { code } })).json();
  return new Promise((resolve) => new Joining(root, session, { code, ...invited }, resolve).choose());
}

class Joining {
  constructor(root, session, invited, done) {
    this.root = root;
    this.session = session;
    this.invited = invited;
    this.done = done;
  }

  choose(login = this.invited.login) {
    const name = field("Login", { id: "login", autocomplete: "username", value: login, maxlength: 100 });
    const ways = [
      passkeysWork() ? ["passkey", "A passkey", "Your device or security key. Nothing to remember, the safest."] : null,
      ["totp", "A password and an authenticator", "An app on your phone shows a code each time."],
      this.invited.factor_required ? null : ["password", "A password alone", "A long one."],
    ].filter(Boolean);
    const radios = ways.map(([value, title, about], place) => el("label", { class: "way" },
      el("input", { type: "radio", name: "way", value, checked: place === 0 }),
      el("span", {}, el("strong", {}, title), el("small", { class: "dim" }, about)),
    ));
    card(this.root, {
      title: "Join the inn",
      lead: ["You are invited to ", el("strong", {}, this.invited.tenant), " as ",
        el("strong", {}, words(this.invited.role)), "."],
      rows: [name.row, el("fieldset", {}, el("legend", {}, "How you will sign in"), ...radios)],
      button: "Continue",
      act: async () => {
        const way = this.root.querySelector("input[name=way]:checked").value;
        if (way === "passkey") await this.#passkey(name.input.value);
        else this.password(name.input.value, way === "totp");
      },
    });
  }

  password(login, withApp) {
    const least = withApp ? this.invited.password_chars_min : this.invited.password_alone_chars_min;
    const password = field("Password", { id: "password", type: "password", autocomplete: "new-password" },
      `At least ${least} characters of any kind; a few words are easy to remember.`);
    card(this.root, {
      title: "Choose a password",
      lead: ["For ", el("strong", {}, login), "."],
      rows: [
        el("input", { hidden: true, autocomplete: "username", value: login, readonly: true }),
        password.row,
      ],
      button: withApp ? "Continue" : "Join",
      act: async () => {
        if (withApp) await this.#authenticator(login, password.input.value);
        else await this.#accept({ login, password: password.input.value });
      },
      below: [el("div", { class: "ways" }, this.#back(login))],
    });
    password.input.focus();
  }

  async #authenticator(login, password) {
    const made = await (await request("/v1/auth/invitation/totp", { body: { code: this.invited.code } })).json();
    authenticatorCard(this.root, made, {
      button: "Join",
      prove: (code) => this.#accept({ login, password, proof: { enrollment: made.enrollment, code } }),
      below: [el("div", { class: "ways" }, this.#back(login))],
    });
  }

  async #passkey(login) {
    const path = "/v1/auth/invitation/passkey/options";
    const asked = await (await request(path, { body: { code: this.invited.code } })).json();
    const user = { ...asked.options.user, name: login, displayName: login };
    const passkey = await makePasskey({ ...asked.options, user });
    await this.#accept({ login, proof: { enrollment: asked.challenge, passkey } });
  }

  async #accept(choice) {
    const body = { code: this.invited.code, ...choice };
    const joined = await (await request("/v1/auth/invitation/accept", { body })).json();
    const enter = () => {
      if (this.session.signedIn) this.session.leave();
      keepTenant(this.invited.tenant);
      this.session.begin(joined.tokens);
      this.done();
    };
    if (joined.recovery_codes.length) recoveryCard(this.root, joined.recovery_codes, enter);
    else enter();
  }

  #back(login) {
    return el("button", { class: "quiet", type: "button", on: { click: () => this.choose(login) } }, "Back");
  }
}
