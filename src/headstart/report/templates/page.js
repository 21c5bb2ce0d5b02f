// Charts: a mark shows its text under the pointer, and a key of the legend hides its line.
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);
const tell = (event) => {
  const mark = event.target.closest?.("[data-tip]");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.dataset.tip;
  const box = mark.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, innerWidth - tip.offsetWidth - 4)) + "px";
  tip.style.top = (box.top > tip.offsetHeight + 8 ? box.top - tip.offsetHeight - 4 : box.bottom + 4) + "px";
};
for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, tell);

// Marks of a chart that open something, by keys: one stop of the tab key for a chart, arrows go from mark to mark.
const reachByKeys = (chart) => {
  const marks = [...chart.querySelectorAll("[data-cell], [data-bin]")];
  if (!marks.length) return;
  chart.setAttribute("role", "group");
  chart.classList.add("opens");
  for (const mark of marks) {
    mark.setAttribute("role", "button");
    mark.setAttribute("aria-label", mark.dataset.tip);
    mark.setAttribute("tabindex", "-1");
  }
  let stop = marks[0];
  stop.setAttribute("tabindex", "0");
  const middle = (mark) => { const box = mark.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; };
  chart.addEventListener("focusin", (event) => {
    const mark = event.target.closest("[role=button]");
    if (!mark) return;
    stop.setAttribute("tabindex", "-1");
    stop = mark;
    stop.setAttribute("tabindex", "0");
  });
  chart.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); stop.dispatchEvent(new MouseEvent("click", { bubbles: true })); return; }
    const toward = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (!toward) return;
    event.preventDefault();
    const here = middle(stop);
    let found = null, least = Infinity;
    for (const mark of marks) {
      const [x, y] = middle(mark).map((at, i) => at - here[i]), ahead = x * toward[0] + y * toward[1], aside = Math.abs(x * toward[1]) + Math.abs(y * toward[0]);
      if (mark !== stop && ahead > 1 && ahead + 3 * aside < least) { least = ahead + 3 * aside; found = mark; }
    }
    found?.focus();
  });
};
for (const key of document.querySelectorAll(".key")) {
  key.addEventListener("click", () => {
    const shown = key.getAttribute("aria-pressed") !== "true";
    key.setAttribute("aria-pressed", shown);
    for (const line of key.closest(".figure").querySelectorAll("g[data-line]")) {
      if (line.dataset.line === key.dataset.line) line.style.display = shown ? "" : "none";
    }
  });
}

// Buttons that copy: a text, or a table as CSV.
const copy = async (text, button) => {
  let done = true;
  try { await navigator.clipboard.writeText(text); } catch {
    // Pages that are files, in some browsers: through a text field.
    const field = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(field);
    field.select();
    done = document.execCommand("copy");
    field.remove();
  }
  const said = button.textContent;
  button.textContent = done ? "copied" : "copying failed";
  setTimeout(() => { button.textContent = said; }, 1500);
};
const csvLine = (cells) => cells.map((cell) => /[",\r\n]/.test(cell) ? '"' + String(cell).replaceAll('"', '""') + '"' : cell).join(",") + "\n";
const csv = (table) => [...table.rows].map((row) => csvLine([...row.cells].map((cell) => cell.innerText.replace(/\s+/g, " ").trim()))).join("");
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.addEventListener("click", () => copy((document.getElementById(button.dataset.copy) ?? button.previousElementSibling).textContent, button));
}
for (const button of document.querySelectorAll("button[data-csv]")) {
  button.addEventListener("click", () => copy(csv(document.getElementById(button.dataset.csv)), button));
}

// The address keeps what the reader has set, `#map.epoch=2&map.color=loss`: a prefix for each part of the page.
const hashPart = (part) => {
  const all = () => [...new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "")];
  return {
    read: () => Object.fromEntries(all().filter(([name]) => name.startsWith(part + ".")).map(([name, value]) => [name.slice(part.length + 1), value])),
    write: (values) => {
      const others = all().filter(([name]) => !name.startsWith(part + "."));
      const hash = String(new URLSearchParams([...others, ...Object.entries(values).map(([name, value]) => [part + "." + name, value])]));
      if (!hash && !location.hash.includes("=")) return;  // nothing is set: the anchor of a section stays
      history.replaceState(history.state, "", hash ? "#" + hash : location.pathname + location.search);
    },
  };
};
window.headstart = { copy, csv, csvLine, hashPart, reachByKeys };

// Tables: a click on a heading sorts by it, a second click reverses the order.
const inNumbers = (text) => { const number = parseFloat(text.replaceAll(",", "").replace("\u2212", "-")); return Number.isNaN(number) ? -Infinity : number; };
for (const table of document.querySelectorAll("main table")) {
  table.classList.add("sortable");
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.tabIndex = 0;
    const sort = () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const numeric = heading.classList.contains("n");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const order = numeric ? inNumbers(value(a)) - inNumbers(value(b)) || 0 : value(a).localeCompare(value(b), undefined, { numeric: true });
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows);
    };
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); } });
  });
}

// Heat maps over the most confident errors, on and off.
const heat = document.getElementById("heat");
heat?.addEventListener("click", () => {
  const shown = heat.getAttribute("aria-pressed") !== "true";
  heat.setAttribute("aria-pressed", shown);
  heat.closest("section").querySelector(".pictures").classList.toggle("plain", !shown);
});

// Paper is white and has no clicks: what is folded is printed open.
let folded = [];
const printed = (now) => { document.documentElement.classList.toggle("printed", now); window.dispatchEvent(new Event("recolor")); };
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const each of folded) each.open = true;
  printed(true);
});
window.addEventListener("afterprint", () => {
  for (const each of folded) each.open = false;
  printed(false);
});

// What is wider than the screen is scrolled by keys, too.
const reachable = () => {
  for (const each of document.querySelectorAll(".figure, .scroll, pre")) if (each.scrollWidth > each.clientWidth || each.scrollHeight > each.clientHeight + 1) each.tabIndex = 0;
};
reachable();
window.addEventListener("resize", reachable);
