// Buttons that every plot and table of a page has: a plot is saved as SVG and PNG, as it is shown; a table is copied as CSV.
(() => {
  const STYLES = ["fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight", "font-variant-numeric", "text-anchor"];
  const ALONE = ["opacity"], NS = "http://www.w3.org/2000/svg";
  const scheme = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const button = (text, title, press) => {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text, title });
    made.setAttribute("aria-label", title);
    made.addEventListener("click", press);
    return made;
  };
  const made = (tag, values, ...children) => {
    const element = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  // A color as drawing programs know it, and its opacity.
  const solid = (color) => {
    const parts = /^(color\(srgb|rgba?\() *([^)]+)\)$/.exec(color)?.[2].split(/[ ,/]+/).map(Number);
    if (!parts) return [color, 1];
    const scale = color.startsWith("color") ? 255 : 1;
    return ["rgb(" + parts.slice(0, 3).map((part) => Math.round(part * scale)).join(", ") + ")", parts[3] ?? 1];
  };
  // A copy of an element that needs no style sheet: what differs from its parent is written as attributes.
  const plain = (element, above = {}) => {
    const style = getComputedStyle(element), own = Object.fromEntries(STYLES.map((name) => [name, style.getPropertyValue(name)]));
    for (const kind of ["fill", "stroke"]) {
      const [color, opacity] = solid(own[kind]);
      own[kind] = color;
      own[kind + "-opacity"] = String(own[kind + "-opacity"] * opacity);
    }
    if (style.display === "none" || element.localName === "style") return null;
    const copy = document.createElementNS(NS, element.localName);
    for (const { name, value } of element.attributes) if (!/^(style|class|role|tabindex|data-|aria-)/.test(name)) copy.setAttribute(name, value);
    for (const name of STYLES) {
      if (ALONE.includes(name) ? own[name] !== "1" : own[name] !== above[name]) copy.setAttribute(name, own[name]);
    }
    for (const child of element.childNodes) {
      const inside = child.nodeType === Node.TEXT_NODE ? child.cloneNode() : child.nodeType === Node.ELEMENT_NODE ? plain(child, own) : null;
      if (inside) copy.append(inside);
    }
    return copy;
  };
  // The charts of a figure with their legend, where they stand on the page.
  const pictureOf = (figure) => {
    const parts = [...figure.querySelectorAll("svg.chart, svg.architecture")].filter((each) => each.getClientRects().length), keys = [...figure.querySelectorAll(".key[aria-pressed='true']")];
    const boxes = [...parts, ...keys].map((each) => each.getBoundingClientRect()), MARGIN = 12;
    const left = Math.min(...boxes.map((box) => box.left)) - MARGIN, top = Math.min(...boxes.map((box) => box.top)) - MARGIN;
    const width = Math.ceil(Math.max(...boxes.map((box) => box.right)) - left + MARGIN), height = Math.ceil(Math.max(...boxes.map((box) => box.bottom)) - top + MARGIN);
    const placed = (svg) => {
      const copy = plain(svg), box = svg.getBoundingClientRect();
      for (const [name, value] of Object.entries({ x: box.left - left, y: box.top - top, width: box.width, height: box.height })) copy.setAttribute(name, value.toFixed(1));
      return copy;
    };
    const root = made("svg", { xmlns: NS, viewBox: "0 0 " + width + " " + height, width, height }, made("rect", { width, height, fill: scheme("card") }));
    const said = parts.map((each) => each.getAttribute("aria-label")).filter(Boolean).join("; ");
    root.prepend(made("title", {}, said));
    for (const key of keys) {
      const range = document.createRange(), text = key.lastChild, style = getComputedStyle(key);
      range.selectNode(text);
      const box = range.getBoundingClientRect();
      root.append(placed(key.querySelector("svg")), made("text", { x: (box.left - left).toFixed(1), y: (box.top - top + 0.76 * box.height).toFixed(1), fill: style.color, "font-family": style.fontFamily, "font-size": style.fontSize }, text.textContent));
    }
    root.append(...parts.map(placed));
    return { text: new XMLSerializer().serializeToString(root), width, height };
  };
  const download = (name, content) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(content), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const asPng = (canvas, name) => canvas.toBlob((blob) => download(name + ".png", blob), "image/png");
  const draw = async (figure, name) => {
    const { text, width, height } = pictureOf(figure), image = new Image(), scale = 2;
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: scale * width, height: scale * height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    asPng(canvas, name);
  };

  // Beside the heading of its section, or the sentence below it.
  const put = (figure, buttons) => {
    const place = Object.assign(document.createElement("span"), { className: "save" });
    place.append(...buttons);
    if (figure.nextElementSibling?.matches("p.source")) figure.nextElementSibling.append(" ", place);
    else figure.closest("section").querySelector("h2").append(place);
  };
  for (const figure of document.querySelectorAll(".figure, .drawing")) {
    if (!figure.querySelector("svg.chart, svg.architecture")) continue;
    const name = figure.id || "figure";
    put(figure, [
      button("SVG", "save the plot " + name + " as SVG", () => download(name + ".svg", new Blob([pictureOf(figure).text], { type: "image/svg+xml" }))),
      button("PNG", "save the plot " + name + " as PNG", () => draw(figure, name)),
    ]);
  }
  // Canvases, beside each other where there are several: maps, and the masks of the viewer.
  const beside = (canvases, name) => {
    const width = canvases.reduce((sum, each) => sum + each.width, 0), height = Math.max(...canvases.map((each) => each.height));
    const all = Object.assign(document.createElement("canvas"), { width, height }), context = all.getContext("2d");
    context.fillStyle = scheme("card");
    context.fillRect(0, 0, width, height);
    let left = 0;
    for (const each of canvases) { context.drawImage(each, left, 0); left += each.width; }
    asPng(all, name);
  };
  for (const [controls, shown, name] of [["map-all", ".map canvas", "map"], ["mask-in", "#mask-stage canvas", "masks"]]) {
    document.getElementById(controls)?.after(" ", button("PNG", "save the " + name + " as PNG", () => beside([...document.querySelectorAll(shown)], name)));
  }

  // Tables: every one can be copied.
  document.querySelectorAll("main table").forEach((table, i) => {
    table.id ||= "table-" + (i + 1);
    if (document.querySelector("[data-csv='" + CSS.escape(table.id) + "']")) return;
    const heading = table.closest("details, section").querySelector(":scope > h2"), place = Object.assign(document.createElement("p"), { className: "save" });
    const copied = button("copy as CSV", "copy the table as CSV", () => window.headstart.copy(window.headstart.csv(table), copied));
    copied.removeAttribute("aria-label");
    copied.dataset.copies = table.id;
    const alone = table.closest("section").querySelectorAll(".figure, .map, table").length === 1;
    if (heading && alone) { heading.append(copied); return; }
    place.append(copied);
    (table.closest(".scroll") ?? table).before(place);
  });
})();
