"use strict";
// Rows of a picture: labels beside one canvas. Only what is in sight exists and is drawn.

/**
 * Rows in a box that scrolls. `label(row)` makes what stands beside a row, `paint(pen, row, top, height, scale, colours)`
 * draws it, `height` is in pixels. A row is known by its `key`.
 */
class Rows {
  constructor(box, { height, label, paint }) {
    Object.assign(this, { box, height, label, paint, rows: [] });
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.labels = element("div", { class: "labels" });
    this.space = element("div", { class: "space" }, this.canvas, this.labels);
    this.made = new Map(); // the labels in sight, by key
    box.replaceChildren(this.space);
  }

  /** Show other rows. Those in sight stay where they are when others come or go above them. */
  set(next) {
    const { rows, box, height } = this;
    if (next.length === rows.length && next.every((row, i) => row === rows[i])) return;
    const places = new Map(next.map((row, i) => [row, i]));
    const old = rows.findIndex((row, i) => (i + 1) * height > box.scrollTop && places.has(row));
    const moved = old < 0 ? 0 : (places.get(rows[old]) - old) * height;
    this.rows = next;
    this.space.style.height = `${next.length * height}px`;
    box.scrollTop += moved;
  }

  inSight() {
    const { rows, box, height } = this;
    const first = Math.min(Math.max(0, Math.floor(box.scrollTop / height)), rows.length);
    const last = Math.min(rows.length, Math.ceil((box.scrollTop + box.clientHeight) / height));
    return rows.slice(first, last).map((row, i) => ({ row, top: (first + i) * height }));
  }

  draw(view, colours, chosen) {
    const { box, canvas, height } = this;
    const sight = this.inSight();
    this.placeLabels(sight, chosen);
    canvas.style.height = `${Math.min(box.clientHeight, this.rows.length * height)}px`;
    const { pen, width, height: all } = penFor(canvas) ?? {};
    if (!pen) return;
    const scale = view.scale(width);
    const shown = sight.map(({ row, top }) => ({ row, y: top - box.scrollTop }));
    for (const { row, y } of shown) {
      pen.fillStyle = row.key === chosen ? colours.chosen : colours.panel;
      pen.fillRect(0, y, width, height);
    }
    paintGrid(pen, scale, all, colours);
    for (const { row, y } of shown) {
      pen.fillStyle = colours.line;
      pen.fillRect(0, Math.round(y + height) - 1, width, 1);
      this.paint(pen, row, y, height, scale, colours);
    }
  }

  placeLabels(sight, chosen) {
    const keys = new Set(sight.map(({ row }) => row.key));
    for (const [key, node] of this.made) {
      if (keys.has(key)) continue;
      node.remove();
      this.made.delete(key);
    }
    for (const { row, top } of sight) {
      if (!this.made.has(row.key)) {
        this.made.set(row.key, this.label(row));
        this.labels.append(this.made.get(row.key));
      }
      this.made.get(row.key).style.transform = `translateY(${top}px)`;
      this.made.get(row.key).classList.toggle("chosen", row.key === chosen);
    }
  }

  /** The row at a height of the screen, and where in it that is. */
  rowAt(clientY) {
    const y = clientY - this.box.getBoundingClientRect().top + this.box.scrollTop;
    const row = this.rows[Math.floor(y / this.height)];
    return row ? { row, y: y % this.height } : null;
  }

  /** Scroll a row into sight; one that is, stays. */
  reveal(row) {
    const { box, height } = this;
    const top = this.rows.indexOf(row) * height;
    if (top < 0 || (top >= box.scrollTop && top + height <= box.scrollTop + box.clientHeight)) return;
    box.scrollTop = top - (box.clientHeight - height) / 2;
  }

  eachLabel(update) {
    for (const row of this.rows) if (this.made.has(row.key)) update(row, this.made.get(row.key));
  }
}

/** What stands beside a session. */
function sessionLabel(session, severalProcesses, choose) {
  const place = placeParts(session.opened);
  const idle = session.waits.items.length;
  const words = [
    session.title,
    session.opened && `opened at ${session.opened}`,
    count(session.statements.items.length, "statement"),
    idle && `${count(idle, "time")} idle in a transaction`,
    session.rules.length && `findings: ${session.rules.join(", ")}`,
  ];
  return element(
    "button",
    {
      type: "button",
      class: "label",
      tabindex: "-1",
      "data-session": session.key,
      "aria-label": words.filter(Boolean).join(", "),
      title: [session.name, session.task].filter(Boolean).join("\n"),
      onclick: () => choose(session),
    },
    element("span", { class: "number" }, severalProcesses ? session.key : String(session.number)),
    element(
      "span",
      { class: "who" },
      element("bdi", { class: "function" }, place.name || place.file || session.name || session.title),
      element("span", { class: "file tail" }, element("bdi", {}, place.name ? place.file : session.task)),
    ),
    idle ? element("i", { class: "key idle", title: "idle in a transaction" }) : null,
    session.rules.length ? element("i", { class: `key ${worst(session)}`, title: session.rules.join(", ") }) : null,
  );
}

function worst(lane) {
  return lane.marks.items.some((mark) => mark.severity === "error") ? "error" : "warning";
}

/** What stands beside a pool; its output says what is in use at the cursor. */
function poolLabel(pool) {
  const { database, server } = urlParts(pool.name);
  return element(
    "div",
    { class: "label pool-label", "data-pool": pool.key, title: pool.name },
    element(
      "span",
      { class: "who" },
      element("bdi", { class: "function" }, database),
      server ? element("bdi", { class: "file" }, server) : null,
      element("output", { class: "reading" }),
    ),
    pool.marks.items.length ? element("i", { class: `key ${worst(pool)}` }) : null,
  );
}

function poolReading(pool, time) {
  if (time === null) return pool.size === null ? `peak ${pool.peak}` : `peak ${pool.peak} of ${pool.size}`;
  const { inUse, size } = occupancy(pool, time);
  return size === null ? `${inUse} in use` : `${inUse} of ${size} in use`;
}
