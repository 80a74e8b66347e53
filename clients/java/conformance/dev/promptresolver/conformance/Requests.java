package dev.promptresolver.conformance;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.promptresolver.CallOptions;
import dev.promptresolver.v1.CompleteRequest;
import dev.promptresolver.v1.CompleteStreamRequest;
import dev.promptresolver.v1.PromptRef;
import dev.promptresolver.v1.ResolveRequest;
import dev.promptresolver.v1.WatchPromptsRequest;

/** What commands ask for, as requests and options. */
final class Requests {
  private Requests() {}

  static ResolveRequest resolve(Command command) throws InvalidProtocolBufferException {
    var request =
        ResolveRequest.newBuilder().setPrompt(prompt(command)).setVariables(command.variables());
    command.text("alias").ifPresent(request::setAlias);
    command.text("model").ifPresent(request::setModel);
    return request.build();
  }

  static CompleteRequest complete(Command command) throws InvalidProtocolBufferException {
    var request =
        CompleteRequest.newBuilder().setPrompt(prompt(command)).setVariables(command.variables());
    command.text("alias").ifPresent(request::setAlias);
    command.text("model").ifPresent(request::setModel);
    return request.build();
  }

  static CompleteStreamRequest completeStream(Command command)
      throws InvalidProtocolBufferException {
    var request =
        CompleteStreamRequest.newBuilder()
            .setPrompt(prompt(command))
            .setVariables(command.variables());
    command.text("alias").ifPresent(request::setAlias);
    command.text("model").ifPresent(request::setModel);
    return request.build();
  }

  static WatchPromptsRequest watch(Command command) {
    var request = WatchPromptsRequest.newBuilder();
    command.texts("prompts").forEach(id -> request.addPromptsBuilder().setId(id));
    return request.build();
  }

  static CallOptions options(Command command) {
    var options = CallOptions.DEFAULT;
    for (var header : command.headers().entrySet()) {
      options = options.withMetadata(header.getKey(), header.getValue());
    }
    return command.millis("timeout_ms").map(options::withTimeout).orElse(options);
  }

  private static PromptRef prompt(Command command) {
    var prompt = PromptRef.newBuilder();
    command.text("prompt").ifPresent(prompt::setId);
    command.text("store").ifPresent(prompt::setStore);
    command.text("version").ifPresent(prompt::setVersion);
    command.text("environment").ifPresent(prompt::setEnvironment);
    return prompt.build();
  }
}
