// Plots: drawn from the JSON beside them, in the page's text color, also on narrow screens.
const narrow = () => window.innerWidth < 720;
const ink = () => getComputedStyle(document.body).getPropertyValue("--ink").trim();
for (const place of document.querySelectorAll(".figure")) {
  const { data, layout } = JSON.parse(document.getElementById(place.id + "-json").textContent);
  layout.font.color = ink();
  if (place.id === "curves" && narrow()) {
    // Subplots in a row become subplots in a column.
    const count = layout.annotations.length, pitch = 1.08 / count;
    layout.annotations.forEach((title, i) => {
      const n = i ? String(i + 1) : "";
      layout["xaxis" + n].domain = [0, 1];
      if (i < count - 1) layout["xaxis" + n].title = { text: "" };
      layout["yaxis" + n].domain = [1 - pitch * i - 0.78 * pitch, 1 - pitch * i].map((y) => Math.max(0, y));
      title.x = 0.5;
      title.y = 1 - pitch * i;
    });
    layout.height = 100 + 240 * count;
    layout.legend.y = -0.1;
  }
  Plotly.newPlot(place, data, layout, { displayModeBar: false, responsive: true });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const place of document.querySelectorAll(".figure")) Plotly.relayout(place, { "font.color": ink() });
});

