// The embedding explorer: one map, or several maps of the same images. What is chosen, said and kept in the address.
(() => {
  const json = document.getElementById("map-json");
  if (!json) return;
  const facts = readFacts(JSON.parse(json.textContent));
  const find = (id) => document.getElementById("map-" + id);
  const several = facts.maps.length > 1;
  const kinds = Object.keys(facts.maps[0].places).filter((kind) => facts.maps.every((each) => kind in each.places));
  const splits = ["val", "train"].filter((split) => facts.splits.includes(split));
  const modes = ["class", ...(facts.maps[0].predicted.length ? ["correctness"] : []), ...Object.keys(facts.maps[0].shades), ...(splits.length > 1 ? ["split"] : [])];
  const fresh = () => ({
    kind: kinds[0], color: "class", classes: new Set(), outcomes: new Set(), words: "", names: true,
    splits: new Set(splits.slice(0, 1)), lasso: null, hovered: -1, pinned: -1, enlarged: -1, lassoing: false,
  });
  const state = fresh();
  const kept = window.headstart.hashPart("map");
  const maps = facts.maps.map((data, number) => makeMap(several ? "map-" + number : "map", facts, data, state));
  const count = facts.labels.length;

  // What is said: how many images are picked out, and what a projection shows.
  const lit = () => {
    let shown = 0, all = 0;
    for (let i = 0; i < count; i++) if (maps[0].visible(i)) { all++; if (maps[0].lit(i)) shown++; }
    return [shown, all];
  };
  const say = () => {
    const [shown, all] = lit(), number = (value) => value.toLocaleString("en");
    find("hits").textContent = shown === all ? number(all) + " images" : number(shown) + " of " + number(all) + " images";
    for (const map of maps) map.say();
  };
  const refresh = () => { for (const map of maps) map.changed(); say(); showImages(); keep(); };

  // The address keeps the view, the filters and the epoch; what is as it is at first is left out.
  let saving = 0;
  const save = () => {
    const first = fresh(), values = {};
    if (state.kind !== first.kind) values.kind = state.kind;
    if (state.color !== first.color) values.color = state.color;
    if (state.classes.size) values.classes = [...state.classes].join(",");
    if (state.outcomes.size) values.outcomes = [...state.outcomes].join(",");
    if (state.words) values.search = state.words;
    if (!state.names) values.names = "0";
    if (String([...state.splits]) !== String([...first.splits])) values.splits = [...state.splits].join(",");
    if (state.pinned >= 0) values.pin = state.pinned;
    if (state.lasso) values.lasso = bitsOf(state.lasso, count);
    if (state.enlarged >= 0) values.image = state.enlarged;
    maps.forEach((map, i) => {
      if (map.epoch() < map.data.epochs.length - 1) values["epoch" + (i || "")] = map.data.epochs[map.epoch()];
      const view = map.view();
      if (view) values["view" + (i || "")] = view.map((value) => value.toFixed(3)).join(",");
    });
    kept.write(values);
  };
  const keep = () => { clearTimeout(saving); saving = setTimeout(save, 150); };
  const restore = () => {
    const values = kept.read(), numbers = (text) => (text ? text.split(",").map(Number).filter(Number.isFinite) : []);
    Object.assign(state, fresh());
    if (kinds.includes(values.kind)) state.kind = values.kind;
    if (modes.includes(values.color)) state.color = values.color;
    state.classes = new Set(numbers(values.classes).filter((label) => facts.classes[label] !== undefined));
    state.outcomes = new Set(numbers(values.outcomes).filter((each) => each === 0 || each === 1));
    state.words = (values.search ?? "").toLowerCase();
    state.names = values.names !== "0";
    if (values.splits !== undefined) state.splits = new Set(values.splits.split(",").filter((split) => splits.includes(split)));
    if (values.pin in facts.labels) state.pinned = Number(values.pin);
    state.lasso = ofBits(values.lasso ?? "", count);
    if (values.image in facts.labels) state.enlarged = Number(values.image);
    maps.forEach((map, i) => {
      const epoch = map.data.epochs.indexOf(Number(values["epoch" + (i || "")]));
      map.go(epoch < 0 ? map.data.epochs.length - 1 : epoch, true);
      const view = numbers(values["view" + (i || "")]);
      map.look(view.length === 4 && view[0] < view[1] && view[2] < view[3] ? view : null);
    });
    return Object.keys(values).length > 0;
  };

  // The controls show the state, and change it.
  const showControls = () => {
    for (const kind of kinds) find(kind).setAttribute("aria-pressed", String(kind === state.kind));
    for (const split of splits) find(split).checked = state.splits.has(split);
    find("color").value = state.color;
    if (find("search").value.trim().toLowerCase() !== state.words) find("search").value = state.words;
    find("names").checked = state.names;
    find("lasso").setAttribute("aria-pressed", String(state.lassoing));
    find("clear").hidden = !state.lasso && state.pinned < 0;
    for (const chip of find("legend").children) if (chip.map_label !== undefined) chip.setAttribute("aria-pressed", String(state.classes.has(chip.map_label)));
    for (const chip of find("outcomes").children) chip.setAttribute("aria-pressed", String(state.outcomes.has(chip.map_outcome)));
    find("legend").classList.toggle("colorless", state.color !== "class");
    find("outcomes").classList.toggle("colorless", state.color !== "correctness");
    const ramp = facts.maps[0].shades[state.color];
    find("ramp").hidden = !ramp;
    if (ramp) {
      find("ramp").style.setProperty("--ramp", "linear-gradient(90deg, " + rampOf(state.color).join(", ") + ")");
      const form = (value) => state.color === "loss" ? value.toFixed(2) : Math.round(100 * value) + " %";
      const high = Math.max(...facts.maps.map((each) => each.shades[state.color]?.high ?? 0));
      find("low").textContent = state.color + " " + form(ramp.low);
      find("high").textContent = form(high);
    }
    for (const map of maps) map.canvas.classList.toggle("lassoing", state.lassoing);
  };
  const set = (changes) => { Object.assign(state, changes); showControls(); refresh(); };
  const toggle = (chosen, value) => { if (!chosen.delete(value)) chosen.add(value); showControls(); refresh(); };

  for (const kind of kinds) {
    find(kind).hidden = false;
    find(kind).addEventListener("click", () => { state.kind = kind; for (const map of maps) map.look(null); set({}); });
  }
  for (const split of splits) {
    find(split).parentElement.hidden = false;
    find(split).addEventListener("change", () => { state.splits[find(split).checked ? "add" : "delete"](split); refresh(); });
  }
  find("color").replaceChildren(...modes.map((mode) => new Option(mode, mode)));
  find("color").addEventListener("change", () => set({ color: find("color").value }));
  find("search").addEventListener("input", () => set({ words: find("search").value.trim().toLowerCase() }));
  find("names").addEventListener("change", () => set({ names: find("names").checked }));
  find("lasso").addEventListener("click", () => set({ lassoing: !state.lassoing }));
  find("clear").addEventListener("click", () => set({ lasso: null, pinned: -1 }));
  find("all").addEventListener("click", () => { for (const map of maps) map.look(null); set({}); });

  const chip = (name, color, press) => {
    const made = document.createElement("button"), dot = document.createElement("i");
    made.type = "button";
    made.className = "chip";
    made.setAttribute("aria-pressed", "false");
    dot.style.background = color;
    made.append(dot, name);
    made.addEventListener("click", press);
    return made;
  };
  const named = [...new Set(facts.labels)].sort((a, b) => a - b);
  for (const label of named.slice(0, 100)) {
    const made = chip(facts.classes[label], facts.colors[label], () => toggle(state.classes, label));
    made.map_label = label;
    find("legend").append(made);
  }
  if (named.length > 100) find("legend").append("and " + (named.length - 100) + " more: use the search");
  if (modes.includes("correctness")) {
    ["correct", "wrong"].forEach((name, outcome) => {
      const made = chip(name, OUTCOMES[outcome], () => toggle(state.outcomes, outcome));
      made.map_outcome = outcome;
      find("outcomes").append(made);
    });
  }

  // Sliders and play: an epoch takes a second or so, and the points move from one to the next.
  for (const map of maps) {
    map.slider.addEventListener("input", () => { stop(); map.go(Number(map.slider.value)); refreshEpoch(); });
    map.slider.addEventListener("change", () => { map.go(Math.round(map.slider.value)); refreshEpoch(); });
    map.slider.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, PageUp: 1, ArrowLeft: -1, ArrowDown: -1, PageDown: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      stop();
      map.go(Math.max(0, Math.min(map.data.epochs.length - 1, map.epoch() + step)));
      refreshEpoch();
    });
    map.onEpoch = () => refreshEpoch();
  }
  const refreshEpoch = () => { say(); showImages(); keep(); };
  let playing = 0;
  const last = () => Math.max(...maps.map((map) => map.data.epochs.length - 1));
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const stop = () => {
    if (!playing) return;
    cancelAnimationFrame(playing);
    playing = 0;
    find("play").textContent = "play";
    for (const map of maps) map.go(map.epoch());
    keep();
  };
  const play = () => {
    if (playing) { stop(); return; }
    const length = Math.min(1200 * last(), 20000), at = Math.max(...maps.map((map) => map.epoch() / Math.max(1, map.data.epochs.length - 1)));
    const began = performance.now() - (at < 1 ? at : 0) * length;
    find("play").textContent = "pause";
    const step = (now) => {
      const share = Math.max(0, Math.min((now - began) / length, 1));  // a frame may be of before the click
      for (const map of maps) {
        const place = share * (map.data.epochs.length - 1);
        map.go(still.matches ? Math.floor(place) : place, true);
      }
      if (share < 1) playing = requestAnimationFrame(step); else stop();
    };
    playing = requestAnimationFrame(step);
  };
  find("play").hidden = !last();
  find("play").addEventListener("click", play);

  // The image under the pointer; and in the drawer a pinned image with its neighbors in feature space, or those in the lasso.
  const card = find("card");
  const hover = (i, map, left, top) => {
    if (i !== state.hovered) {
      state.hovered = i;
      for (const each of maps) each.draw();
    }
    card.hidden = i < 0;
    if (i < 0) return;
    map.place.append(card);
    picture(card.querySelector("i"), facts, i, 128);
    card.querySelector("b").textContent = facts.classes[facts.labels[i]];
    write(card.querySelector("span"), map.predictionOf(i));
    card.querySelector("small").textContent = facts.files[i] + (facts.splits[i] === "train" ? " (training)" : "");
    card.style.left = Math.max(0, Math.min(left + 14, map.place.clientWidth - card.offsetWidth - 4)) + "px";
    card.style.top = Math.max(0, top - card.offsetHeight - 8) + "px";
  };
  const showImages = imagesOfMaps(facts, maps, state, { kept: keep, clear: () => set({ lasso: null, pinned: -1, enlarged: -1 }) });
  window.headstart.pin = (i) => { set({ pinned: i }); json.closest("section").scrollIntoView(); };
  const reveal = (map) => {
    const chosen = state.pinned >= 0 ? [state.pinned] : [...state.lasso ?? []];
    if (chosen.length) window.headstart.drawer.reveal(map.canvas.getBoundingClientRect().top + Math.max(...chosen.map((i) => map.y[i])));
  };
  for (const map of maps) {
    listenTo(map, state, {
      hover: (i, left, top) => hover(i, map, left, top),
      pin: (i) => { set({ pinned: i === state.pinned ? -1 : i }); reveal(map); },
      lasso: (chosen) => { set({ lasso: chosen, lassoing: false }); reveal(map); },
      read: () => window.headstart.drawer.focus(),
      clear: () => { hover(-1, map); set({ lasso: null, pinned: -1, lassoing: false }); },
      viewed: keep,
      play,
    });
  }

  const kept_before = restore();
  showControls();
  refresh();
  if (kept_before) json.closest("section").scrollIntoView();
  window.addEventListener("hashchange", () => { restore(); showControls(); refresh(); });
  const recolor = () => { for (const map of maps) map.recolor(); };
  window.addEventListener("recolor", recolor);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
})();
