// t-SNE and PCA over the epochs: a point per image, a slider, a search, and the image under the pointer.
(() => {
  const place = document.getElementById("map");
  if (!place) return;
  const facts = JSON.parse(document.getElementById("map-json").textContent);
  const find = (id) => document.getElementById(id);
  const kinds = Object.keys(facts.places);
  const splits = ["val", "train"].filter((split) => facts.splits.includes(split));
  const state = { kind: kinds[0], epoch: facts.epochs.length - 1, chosen: new Set(), words: "" };
  const count = facts.labels.length, radius = count > 1500 ? 2.6 : 3.6, HEIGHT = 560;
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "map of the images' features; the search and the buttons below pick out images");
  place.append(canvas);

  const lit = (i) => {
    const name = facts.classes[facts.labels[i]];
    const wanted = !state.chosen.size || state.chosen.has(facts.labels[i]);
    return wanted && (!state.words || name.toLowerCase().includes(state.words) || facts.files[i].toLowerCase().includes(state.words));
  };
  const visible = (i) => find("map-" + facts.splits[i]).checked;
  const ofEpoch = () => facts.places[state.kind][state.epoch];

  // The view: the same for all epochs of a projection, so that nothing jumps when the slider moves.
  const view = { x: [0, 1], y: [0, 1] };
  const fit = () => {
    for (const axis of [0, 1]) {
      let low = Infinity, high = -Infinity;
      for (const epoch of facts.places[state.kind]) for (const value of epoch[axis]) { low = Math.min(low, value); high = Math.max(high, value); }
      view["xy"[axis]] = [low - 0.04 * (high - low || 1), high + 0.04 * (high - low || 1)];
    }
  };
  let width = 0, at = ofEpoch().map((values) => Float64Array.from(values));
  const across = (value) => (value - view.x[0]) / (view.x[1] - view.x[0]) * width;
  const down = (value) => HEIGHT - (value - view.y[0]) / (view.y[1] - view.y[0]) * HEIGHT;

  const paint = () => {
    const scale = devicePixelRatio || 1, context = canvas.getContext("2d");
    width = place.clientWidth;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(HEIGHT * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(HEIGHT * scale);
    }
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, HEIGHT);
    for (const bright of [false, true]) {
      context.globalAlpha = bright ? 0.85 : 0.07;
      for (let i = 0; i < count; i++) {
        if (!visible(i) || lit(i) !== bright) continue;
        const x = across(at[0][i]), y = down(at[1][i]), r = radius;
        context.beginPath();
        if (facts.splits[i] === "train") {
          context.moveTo(x, y - r); context.lineTo(x + r, y); context.lineTo(x, y + r); context.lineTo(x - r, y); context.closePath();
          context.strokeStyle = facts.colors[facts.labels[i]];
          context.stroke();
        } else {
          context.arc(x, y, r, 0, 7);
          context.fillStyle = facts.colors[facts.labels[i]];
          context.fill();
          if (facts.outlined) { context.strokeStyle = "#8a8f98"; context.stroke(); }
        }
      }
    }
  };
  const say = () => {
    const variance = facts.variance[state.epoch];
    const shown = state.kind === "pca" ? "PCA: the two axes explain " + Math.round(100 * variance) + " % of the variance of this epoch"
      : "t-SNE: neighbors are similar; distances between clusters mean little";
    find("map-epoch").textContent = "epoch " + facts.epochs[state.epoch];
    find("map-says").textContent = shown + (facts.left_out ? "; a sample: " + facts.left_out + " images are not shown" : "")
      + ". Drag moves, the wheel zooms with Ctrl, a double click shows all.";
  };
  // The points move to the epoch's places.
  let moving = 0;
  const move = (duration) => {
    const from = at.map((values) => values.slice()), to = ofEpoch(), began = performance.now();
    cancelAnimationFrame(moving);
    say();
    const step = (now) => {
      const share = duration ? Math.min(Math.max((now - began) / duration, 0), 1) : 1, eased = share * share * (3 - 2 * share);
      for (const axis of [0, 1]) for (let i = 0; i < count; i++) at[axis][i] = share === 1 ? to[axis][i] : from[axis][i] + (to[axis][i] - from[axis][i]) * eased;
      paint();
      if (share < 1) moving = requestAnimationFrame(step);
    };
    if (duration) moving = requestAnimationFrame(step); else step(began);
  };

  const slider = find("map-slider");
  slider.max = facts.epochs.length - 1;
  slider.value = state.epoch;
  slider.addEventListener("input", () => { state.epoch = Number(slider.value); move(400); });
  for (const kind of kinds) {
    const button = find("map-" + kind);
    button.hidden = false;
    button.addEventListener("click", () => {
      state.kind = kind;
      for (const other of kinds) find("map-" + other).setAttribute("aria-pressed", String(other === kind));
      fit();
      move(0);
    });
    button.setAttribute("aria-pressed", String(kind === state.kind));
  }
  for (const split of splits) {
    const box = find("map-" + split);
    box.parentElement.hidden = false;
    box.addEventListener("change", paint);
  }
  find("map-search").addEventListener("input", (event) => { state.words = event.target.value.trim().toLowerCase(); paint(); });

  const legend = find("map-legend");
  const named = [...new Set(facts.labels)].sort((a, b) => a - b);
  for (const label of named.slice(0, 100)) {
    const chip = document.createElement("button");
    chip.className = "chip";
    chip.setAttribute("aria-pressed", "false");
    const dot = document.createElement("i");
    dot.style.background = facts.colors[label];
    chip.append(dot, facts.classes[label]);
    chip.addEventListener("click", () => {
      const on = !state.chosen.delete(label);
      if (on) state.chosen.add(label);
      chip.setAttribute("aria-pressed", String(on));
      paint();
    });
    legend.append(chip);
  }
  if (named.length > 100) legend.append("and " + (named.length - 100) + " more: use the search");

  fit();
  move(0);
  new ResizeObserver(paint).observe(place);

  // Drag, zoom, and the image under the pointer.
  const zoom = (axis, share, factor) => {
    const [low, high] = view[axis], pivot = low + (high - low) * share;
    view[axis] = [pivot - (pivot - low) * factor, pivot + (high - pivot) * factor];
  };
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;  // the page scrolls on
    event.preventDefault();
    const factor = Math.exp(Math.max(-80, Math.min(80, event.deltaY)) * 0.005);
    zoom("x", event.offsetX / width, factor);
    zoom("y", 1 - event.offsetY / HEIGHT, factor);
    paint();
  }, { passive: false });
  canvas.addEventListener("dblclick", () => { fit(); paint(); });
  let grip = null;
  canvas.addEventListener("pointerdown", (event) => { grip = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { grip = null; });
  canvas.addEventListener("pointercancel", () => { grip = null; });
  const card = find("map-card");
  const nearest = (x, y) => {
    let found = -1, least = 12 * 12;
    for (let i = 0; i < count; i++) {
      if (!visible(i) || !lit(i)) continue;
      const distance = (across(at[0][i]) - x) ** 2 + (down(at[1][i]) - y) ** 2;
      if (distance < least) { least = distance; found = i; }
    }
    return found;
  };
  canvas.addEventListener("pointermove", (event) => {
    if (grip) {
      const moved = [(event.clientX - grip[0]) / width * (view.x[1] - view.x[0]), (event.clientY - grip[1]) / HEIGHT * (view.y[1] - view.y[0])];
      view.x = view.x.map((end) => end - moved[0]);
      view.y = view.y.map((end) => end + moved[1]);
      grip = [event.clientX, event.clientY];
      paint();
      return;
    }
    const i = nearest(event.offsetX, event.offsetY);
    card.hidden = i < 0;
    if (i < 0) return;
    const picture = card.querySelector("i");
    picture.hidden = !facts.sheet;
    if (facts.sheet) {
      const zoomed = 3, side = facts.side * zoomed;
      Object.assign(picture.style, {
        width: side + "px", height: side + "px", backgroundImage: "url(" + facts.sheet + ")",
        backgroundSize: side * facts.across + "px auto",
        backgroundPosition: -side * (i % facts.across) + "px " + -side * Math.floor(i / facts.across) + "px",
      });
    }
    card.querySelector("b").textContent = facts.classes[facts.labels[i]];
    card.querySelector("small").textContent = facts.files[i] + (facts.splits[i] === "train" ? " (training)" : "");
    card.style.left = Math.min(event.offsetX + 14, width - card.offsetWidth - 4) + "px";
    card.style.top = Math.max(0, event.offsetY - card.offsetHeight - 8) + "px";
  });
  canvas.addEventListener("pointerleave", () => { card.hidden = true; });
  // For tests and scripts: where each image is, in data and in pixels, and whether it is picked out.
  place.images = () => facts.labels.map((_, i) => ({
    split: facts.splits[i], x: at[0][i], y: at[1][i], left: across(at[0][i]), top: down(at[1][i]), lit: lit(i), visible: visible(i),
  }));
})();
