// One map on a canvas: where its images are at an epoch, which of them are picked out, and how they look.
const OUTCOMES = ["#3b82c4", "#e07b39"], NONE = "#8a8f98", STEPS = 12;

// Numbers of 16 bits in base64, as the page holds them.
const numbersIn = (text) => new Uint16Array(Uint8Array.from(atob(text), (each) => each.charCodeAt(0)).buffer);
const readFacts = (facts) => {
  for (const map of facts.maps) {
    for (const axes of Object.values(map.places)) for (const axis of axes) axis.values = axis.values.map(numbersIn);
    for (const shade of Object.values(map.shades)) shade.values = shade.values.map(numbersIn);
    for (const name of ["predicted", "neighbors"]) map[name] = map[name].map(numbersIn);
  }
  return facts;
};

// From blue (good) through gray to orange (bad): tells apart on light and dark, and by the color-blind.
const rampOf = (name) => {
  const ends = [[59, 130, 196], [150, 150, 150], [224, 123, 57]];
  if (name !== "loss") ends.reverse();
  return Array.from({ length: STEPS }, (_, step) => {
    const share = step / (STEPS - 1) * 2, [low, high] = share < 1 ? [ends[0], ends[1]] : [ends[1], ends[2]];
    return "rgb(" + low.map((part, i) => Math.round(part + (high[i] - part) * (share % 1 || (share === 2 ? 1 : 0)))).join(",") + ")";
  });
};

