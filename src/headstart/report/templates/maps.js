// t-SNE and PCA over the epochs: a point per image, a slider, a search, and the image under the pointer.
(() => {
  const place = document.getElementById("map");
  if (!place) return;
  const facts = JSON.parse(document.getElementById("map-json").textContent);
  const find = (id) => document.getElementById(id);
  const kinds = Object.keys(facts.places);
  const MARKS = { val: "circle", train: "diamond-open" };
  const splits = Object.keys(MARKS).filter((split) => facts.splits.includes(split));
  const members = splits.map((split) => facts.splits.flatMap((each, i) => (each === split ? [i] : [])));
  const state = { kind: kinds[0], epoch: facts.epochs.length - 1, chosen: new Set(), words: "" };

  const lit = (i) => {
    const name = facts.classes[facts.labels[i]];
    const wanted = !state.chosen.size || state.chosen.has(facts.labels[i]);
    return wanted && (!state.words || name.toLowerCase().includes(state.words) || facts.files[i].toLowerCase().includes(state.words));
  };
  const ofEpoch = () => facts.places[state.kind][state.epoch];
  const data = () => members.map((rows, s) => ({
    type: "scatter", mode: "markers", name: splits[s] === "val" ? "validation" : "training",
    x: rows.map((i) => ofEpoch()[0][i]), y: rows.map((i) => ofEpoch()[1][i]), customdata: rows,
    marker: {
      symbol: MARKS[splits[s]], size: facts.labels.length > 1500 ? 5 : 7,
      color: rows.map((i) => facts.colors[facts.labels[i]]), opacity: rows.map((i) => (lit(i) ? 0.85 : 0.06)),
      line: facts.outlined && splits[s] === "val" ? { width: 1, color: "#8a8f98" } : {},
    },
    hoverinfo: "none", visible: find("map-" + splits[s]).checked,
  }));
  const reach = () => {
    // The same axes for all epochs of a projection, so that nothing jumps when the slider moves.
    const all = facts.places[state.kind];
    return [0, 1].map((axis) => {
      let low = Infinity, high = -Infinity;
      for (const epoch of all) for (const value of epoch[axis]) { low = Math.min(low, value); high = Math.max(high, value); }
      return [low - 0.04 * (high - low || 1), high + 0.04 * (high - low || 1)];
    });
  };
  const layout = () => {
    const [x, y] = reach();
    const axis = { showgrid: false, zeroline: false, showticklabels: false, ticks: "" };
    return {
      height: 560, margin: { l: 8, r: 8, t: 8, b: 8 }, showlegend: false, hovermode: "closest", dragmode: "pan",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: { ...axis, range: x }, yaxis: { ...axis, range: y },
    };
  };
  const say = () => {
    const variance = facts.variance[state.epoch];
    const shown = state.kind === "pca" ? "PCA: the two axes explain " + Math.round(100 * variance) + " % of the variance of this epoch"
      : "t-SNE: neighbors are similar; distances between clusters mean little";
    find("map-epoch").textContent = "epoch " + facts.epochs[state.epoch];
    find("map-says").textContent = shown + (facts.left_out ? "; a sample: " + facts.left_out + " images are not shown" : "") + ".";
  };
  const restyle = () => {
    const traces = data();
    Plotly.restyle(place, { "marker.opacity": traces.map((t) => t.marker.opacity), visible: traces.map((t) => t.visible) });
  };
  const draw = () => { Plotly.react(place, data(), layout(), { displayModeBar: false, responsive: true, scrollZoom: true }); say(); };
  const move = () => {
    const traces = data().map(({ x, y }) => ({ x, y }));
    Plotly.animate(place, { data: traces }, { transition: { duration: 500, easing: "cubic-in-out" }, frame: { duration: 500, redraw: false } });
    say();
  };

  const slider = find("map-slider");
  slider.max = facts.epochs.length - 1;
  slider.value = state.epoch;
  slider.addEventListener("input", () => { state.epoch = Number(slider.value); move(); });
  for (const kind of kinds) {
    const button = find("map-" + kind);
    button.hidden = false;
    button.addEventListener("click", () => {
      state.kind = kind;
      for (const other of kinds) find("map-" + other).setAttribute("aria-pressed", String(other === kind));
      draw();
    });
    button.setAttribute("aria-pressed", String(kind === state.kind));
  }
  for (const split of splits) {
    const box = find("map-" + split);
    box.parentElement.hidden = false;
    box.addEventListener("change", restyle);
  }
  find("map-search").addEventListener("input", (event) => { state.words = event.target.value.trim().toLowerCase(); restyle(); });

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
      restyle();
    });
    legend.append(chip);
  }
  if (named.length > 100) legend.append("and " + (named.length - 100) + " more: use the search");

  draw();
  const card = find("map-card");
  place.on("plotly_hover", ({ points, event }) => {
    const i = points[0].customdata;
    const picture = card.querySelector("i");
    picture.hidden = !facts.sheet;
    if (facts.sheet) {
      const zoom = 3, side = facts.side * zoom;
      Object.assign(picture.style, {
        width: side + "px", height: side + "px", backgroundImage: "url(" + facts.sheet + ")",
        backgroundSize: side * facts.across + "px auto",
        backgroundPosition: -side * (i % facts.across) + "px " + -side * Math.floor(i / facts.across) + "px",
      });
    }
    card.querySelector("b").textContent = facts.classes[facts.labels[i]];
    card.querySelector("small").textContent = facts.files[i] + (facts.splits[i] === "train" ? " (training)" : "");
    card.hidden = false;
    const frame = place.parentElement.getBoundingClientRect();
    const left = event.clientX - frame.left + 14;
    card.style.left = Math.min(left, frame.width - card.offsetWidth - 4) + "px";
    card.style.top = Math.max(0, event.clientY - frame.top - card.offsetHeight - 8) + "px";
  });
  place.on("plotly_unhover", () => { card.hidden = true; });
})();
