package dev.promptresolver.example;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import dev.promptresolver.v1.CompleteStreamRequest;
import dev.promptresolver.v1.Finished;
import dev.promptresolver.v1.PromptRef;
import dev.promptresolver.v1.PromptResolverGrpc;
import dev.promptresolver.v1.PromptResolverGrpc.PromptResolverBlockingStub;
import dev.promptresolver.v1.ResolveRequest;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/**
 * Asks a running prompt-resolver for a prompt, then for a model's answer to it as it arrives, and
 * reads the error of a call that must fail. The argument is the server's HOST:PORT.
 */
public final class Client {
  private static final PromptRef PROMPT = PromptRef.newBuilder().setId("support/reply").build();
  private static final Struct VARIABLES =
      Struct.newBuilder()
          .putFields("company", text("Acme"))
          .putFields("customer_name", text("Ada"))
          .putFields("order_id", text("A-1001"))
          .putFields("message", text("Where is my parcel?"))
          .build();

  private static final Map<String, ?> RETRY_POLICY =
      Map.of(
          "maxAttempts", 3.0,
          "initialBackoff", "0.1s",
          "maxBackoff", "1s",
          "backoffMultiplier", 2.0,
          "retryableStatusCodes", List.of("UNAVAILABLE"));

  /** Only Resolve is tried again: every completion may cost tokens. */
  private static final Map<String, ?> METHOD_CONFIG =
      Map.of(
          "name", List.of(Map.of("service", PromptResolverGrpc.SERVICE_NAME, "method", "Resolve")),
          "retryPolicy", RETRY_POLICY);

  private final PromptResolverBlockingStub stub;

  private Client(PromptResolverBlockingStub stub) {
    this.stub = stub;
  }

  public static void main(String[] args) throws InvalidProtocolBufferException {
    var fromEnv = System.getenv().getOrDefault("PROMPT_RESOLVER_ADDRESS", "127.0.0.1:50051");
    var address = args.length > 0 ? args[0] : fromEnv;
    var channel =
        Grpc.newChannelBuilder(address, InsecureChannelCredentials.create())
            .defaultServiceConfig(Map.of("methodConfig", List.of(METHOD_CONFIG)))
            .build();
    try {
      var client = new Client(PromptResolverGrpc.newBlockingStub(channel));
      client.resolve();
      client.completeStream();
      client.resolveWithoutVariables();
    } finally {
      channel.shutdownNow();
    }
  }

  private void resolve() {
    System.out.println("== Resolve");
    var request = ResolveRequest.newBuilder().setPrompt(PROMPT).setVariables(VARIABLES).build();
    var resolved = stub.withDeadlineAfter(Duration.ofSeconds(10)).resolve(request);
    var prompt = resolved.getPrompt();
    System.out.printf("prompt: %s, version %s%n", prompt.getId(), prompt.getVersion());
    System.out.printf("model: %s/%s%n", resolved.getProvider(), resolved.getModel());
    for (var message : resolved.getMessagesList()) {
      for (var part : message.getContentList()) {
        System.out.printf("%s: %s%n", message.getRole(), part.getText());
      }
    }
  }

  private void completeStream() {
    System.out.println("== CompleteStream");
    var request =
        CompleteStreamRequest.newBuilder().setPrompt(PROMPT).setVariables(VARIABLES).build();
    var responses = stub.withDeadlineAfter(Duration.ofMinutes(1)).completeStream(request);
    Finished finished = null;
    while (responses.hasNext()) {
      var event = responses.next();
      switch (event.getEventCase()) {
        case TEXT_DELTA -> System.out.print(event.getTextDelta());
        case FINISHED -> finished = event.getFinished();
        default -> {}
      }
    }
    System.out.println();
    if (finished == null) {
      throw new IllegalStateException(
          "the stream ended without `finished`: the answer is not whole");
    }
    System.out.printf("finish reason: %s%n", finished.getFinishReason());
    if (finished.hasUsage()) {
      var usage = finished.getUsage();
      System.out.printf(
          "usage: %d tokens in, %d out%n", usage.getInputTokens(), usage.getOutputTokens());
    }
  }

  private void resolveWithoutVariables() throws InvalidProtocolBufferException {
    System.out.println("== Resolve without variables");
    var request = ResolveRequest.newBuilder().setPrompt(PROMPT).build();
    String reason = null;
    try {
      stub.withDeadlineAfter(Duration.ofSeconds(10)).resolve(request);
    } catch (StatusRuntimeException failure) {
      System.out.printf("code: %s%n", failure.getStatus().getCode());
      for (var detail : StatusProto.fromThrowable(failure).getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          var info = detail.unpack(ErrorInfo.class);
          reason = info.getReason();
          System.out.printf("reason: %s of %s%n", reason, info.getDomain());
          System.out.printf("missing: %s%n", info.getMetadataMap().get("missing"));
        } else if (detail.is(BadRequest.class)) {
          for (var violation : detail.unpack(BadRequest.class).getFieldViolationsList()) {
            System.out.printf("%s: %s%n", violation.getField(), violation.getDescription());
          }
        }
      }
    }
    if (!"VARIABLES_INVALID".equals(reason)) {
      throw new IllegalStateException("expected VARIABLES_INVALID, not " + reason);
    }
  }

  private static Value text(String value) {
    return Value.newBuilder().setStringValue(value).build();
  }
}
