package dev.promptresolver.example;

import com.google.protobuf.Struct;
import dev.promptresolver.PromptResolverClient;
import dev.promptresolver.PromptResolverException;
import dev.promptresolver.Variables;
import dev.promptresolver.v1.CompleteStreamRequest;
import dev.promptresolver.v1.Finished;
import dev.promptresolver.v1.PromptRef;
import dev.promptresolver.v1.ResolveRequest;
import java.util.Map;

/**
 * Asks a running prompt-resolver for a prompt, then for a model's answer to it as it arrives, and
 * reads the error of a call that must fail. The argument is the server's HOST:PORT.
 */
public final class Client {
  private static final PromptRef PROMPT = PromptRef.newBuilder().setId("support/reply").build();
  private static final Struct VARIABLES =
      Variables.of(
          Map.of(
              "company", "Acme",
              "customer_name", "Ada",
              "order_id", "A-1001",
              "message", "Where is my parcel?"));

  private Client() {}

  public static void main(String[] args) {
    var builder = PromptResolverClient.builder();
    if (args.length > 0) {
      builder.address(args[0]);
    }
    try (var client = builder.build()) {
      resolve(client);
      completeStream(client);
      resolveWithoutVariables(client);
    }
  }

  private static void resolve(PromptResolverClient client) {
    System.out.println("== Resolve");
    var request = ResolveRequest.newBuilder().setPrompt(PROMPT).setVariables(VARIABLES).build();
    var resolved = client.resolve(request);
    var prompt = resolved.getPrompt();
    System.out.printf("prompt: %s, version %s%n", prompt.getId(), prompt.getVersion());
    System.out.printf("model: %s/%s%n", resolved.getProvider(), resolved.getModel());
    for (var message : resolved.getMessagesList()) {
      for (var part : message.getContentList()) {
        System.out.printf("%s: %s%n", message.getRole(), part.getText());
      }
    }
  }

  private static void completeStream(PromptResolverClient client) {
    System.out.println("== CompleteStream");
    var request =
        CompleteStreamRequest.newBuilder().setPrompt(PROMPT).setVariables(VARIABLES).build();
    var finished = Finished.getDefaultInstance();
    try (var events = client.completeStream(request)) {
      for (var event : events) {
        switch (event.getEventCase()) {
          case TEXT_DELTA -> System.out.print(event.getTextDelta());
          case FINISHED -> finished = event.getFinished();
          default -> {}
        }
      }
    }
    System.out.println();
    System.out.printf("finish reason: %s%n", finished.getFinishReason());
    if (finished.hasUsage()) {
      var usage = finished.getUsage();
      System.out.printf(
          "usage: %d tokens in, %d out%n", usage.getInputTokens(), usage.getOutputTokens());
    }
  }

  private static void resolveWithoutVariables(PromptResolverClient client) {
    System.out.println("== Resolve without variables");
    var request = ResolveRequest.newBuilder().setPrompt(PROMPT).build();
    var reason = "";
    try {
      client.resolve(request);
    } catch (PromptResolverException failure) {
      reason = failure.getReason();
      System.out.printf("code: %s%n", failure.getCode());
      System.out.printf("reason: %s of %s%n", reason, failure.getDomain());
      System.out.printf("missing: %s%n", failure.getMetadata().get("missing"));
      for (var violation : failure.getViolations()) {
        System.out.printf("%s: %s%n", violation.getField(), violation.getDescription());
      }
    }
    if (!reason.equals("VARIABLES_INVALID")) {
      throw new IllegalStateException("expected VARIABLES_INVALID, not " + reason);
    }
  }
}
