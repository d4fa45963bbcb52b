"use strict";
// How numbers and times are said, and how elements are made. All text of the trace goes through `element` or a canvas:
// it stays text.

/** An element with attributes, handlers (`onclick`), and children: elements, texts, or nothing. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false)
      made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A duration in microseconds, with three figures: "870 µs", "12.4 ms", "3.21 s", "4 min 05 s". */
function duration(us) {
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 999_500) return `${figures(us / 1000)} ms`;
  if (us < 119_500_000) return `${figures(us / 1_000_000)} s`;
  const seconds = Math.round(us / 1_000_000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
  return `${minutes} min ${String(seconds % 60).padStart(2, "0")} s`;
}

function figures(number) {
  return number >= 99.95 ? number.toFixed(0) : number >= 9.995 ? number.toFixed(1) : number.toFixed(2);
}

/** A moment in microseconds since the beginning, as exact as `step`: "340 ms", "1.25 s", "12:05" from two minutes on. */
function moment(us, step = 1000) {
  if (step >= 1_000_000 && us >= 120_000_000) {
    const seconds = Math.round(us / 1_000_000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }
  const [unit, name] = us >= 1_000_000 || step >= 1_000_000 ? [1_000_000, "s"] : [1000, "ms"];
  return `${(us / unit).toFixed(Math.max(0, Math.ceil(Math.log10(unit / step))))} ${name}`;
}

/** "1 session", "2,000 sessions". */
function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** The function and the file of a place: "app/users.py:31 in load". A place of another form is all file. */
function placeParts(place) {
  const at = place.lastIndexOf(" in ");
  return at < 0 ? { file: place, name: "" } : { file: place.slice(0, at), name: place.slice(at + 4) };
}

/** The end of a path, which tells more than its beginning: "…/endpoints/customers.py:76". */
function shortPath(path) {
  const parts = path.split("/");
  return parts.length > 2 ? `…/${parts.slice(-2).join("/")}` : path;
}

/** The database of a URL, and what leads to it: "shop" and "postgresql+asyncpg://localhost". */
function urlParts(url) {
  const at = url.lastIndexOf("/");
  const database = url.slice(at + 1);
  return at < 0 || !database ? { database: url, server: "" } : { database, server: url.slice(0, at) };
}

/** A place in a table: its function, and the end of its path below. */
function placeCell(place) {
  if (!place) return element("em", { class: "soft" }, "library code");
  const { file, name } = placeParts(place);
  return element(
    "span",
    { class: "place-cell", title: place },
    element("bdi", {}, name || shortPath(file)),
    name ? element("bdi", { class: "place soft" }, shortPath(file)) : null,
  );
}

/** A sentence, with what its backticks enclose as code. */
function prose(text) {
  return element("bdi", {}, ...text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part)));
}

/** A text that may break after its slashes, such as a place or a URL. */
function breakable(text, attributes = {}) {
  return element("bdi", attributes, ...text.split(/(?<=\/)/).flatMap((part) => [part, element("wbr")]));
}
