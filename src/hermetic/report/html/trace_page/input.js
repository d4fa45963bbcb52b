"use strict";
// Mouse, touch and keys, as what they ask for.

/**
 * What pointers do over the pictures. `asked` has zoom(factor, x), pan(pixels), scroll(pixels), hover(event or null) and
 * choose(event); x and pixels are of the picture, which begins at `left()`.
 */
function listenToPointers(pictures, left, asked) {
  const down = new Map(); // pointers that are down, where they were last
  let moved = 0;
  const overPicture = (event) => event.target instanceof HTMLCanvasElement && event.target.id !== "map";

  pictures.addEventListener(
    "wheel",
    (event) => {
      if (!(event.target instanceof HTMLCanvasElement)) return;
      event.preventDefault();
      const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      const [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
      if (event.shiftKey) asked.scroll(dy || dx);
      else if (Math.abs(dx) > Math.abs(dy)) asked.pan(dx);
      else
        asked.zoom(
          Math.exp(Math.max(-240, Math.min(dy, 240)) * (event.ctrlKey ? 0.008 : 0.0022)),
          event.clientX - left(),
        );
    },
    { passive: false },
  );

  pictures.addEventListener("pointerdown", (event) => {
    if (!overPicture(event) || event.button !== 0) return;
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    event.target.setPointerCapture(event.pointerId);
    if (down.size === 1) moved = 0;
  });

  pictures.addEventListener("pointermove", (event) => {
    const last = down.get(event.pointerId);
    if (!last) return asked.hover(overPicture(event) ? event : null);
    const before = spread(down);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
    moved += Math.abs(dx) + Math.abs(dy);
    if (moved < 4) return;
    asked.hover(null);
    asked.pan(-dx / down.size);
    if (event.pointerType === "mouse") asked.scroll(-dy);
    const after = spread(down);
    if (before && after) asked.zoom(before.width / after.width, after.middle - left());
  });

  const up = (event) => {
    if (!down.delete(event.pointerId) || down.size) return;
    if (event.type === "pointerup" && moved < 4) asked.choose(event);
  };
  pictures.addEventListener("pointerup", up);
  pictures.addEventListener("pointercancel", up);
  pictures.addEventListener("pointerleave", () => asked.hover(null));
}

/** How far two fingers are apart, and the middle between them. */
function spread(down) {
  if (down.size !== 2) return null;
  const [one, other] = [...down.values()];
  return { width: Math.max(Math.abs(one.x - other.x), 10), middle: (one.x + other.x) / 2 };
}

/** The map of the whole run: pressing or dragging moves the window there. */
function listenToMap(map, moveTo) {
  const at = (event) => moveTo((event.clientX - map.getBoundingClientRect().left) / map.clientWidth);
  map.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    map.setPointerCapture(event.pointerId);
    at(event);
  });
  map.addEventListener("pointermove", (event) => map.hasPointerCapture(event.pointerId) && at(event));
}

/** Keys, while the timeline has the focus. `keys` maps the name of a key to what it does. */
function listenToKeys(pictures, keys) {
  pictures.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}
