// The images of the maps that the page's drawer shows: a pinned one with its neighbors in feature space, those in a lasso.
const imagesOfMaps = (facts, maps, state, { kept, clear }) => {
  const several = maps.length > 1, { drawer } = window.headstart, predict = maps.filter((map) => map.data.predicted.length);
  const number = (value) => value.toLocaleString("en"), by = (map) => several ? " by " + map.data.name : "";
  const ofMap = (map) => (i) => {
    const truth = facts.classes[facts.labels[i]], unlabeled = facts.labels[i] === facts.unlabeled;
    return {
      file: facts.files[i], split: facts.splits[i], place: i, truth, wrong: map.outcome(i) === 1, said: map.predictionOf(i),
      title: unlabeled ? truth : (facts.outlined ? "mostly " : "true: ") + named(truth),
      row: [facts.files[i], facts.splits[i], unlabeled ? "" : truth,
        ...predict.flatMap((each) => [facts.classes[each.at(each.data.predicted)[i]], each.confidenceOf(i).toFixed(4)])],
    };
  };
  const head = ["filename", "split", "label", ...predict.flatMap((map) => ["predicted" + by(map), "confidence" + by(map)])];
  let shown = "";
  return () => {
    const key = [state.pinned, state.lasso ? [...state.lasso].join() : "", ...maps.map((map) => map.epoch())].join("|");
    if (key === shown) return;
    shown = key;
    document.getElementById("map-clear").hidden = !state.lasso && state.pinned < 0;
    const strips = [], image = state.enlarged;
    if (state.pinned >= 0) {
      strips.push(["Pinned", [state.pinned]]);
      for (const map of maps) {
        const near = map.near(state.pinned), same = near.filter((i) => facts.labels[i] === facts.labels[state.pinned]).length;
        if (near.length) strips.push(["Nearest in feature space" + by(map) + ", epoch " + map.data.epochs[map.epoch()] + ": " + same + " of " + near.length + " of the same class", near, ofMap(map)]);
      }
    }
    if (state.lasso) {
      const chosen = [...state.lasso], wrong = chosen.filter((i) => maps[0].outcome(i) === 1).length;
      const errors = predict.includes(maps[0]) ? ", " + number(wrong) + " wrong" + by(maps[0]) + ", epoch " + maps[0].data.epochs[maps[0].epoch()] : "";
      strips.push([number(chosen.length) + (chosen.length === 1 ? " image" : " images") + " in the lasso" + errors, chosen]);
    }
    if (!strips.length) { if (drawer.opened(clear)) drawer.close(); return; }
    drawer.open({
      strips, of: ofMap(maps[0]), facts, tile: (i) => i, head, from: maps[0].canvas, closed: clear,
      kept: (enlarged) => { state.enlarged = enlarged; kept(); },
    });
    if (drawer.rows().includes(image)) drawer.enlarge(image);
  };
};

// A set of images in the address: a bit each, in base64 for addresses.
const bitsOf = (chosen, count) => {
  const bytes = new Uint8Array(Math.ceil(count / 8));
  for (const i of chosen) bytes[i >> 3] |= 1 << (i & 7);
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};
const ofBits = (text, count) => {
  if (!/^[\w-]+$/.test(text) || text.length % 4 === 1) return null;
  const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/")), chosen = new Set();
  for (let i = 0; i < count; i++) if (bytes.charCodeAt(i >> 3) >> (i & 7) & 1) chosen.add(i);
  return chosen.size ? chosen : null;
};
