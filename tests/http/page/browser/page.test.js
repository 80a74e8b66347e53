// The page in a real browser, over the real service at `PAGE`, and at `LOCKED` over one that needs
// the token `let-me-in`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

const { BROWSER, PAGE, LOCKED } = process.env;
const HOSTILE = "<img src=x onerror=alert(1)>";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: BROWSER, args: ARGUMENTS });
});
after(() => browser.close());

/// Runs a test with an open page, and fails it if the browser found fault with the page.
function withPage(name, check, { url = PAGE, set = async () => {}, ...options } = {}) {
  test(name, async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    const faults = [];
    page.on("pageerror", ({ message }) => faults.push(message));
    page.on("dialog", (dialog) => faults.push(dialog.message()) && dialog.dismiss());
    // A refused request is told there as well, and is none of the page's.
    page.on("console", (message) => {
      const refused = message.text().startsWith("Failed to load resource");
      if (["error", "warning"].includes(message.type()) && !refused) faults.push(message.text());
    });
    try {
      await set(page);
      await page.goto(url);
      await check(page);
      assert.deepEqual(faults, []);
    } finally {
      await context.close();
    }
  });
}

const row = (page, text) => page.getByRole("row").filter({ hasText: text });
const field = (page, name) => page.getByRole("textbox", { name, exact: true });
const renderButton = (page) => page.getByRole("button", { name: "Render", exact: true });
const texts = (page) => page.locator("#rendered pre").allTextContents();

async function use(page, id) {
  await page.getByRole("button", { name: `Use ${id}`, exact: true }).click();
  await page.getByText("VARIABLES_INVALID: variables: missing language, name").waitFor();
}

async function renderGreet(page, name = "Ada") {
  await use(page, "greet");
  await field(page, "language").fill("French");
  await field(page, "name").fill(name);
  await renderButton(page).click();
  await page.getByText("2 messages of greet, version ").waitFor();
}

withPage("it tells which prompts are served, in which version, and what is stale", async (page) => {
  await page.getByText("Serving", { exact: true }).waitFor();

  const greet = await row(page, "greet · local").getByRole("cell").allTextContents();
  assert.match(greet[0], /^[0-9a-f]{12}$/);
  assert.equal(greet[1], "deployed");
  assert.ok(Number(greet[4]) >= 3);
  const stale = await row(page, "pr_1 (far) · hl").getByRole("cell").allTextContents();
  assert.equal(stale[0], "prv_1");
  assert.equal(stale[2], "stale: its store fails");
});

withPage("it tells how models and calls went", async (page) => {
  await page.getByText("Serving", { exact: true }).waitFor();

  const model = await row(page, "fake/some-model").getByRole("cell").allTextContents();
  assert.match(model[2], / ms$/);
  assert.deepEqual(model.slice(4, 9), ["2", "1", "0", "10", "4"]);
  const call = await row(page, "Complete (gRPC)OK").getByRole("cell").allTextContents();
  assert.deepEqual([call[0], call[2]], ["OK", "2"]);
});

withPage("numbers and plots follow what happens", async (page) => {
  await page.getByText("Serving", { exact: true }).waitFor();
  await renderGreet(page);
  await page.clock.runFor(4000);

  const local = row(page, "local (the default one)");
  await local.getByText("100 %").first().waitFor();
  const line = local.locator("svg path");
  assert.match(await line.getAttribute("d"), /^M[\d.]+ 2\.0/);
}, { set: (page) => page.clock.install() });

withPage("ids, names and texts are shown as text, whatever they are", async (page) => {
  await row(page, HOSTILE).getByRole("button").click();
  await page.getByText(`1 message of ${HOSTILE}`).waitFor();

  assert.deepEqual(await texts(page), ["<script>alert(2)</script>\n  & two spaces"]);
  assert.equal(await page.locator("img, main script").count(), 0);
});

withPage("a prompt is rendered to its exact messages, by the keyboard alone", async (page) => {
  await page.getByText("Serving", { exact: true }).waitFor();
  const name = "<b>{{language}}</b>  x";
  const focused = () =>
    page.evaluate(() => {
      const { outlineStyle } = getComputedStyle(document.activeElement);
      return { label: document.activeElement.ariaLabel ?? document.activeElement.textContent, outlineStyle };
    });
  async function tabTo(label) {
    for (let presses = 0; presses < 60; presses += 1) {
      await page.keyboard.press("Tab");
      const now = await focused();
      assert.notEqual(now.outlineStyle, "none");
      if (now.label === label) return;
    }
    assert.fail(`${label} is not reached`);
  }

  await tabTo("Use greet");
  await page.keyboard.press("Enter");
  const language = field(page, "language");
  await language.waitFor();
  assert.equal(await language.getAttribute("aria-invalid"), "true");
  assert.ok(await language.evaluate((node) => node === document.activeElement));
  await page.keyboard.type("French");
  await page.keyboard.press("Tab");
  await page.keyboard.type(name);
  await tabTo("Render");
  await page.keyboard.press("Enter");
  await page.getByText("2 messages of greet, version ").waitFor();

  const [system, user] = await texts(page);
  assert.equal(system, "Greet in French.");
  assert.equal(user, name);
  assert.deepEqual(await page.locator("#rendered h3").allTextContents(), ["system", "user"]);
  assert.equal(await language.getAttribute("aria-invalid"), null);
});

