// Pointer, touch and keys on a map: move, zoom, hover, pin and lasso.
const listenTo = (map, state, tell) => {
  const { canvas } = map;
  const zoom = (left, top, factor) => {
    const view = map.ends(), pivot = [view[0] + (view[1] - view[0]) * left / map.size(), view[2] + (view[3] - view[2]) * (1 - top / map.HEIGHT)];
    const span = (view[1] - view[0]) * factor;
    if (span > 4 || span < 0.002) return;
    map.look(view.map((end, i) => pivot[i >> 1] + (end - pivot[i >> 1]) * factor));
    tell.viewed();
  };
  const pan = (right, down) => {
    const view = map.ends(), moved = [right / map.size() * (view[1] - view[0]), -down / map.HEIGHT * (view[3] - view[2])];
    map.look(view.map((end, i) => end - moved[i >> 1]));
    tell.viewed();
  };
  const inside = (path) => {
    const chosen = new Set();
    for (let i = 0; i < map.x.length; i++) {
      if (!map.visible(i)) continue;
      let odd = false;
      for (let a = 0, b = path.length - 1; a < path.length; b = a++) {
        const [ax, ay] = path[a], [bx, by] = path[b];
        if ((ay > map.y[i]) !== (by > map.y[i]) && map.x[i] < (bx - ax) * (map.y[i] - ay) / (by - ay) + ax) odd = !odd;
      }
      if (odd) chosen.add(i);
    }
    return chosen;
  };

  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;  // the page scrolls on
    event.preventDefault();
    zoom(event.offsetX, event.offsetY, Math.exp(Math.max(-80, Math.min(80, event.deltaY)) * 0.005));
  }, { passive: false });
  canvas.addEventListener("dblclick", () => { map.look(null); tell.viewed(); });

  // One finger or the mouse moves (or draws the lasso), two fingers zoom.
  const fingers = new Map();
  let travelled = 0;
  const where = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, where(event));
    canvas.setPointerCapture(event.pointerId);
    travelled = 0;
    if (state.lassoing || event.shiftKey) map.path = [where(event)];
  });
  canvas.addEventListener("pointermove", (event) => {
    const to = where(event), from = fingers.get(event.pointerId);
    if (!from) { const i = map.nearest(...to); tell.hover(i, map.x[i], map.y[i]); return; }
    travelled += Math.hypot(to[0] - from[0], to[1] - from[1]);
    if (map.path) { map.path.push(to); fingers.set(event.pointerId, to); map.draw(); return; }
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const [was, is] = [from, to].map((each) => Math.hypot(each[0] - other[0], each[1] - other[1]));
      if (is > 5) zoom((to[0] + other[0]) / 2, (to[1] + other[1]) / 2, was / is);
    }
    if (travelled > 3) { pan((to[0] - from[0]) / fingers.size, (to[1] - from[1]) / fingers.size); tell.hover(-1); }
    fingers.set(event.pointerId, to);
  });
  const released = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    const path = map.path;
    map.path = null;
    if (path?.length > 2 && event.type === "pointerup") { const chosen = inside(path); tell.lasso(chosen.size ? chosen : null); return; }
    if (event.type !== "pointerup" || travelled > 6 || fingers.size) { map.draw(); return; }
    const i = map.nearest(...where(event));
    if (i >= 0) { tell.hover(i, map.x[i], map.y[i]); tell.pin(i); } else tell.hover(-1);
  };
  canvas.addEventListener("pointerup", released);
  canvas.addEventListener("pointercancel", released);
  canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") tell.hover(-1); });

  // Arrows go to the next image in their direction, with Shift they move the map.
  const toward = (right, down) => {
    const from = state.hovered >= 0 ? state.hovered : state.pinned;
    const start = from >= 0 ? [map.x[from], map.y[from]] : [map.size() / 2, map.HEIGHT / 2];
    let found = -1, least = Infinity;
    for (let i = 0; i < map.x.length; i++) {
      if (i === from || !map.visible(i) || !map.lit(i)) continue;
      const [dx, dy] = [map.x[i] - start[0], map.y[i] - start[1]], ahead = dx * right + dy * down, aside = Math.abs(dx * down) + Math.abs(dy * right);
      const cost = ahead + 2 * aside;
      if ((from < 0 || ahead > Math.max(0.01, aside / 2)) && cost < least) { least = cost; found = i; }
    }
    if (found >= 0) tell.hover(found, map.x[found], map.y[found]);
  };
  const KEYS = {
    ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1],
    "+": 0.8, "=": 0.8, "-": 1.25, 0: "all", Enter: "pin", Escape: "clear", " ": "play",
  };
  canvas.addEventListener("keydown", (event) => {
    const what = KEYS[event.key];
    if (what === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (typeof what === "number") zoom(map.size() / 2, map.HEIGHT / 2, what);
    else if (what === "all") { map.look(null); tell.viewed(); }
    else if (what === "pin") { if (state.hovered >= 0 && state.hovered === state.pinned) tell.read(); else if (state.hovered >= 0) tell.pin(state.hovered); }
    else if (what === "clear") tell.clear();
    else if (what === "play") tell.play();
    else if (event.shiftKey) pan(-60 * what[0], -60 * what[1]);
    else toward(...what);
  });
  canvas.addEventListener("blur", () => tell.hover(-1));
};
