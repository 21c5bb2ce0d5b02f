// The drawer: strips of images that a part of the page opens, one of them enlarged, their names and CSV. One for a page.
// A part calls `open` with
//   strips: [[title, [image, ...], of], ...]        image: a number that means an image to this part; of: as below
//   of(image): { file, split, truth, title, said, wrong, place, row }        place: on the map, -1 where it is on none
//   facts: sheet of thumbnails, `folder`, where the files themselves may be, and `run`, the way from the page to their run; tile(image): its place on the sheet
//   head: the heading of its CSV; note: what it does not list; from: what has the focus when it is closed
//   kept(enlarged): the address keeps what is opened; closed(): it is closed, or another part has opened its own
window.headstart.drawer = (() => {
  const { copy, csvLine } = window.headstart, MORE = 60;
  const at = (name) => document.getElementById("drawer" + (name && "-" + name)), box = at(""), large = at("large");
  if (!box) return null;
  const number = (value) => value.toLocaleString("en");
  let opened = null, rows = [], enlarged = -1;

  const entry = (i, of) => {
    const [made, image, truth, said, file] = ["button", "i", "b", "span", "small"].map((tag) => document.createElement(tag));
    const known = of(i);
    made.type = "button";
    made.title = known.file;
    picture(image, opened.facts, opened.tile(i), 106);
    truth.textContent = known.truth;
    write(said, known.said);
    said.className = known.wrong ? "wrong" : "";
    file.textContent = known.file.split("/").pop() + (known.split === "train" ? " (training)" : "");
    made.append(image, truth, said, file);
    made.addEventListener("click", () => enlarge(i));
    return made;
  };
  const strip = ([title, list, of = opened.of]) => {
    const head = document.createElement("h3"), line = document.createElement("div"), more = document.createElement("button");
    let shown = 0;
    const grow = () => {
      const added = list.slice(shown, shown + MORE).map((i) => entry(i, of)), first = shown === 0;
      more.before(...added);
      shown += added.length;
      more.hidden = shown === list.length;
      more.textContent = number(list.length - shown) + " more";
      if (!first) added[0].focus();
    };
    write(head, title);
    line.className = "thumbnails";
    more.type = "button";
    more.className = "more";
    more.addEventListener("click", grow);
    line.append(more);
    grow();
    return list.length ? [head, line] : [head];
  };

  const open = (what) => {
    const other = opened && opened.closed !== what.closed ? opened : null, top = other || !opened ? 0 : box.scrollTop;
    opened = what;
    if (other) { enlarged = -1; other.closed(); }
    rows = [...new Set(what.strips.flatMap(([, list]) => list))];
    at("listed").textContent = what.note ?? "";
    at("found").replaceChildren(...what.strips.flatMap(strip));
    box.hidden = false;
    box.scrollTop = top;
    if (enlarged >= 0 && rows.includes(enlarged)) enlarge(enlarged);
    else if (large.open) large.close();
    what.kept(enlarged);
  };
  // What the drawer would lie over, at a height on the screen, is scrolled up.
  const reveal = (y) => window.scrollBy({ top: Math.max(0, y + 24 - box.getBoundingClientRect().top), behavior: "instant" });
  const close = () => {
    if (!opened) return;
    const what = opened;
    opened = null;
    enlarged = -1;
    box.hidden = true;
    if (large.open) large.close();
    what.closed();
    what.from?.focus({ preventScroll: true });
  };

  // One image, larger: its file, where this machine has it and a browser can show it, else its thumbnail. A page that is
  // a file reads it from the folder of the images; one that is watched asks the port that has those of its run.
  const address = ({ folder, run = "" }, file) => {
    if (!folder) return "";
    const port = document.querySelector("meta[name=headstart-images]")?.content;
    if (!port) return location.protocol === "file:" ? folder + file.split("/").map(encodeURIComponent).join("/") : "";
    const found = new URL(run + "image", location.href);
    found.port = port;
    found.search = new URLSearchParams({ file });
    return found.href;
  };
  let wanted = null;
  const show = (i, file) => {
    const image = large.querySelector("i"), side = Math.max(96, Math.min(408, innerWidth - 72, innerHeight - 250));
    image.removeAttribute("style");
    picture(image, opened.facts, opened.tile(i), side);
    wanted?.removeAttribute("src");
    wanted = null;
    const own = [...document.querySelectorAll(".pictures img:not(.heat)")].find((each) => each.alt === file);
    const fill = (url) => {
      Object.assign(image.style, { width: side + "px", height: side + "px", background: "url(\"" + url + "\") center / contain no-repeat" });
      image.hidden = false;
    };
    if (own) fill(own.src);
    const known = (words) => { at("source").textContent = words; };
    known(image.hidden ? "no picture" : "a thumbnail of " + (own ? Math.max(own.naturalWidth, own.naturalHeight) : opened.facts.side) + " pixels, enlarged");
    const from = address(opened.facts, file);
    if (!from) return;
    const whole = wanted = new Image();
    whole.addEventListener("load", () => {
      if (wanted !== whole || !whole.naturalWidth) return;
      fill(whole.src);
      known("the file, " + number(whole.naturalWidth) + " x " + number(whole.naturalHeight) + " pixels");
    });
    whole.src = from;
  };
  const enlarge = (i) => {
    const known = opened.of(i);
    show(i, known.file);
    write(at("truth"), known.title);
    write(at("said"), known.said);
    at("said").className = known.wrong ? "wrong" : "";
    at("file").textContent = known.file + (known.split === "train" ? " (training)" : "");
    at("place").textContent = number(rows.indexOf(i) + 1) + " of " + number(rows.length);
    at("neighbors").hidden = !(known.place >= 0);
    enlarged = i;
    if (!large.open) large.showModal();
    opened.kept(enlarged);
  };
  const step = (by) => { const next = rows[rows.indexOf(enlarged) + by]; if (next !== undefined) enlarge(next); };
  at("before").addEventListener("click", () => step(-1));
  at("after").addEventListener("click", () => step(1));
  at("shut").addEventListener("click", () => large.close());
  at("neighbors").addEventListener("click", () => {
    const { place } = opened.of(enlarged);
    enlarged = -1;  // now: the dialog tells later that it is closed
    opened.kept(-1);
    large.close();
    window.headstart.pin(place);
  });
  large.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) { event.preventDefault(); step(by); }
  });
  large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
  large.addEventListener("close", () => { if (!large.open) { enlarged = -1; opened?.kept(-1); } });

  at("names").addEventListener("click", () => copy(rows.map((i) => opened.of(i).file).join("\n") + "\n", at("names")));
  at("csv").addEventListener("click", () => copy([opened.head, ...rows.map((i) => opened.of(i).row)].map(csvLine).join(""), at("csv")));
  at("close").addEventListener("click", close);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !large.open) close(); });
  return { open, close, reveal, enlarge, focus: () => box.focus({ preventScroll: true }), opened: (closed) => opened?.closed === closed, rows: () => rows };
})();
