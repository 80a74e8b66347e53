package dev.promptresolver;

import dev.promptresolver.v1.PromptResolverGrpc;
import java.util.List;
import java.util.Map;

/** What gRPC itself does for calls: wait for a server, try again, and spread them. */
final class ServiceConfig {
  /** A server that is being stopped cancels calls that it has not begun, and no others. */
  private static final String NOT_BEGUN = "CANCELLED";

  /**
   * Netty tells so of a connection that broke as a call was being sent over it; other transports
   * tell UNAVAILABLE. The service itself has no use for this code.
   */
  private static final String BROKEN_OFF = "UNKNOWN";

  /** A completion is not tried again for anything else, as each one may cost tokens. */
  static final Map<String, ?> VALUE =
      Map.of(
          "methodConfig",
              List.of(
                  methods(List.of("Resolve"), List.of("UNAVAILABLE", BROKEN_OFF, NOT_BEGUN)),
                  methods(
                      List.of("Complete", "CompleteStream", "WatchPrompts"), List.of(NOT_BEGUN))),
          // As many as a busy caller may have under way when its server stops.
          "retryThrottling", Map.of("maxTokens", 1000.0, "tokenRatio", 0.1),
          "loadBalancingConfig", List.of(Map.of("round_robin", Map.of())));

  private ServiceConfig() {}

  private static Map<String, ?> methods(List<String> names, List<String> retryableStatusCodes) {
    return Map.of(
        "name", names.stream().map(ServiceConfig::method).toList(),
        "waitForReady", true,
        "retryPolicy",
            Map.of(
                "maxAttempts", 3.0,
                "initialBackoff", "0.1s",
                "maxBackoff", "1s",
                "backoffMultiplier", 2.0,
                "retryableStatusCodes", retryableStatusCodes));
  }

  private static Map<String, ?> method(String name) {
    return Map.of("service", PromptResolverGrpc.SERVICE_NAME, "method", name);
  }
}
