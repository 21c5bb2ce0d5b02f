// A page that is followed: when its file changes, its content is replaced by the new one, and what the reader had set
// (sliders, filters, pressed buttons, open parts, sorted columns, places scrolled to) is set again.
(() => {
  // Listeners that the page's own scripts add to what stays: they are removed before these scripts run again.
  let added = [];
  let timers = [];
  const listen = window.addEventListener.bind(window);
  for (const target of [document, window]) {
    const add = target.addEventListener.bind(target);
    target.addEventListener = (...given) => { added.push([target, given]); add(...given); };
  }
  const repeat = window.setInterval.bind(window);
  window.setInterval = (...given) => { const number = repeat(...given); timers.push(number); return number; };
  const forget = () => {
    for (const [target, [kind, listener, options]] of added) target.removeEventListener(kind, listener, options);
    timers.forEach((number) => clearInterval(number));
    [added, timers] = [[], []];
  };

  // What the reader can set, each with a name that the same thing has on the next page.
  const KINDS = "input, select, textarea, button[aria-pressed], details, th, .scroll, .figure, #map-legend";
  const nameOf = (element) => {
    if (element.id) return "#" + element.id;
    const part = element.closest("section, article") ?? document.body;
    const of = part.id || part.querySelector("h2, h3, b")?.textContent || "";
    const words = element.dataset.line ?? (/^(BUTTON|TH)$/.test(element.tagName) ? element.textContent : element.className);
    return [of, element.tagName, words.replace(/smaller|larger/, "")].join("|");
  };
  const controls = () => {
    const named = new Map(), times = new Map();
    for (const element of document.querySelectorAll("main :is(" + KINDS + ")")) {
      const name = nameOf(element), time = (times.get(name) ?? 0) + 1;
      times.set(name, time);
      named.set(name + "|" + time, element);
    }
    return named;
  };
  const anchor = () => [...document.querySelectorAll("main section, main article")].find((each) => each.getBoundingClientRect().bottom > 0);
  const keep = () => {
    const kept = { set: new Map(), focus: "", top: scrollY, anchor: "", from: 0 };
    for (const [name, each] of controls()) {
      const of = { left: each.scrollLeft, top: each.scrollTop, sorted: each.getAttribute("aria-sort"), open: each.open, pressed: each.getAttribute("aria-pressed") };
      if (each.tagName === "INPUT" && each.type === "checkbox") of.checked = each.checked;
      else if ("value" in each && each.tagName !== "BUTTON") of.value = each.value;
      if (each.type === "range") of.last = each.value === each.max;  // it follows the latest
      kept.set.set(name, of);
      if (each === document.activeElement) kept.focus = name;
    }
    const section = anchor();
    if (section && scrollY) [kept.anchor, kept.from] = [nameOf(section), section.getBoundingClientRect().top];
    return kept;
  };
  const set = (kept) => {
    const named = controls();
    for (const [name, of] of kept.set) {
      const each = named.get(name);
      if (!each) continue;
      if ("checked" in of && each.checked !== of.checked) { each.checked = of.checked; each.dispatchEvent(new Event("change", { bubbles: true })); }
      if ("value" in of && each.value !== of.value && !(of.last && each.value === each.max)) {
        each.value = of.value;
        for (const kind of ["input", "change"]) each.dispatchEvent(new Event(kind, { bubbles: true }));
      }
      if (of.pressed !== null && each.getAttribute("aria-pressed") !== null && each.getAttribute("aria-pressed") !== of.pressed && (of.pressed === "true" || !each.id)) each.click();
      if (each.tagName === "DETAILS") each.open = of.open;
      for (let turn = 0; turn < 2 && of.sorted && each.getAttribute("aria-sort") !== of.sorted; turn++) each.click();
      if (of.left || of.top) [each.scrollLeft, each.scrollTop] = [of.left, of.top];
    }
    if (kept.focus) named.get(kept.focus)?.focus({ preventScroll: true });
    const section = kept.anchor && [...document.querySelectorAll("main section, main article")].find((each) => nameOf(each) === kept.anchor);
    scrollTo({ top: section ? scrollY + section.getBoundingClientRect().top - kept.from : kept.top, behavior: "instant" });
  };

  // Replace what the file says, and run the page's own scripts again, each in a scope of its own.
  const replace = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html");
    const main = next.querySelector("main");
    if (!main) return version;
    const kept = keep();
    forget();
    document.getElementById("tip")?.remove();
    for (const script of document.body.querySelectorAll("script")) script.remove();
    document.querySelector("main").replaceWith(document.adoptNode(main));
    document.title = next.title;
    for (const script of next.body.querySelectorAll("script")) {
      const again = document.createElement("script");
      for (const { name, value } of script.attributes) again.setAttribute(name, value);
      again.textContent = again.type && again.type !== "text/javascript" ? script.textContent : "(() => {\n" + script.textContent + "\n})();";
      document.body.append(again);
    }
    set(kept);
    return versionOf(next);
  };

  const bar = () => {
    const found = document.getElementById("watch");
    if (found) return found;
    const made = document.createElement("div");
    made.id = "watch";
    made.setAttribute("role", "region");
    made.setAttribute("aria-label", "state of the training");
    const [said, command, button, time] = ["span", "code", "button", "time"].map((tag) => document.createElement(tag));
    said.setAttribute("role", "status");
    button.type = "button";
    button.textContent = "copy";
    // Not through `addEventListener` of the document: it stays when the page is replaced.
    button.onclick = async () => {
      try { await navigator.clipboard.writeText(command.textContent); button.textContent = "copied"; } catch { button.textContent = "copying failed"; }
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    };
    made.append(said, command, button, time);
    if (location.pathname !== "/") made.prepend(Object.assign(document.createElement("a"), { href: "/", textContent: "all runs" }));
    document.body.append(made);
    return made;
  };
  const say = (kind, said, command, time) => {
    const place = bar(), [status, code, button, as] = ["span", "code", "button", "time"].map((tag) => place.querySelector(tag));
    place.dataset.kind = kind;
    if (status.textContent !== said) status.textContent = said;  // else a screen reader would say it again
    code.textContent = command;
    code.hidden = button.hidden = !command;
    as.textContent = time;
  };

  const versionOf = (page) => page.querySelector("meta[name=headstart-version]")?.content ?? "";
  let version = versionOf(document), last = "", busy = Promise.resolve();
  const load = async (wanted) => {
    if (version === wanted) return;
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (answer.ok) version = replace(await answer.text());
  };
  const start = () => {
    const events = new EventSource("/events?of=" + encodeURIComponent(location.pathname));
    events.onmessage = (event) => {
      const facts = JSON.parse(event.data);
      last = facts.now;
      say(facts.kind, facts.said || "followed", facts.command, "as of " + facts.now);
      if (facts.version) busy = busy.then(() => load(facts.version)).catch(() => {});
    };
    events.onerror = () => say("lost", "no connection to headstart watch", "", last && "as of " + last);
    listen("pagehide", () => events.close());
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start, { once: true }); else start();
})();
