// Asks a running prompt-resolver for a prompt, then for a model's answer to it as it arrives, and
// reads the error of a call that must fail. The argument is the server's HOST:PORT.

import { FinishReason, PromptResolverClient, PromptResolverError, Role } from 'prompt-resolver';

const client = new PromptResolverClient({ address: process.argv[2] });
const prompt = { id: 'support/reply' };
const variables = {
  company: 'Acme',
  customer_name: 'Ada',
  order_id: 'A-1001',
  message: 'Where is my parcel?',
};

async function showPrompt(): Promise<void> {
  console.log('== Resolve');
  const resolved = await client.resolve({ prompt, variables });
  console.log(`prompt: ${resolved.prompt?.id}, version ${resolved.prompt?.version}`);
  console.log(`model: ${resolved.provider}/${resolved.model}`);
  for (const { role, content } of resolved.messages) {
    for (const { part } of content) console.log(`ROLE_${Role[role]}: ${part.value}`);
  }
}

async function showAnswer(): Promise<void> {
  console.log('== CompleteStream');
  for await (const { event } of client.completeStream({ prompt, variables })) {
    if (event.case === 'textDelta') process.stdout.write(event.value);
    if (event.case === 'finished') {
      const { finishReason, usage } = event.value;
      console.log(`\nfinish reason: FINISH_REASON_${FinishReason[finishReason]}`);
      if (usage) console.log(`usage: ${usage.inputTokens} tokens in, ${usage.outputTokens} out`);
    }
  }
}

async function showError(): Promise<void> {
  console.log('== Resolve without variables');
  try {
    await client.resolve({ prompt });
  } catch (error) {
    if (!(error instanceof PromptResolverError)) throw error;
    console.log(`code: ${error.code}`);
    console.log(`reason: ${error.reason} of ${error.domain}`);
    console.log(`missing: ${error.metadata['missing']}`);
    for (const { field, description } of error.violations) console.log(`${field}: ${description}`);
    if (error.reason === 'VARIABLES_INVALID') return;
  }
  throw new Error('expected VARIABLES_INVALID');
}

try {
  await showPrompt();
  await showAnswer();
  await showError();
} catch (error) {
  console.error(`error: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  client.close();
}
