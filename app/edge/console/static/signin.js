// The sign-in page: a one-time code from the address, or a key typed into a form.

import { el, problem } from "/console/dom.js";

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

/** Show the form in `root`; resolves when `session` is signed in. `refused` is an error to begin with. */
export function signIn(root, session, refused = null) {
  return new Promise((resolve) => {
    const key = el("input", {
      id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true, placeholder: "ik_…",
    });
    const told = el("div", {}, refused ? problem(refused) : "");
    const button = el("button", { class: "primary", type: "submit" }, "Sign in");
    const submit = async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        await session.enterWithKey(key.value.trim());
        resolve();
      } catch (error) {
        told.replaceChildren(problem(error));
        key.select();
      } finally {
        key.value = session.signedIn ? "" : key.value;
        button.disabled = false;
      }
    };
    root.replaceChildren(
      el("form", { class: "signin", on: { submit } },
        el("img", { src: "/console/mark.svg", alt: "", width: 56, height: 56 }),
        el("h1", {}, "Welcome to the inn"),
        el("p", {}, "Open the link that ", el("code", {}, "manage.py console"), " prints, or paste an API key. ",
          "The key is exchanged for a short-lived token and not kept."),
        el("label", { for: "key" }, "API key"),
        key,
        told,
        button,
      ),
    );
    key.focus();
  });
}
