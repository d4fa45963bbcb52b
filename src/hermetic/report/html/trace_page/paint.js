"use strict";
// Drawing on canvases. What is too small to be seen is drawn once a pixel, however much of it there is.

const NARROWEST = 1; // pixels of the narrowest bar
const NARROWEST_GAP = 3; // an idle gap is what people look for: it stays visible

/** The colours of the style sheet, and the hatching of idle gaps, for a device's pixel ratio. */
function palette() {
  const style = getComputedStyle(document.documentElement);
  const names = [
    "ink",
    "soft",
    "line",
    "panel",
    "life",
    "life-edge",
    "transaction",
    "transaction-edge",
    "statement",
    "failed",
    "idle",
    "idle-stripe",
    "idle-ink",
    "warning",
    "pool",
    "pool-over",
    "chosen",
  ];
  const colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  return { ...colours, font: style.getPropertyValue("--font").trim(), hatch: hatching(colours) };
}

function hatching(colours) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  pen.fillStyle = colours.idle;
  pen.fillRect(0, 0, 6, 6);
  pen.strokeStyle = colours["idle-stripe"];
  pen.lineWidth = 1.6;
  pen.beginPath();
  for (const x of [-6, 0, 6]) {
    pen.moveTo(x - 1, 7);
    pen.lineTo(x + 7, -1);
  }
  pen.stroke();
  return pen.createPattern(tile, "repeat");
}

/** Fit a canvas to its place on the page, and give a cleared pen that draws in CSS pixels; null if it has no place. */
function penFor(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width || !height) return null;
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

/** Where an item begins and ends in a picture, in whole pixels: bars have sharp edges and meet without a seam. */
function pixels(item, scale, narrowest) {
  const left = Math.max(Math.round(scale.x(item.start)), -8);
  return { left, right: Math.min(Math.max(Math.round(scale.x(item.end)), left + narrowest), scale.pixels + 8) };
}

/** Call `draw(item, left, right)` for what can be seen of some spans, in pixels cut to the picture. */
function eachVisible(list, scale, narrowest, draw) {
  const { items } = list;
  let i = firstReaching(list, scale.from - narrowest * scale.perPixel);
  while (i < items.length && items[i].start <= scale.to) {
    const item = items[i];
    const { left, right } = pixels(item, scale, narrowest);
    draw(item, left, right);
    // Whatever ends within the same pixel cannot be told from this one.
    i = right - left <= narrowest ? Math.max(i + 1, firstReaching(list, scale.time(left + narrowest), i + 1)) : i + 1;
  }
}

function paintGrid(pen, scale, height, colours) {
  pen.fillStyle = colours.line;
  for (const tick of ticks(scale)) pen.fillRect(Math.round(scale.x(tick)), 0, 1, height);
}

/** Round moments for an axis, far enough apart for their labels. */
function ticks(scale) {
  const step = tickStep(scale);
  const found = [];
  for (let tick = Math.ceil(scale.from / step) * step; tick <= scale.to; tick += step) found.push(tick);
  return found;
}

function tickStep(scale) {
  const rough = scale.perPixel * Math.min(84, scale.pixels / 3.2);
  if (rough > 30_000_000)
    return (
      [60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400].map((s) => s * 1_000_000).find((step) => step >= rough) ??
      rough
    );
  const power = 10 ** Math.floor(Math.log10(rough));
  return Math.max([1, 2, 5, 10].find((factor) => factor * power >= rough) * power, 1);
}

function paintAxis(canvas, scale, colours) {
  const { pen, height } = penFor(canvas) ?? {};
  if (!pen) return;
  const step = tickStep(scale);
  pen.font = `11px ${colours.font}`;
  pen.textBaseline = "middle";
  for (const tick of ticks(scale)) {
    if (tick < 0) continue;
    const x = Math.round(scale.x(tick));
    pen.fillStyle = colours["life-edge"];
    pen.fillRect(x, height - 6, 1, 6);
    pen.fillStyle = colours.soft;
    const text = moment(tick, step);
    if (x + 4 + pen.measureText(text).width <= scale.pixels) pen.fillText(text, x + 4, height / 2);
  }
}

