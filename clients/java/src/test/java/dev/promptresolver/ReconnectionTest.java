package dev.promptresolver;

import dev.promptresolver.v1.ResolveRequest;
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
}
