// What the page makes of numbers that grow.

import assert from "node:assert/strict";
import { test } from "node:test";

import { outline } from "./static/plot.js";
import { quantile, Samples } from "./static/samples.js";
import { ago, seconds, share } from "./static/words.js";

test("a quantile is where it is in its bucket", () => {
  const bounds = [1, 2, 4];

  assert.equal(quantile(0.5, [0, 0, 0, 0], bounds), null);
  assert.equal(quantile(0.5, [10, 0, 0, 0], bounds), 0.5);
  assert.equal(quantile(0.5, [1, 2, 1, 0], bounds), 1.5);
  assert.equal(quantile(0.75, [1, 2, 1, 0], bounds), 2);
  assert.equal(quantile(1, [1, 2, 1, 0], bounds), 4);
  assert.equal(quantile(0.95, [0, 0, 0, 9], bounds), 4);
});

const grown = (since, until) => until.count - since.count;

test("a minute is what grew in it, however long the page is looked at", () => {
  const samples = new Samples();
  samples.add({ uptime_s: 100, count: 7 });
  assert.equal(samples.lastMinute(grown), null);

  for (let second = 102; second <= 1000; second += 2) samples.add({ uptime_s: second, count: second });

  assert.equal(samples.lastMinute(grown), 60);
  const minutes = samples.minutes(grown).filter(({ at }) => at >= 700);
  assert.equal(minutes.length, 151);
  assert.ok(minutes.every(({ value }) => value === 60));
});

test("a service that was started anew counts anew", () => {
  const samples = new Samples();
  for (const [uptime_s, count] of [[50, 100], [52, 110], [1, 3], [3, 5]]) samples.add({ uptime_s, count });

  assert.equal(samples.lastMinute(grown), 2);
});

test("a line reaches from 0 to the largest value, and is broken where there is none", () => {
  const points = [0, 1, 2, null, 2].map((value, index) => ({ at: 75 * index, value }));

  assert.equal(outline(points), "M2.0 26.0L38.5 14.0L75.0 2.0M148.0 2.0");
  assert.equal(outline(points.slice(0, 2), 1), "M111.5 26.0L148.0 2.0");
  assert.equal(outline([]), "");
});

test("numbers are told in units that people take in", () => {
  assert.deepEqual([null, 0.00049, 1.234, 60, 7300, 200_000].map(seconds), [
    "–", "0.49 ms", "1.23 s", "60 s", "2 h", "2 d",
  ]);
  assert.deepEqual([0.2, 3.7, 300].map(ago), ["now", "3 s ago", "5 min ago"]);
  assert.deepEqual([null, 0, 0.987654].map(share), ["–", "0 %", "98.8 %"]);
});
