// A header travels as it is, or its call is refused.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { PromptResolverClient, PromptResolverError } from 'prompt-resolver';

import { HangingServer } from './server.js';

const SECRETS = ['sk-secret\n', 'sk-secret\r\nx: y', 'sk-sécret', 'sk-secret\0'];
const REQUEST = { prompt: { id: 'x' } };

const came: unknown[] = [];
let server: HangingServer;
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headers-'));
  server = await HangingServer.start((metadata, answer) => {
    came.push(metadata.get('authorization')[0]);
    answer(null, Buffer.alloc(0));
  });
});

after(async () => {
  server.stop();
  await rm(folder, { recursive: true });
});

function refused(message: string) {
  return (error: unknown) => {
    assert.ok(error instanceof PromptResolverError);
    assert.equal(error.code, 'INVALID_ARGUMENT');
    assert.equal(error.message, message);
    assert.equal(error.cause, undefined);
    return true;
  };
}

test('A key with a character that cannot be sent is refused, and not shown', async () => {
  const client = new PromptResolverClient({ address: server.address });
  for (const secret of SECRETS) {
    const options = { metadata: { 'x-provider-key-fake': secret } };
    const expected = refused('expected printable ASCII as the value of x-provider-key-fake');

    await assert.rejects(client.complete(REQUEST, options), expected);
    await assert.rejects(client.completeStream(REQUEST, options).next(), expected);
    await assert.rejects(client.watch({}, options).next(), expected);
  }
  client.close();

  assert.deepEqual(came, []);
});

test('A name that no header has is refused', async () => {
  const client = new PromptResolverClient({ address: server.address });
  for (const name of ['', 'x provider', 'x-bin']) {
    await assert.rejects(
      client.resolve(REQUEST, { metadata: { [name]: 'sk-secret' } }),
      refused(`expected the name of a header, got "${name}"`),
    );
  }
  client.close();
});

test('A token that cannot be sent is refused, and not shown', async () => {
  const tokenFile = join(folder, 'unsendable');
  await writeFile(tokenFile, 'two\nlines\n');

  for (const token of SECRETS) {
    assert.throws(() => new PromptResolverClient({ token }), refused('expected a token of printable ASCII'));
  }
  assert.throws(
    () => new PromptResolverClient({ tokenFile }),
    refused(`expected a token of printable ASCII in ${tokenFile}`),
  );
});

test('While a file has no token that can be sent, the last one stays', async () => {
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, 'first\n');
  const client = new PromptResolverClient({ address: server.address, tokenFile });
  came.length = 0;

  for (const text of ['first\n', 'two\nlines\n', 'sécret', 'second\n']) {
    await writeFile(tokenFile, text);
    await client.resolve(REQUEST);
  }
  client.close();

  assert.deepEqual(came, ['Bearer first', 'Bearer first', 'Bearer first', 'Bearer second']);
});
