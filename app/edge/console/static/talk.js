// A talk with one NPC as a visitor: lines stream in as they are spoken, each answer says who wrote it.
// What the visitor types is only ever sent as data, what comes back only ever shown as text.

import { ApiError, events } from "/console/api.js";
import { el, number, problem, words } from "/console/dom.js";

const VISITOR = { type: "player", id: "console-visitor", name: "Visitor" };
const LINE_CHARS_MAX = 1_000;
const ANSWER_MS = 60_000;

export class Talk {
  #dialogue = "";
  #closing = new AbortController();

  constructor(root, { session, world, id, nameOf }) {
    Object.assign(this, { session, world, id, nameOf });
    const live = { role: "log", "aria-live": "polite", "aria-label": "Conversation" };
    this.log = el("div", { class: "log", tabindex: 0, ...live },
      el("p", { class: "dim" }, "Say something, or send an empty line to let them speak first."));
    this.text = el("textarea", {
      id: "line", rows: 2, maxlength: LINE_CHARS_MAX, placeholder: "Say something…",
      "aria-label": `Your line to ${nameOf(id)}`, on: { keydown: (event) => this.#key(event) },
    });
    this.send = el("button", { class: "primary", type: "submit" }, "Say");
    const submit = (event) => {
      event.preventDefault();
      this.#say();
    };
    root.replaceChildren(this.log, el("form", { class: "say", on: { submit } }, this.text, this.send));
  }

  focus() {
    this.text.focus();
  }

  close() {
    this.#closing.abort();
    if (this.#dialogue && this.session.signedIn) {
      this.#post("close", { dialogue: this.#dialogue }).catch(() => {}); // It ends by itself when nobody speaks.
    }
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#say();
  }

  async #say() {
    if (this.send.disabled) return;
    const line = this.text.value.trim();
    this.text.value = "";
    this.send.disabled = true;
    if (line) this.#add("mine", "You", line);
    const answer = this.#add("theirs", this.nameOf(this.id), "");
    answer.classList.add("waiting");
    try {
      await this.#answer(line, answer);
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      answer.replaceWith(problem(error));
      this.text.value ||= line;
    } finally {
      this.send.disabled = false;
      this.#scroll();
    }
  }

  /** Ask, in the running dialogue or a new one: the server may have forgotten the old one meanwhile. */
  async #answer(line, answer) {
    const fresh = !this.#dialogue;
    if (fresh) await this.#open();
    try {
      await this.#stream(line, answer);
    } catch (error) {
      if (fresh || error.code !== "not_found") throw error;
      await this.#open();
      await this.#stream(line, answer);
    }
  }

  async #open() {
    await this.#introduce();
    const opened = await this.#post("open", { npc: this.id, participants: [VISITOR.id] });
    this.#dialogue = opened.dialogue;
  }

  /** Bring the visitor into the world, once. */
  async #introduce() {
    try {
      await this.session.json("/v1/world/get", { body: { world: this.world, id: VISITOR.id } });
    } catch (error) {
      if (error.code !== "not_found") throw error;
      await this.session.json("/v1/world/upsert", { body: { world: this.world, entities: [VISITOR] } });
    }
  }

  #post(verb, data) {
    return this.session.json(`/v1/dialogue/${verb}`, { body: { world: this.world, ...data } });
  }

  async #stream(line, answer) {
    const response = await this.session.fetch("/v1/dialogue/say", {
      body: { world: this.world, dialogue: this.#dialogue, speaker: VISITOR.id, text: line },
      accept: "text/event-stream",
      signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    const heard = [];
    for await (const { event, data } of events(response)) {
      if (event === "error") throw new ApiError(data);
      if (event === "chunk") heard.push(data.text);
      this.#write(answer, event === "reply" ? data.text : heard.join(" "));
      if (event !== "reply") continue;
      answer.append(...credits(data));
      return;
    }
    throw new ApiError({ message: "The stream ended before the line did.", hint: "Say it again." });
  }

  #write(answer, text) {
    answer.classList.remove("waiting");
    answer.querySelector(".line-text").textContent = text;
    this.#scroll();
  }

  #add(side, who, text) {
    const line = el("div", { class: `line ${side}` }, el("b", {}, who), el("span", { class: "line-text" }, text));
    this.log.append(line);
    this.#scroll();
    return line;
  }

  #scroll() {
    this.log.scrollTop = this.log.scrollHeight;
  }
}

/** What stands under an answer: who wrote it, how it felt, what it offers, what it took. */
function credits(reply) {
  const facts = [
    el("span", { class: "rung", title: "The rung of the ladder that answered" }, reply.rung),
    el("span", { class: reply.ai_generated ? "mark ai" : "mark" }, reply.ai_generated ? "AI-generated" : "no AI"),
    reply.engine && reply.engine !== reply.rung ? el("span", {}, reply.engine) : null,
    reply.emotion !== "neutral" ? el("span", {}, reply.emotion) : null,
    reply.relation_delta ? el("span", {}, `${reply.relation_delta > 0 ? "likes" : "dislikes"} it`) : null,
    el("span", {}, `${number(Math.round(reply.ms_total))} ms`),
    reply.tokens.output ? el("span", {}, `${reply.tokens.input} + ${reply.tokens.output} tokens`) : null,
  ].filter(Boolean);
  const offers = reply.proposals.map((offer) =>
    el("div", { class: "offer" }, `offers: ${words(offer.action)} `, el("span", { class: "dim" },
      Object.entries(offer.arguments).map(([name, value]) => `${words(name)} ${value}`).join(", "))));
  return [...offers, el("div", { class: "credits" }, facts)];
}
