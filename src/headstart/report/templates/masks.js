// The viewer of masks: one image or four beside each other, zoomed together; filters and order of the other images.
(() => {
  const place = document.getElementById("mask-data");
  if (!place) return;
  const data = JSON.parse(place.textContent), layers = window.maskLayers(data), hash = window.headstart.hashPart("masks");
  const of = (id) => document.getElementById("mask-" + id);
  const stage = of("stage"), strip = of("strip"), NEAR = 28, MOST = 16;
  const views = [...document.querySelectorAll('[name="mask-view"]')];
  const epochs = [...new Set(data.images.flatMap((image) => image.predictions.map((each) => each.epoch)))].sort((a, b) => a - b);
  const state = { image: null, view: "swipe", epoch: epochs.at(-1), sort: "low", truth: null, predicted: null, zoom: 1, x: 0.5, y: 0.5 };
  const percent = (share) => (share === null ? "–" : (100 * share).toFixed(1) + " %");
  const count = (number) => number.toLocaleString("en");
  const name = (number) => data.classes[number] ?? "no class";

  // Figures of an image by the saved checkpoint: of all its pixels, or of the class that is chosen.
  const saved = (image) => image.predictions.find((each) => each.epoch === data.kept) ?? image.predictions.at(-1);
  const sum = (image, some) => image.cells.reduce((all, [truth, predicted, pixels]) => all + (some(truth, predicted) ? pixels : 0), 0);
  const inPair = (truth, predicted) => truth === state.truth && predicted === state.predicted;
  const figures = (image) => {
    if (state.truth === null) {
      const all = sum(image, () => true), wrong = sum(image, (truth, predicted) => truth !== predicted);
      return { here: true, iou: saved(image).iou, wrong: all ? wrong / all : null };
    }
    const all = sum(image, () => true), hits = sum(image, (truth, predicted) => truth === state.truth && predicted === truth);
    const either = sum(image, (truth, predicted) => truth === state.truth || predicted === state.truth);
    if (state.predicted !== null) { const pixels = sum(image, inPair); return { here: pixels > 0, iou: either ? hits / either : null, wrong: pixels / all, pixels }; }
    return { here: either > 0, iou: either ? hits / either : null, wrong: (either - hits) / all };
  };
  const listed = () => {
    const found = data.images.map((image) => ({ image, ...figures(image) })).filter((each) => each.here);
    const iou = (each, last) => each.iou ?? last;
    const orders = {
      low: (a, b) => iou(a, 2) - iou(b, 2),
      high: (a, b) => iou(b, -1) - iou(a, -1),
      wrong: (a, b) => b.wrong - a.wrong,
      name: (a, b) => a.image.file.localeCompare(b.image.file, undefined, { numeric: true }),
    };
    return found.sort(state.predicted !== null && state.sort === "low" ? (a, b) => b.pixels - a.pixels : orders[state.sort]);
  };

  // What is shown of the image: its numbers once they are unpacked, and layers painted from them.
  let shown = null;
  const load = async () => {
    const image = state.image, own = image.predictions.map((each) => each.epoch);
    const epoch = own.includes(state.epoch) ? state.epoch : saved(image).epoch;
    const prediction = image.predictions.find((each) => each.epoch === epoch);
    const wanted = shown = { image, epoch, prediction, photo: new Image(), painted: new Map(), ready: false };
    wanted.photo.src = image.photo;
    const parts = [layers.unpack(image.truth, image.width), layers.unpack(prediction.mask, image.width), image.uncertainty && epoch === data.kept ? layers.unpack(image.uncertainty, image.unsure[0]) : null];
    [wanted.truth, wanted.predicted, wanted.steps] = await Promise.all(parts);
    await wanted.photo.decode();
    wanted.ready = true;
    if (shown === wanted) { say(); draw(); }
  };
  const layer = (kind) => {
    const { image, truth, predicted, steps, painted } = shown;
    const key = [kind, state.truth, state.predicted].join();
    if (!painted.has(key)) {
      if (kind === "uncertainty") painted.set(key, steps ? layers.uncertainty(...image.unsure, steps) : null);
      else if (kind === "regions") painted.set(key, state.predicted === null ? [] : layers.regions(image.width, image.height, truth, predicted, state));
      else painted.set(key, layers.paint(kind, image.width, image.height, truth, predicted, state));
    }
    return painted.get(key);
  };

  // One canvas for each panel; all show the same part of the image.
  const panels = () => {
    const kinds = state.view === "panels" ? ["image", "truth", "prediction", "difference"] : [state.view];
    stage.dataset.view = state.view;
    stage.replaceChildren(...kinds.map((kind) => {
      const figure = document.createElement("figure"), canvas = document.createElement("canvas"), caption = document.createElement("figcaption");
      canvas.dataset.kind = kind;
      canvas.setAttribute("role", "img");
      caption.textContent = kind === "swipe" ? "left: ground truth, right: prediction" : kind === "truth" ? "ground truth" : kind;
      figure.append(canvas, caption);
      handle(canvas);
      return figure;
    }));
    of("swiped").hidden = state.view !== "swipe";
  };
  const swiped = () => of("swipe").value / 100;
  const draw = () => {
    if (!shown?.ready) return;
    const { width, height, file } = shown.image, ratio = window.devicePixelRatio || 1, edge = 0.5 / state.zoom;
    for (const at of ["x", "y"]) state[at] = Math.min(1 - edge, Math.max(edge, state[at]));
    stage.style.setProperty("--shape", width / height);
    for (const canvas of stage.querySelectorAll("canvas")) {
      const kind = canvas.dataset.kind, wide = Math.round(canvas.clientWidth * ratio);
      if (!wide) continue;
      [canvas.width, canvas.height] = [wide, Math.max(1, Math.round(wide * height / width))];
      canvas.setAttribute("aria-label", kind + " of " + file);
      canvas.style.touchAction = state.zoom > 1 ? "none" : "pan-y";
      const context = canvas.getContext("2d"), scale = canvas.width / width * state.zoom;
      context.setTransform(scale, 0, 0, scale, canvas.width / 2 - state.x * width * scale, canvas.height / 2 - state.y * height * scale);
      context.drawImage(shown.photo, 0, 0, width, height);
      if (kind === "difference" || state.predicted !== null) {  // marks in color on a gray photo
        context.globalCompositeOperation = "saturation";
        context.fillStyle = "#888";
        context.fillRect(0, 0, width, height);
        context.globalCompositeOperation = "source-over";
      }
      context.globalAlpha = of("opacity").value / 100;
      context.imageSmoothingEnabled = kind === "uncertainty";
      const over = (what, left, right) => {
        const picture = layer(what);
        if (!picture) return;
        context.save();
        context.beginPath();
        const from = (canvas.width * left - context.getTransform().e) / scale, to = (canvas.width * right - context.getTransform().e) / scale;
        context.rect(from, -height, to - from, 3 * height);
        context.clip();
        context.drawImage(picture, 0, 0, width, height);
        context.restore();
      };
      if (kind === "swipe") { over("truth", 0, swiped()); over("prediction", swiped(), 1); } else if (kind !== "image") over(kind, 0, 1);
      context.globalAlpha = 1;
      const framed = kind === "uncertainty" || kind === "image" ? [] : layer("regions");
      context.setTransform(1, 0, 0, 1, 0, 0);
      for (const box of framed) {
        const margin = 3 * ratio, [left, top] = [canvas.width / 2 + (box.left - state.x * width) * scale - margin, canvas.height / 2 + (box.top - state.y * height) * scale - margin];
        for (const [color, line] of [["#000", 4], ["#fff", 2]]) {
          context.strokeStyle = color;
          context.lineWidth = line * ratio;
          context.strokeRect(left, top, (box.right - box.left) * scale + 2 * margin, (box.bottom - box.top) * scale + 2 * margin);
        }
      }
      if (kind === "swipe") {
        const at = swiped() * canvas.width;
        context.fillStyle = "#000";
        context.fillRect(at - 2 * ratio, 0, 4 * ratio, canvas.height);
        context.fillStyle = "#fff";
        context.fillRect(at - ratio, 0, 2 * ratio, canvas.height);
        context.beginPath();
        context.arc(at, canvas.height / 2, 9 * ratio, 0, 7);
        context.fill();
        context.strokeStyle = "#000";
        context.lineWidth = 1.5 * ratio;
        context.stroke();
      }
    }
    of("whole").textContent = Math.round(100 * state.zoom) + " %";
  };

  // Sentences: of the image, of what was found, and of the pixel under the pointer.
  const say = (pixel) => {
    const { image, prediction, epoch } = shown;
    const parts = [image.file, prediction.iou === null ? "all of it is ignored" : "mean IoU " + percent(prediction.iou) + ", " + percent(1 - prediction.accuracy) + " of its pixels are wrong", "epoch " + epoch + (epoch === data.kept ? " (saved)" : "") + (epoch !== state.epoch && epochs.length > 1 ? ": the only one of this image at hand" : "")];
    if (image.scale < 1) parts.push("shown at " + Math.round(100 * image.scale) + " % of its size");
    if (state.view === "uncertainty" && shown.ready) parts.push(shown.steps ? "orange: the entropy of the probabilities, the more opaque the less certain" : "uncertainty is stored of the saved epoch alone");
    of("facts").replaceChildren(Object.assign(document.createElement("b"), { textContent: parts[0] }), " " + parts.slice(1).join("; ") + (pixel ? ". Here: " + pixel : ""));
  };
  const list = () => {
    const found = listed();
    if (!state.image || !found.some((each) => each.image === state.image)) {
      if (found.length) choose(found[0].image, false);
      else if (!state.image) choose(data.images[0], false);
    }
    strip.replaceChildren(...found.map(({ image, iou, wrong, pixels }) => {
      const button = document.createElement("button"), picture = document.createElement("img"), text = document.createElement("span");
      button.type = "button";
      button.title = image.file;
      Object.assign(picture, { src: image.photo, alt: image.file });
      text.textContent = pixels !== undefined ? count(pixels) + " px" : state.sort === "wrong" ? percent(wrong) + " wrong" : "IoU " + percent(iou);
      button.append(picture, text);
      button.addEventListener("click", () => choose(image));
      button.dataset.image = image.name;
      return button;
    }));
    const some = found.length + " of " + data.images.length + " images";
    const elsewhere = data.elsewhere[state.truth + "-" + state.predicted];
    of("found").textContent = state.truth === null ? some : state.predicted === null ? some + " have " + name(state.truth) + " in the ground truth or the prediction"
      : count(found.reduce((all, each) => all + each.pixels, 0)) + " pixels of " + name(state.truth) + " predicted as " + name(state.predicted) + ", in " + some + (found.length || !elsewhere ? "" : "; the most in " + elsewhere[0] + " (" + count(elsewhere[1]) + " pixels), whose masks are not stored");
    current();
  };
  const current = () => {
    for (const button of strip.children) {
      if (button.dataset.image === state.image?.name) {
        button.setAttribute("aria-current", "true");
        strip.scrollLeft = button.offsetLeft - strip.offsetLeft - (strip.clientWidth - button.clientWidth) / 2;
      } else button.removeAttribute("aria-current");
    }
  };
  const keep = () => {
    const { image, view, epoch, sort, truth, predicted, zoom, x, y } = state, near = zoom > 1 ? [zoom, x, y].map((each) => +each.toFixed(3)).join("_") : "";
    const first = listed()[0]?.image;
    const values = { image: image && image !== first ? image.name : "", view: view === "swipe" ? "" : view, epoch: epoch === epochs.at(-1) ? "" : epoch, sort: sort === "low" ? "" : sort, truth: truth ?? "", predicted: predicted ?? "", zoom: near };
    hash.write(Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "")));
  };
  const choose = (image, note = true) => {
    state.image = image;
    current();
    load();
    if (note) keep();
  };
  const set = (changes) => {
    Object.assign(state, changes);
    if (state.truth === null) state.predicted = null;
    of("truth").value = state.truth ?? "";
    of("predicted").value = state.predicted ?? "";
    of("predicted").disabled = state.truth === null;
    of("sort").value = state.sort;
    of("sort").options[0].textContent = state.predicted === null ? "lowest IoU" : "most of these pixels";
    for (const each of views) each.checked = each.value === state.view;
    const slider = of("slider");
    if (slider) {
      slider.value = epochs.indexOf(state.epoch);
      of("epoch").textContent = "epoch " + state.epoch + (state.epoch === data.kept ? " (saved)" : "");
    }
    if ("view" in changes) panels();
    if ("truth" in changes || "sort" in changes) list();
    if (!("image" in changes) && "epoch" in changes && state.image) load();
    if (shown) say();
    draw();
    keep();
  };

  // Zoom and pan, by pointer, wheel and keys. (x, y) are of the canvas, 0 to 1.
  const zoom = (factor, x = 0.5, y = 0.5) => {
    const next = Math.min(MOST, Math.max(1, state.zoom * factor)), move = (at) => (at - 0.5) * (1 / state.zoom - 1 / next);
    [state.x, state.y, state.zoom] = [state.x + move(x), state.y + move(y), next];
    draw();
    keep();
  };
  const move = (x, y) => { state.x += x / state.zoom; state.y += y / state.zoom; draw(); };
  const step = (by) => {
    const all = [...strip.children], at = all.findIndex((each) => each.getAttribute("aria-current"));
    all[Math.min(all.length - 1, Math.max(0, at + by))]?.click();
  };
  const slide = (x) => { of("swipe").value = 100 * x; draw(); };
  const handle = (canvas) => maskInput(canvas, {
    // The line between truth and prediction is taken: anywhere in a whole image, near it in an enlarged one.
    onLine: (x, width) => canvas.dataset.kind === "swipe" && (state.zoom === 1 || Math.abs(x - swiped()) * width < NEAR),
    enlarged: () => state.zoom >= 2, slide, zoom, move, hover, keep, leave: () => { if (shown?.ready) say(); },
  });
  const hover = (x, y) => {
    if (!shown?.ready) return;
    const inside = (value, size) => Math.min(size - 1, Math.max(0, Math.floor(value * size)));
    const u = state.x + (x - 0.5) / state.zoom, v = state.y + (y - 0.5) / state.zoom, { image, truth, predicted, steps } = shown;
    const pixel = inside(v, image.height) * image.width + inside(u, image.width);
    const unsure = steps ? ", uncertainty " + Math.round(100 * steps[inside(v, image.unsure[1]) * image.unsure[0] + inside(u, image.unsure[0])] / (data.steps - 1)) + " %" : "";
    say(name(truth[pixel]) + ", predicted as " + name(predicted[pixel]) + unsure);
  };
  stage.addEventListener("keydown", (event) => {
    const along = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") zoom(0);
    else if (along && state.zoom > 1) { move(along[0] / 8, along[1] / 8); keep(); }
    else if (along && along[0]) step(along[0]);
    else return;
    event.preventDefault();
  });
  of("in").addEventListener("click", () => zoom(1.5));
  of("out").addEventListener("click", () => zoom(1 / 1.5));
  of("whole").addEventListener("click", () => zoom(0));

  // Controls, and whatever on the page leads here.
  const chosen = (select) => (select.value === "" ? null : Number(select.value));
  for (const each of views) each.addEventListener("change", () => { if (each.checked) set({ view: each.value }); });
  of("truth").addEventListener("change", () => set({ truth: chosen(of("truth")), predicted: null }));
  of("predicted").addEventListener("change", () => set({ truth: state.truth, predicted: chosen(of("predicted")) }));
  of("sort").addEventListener("change", () => set({ sort: of("sort").value }));
  of("slider")?.addEventListener("input", () => set({ epoch: epochs[of("slider").value] }));
  if (of("play")) maskPlay(of("play"), of("slider"));
  of("opacity").addEventListener("input", () => { of("blend").textContent = "masks " + of("opacity").value + " %"; draw(); });
  of("swipe").addEventListener("input", draw);
  const open = (changes) => {
    set(changes);
    document.getElementById("masks").scrollIntoView({ block: "start" });
    stage.focus({ preventScroll: true });
  };
  for (const each of document.querySelectorAll("button[data-class]")) {
    each.addEventListener("click", () => open({ truth: Number(each.dataset.class), predicted: each.dataset.predicted ? Number(each.dataset.predicted) : null }));
  }
  for (const each of document.querySelectorAll("#scored button[data-image]")) {
    each.addEventListener("click", () => { state.image = data.images.find((image) => image.name === each.dataset.image); open({ truth: null }); choose(state.image); });
  }
  for (const cell of document.querySelectorAll("#confusion [data-cell]")) {
    const [truth, predicted] = cell.dataset.cell.split("-").map(Number);
    cell.addEventListener("click", () => open({ truth, predicted }));
  }
  for (const chart of document.querySelectorAll("#confusion .chart")) window.headstart.reachByKeys(chart);
  new ResizeObserver(draw).observe(stage);

  const from = hash.read(), number = (text, most) => (/^\d+$/.test(text ?? "") && Number(text) < most ? Number(text) : null);
  [state.zoom, state.x, state.y] = /^[\d.]+_[\d.]+_[\d.]+$/.test(from.zoom ?? "") ? from.zoom.split("_").map((each, at) => (at ? Number(each) : Math.min(MOST, Math.max(1, Number(each))))) : [1, 0.5, 0.5];
  state.image = data.images.find((image) => image.name === from.image) ?? null;
  set({
    view: views.some((each) => each.value === from.view) ? from.view : "swipe",
    epoch: epochs.includes(Number(from.epoch)) ? Number(from.epoch) : epochs.at(-1),
    sort: [...of("sort").options].some((each) => each.value === from.sort) ? from.sort : "low",
    truth: number(from.truth, data.counted),
    predicted: number(from.predicted, data.counted),
  });
})();
