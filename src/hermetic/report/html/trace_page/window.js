"use strict";
// The part of the time that is shown.

const SHORTEST_WINDOW = 20; // microseconds

/** A window into `duration` microseconds; `changed` is called after every change. */
class TimeWindow {
  constructor(duration, changed) {
    const margin = Math.max(duration * 0.01, 1);
    this.duration = duration;
    this.whole = { from: -margin, to: duration + margin };
    this.changed = changed;
    [this.from, this.to] = [0, duration];
  }

  get width() {
    return this.to - this.from;
  }

  set(from, to) {
    const width = this.allowed(to - from);
    const start = (from + to - width) / 2;
    this.from = Math.min(Math.max(start, this.whole.from), this.whole.to - width);
    this.to = this.from + width;
    this.changed();
  }

  allowed(width) {
    return Math.min(Math.max(width, SHORTEST_WINDOW), this.whole.to - this.whole.from);
  }

  fit() {
    this.set(this.whole.from, this.whole.to);
  }

  /** Zoom by a factor, below 1 inwards, so that a moment stays where it is. */
  zoom(factor, at = (this.from + this.to) / 2) {
    const width = this.allowed(this.width * factor);
    const from = at - ((at - this.from) / this.width) * width;
    this.set(from, from + width);
  }

  pan(by) {
    this.set(this.from + by, this.to + by);
  }

  /** Where to go to see a span with room around it; a window that shows it well stays. */
  around(start, end) {
    if (start >= this.from && end <= this.to && (end - start) * 100 > this.width)
      return { from: this.from, to: this.to };
    const room = Math.max((end - start) * 0.75, Math.min(this.width, this.duration / 20) / 2);
    return { from: start - room, to: end + room };
  }

  /** Where a moment is in a picture of so many pixels, and back. */
  scale(pixels) {
    const { from, to } = this;
    const perPixel = (to - from) / pixels;
    return { from, to, perPixel, pixels, x: (time) => (time - from) / perPixel, time: (x) => from + x * perPixel };
  }
}
