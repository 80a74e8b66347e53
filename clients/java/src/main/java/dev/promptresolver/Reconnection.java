package dev.promptresolver;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Has a server that was away tried at once when a call begins.
 *
 * <p>By itself gRPC waits longer after each attempt to connect, up to two minutes, whoever calls.
 */
final class Reconnection implements ClientInterceptor {
  private static final long SHORTEST_PAUSE_NS = TimeUnit.SECONDS.toNanos(1);

  private final ManagedChannel channel;
  private final AtomicLong lastAt = new AtomicLong(System.nanoTime() - SHORTEST_PAUSE_NS);

  Reconnection(ManagedChannel channel) {
    this.channel = channel;
  }

  @Override
  public <Q, R> ClientCall<Q, R> interceptCall(
      MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
    if (channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
      var now = System.nanoTime();
      var before = lastAt.get();
      if (now - before >= SHORTEST_PAUSE_NS && lastAt.compareAndSet(before, now)) {
        channel.resetConnectBackoff();
      }
    }
    return next.newCall(method, options);
  }
}
