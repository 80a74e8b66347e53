package dev.promptresolver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.promptresolver.v1.PromptResolverGrpc.PromptResolverImplBase;
import dev.promptresolver.v1.ResolveRequest;
import dev.promptresolver.v1.ResolveResponse;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("A Resolve that fails is tried three times")
@Timeout(60)
final class RetryTest {
  private static final int MAX_BYTES = 64 * 1024 * 1024;

  @ParameterizedTest
  @ValueSource(ints = {10, 2 * 1024 * 1024, 16 * 1024 * 1024})
  @DisplayName("however large it is")
  void sizes(int size) throws IOException {
    var busy = new Busy();
    var request =
        ResolveRequest.newBuilder().setVariables(Variables.of(Map.of("text", "x".repeat(size))));
    var server =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0))
            .maxInboundMessageSize(MAX_BYTES)
            .addService(busy)
            .build()
            .start();
    var address = "127.0.0.1:" + server.getPort();
    try (var client = PromptResolverClient.builder().address(address).build()) {
      assertThrows(PromptResolverException.class, () -> client.resolve(request.build()));
    } finally {
      server.shutdownNow();
    }

    assertEquals(3, busy.calls.get());
  }

  /** Has no time for anybody. */
  private static final class Busy extends PromptResolverImplBase {
    private final AtomicInteger calls = new AtomicInteger();

    @Override
    public void resolve(ResolveRequest request, StreamObserver<ResolveResponse> caller) {
      calls.incrementAndGet();
      caller.onError(Status.UNAVAILABLE.asException());
    }
  }
}