function paintSession(pen, session, top, height, scale, colours) {
  const middle = top + height / 2;
  for (const life of session.lives) paintLife(pen, life, middle, scale, colours);
  eachVisible(session.transactions, scale, NARROWEST, (item, left, right) =>
    paintTransaction(pen, item, left, right, middle, colours),
  );
  pen.fillStyle = colours.statement;
  eachVisible(session.statements, scale, NARROWEST, (_, left, right) =>
    pen.fillRect(left, middle - 6, right - left, 12),
  );
  eachVisible(session.waits, scale, NARROWEST_GAP, (item, left, right) =>
    paintWait(pen, item, left, right, middle, colours),
  );
  eachVisible(session.failures, scale, 2, (_, left, right) => paintFailure(pen, left, right, middle, colours));
  eachVisible(session.marks, scale, 4, (mark, left) => paintMark(pen, mark, left, middle - 9, colours));
}

function paintLife(pen, life, middle, scale, colours) {
  if (life.end < scale.from || life.start > scale.to) return;
  const { left, right } = pixels(life, scale, 2);
  pen.fillStyle = colours.life;
  pen.fillRect(left, middle - 10, right - left, 20);
  pen.fillStyle = colours["life-edge"];
  pen.fillRect(left, middle - 10, 1, 20);
  if (life.closed) pen.fillRect(right - 1, middle - 10, 1, 20);
  else for (let y = middle - 10; y < middle + 10; y += 4) pen.fillRect(right - 1, y, right - left > 6 ? 3 : 1, 2); // torn off: never closed
}

function paintTransaction(pen, item, left, right, middle, colours) {
  if (item.outcome === "commit") {
    pen.fillStyle = colours.transaction;
    pen.fillRect(left, middle - 6, right - left, 12);
    if (right - left < 4) return;
    pen.fillStyle = colours["transaction-edge"];
    pen.fillRect(right - 2, middle - 6, 2, 12);
    return;
  }
  pen.fillStyle = item.outcome === "rollback" ? colours.panel : colours.transaction;
  pen.fillRect(left, middle - 6, right - left, 12);
  if (right - left < 4) return;
  pen.save();
  pen.strokeStyle = item.outcome === "rollback" ? colours.failed : colours["transaction-edge"];
  if (item.outcome !== "rollback") pen.setLineDash([3, 2]);
  pen.strokeRect(left + 0.5, middle - 5.5, right - left - 1, 11);
  pen.restore();
}

function paintWait(pen, item, left, right, middle, colours) {
  pen.fillStyle = right - left <= NARROWEST_GAP ? colours["idle-stripe"] : colours.hatch;
  pen.fillRect(left, middle - 6, right - left, 12);
  pen.strokeStyle = colours["idle-stripe"];
  if (right - left > 8) pen.strokeRect(left + 0.5, middle - 5.5, right - left - 1, 11);
  pen.font = `600 11px ${colours.font}`;
  const text = duration(lasting(item));
  const width = pen.measureText(text).width;
  if (right - left < width + 34) return; // some hatching stays to be seen
  const x = (Math.max(left, 0) + Math.min(right, pen.canvas.clientWidth) - width) / 2;
  pen.fillStyle = colours.panel;
  pen.fillRect(x - 4, middle - 6, width + 8, 12);
  pen.fillStyle = colours["idle-ink"];
  pen.textBaseline = "middle";
  pen.fillText(text, x, middle + 0.5);
}

function paintFailure(pen, left, right, middle, colours) {
  pen.fillStyle = colours.failed;
  pen.fillRect(left, middle - 6, right - left, 12);
  pen.fillRect((left + right) / 2 - 2, middle + 6, 4, 3); // a foot: not by colour alone
}

/** A finding: an error is a filled diamond, anything less a hollow one. */
function paintMark(pen, mark, x, y, colours) {
  pen.beginPath();
  for (const [dx, dy] of [
    [0, -5.5],
    [5.5, 0],
    [0, 5.5],
    [-5.5, 0],
  ])
    pen.lineTo(x + dx, y + dy);
  pen.closePath();
  pen.lineWidth = 3;
  pen.strokeStyle = colours.panel;
  pen.stroke();
  pen.lineWidth = 1.8;
  pen.fillStyle = mark.severity === "error" ? colours.failed : colours.panel;
  pen.strokeStyle = mark.severity === "error" ? colours.failed : colours.warning;
  pen.fill();
  pen.stroke();
  pen.lineWidth = 1;
}

