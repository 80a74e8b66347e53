// A call that is left ends at the server.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { status } from '@grpc/grpc-js';
import { PromptResolverClient } from 'prompt-resolver';

import { HangingServer } from './server.js';

const REQUEST = { prompt: { id: 'x' } };
const CLOSED = { name: 'PromptResolverError', code: 'CANCELLED', message: 'the client is closed' };
const LEFT = { name: 'PromptResolverError', code: 'CANCELLED', message: 'the stream was left' };

let server: HangingServer;
let client: PromptResolverClient;

before(async () => {
  server = await HangingServer.start();
});

after(() => server.stop());

beforeEach(() => {
  client = new PromptResolverClient({ address: server.address });
});

afterEach(() => client.close());

const streams = {
  CompleteStream: () => client.completeStream(REQUEST),
  WatchPrompts: () => client.watch(),
};
const calls = {
  Resolve: () => client.resolve(REQUEST),
  Complete: () => client.complete(REQUEST),
  CompleteStream: () => streams.CompleteStream().next(),
  WatchPrompts: () => streams.WatchPrompts().next(),
};

for (const [method, call] of Object.entries(calls)) {
  test(`A client that is closed ends a ${method} that runs, and makes no other`, async () => {
    const [begun, left] = [server.begun(), server.left()];
    const failed = assert.rejects(call(), CLOSED);
    await begun;
    client.close();

    assert.equal(await left, method);
    await failed;
    await assert.rejects(call(), CLOSED);
  });
}

test('A client that is closed ends a call that waits for its server', async () => {
  const gone = await HangingServer.start();
  gone.stop();
  const waiting = new PromptResolverClient({ address: gone.address });
  const failed = assert.rejects(waiting.resolve(REQUEST), CLOSED);

  waiting.close();

  await failed;
});

test('A client that is closed ends a watch that its server has refused for now', async () => {
  const busy = await HangingServer.start((_, answer) => answer({ code: status.UNAVAILABLE }));
  const refused = new PromptResolverClient({ address: busy.address });
  const begun = busy.begun();
  const failed = assert.rejects(refused.watch().next(), CLOSED);
  await begun;

  refused.close();

  await failed;
  busy.stop();
});

for (const [method, stream] of Object.entries(streams)) {
  test(`A ${method} that is left while it waits for an event ends at once`, async () => {
    const [begun, left] = [server.begun(), server.left()];
    const events = stream();
    const failed = assert.rejects(events.next(), LEFT);
    await begun;

    assert.deepEqual(await events.return(), { value: undefined, done: true });

    assert.equal(await left, method);
    await failed;
    assert.deepEqual(await events.next(), { value: undefined, done: true });
  });

  test(`A ${method} that is left before it is read makes no call`, async () => {
    const events = stream();

    await events.return();

    assert.deepEqual(await events.next(), { value: undefined, done: true });
  });

  for (const error of [undefined, new Error('mine')]) {
    test(`A Readable of a ${method} that is destroyed ${error ? 'with an error ' : ''}ends it`, async () => {
      const [begun, left] = [server.begun(), server.left()];
      const events = Readable.from(stream());
      events.on('error', () => {});
      events.resume();
      await begun;
      events.destroy(error);

      assert.equal(await left, method);
    });
  }
}

test('A signal ends all calls that it was given to, and Node does not warn of them', async () => {
  const warnings: Error[] = [];
  const warn = (warning: Error) => warnings.push(warning);
  process.on('warning', warn);
  const answering = await HangingServer.start((_, answer) => answer(null, Buffer.alloc(0)));
  const asked = new PromptResolverClient({ address: answering.address });
  const leave = new AbortController();
  const { signal } = leave;

  await Promise.all(Array.from({ length: 20 }, () => asked.resolve(REQUEST, { signal })));
  asked.close();
  answering.stop();
  const running = Array.from({ length: 20 }, () => client.resolve(REQUEST, { signal }));
  const cancelled = { code: 'CANCELLED', message: 'the call was cancelled', cause: 'why' };
  const failed = running.map((each) => assert.rejects(each, cancelled));
  leave.abort('why');
  await Promise.all(failed);
  await assert.rejects(client.resolve(REQUEST, { signal }), cancelled);
  process.off('warning', warn);

  assert.deepEqual(warnings, []);
});
