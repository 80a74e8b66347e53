package dev.promptresolver.example;

import dev.promptresolver.CallOptions;
import dev.promptresolver.PromptResolverClient;
import dev.promptresolver.PromptResolverException;
import dev.promptresolver.Variables;
import dev.promptresolver.v1.CompleteRequest;
import dev.promptresolver.v1.CompleteStreamRequest;
import dev.promptresolver.v1.PromptRef;
import dev.promptresolver.v1.ResolveRequest;
import dev.promptresolver.v1.WatchPromptsRequest;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** The code of the page about this client, so that it compiles. */
final class Usage {
  private Usage() {}

  static void resolve() {
    try (var client = PromptResolverClient.builder().address("127.0.0.1:50051").build()) {
      var request =
          ResolveRequest.newBuilder()
              .setPrompt(PromptRef.newBuilder().setId("extract/invoice"))
              .setVariables(Variables.of(Map.of("text", "Two chairs, 80 EUR")))
              .build();
      var resolved = client.resolve(request);
      System.out.println(resolved.getMessagesList());
    }
  }

  static void stream(PromptResolverClient client, CompleteStreamRequest request) {
    try (var events = client.completeStream(request)) {
      for (var event : events) {
        System.out.print(event.getTextDelta());
      }
    }
  }

  static void watch(PromptResolverClient client) {
    var request =
        WatchPromptsRequest.newBuilder()
            .addPrompts(PromptRef.newBuilder().setId("support/reply"))
            .build();
    try (var events = client.watch(request)) {
      for (var event : events) {
        System.out.println(event.getChange() + " " + event.getPrompt().getVersion());
      }
    }
  }

  static void readError(PromptResolverClient client, ResolveRequest request) {
    try {
      client.resolve(request);
    } catch (PromptResolverException failure) {
      switch (failure.getReason()) {
        case "VARIABLES_INVALID" -> System.err.println(failure.getViolations());
        case "OVERLOADED" -> System.err.println(failure.getRetryAfter());
        default -> throw failure;
      }
    }
  }

  static void setDeadline(PromptResolverClient client, CompleteRequest request) {
    var options =
        CallOptions.DEFAULT
            .withTimeout(Duration.ofSeconds(30))
            .withMetadata("x-request-id", "order-1001");
    client.complete(request, options);
  }

  static void cancel(PromptResolverClient client, CompleteRequest request) {
    var answer = client.completeAsync(request).orTimeout(5, TimeUnit.SECONDS);
    answer.thenAccept(response -> System.out.println(response.getMessage()));
    answer.cancel(true);
  }

  static PromptResolverClient connectSecurely() {
    return PromptResolverClient.builder()
        .address("dns:///prompt-resolver.example:50051")
        .caFile(Path.of("/etc/prompt-resolver/ca.crt"))
        .certificate(
            Path.of("/etc/prompt-resolver/tls.crt"), Path.of("/etc/prompt-resolver/tls.key"))
        .tokenFile(Path.of("/etc/prompt-resolver/token"))
        .build();
  }
}
