// The card on which people sign in and join: a form with fields, one thing to do, and what went wrong.

import { el, problem } from "/console/dom.js";
import { qrCode } from "/console/qr.js";

/** A labeled input; `hint` stands below it. */
export function field(label, attributes, hint = "") {
  const input = el("input", { required: true, spellcheck: "false", autocapitalize: "none", ...attributes });
  if (hint) input.setAttribute("aria-describedby", `${input.id}-hint`);
  const row = el("div", { class: "field" },
    el("label", { for: input.id }, label),
    input,
    hint ? el("small", { id: `${input.id}-hint`, class: "dim" }, hint) : null,
  );
  return { input, row };
}

/** Show a card in `root`. `act` runs on submit; while it does the card waits, and what it throws is shown. */
export function card(root, { title, lead = [], rows = [], button, act, below = [], refused = null }) {
  const told = el("div", { "aria-live": "polite" }, refused ? problem(refused) : "");
  const submit = el("button", { class: "primary", type: "submit" }, button);
  const form = el("form", { class: "signin", on: { submit: (event) => { event.preventDefault(); attempt(act); } } },
    el("img", { src: "/console/mark.svg", alt: "", width: 56, height: 56 }),
    el("h1", {}, title),
    el("p", { class: "dim" }, ...lead),
    ...rows.filter(Boolean),
    told,
    submit,
    ...below,
  );
  async function attempt(run) {
    const buttons = [...form.querySelectorAll("button")].filter((one) => !one.disabled);
    for (const one of buttons) one.disabled = true;
    try {
      await run();
    } catch (error) {
      told.replaceChildren(problem(error));
      form.querySelector("input")?.select();
    } finally {
      for (const one of buttons) one.disabled = false;
    }
  }
  root.replaceChildren(form);
  const inputs = [...form.querySelectorAll("input:not([type=radio])")];
  inputs.find((input) => !input.closest("[hidden]"))?.focus();
  return { attempt };
}

/** A line with a word in it, between two ways to do the same. */
export function or() {
  return el("div", { class: "or" }, el("span", {}, "or"));
}

/** A secret that is read aloud or typed, in groups of four. */
export function groups(secret) {
  return el("code", { class: "secret" }, secret.match(/.{1,4}/g).join(" "));
}

/** Recovery codes, shown once; `kept` runs when the person says that they are kept. */
export function recoveryCard(root, codes, kept) {
  card(root, {
    title: "Keep these codes",
    lead: ["Each opens your account once, with your password, if you lose your authenticator. They are not shown again."],
    rows: [el("ul", { class: "codes" }, codes.map((code) => el("li", {}, el("code", {}, code))))],
    button: "I have kept them",
    act: kept,
  });
}

/** An authenticator's secret and a field for its first code; `prove` gets the code. */
export function authenticatorCard(root, { secret, uri }, { button, prove, below = [] }) {
  const code = field("Code that the app shows now", codeInput("code"));
  card(root, {
    title: "Add your authenticator",
    lead: ["Scan this with your authenticator app, enter the secret, or ",
      el("a", { href: uri }, "open it on this device"), "."],
    rows: [qrCode(uri, "QR code of the secret below"), groups(secret), code.row],
    button,
    act: () => prove(code.input.value),
    below,
  });
}

/** What the input of a six-digit code is like. */
export function codeInput(id) {
  return { id, class: "code", inputmode: "numeric", autocomplete: "one-time-code", maxlength: 7, placeholder: "000 000" };
}
