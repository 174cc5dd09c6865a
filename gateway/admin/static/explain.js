// The trace of a refusal: what each stage of the pipeline says of the same request now.

import { button, element, lasting, listed, measured, pairs, plural, tag } from "./elements.js";
import { dialog, loading, send } from "./server.js";

export async function explain(refusal) {
  const told = facts([
    ["Request", element("code", {}, `${refusal.method} ${refusal.host}${refusal.path}`)],
    ["Answered", `${refusal.status} ${refusal.refusal}${refusal.reason ? `: ${refusal.reason}` : ""}`],
    ["Client", refusal.client],
    ["Issuer", refusal.issuer || "–"],
    ["User agent", refusal.user_agent || "–"],
    ["Request id", element("code", {}, refusal.id)],
  ]);
  const title = "Why it was refused";
  if (!refusal.question) {
    dialog(title, [told, element("p", {}, "Too little of the request is known to ask again.")]);
    return;
  }
  await loading(title, [told], async () => trace(await send("api/explain", refusal.question)));
}

function trace(found) {
  const isRefused = found.verdict === "refused";
  const by = found.route ? `by route ${found.route}` : "by no route";
  const verdict = isRefused ? `${found.status} ${coded(found)}` : found.verdict;
  return [
    element("p", { class: `verdict ${isRefused ? "bad" : "good"}` }, element("strong", {}, `${verdict}, ${by}`),
      element("br"), element("span", { class: "quiet" }, "Asked again now, without credentials other than the issuer.")),
    element("ol", { class: "stages", "aria-label": "Stages" }, ...found.stages.map(stage)),
    ...found.notes.map((note) => element("p", { class: "quiet note" }, `Note: ${note}`)),
    raw(found),
  ];
}

function stage(details) {
  const { stage: name, verdict } = details;
  const isRefused = verdict === "refused";
  const { line, parts } = (WRITERS[name] ?? other)(details);
  const why = isRefused ? [element("p", { class: "bad" }, element("strong", {}, coded(details)), details.meaning ? `: ${details.meaning}` : "")] : [];
  return element("li", { class: verdict }, element("details", { open: isRefused },
    element("summary", {}, element("strong", {}, name.replaceAll("_", " ")), " ",
      tag(verdict, isRefused ? "bad" : "good"), " ", element("span", { class: "quiet" }, line)),
    element("div", { class: "told" }, ...why, ...(parts.length || why.length ? parts : [element("p", { class: "quiet" }, "Nothing more is told.")]))));
}

const coded = ({ code, reason }) => (reason ? `${code} (${reason})` : code);
const facts = (entries) => pairs(element("dl", { class: "facts" }), entries);
const chips = (values, none = "none") =>
  values.length ? element("ul", { class: "chips" }, ...values.map((value) => element("li", {}, element("code", {}, value)))) : none;

