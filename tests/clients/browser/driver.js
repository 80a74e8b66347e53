// Has a page in a real browser make the calls that it is told. Reads a command per line of standard
// input, as JSON, and answers each with a line, in order. `BROWSER` is the browser's path, and the page
// is served at `PORT` of loopback.

import { createServer } from "node:http";
import { createInterface } from "node:readline";

import { build } from "esbuild";
import { chromium } from "playwright-core";

const { BROWSER, PORT } = process.env;
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];

const { outputFiles } = await build({ entryPoints: ["page.js"], bundle: true, write: false });
const server = createServer((request, response) => {
  response.setHeader("content-type", "text/html");
  response.end(`<!doctype html><title>Calls</title><script>${outputFiles[0].text}</script>`);
});
await new Promise((resolve) => server.listen(Number(PORT), "127.0.0.1", resolve));

const browser = await chromium.launch({ executablePath: BROWSER, args: ARGUMENTS });
const page = await browser.newPage();
// A page is not told why a request failed that had no response.
let failure = "";
page.on("requestfailed", (request) => {
  failure = request.failure().errorText;
});
await page.goto(`http://127.0.0.1:${PORT}/`);
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await page.evaluate((command) => window.run(command), JSON.parse(line));
  if (answer.error?.message === "Failed to fetch") {
    answer.error.message += `: ${failure}`;
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
server.close();
