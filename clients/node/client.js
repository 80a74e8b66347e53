// Asks a running prompt-resolver for a prompt, then for a model's answer to it as it arrives, and
// reads the error of a call that must fail. The argument is the server's HOST:PORT.

import { promisify } from 'node:util';

import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const definition = loadSync(['prompt_resolver/v1/prompt_resolver.proto', 'error_details.proto'], {
  includeDirs: [`${import.meta.dirname}/../../protos`, import.meta.dirname],
  defaults: true,
  enums: String,
  longs: Number,
  oneofs: true,
  json: true, // Decodes the details of errors, which are `google.protobuf.Any`.
});
const { PromptResolver } = grpc.loadPackageDefinition(definition).prompt_resolver.v1;

// Only Resolve is tried again: every completion may cost tokens.
const serviceConfig = {
  methodConfig: [
    {
      name: [{ service: 'prompt_resolver.v1.PromptResolver', method: 'Resolve' }],
      retryPolicy: {
        maxAttempts: 3,
        initialBackoff: '0.1s',
        maxBackoff: '1s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
};

const address = process.argv[2] ?? process.env.PROMPT_RESOLVER_ADDRESS ?? '127.0.0.1:50051';
const client = new PromptResolver(address, grpc.credentials.createInsecure(), {
  'grpc.service_config': JSON.stringify(serviceConfig),
});
const resolve = promisify(client.resolve).bind(client);

const prompt = { id: 'support/reply' };
// A `google.protobuf.Struct`, which proto-loader leaves to be spelt out.
const variables = {
  fields: {
    company: { stringValue: 'Acme' },
    customer_name: { stringValue: 'Ada' },
    order_id: { stringValue: 'A-1001' },
    message: { stringValue: 'Where is my parcel?' },
  },
};

const within = (seconds) => ({ deadline: Date.now() + seconds * 1000 });

async function showPrompt() {
  console.log('== Resolve');
  const resolved = await resolve({ prompt, variables }, within(10));
  console.log(`prompt: ${resolved.prompt.id}, version ${resolved.prompt.version}`);
  console.log(`model: ${resolved.provider}/${resolved.model}`);
  for (const { role, content } of resolved.messages) {
    for (const part of content) console.log(`${role}: ${part.text}`);
  }
}

async function showAnswer() {
  console.log('== CompleteStream');
  let finished;
  for await (const response of client.completeStream({ prompt, variables }, within(60))) {
    if (response.event === 'textDelta') process.stdout.write(response.textDelta);
    if (response.event === 'finished') finished = response.finished;
  }
  console.log();
  if (!finished) throw new Error('the stream ended without `finished`: the answer is not whole');
  console.log(`finish reason: ${finished.finishReason}`);
  const { usage } = finished;
  if (usage) console.log(`usage: ${usage.inputTokens} tokens in, ${usage.outputTokens} out`);
}

/** Returns the details of a failed call, each with the URL of its type as `@type`. */
function detailsOf(error) {
  const [status] = error.metadata.get('grpc-status-details-bin');
  return status ? definition['google.rpc.Status'].deserialize(status).details : [];
}

async function showError() {
  console.log('== Resolve without variables');
  let reason;
  try {
    await resolve({ prompt }, within(10));
  } catch (error) {
    console.log(`code: ${grpc.status[error.code]}`);
    for (const detail of detailsOf(error)) {
      switch (detail['@type']) {
        case 'type.googleapis.com/google.rpc.ErrorInfo':
          reason = detail.reason;
          console.log(`reason: ${reason} of ${detail.domain}`);
          console.log(`missing: ${detail.metadata.missing}`);
          break;
        case 'type.googleapis.com/google.rpc.BadRequest':
          for (const { field, description } of detail.fieldViolations) {
            console.log(`${field}: ${description}`);
          }
      }
    }
  }
  if (reason !== 'VARIABLES_INVALID') throw new Error(`expected VARIABLES_INVALID, not ${reason}`);
}

try {
  await showPrompt();
  await showAnswer();
  await showError();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
} finally {
  client.close();
}
