"use strict";
// The same in words: totals, findings, the longest idle gaps, and the table of sessions.

const ROWS_AT_ONCE = 200;

function totals(trace, show) {
  const all = (kind) => trace.sessions.reduce((sum, session) => sum + session[kind].items.length, 0);
  const ended = (word) =>
    trace.sessions.reduce(
      (sum, { transactions }) => sum + transactions.items.filter((item) => item.outcome === word).length,
      0,
    );
  const failures = all("failures");
  const longest = trace.sessions
    .filter((session) => session.longestIdle)
    .reduce(
      (most, session) => (!most || lasting(session.longestIdle) > lasting(most.longestIdle) ? session : most),
      null,
    );
  const open = trace.sessions.filter((session) => session.lives.some((life) => !life.closed)).length;
  return [
    total(
      "sessions",
      trace.sessions.length,
      open ? `${open.toLocaleString("en")} never closed` : trace.sessions.length ? "all closed" : "",
    ),
    total("transactions", all("transactions"), `${ended("rollback").toLocaleString("en")} rolled back`),
    total("statements", all("statements"), failures ? `${failures.toLocaleString("en")} failed` : "none failed"),
    total(
      "longest idle in a transaction",
      longest ? duration(lasting(longest.longestIdle)) : "none",
      longest
        ? element(
            "button",
            { type: "button", class: "link", onclick: () => show(longest, longest.longestIdle) },
            `session ${longest.key}`,
          )
        : "of 10 ms or more",
    ),
    findingsTotal(trace),
  ];
}

function total(name, number, note) {
  return element(
    "div",
    {},
    element("dt", {}, name),
    element(
      "dd",
      {},
      element("b", {}, typeof number === "number" ? number.toLocaleString("en") : number),
      element("small", {}, note),
    ),
  );
}

function findingsTotal(trace) {
  const groups = byRule(trace);
  const sum = groups.reduce((all, { marks }) => all + marks.length, 0);
  const rules = groups.map(({ rule, name, marks }) =>
    element("span", { class: "rule", title: name }, `${rule} × ${marks.length.toLocaleString("en")}`),
  );
  return total("findings", sum, rules.length ? element("a", { href: "#findings" }, ...rules) : "nothing was found");
}

/** The findings by rule, errors first, then by code. */
function byRule(trace) {
  const groups = new Map();
  for (const { lane, item } of landmarks([...trace.sessions, ...trace.pools])) {
    if (item.kind !== "finding") continue;
    if (!groups.has(item.rule)) groups.set(item.rule, { rule: item.rule, name: item.name, marks: [] });
    groups.get(item.rule).marks.push({ lane, mark: item });
  }
  const isError = ({ marks }) => marks.some(({ mark }) => mark.severity === "error");
  return [...groups.values()].sort((one, other) => isError(other) - isError(one) || one.rule.localeCompare(other.rule));
}

/** One part for each rule, with its findings of one place together. */
function findingParts(trace, show) {
  return byRule(trace).map((group) => {
    const places = byPlace(group.marks);
    return element(
      "details",
      { open: true, class: "finding", "aria-label": `${group.rule} ${group.name}` },
      findingTitle(group),
      element("ul", {}, ...places.slice(0, ROWS_AT_ONCE).map((found) => findingEntry(found, show))),
      places.length > ROWS_AT_ONCE
        ? element("p", { class: "soft" }, `and ${count(places.length - ROWS_AT_ONCE, "more place")}`)
        : null,
    );
  });
}

function byPlace(marks) {
  const places = new Map();
  for (const found of marks) {
    const { path, line, acts } = found.mark;
    const place = JSON.stringify([path, line, acts.map((act) => [act.path, act.line])]);
    if (!places.has(place)) places.set(place, []);
    places.get(place).push(found);
  }
  return [...places.values()];
}

function findingTitle({ rule, name, marks }) {
  const severity = marks.some(({ mark }) => mark.severity === "error") ? "error" : "warning";
  return element(
    "summary",
    {},
    element("i", { class: `key ${severity}` }),
    element("strong", {}, rule),
    ` ${name} `,
    element("span", { class: "soft" }, count(marks.length, "finding")),
  );
}

function findingEntry(found, show) {
  const { mark } = found[0];
  const some = found
    .slice(0, 12)
    .map(({ lane, mark: each }) =>
      element(
        "button",
        { type: "button", class: "link", onclick: () => show(lane, each) },
        lane.kind === "pool" ? lane.name : `session ${lane.key}`,
      ),
    );
  return element(
    "li",
    {},
    element("p", {}, prose(mark.message)),
    actList(mark.acts.length ? mark.acts : [{ path: mark.path, line: mark.line, text: "" }]),
    element(
      "p",
      { class: "where" },
      ...some,
      found.length > some.length
        ? element("span", { class: "soft" }, `and ${count(found.length - some.length, "more", "more")}`)
        : null,
    ),
  );
}

