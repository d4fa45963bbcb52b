"use strict";
// Brings the page to life: its state, what changes it, and what is drawn and said of it.

const FIRST_SHOWN = 40; // sessions
const GLIDE = 220; // milliseconds
const MOST_PRINTED = 5000; // rows of their table

const trace = decode(JSON.parse(document.getElementById("data").textContent));
const $ = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const state = { matching: trace.sessions, chosen: null, item: null, cursor: null, pinned: null, bins: null };
let colours = palette();
let waiting = false;

const view = new TimeWindow(trace.duration, changed);
const pools = new Rows($("pools"), { height: 60, label: (pool) => poolLabel(pool), paint: paintPool });
const lanes = new Rows($("lanes"), {
  height: 34,
  label: (session) => sessionLabel(session, trace.severalProcesses, (s) => choose(s)),
  paint: paintSession,
});
const table = new SessionTable($("sessions-table"), $("more"), (session) => show(session, null));

function changed() {
  if (!waiting) requestAnimationFrame(draw);
  waiting = true;
}

function draw() {
  waiting = false;
  lanes.set(
    $("only-here").checked
      ? state.matching.filter(({ start, end }) => start <= view.to && end >= view.from)
      : state.matching,
  );
  pools.draw(view, colours, state.chosen?.key);
  lanes.draw(view, colours, state.chosen?.key);
  paintAxis($("axis"), view.scale($("axis").clientWidth), colours);
  paintMap($("map"), state.bins, view, trace.duration, colours);
  $("window").textContent = `${duration(view.width)} shown`;
  placeCursor();
  tellShown();
}

function tellShown() {
  const [shown, all] = [lanes.rows.length, trace.sessions.length];
  const text = shown === all ? count(all, "session") : `${shown.toLocaleString("en")} of ${count(all, "session")}`;
  if ($("shown").textContent !== text) $("shown").textContent = text;
  $("empty").hidden = shown > 0;
  $("empty").textContent =
    all === 0 ? "No session was made while this was recorded." : "No session matches; change the filter or the window.";
}

function placeCursor() {
  const time = state.cursor ?? state.pinned;
  const x = time === null ? -1 : view.scale($("axis").clientWidth).x(time);
  $("cursor").hidden = x < 0 || x > $("axis").clientWidth;
  $("cursor").style.transform = `translateX(${$("axis").offsetLeft + x}px)`;
  $("cursor-time").textContent = time === null ? "" : moment(time, view.width / 1000);
  pools.eachLabel((pool, node) => (node.querySelector("output").textContent = poolReading(pool, time)));
}

function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  state.matching = trace.sessions.filter(
    (session) =>
      (!$("only-findings").checked || session.rules.length) &&
      (!$("only-idle").checked || session.longestIdle) &&
      words.every((word) => searched(session).includes(word)),
  );
  state.bins = mapBins(state.matching, trace.duration);
  table.set(state.matching);
  changed();
}

/** Choose a session or pool, or an item of it, and tell its details. */
function choose(lane, item = null) {
  Object.assign(state, { chosen: lane, item });
  const body =
    lane.kind === "pool" && !item
      ? poolDetails(lane, state.pinned ?? 0, (session) => show(session, null))
      : lane.kind === "pool"
        ? [itemSection(item)]
        : sessionDetails(lane, item, (next) => show(lane, next));
  $("details-body").replaceChildren(...body.filter(Boolean));
  $("details").scrollTop = 0;
  document.body.classList.add("with-details");
  if (lane.kind === "session") history.replaceState(null, "", `#session=${lane.key}`);
  changed();
}

/** Choose, and bring into sight. */
function show(lane, item) {
  if (lane.kind === "session" && !state.matching.includes(lane)) clearFilter();
  const { start, end } = item ?? lane;
  state.pinned = item ? start : state.pinned;
  choose(lane, item);
  if (document.activeElement?.closest("section:not(.timeline), header")) $("details").focus({ preventScroll: true });
  glide(start, end, () => {
    draw();
    (lane.kind === "pool" ? pools : lanes).reveal(lane);
    changed();
  });
  if ($("pictures").getBoundingClientRect().bottom < 80)
    $("timeline-title").scrollIntoView({ behavior: calm.matches ? "auto" : "smooth" });
}

