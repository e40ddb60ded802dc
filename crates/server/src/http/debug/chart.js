// The chart of an answer: a bar for each type or interval, and a column for each period. The three files form one script
// in this order: dates.js, chart.js, debug.js.

// How many columns can share a label. Each number divides the 24 hours of a day.
const LABEL_STEPS = [1, 2, 3, 4, 6, 8, 12, 24];
const LABEL_GAP_PX = 8;

const periodOf = (row) => row.ref_date + (row.ref_hour === undefined ? "" : ` ${clockOf(row.ref_hour * 0.6)}`);

// All periods of the request, so that an empty one is visible, and any other period that has a row.
function periodsOf(api, body, rows) {
  const [first, last] = (datesIn(body) ?? []).map(dayOf);
  const isRange = Number.isInteger(first) && Number.isInteger(last) && last - first < api.span;
  const starts = isRange ? startsWithin(api.granularity, first, last).map(textOf) : [];
  const hours = Array.from({ length: 24 }, (_, hour) => clockOf(hour * 60));
  const asked = api.granularity === "hour" ? starts.flatMap((day) => hours.map((hour) => `${day} ${hour}`)) : starts;
  return [...new Set([...asked, ...rows.map(periodOf)])].sort();
}

// The short label of a period: the part that differs between neighbours.
const labelOf = (granularity, period) =>
  ({ hour: period.slice(11), month: period.slice(0, 7) })[granularity] ?? period.slice(5);

function sized(side, share, attributes, ...children) {
  const element = h("div", attributes, ...children);
  element.style[side] = `${100 * share}%`;
  return element;
}

// Shows as many labels as fit. The others stay in place and are invisible.
function spaceLabels(axis) {
  const labels = [...axis.children];
  const widest = Math.max(...labels.map((label) => label.firstChild.offsetWidth)) + LABEL_GAP_PX;
  const step = LABEL_STEPS.find((columns) => (columns * axis.offsetWidth) / labels.length >= widest) ?? labels.length;
  labels.forEach((label, index) => label.classList.toggle("unseen", index % step !== 0));
}

function columns(api, periods, rows, figure, colourOf) {
  const ofPeriods = periods.map((period) => rows.filter((row) => periodOf(row) === period));
  const sums = ofPeriods.map((found) => found.reduce((sum, row) => sum + row[figure], 0));
  const most = Math.max(1, ...sums);
  const column = (period, index) =>
    h("div", { title: `${period}: ${sums[index].toLocaleString(lang)}` }, sums[index] > 0
      ? sized("height", sums[index] / most, { class: "column" },
        ofPeriods[index].map((row) => sized("height", row[figure] / sums[index], { class: colourOf(row) })))
      : []);
  const axis = h("div", { class: "axis quiet small" },
    periods.map((period) => h("div", {}, h("span", {}, labelOf(api.granularity, period)))));
  new ResizeObserver(() => spaceLabels(axis)).observe(axis);
  return [h("div", { class: "most quiet small" }, most.toLocaleString(lang)), h("div", { class: "columns" }, periods.map(column)), axis];
}

// Users are not added up over periods: the same users write in several periods.
function chart({ api, body }, rows) {
  const isTotals = rows[0].msg_type !== undefined;
  const [group, names, figure] = isTotals ? ["msg_type", data.types, "msg_count"] : ["count_interval", data.intervals, "msg_user"];
  const colour = (key) => `colour${Object.keys(names).indexOf(key) + 1}`;
  const groups = Object.keys(names).filter((key) => rows.some((row) => String(row[group]) === key));
  const sums = groups.map((key) =>
    rows.filter((row) => String(row[group]) === key).reduce((sum, row) => sum + row[figure], 0));
  const bar = (key, index) =>
    h("div", { class: "line" }, h("span", {}, names[key][lang]),
      sized("width", sums[index] / Math.max(1, ...sums), { class: `fill ${colour(key)}` }),
      h("span", { class: "number" }, sums[index].toLocaleString(lang)));
  const key = (key) => h("span", {}, h("span", { class: `key ${colour(key)}` }), names[key][lang]);
  const hasSums = isTotals || new Set(rows.map(periodOf)).size === 1;
  const periods = periodsOf(api, body, rows);
  const label = word(figure);
  const range = periods.length > 1 ? ` · ${word("from_to", { from: periods[0], to: periods.at(-1) })}` : "";
  return h("figure", { id: "chart", "aria-label": label }, h("figcaption", { class: "quiet small" }, label + range),
    hasSums ? groups.map(bar) : h("div", { class: "keys small" }, groups.map(key)),
    periods.length > 1 ? columns(api, periods, rows, figure, (row) => colour(String(row[group]))) : []);
}

