// How it goes: stores, models and calls.

import { byId, number, setText, table, text } from "./dom.js";
import { plot } from "./plot.js";
import { quantile, Samples } from "./samples.js";
import { rate, seconds, share, whole } from "./words.js";

const samples = new Samples();

const sum = (values) => values.reduce((total, value) => total + value, 0);


// Rows by what they are of, so that those of one overview are found in another.
const storeKey = ({ name }) => name;
const modelKey = ({ provider, model }) => `${provider}\n${model}`;
const tokenKey = ({ provider, model, direction }) => `${provider}\n${model}\n${direction}`;
const callKey = ({ door, method, status }) => `${door}\n${method}\n${status}`;

const rowsBy = (keyOf, rows) => new Map(rows.map((row) => [keyOf(row), row]));
const indexed = (overview) => ({
  uptime_s: overview.uptime_s,
  bounds_s: overview.upstream_bounds_s,
  stores: rowsBy(storeKey, overview.stores),
  models: rowsBy(modelKey, overview.upstream),
  tokens: rowsBy(tokenKey, overview.tokens),
  calls: rowsBy(callKey, overview.calls),
});

// Stores

const served = (store) => sum(Object.values(store?.served ?? {}));
// What is served while its store is asked in the background came from memory as well.
const fromMemory = (store) => (store?.served.hit ?? 0) + (store?.served.stale ?? 0);
const ratio = (part, all) => (all ? part / all : null);
const hits = (store) => (since, until) => {
  const [before, now] = [since, until].map(({ stores }) => stores.get(storeKey(store)));
  return ratio(fromMemory(now) - fromMemory(before), served(now) - served(before));
};

const showStores = table("stores", storeKey, [
  text((store) => (store.default ? `${store.name} (the default one)` : store.name)),
  text((store) => (store.ttl_s ? seconds(store.ttl_s) : "each call")),
  number((store) => share(samples.lastMinute(hits(store)))),
  number((store) => share(ratio(fromMemory(store), served(store)))),
  number((store) => whole(served(store))),
  number((store) => whole(store.served.stale ?? 0)),
  plot((store) => samples.minutes(hits(store)), 1),
]);

// Models

const took = (part, model) => (since, until) => {
  const [before, now] = [since, until].map(({ models }) => models.get(modelKey(model))?.buckets);
  const counts = (now ?? []).map((count, index) => count - (before?.[index] ?? 0));
  return quantile(part, counts, until.bounds_s);
};
const ever = (part, { buckets }) => quantile(part, buckets, samples.last.bounds_s);
const tokens = (direction) => (model) =>
  whole(samples.last.tokens.get(tokenKey({ ...model, direction }))?.count ?? 0);

const showModels = table("upstream", modelKey, [
  text(({ provider, model }) => `${provider}/${model}`),
  number((model) => seconds(samples.lastMinute(took(0.5, model)))),
  number((model) => seconds(samples.lastMinute(took(0.95, model)))),
  number((model) => seconds(ever(0.5, model))),
  number((model) => seconds(ever(0.95, model))),
  number(({ buckets }) => whole(sum(buckets))),
  number(({ failed }) => whole(failed)),
  number(({ cancelled }) => whole(cancelled)),
  number(tokens("input")),
  number(tokens("output")),
  plot((model) => samples.minutes(took(0.95, model))),
]);

// Calls

const more = (call) => (since, until) => {
  const [before, now] = [since, until].map(({ calls }) => calls.get(callKey(call))?.count ?? 0);
  return now - before;
};
const perSecond = (call) => (since, until) =>
  more(call)(since, until) / (until.uptime_s - since.uptime_s);

const showCalls = table("calls", callKey, [
  text(({ door, method }) => `${method} (${door === "grpc" ? "gRPC" : "HTTP"})`),
  text(({ status }) => status),
  number((call) => rate(samples.lastMinute(more(call)))),
  number(({ count }) => whole(count)),
  plot((call) => samples.minutes(perSecond(call))),
]);

const list = (counts) =>
  Object.entries(counts)
    .map(([name, count]) => `${whole(count)} ${name}`)
    .join(", ");

export function showOverview(overview) {
  samples.add(indexed(overview));
  setText(byId("about"), `version ${overview.version}, up for ${seconds(overview.uptime_s)}`);
  showStores(overview.stores);
  const { entries, bytes } = overview.cache;
  setText(byId("cache"), `${whole(entries)} templates are held, in about ${rate(bytes / 2 ** 20)} MiB.`);
  showModels(overview.upstream);
  const upstream = list(overview.upstream_running);
  setText(
    byId("running"),
    `Calls that run now: ${list(overview.running)}.${upstream && ` Providers answer: ${upstream}.`}`,
  );
  showCalls(overview.calls);
}
