"use strict";
// The trace as the page works with it: sessions and pools, their items sorted by time, and what is asked of them.

/** Items sorted by their start, and with each the latest end so far, so that what reaches a moment is found by halving. */
function spans(items) {
  let latest = -Infinity;
  return { items, reach: items.map((item) => (latest = Math.max(latest, item.end))) };
}

/** The index of the first item from `first` on that ends after a moment. */
function firstReaching({ reach }, time, first = 0) {
  let [low, high] = [first, reach.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (reach[middle] > time) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The index of the last item that starts at a moment or before; -1 if none does. */
function lastStarted(items, time) {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].start <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The trace, from the JSON in the page. Rows are arrays, in the order of the fields in `trace_events.py`. */
function decode(data) {
  const text = (number) => data.texts[number];
  const severalProcesses = new Set([...data.sessions, ...data.pools].map((lane) => lane.process)).size > 1;
  const key = (lane) => (severalProcesses ? `${lane.process}-${lane.number}` : String(lane.number));
  const sessions = data.sessions.map((lane) => decodeSession(lane, key(lane), text));
  const pools = data.pools.map((lane) => decodePool(lane, key(lane), text, data.duration));
  const byKey = new Map(sessions.map((session) => [session.key, session]));
  for (const pool of pools)
    for (const hold of pool.holds.items)
      hold.lane = byKey.get(severalProcesses ? `${pool.process}-${hold.session}` : String(hold.session)) ?? null;
  return { ...data, duration: Math.max(data.duration, 1), sessions, pools, byKey, severalProcesses };
}

function decodeSession(lane, key, text) {
  const session = { kind: "session", key, process: lane.process, number: lane.number, name: lane.name };
  session.type = /\(([\w.]+)\)/.exec(lane.name)?.[1] ?? "";
  session.lives = lane.lives.map(([start, took, opened, closed, task, rules]) => ({
    kind: "life",
    start,
    end: start + took,
    opened: text(opened),
    closed: text(closed),
    task: text(task),
    rules: rules.map(text),
  }));
  session.transactions = spans(
    lane.transactions.map(([start, took, outcome, ended]) => ({
      kind: "transaction",
      start,
      end: start + took,
      outcome: text(outcome),
      ended: text(ended),
    })),
  );
  session.statements = spans(
    lane.statements.map(([start, took, name, sql, at, failed]) => ({
      kind: "statement",
      start,
      end: start + took,
      name: text(name),
      sql: text(sql),
      at: text(at),
      failed: text(failed),
    })),
  );
  session.failures = spans(session.statements.items.filter((item) => item.failed));
  session.waits = spans(
    lane.waits.map(([start, took, after, before]) => ({
      kind: "wait",
      start,
      end: start + took,
      after: text(after),
      before: text(before),
    })),
  );
  session.marks = spans(lane.marks.map((row) => decodeMark(row, text)));
  return { ...session, ...extent(session), ...figuresOf(session) };
}

function decodeMark([at, name, message, severity, path, line, acts], text) {
  const [rule, ...rest] = text(name).split(" ");
  return {
    kind: "finding",
    start: at,
    end: at,
    rule,
    name: rest.join(" "),
    message: text(message),
    severity: text(severity),
    path: text(path),
    line,
    acts: acts.map(([file, number, words]) => ({ path: text(file), line: number, text: text(words) })),
  };
}

function decodePool(lane, key, text, last) {
  const counts = lane.counts.map(([start, inUse, size], index) => ({
    kind: "count",
    start,
    end: lane.counts[index + 1]?.[0] ?? last,
    inUse,
    size,
  }));
  const holds = spans(
    lane.holds.map(([start, took, connection, session, holder, ended]) => ({
      kind: "hold",
      start,
      end: start + took,
      connection: text(connection),
      session,
      holder: text(holder),
      ended,
    })),
  );
  return {
    kind: "pool",
    key,
    process: lane.process,
    number: lane.number,
    counts: spans(counts),
    holds,
    name: lane.name.replace(/^pool of /, "") || `pool ${lane.number}`,
    marks: spans(lane.marks.map((row) => decodeMark(row, text))),
    peak: counts.reduce((most, step) => Math.max(most, step.inUse), 0),
    size: counts.reduce((most, step) => Math.max(most, step.size ?? 0), 0) || null,
  };
}

function extent({ lives, transactions, statements, waits, marks }) {
  const lists = [spans(lives), transactions, statements, waits, marks].filter(({ items }) => items.length);
  return {
    start: Math.min(...lists.map(({ items }) => items[0].start)),
    end: Math.max(...lists.map(({ reach }) => reach.at(-1))),
  };
}

function figuresOf({ lives, waits, marks, name, number }) {
  const rules = new Set([...marks.items.map((mark) => mark.rule), ...lives.flatMap((life) => life.rules)]);
  const first = lives[0];
  return {
    opened: first?.opened ?? "",
    closed: lives.at(-1)?.closed ?? "",
    task: first?.task ?? "",
    title: first ? `Session ${number}` : name || `Lane ${number}`,
    longestIdle: waits.items.reduce(
      (longest, wait) => (!longest || lasting(wait) > lasting(longest) ? wait : longest),
      null,
    ),
    idle: waits.items.reduce((sum, wait) => sum + lasting(wait), 0),
    rules: [...rules].sort(),
  };
}

function lasting(item) {
  return item.end - item.start;
}

/** All that a filter looks at, in lower case; made when first asked for. */
function searched(session) {
  if (session.searched === undefined) {
    const words = new Set([session.name, session.title, session.task, ...session.rules]);
    for (const life of session.lives) words.add(life.opened).add(life.closed).add(life.task);
    for (const item of session.statements.items) words.add(item.sql).add(item.name).add(item.at).add(item.failed);
    for (const wait of session.waits.items) words.add(wait.after).add(wait.before);
    for (const mark of session.marks.items) words.add(mark.name).add(mark.message).add(mark.path);
    session.searched = [...words].join("\n").toLowerCase();
  }
  return session.searched;
}

/** How many connections of a pool are in use at a moment, and its size. */
function occupancy(pool, time) {
  const step = pool.counts.items[lastStarted(pool.counts.items, time)];
  return { inUse: step?.inUse ?? 0, size: step?.size ?? pool.size };
}

/** The connections of a pool that are held at a moment, the longest held first. */
function holdsAt(pool, time) {
  const { items } = pool.holds;
  const found = [];
  for (let i = firstReaching(pool.holds, time); i < items.length && items[i].start <= time; i++)
    if (items[i].end > time || !items[i].ended) found.push(items[i]);
  return found;
}

/** All findings and idle gaps of some sessions and pools, by time: where "next" goes. */
function landmarks(lanes) {
  return lanes
    .flatMap((lane) => [...lane.marks.items, ...(lane.waits?.items ?? [])].map((item) => ({ lane, item })))
    .sort((one, other) => one.item.start - other.item.start);
}
