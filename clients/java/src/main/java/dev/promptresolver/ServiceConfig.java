package dev.promptresolver;

import dev.promptresolver.v1.PromptResolverGrpc;
import java.util.List;
import java.util.Map;

/** What gRPC itself does for calls: wait for a server, try again, and spread them. */
final class ServiceConfig {
  private static final Map<String, ?> RETRY_POLICY =
      Map.of(
          "maxAttempts",
          3.0,
          "initialBackoff",
          "0.1s",
          "maxBackoff",
          "1s",
          "backoffMultiplier",
          2.0,
          "retryableStatusCodes",
          List.of("UNAVAILABLE"));

  /** Only Resolve is tried again: every completion may cost tokens. */
  private static final Map<String, ?> RESOLVE =
      Map.of("name", List.of(method("Resolve")), "waitForReady", true, "retryPolicy", RETRY_POLICY);

  private static final Map<String, ?> COMPLETIONS =
      Map.of("name", List.of(method("Complete"), method("CompleteStream")), "waitForReady", true);

  static final Map<String, ?> VALUE =
      Map.of(
          "methodConfig", List.of(RESOLVE, COMPLETIONS),
          "retryThrottling", Map.of("maxTokens", 10.0, "tokenRatio", 0.1),
          "loadBalancingConfig", List.of(Map.of("round_robin", Map.of())));

  private ServiceConfig() {}

  private static Map<String, ?> method(String name) {
    return Map.of("service", PromptResolverGrpc.SERVICE_NAME, "method", name);
  }
}
