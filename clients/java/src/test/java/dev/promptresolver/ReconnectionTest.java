package dev.promptresolver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.promptresolver.v1.ResolveRequest;
import io.grpc.Status;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.time.Duration;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@DisplayName("A server that cannot be reached")
final class ReconnectionTest {
  @Test
  @Timeout(12)
  @DisplayName("is tried at a steady pace while a call waits: gRPC alone takes longer for as many")
  void steadyPace() throws Exception {
    try (var server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        var client =
            PromptResolverClient.builder().address("127.0.0.1:" + server.getLocalPort()).build()) {
      client.resolveAsync(
          ResolveRequest.getDefaultInstance(),
          CallOptions.DEFAULT.withTimeout(Duration.ofMinutes(1)));
      for (var attempts = 0; attempts < 6; attempts++) {
        server.accept().close();
      }
    }
  }

  @Test
  @Timeout(60)
  @DisplayName("is named by a call that has waited for it in vain, in a line")
  void unreachable() throws Exception {
    var address = unusedAddress();
    try (var client = PromptResolverClient.builder().address(address).build()) {
      var options = CallOptions.DEFAULT.withTimeout(Duration.ofMillis(300));

      var failure =
          assertThrows(
              PromptResolverException.class,
              () -> client.resolve(ResolveRequest.getDefaultInstance(), options));

      assertEquals(Status.Code.DEADLINE_EXCEEDED, failure.getCode());
      var expected = "DEADLINE_EXCEEDED: no connection to \\Q%s\\E within \\d+ ms";
      assertTrue(failure.getMessage().matches(expected.formatted(address)), failure.getMessage());
    }
  }

  @Test
  @Timeout(60)
  @DisplayName("is not blamed where it was reached, and has not answered in time")
  void slow() throws Exception {
    try (var server = new HangingServer();
        var client = server.connect()) {
      client.resolveAsync(ResolveRequest.getDefaultInstance());
      server.awaitCall();
      var options = CallOptions.DEFAULT.withTimeout(Duration.ofMillis(300));

      var failure =
          assertThrows(
              PromptResolverException.class,
              () -> client.resolve(ResolveRequest.getDefaultInstance(), options));

      assertEquals(Status.Code.DEADLINE_EXCEEDED, failure.getCode());
      assertFalse(failure.getMessage().contains("no connection"), failure.getMessage());
    }
  }

  private static String unusedAddress() throws IOException {
    try (var once = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return "127.0.0.1:" + once.getLocalPort();
    }
  }
}
