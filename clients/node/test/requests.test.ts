// What a caller's request may be.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { create, fromBinary } from '@bufbuild/protobuf';
import { PromptResolverClient } from 'prompt-resolver';
import { ResolveRequestSchema, WatchPromptsRequestSchema } from 'prompt-resolver/messages';

import { HangingServer } from './server.js';

const knot: Record<string, unknown> = {};
knot['knot'] = knot;

const REFUSED: [unknown, string][] = [
  [10n, 'variables.v: expected a value that JSON has, got a bigint'],
  [[1, 10n], 'variables.v[1]: expected a value that JSON has, got a bigint'],
  [{ id: 10n }, 'variables.v.id: expected a value that JSON has, got a bigint'],
  [() => 1, 'variables.v: expected a value that JSON has, got a function'],
  [new Date(0), 'variables.v: expected a plain object'],
  [new Map([['a', 1]]), 'variables.v: expected a plain object'],
  [Buffer.from('x'), 'variables.v: expected a plain object'],
  ['cut \ud83d', 'variables.v: expected text that is Unicode, got half a surrogate pair'],
];

for (const [value, message] of REFUSED) {
  test(`A variable that would arrive as another is refused: ${message}`, async () => {
    const client = new PromptResolverClient({ address: '127.0.0.1:1' });
    const request = { prompt: { id: 'x' }, variables: { v: value } } as never;

    const refusal = { code: 'INVALID_ARGUMENT', message };
    await assert.rejects(client.resolve(request), refusal);
    await assert.rejects(client.complete(request), refusal);
    await assert.rejects(client.completeStream(request).next(), refusal);
    client.close();
  });
}

const FAULTY: [string, object][] = [
  ['variables that are no object', { variables: 'x' }],
  ['variables without an end', { variables: knot }],
  ['messages that are no list', { messages: 'hi' }],
  ['a number that its field cannot have', { parameters: { maxTokens: 1.5 } }],
];

for (const [fault, request] of FAULTY) {
  test(`A caller's own fault is INVALID_ARGUMENT, not the server's: ${fault}`, async () => {
    const client = new PromptResolverClient({ address: '127.0.0.1:1' });

    await assert.rejects(client.resolve(request as never), { code: 'INVALID_ARGUMENT' });
    client.close();
  });
}

test('What JSON has arrives as it is, from any realm and in any text', async () => {
  const sent: Buffer[] = [];
  const server = await HangingServer.start((_, answer, call) => {
    sent.push(call.request);
    answer(null, Buffer.alloc(0));
  });
  const client = new PromptResolverClient({ address: server.address });
  const variables = { a: [1, 2.5, 2 ** 60, null, true], b: { c: '\u{1f600}' }, d: '' };

  await client.resolve({ variables });
  await client.resolve(create(ResolveRequestSchema, { variables }));
  client.close();
  server.stop();

  for (const bytes of sent) {
    assert.deepEqual(fromBinary(ResolveRequestSchema, bytes).variables, variables);
  }
  assert.equal(sent.length, 2);
});

test('A watch leaves the request as it is, and another one by it begins anew', async () => {
  const sent: Buffer[] = [];
  const server = await HangingServer.start((_, __, call) => {
    sent.push(call.request);
    if ('write' in call) call.write(Buffer.from([0x18, 7])); // An event of revision 7.
  });
  const client = new PromptResolverClient({ address: server.address });
  const request = create(WatchPromptsRequestSchema, { prompts: [{ id: 'x' }] });

  for (let watches = 0; watches < 2; watches += 1) {
    const watching = client.watch(request);
    await watching.next();
    await watching.return();
  }
  client.close();
  server.stop();

  assert.equal(request.afterRevision, undefined);
  const revisions = sent.map((bytes) => fromBinary(WatchPromptsRequestSchema, bytes).afterRevision);
  assert.deepEqual(revisions, [undefined, undefined]);
});
