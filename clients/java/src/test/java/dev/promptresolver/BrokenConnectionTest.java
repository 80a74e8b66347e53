package dev.promptresolver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.promptresolver.v1.CompleteRequest;
import dev.promptresolver.v1.CompleteResponse;
import dev.promptresolver.v1.PromptResolverGrpc.PromptResolverImplBase;
import dev.promptresolver.v1.ResolveRequest;
import dev.promptresolver.v1.ResolveResponse;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@DisplayName("A connection that breaks as calls are sent over it")
@Timeout(60)
final class BrokenConnectionTest {
  private static final int TIMES = 60;

  private Server server;
  private BreakingProxy proxy;
  private PromptResolverClient client;

  @BeforeEach
  void begin() throws IOException {
    server =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0))
            .addService(new Answering())
            .build()
            .start();
    proxy = new BreakingProxy(server.getPort());
    client = PromptResolverClient.builder().address("127.0.0.1:" + proxy.getPort()).build();
  }

  @AfterEach
  void end() throws IOException {
    client.close();
    proxy.close();
    server.shutdownNow();
  }

  @Test
  @DisplayName("costs no Resolve")
  void resolve() throws Exception {
    var codes = breakWhile(() -> client.resolveAsync(ResolveRequest.getDefaultInstance()));

    assertEquals(Set.of(), codes);
  }

  @Test
  @DisplayName("makes a Complete unavailable, and nothing else: gRPC alone tells UNKNOWN of some")
  void complete() throws Exception {
    var codes = breakWhile(() -> client.completeAsync(CompleteRequest.getDefaultInstance()));

    assertTrue(EnumSet.of(Status.Code.UNAVAILABLE).containsAll(codes), codes.toString());
  }

  /** Breaks the connection again and again, and returns how the calls failed meanwhile. */
  private <T> Set<Status.Code> breakWhile(Supplier<CompletableFuture<T>> call)
      throws IOException {
    var codes = EnumSet.noneOf(Status.Code.class);
    for (var time = 0; time < TIMES; time++) {
      client.resolve(ResolveRequest.getDefaultInstance());
      var calls = new ArrayList<>(List.of(call.get()));
      proxy.breakConnections();
      calls.add(call.get());
      calls.add(call.get());
      for (var made : calls) {
        try {
          made.join();
        } catch (CompletionException failed) {
          codes.add(((PromptResolverException) failed.getCause()).getCode());
        }
      }
    }
    return codes;
  }

  /** Answers with nothing, at once. */
  private static final class Answering extends PromptResolverImplBase {
    @Override
    public void resolve(ResolveRequest request, StreamObserver<ResolveResponse> caller) {
      caller.onNext(ResolveResponse.getDefaultInstance());
      caller.onCompleted();
    }

    @Override
    public void complete(CompleteRequest request, StreamObserver<CompleteResponse> caller) {
      caller.onNext(CompleteResponse.getDefaultInstance());
      caller.onCompleted();
    }
  }
}