/** The idle gaps by the two places around them, the longest first. */
function gapRows(trace) {
  const places = new Map();
  for (const session of trace.sessions)
    for (const wait of session.waits.items) {
      const place = `${wait.after}\n${wait.before}`;
      const group = places.get(place) ?? {
        after: wait.after,
        before: wait.before,
        times: 0,
        sum: 0,
        longest: wait,
        session,
      };
      group.times += 1;
      group.sum += lasting(wait);
      if (lasting(wait) > lasting(group.longest)) Object.assign(group, { longest: wait, session });
      places.set(place, group);
    }
  return [...places.values()].sort((one, other) => lasting(other.longest) - lasting(one.longest));
}

function fillGaps(table, trace, show) {
  const rows = gapRows(trace);
  table.replaceChildren(
    element("caption", { class: "hidden" }, "Idle gaps by the statements around them, the longest first"),
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        ...["after", "before", "longest", "times", "in all"].map((name, i) =>
          element("th", { scope: "col", class: i > 1 && "figure" }, name),
        ),
      ),
    ),
    element(
      "tbody",
      {},
      ...rows
        .slice(0, 20)
        .map((row) =>
          element(
            "tr",
            {},
            element("td", {}, placeCell(row.after)),
            element("td", {}, placeCell(row.before)),
            element(
              "td",
              { class: "figure" },
              element(
                "button",
                { type: "button", class: "link", onclick: () => show(row.session, row.longest) },
                duration(lasting(row.longest)),
              ),
            ),
            element("td", { class: "figure" }, row.times.toLocaleString("en")),
            element("td", { class: "figure" }, duration(row.sum)),
          ),
        ),
    ),
  );
  return rows.length;
}

// The columns of the table of sessions: a heading, what it sorts by, what stands there.
const COLUMNS = [
  {
    name: "session",
    by: (s) => s.number,
    cell: (s, choose) => element("button", { type: "button", class: "link", onclick: () => choose(s) }, s.key),
  },
  { name: "opened", by: (s) => s.opened, cell: (s) => placeCell(s.opened || s.name) },
  {
    name: "closed",
    by: (s) => s.closed,
    cell: (s) => (s.closed ? placeCell(s.closed) : s.lives.length ? element("em", {}, "never") : ""),
  },
  { name: "task", by: (s) => s.task, cell: (s) => element("bdi", { class: "task", title: s.task }, s.task) },
  { name: "start", by: (s) => s.start, figure: true, cell: (s) => moment(s.start) },
  { name: "open for", by: (s) => s.end - s.start, figure: true, cell: (s) => duration(s.end - s.start) },
  {
    name: "transactions",
    by: (s) => s.transactions.items.length,
    figure: true,
    cell: (s) => s.transactions.items.length.toLocaleString("en"),
  },
  {
    name: "statements",
    by: (s) => s.statements.items.length,
    figure: true,
    cell: (s) => s.statements.items.length.toLocaleString("en"),
  },
  {
    name: "longest idle",
    by: (s) => (s.longestIdle ? lasting(s.longestIdle) : 0),
    figure: true,
    cell: (s) => (s.longestIdle ? element("span", { class: "gap" }, duration(lasting(s.longestIdle))) : ""),
  },
  { name: "findings", by: (s) => s.marks.items.length || s.rules.length, cell: (s) => s.rules.join(", ") },
];

/** The table of sessions, sorted by a press on a heading; a button shows more of them. */
class SessionTable {
  constructor(table, more, choose) {
    this.body = element("tbody");
    this.heads = COLUMNS.map((column, i) => heading(column, () => this.sortBy(i)));
    const caption = element("caption", { class: "hidden" }, "Sessions; press a heading to sort");
    table.replaceChildren(caption, element("thead", {}, element("tr", {}, ...this.heads)), this.body);
    more.addEventListener("click", () => this.fill(this.limit + ROWS_AT_ONCE));
    Object.assign(this, { more, choose, sessions: [], column: 4, descending: false, limit: ROWS_AT_ONCE });
  }

  set(sessions) {
    this.sessions = sessions;
    this.fill(ROWS_AT_ONCE);
  }

  sortBy(column) {
    this.descending = column === this.column ? !this.descending : Boolean(COLUMNS[column].figure);
    this.column = column;
    this.fill(this.limit);
  }

  fill(limit) {
    this.limit = limit;
    this.body.replaceChildren(
      ...this.sorted()
        .slice(0, limit)
        .map((session) => this.row(session)),
    );
    this.heads.forEach((head, i) => {
      if (i === this.column) head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const left = this.sessions.length - limit;
    this.more.hidden = left <= 0;
    this.more.textContent = `Show ${Math.min(left, ROWS_AT_ONCE)} more of ${left.toLocaleString("en")}`;
  }

  sorted() {
    const { by } = COLUMNS[this.column];
    const order = this.descending ? -1 : 1;
    const compare = (one, other) => (typeof one === "string" ? one.localeCompare(other) : one - other);
    return [...this.sessions].sort((one, other) => order * compare(by(one), by(other)) || one.start - other.start);
  }

  row(session) {
    const cells = COLUMNS.map(({ figure, cell }) =>
      element("td", { class: figure && "figure" }, cell(session, this.choose)),
    );
    return element("tr", { "data-session": session.key }, ...cells);
  }
}

function heading({ name, figure }, sort) {
  return element(
    "th",
    { scope: "col", class: figure && "figure" },
    element("button", { type: "button", onclick: sort }, name),
  );
}
