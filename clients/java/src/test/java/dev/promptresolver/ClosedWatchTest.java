package dev.promptresolver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.rpc.RetryInfo;
import dev.promptresolver.v1.PromptResolverGrpc.PromptResolverImplBase;
import dev.promptresolver.v1.WatchPromptsRequest;
import dev.promptresolver.v1.WatchPromptsResponse;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@DisplayName("A watch that is to try again later")
@Timeout(60)
final class ClosedWatchTest {
  @Test
  @DisplayName("ends at once with its client")
  void close() throws Exception {
    var server =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0))
            .addService(new Later())
            .build()
            .start();
    var address = "127.0.0.1:" + server.getPort();
    var client = PromptResolverClient.builder().address(address).build();
    try {
      var events = client.watch(WatchPromptsRequest.getDefaultInstance()).iterator();
      var failed = new CompletableFuture<PromptResolverException>();
      var reader =
          new Thread(
              () -> failed.complete(assertThrows(PromptResolverException.class, events::hasNext)));
      reader.setDaemon(true);
      reader.start();
      // It waits without end for an answer, and for some time for its next call.
      while (reader.getState() != Thread.State.TIMED_WAITING) {
        Thread.onSpinWait();
      }
      client.close();

      var failure = failed.get(10, TimeUnit.SECONDS);
      assertEquals("CANCELLED: the client is closed", failure.getMessage());
    } finally {
      client.close();
      server.shutdownNow();
    }
  }

  /** Has watches come again in an hour. */
  private static final class Later extends PromptResolverImplBase {
    @Override
    public void watchPrompts(
        WatchPromptsRequest request, StreamObserver<WatchPromptsResponse> caller) {
      var delay = RetryInfo.newBuilder().setRetryDelay(Duration.newBuilder().setSeconds(3600));
      var details =
          com.google.rpc.Status.newBuilder().addDetails(Any.pack(delay.build())).build();
      var trailers = new Metadata();
      trailers.put(PromptResolverException.DETAILS, details.toByteArray());
      caller.onError(Status.UNAVAILABLE.asException(trailers));
    }
  }
}
