// The images of a classifier: a cell of the confusion matrix, a class or a bin of the reliability diagram opens them.
(() => {
  const json = document.getElementById("images-json"), { hashPart, reachByKeys, drawer } = window.headstart;
  if (!json) return;
  const data = JSON.parse(json.textContent), kept = hashPart("images"), count = data.files.length;
  if (data.of_map) {
    const { sheet, side, folder } = JSON.parse(document.getElementById("map-json").textContent);
    Object.assign(data, { sheet, side, folder });
  }
  const number = (value) => value.toLocaleString("en"), images = (value) => number(value) + (value === 1 ? " image" : " images");
  const wrong = (i) => data.labels[i] !== data.predicted[i], name = (label) => data.classes[label];
  const those = (some) => [...data.files.keys()].filter(some);

  // What a part of the page opens: strips of images with a title each, errors first.
  const STRIPS = {
    cell: (truth, predicted) => {
      const found = those((i) => data.labels[i] === truth && data.predicted[i] === predicted);
      return [[images(found.length) + " of " + named(name(truth)) + " predicted as " + named(name(predicted)), found]];
    },
    class: (label) => {
      const own = those((i) => data.labels[i] === label), taken = those((i) => data.predicted[i] === label && wrong(i));
      return [[images(own.length) + " of " + named(name(label)) + ", " + number(own.filter(wrong).length) + " predicted as another class", own],
        [images(taken.length) + " of other classes predicted as " + named(name(label)), taken]];
    },
    bin: (bin) => {
      const found = those((i) => data.bins[i] === bin);
      return [[images(found.length) + " predicted with a confidence of " + Math.round(bin / 0.15) + " to " + Math.round((bin + 1) / 0.15) + " %, " + number(found.filter(wrong).length) + " of them wrong", found]];
    },
  };
  const of = (i) => ({
    file: data.files[i], truth: name(data.labels[i]), title: "true: " + named(name(data.labels[i])), wrong: wrong(i), place: data.of_map ? data.tiles[i] : -1,
    said: "predicted " + named(name(data.predicted[i])) + " " + (100 * data.confidence[i]).toFixed(1) + "\u00a0%",
    row: [data.files[i], name(data.labels[i]), name(data.predicted[i]), data.confidence[i]],
  });
  const closed = () => kept.write({});
  const show = (kind, at, from) => drawer.open({
    strips: STRIPS[kind](...at), of, facts: data, tile: (i) => data.tiles[i], from, closed,
    head: ["filename", "label", "predicted", "confidence"],
    note: count < data.listed_of ? "This page lists " + number(count) + " of " + images(data.listed_of) + ", errors first; predictions.csv in the run folder has all." : "",
    kept: (image) => kept.write({ [kind]: at.join("-"), ...(image >= 0 ? { image } : {}) }),
  });

  // What opens it, by pointer and keys.
  for (const kind of ["cell", "class", "bin"]) {
    for (const each of document.querySelectorAll("[data-" + kind + "]")) {
      each.addEventListener("click", () => {
        show(kind, each.dataset[kind].split("-").map(Number), each);
        drawer.focus();
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
    if (!known) { if (drawer.opened(closed)) drawer.close(); return; }
    show(kind, at);
    if (drawer.rows().includes(Number(values.image))) drawer.enlarge(Number(values.image));
  };
  restore();
  window.addEventListener("hashchange", restore);
})();
