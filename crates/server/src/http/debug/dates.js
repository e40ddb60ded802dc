"use strict";
// The valid dates of each interface, by the server's settings and clock. This file comes before chart.js and debug.js in
// one script. A day is the number of days since 1970 in Beijing time.

const data = JSON.parse(document.getElementById("data").textContent);
const loadedAt = performance.now();
const DAY_S = 86_400;

const textOf = (day) => new Date(day * DAY_S * 1000).toISOString().slice(0, 10);

function dayOf(text) {
  const day = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(text) / 1000 / DAY_S : NaN;
  return Number.isInteger(day) && textOf(day) === text ? day : null;
}

// The server's clock: Beijing time, in seconds since 1970.
const beijing = () => data.now_s + (performance.now() - loadedAt) / 1000 + 8 * 3600;
const today = () => Math.floor(beijing() / DAY_S);
const lastDay = () => (data.live ? today() : today() - 1);
const minuteOfDay = () => Math.floor((beijing() % DAY_S) / 60);
const clockOf = (minute) => [minute / 60, minute % 60].map((n) => String(Math.floor(n)).padStart(2, "0")).join(":");
const isTooEarlyFor = (day) =>
  data.not_ready_before_minute !== null && day === today() - 1 && minuteOfDay() < data.not_ready_before_minute;

function startOf(granularity, day) {
  if (granularity === "week") return day - ((((day + 3) % 7) + 7) % 7);
  if (granularity === "month") return dayOf(`${textOf(day).slice(0, 7)}-01`);
  return day;
}

function nextStart(granularity, day) {
  const inside = { week: 7, month: 31 }[granularity] ?? 1;
  return startOf(granularity, startOf(granularity, day) + inside);
}

const hasRow = (granularity, start) => data.live || nextStart(granularity, start) <= today();

// The periods that begin within these days and have a row.
function startsWithin(granularity, first, last) {
  const days = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  return days.filter((day) => startOf(granularity, day) === day && hasRow(granularity, day));
}

// The newest period up to this day that has a row.
function newest(granularity, day) {
  let start = startOf(granularity, day);
  while (!hasRow(granularity, start) || isTooEarlyFor(start)) start = startOf(granularity, start - 1);
  return start;
}

// The valid dates nearest to these that have rows.
function nearestDates(api, begin, end) {
  let last = Math.min(end, lastDay());
  if (isTooEarlyFor(last)) last -= 1;
  const first = Math.max(Math.min(begin, last), last - api.span + 1);
  if (startsWithin(api.granularity, first, last).length > 0) return [first, last];
  const start = newest(api.granularity, last);
  return [start, start];
}

// begin_date and end_date of a body. null if the body is not a JSON object.
function datesIn(body) {
  let sent = null;
  try { sent = JSON.parse(body); } catch { /* Not JSON. */ }
  const isObject = sent !== null && typeof sent === "object" && !Array.isArray(sent);
  return isObject ? [sent.begin_date, sent.end_date] : null;
}

function defaultDates(api) {
  const last = newest(api.granularity, lastDay());
  return ["week", "month"].includes(api.granularity) ? [last, last] : [last - Math.min(api.span, 7) + 1, last];
}

// Which error these dates will give, and valid dates instead. null if they are valid. The order of the checks is the
// server's.
function check(api, begin, end) {
  const [first, last] = [dayOf(begin), dayOf(end)];
  if (first === null || last === null) return { why: "bad_date", right: defaultDates(api) };
  if (first > last) return { why: "backwards", right: nearestDates(api, last, first) };
  const days = last - first + 1;
  if (days > api.span) {
    const isMonth = api.granularity === "month" && startOf("month", first) === first;
    const right = nearestDates(api, first, isMonth ? first : first + api.span - 1);
    return { why: "too_long", values: { days, span: api.span }, right };
  }
  if (last > lastDay()) {
    return { why: "too_late", values: { last: textOf(lastDay()) }, right: nearestDates(api, first - (last - lastDay()), lastDay()) };
  }
  if (isTooEarlyFor(last)) {
    const values = { last: textOf(last), time: clockOf(data.not_ready_before_minute) };
    return { why: "not_ready", values, right: nearestDates(api, first, last) };
  }
  if (startsWithin(api.granularity, first, last).length > 0) return null;
  return { why: `no_${api.granularity}`, right: nearestDates(api, first, last), isOnlyEmpty: true };
}