function clearFilter() {
  $("filter").value = "";
  $("only-findings").checked = $("only-idle").checked = false;
  filter();
}

/** Move the window to a span, in some steps that the eye can follow. */
function glide(start, end, arrived) {
  const before = { from: view.from, to: view.to };
  const after = view.around(start, end);
  const begun = performance.now();
  const step = (now) => {
    const part = calm.matches ? 1 : Math.min((now - begun) / GLIDE, 1);
    const eased = 1 - (1 - part) ** 3;
    view.set(before.from + (after.from - before.from) * eased, before.to + (after.to - before.to) * eased);
    if (part < 1) requestAnimationFrame(step);
    else arrived();
  };
  step(begun);
}

/** The next idle gap or finding after what was chosen, or the one before it. */
function leap(forwards) {
  const found = landmarks([...state.matching, ...trace.pools]);
  if (!found.length) return;
  const current = found.findIndex(({ item }) => item === state.item);
  const next =
    current < 0
      ? forwards
        ? found.findIndex(({ item }) => item.end >= view.from)
        : found.length - 1
      : current + (forwards ? 1 : -1);
  const { lane, item } = found[(next + found.length) % found.length];
  show(lane, item);
}

function neighbour(step) {
  const { rows } = lanes;
  const next = rows[Math.min(Math.max(rows.indexOf(state.chosen) + step, 0), rows.length - 1)];
  if (!next) return;
  choose(next);
  lanes.reveal(next);
  $("announced").textContent =
    lanes.box.querySelector(`[data-session="${CSS.escape(next.key)}"]`)?.getAttribute("aria-label") ?? next.title;
}

function under(event) {
  const rows = [lanes, pools].find(({ canvas }) => canvas === event.target);
  const found = rows?.rowAt(event.clientY);
  const scale = view.scale($("axis").clientWidth);
  const time = scale.time(event.clientX - $("axis").getBoundingClientRect().left);
  if (!found) return { time };
  const lane = found.row;
  if (lane.kind === "session") return { time, lane, item: itemAt(lane, time, scale.perPixel) };
  const mark = lane.marks.items.find((each) => Math.abs(each.start - time) < 7 * scale.perPixel && found.y < 18);
  return { time, lane, item: mark ?? null };
}

function hover(event) {
  const { time = null, lane = null, item = null } = event ? under(event) : {};
  state.cursor = time;
  placeCursor();
  $("tip").hidden = !event || !(item || lane?.kind === "pool") || event.pointerType === "touch";
  if ($("tip").hidden) return;
  $("tip").replaceChildren(
    ...(item
      ? tipContent(item)
      : [element("strong", {}, poolReading(lane, time)), ` ${moment(time, view.width / 1000)}`]
    ).filter(Boolean),
  );
  placeTip(event);
}

function placeTip(event) {
  const [tip, frame] = [$("tip"), $("pictures").getBoundingClientRect()];
  const x = Math.min(event.clientX - frame.left + 14, frame.width - tip.offsetWidth - 8);
  const below = event.clientY - frame.top + 18;
  const y = event.clientY + 18 + tip.offsetHeight > innerHeight ? below - tip.offsetHeight - 32 : below;
  tip.style.transform = `translate(${Math.max(x, 8)}px, ${y}px)`;
}

