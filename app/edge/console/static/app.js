// The frame of the console: sign-in, the pages and the chosen world. A page is a module with
// `open(root, {session, status, world})`, which shows itself and returns {close()}.

import { el, problem } from "/console/dom.js";
import { Session } from "/console/session.js";
import { holdsCode, signIn, takeCode } from "/console/signin.js";
import { Status } from "/console/status.js";

const PAGES = [
  { id: "world", title: "World", load: () => import("/console/world.js") },
  { id: "account", title: "Account", worldless: true, load: () => import("/console/account.js") },
];
const INVITATION = "invite=";
const CHOSEN = "innkeeper.world";

const session = new Session();
const root = document.getElementById("page");
const nav = document.getElementById("pages");
const leave = document.getElementById("leave");
const choice = document.getElementById("world-choice");
const worldSelect = document.getElementById("world");

async function enter() {
  const code = takeCode();
  let refused = null;
  if (code) await open(code).catch((error) => (refused = error));
  if (!session.signedIn) await signIn(root, session, refused);
}

/** Use the code of the address: an invitation to join by, or one that signs in at once. */
async function open(code) {
  if (!code.startsWith(INVITATION)) return session.enter(code);
  const { join } = await import("/console/join.js");
  return join(root, session, code.slice(INVITATION.length));
}

/** Everything from sign-in to sign-out; resolves when nobody is signed in any more. */
async function visit() {
  await enter();
  const status = new Status(document.getElementById("status"), session);
  const desk = new Desk(status);
  frameShown(true);
  const left = new Promise((resolve) => session.addEventListener("left", resolve, { once: true }));
  const turn = () => location.hash.startsWith("#/") && desk.open();
  addEventListener("hashchange", turn);
  if (session.signedIn) await left;
  removeEventListener("hashchange", turn);
  frameShown(false);
  status.close();
  await desk.close();
}

function frameShown(shown) {
  for (const part of [nav, leave]) part.hidden = !shown;
  if (!shown) choice.hidden = true;
}

/** The open page over the chosen world. */
class Desk {
  #page = null;
  #world = "";
  #worlds = null;
  #turns = 0;
  #opening = null;

  constructor(status) {
    this.status = status;
    status.addEventListener("worlds", (event) => this.#take(event.detail.map((world) => world.id)));
    status.addEventListener("failed", (event) => this.#worlds ?? root.replaceChildren(problem(event.detail)));
    worldSelect.onchange = () => this.#choose(worldSelect.value);
    nav.replaceChildren(...PAGES.map((page) => el("a", { href: `#/${page.id}` }, page.title)));
  }

  /** Show the page that the address names, afresh. */
  open() {
    this.#opening = this.#show(++this.#turns);
    return this.#opening;
  }

  async #show(turn) {
    const page = PAGES.find((known) => location.hash === `#/${known.id}`) ?? PAGES[0];
    for (const link of nav.children) {
      if (link.getAttribute("href") === `#/${page.id}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.#page?.close();
    this.#page = null;
    if (!this.#world && !page.worldless) {
      root.replaceChildren(noWorld());
      return;
    }
    try {
      const { open } = await page.load();
      const opened = await open(root, { session, status: this.status, world: this.#world });
      if (turn === this.#turns) this.#page = opened;
      else opened.close();
    } catch (error) {
      if (turn === this.#turns) root.replaceChildren(problem(error));
    }
  }

  /** Take the page away; one that is still opening draws itself first, and would draw over what comes next. */
  async close() {
    this.#turns += 1;
    await this.#opening;
    this.#page?.close();
    root.replaceChildren();
  }

  #take(ids) {
    if (JSON.stringify(ids) === JSON.stringify(this.#worlds)) return;
    const first = this.#worlds === null;
    this.#worlds = ids;
    worldSelect.replaceChildren(...ids.map((id) => el("option", { value: id }, id)));
    choice.hidden = ids.length === 0;
    const kept = this.#world || sessionStorage.getItem(CHOSEN);
    const world = ids.includes(kept) ? kept : (ids[0] ?? "");
    if (first || world !== this.#world) this.#choose(world);
    worldSelect.value = this.#world;
  }

  #choose(world) {
    this.#world = world;
    this.status.world = world;
    if (world) sessionStorage.setItem(CHOSEN, world);
    worldSelect.value = world;
    this.open();
  }
}

function noWorld() {
  return el("div", { class: "empty" },
    el("h1", {}, "No world yet"),
    el("p", {}, "The page opens by itself when a game server makes one with ", el("code", {}, "world.create"), "."),
    el("p", {}, "To see a village right away, run ", el("code", {}, "python manage.py demo"), "."),
  );
}

leave.onclick = () => session.leave();
addEventListener("hashchange", () => holdsCode() && location.reload());
for (;;) await visit();