/** Connections in use as steps, what exceeds the pool's size in another colour, and the size as a dashed line. */
function paintPool(pen, pool, top, height, scale, colours) {
  const most = Math.max(pool.peak, pool.size ?? 0, 1);
  const [floor, room] = [top + height - 6, height - 16];
  const y = (number) => floor - (number / most) * room;
  for (const { left, right, step } of peaks(pool.counts, scale)) {
    const within = Math.min(step.inUse, step.size ?? Infinity);
    pen.fillStyle = colours.pool;
    pen.fillRect(left, y(within), right - left, floor - y(within));
    pen.fillStyle = colours["pool-over"];
    if (step.inUse > within) pen.fillRect(left, y(step.inUse), right - left, y(within) - y(step.inUse));
  }
  pen.fillStyle = colours["life-edge"];
  pen.fillRect(0, floor, scale.pixels, 1);
  if (pool.size !== null) paintSize(pen, pool, y, scale, colours);
  eachVisible(pool.marks, scale, 4, (mark, left) => paintMark(pen, mark, left, top + 9, colours));
}

/** The steps that can be seen; of those within one pixel the highest. */
function peaks({ items, reach }, scale) {
  const found = [];
  for (let i = firstReaching({ reach }, scale.from); i < items.length && items[i].start <= scale.to; i++) {
    const { left, right } = pixels(items[i], scale, NARROWEST);
    const last = found.at(-1);
    if (!last || right - last.left > NARROWEST) found.push({ left, right, step: items[i] });
    else if (items[i].inUse > last.step.inUse) last.step = items[i];
  }
  return found;
}

function paintSize(pen, pool, y, scale, colours) {
  pen.save();
  pen.strokeStyle = colours.ink;
  pen.setLineDash([5, 3]);
  pen.beginPath();
  pen.moveTo(0, Math.round(y(pool.size)) + 0.5);
  pen.lineTo(scale.pixels, Math.round(y(pool.size)) + 0.5);
  pen.stroke();
  pen.restore();
}

/** The whole run in one strip: sessions at work from the floor, idle ones upon them, findings above, the window as a frame. */
function paintMap(canvas, bins, shown, duration, colours) {
  const { pen, width, height } = penFor(canvas) ?? {};
  if (!pen) return;
  const most = Math.max(1, ...bins.work.map((work, i) => work + bins.idle[i]));
  const each = width / bins.work.length;
  const unit = (height - 12) / most;
  bins.work.forEach((work, i) => {
    pen.fillStyle = colours.statement;
    pen.fillRect(i * each, height - work * unit, each + 0.5, work * unit);
    pen.fillStyle = colours.idle;
    pen.fillRect(i * each, height - (work + bins.idle[i]) * unit, each + 0.5, bins.idle[i] * unit);
  });
  bins.marks.forEach((severity, i) => {
    pen.fillStyle = severity === 2 ? colours.failed : colours.warning;
    if (severity) pen.fillRect(i * each - 0.5, 0, Math.max(each, 2), 6);
  });
  paintFrame(pen, (shown.from / duration) * width, (shown.to / duration) * width, width, height, colours);
}

function paintFrame(pen, left, right, width, height, colours) {
  pen.save();
  pen.globalAlpha = 0.62;
  pen.fillStyle = colours.panel;
  pen.fillRect(0, 0, Math.max(left, 0), height);
  pen.fillRect(Math.min(right, width), 0, width, height);
  pen.restore();
  pen.strokeStyle = colours.ink;
  pen.strokeRect(Math.max(left, 0) + 0.5, 0.5, Math.max(Math.min(right, width) - Math.max(left, 0) - 1, 2), height - 1);
}

const MAP_BINS = 480;

/** For each piece of the run: how many sessions work and are idle in it, on average, and the worst finding (2 error, 1 less). */
function mapBins(sessions, duration) {
  const width = duration / MAP_BINS;
  const bin = (time) => Math.min(MAP_BINS - 1, Math.max(0, Math.floor(time / width)));
  const [work, idle, marks] = [0, 1, 2].map(() => new Array(MAP_BINS).fill(0));
  const add = (bins, { start, end }) => {
    for (let i = bin(start); i <= bin(end); i++)
      bins[i] += Math.max(0, Math.min(end, (i + 1) * width) - Math.max(start, i * width)) / width;
  };
  for (const session of sessions) {
    session.statements.items.forEach((item) => add(work, item));
    session.waits.items.forEach((item) => add(idle, item));
    for (const mark of session.marks.items)
      marks[bin(mark.start)] = Math.max(marks[bin(mark.start)], mark.severity === "error" ? 2 : 1);
  }
  return { work, idle, marks };
}
