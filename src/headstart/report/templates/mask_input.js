// Pointers on a picture of masks: drag moves it or the line between truth and prediction, two fingers and Ctrl with the
// wheel zoom, a double click enlarges or shows the whole. Places are of the canvas, 0 to 1.
const maskInput = (canvas, on) => {
  const pointers = new Map();
  let line = false;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  canvas.addEventListener("pointerdown", (event) => {
    const [x, y] = at(event);
    pointers.set(event.pointerId, [x, y]);
    canvas.setPointerCapture(event.pointerId);
    line = pointers.size === 1 && on.onLine(x, canvas.clientWidth);
    if (line) on.slide(x);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event), before = pointers.get(event.pointerId);
    if (!before) return on.hover(x, y);
    const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, where]) => where);
    pointers.set(event.pointerId, [x, y]);
    if (others.length) {
      const [[u, v]] = others, apart = (one) => Math.hypot(one[0] - u, one[1] - v) || 1e-3;
      on.zoom(apart([x, y]) / apart(before), (x + u) / 2, (y + v) / 2);
      on.move((before[0] - x) / 2, (before[1] - y) / 2);
    } else if (line) on.slide(x);
    else on.move(before[0] - x, before[1] - y);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => { pointers.delete(event.pointerId); on.keep(); });
  canvas.addEventListener("pointerleave", on.leave);
  canvas.addEventListener("dblclick", (event) => on.zoom(on.enlarged() ? 0 : 2.5, ...at(event)));
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    on.zoom(Math.exp(-event.deltaY / 200), ...at(event));
  }, { passive: false });
};

// Play: from epoch to epoch, from the first again after the last; whoever moves the slider stops it.
const maskPlay = (button, slider) => {
  let timer = 0;
  const stop = () => { clearInterval(timer); timer = 0; button.textContent = "play"; };
  const go = (to) => { slider.value = to; slider.dispatchEvent(new Event("input")); };
  const step = () => { if (Number(slider.value) < Number(slider.max)) go(Number(slider.value) + 1); else stop(); };
  button.addEventListener("click", () => {
    if (timer) { stop(); return; }
    if (slider.value === slider.max) go(0);
    button.textContent = "pause";
    timer = setInterval(step, 700);
  });
  for (const kind of ["pointerdown", "keydown"]) slider.addEventListener(kind, stop);
};
