package dev.promptresolver;

import dev.promptresolver.v1.CompleteRequest;
import dev.promptresolver.v1.CompleteResponse;
import dev.promptresolver.v1.CompleteStreamRequest;
import dev.promptresolver.v1.CompleteStreamResponse;
import dev.promptresolver.v1.PromptResolverGrpc.PromptResolverImplBase;
import dev.promptresolver.v1.ResolveRequest;
import dev.promptresolver.v1.ResolveResponse;
import dev.promptresolver.v1.WatchPromptsRequest;
import dev.promptresolver.v1.WatchPromptsResponse;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.Server;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A server whose calls never end by themselves: it tells which have begun, and which were left. */
final class HangingServer extends PromptResolverImplBase implements AutoCloseable {
  private static final long WITHIN_S = 10;

  private final BlockingQueue<Optional<Deadline>> begun = new LinkedBlockingQueue<>();
  private final BlockingQueue<String> left = new LinkedBlockingQueue<>();
  private final Server server;

  HangingServer() throws IOException {
    server =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0))
            .addService(this)
            .build()
            .start();
  }

  PromptResolverClient connect() {
    return PromptResolverClient.builder().address("127.0.0.1:" + server.getPort()).build();
  }

  /** Waits until a call has begun, and returns its deadline. */
  Optional<Deadline> awaitCall() throws InterruptedException {
    var deadline = begun.poll(WITHIN_S, TimeUnit.SECONDS);
    if (deadline == null) {
      throw new AssertionError("no call has begun");
    }
    return deadline;
  }

  /** Waits until a call was left by its caller, and returns its method. */
  String awaitLeaving() throws InterruptedException {
    return left.poll(WITHIN_S, TimeUnit.SECONDS);
  }

  @Override
  public void resolve(ResolveRequest request, StreamObserver<ResolveResponse> caller) {
    hang("resolve", caller);
  }

  @Override
  public void complete(CompleteRequest request, StreamObserver<CompleteResponse> caller) {
    hang("complete", caller);
  }

  @Override
  public void completeStream(
      CompleteStreamRequest request, StreamObserver<CompleteStreamResponse> caller) {
    hang("completeStream", caller);
  }

  @Override
  public void watchPrompts(
      WatchPromptsRequest request, StreamObserver<WatchPromptsResponse> caller) {
    hang("watch", caller);
  }

  @Override
  public void close() {
    server.shutdownNow();
  }

  private void hang(String method, StreamObserver<?> caller) {
    ((ServerCallStreamObserver<?>) caller).setOnCancelHandler(() -> left.add(method));
    begun.add(Optional.ofNullable(Context.current().getDeadline()));
  }
}