withPage("variables may be written as JSON", async (page) => {
  await use(page, "greet");
  await field(page, "language").fill("French");
  await page.getByLabel("Write them as JSON").check();
  const json = page.getByLabel("Variables as a JSON object");
  assert.deepEqual(JSON.parse(await json.inputValue()), { language: "French", name: "" });

  for (const wrong of ["[1]", "{", "null"]) {
    await json.fill(wrong);
    await renderButton(page).click();
    await page.getByText("VARIABLES_INVALID: expected a JSON object").waitFor();
  }
  await json.fill('{"language": "French", "name": ["Ada", 7]}');
  await renderButton(page).click();
  await page.getByText("2 messages").waitFor();

  assert.equal((await texts(page))[1], '["Ada", 7]');
  assert.ok(await page.locator("#render-error").isHidden());
});

withPage("what was rendered can be copied", async (page) => {
  await renderGreet(page, "  Ada\n\nL. ");
  await page.getByRole("button", { name: "Copy user" }).click();
  await page.getByText("Copied").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "  Ada\n\nL. ");
}, { permissions: ["clipboard-read", "clipboard-write"] });

withPage("an error is told by its reason", async (page) => {
  await page.getByLabel("Prompt id").fill("nowhere");
  await field(page, "Version").fill("1");
  await field(page, "or environment").fill("staging");
  await renderButton(page).click();
  await page.getByRole("alert").getByText("SELECTOR_INVALID: ").waitFor();
  await field(page, "or environment").fill("");
  await renderButton(page).click();
  await page.getByRole("alert").getByText(/^(PROMPT|VERSION)_NOT_FOUND: /).waitFor();
});

for (const colorScheme of ["light", "dark"]) {
  withPage(`no accessibility fault is found, in ${colorScheme}`, async (page) => {
    const check = async () => {
      // Not as a script of the page, which its policy would refuse.
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => axe.run());
      const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html)}`);
      assert.deepEqual(told, []);
    };
    await page.getByText("Serving", { exact: true }).waitFor();
    await use(page, "greet");
    await check();
    await field(page, "language").fill("French");
    await field(page, "name").fill("Ada");
    await renderButton(page).click();
    await page.getByText("2 messages").waitFor();
    await check();
  }, { colorScheme, reducedMotion: "reduce" });
}

withPage("a narrow screen is enough", async (page) => {
  const width = () => page.evaluate(() => document.documentElement.scrollWidth);
  await page.getByText("Serving", { exact: true }).waitFor();
  assert.equal(await width(), 320);
  await renderGreet(page, "x".repeat(500));
  assert.equal(await width(), 320);
}, { viewport: { width: 320, height: 640 } });

const prompt = (number) => ({
  id: `p${String(number).padStart(3, "0")}`,
  name: "",
  store: "local",
  version: "1",
  environment: "",
  asked: { version: null, environment: null },
  reason: "deployed",
  age_s: 1,
  freshness: "fresh",
  served: 1,
  idle_s: 1,
  size: 1,
  content_sha256: "0",
});

withPage("many prompts are shown in pages, and found by a part of their id", async (page) => {
  await page.getByText("Prompts that are held: 1 to 200, ").waitFor();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByText("Prompts that are held: 201 to 205, ").waitFor();
  assert.equal(await page.locator("#prompts tbody tr").count(), 5);
  await page.getByRole("button", { name: "Previous" }).click();
  await page.getByText("Prompts that are held: 1 to 200, ").waitFor();
  await page.getByLabel("Id or name contains").fill("p20");
  await page.getByText("Prompts that are held: 5").waitFor();
  assert.ok(await page.getByRole("button", { name: "Next" }).isHidden());
}, {
  set: (page) =>
    page.route("**/api/prompts?*", (route) => {
      const { searchParams } = new URL(route.request().url());
      const all = Array.from({ length: 205 }, (_, number) => prompt(number));
      const found = all.filter(({ id }) => id.includes(searchParams.get("text")));
      const skip = Number(searchParams.get("skip"));
      const prompts = found.slice(skip, skip + 200);
      return route.fulfill({ json: { prompts, skip, more: found.length > skip + 200 } });
    }),
});

withPage("it says that the service is gone or goes, asks on, and rests while it is paused", async (page) => {
  await page.getByText("Serving", { exact: true }).waitFor();
  let asked = 0;
  await page.route("**/api/overview", (route) => {
    asked += 1;
    return route.abort();
  });
  await page.clock.runFor(2500);
  await page.getByText("UNREACHABLE: the service does not answer").waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  const before = asked;
  await page.clock.runFor(20_000);
  assert.equal(asked, before);
  await page.unroute("**/api/overview");
  await page.route("**/api/overview", (route) =>
    route.fulfill({ status: 503, json: { error: { reason: "DRAINING", message: "" } } }),
  );
  await page.getByRole("button", { name: "Pause" }).click();
  await page.clock.runFor(2500);
  await page.getByText("Shutting down").waitFor();
  await page.unroute("**/api/overview");
  await page.clock.runFor(2500);
  await page.getByText("Serving", { exact: true }).waitFor();
}, { set: (page) => page.clock.install() });

withPage("it asks for a token where one is needed, and keeps it for this tab alone", async (page) => {
  const token = page.getByLabel("Token");
  await page.getByText("CALLER_TOKEN_MISSING").waitFor();
  assert.equal(await page.locator("tbody tr").count(), 0);
  await token.fill("let-me-out");
  await page.keyboard.press("Enter");
  await page.getByText("CALLER_TOKEN_INVALID").waitFor();
  await token.fill("let-me-in");
  await page.keyboard.press("Enter");
  await page.getByText("Serving", { exact: true }).waitFor();
  assert.ok(await token.isHidden());
  await page.reload();
  await page.getByText("Serving", { exact: true }).waitFor();

  const other = await page.context().newPage();
  await other.goto(LOCKED);
  await other.getByText("CALLER_TOKEN_MISSING").waitFor();
}, { url: LOCKED });
