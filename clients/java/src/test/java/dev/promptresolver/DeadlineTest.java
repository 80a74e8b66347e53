package dev.promptresolver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.promptresolver.v1.CompleteRequest;
import dev.promptresolver.v1.ResolveRequest;
import dev.promptresolver.v1.WatchPromptsRequest;
import io.grpc.Deadline;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("A deadline travels with a call")
final class DeadlineTest {
  @Test
  @DisplayName("which is the client's, or that of the call's options")
  void unaryCalls() throws Exception {
    try (var server = new HangingServer();
        var client = server.connect()) {
      client.resolveAsync(ResolveRequest.getDefaultInstance());
      assertWithin(0, 10, server.awaitCall());
      client.completeAsync(CompleteRequest.getDefaultInstance());
      assertWithin(60, 120, server.awaitCall());
      client.completeAsync(
          CompleteRequest.getDefaultInstance(),
          CallOptions.DEFAULT.withTimeout(Duration.ofMinutes(10)));
      assertWithin(300, 600, server.awaitCall());
    }
  }

  @Test
  @DisplayName("but not with a watch, which lasts")
  void watch() throws Exception {
    try (var server = new HangingServer();
        var client = server.connect()) {
      var events = client.watch(WatchPromptsRequest.getDefaultInstance());

      assertEquals(Optional.empty(), server.awaitCall());
      events.close();
      assertEquals("watch", server.awaitLeaving());
    }
  }

  private static void assertWithin(long fromS, long toS, Optional<Deadline> deadline) {
    var remaining = deadline.orElseThrow().timeRemaining(TimeUnit.SECONDS);
    assertTrue(fromS <= remaining && remaining <= toS, remaining + " s");
  }
}
