// Figures: drawn from the JSON beside them, in the page's own ink, narrow screens included.
const narrow = () => window.innerWidth < 720;
const ink = () => getComputedStyle(document.body).getPropertyValue("--ink").trim();
for (const place of document.querySelectorAll(".figure")) {
  const { data, layout } = JSON.parse(document.getElementById(place.id + "-json").textContent);
  layout.font.color = ink();
  if (place.id === "curves" && narrow()) {
    // Three graphs side by side become three on top of each other.
    ["", "2", "3"].forEach((n, i) => {
      layout["xaxis" + n].domain = [0, 1];
      layout["yaxis" + n].domain = [0.72 - 0.36 * i, 1 - 0.36 * i].map((y) => Math.max(0, y));
      layout.annotations[i].x = 0.5;
      layout.annotations[i].y = 1 - 0.36 * i;
    });
    layout.height = 820;
    layout.legend.y = -0.1;
  }
  Plotly.newPlot(place, data, layout, { displayModeBar: false, responsive: true });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const place of document.querySelectorAll(".figure")) Plotly.relayout(place, { "font.color": ink() });
});

// Tables: a click on a heading sorts by it, a second click the other way round.
for (const table of document.querySelectorAll("table.sortable")) {
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
        const order = numeric ? Number(value(a)) - Number(value(b)) : value(a).localeCompare(value(b), undefined, { numeric: true });
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows);
    };
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}
