// Renders dotprompts with Google's own implementation. Reads a JSON list of
// {source, variables, history, partials} and prints a list of the messages of each, or of its error.
import { readFileSync } from "node:fs";

import { Dotprompt } from "dotprompt";

async function render({ source, variables, history, partials }) {
  const engine = new Dotprompt();
  for (const [name, text] of Object.entries(partials)) {
    engine.definePartial(name, text);
  }
  try {
    const rendered = await engine.render(source, { input: variables, messages: history });
    return rendered.messages.map(({ role, content }) => ({ role, content }));
  } catch (error) {
    return { error: error.message };
  }
}

const cases = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(await Promise.all(cases.map(render))));
