// Reads everything that an API has with Humanloop's SDK for Node, and prints it as JSON.
// The arguments are BASE_URL KEY PROMPT_ID PATH.
const { HumanloopClient } = require("humanloop");

const [baseUrl, apiKey, id, path] = process.argv.slice(1);
const client = new HumanloopClient({ apiKey, environment: baseUrl });

async function statusOf(call) {
  try {
    await call;
    return 200;
  } catch (error) {
    return error.statusCode;
  }
}

async function main() {
  const listed = [];
  for await (const prompt of await client.prompts.list({ size: 1 })) {
    listed.push(prompt.id);
  }
  const environments = await client.prompts.listEnvironments(id);
  console.log(
    JSON.stringify({
      prompt: await client.prompts.get(id),
      byPath: (await client.files.retrieveByPath({ path })).versionId,
      listed,
      versions: (await client.prompts.listVersions(id)).records.map((each) => each.versionId),
      environments: environments.map((each) => [each.name, each.file.versionId]).sort(),
      missing: await statusOf(client.prompts.get("pr_none")),
      written: await statusOf(
        client.prompts.upsert({ path: "new", model: "m" }, { maxRetries: 0 }),
      ),
    }),
  );
}

main();
