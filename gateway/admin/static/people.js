// Who is signed in: a search, fifty at a time, and what can be ended.

import { button, byId, dated, element, fill, listed, plural, tag } from "./elements.js";
import { dialog, loading, read, send } from "./server.js";

export function people(mayChange) {
  let shown = [];
  let asked = "";
  let more = null;
  let turn = 0; // number of the latest question: an answer to an earlier one is not shown

  async function ask(start) {
    const mine = ++turn;
    byId("people-said").textContent = "searching";
    byId("more").disabled = true;
    try {
      const query = new URLSearchParams(start ? { q: asked, more: start } : { q: asked });
      const found = await read(`api/people?${query}`);
      if (mine !== turn) return;
      shown = start ? [...shown, ...found.people] : found.people;
      more = found.more;
      show();
    } catch (error) {
      if (mine !== turn) return;
      // What was found before stays, where this was to go on with it; it answers nothing else.
      if (!start) shown = [];
      if (!shown.length) byId("people-scroll").hidden = true;
      more = start ? more : null;
      byId("people-said").textContent = error.message;
    }
    byId("more").hidden = !more;
    byId("more").disabled = false;
  }

  function show() {
    byId("people-said").textContent = `${plural(shown.length, "person", "people")}${more ? ", and there are more" : ""}`;
    byId("people-scroll").hidden = false;
    fill(byId("people-found"), [
      ["Email", (person) => element("strong", {}, person.email ?? "–")],
      ["Issuer", (person) => element("code", {}, person.issuer)],
      ["Sessions", (person) => person.sessions, true],
      ["Signed in", (person) => dated(person.signed_in_at)],
      ["Last seen", (person) => dated(person.last_seen_at)],
      ["", (person) => button("Sessions", () => open(person), { "data-of": person.issuer })],
    ], shown, asked ? "None of the people who are signed in is called so." : "No one is signed in.");
  }

  function open(person) {
    const body = [element("p", {}, element("code", {}, person.issuer))];
    return loading(person.email ?? "A person without an address", body, async () => {
      const query = new URLSearchParams({ issuer: person.issuer });
      const found = await read(`api/people/sessions?${query}`);
      const sessions = listed("Sessions", [
        ["Device", (session) => session.device ?? "–"],
        ["Where", (session) => [session.place, session.address].filter(Boolean).join(" · ") || "–"],
        ["Since", (session) => dated(session.created_at)],
        ["Last seen", (session) => dated(session.last_seen_at)],
        ["", (session) => (mayChange() ? button("End", () => end(person, session), { class: "grave" }) : "")],
      ], found.sessions, "No session is left.");
      const roles = found.roles?.length ? found.roles.map((role) => tag(role)) : [element("span", { class: "quiet" }, "none")];
      const told = [element("p", { class: "roles" }, "Roles: ", ...roles), sessions];
      if (mayChange()) told.push(button("Revoke all: sessions, tokens, tunnels", () => revoke(person), { class: "grave" }));
      return told;
    });
  }

  function end(person, session) {
    dialog("End this session?", [element("p", {}, `${session.device ?? "An unknown device"} of ${person.email ?? person.issuer}`)],
      "End the session", async () => {
        const { sessions_ended: ended } = await send("api/actions/end-session", { issuer: person.issuer, session: session.id });
        return left(person, person.sessions - ended, plural(ended, "session"));
      });
  }

  function revoke(person) {
    const what = "All sessions and tokens of this person end at once, and so do open tunnels.";
    dialog(`Revoke ${person.email ?? person.issuer}?`, [element("p", {}, what)], "Revoke", async () => {
      const { sessions_ended: ended } = await send("api/revocations", { issuer: person.issuer });
      return left(person, 0, `revoked: ${plural(ended, "session")}`);
    });
  }

  // The list shows what is left of a person; a later search may have found the same person.
  function left({ issuer }, sessions, done) {
    shown = shown.map((each) => (each.issuer === issuer ? { ...each, sessions: Math.max(0, sessions) } : each));
    shown = shown.filter((each) => each.sessions);
    show();
    return `${done} ended`;
  }

  byId("search").addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    asked = byId("who").value.trim();
    ask(null);
  });
  byId("more").addEventListener("click", () => ask(more));
}
