"use strict";
// What is under the pointer, and what was chosen, in words.

const MOST_EVENTS = 300; // of one session that are listed
const PLACES = new Set(["opened", "closed", "at", "after", "before", "ended"]); // facts that are places

/** What of a session is at a moment, within some pixels: the smallest thing first. */
function itemAt(session, time, perPixel) {
  const near = (list, pixels) => {
    const found = [];
    const { items } = list;
    for (
      let i = firstReaching(list, time - pixels * perPixel);
      i < items.length && items[i].start <= time + pixels * perPixel;
      i++
    )
      found.push(items[i]);
    return found.sort((one, other) => away(one, time) - away(other, time) || lasting(one) - lasting(other))[0];
  };
  return (
    near(session.marks, 7) ??
    near(session.failures, 2) ??
    near(session.waits, 1) ??
    near(session.statements, 2) ??
    near(session.transactions, 0) ??
    session.lives.find((life) => life.start <= time && time <= life.end) ??
    null
  );
}

function away(item, time) {
  return Math.max(item.start - time, time - item.end, 0);
}

/** A headline and facts of an item, for the tip and for the details. */
function describe(item) {
  switch (item.kind) {
    case "statement":
      return {
        title: item.failed ? `${item.name}: ${item.failed}` : item.name,
        took: lasting(item),
        facts: [
          ["at", item.at],
          ["failed", item.failed],
        ],
        sql: item.sql,
      };
    case "wait":
      return {
        title: "Idle in a transaction",
        took: lasting(item),
        facts: [
          ["after", item.after],
          ["before", item.before],
        ],
      };
    case "transaction":
      return { title: `Transaction: ${outcome(item)}`, took: lasting(item), facts: [["ended", item.ended]] };
    case "life":
      return {
        title: "Session",
        took: lasting(item),
        facts: [
          ["opened", item.opened],
          ["closed", item.closed || "never, in this recording"],
          ["task", item.task],
        ],
      };
    case "finding":
      return {
        title: `${item.rule} ${item.name}`,
        facts: [],
        message: item.message,
        acts: item.acts.length ? item.acts : [{ path: item.path, line: item.line, text: "" }],
        severity: item.severity,
      };
    default:
      return { title: "", facts: [] };
  }
}

const OUTCOMES = new Map([
  ["commit", "committed"],
  ["rollback", "rolled back"],
  ["close", "ended by close, without commit or rollback"],
  ["open", "still open when the recording ended"],
]);

function outcome(transaction) {
  return OUTCOMES.get(transaction.outcome) ?? transaction.outcome;
}

function tipContent(item) {
  const { title, took, facts, sql, message } = describe(item);
  return [
    element("strong", {}, title),
    took === undefined ? "" : ` ${duration(took)}`,
    message ? element("p", {}, prose(message)) : null,
    sql ? element("pre", {}, sql.length > 240 ? `${sql.slice(0, 240)} …` : sql) : null,
    ...facts
      .filter(([, value]) => value)
      .map(([name, value]) =>
        element(
          "p",
          {},
          element("span", { class: "soft" }, `${name} `),
          element("bdi", { class: PLACES.has(name) && "place" }, value),
        ),
      ),
  ];
}

function itemSection(item) {
  const { title, took, facts, sql, message, acts, severity } = describe(item);
  return element(
    "section",
    { class: "item" },
    element(
      "h3",
      {},
      severity ? element("i", { class: `key ${severity === "error" ? "error" : "warning"}` }) : null,
      title,
    ),
    took === undefined
      ? null
      : element(
          "p",
          { class: "took" },
          duration(took),
          element("span", { class: "soft" }, ` from ${moment(item.start, 100)}`),
        ),
    message ? element("p", {}, prose(message)) : null,
    sql ? element("pre", { tabindex: "0", "aria-label": "SQL" }, sql) : null,
    factList(facts),
    acts ? actList(acts) : null,
  );
}

function factList(facts) {
  const told = facts.filter(([, value]) => value);
  if (!told.length) return null;
  return element(
    "dl",
    { class: "facts" },
    ...told.flatMap(([name, value]) => [
      element("dt", {}, name),
      element("dd", {}, breakable(value, { class: PLACES.has(name) && "place" })),
    ]),
  );
}

/** The acts of a finding, in their order. */
function actList(acts) {
  return element(
    "ol",
    { class: "acts" },
    ...acts.map(({ path, line, text }) =>
      element(
        "li",
        {},
        breakable(path && line ? `${path}:${line}` : path, { class: "place" }),
        " ",
        prose(text),
      ),
    ),
  );
}

/** The details of a session, and of one item of it if that was chosen; `show(item)` leads to another. */
function sessionDetails(session, item, show) {
  const life = session.lives[0];
  const facts = [
    ["opened", session.opened],
    ["closed", life && (session.closed || "never, in this recording")],
    ["task", session.task],
    ["type", session.type],
    ["open for", life && duration(session.end - session.start)],
    ["idle", session.idle ? `${duration(session.idle)} in ${count(session.waits.items.length, "gap")}` : ""],
  ];
  return [
    item && item.kind !== "life" ? itemSection(item) : null,
    element("section", {}, element("h3", {}, session.title), factList(facts)),
    element("h3", {}, "In order"),
    eventList(session, item, show),
  ];
}

function eventList(session, chosen, show) {
  const events = [session.transactions, session.statements, session.waits, session.marks]
    .flatMap(({ items }) => items.slice(0, MOST_EVENTS))
    .sort((one, other) => one.start - other.start || other.end - one.end);
  const all = ["transactions", "statements", "waits", "marks"].reduce(
    (sum, kind) => sum + session[kind].items.length,
    0,
  );
  const shown = events.slice(0, MOST_EVENTS);
  const list = element(
    "ol",
    { class: "events" },
    ...shown.map((item) => {
      const { title, took } = describe(item);
      return element(
        "li",
        {},
        element(
          "button",
          {
            type: "button",
            class: `event ${item.severity ?? ""} ${item.kind}`,
            "aria-current": item === chosen && "true",
            onclick: () => show(item),
          },
          element("span", { class: "soft" }, moment(item.start, 100)),
          element("bdi", {}, title),
          element("span", {}, took === undefined ? "" : duration(took)),
        ),
      );
    }),
  );
  return all > shown.length
    ? element("div", {}, list, element("p", { class: "soft" }, `and ${count(all - shown.length, "more", "more")}`))
    : list;
}

/** Who holds the connections of a pool at a moment. */
function poolDetails(pool, time, choose) {
  const holds = holdsAt(pool, time);
  return [
    element(
      "section",
      {},
      element("h3", {}, breakable(pool.name)),
      element(
        "p",
        { class: "took" },
        poolReading(pool, time),
        element("span", { class: "soft" }, ` at ${moment(time, 100)}`),
      ),
    ),
    holds.length ? element("h3", {}, "Held by, the longest first") : null,
    element(
      "ol",
      { class: "holds" },
      ...holds
        .slice(0, MOST_EVENTS)
        .map((hold) =>
          element(
            "li",
            {},
            element(
              "p",
              {},
              element("strong", {}, `connection ${hold.connection}`),
              ` for ${duration(time - hold.start)}`,
              hold.ended ? "" : element("span", { class: "soft" }, ", never returned"),
            ),
            breakable(hold.holder, { class: "place" }),
            " ",
            hold.lane
              ? element(
                  "button",
                  { type: "button", class: "link", onclick: () => choose(hold.lane) },
                  `session ${hold.lane.key}`,
                )
              : null,
          ),
        ),
    ),
  ];
}
