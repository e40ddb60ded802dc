"use strict";
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const words = document.body.dataset;

  // The numbers at the pointer, read from the table of the chart.
  const tip = document.createElement("div");
  tip.className = "pointer";
  tip.setAttribute("aria-hidden", "true");
  const show = (event) => {
    const figure = event.target.closest?.("[data-chart]");
    const chart = figure?.querySelector("svg.chart");
    const table = figure?.querySelector("table");
    const box = chart?.querySelector("svg.shapes")?.getBoundingClientRect();
    const column = box && Math.floor((event.clientX - box.left) / box.width * chart.dataset.columns);
    const row = box && Math.floor((event.clientY - box.top) / box.height * chart.dataset.rows);
    if (!box || !table || column < 0 || row < 0 || column >= chart.dataset.columns || row >= chart.dataset.rows) return tip.remove();
    const heads = all("thead th", table).map((head) => head.textContent);
    const isMap = chart.dataset.rows > 1;
    const cells = table.tBodies[0].rows[isMap ? row : column]?.cells;
    if (!cells) return tip.remove();
    const lines = [...cells].slice(1).map((cell, at) => [heads[at + 1], cell.textContent]).filter(([, text]) => text);
    tip.textContent = isMap
      ? `${cells[0].textContent} ${heads[column + 1]}:00  ${cells[column + 1].textContent}`
      : [cells[0].textContent, ...lines.map(([head, text]) => `${head}  ${text}`)].join("\n");
    figure.append(tip);
    const frame = figure.getBoundingClientRect();
    const x = event.clientX - frame.left;
    tip.style.left = `${x + tip.offsetWidth + 16 < frame.width ? x + 12 : Math.max(0, x - tip.offsetWidth - 12)}px`;
  };
  addEventListener("pointermove", show);
  addEventListener("pointerdown", show);

  // Copy buttons: they need the script, so they are hidden without it.
  const prepare = () => all(".copy").forEach((button) => { button.hidden = !navigator.clipboard; });
  addEventListener("click", async (event) => {
    const button = event.target.closest?.(".copy");
    if (!button) return;
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    const before = button.textContent;
    button.textContent = words.copied;
    setTimeout(() => { button.textContent = before; }, 1500);
  });
  prepare();

  // Leaving a page whose secrets were shown once.
  if (document.querySelector("[data-once]")) {
    let leaves = false;
    addEventListener("submit", () => { leaves = true; });
    addEventListener("beforeunload", (event) => { if (!leaves) event.preventDefault(); });
  }

  // Live numbers: totals of today, at most one event a second.
  const line = document.querySelector("[data-link]");
  const today = new Map();
  let stream, last = "";
  const set = (place, number) => {
    const data = place.querySelector("data");
    if (data && data.value !== String(number)) {
      data.value = number;
      data.textContent = number.toLocaleString("en");
    }
  };
  const state = (isConnected) => {
    const text = isConnected ? words.connected : words.lost.replace("{time}", last || "–");
    if (line.textContent !== text) line.textContent = text;
    line.classList.toggle("lost", !isConnected);
  };
  const refresh = async (part) => {
    const answer = await fetch(part.dataset.refresh).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
    if (!fresh || part.contains(document.activeElement) || part.querySelector("details[open]")) return;
    part.replaceWith(document.adoptNode(fresh));
    prepare();
  };
  const receive = (event) => {
    const news = JSON.parse(event.data);
    last = news.time.slice(11, 19);
    for (const { account, messages } of news.accounts) {
      today.set(account, Object.values(messages).reduce((sum, number) => sum + number, 0));
    }
    const sum = [...today.values()].reduce((sum, number) => sum + number, 0);
    all("[data-today]").forEach((place) => {
      const number = place.dataset.today === "*" ? sum : today.get(place.dataset.today);
      if (number !== undefined) set(place, number);
    });
    state(true);
  };
  const open = () => {
    if (stream || document.hidden) return;
    stream = new EventSource(words.live);
    stream.onopen = () => today.clear();
    stream.onmessage = receive;
    stream.onerror = () => {
      state(false);
      // A refused stream does not try again by itself.
      if (stream?.readyState === 2) { stream = undefined; setTimeout(open, 30000); }
    };
  };
  if (words.live && line) {
    open();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { stream?.close(); stream = undefined; } else open();
    });
  }
  let second = 0;
  setInterval(() => {
    second += 1;
    if (!document.hidden) all("[data-refresh]").filter((part) => second % part.dataset.seconds === 0).forEach(refresh);
  }, 1000);
})();
