// The calls of a web page, with Connect's client. `window.run` takes a command, and returns the answer.

import { toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import {
  BadRequestSchema,
  CompleteResponseSchema,
  CompleteStreamResponseSchema,
  ErrorInfoSchema,
  PromptResolver,
  ResolveResponseSchema,
  WatchPromptsResponseSchema,
} from "prompt-resolver/messages";

const TRANSPORTS = { "grpc-web": createGrpcWebTransport, connect: createConnectTransport };

let client;

const operations = {
  connect({ address, protocol }) {
    // Envoy translates Connect's protocol in its binary form alone.
    client = createClient(
      PromptResolver,
      TRANSPORTS[protocol]({ baseUrl: address, useBinaryFormat: true }),
    );
    return { ok: true };
  },

  async resolve(command) {
    const response = await client.resolve(requestOf(command), optionsOf(command));
    return { ok: true, response: toJson(ResolveResponseSchema, response) };
  },

  async complete(command) {
    const response = await client.complete(requestOf(command), optionsOf(command));
    return { ok: true, response: toJson(CompleteResponseSchema, response) };
  },

  complete_stream(command) {
    const call = (options) => client.completeStream(requestOf(command), options);
    return collect(call, command, CompleteStreamResponseSchema, command.cancel_after_messages);
  },

  watch(command) {
    const request = { prompts: command.prompts.map((id) => ({ id })) };
    const call = (options) => client.watchPrompts(request, options);
    return collect(call, command, WatchPromptsResponseSchema, command.messages);
  },
};

/// Returns the events of a stream, which is left after so many, if that is said.
async function collect(call, command, schema, count) {
  const events = [];
  // Leaving the loop leaves the request as it is: only the signal ends it.
  const leave = new AbortController();
  try {
    for await (const event of call({ ...optionsOf(command), signal: leave.signal })) {
      events.push(toJson(schema, event));
      if (events.length === count) break;
    }
  } catch (error) {
    return { ...failed(error), events };
  } finally {
    leave.abort();
  }
  return { ok: true, events };
}

function requestOf({ prompt, variables }) {
  return { prompt: { id: prompt }, variables: variables ?? {} };
}

function optionsOf({ timeout_ms: timeoutMs, metadata }) {
  return { timeoutMs: timeoutMs ?? undefined, headers: metadata ?? {} };
}

function failed(error) {
  const { code, rawMessage: message } = ConnectError.from(error);
  const [info] = error.findDetails(ErrorInfoSchema);
  const [request] = error.findDetails(BadRequestSchema);
  return {
    ok: false,
    error: {
      code: nameOf(code),
      message,
      reason: info?.reason ?? "",
      domain: info?.domain ?? "",
      metadata: info?.metadata ?? {},
      violations:
        request?.fieldViolations.map(({ field, description }) => ({ field, description })) ?? [],
      retry_after_ms: null,
    },
  };
}

/// Returns the name that gRPC has for a code.
function nameOf(code) {
  if (code === Code.Canceled) return "CANCELLED";
  return Code[code].replace(/\B[A-Z]/g, "_$&").toUpperCase();
}

window.run = async (command) => {
  try {
    return await operations[command.op](command);
  } catch (error) {
    return failed(error);
  }
};