function listen() {
  listenToPointers($("pictures"), () => $("axis").getBoundingClientRect().left, {
    zoom: (factor, x) => view.zoom(factor, view.scale($("axis").clientWidth).time(x)),
    pan: (pixels) => view.pan(pixels * view.scale($("axis").clientWidth).perPixel),
    scroll: (pixels) => {
      lanes.box.scrollTop += pixels;
    },
    hover,
    choose(event) {
      const { time, lane, item } = under(event);
      state.pinned = time;
      if (lane) choose(lane, item);
    },
  });
  listenToMap($("map"), (part) => view.pan(part * trace.duration - (view.from + view.to) / 2));
  const keys = {
    ArrowLeft: () => view.pan(-view.width / 8),
    ArrowRight: () => view.pan(view.width / 8),
    ArrowUp: () => neighbour(-1),
    ArrowDown: () => neighbour(1),
    "+": () => view.zoom(1 / 1.5),
    "=": () => view.zoom(1 / 1.5),
    "-": () => view.zoom(1.5),
    0: () => view.fit(),
    Home: () => view.pan(-trace.duration * 2),
    End: () => view.pan(trace.duration * 2),
    n: () => leap(true),
    p: () => leap(false),
    Enter: () => $("details").focus(),
  };
  listenToKeys($("pictures"), keys);
  for (const [id, key] of [
    ["zoom-in", "+"],
    ["zoom-out", "-"],
    ["fit", "0"],
    ["next", "n"],
    ["previous", "p"],
  ])
    $(id).addEventListener("click", keys[key]);
  for (const id of ["filter", "only-findings", "only-idle"]) $(id).addEventListener("input", filter);
  $("only-here").addEventListener("input", changed);
  for (const box of [lanes.box, pools.box]) box.addEventListener("scroll", changed, { passive: true });
  const sizes = new ResizeObserver(draw);
  for (const node of [$("pictures"), lanes.box, pools.box]) sizes.observe(node);
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", recolour);
  addEventListener("beforeprint", () => table.fill(MOST_PRINTED));
  addEventListener("hashchange", follow);
}

function recolour() {
  colours = palette();
  draw();
}

/** `#session=12` chooses a session, `#at=340` puts the cursor at so many milliseconds. */
function follow() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const at = Number.parseFloat(asked.get("at") ?? "");
  if (Number.isFinite(at)) state.pinned = at * 1000;
  const session = trace.byKey.get(asked.get("session"));
  if (session) show(session, null);
  changed();
}

function head() {
  $("command").textContent = trace.command || trace.file;
  document.title = `${trace.command || trace.file} · hermetic trace`;
  const started = new Date(trace.started);
  const when =
    trace.started && !Number.isNaN(started.getTime())
      ? started.toISOString().replace("T", " ").slice(0, 19) + " UTC"
      : "";
  const processes = new Set([...trace.sessions, ...trace.pools].map((lane) => lane.process)).size;
  $("about").textContent = [
    when,
    trace.duration > 1 ? `recorded for ${duration(trace.duration)}` : "",
    processes > 1 ? count(processes, "process", "processes") : "",
    trace.file,
  ]
    .filter(Boolean)
    .join(" · ");
  $("totals").replaceChildren(...totals(trace, show));
  $("footer").textContent = [
    `hermetic ${trace.version}`,
    trace.leftOut ? `Not recorded: ${trace.leftOut}` : "",
    trace.unread
      ? `${count(trace.unread, "event")} of the file could not be read and ${trace.unread === 1 ? "is" : "are"} left out`
      : "",
    "This page loads nothing from anywhere.",
  ]
    .filter(Boolean)
    .join(" · ");
}

function sections() {
  const parts = findingParts(trace, show);
  $("findings").hidden = parts.length === 0;
  $("findings-body").replaceChildren(...parts);
  $("gaps").hidden = fillGaps($("gaps-table"), trace, show) === 0;
  $("sessions").hidden = trace.sessions.length === 0;
  document.body.classList.toggle("nothing", trace.sessions.length + trace.pools.length === 0);
  $("pools").hidden = trace.pools.length === 0;
  pools.set(trace.pools);
}

/** Begin with all, or with as many sessions as can be told apart; the map shows the whole run anyway. */
function begin() {
  const last = trace.sessions[FIRST_SHOWN];
  if (last && last.start > 0) view.set(-last.start * 0.02, last.start);
  else view.fit();
}

head();
sections();
filter();
listen();
begin();
follow();
draw();
