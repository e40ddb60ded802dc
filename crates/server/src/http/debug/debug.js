// The debugging page. It inserts values as text, never as HTML, and stores nothing outside this tab.

const base = new URL(".", location.href);
// Shorter secrets are not masked: they would match ordinary text.
const SECRET_LENGTH_MIN = 8;
let lang = data.lang;
let result = null;
let isByHand = false;

const $ = (id) => document.getElementById(id);
const word = (name, values = {}) => data.words[lang][name].replace(/\{(\w+)\}/g, (_, value) => values[value]);

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const rangeText = ([begin, end]) =>
  begin === end ? textOf(begin) : word("from_to", { from: textOf(begin), to: textOf(end) });

// The form

const chosen = () => data.interfaces.find((api) => api.name === document.forms[0].elements.interface?.value);
const isBySecret = () => document.forms[0].elements.by.value === "secret";
const bodyOf = (begin, end) => JSON.stringify({ begin_date: begin, end_date: end });

// The dates of the fields, or of the body if it was edited by hand. null if that body is not a JSON object.
const datesNow = () => (isByHand ? datesIn($("body").value) : [$("begin").value, $("end").value]);

// Copies valid dates from a body that was edited by hand into the fields.
function followBody() {
  isByHand = true;
  const dates = datesIn($("body").value);
  if (dates) [$("begin").value, $("end").value] = dates.map((text) => (dayOf(text) === null ? "" : text));
  renderAdvice();
}

// Chosen dates replace a body that was edited by hand.
function setDates([begin, end]) {
  [$("begin").value, $("end").value] = [textOf(begin), textOf(end)];
  isByHand = false;
  renderAdvice();
}

function renderAdvice() {
  const api = chosen();
  if (!isByHand) $("body").value = bodyOf($("begin").value, $("end").value);
  $("about").replaceChildren(h("code", {}, api.name), " ", word(`about_${api.granularity}`, { span: api.span }));
  const dates = datesNow();
  for (const id of ["begin", "end"]) $(id).classList.toggle("unused", !dates);
  const problem = dates && check(api, ...dates);
  const use = () => { setDates(problem.right); $("begin").focus(); };
  const notice = () =>
    h("div", { class: problem.isOnlyEmpty ? "notice" : "notice bad" }, h("p", {}, word(problem.why, problem.values)),
      h("button", { type: "button", id: "use", click: use }, word("use", { dates: rangeText(problem.right) })));
  const unused = () => h("p", { class: "quiet small" }, word("by_hand"));
  $("advice").replaceChildren(...(problem ? [notice()] : dates ? [] : [unused()]));
}

function renderInterfaces() {
  const before = chosen()?.name ?? "getupstreammsgmonth";
  const choice = (api) =>
    h("label", { title: api.name },
      h("input", { type: "radio", name: "interface", value: api.name, checked: api.name === before ? "" : false }),
      h("span", {}, word(api.granularity)));
  const sorted = ["hour", "day", "week", "month"].flatMap((granularity) =>
    data.interfaces.filter((api) => api.granularity === granularity));
  const group = (figures) =>
    h("div", { class: "segments", role: "group", "aria-label": word(figures) },
      h("span", { class: "quiet" }, word(figures)), sorted.filter((api) => api.figures === figures).map(choice));
  $("interfaces").replaceChildren(group("totals"), group("distribution"));
}

// The calls