// What each stage found: a line for the summary, and the parts that unfold.
const WRITERS = {
  request: ({ method, fields }) => ({ line: method ? `${method}, ${plural(fields, "header field")}` : "", parts: [] }),
  client: ({ client, peer, read_from: from, lines = [], hops = [] }) => ({
    line: client === peer ? `${client}, the peer` : `${client}, by ${from} of the peer ${peer}`,
    parts: [
      hops.length ? element("ol", { class: "path", "aria-label": "Hops" }, ...hops.map((hop) => element("li", {}, element("code", {}, hop.address),
        element("span", { class: "quiet" }, hop.trusted_by ? `trusted, in ${hop.trusted_by}` : "not trusted: the walk ends")))) : null,
      ...lines.map((line) => element("p", {}, `${from}: `, element("code", {}, line))),
    ].filter(Boolean),
  }),
  target: ({ raw: written, canonical, host }) => ({
    line: canonical ?? written,
    parts: [facts([["Path", element("code", {}, canonical ?? "none")], ["Host", host || "none"], ["Written", element("code", {}, written)]])],
  }),
  route: ({ route, candidates = [], preflight_for: preflight, forwarded_path: forwarded }) => ({
    line: route ?? "no route",
    parts: [
      preflight ? element("p", {}, `A CORS preflight for ${preflight}.`) : null,
      forwarded ? element("p", {}, "The app gets the path ", element("code", {}, forwarded)) : null,
      listed("Candidates", [
        ["Candidate", (each) => element("strong", {}, each.route)],
        ["Matches", (each) => element("code", {}, each.host + each.path)],
        ["Methods", (each) => each.methods.join(", ") || "all"],
        ["Outcome", (each) => (each.lost ? `lost: ${each.lost}` : tag("taken", "good"))],
      ], candidates, "No route matches the host and the path."),
    ].filter(Boolean),
  }),
  upgrade: ({ asked, listed: allowed }) => ({ line: `to ${asked}`, parts: [element("p", {}, "The route lists: "), chips(allowed)].map(wrapped) }),
  limits, identity_limits: limits, concurrency: limits,
  credentials: ({ auth, credentials = [], identity }) => ({
    line: auth === "none" ? "not looked at: the route has auth: none" : identity ? `${identity.issuer}, by ${identity.by}` : credentials.length ? plural(credentials.length, "credential") : "none was sent",
    parts: [
      credentials.length ? listed("Credentials", [
        ["Kind", (each) => each.kind],
        ["Which", (each) => element("code", {}, each.assumed ? "assumed" : each.fingerprint)],
        ["From", (each) => each.source ?? "–"],
        ["Outcome", (each) => (each.verdict === "valid" ? tag("valid", "good") : each.verdict === "refused" ? coded(each) : `not checked, ${each.why}`)],
      ], credentials) : null,
      facts([["The route asks for", `auth: ${auth}`], ...(identity ? [["Caller", identity.issuer], ["Email", identity.email || "not known"], ["By", identity.by]] : [])]),
    ].filter(Boolean),
  }),
  origin: ({ note, sent_automatically: isSent, origin = [], sec_fetch_site: site = [] }) => ({
    line: note ?? (isSent ? `Origin: ${origin.join(", ") || "not sent"}` : "browsers do not send this credential by themselves"),
    parts: isSent && !note ? [facts([["Origin", origin.join(", ") || "not sent"], ["Sec-Fetch-Site", site.join(", ") || "not sent"]])] : [],
  }),
  roles: ({ roles, permissions }) => ({
    line: roles?.join(", ") || (roles === null ? "not known" : "none"),
    parts: [facts([["Roles", words(roles)], ["Permissions", words(permissions)]])],
  }),
  rules: ({ rules = [] }) => ({
    line: rules.map(ruled).join("; "),
    parts: rules.map((rule) => element("div", {}, element("p", {}, `${ruled(rule)[0].toUpperCase()}${ruled(rule).slice(1)}:`),
      element("ul", { class: "matchers" }, ...rule.matchers.map((each) => element("li", { class: each.holds ? "good" : "bad" },
        `${each.holds ? "✓" : "✗"} ${each.matcher}: ${each.values.join(", ")}`))))),
  }),
  fields: ({ dropped = [], changed = [], written = [] }) => ({
    line: `${plural(dropped.length, "field")} dropped, ${written.length} written`,
    parts: [
      facts([["Dropped", chips(dropped)], ["Changed", chips(changed)]]),
      listed("Written", [["Written for the app", ([name]) => element("code", {}, name)], ["Value", ([, value]) => element("code", {}, value)]], written, "none"),
    ],
  }),
  upstream: ({ upstream, method, target, server, servers = {} }) => ({
    line: `${upstream}: ${method} ${target}`,
    parts: [
      facts([["Server", element("code", {}, server ?? "none")]]),
      Object.keys(servers).length ? element("ul", { class: "plain" }, ...Object.entries(servers).map(([name, isUsable]) =>
        element("li", {}, tag(isUsable ? "in use" : "out", isUsable ? "good" : "bad"), " ", element("code", {}, name)))) : null,
    ].filter(Boolean),
  }),
  login: ({ location }) => ({ line: "to the login page", parts: [facts([["Location", element("code", {}, location)]])] }),
  answer: ({ fields = [] }) => ({ line: plural(fields.length, "field"), parts: [chips(fields)].map(wrapped) }),
};

const wrapped = (part) => (part instanceof Node ? part : element("p", {}, part));
const words = (values) => (values === null || values === undefined ? "not known" : chips(values));
const ruled = ({ rule, number, holds }) => `${rule} ${number} ${holds ? "holds" : "does not hold"}`;

function limits({ limits: found = [] }) {
  const refusing = found.find((each) => each.would_refuse && !each.shadow);
  return {
    line: refusing ? `${refusing.limit} is used up` : found.length ? `${plural(found.length, "limit")} looked at` : "none counts the request",
    parts: [listed("Limits", [
      ["Limit", (each) => element("strong", {}, each.limit)],
      ["Caller", (each) => element("code", {}, each.caller)],
      ["Used", (each) => (each.known ? measured(`${each.rate - each.remaining} of ${each.rate}`, 1 - each.remaining / each.rate, each.would_refuse ? "bad" : "") : "not known"), true],
      ["Window", (each) => lasting(each.window_s), true],
      ["Outcome", left],
    ], found, "No limit counts the request.")],
  };
}

function left(limit) {
  if (!limit.known) return "not known: the store did not answer";
  const cost = limit.cost > 1 ? `, each costs ${limit.cost}` : "";
  if (!limit.would_refuse) return `${limit.remaining} left after it${cost}`;
  return limit.shadow ? "used up; passes (mode: shadow)" : `used up, again in ${lasting(limit.retry_after_s)}${cost}`;
}

function other({ stage: _, verdict: __, code: ___, reason: ____, meaning: _____, ...details }) {
  return { line: "", parts: [facts(Object.entries(details).map(([name, value]) => [name.replaceAll("_", " "), plainly(value)]))] };
}

// Any value, as nested lists.
function plainly(value) {
  if (Array.isArray(value)) return element("ul", { class: "plain" }, ...value.map((each) => element("li", {}, plainly(each))));
  if (value !== null && typeof value === "object") return facts(Object.entries(value).map(([name, each]) => [name.replaceAll("_", " "), plainly(each)]));
  return value === null ? "none" : value === true ? "yes" : value === false ? "no" : String(value);
}

function raw(found) {
  const text = JSON.stringify(found, null, 2);
  const said = element("span", { role: "status", class: "quiet" });
  const copy = button("Copy as JSON", async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = "copied";
    } catch {
      said.textContent = "the browser does not allow it: select the text";
    }
  });
  return element("details", { class: "raw" }, element("summary", {}, "As JSON"),
    element("div", { class: "row" }, copy, said),
    element("pre", { tabindex: 0, role: "group", "aria-label": "JSON" }, text));
}
