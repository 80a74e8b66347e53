// What is tried again.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { status } from '@grpc/grpc-js';
import { PromptResolverClient } from 'prompt-resolver';

import { HangingServer } from './server.js';

for (const size of [10, 2 * 1024 * 1024, 16 * 1024 * 1024]) {
  test(`A Resolve of ${size} bytes is tried three times where the server is busy`, async () => {
    let calls = 0;
    const server = await HangingServer.start((_, answer) => {
      calls += 1;
      answer({ code: status.UNAVAILABLE });
    });
    const client = new PromptResolverClient({ address: server.address });

    await assert.rejects(
      client.resolve({ prompt: { id: 'x' }, variables: { text: 'x'.repeat(size) } }),
      { code: 'UNAVAILABLE' },
    );
    client.close();
    server.stop();

    assert.equal(calls, 3);
  });
}