const makeMap = (id, facts, data, state) => {
  const place = document.getElementById(id), find = (name) => document.getElementById(id + "-" + name);
  const canvas = document.createElement("canvas"), slider = find("slider"), count = facts.labels.length, HEIGHT = 560;
  const radius = count > 1500 ? 2.6 : 3.6, words = facts.labels.map((label, i) => (facts.classes[label] + "\n" + facts.files[i]).toLowerCase());
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "map of the images' features" + (data.name ? " by " + data.name : ""));
  canvas.setAttribute("aria-describedby", "map-keys");
  place.append(canvas);
  slider.max = data.epochs.length - 1;
  slider.disabled = data.epochs.length < 2;

  const context = canvas.getContext("2d", { willReadFrequently: true });
  // Whether an image is picked out, by what is chosen.
  let position = data.epochs.length - 1, goal = position;
  const epoch = () => Math.round(goal);
  const at = (values) => values[Math.min(epoch(), values.length - 1)];
  const outcome = (i) => facts.labels[i] === facts.unlabeled || !data.predicted.length ? -1 : Number(at(data.predicted)[i] !== facts.labels[i]);
  const visible = (i) => state.splits.has(facts.splits[i]);
  const lit = (i) => (!state.classes.size || state.classes.has(facts.labels[i])) && (!state.outcomes.size || state.outcomes.has(outcome(i)))
    && (!state.words || words[i].includes(state.words)) && (!state.lasso || state.lasso.has(i));

  // The view: a window of the square in which all epochs of a projection lie, so that nothing jumps when the slider moves.
  const ALL = [-0.04, 1.04, -0.04, 1.04];
  let view = [...ALL], width = 0, scale = 1;
  const x = new Float32Array(count), y = new Float32Array(count);
  const put = () => {
    const axes = data.places[state.kind], low = Math.floor(position), high = Math.min(low + 1, data.epochs.length - 1);
    const part = position - low, share = part * part * (3 - 2 * part);
    const kx = width / (view[1] - view[0]), ky = HEIGHT / (view[3] - view[2]);
    const [x0, x1, y0, y1] = [axes[0].values[low], axes[0].values[high], axes[1].values[low], axes[1].values[high]];
    for (let i = 0; i < count; i++) {
      x[i] = ((x0[i] + (x1[i] - x0[i]) * share) / 65535 - view[0]) * kx;
      y[i] = HEIGHT - ((y0[i] + (y1[i] - y0[i]) * share) / 65535 - view[2]) * ky;
    }
  };

  // Each color and shape is drawn once, as a small picture whose pixels are then laid over those of the map: for 5,000
  // images a tenth of the time that `drawImage` takes without a GPU, and WebGL is not in every browser.
  const stamps = { val: new Map(), train: new Map() };
  const stamp = (color, split) => {
    if (stamps[split].has(color)) return stamps[split].get(color);
    const r = radius * scale, half = Math.ceil(r + 2), side = 2 * half;
    const pen = Object.assign(document.createElement("canvas"), { width: side, height: side }).getContext("2d", { willReadFrequently: true });
    pen.beginPath();
    if (split === "train") {
      pen.moveTo(half, half - r); pen.lineTo(half + r, half); pen.lineTo(half, half + r); pen.lineTo(half - r, half); pen.closePath();
      pen.strokeStyle = color;
      pen.lineWidth = scale * 1.2;
      pen.stroke();
    } else {
      pen.arc(half, half, r, 0, 7);
      pen.fillStyle = color;
      pen.fill();
      if (facts.outlined && state.color === "class") { pen.strokeStyle = NONE; pen.lineWidth = scale; pen.stroke(); }
    }
    const pixels = pen.getImageData(0, 0, side, side).data, made = { at: [], alpha: [], redBlue: [], green: [] };
    for (let i = 0; i < side * side; i++) {
      const [red, green, blue, alpha] = pixels.subarray(4 * i, 4 * i + 4);
      if (!alpha) continue;
      made.at.push((Math.floor(i / side) - half) * canvas.width + i % side - half);
      made.alpha.push(alpha / 255);
      made.redBlue.push(red | blue << 16);
      made.green.push(green << 8);
    }
    stamps[split].set(color, made);
    return made;
  };
  const lay = (pixels, rows, opacity) => {
    const edge = Math.ceil(radius * scale + 2), right = canvas.width - edge, bottom = canvas.height - edge;
    for (const i of rows) {
      const left = Math.round(x[i] * scale), top = Math.round(y[i] * scale);
      if (!(left >= edge && left < right && top >= edge && top < bottom)) continue;
      const { at, alpha, redBlue, green } = looks[i], middle = top * canvas.width + left;
      for (let k = 0; k < at.length; k++) {
        const place = middle + at[k], below = pixels[place], share = Math.round(alpha[k] * opacity), rest = 256 - share;
        pixels[place] = 0xff000000 | (((below & 0xff00ff) * rest + redBlue[k] * share) / 256 & 0xff00ff) | (((below & 0xff00) * rest + green[k] * share) / 256 & 0xff00);
      }
    }
  };
  const colorOf = () => {
    if (state.color === "correctness") return (i) => OUTCOMES[outcome(i)] ?? NONE;
    if (state.color === "split") return (i) => facts.splits[i] === "val" ? OUTCOMES[0] : OUTCOMES[1];
    const shade = data.shades[state.color];
    if (!shade) return (i) => facts.colors[facts.labels[i]];
    // One scale for all maps, so that a color means the same in each.
    const ramp = rampOf(state.color), most = Math.max(...facts.maps.map((each) => each.shades[state.color]?.high ?? 0));
    const values = at(shade.values), share = (shade.high / most) * STEPS / 65535;
    const without = (i) => state.color === "IoU" ? facts.splits[i] !== "val" : state.color === "loss" && facts.labels[i] === facts.unlabeled;
    return (i) => without(i) ? NONE : ramp[Math.min(STEPS - 1, Math.floor(values[i] * share))];
  };
  let bright = [], dim = [], looks = [], ground = 0;
  const changed = () => {
    const color = colorOf();
    for (const each of Object.values(stamps)) each.clear();
    [bright, dim, looks] = [[], [], []];
    context.fillStyle = getComputedStyle(place).getPropertyValue("--card");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillRect(0, 0, 1, 1);
    ground = new Uint32Array(context.getImageData(0, 0, 1, 1).data.buffer)[0];
    for (let i = 0; i < count; i++) {
      if (!visible(i)) continue;
      (lit(i) ? bright : dim).push(i);
      looks[i] = stamp(color(i), facts.splits[i]);
    }
    if (state.pinned >= 0) for (const i of [state.pinned, ...near(state.pinned)]) looks[i] ??= stamp(color(i), facts.splits[i]);
    draw();
  };
  const near = (i) => data.neighbors.length ? [...at(data.neighbors).subarray(i * data.near, (i + 1) * data.near)] : [];

  // One drawing a frame. Meanwhile the points follow the slider: of the way that is left, they go a part each frame.
  let drawing = 0;
  const draw = () => { drawing ||= requestAnimationFrame(frame); };
  const frame = () => {
    drawing = 0;
    if (position !== goal) {
      position += (goal - position) * 0.3;
      if (Math.abs(goal - position) < 0.004) position = goal; else draw();
    }
    paint();
  };
  let image = null;
  const paint = () => {
    scale = devicePixelRatio || 1;
    width = place.clientWidth;
    const size = [Math.max(1, Math.round(width * scale)), Math.round(HEIGHT * scale)];
    if (!image || canvas.width !== size[0] || canvas.height !== size[1]) {
      [canvas.width, canvas.height] = size;
      image = context.createImageData(...size);
      changed();
    }
    put();
    const pixels = new Uint32Array(image.data.buffer);
    pixels.fill(ground);
    lay(pixels, dim, 0.1 * 256);
    lay(pixels, bright, 0.85 * 256);
    if (state.pinned >= 0) lay(pixels, [state.pinned, ...near(state.pinned)], 0.85 * 256);
    if (document.documentElement.classList.contains("printed")) {  // Chromium prints what is drawn, without put pixels
      const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
      copy.getContext("2d").putImageData(image, 0, 0);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.drawImage(copy, 0, 0);
    } else context.putImageData(image, 0, 0);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    marks();
  };
  // Names at the medians, the pinned image with lines to its neighbors, and a ring round the image under the pointer.
  const marks = () => {
    const style = getComputedStyle(place), ink = style.getPropertyValue("--ink"), card = style.getPropertyValue("--card");
    if (state.names) names(ink, card);
    const ring = (i, r, wide) => { context.beginPath(); context.arc(x[i], y[i], r, 0, 7); context.lineWidth = wide; context.strokeStyle = ink; context.stroke(); };
    if (state.pinned >= 0) {
      const others = near(state.pinned);
      context.beginPath();
      for (const i of others) { context.moveTo(x[state.pinned], y[state.pinned]); context.lineTo(x[i], y[i]); }
      context.lineWidth = 1;
      context.strokeStyle = ink;
      context.stroke();
      for (const i of others) ring(i, radius + 2.5, 1.2);
      ring(state.pinned, radius + 4, 2.5);
    }
    if (state.hovered >= 0) ring(state.hovered, radius + 5, 1.8);
    if (map.path?.length > 1) {
      context.beginPath();
      for (const point of map.path) context.lineTo(...point);
      context.closePath();
      context.fillStyle = ink; context.globalAlpha = 0.08; context.fill();
      context.globalAlpha = 1; context.setLineDash([5, 4]); context.lineWidth = 1.5; context.strokeStyle = ink; context.stroke(); context.setLineDash([]);
    }
  };
  const names = (ink, card) => {
    const members = new Map(), taken = [], middle = (of, rows) => Float32Array.from(rows, (i) => of[i]).sort()[rows.length >> 1];
    for (const i of bright) { const label = facts.labels[i]; if (!members.has(label)) members.set(label, []); members.get(label).push(i); }
    context.font = "600 13px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    for (const [label, rows] of [...members].sort((a, b) => b[1].length - a[1].length)) {
      const left = middle(x, rows), top = middle(y, rows);
      const name = facts.classes[label].length > 24 ? facts.classes[label].slice(0, 23) + "…" : facts.classes[label];
      const box = context.measureText(name).width / 2 + 3;
      // Of names that would lie over each other, that of the larger class is written.
      if (left < box || left > width - box || top < 8 || top > HEIGHT - 8 || taken.some(([l, t, b]) => Math.abs(l - left) < b + box && Math.abs(t - top) < 17)) continue;
      taken.push([left, top, box]);
      context.lineWidth = 4; context.strokeStyle = card; context.strokeText(name, left, top);
      context.fillStyle = ink; context.fillText(name, left, top);
    }
    map.written = taken.length;
  };

  let before = -1;
  const go = (to, now = false) => {
    goal = to;
    if (document.activeElement !== slider || Math.abs(slider.value - to) > 0.06) slider.value = to;
    if (now || matchMedia("(prefers-reduced-motion: reduce)").matches) position = to;
    if (epoch() !== before) {
      before = epoch();
      slider.setAttribute("aria-valuetext", "epoch " + data.epochs[before]);
      changed();
      map.onEpoch?.();
    }
    draw();
  };
  const confidenceOf = (i) => at(data.shades.confidence.values)[i] / 65535;
  const predictionOf = (i) => {
    const { IoU } = data.shades, percent = (value) => (100 * value).toFixed(1) + "\u00a0%";
    if (!data.predicted.length) return IoU && facts.splits[i] === "val" ? "IoU " + percent(at(IoU.values)[i] / 65535) : "";
    return "predicted " + named(facts.classes[at(data.predicted)[i]]) + " " + percent(confidenceOf(i));
  };
  const say = () => {
    const variance = data.variance[epoch()];
    find("epoch").textContent = "epoch " + data.epochs[epoch()];
    const drawn = facts.left_out ? count.toLocaleString("en") + " of " + (count + facts.left_out).toLocaleString("en") + " images are drawn. " : "";
    find("says").textContent = drawn + (state.kind === "pca" ? "PCA: the two axes explain " + Math.round(100 * variance) + " % of the variance of this epoch."
      : "t-SNE: neighbors are similar; distances between clusters mean little.");
  };
  const map = {
    id, place, canvas, slider, data, changed, draw, go, say, epoch, visible, lit, at, outcome, near, predictionOf, confidenceOf, HEIGHT, x, y, path: null, written: 0,
    size: () => width,
    view: () => view.some((end, i) => end !== ALL[i]) ? view : null,
    recolor: () => { changed(); paint(); },  // at once: paper does not wait for the next frame
    look: (to) => { view = to ? [...to] : [...ALL]; draw(); },
    ends: () => view,
    // The nearest image to a place on the canvas, of those picked out; -1 where none is near.
    nearest: (left, top) => {
      let found = -1, least = 14 * 14;
      for (const i of bright) {
        const distance = (x[i] - left) ** 2 + (y[i] - top) ** 2;
        if (distance < least) { least = distance; found = i; }
      }
      return found;
    },
  };
  new ResizeObserver(draw).observe(place);
  // For tests and scripts: where each image is, in data and in pixels, and whether it is picked out.
  place.images = () => {
    paint();
    const [a, b] = data.places[state.kind].map((axis) => [axis.low, axis.high - axis.low]);
    return facts.labels.map((_, i) => ({
      split: facts.splits[i], left: x[i], top: y[i], lit: lit(i), visible: visible(i),
      x: a[0] + a[1] * (x[i] / width * (view[1] - view[0]) + view[0]), y: b[0] + b[1] * ((HEIGHT - y[i]) / HEIGHT * (view[3] - view[2]) + view[2]),
    }));
  };
  place.map = map;
  return map;
};
