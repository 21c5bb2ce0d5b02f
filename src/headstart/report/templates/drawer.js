// The drawer of a classifier's images: a cell of the confusion matrix, a class or a bin of the reliability diagram opens it.
(() => {
  const json = document.getElementById("images-json"), { hashPart, copy, csvLine, reachByKeys } = window.headstart;
  if (!json) return;
  const data = JSON.parse(json.textContent), kept = hashPart("images"), count = data.files.length, MORE = 60;
  if (data.of_map) data.sheet = JSON.parse(document.getElementById("map-json").textContent).sheet;
  const of = (name) => document.getElementById("drawer" + (name && "-" + name));
  const number = (value) => value.toLocaleString("en"), images = (value) => number(value) + (value === 1 ? " image" : " images");
  const sure = (i) => (100 * data.confidence[i]).toFixed(1) + "\u00a0%", wrong = (i) => data.labels[i] !== data.predicted[i];
  const those = (some) => [...data.files.keys()].filter(some), name = (label) => data.classes[label];

  // What a part of the page opens: strips of images with a title each, errors first.
  const STRIPS = {
    cell: (truth, predicted) => {
      const found = those((i) => data.labels[i] === truth && data.predicted[i] === predicted);
      return [[images(found.length) + " of " + name(truth) + " predicted as " + name(predicted), found]];
    },
    class: (label) => {
      const own = those((i) => data.labels[i] === label), taken = those((i) => data.predicted[i] === label && wrong(i));
      return [[images(own.length) + " of " + name(label) + ", " + number(own.filter(wrong).length) + " predicted as another class", own],
        [images(taken.length) + " of other classes predicted as " + name(label), taken]];
    },
    bin: (bin) => {
      const found = those((i) => data.bins[i] === bin);
      return [[images(found.length) + " predicted with a confidence of " + Math.round(bin / 0.15) + " to " + Math.round((bin + 1) / 0.15) + " %, " + number(found.filter(wrong).length) + " of them wrong", found]];
    },
  };
  let opened = null, rows = [], enlarged = -1, from = null;
  const entry = (i) => {
    const [made, image, truth, said, file] = ["button", "i", "b", "span", "small"].map((tag) => document.createElement(tag));
    made.type = "button";
    made.title = data.files[i];
    picture(image, data, data.tiles[i], 106);
    truth.textContent = name(data.labels[i]);
    said.textContent = "predicted " + name(data.predicted[i]) + " " + sure(i);
    said.className = wrong(i) ? "wrong" : "";
    file.textContent = data.files[i].split("/").pop();
    made.append(image, truth, said, file);
    made.addEventListener("click", () => enlarge(i));
    return made;
  };
  const strip = ([title, list]) => {
    const head = document.createElement("h3"), line = document.createElement("div"), more = document.createElement("button");
    let shown = 0;
    const grow = () => {
      const added = list.slice(shown, shown + MORE).map(entry), first = shown === 0;
      more.before(...added);
      shown += added.length;
      more.hidden = shown === list.length;
      more.textContent = number(list.length - shown) + " more";
      if (!first) added[0].focus();
    };
    head.textContent = title;
    line.className = "thumbnails";
    more.type = "button";
    more.className = "more";
    more.addEventListener("click", grow);
    line.append(more);
    grow();
    return list.length ? [head, line] : [head];
  };

  const keep = () => kept.write(opened ? { [opened.kind]: opened.at.join("-"), ...(enlarged >= 0 ? { image: enlarged } : {}) } : {});
  const show = (kind, at) => {
    const strips = STRIPS[kind](...at);
    opened = { kind, at };
    rows = [...new Set(strips.flatMap(([, list]) => list))];
    of("found").replaceChildren(...strips.flatMap(strip));
    of("").hidden = false;
    of("").scrollTop = 0;
    keep();
  };
  const close = () => {
    if (of("").hidden) return;
    of("").hidden = true;
    opened = null;
    keep();
    from?.focus({ preventScroll: true });
  };

  // One image, larger: of the page's own picture of it where there is one, else of the sheet.
  const large = of("large");
  const enlarge = (i) => {
    const own = [...document.querySelectorAll(".pictures img:not(.heat)")].find((each) => each.alt === data.files[i]);
    const image = large.querySelector("i"), side = Math.min(384, innerWidth - 72, innerHeight - 230);
    image.removeAttribute("style");
    picture(image, data, data.tiles[i], side);
    if (own) Object.assign(image.style, { width: side + "px", height: side + "px", background: "url(" + own.src + ") center / contain no-repeat" });
    if (own) image.hidden = false;
    of("truth").textContent = "true: " + name(data.labels[i]);
    of("said").textContent = "predicted " + name(data.predicted[i]) + " " + sure(i);
    of("said").className = wrong(i) ? "wrong" : "";
    of("file").textContent = data.files[i];
    of("place").textContent = number(rows.indexOf(i) + 1) + " of " + number(rows.length);
    enlarged = i;
    if (!large.open) large.showModal();
    keep();
  };
  const step = (by) => { const next = rows[rows.indexOf(enlarged) + by]; if (next !== undefined) enlarge(next); };
  of("before").addEventListener("click", () => step(-1));
  of("after").addEventListener("click", () => step(1));
  of("shut").addEventListener("click", () => large.close());
  large.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) { event.preventDefault(); step(by); }
  });
  large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
  large.addEventListener("close", () => { enlarged = -1; keep(); });

  of("names").addEventListener("click", () => copy(rows.map((i) => data.files[i]).join("\n") + "\n", of("names")));
  of("csv").addEventListener("click", () => {
    const lines = rows.map((i) => [data.files[i], name(data.labels[i]), name(data.predicted[i]), data.confidence[i]]);
    copy([["filename", "label", "predicted", "confidence"], ...lines].map(csvLine).join(""), of("csv"));
  });
  of("close").addEventListener("click", close);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !large.open) close(); });
  of("listed").textContent = count < data.listed_of ? "This page lists " + number(count) + " of " + images(data.listed_of) + ", errors first; predictions.csv in the run folder has all." : "";

  // What opens it, by pointer and keys.
  for (const kind of ["cell", "class", "bin"]) {
    for (const each of document.querySelectorAll("[data-" + kind + "]")) {
      each.addEventListener("click", () => {
        from = each;
        show(kind, each.dataset[kind].split("-").map(Number));
        of("").focus({ preventScroll: true });
        each.scrollIntoView({ block: "nearest" });  // above the drawer
      });
    }
  }
  for (const chart of document.querySelectorAll(".chart")) reachByKeys(chart);

  // As the address says.
  const restore = () => {
    const values = kept.read(), kind = Object.keys(STRIPS).find((each) => /^\d+(-\d+)?$/.test(values[each] ?? ""));
    const at = kind ? values[kind].split("-").map(Number) : [];
    const known = kind && at.length === (kind === "cell" ? 2 : 1) && at.every((each) => each < (kind === "bin" ? 15 : data.classes.length));
    if (!known) { if (opened) close(); return; }
    show(kind, at);
    if (rows.includes(Number(values.image))) enlarge(Number(values.image));
  };
  restore();
  window.addEventListener("hashchange", restore);
})();
