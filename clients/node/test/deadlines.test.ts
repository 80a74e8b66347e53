// How long a call may take, where its caller says something odd.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { PromptResolverClient, type PromptResolverError } from 'prompt-resolver';

import { HangingServer } from './server.js';

const REQUEST = { prompt: { id: 'x' } };

let server: HangingServer;
let client: PromptResolverClient;

before(async () => {
  server = await HangingServer.start((_, answer) => answer(null, Buffer.alloc(0)));
  client = new PromptResolverClient({ address: server.address });
});

after(() => {
  client.close();
  server.stop();
});

test('A deadline beyond what can be told is none', async () => {
  for (const timeoutMs of [1e12, 1e15, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE, Infinity]) {
    await client.resolve(REQUEST, { timeoutMs });
  }
});

test('A time that is no number is refused', async () => {
  const refused = { name: 'PromptResolverError', code: 'INVALID_ARGUMENT' };
  const nothing = { timeoutMs: NaN };

  await assert.rejects(client.resolve(REQUEST, nothing), refused);
  await assert.rejects(client.completeStream(REQUEST, nothing).next(), refused);
  await assert.rejects(client.watch({}, nothing).next(), refused);
});

test('A server that cannot be reached is named, and one that is slow is not', async () => {
  const slow = await HangingServer.start();
  const patient = new PromptResolverClient({ address: slow.address });
  const begun = slow.begun();
  const hanging = patient.resolve(REQUEST, { timeoutMs: 300 });
  await begun;
  const late = await hanging.catch((error: PromptResolverError) => error);
  patient.close();
  slow.stop();
  const lost = new PromptResolverClient({ address: slow.address });
  const message = `no connection to ${slow.address} within 300 ms`;
  const expected = { name: 'PromptResolverError', code: 'DEADLINE_EXCEEDED', message };

  await assert.rejects(lost.resolve(REQUEST, { timeoutMs: 300 }), expected);
  await assert.rejects(lost.completeStream(REQUEST, { timeoutMs: 300 }).next(), expected);
  lost.close();

  assert.ok(!('messages' in late));
  assert.equal(late.code, 'DEADLINE_EXCEEDED');
  assert.doesNotMatch(late.message, /no connection/);
});

test("A page's address is refused, and its password is not shown", () => {
  for (const scheme of ['http', 'HTTPS']) {
    assert.throws(() => new PromptResolverClient({ address: `${scheme}://x:secret@127.0.0.1:50051` }), {
      name: 'PromptResolverError',
      code: 'INVALID_ARGUMENT',
      message: 'expected HOST:PORT as the address, without http://',
    });
  }
});
