// Which prompts are served.

import { byId, element, number, setText, table, text } from "./dom.js";
import { get } from "./api.js";
import { ago, whole } from "./words.js";

const FRESHNESS = {
  fresh: "fresh",
  due: "asked again with the next call",
  stale: "stale: its store fails",
};

const PAGE_SIZE = 200;

let skip = 0;
let lastAsked = 0;

function reason({ reason, asked }) {
  if (asked.version !== null) return `pinned to ${asked.version}`;
  if (asked.environment !== null) return `deployed to ${asked.environment}`;
  return reason;
}

const title = ({ id, name }) => (id.endsWith(name) ? id : `${id} (${name})`);

/// Returns a function that shows the page of prompts that is to be seen; `use` is called with one
/// that is to be rendered.
export function promptList(use) {
  const button = {
    fill(cell, prompt) {
      const made = cell.firstChild ?? cell.appendChild(element("button", { type: "button" }, "Use"));
      made.setAttribute("aria-label", `Use ${prompt.id}`);
      made.onclick = () => use(prompt);
    },
  };
  const freshness = {
    fill(cell, prompt) {
      setText(cell, FRESHNESS[prompt.freshness]);
      cell.className = prompt.freshness === "stale" ? "bad" : "";
    },
  };
  const show = table("prompts", keyOf, [
    text((prompt) => `${title(prompt)} · ${prompt.store}`),
    text(({ version }) => version, "code"),
    text(reason),
    freshness,
    text(({ age_s }) => ago(age_s)),
    number(({ served }) => whole(served)),
    text(({ idle_s }) => ago(idle_s)),
    number(({ size }) => whole(size)),
    text(({ content_sha256 }) => content_sha256.slice(0, 12), "code"),
    button,
  ]);
  return async () => {
    const asked = ++lastAsked;
    const query = new URLSearchParams({ text: byId("filter").value, skip });
    const { prompts, more, skip: from } = await get(`/api/prompts?${query}`);
    if (asked !== lastAsked) return;
    // Those that are asked for all the time would change their places all the time.
    prompts.sort((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1));
    show(prompts);
    setText(byId("prompts-caption"), caption(prompts.length, from, more));
    byId("previous").hidden = from === 0;
    byId("next").hidden = !more;
    know(prompts);
  };
}

/// Has the buttons and the filter call `refresh`.
export function listenForPages(refresh) {
  const go = (to) => {
    skip = Math.max(0, to);
    refresh();
  };
  byId("filter").addEventListener("input", () => go(0));
  byId("previous").addEventListener("click", () => go(skip - PAGE_SIZE));
  byId("next").addEventListener("click", () => go(skip + PAGE_SIZE));
}

const keyOf = ({ store, id, asked }) =>
  [store, id, asked.version ?? "", asked.environment ?? ""].join("\n");

function caption(count, from, more) {
  if (!count) return from || byId("filter").value ? "No such prompt is held" : "No prompt was asked for yet";
  if (!from && !more) return `Prompts that are held: ${whole(count)}`;
  return `Prompts that are held: ${whole(from + 1)} to ${whole(from + count)}, by their last use`;
}

function know(prompts) {
  const ids = [...new Set(prompts.map(({ id }) => id))];
  const known = byId("known");
  if (ids.join("\n") === [...known.options].map(({ value }) => value).join("\n")) return;
  known.replaceChildren(...ids.map((id) => element("option", { value: id })));
}