// Shortens tokens and secrets in a text.
function masked(text) {
  const secrets = [result.token, result.secret].filter((secret) => secret && secret.length >= SECRET_LENGTH_MIN);
  return secrets.reduce((left, secret) => left.replaceAll(secret, `${secret.slice(0, 4)}…`), text);
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

async function ask(path, body, token, shown = body) {
  const url = new URL(path, base);
  const asked = { url: url.href, hasToken: Boolean(token), shown };
  if (token) url.searchParams.set("access_token", token);
  const started = performance.now();
  try {
    const headers = { "Content-Type": "application/json" };
    const signal = AbortSignal.timeout(60_000);
    const response = await fetch(url, { method: "POST", headers, body, signal, cache: "no-store" });
    const bytes = await response.arrayBuffer();
    Object.assign(asked, { ms: performance.now() - started, size: bytes.byteLength, raw: new TextDecoder().decode(bytes) });
    asked.status = response.status;
    asked.headers = ["content-type", "retry-after"].map((name) => [name, response.headers.get(name)]);
    const [en, zh] = ["x-msgcube-hint", "x-msgcube-hint-zh"].map((name) => response.headers.get(name));
    asked.hint = { en, zh: decoded(zh ?? en ?? "") };
    asked.json = JSON.parse(asked.raw);
  } catch (error) {
    // An answer that is not JSON is still an answer.
    if (asked.status === undefined) asked.failure = `${error.name}: ${error.message}`;
  }
  return asked;
}

const isError = (asked) => Number.isInteger(asked.json?.errcode) && asked.json.errcode !== 0;

// Whether all required fields are filled. Marks the empty ones.
function isComplete() {
  const empty = (isBySecret() ? ["appid", "secret"] : ["token"]).filter((id) => $(id).value.trim() === "");
  for (const id of ["appid", "secret", "token"]) mark(id, empty.includes(id));
  if (empty.length > 0) $(empty[0]).focus();
  return empty.length === 0;
}

function mark(id, isMissing) {
  $(id).setAttribute("aria-invalid", String(isMissing));
  $(`no_${id}`).hidden = !isMissing;
}

async function send() {
  if ($("send").disabled || !isComplete()) return;
  const body = isByHand ? $("body").value : bodyOf($("begin").value, $("end").value);
  const asking = { api: chosen(), body, secret: "", token: $("token").value.trim() };
  result = asking;
  $("send").disabled = true;
  $("verdict").textContent = word("sending");
  if (isBySecret()) {
    const wanted = { grant_type: "client_credential", appid: $("appid").value.trim(), secret: $("secret").value };
    asking.secret = wanted.secret;
    const shown = JSON.stringify({ ...wanted, secret: "$SECRET" });
    asking.byToken = await ask("cgi-bin/stable_token", JSON.stringify(wanted), "", shown);
    asking.token = asking.byToken.json?.access_token ?? "";
  }
  const hasFailed = asking.byToken && asking.token === "";
  asking.asked = hasFailed ? asking.byToken : await ask(asking.api.path, body, asking.token);
  $("send").disabled = false;
  render();
  if (document.activeElement === document.body) $("verdict").focus();
  $("verdict").scrollIntoView({ block: "nearest" });
}

async function askRid(rid) {
  const asking = result;
  asking.byRid = await ask("cgi-bin/openapi/rid/get", JSON.stringify({ rid }), asking.token);
  if (asking !== result) return;
  render();
  $("ask_rid").focus();
}

// The result

// A shell command that takes the token and the secret from variables.
function curl({ url, hasToken, shown }) {
  const quoted = `'${shown.replaceAll("'", `'\\''`)}'`.replace("$SECRET", `'"$SECRET"'`);
  return `curl "${url}${hasToken ? "?access_token=$ACCESS_TOKEN" : ""}" -d ${quoted}`;
}

const pretty = (asked) => masked(asked.json === undefined ? asked.raw : JSON.stringify(asked.json, null, 2));

// Without HTTPS a page can copy only by selecting text.
function copySelected(text) {
  const area = h("textarea", { class: "offscreen" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function copyButton(text) {
  const copy = async ({ target }) => {
    await (navigator.clipboard?.writeText(text) ?? Promise.reject()).catch(() => copySelected(text));
    target.textContent = word("copied");
    target.focus();
  };
  return h("button", { type: "button", id: "copy", click: copy }, word("copy"));
}

const FIGURES = ["msg_user", "msg_count"];

function cell(name, value) {
  const known = { msg_type: data.types, count_interval: data.intervals }[name]?.[value];
  if (known) return h("td", {}, `${value} `, h("span", { class: "quiet" }, known[lang]));
  const isFigure = FIGURES.includes(name);
  return h("td", { class: isFigure ? "number" : "" }, isFigure ? value.toLocaleString(lang) : String(value));
}

function table(rows) {
  const names = Object.keys(rows[0]);
  const head = (name) => h("th", { scope: "col", class: FIGURES.includes(name) ? "number" : "" },
    data.words[lang][name] ?? "", h("br", {}), h("code", { class: "quiet small" }, name));
  const line = (row) => h("tr", {}, names.map((name) => cell(name, row[name])));
  return h("div", { class: "wide", tabindex: "0" }, h("table", { id: "rows" },
    h("thead", {}, h("tr", {}, names.map(head))), h("tbody", {}, rows.map(line))));
}

// A button that sends the call again with valid dates. null if the dates were valid.
function correction(isNeeded) {
  const [begin, end] = datesIn(result.body) ?? [];
  const right = check(result.api, begin, end)?.right ?? (isNeeded ? defaultDates(result.api) : null);
  const again = () => { setDates(right); send(); };
  return right && h("button", { type: "button", id: "again", class: "main", click: again }, word("use_and_send", { dates: rangeText(right) }));
}

const lines = (pairs) => h("dl", {}, pairs.filter(([, text]) => text).map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]));

// The result of a call: headline, whether it is an error, and the content below.
function verdict(asked) {
  const hint = asked.hint?.[lang];
  const noted = hint ? lines([[word("hint"), hint]]) : null;
  if (asked.failure) return [word("no_answer"), true, h("p", {}, word("unreachable", { why: asked.failure }))];
  if (isError(asked)) {
    const { errcode, errmsg } = asked.json;
    const known = data.errors[errcode];
    const when = known?.when[lang] ?? word("unknown_code");
    const remedy = known?.remedy[lang] ?? word("see_list");
    const said = masked(String(errmsg ?? "").replace(/,? rid: .*$/, ""));
    const isOfDates = [61500, 61501, 61503].includes(errcode);
    return [`${errcode} ${said}`, true,
      asked === result.byToken ? h("p", { class: "quiet" }, word("at_token")) : null,
      lines([[word("when"), when], [word("hint"), hint], [word("remedy"), remedy]]),
      isOfDates ? correction(true) : null];
  }
  const rows = asked.status === 200 && Array.isArray(asked.json?.list) ? asked.json.list : null;
  if (!rows) return [word("odd", { status: asked.status }), true, h("p", {}, word("odd_about"))];
  if (rows.length > 0) {
    return [rows.length === 1 ? word("one_row") : word("rows", { count: rows.length }), false, noted, chart(result, rows), table(rows)];
  }
  return [word("no_rows"), false, noted ?? h("p", {}, word("no_messages")), correction(false)];
}

function renderAnswer(asked) {
  if (asked.failure) return null;
  const headers = [...asked.headers, ["x-msgcube-hint", asked.hint.en], ["x-msgcube-hint-zh", asked.hint.zh]];
  const took = word("took", { ms: asked.ms.toFixed(1), bytes: asked.size.toLocaleString(lang) });
  return [
    h("h3", {}, word("answer")),
    h("p", { id: "took" }, `HTTP ${asked.status} · ${took}`),
    h("pre", { id: "headers", tabindex: "0" }, headers.filter(([, value]) => value).map((line) => line.join(": ")).join("\n")),
    h("pre", { id: "pretty", tabindex: "0" }, pretty(asked)),
    h("details", {}, h("summary", {}, word("raw")), h("pre", { id: "raw", tabindex: "0" }, masked(asked.raw))),
  ];
}

function renderToken(asked) {
  const summary = h("summary", {}, word("token_request", { ms: asked.ms.toFixed(1) }));
  return h("details", {}, summary, h("pre", { tabindex: "0" }, curl(asked)), h("pre", { tabindex: "0" }, pretty(asked)));
}

const ridNote = (rid, note) => h("p", { id: "rid_note", class: "small" }, h("code", {}, rid), " ", h("span", { class: "quiet" }, note));

// Error codes of unknown callers, whose calls are not stored.
const UNKNOWN_CALLER = [40001, 40013, 40014, 41001, 41002, 42001];
// The error code after an account took its authorisation back.
const WITHDRAWN = 61003;

function renderRid(asked) {
  const [rid] = /[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}/.exec(asked.json?.errmsg ?? "") ?? [];
  if (!rid) return null;
  const { errcode } = asked.json;
  if (UNKNOWN_CALLER.includes(errcode)) return ridNote(rid, word("rid_not_stored"));
  if (errcode === WITHDRAWN || !result.token) return ridNote(rid, word("rid_needs"));
  const { byRid } = result;
  const said = byRid && (byRid.failure ?? word("rid_answer", { status: byRid.status, ms: byRid.ms.toFixed(1) }));
  return [
    h("div", { class: "actions" }, h("code", {}, rid),
      h("button", { type: "button", id: "ask_rid", click: () => askRid(rid) }, word("ask_rid"))),
    h("div", { id: "rid_answer", "aria-live": "polite" },
      byRid ? [h("p", {}, said), byRid.failure ? null : h("pre", { tabindex: "0" }, pretty(byRid))] : []),
  ];
}

function render() {
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  document.title = `${word("title")} · msgcube`;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = data.words[lang][element.dataset.word];
  $("lang").textContent = word("other_language");
  renderInterfaces();
  renderAdvice();
  tick();
  if (!result) {
    $("verdict").textContent = word("nothing_yet");
    $("result").replaceChildren(h("p", { class: "quiet" }, word("start")));
  } else if (result.asked) renderResult(result);
}

function renderResult({ asked, byToken }) {
  const [headline, isBad, ...below] = verdict(asked);
  Object.assign($("verdict"), { textContent: headline, className: isBad ? "bad" : "good" });
  $("result").replaceChildren(...[
    h("div", { id: "meaning", class: isBad ? "notice bad" : "" }, below),
    renderRid(asked),
    h("header", { class: "bar" }, h("h3", {}, word("request")), copyButton(curl(asked))),
    h("pre", { id: "curl", tabindex: "0" }, curl(asked)),
    renderAnswer(asked),
    byToken && byToken !== asked ? renderToken(byToken) : null,
  ].flat().filter(Boolean));
}

function tick() {
  const now = `${textOf(today())} ${clockOf(minuteOfDay())}`;
  $("clock").textContent = word("clock", { now, last: textOf(lastDay()) });
}

$("form").addEventListener("submit", (event) => { event.preventDefault(); send(); });
$("interfaces").addEventListener("change", () => setDates(defaultDates(chosen())));
for (const id of ["begin", "end"]) $(id).addEventListener("input", () => { isByHand = false; renderAdvice(); });
$("body").addEventListener("input", followBody);
for (const id of ["appid", "secret", "token"]) $(id).addEventListener("input", () => mark(id, false));
for (const choice of document.forms[0].elements.by) {
  choice.addEventListener("change", () => { $("with_secret").hidden = !isBySecret(); $("with_token").hidden = isBySecret(); });
}
$("lang").addEventListener("click", () => {
  lang = lang === "zh" ? "en" : "zh";
  history.replaceState(null, "", `?lang=${lang}`);
  render();
});
setInterval(tick, 10_000);
render();
setDates(defaultDates(chosen()));
